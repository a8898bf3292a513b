"""What a caller may send that no client of ours does: each is answered with the right status, in words, or left; one table."""

import gzip
import json
import os
import re
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from biobank.operations.doorman import STRANGERS
from biobank.operations.supervisor import IDLE_S, web_command
from biobank.operations.wire import HEAD_BYTES, HEAD_S
from tests.conftest import Api, TestBank
from tests.operations.test_doorman import said

MEG = 1024 * 1024
SMALL = 40 * MEG
"""Bytes by which a process may grow whatever nobody sends: buffers and a page of refusals."""


def problem(answer: bytes) -> tuple[int, str]:
    """The status and the code of an answer as it came over the wire."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = b"".join(body.split(b"\r\n")[1::2])
    return int(head[9:12]), json.loads(body)["code"] if body.startswith(b"{") else ""


def post(path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items()),
    ]
    if "Transfer_Encoding" not in headers and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


JSON = {"Content_Type": "application/json"}
BOMB = gzip.compress(bytes(64 * MEG))
ODD: dict[str, tuple[bytes, int, str]] = {
    "a length of 300 MB": (post("/api/v1/auth/token", Content_Length="300000000"), 413, "payload_too_large"),
    "a length of more than any number": (post("/api/v1/scans", Content_Length="9" * 18), 413, "payload_too_large"),
    "chunks without end": (
        post(
            "/api/v1/scans",
            b"8000\r\n" + bytes(0x8000) + b"\r\n8000\r\n" + bytes(0x8000) + b"\r\n1\r\nx\r\n",
            Transfer_Encoding="chunked",
        ),
        413,
        "payload_too_large",
    ),
    "chunks to a page": (
        post("/login", b"10001\r\n" + bytes(0x10001) + b"\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
        413,
        "payload_too_large",
    ),
    "a gzip bomb": (post("/api/v1/auth/token", BOMB[:1000], Content_Encoding="gzip", **JSON), 415, "compressed_body"),
    "a deflate bomb": (
        post("/api/v1/scans", zlib.compress(bytes(MEG)), Content_Encoding="deflate", **JSON),
        415,
        "compressed_body",
    ),
    "packed twice": (post("/api/v1/scans", b"x", Content_Encoding="gzip, identity", **JSON), 415, "compressed_body"),
    "brotli in capitals": (post("/api/v1/scans", b"x", Content_Encoding="BR", **JSON), 415, "compressed_body"),
    "a body with a token that is none": (
        post("/api/v1/scans", b"x" * (STRANGERS + 1), Authorization="Bearer eyJhbGciOiJub25lIn0.e30.", **JSON),
        413,
        "payload_too_large",
    ),
    "a body of nobody": (post("/api/v1/scans", b'{"text": "x"}', **JSON), 401, "not_signed_in"),
    "JSON that nobody may send": (post("/api/v1/scans", b"[" * 1000, **JSON), 422, "too_complex"),
    "another host": (post("/login", b"").replace(b"127.0.0.1", b"evil.example"), 400, "unknown_host"),
    "two hosts": (post("/login", b"", host="evil.example"), 400, "unknown_host"),
    "another host behind the port": (
        post("/login", b"").replace(b"127.0.0.1", b"127.0.0.1:80.evil.example"),
        400,
        "unknown_host",
    ),
    "no such page": (post("/api/v1/nothing", b"{}", **JSON), 404, "not_found"),
    "another method": (post("/readyz"), 405, "method_not_allowed"),
    "a method that nobody knows": (post("/api/v1/scans").replace(b"POST", b"BREW", 1), 400, ""),
    "two lengths": (post("/api/v1/scans", b"abc", Content_Length="3", content_length="4"), 400, ""),
    "a length and chunks": (
        post("/api/v1/scans", b"0\r\n\r\n", Content_Length="3", Transfer_Encoding="chunked"),
        400,
        "",
    ),
    "a length of minus one": (post("/api/v1/scans", Content_Length="-1"), 400, ""),
    "a head of 33 KiB": (post("/api/v1/scans", X_Long="a" * (HEAD_BYTES + 1024)), 431, ""),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, ""),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_no_client_of_ours_sends_is_answered_at_once(api: Api, odd: str) -> None:
    sent, status, code = ODD[odd]

    answer = said(api.url, "", sent)

    assert problem(answer) == (status, code), answer[:300]


@pytest.fixture
def process(bank: TestBank) -> Iterator[tuple[int, str]]:
    """The web server as the bank starts it, a process of its own: its number and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = bank.bank.settings.model_copy(update={"host": "127.0.0.1", "port": port, "workers": 1})
    given = settings.model_dump(exclude_none=True)
    environ = dict(os.environ) | {f"BIOBANK_{name.upper()}": str(value) for name, value in given.items()}
    running = subprocess.Popen(web_command(settings), env=environ)
    url = f"http://127.0.0.1:{port}"
    for _ in range(1_200):
        try:
            httpx.get(f"{url}/healthz", timeout=5)
            break
        except httpx.HTTPError:
            assert running.poll() is None
            time.sleep(0.05)
    yield running.pid, url
    running.terminate()
    running.wait(60)


