"""A server of S3 buckets for a test: a stand-in that keeps what it is given in memory, or a real one.

`BIOBANK_TEST_S3` names the address of a real server, for example `http://127.0.0.1:5000` of `python -m moto.server -p 5000`
(`pip install 'moto[s3]' flask flask-cors`, in an environment of its own) or of a MinIO; its login is then `LOGIN`.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

import certifi
import httpx
import obstore
import pytest
from defusedxml.ElementTree import fromstring
from obstore.store import S3Store

LOGIN = ("NAMEOFATESTSKEY00001", "the-secret-half-of-a-key-of-the-tests-001")
_REAL = os.environ.get("BIOBANK_TEST_S3")


class StandIn(BaseHTTPRequestHandler):
    """What the bank asks of S3: HEAD, GET, PUT, the deletion of several objects, a list, and the errors of the two nothings."""

    protocol_version = "HTTP/1.1"
    buckets: dict[str, dict[str, bytes]]
    gone = False
    """Whether it was stopped: connections that are open get no answer any more."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        always = {"Content-Length": str(len(body)), "Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT"}
        for name, value in (always | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, code: str) -> None:
        self._answer(404, f"<Error><Code>{code}</Code><Message>none</Message></Error>".encode())

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.gone:
            self.close_connection = True
            return None
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        asked = parse_qs(parts.query, keep_blank_values=True)
        if self.command == "PUT" and not key:
            self.buckets.setdefault(bucket, {})
            return self._answer(200)
        if f"Credential={LOGIN[0]}/" not in (self.headers.get("Authorization") or ""):
            return self._answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        kept = self.buckets.get(bucket)
        if kept is None:
            return self._error("NoSuchBucket")
        if self.command == "POST" and "delete" in asked:
            gone = [str(one.text) for one in fromstring(body).iter() if one.tag.rpartition("}")[2] == "Key"]
            for name in gone:
                kept.pop(name, None)
            said = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in gone)
            return self._answer(200, f"<DeleteResult>{said}</DeleteResult>".encode())
        if self.command == "PUT":
            kept[key] = body
            return self._answer(200, ETag='"kept"')
        if not key:
            (prefix,) = asked.get("prefix", [""])
            said = "".join(
                f"<Contents><Key>{escape(name)}</Key><LastModified>2026-12-01T00:00:00.000Z</LastModified><ETag>k</ETag>"
                f"<Size>{len(data)}</Size></Contents>"
                for name, data in sorted(kept.items())
                if name.startswith(prefix)
            )
            return self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{said}</ListBucketResult>".encode())
        return self._answer(200, kept[key], ETag='"kept"') if key in kept else self._error("NoSuchKey")

    do_GET = do_HEAD = do_PUT = do_POST = _handle

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server:
    """A bucket `name` behind `endpoint`."""

    def __init__(self, *, stand_in: bool) -> None:
        self.name = f"files-{uuid4().hex[:8]}"
        self._server: ThreadingHTTPServer | None = None
        self.endpoint = str(_REAL)
        if stand_in:
            self._kind: type[StandIn] = type("Own", (StandIn,), {"buckets": {}})
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._kind)
            self._server.daemon_threads = True
            self._thread = threading.Thread(target=self._server.serve_forever)
            self._thread.start()
            self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        httpx.put(f"{self.endpoint}/{self.name}").raise_for_status()

    def store(self) -> S3Store:
        """The bucket, past the bank."""
        return S3Store(
            self.name,
            endpoint=self.endpoint,
            access_key_id=LOGIN[0],
            secret_access_key=LOGIN[1],
            client_options={"allow_http": True},
        )

    def names(self) -> set[str]:
        """Everything in the bucket."""
        return {found["path"] for page in obstore.list(self.store()) for found in page}

    def close(self) -> None:
        """Stop the stand-in: nobody answers there any more."""
        if self._server is not None:
            self._kind.gone = True
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch, *, stand_in: bool = False) -> Iterator[Server]:
    """A server that runs: the stand-in where a test stops it or no real one is named."""
    # The store's client reads authorities even for an address without TLS; the tests otherwise have none.
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    server = Server(stand_in=stand_in or _REAL is None)
    try:
        yield server
    finally:
        server.close()
