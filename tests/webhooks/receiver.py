"""A receiving server of the tests: takes messages, or fails in the way that it is told to."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Message:
    """What arrived: its headers in small letters and its bytes."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


Way = Callable[["_Handler"], None]


@dataclass
class Receiver:
    """`got` is what it has taken as its own, `seen` also what it only read; `way` is how it answers."""

    server: ThreadingHTTPServer
    url: str
    way: Way
    got: list[Message] = field(default_factory=list)
    seen: list[Message] = field(default_factory=list)
    read: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    def ids(self) -> list[str]:
        return [one.id for one in self.got]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    message: Message

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.message = Message({name.lower(): value for name, value in self.headers.items()}, body)
        receiver = self.server.receiver
        receiver.seen.append(self.message)
        receiver.read.set()
        receiver.way(self)

    def take(self) -> None:
        self.server.receiver.got.append(self.message)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def takes(handler: _Handler) -> None:
    """Take it and say so."""
    handler.take()
    handler.answer(200)


def answers(status: int, **headers: str) -> Way:
    """Answer with a status and take nothing."""
    return lambda handler: handler.answer(status, **headers)


def hangs(handler: _Handler) -> None:
    """Read it and say nothing."""
    handler.server.receiver.let_go.wait(60)


def drips(handler: _Handler) -> None:
    """Begin an answer and never end its first line: there is always one more sign, and never a whole status."""
    while not handler.server.receiver.let_go.wait(0.05):
        handler.wfile.write(b"H")
        handler.wfile.flush()


def takes_and_drips_a_body(handler: _Handler) -> None:
    """Take it, say so, and go on with a body without an end."""
    handler.take()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.receiver.let_go.wait(0.05):
        handler.wfile.write(b"1\r\nx\r\n")
        handler.wfile.flush()


def takes_too_late(handler: _Handler) -> None:
    """Take it, and say so when nobody listens any more."""
    handler.take()
    handler.server.receiver.let_go.wait(60)
    handler.answer(200)


def closes(handler: _Handler) -> None:
    """Close in the middle of the answer."""
    handler.wfile.write(b"HTTP/1.1 200")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def receiving(way: Way = takes, *, port: int = 0, tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> Receiver:
    """Start a receiver on the loopback."""
    server = _Server(("127.0.0.1", port), _Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    made = Receiver(server, f"{scheme}://{host}:{server.server_address[1]}/hooks", way)
    server.receiver = made
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return made


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A certificate of a host that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private
