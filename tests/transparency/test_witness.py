"""The witness over real HTTP: it cosigns one history, and keeps the proof when it is shown another."""

import base64
import hashlib
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.cosignature import CosignatureVerifier, Cosigner, find_cosignature
from biobank.transparency.note import MalformedKey, Signer, Verifier, to_base64
from biobank.transparency.tree import EMPTY_ROOT, CompactRange, consistency_proof, fold_perfect, hash_leaf
from biobank.transparency.witness import MAX_BODY, Witness, make_server, read_log_keys
from tests.transparency.conftest import KEY, NEXT_KEY, ORIGIN

WITNESS_KEY = Signer("witness.example", bytes(range(64, 96)))
VERIFIER = Cosigner(WITNESS_KEY).verifier


def leaves(count: int, *, salt: str = "") -> list[bytes]:
    return [hash_leaf(f"{salt}{number}".encode()) for number in range(count)]


def note(tree: list[bytes], *signers: Signer, origin: str = ORIGIN) -> str:
    compact = CompactRange()
    compact.extend(tree)
    return Checkpoint(origin, len(tree), compact.root()).sign(signers or (KEY,))


def request(old: int, tree: list[bytes], signed: str | None = None) -> bytes:
    proof = []
    if 0 < old < len(tree):
        proof = consistency_proof(old, len(tree), lambda level, n: fold_perfect(tree[n << level : (n + 1) << level]))
    lines = "".join(f"{to_base64(node)}\n" for node in proof)
    return f"old {old}\n{lines}\n{signed or note(tree)}".encode()