def grown_to(pid: int) -> int:
    """The most bytes of memory that a process has had."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory of a process")
def test_whatever_nobody_sends_the_service_does_not_swell(api: Api, process: tuple[int, str]) -> None:
    pid, url = process
    token = {"Authorization": api.lab_tech.headers["Authorization"]}
    for sent, _, _ in ODD.values():  # once, so that what is loaded for the first time is not counted
        said(url, "", sent)
    httpx.post(f"{url}/api/v1/scans", json={"text": "x"}, headers=token | {"Idempotency-Key": "first"}, timeout=60)
    before = grown_to(pid)

    asked = {"/api/v1/auth/token": ("application/json", 413), "/login": ("text/plain", 413), "/scan/file": ("image/jpeg", 401)}
    for path, (media, status) in asked.items():  # a stranger's picture is refused before a byte of it is read
        head = post(path, Transfer_Encoding="chunked", Content_Type=media)
        assert problem(said(url, "", head, *[b"100000\r\n" + bytes(MEG) + b"\r\n"] * 120))[0] == status, path
    for sent, _, _ in list(ODD.values()) * 5:
        said(url, "", sent)
    waiting = []
    for number in range(200):  # heads and bodies that nobody finishes
        waiting.append(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))))
        body = b"a" * 30_000
        waiting[-1].sendall(
            post("/api/v1/scans", Content_Length="60000")[: -1 if number % 2 else None] + (b"" if number % 2 else body)
        )
    assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    for one in waiting:
        one.close()

    assert grown_to(pid) - before < SMALL


def test_the_server_as_it_is_started_leaves_idle_and_dawdling_callers(process: tuple[int, str]) -> None:
    """One that never speaks, one within a head, one between two requests: each is left when its own time is over."""
    _, url = process
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    sent = {"silent": b"", "within a head": head, "between two requests": head + b"\r\n"}
    begun, left = time.monotonic(), dict[str, float]()
    callers = {name: socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) for name in sent}
    try:
        for name, caller in callers.items():
            caller.sendall(sent[name])
        for name in ("between two requests", "silent", "within a head"):  # in the order in which they are left
            callers[name].settimeout(HEAD_S + 20)
            answer = b""
            while more := callers[name].recv(65536):
                answer += more
            left[name] = time.monotonic() - begun
            assert answer.startswith(b"HTTP/1.1 200") == (name == "between two requests"), (name, answer[:200])
    finally:
        for caller in callers.values():
            caller.close()

    assert IDLE_S - 1 < left["between two requests"] < HEAD_S - 2, left
    assert all(HEAD_S - 1 < left[name] < HEAD_S + 10 for name in ("silent", "within a head")), left


def test_the_proxy_lets_go_of_its_connections_before_the_server_does() -> None:
    conf = (Path(__file__).parents[2] / "deploy" / "proxy" / "nginx.conf").read_text()
    (kept,) = re.findall(r"upstream bank \{[^}]*keepalive_timeout (\d+)s;", conf)

    assert int(kept) < IDLE_S
