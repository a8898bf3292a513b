"""What a stranger can cost the bank before it asks who they are."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from biobank.acts.problems import problem_response
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.operations.doorman import CALL, JSON_DEPTH, STRANGERS, Doorman, TooComplex, require_simple
from biobank.operations.wire import HEAD_BYTES, BoundedProtocol
from tests.conftest import Api, TestBank

TOKEN = "a token for monitors, of forty letters"


def said(url: str, head: str, *parts: bytes) -> bytes:
    """Send bytes as they are and read what comes until the bank hangs up."""
    to = urlsplit(url)
    with socket.create_connection((str(to.hostname), to.port or 80), timeout=30) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode())
        try:
            for part in parts:
                wire.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while more := wire.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer


def test_a_body_that_says_it_is_too_large_is_refused_before_a_byte_of_it(api: Api) -> None:
    head = "POST /api/v1/auth/token HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 300000000\n\n"

    answer = said(api.url, head)

    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert b"connection: close" in answer.lower()


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_long(api: Api) -> None:
    head = "POST /login HTTP/1.1\nHost: 127.0.0.1\nTransfer-Encoding: chunked\n\n"
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"

    answer = said(api.url, head, *[chunk] * (STRANGERS // 0x8000 + 1))

    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]


def test_a_picture_without_a_length_is_counted_as_it_comes(api: Api) -> None:
    def frames() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(0x10000)

    answer = api.lab_tech.post("/users", content=frames(), headers={"Content-Type": "image/jpeg"})

    assert answer.status_code == 413


def test_a_large_file_is_for_those_who_are_signed_in(api: Api) -> None:
    body = b'{"content":"' + b"A" * (2 * CALL) + b'"}'
    json = {"Content-Type": "application/json"}

    assert api.anonymous.post("/attachments", content=body, headers=json).status_code == 413
    assert api.lab_tech.post("/attachments", content=body, headers=json).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"[]," * 100_000,
        b"[" * 100_000,
        b'{"a":' * (JSON_DEPTH + 1) + b"1" + b"}" * (JSON_DEPTH + 1),
        b"[" * (JSON_DEPTH + 2),
    ],
)
def test_json_that_costs_too_much_is_not_read(api: Api, body: bytes) -> None:
    with pytest.raises(TooComplex):
        require_simple(body)

    answer = api.lab_tech.post("/custody-events", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "too_complex")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b'["' + b"[{" * 1000 + b'"]', b"[" + b'{"a":[1,2]},' * 3000 + b"1]", b"[" * JSON_DEPTH + b"]" * JSON_DEPTH],
)
def test_what_a_request_of_ours_looks_like_passes(body: bytes) -> None:
    require_simple(body)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "", "127.0.0.1.evil.example"])
def test_another_hosts_name_is_not_answered_to(api: Api, host: str) -> None:
    answer = httpx.get(f"{api.url}/login", headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_host")
    assert httpx.get(f"{api.url}/readyz", headers={"Host": host}).status_code == 200


def test_the_name_on_the_labels_and_this_machine_are_answered_to(api: Api) -> None:
    for host in ("bank.example", "BANK.EXAMPLE:443", "localhost:8000", "[::1]", "[::1]:8000"):
        assert httpx.get(f"{api.url}/login", headers={"Host": host}).status_code == 200, host


def test_no_redirect_names_a_host(api: Api) -> None:
    for path in ("/", "/specimens/", "/api/v1/specimens/", "/static", "/users/", "/S/AD26-KH0KJQL"):
        answer = httpx.get(f"{api.url}{path}", headers={"Host": "bank.example", "Accept": "text/html"})
        assert not answer.headers.get("location", "/").startswith("http"), (path, answer.headers["location"])


def test_a_compressed_body_is_not_taken(api: Api) -> None:
    answer = api.anonymous.post("/auth/token", content=b"x", headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["code"]) == (415, "compressed_body")


def test_a_browser_is_told_in_a_page(api: Api) -> None:
    answer = httpx.get(f"{api.url}/login", headers={"Host": "evil.example", "Accept": "text/html"})

    assert (answer.status_code, "does not answer to this host name" in answer.text) == (400, True)
    assert answer.headers["content-type"].startswith("text/html")


def test_how_the_bank_is_doing_is_for_monitors(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], secrets_dir: Path, tmp_path: Path
) -> None:
    own = tmp_path / "secrets"
    shutil.copytree(secrets_dir, own)
    (own / "monitor-token").write_text(TOKEN + "\n")
    (own / "monitor-token").chmod(0o600)
    url = serve(make_bank(secrets_dir=own))
    outside = {"X-Forwarded-For": "203.0.113.9"}
    ready = httpx.get(f"{url}/readyz", headers=outside)

    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert httpx.get(f"{url}/metrics", headers=outside).status_code == 403
    assert httpx.get(f"{url}/metrics", headers=outside | {"Authorization": "Bearer another token here"}).status_code == 403
    assert httpx.get(f"{url}/metrics", headers=outside | {"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert "database" in httpx.get(f"{url}/readyz", headers=outside | {"Authorization": f"Bearer {TOKEN}"}).json()
    assert "database" in httpx.get(f"{url}/readyz").json()
    assert httpx.get(f"{url}/metrics").status_code == 200


class Hasty(BoundedProtocol):
    """The protocol with no patience at all, so that the test has some."""

    head_s = 0.05


@pytest.fixture(scope="module")
def hasty() -> Iterator[str]:
    """The address of a server that waits for no head and no body."""
    app = FastAPI()

    @app.post("/")
    async def take(request: Request) -> int:
        return len(await request.body())

    async def page(_request: Request, refusal: Refusal) -> Response:
        return problem_response(refusal)

    app.state.bank = SimpleNamespace(settings=Settings())
    app.add_middleware(Doorman, page=page, session_cookie=lambda _: "session", body_s=0.05)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", http=Hasty))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.mark.parametrize("sent", ["", "\n", "GET / HTTP/1.1\nHost: localhost\n", "POST / HTTP/1.1\nX: "])
def test_whoever_does_not_finish_a_head_is_left(hasty: str, sent: str) -> None:
    assert said(hasty, sent) == b""


def test_a_body_that_does_not_come_is_not_waited_for(hasty: str) -> None:
    head = "POST / HTTP/1.1\nHost: localhost\nContent-Length: 10\nContent-Type: {}\n\n"

    for media in ("text/plain", "image/jpeg"):
        answer = said(hasty, head.format(media), b"abc")
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_slow"


def test_who_goes_on_sending_after_a_refusal_is_left(hasty: str) -> None:
    head = "POST / HTTP/1.1\nHost: evil.example\nContent-Length: 1000000\n\n"

    assert said(hasty, head, b"abc").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\nHost: localhost\nX: " + "a" * HEAD_BYTES,
        "GET / HTTP/1.1\nHost: localhost\n" + "X: aaaaaaaaaaaaaaaaaaaaaaaaaa\n" * 2000 + "\n",
        "GET /" + "a" * HEAD_BYTES + " HTTP/1.1\nHost: localhost\n\n",
    ],
)
def test_a_head_that_is_too_long_is_not_read_on(hasty: str, head: str) -> None:
    assert said(hasty, head).startswith(b"HTTP/1.1 431")


def test_a_body_that_comes_with_its_head_is_no_head(hasty: str) -> None:
    many = STRANGERS - 1
    head = (
        f"POST / HTTP/1.1\nHost: localhost\nContent-Type: text/plain\nConnection: close\nContent-Length: {many}\n\n" + "a" * many
    )

    assert said(hasty, head).startswith(b"HTTP/1.1 200")


def test_two_requests_of_one_connection_are_both_answered(hasty: str) -> None:
    one = "POST / HTTP/1.1\nHost: localhost\nContent-Length: 3\n{}\nabc"

    assert said(hasty, one.format("") + one.format("Connection: close\n")).count(b"HTTP/1.1 200") == 2