class Running:
    """A witness in a folder, answering on a port, as long as it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = [KEY.verifier]
        self.start()

    def start(self) -> None:
        self.server = make_server(Witness(Cosigner(WITNESS_KEY), self.folder, lambda: self.keys), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def ask(self, body: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/add-checkpoint", content=body, timeout=60)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "witness")
    yield running
    running.stop()


def test_a_growing_log_is_cosigned_step_by_step_and_across_a_restart(witness: Running) -> None:
    for old, new in ((0, 1), (1, 5), (5, 5), (5, 300)):
        tree = leaves(new)
        answer = witness.ask(request(old, tree))
        assert answer.status_code == 200, answer.text
        found = find_cosignature(note(tree) + answer.text, VERIFIER)
        assert found is not None
        assert found.time > 1_500_000_000
        witness.stop()
        witness.start()

    assert f"log {ORIGIN}: 300" in httpx.get(witness.url).text


def test_a_cosignature_is_over_the_time_too(witness: Running) -> None:
    tree = leaves(3)
    line = witness.ask(request(0, tree)).text
    name, payload = line.split()[1:]
    assert name == "witness.example"
    text = note(tree).partition("\n\n")[0].encode() + b"\n"
    raw = base64.b64decode(payload)
    assert VERIFIER.verify(text, raw[4:])
    assert not VERIFIER.verify(text, raw[4:11] + bytes([raw[11] ^ 1]) + raw[12:])
    assert not VERIFIER.verify(text, raw[4:-1])


def test_an_old_size_that_is_not_the_last_one_is_answered_with_the_last_one(witness: Running) -> None:
    witness.ask(request(0, leaves(7)))

    answer = witness.ask(request(3, leaves(9)))

    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (409, "7\n", "text/x.tlog.size")


@pytest.mark.parametrize("size", [7, 9])
def test_another_history_is_refused_and_kept_as_evidence(witness: Running, size: int) -> None:
    witness.ask(request(0, leaves(7)))
    other = leaves(size, salt="another ")

    answer = witness.ask(request(7, other))

    assert answer.status_code == 422
    (kept,) = (witness.folder / "evidence").iterdir()
    assert note(other) in kept.read_text()
    assert note(leaves(7)) in kept.read_text()
    assert "contradictions kept: 1" in httpx.get(witness.url).text
    assert witness.ask(request(7, leaves(8))).status_code == 200


def test_a_stranger_and_a_wrong_signature_are_refused_and_leave_no_trace(witness: Running) -> None:
    tree = leaves(2)
    stranger = Signer("stranger.example/log", bytes(32))
    assert witness.ask(request(0, tree, note(tree, stranger, origin="stranger.example/log"))).status_code == 404
    assert witness.ask(request(0, tree, note(tree, Signer(ORIGIN, bytes(32))))).status_code == 403
    assert witness.ask(request(0, tree, note(tree).replace("— bank", "— bank", 1)[:-6] + "AAA=\n")).status_code in (400, 403)
    assert not (witness.folder / "logs").exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old -1\n\nx",
        b"old 01\n\n" + note(leaves(1)).encode(),
        b"old 0\n\xff\n\n",
        b"old 5\n\n" + note(leaves(3)).encode(),
        b"old 0\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\n" + note(leaves(1)).encode(),
    ],
)
def test_rubbish_is_a_400(witness: Running, body: bytes) -> None:
    assert witness.ask(body).status_code == 400


def with_proof(body: bytes, *lines: bytes) -> bytes:
    return body.replace(b"\n\n", b"\n" + b"".join(line + b"\n" for line in lines) + b"\n", 1)


NO_HASH = b"AAAA"
SOME_HASH = to_base64(bytes(32)).encode()


@pytest.mark.parametrize("old", [0, 3])
@pytest.mark.parametrize("line", [SOME_HASH, NO_HASH, b"no base64", b"=", SOME_HASH + b"="], ids=repr)
def test_a_wrong_or_malformed_proof_is_a_422_and_moves_nothing(witness: Running, old: int, line: bytes) -> None:
    if old:
        assert witness.ask(request(0, leaves(3))).status_code == 200

    assert witness.ask(with_proof(request(old, leaves(8)), line)).status_code == 422
    assert witness.ask(with_proof(request(old, leaves(max(old, 1))), line)).status_code == 422

    assert witness.ask(request(old, leaves(8))).status_code == 200


def test_the_same_checkpoint_with_a_proof_is_a_422(witness: Running) -> None:
    witness.ask(request(0, leaves(3)))
    assert witness.ask(with_proof(request(3, leaves(3)), SOME_HASH)).status_code == 422
    assert witness.ask(request(3, leaves(3))).status_code == 200


@pytest.mark.parametrize(("root", "status"), [(EMPTY_ROOT, 200), (bytes(32), 422)])
def test_a_tree_of_no_entries_has_one_root(witness: Running, root: bytes, status: int) -> None:
    signed = Checkpoint(ORIGIN, 0, root).sign((KEY,))
    assert witness.ask(f"old 0\n\n{signed}".encode()).status_code == status
    assert witness.ask(request(0, leaves(2))).status_code == 200


def test_a_malformed_proof_of_a_stranger_is_not_looked_at(witness: Running) -> None:
    tree = leaves(2)
    stranger = Signer("stranger.example/log", bytes(32))
    asked = with_proof(request(0, tree, note(tree, stranger, origin="stranger.example/log")), NO_HASH)
    assert witness.ask(asked).status_code == 404
    assert witness.ask(with_proof(request(0, tree, note(tree, Signer(ORIGIN, bytes(32)))), NO_HASH)).status_code == 403


def test_whoever_asks_gets_the_last_checkpoint_with_the_cosignature_and_nothing_that_others_added(witness: Running) -> None:
    address = f"{witness.url}/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert httpx.get(address).status_code == 404
    witness.ask(request(0, leaves(2)))
    added = note(leaves(5)) + Signer("stranger.example", bytes(32)).sign(b"x").line()
    line = witness.ask(request(2, leaves(5), added)).text

    answer = httpx.get(address)

    assert (answer.status_code, answer.text) == (200, note(leaves(5)) + line)
    assert httpx.get(address.replace(ORIGIN, "x").replace("/checkpoint", "x/checkpoint")).status_code == 404
    witness.keys.clear()
    assert httpx.get(address).status_code == 404


def test_one_connection_serves_many_requests_and_ends_after_a_body_that_is_not_read(witness: Running) -> None:
    host, port = witness.server.server_address[:2]
    connection = http.client.HTTPConnection(str(host), int(port), timeout=60)
    connection.connect()
    kept = connection.sock
    for old, size in ((0, 1), (1, 4)):
        connection.request("POST", "/add-checkpoint", request(old, leaves(size)))
        answer = connection.getresponse()
        assert (answer.version, answer.status, answer.read()[:3]) == (11, 200, "—".encode())
        connection.request("POST", "/other", b"POST /add-checkpoint HTTP/1.1\r\n\r\n")
        assert connection.getresponse().read().startswith(b"this is a witness")
        assert connection.sock is kept
    # Only the head: the witness answers that at once and ends, so that what is sent after it may find nobody.
    connection.putrequest("POST", "/add-checkpoint")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (413, "close")


def test_only_one_address_and_a_bounded_body(witness: Running) -> None:
    assert httpx.post(f"{witness.url}/other", content=b"x").status_code == 404
    assert httpx.get(f"{witness.url}/other").status_code == 404
    assert witness.ask(b"x" * (MAX_BODY + 1)).status_code == 413


def test_of_many_requests_at_once_one_history_comes_out(witness: Running) -> None:
    """Two histories race for every size; whatever wins, no size is cosigned under two roots."""
    signed: dict[int, set[str]] = {}

    def ask(salt: str) -> None:
        last = 0
        for size in range(1, 12):
            tree = leaves(size, salt=salt)
            answer = witness.ask(request(last, tree))
            if answer.status_code == 200:
                signed.setdefault(size, set()).add(note(tree))
                last = size

    threads = [threading.Thread(target=ask, args=(salt,)) for salt in ("a", "b", "a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert signed
    assert {size: len(notes) for size, notes in signed.items() if len(notes) > 1} == {}


def test_both_keys_of_a_rotation_are_known(witness: Running) -> None:
    witness.ask(request(0, leaves(1)))
    assert witness.ask(request(1, leaves(2), note(leaves(2), NEXT_KEY))).status_code == 403
    witness.keys.append(NEXT_KEY.verifier)
    assert witness.ask(request(1, leaves(2), note(leaves(2), KEY, NEXT_KEY))).status_code == 200
    assert witness.ask(request(2, leaves(3), note(leaves(3), NEXT_KEY))).status_code == 200


def test_a_file_of_log_keys_is_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "logs"
    path.write_text(f"# the bank\n\n{KEY.verifier.to_vkey()}\n{NEXT_KEY.verifier.to_vkey()}\n")
    assert read_log_keys(path) == [KEY.verifier, NEXT_KEY.verifier]
    path.write_text(f"{KEY.verifier.to_vkey()}\nrubbish\n")
    with pytest.raises(MalformedKey, match="line 2"):
        read_log_keys(path)


def test_the_key_of_a_witness_is_not_a_key_for_notes() -> None:
    text = VERIFIER.to_vkey()
    assert CosignatureVerifier.from_vkey(text).key_id == VERIFIER.key_id
    assert VERIFIER.key_id != WITNESS_KEY.verifier.key_id
    with pytest.raises(MalformedKey):
        Verifier.from_vkey(text)
    with pytest.raises(MalformedKey):
        CosignatureVerifier.from_vkey(WITNESS_KEY.verifier.to_vkey())
