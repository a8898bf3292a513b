"""However a note, a tile, a bundle or a form was made, reading it takes no more memory than its readers say it may."""

import asyncio
import contextlib
import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import Request
from starlette.formparsers import MultiPartException

from biobank.acts.problems import problem_response
from biobank.foundation.errors import MalformedRequest
from biobank.pages.ui.posted import LONGEST_FORM, Form, read_form
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import open_checkpoint
from biobank.transparency.cosignature import find_cosignature
from biobank.transparency.note import NoteError
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.receipt import verify_acknowledgement
from biobank.transparency.tiles import TileError, TileName, decode_bundle, split_tile
from biobank.transparency.tree import ProofError
from biobank.transparency.verify import header_of
from tests.transparency.test_mutated import KEY, NOTE, ORIGIN, PROOF, RECEIPT, RECEIPTS, WITNESS
from tests.transparency.tiny import RULES_ID, TinyLog, judge, small_log, table_document

MEG = 1024 * 1024
MOST = 96 * MEG
"""Bytes beside the text itself."""


def member(name: str, data: bytes) -> bytes:
    return header_of(name, len(data)) + data + bytes(-len(data) % 512)


def form_of(body: bytes) -> Form:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    request = Request({"type": "http", "method": "POST", "headers": headers, "query_string": b""}, receive)
    return asyncio.run(read_form(request))


def most_of(reads: Callable[[Any], Any], text: Any) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(NoteError, ProofError, TileError, MalformedRequest, MultiPartException):
            reads(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


NOTES: list[Callable[[Any], Any]] = [
    lambda text: open_checkpoint(text, ORIGIN, [KEY.verifier]),
    lambda text: find_cosignature(text, WITNESS.verifier),
    lambda text: verify_acknowledgement([RECEIPTS.verifier], text),
    InclusionReceipt.from_text,
]


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 8 * MEG,
        NOTE + NOTE[NOTE.index("— ") :] * 100_000,
        RECEIPT.replace("specimen", "specimen" * 500_000),
        PROOF + "index 1\n" * MEG,
        "A" * 8 * MEG + "=\n\n— ",
    ],
    ids=["lines", "signatures", "a long name", "numbers", "base64"],
)
@pytest.mark.parametrize("reads", NOTES, ids=["checkpoint", "cosignature", "receipt", "proof"])
def test_a_note_of_any_length_is_read_or_refused_in_bounded_memory(reads: Callable[[Any], Any], text: str) -> None:
    assert most_of(reads, text) < MOST


@pytest.mark.parametrize(
    ("reads", "data"),
    [
        (decode_bundle, bytes(8 * MEG)),
        (decode_bundle, b"\xff\xff" * 4 * MEG),
        (lambda data: split_tile(data, 256), bytes(8 * MEG)),
        (lambda data: split_tile(data, len(data) // 32), bytes(8 * MEG)),
        (TileName.from_path, "tile/0/" + "x000/" * MEG),
        (judge, member("bundle", b"[" + b"[]," * (2 * MEG // 3 - 2) + b"[]]")),
        (judge, member("bundle", b"[" * 2 * MEG)),
        (judge, header_of("bundle", 60 * MEG)),
        (judge, member("bundle.json", b"{}")),
        (form_of, b"&=" * (LONGEST_FORM // 2)),
        (form_of, b"a=&" * (LONGEST_FORM // 3)),
        (form_of, b"%" * (LONGEST_FORM // 8)),
        (form_of, b"about=" + b"%F0%9F%A7%AA" * (LONGEST_FORM // 13)),
        (form_of, b"a=1&" * 4 * MEG),
    ],
    ids=lambda value: value.__name__ if callable(value) else f"{len(value)}-{value[:8]!r}",
)
def test_a_tile_a_bundle_or_a_form_is_read_or_refused_in_bounded_memory(reads: Callable[[Any], Any], data: Any) -> None:
    assert most_of(reads, data) < MOST


def _instead(before: str, name: str, data: bytes) -> Callable[[], bytes]:
    """Return what makes a true bundle with one member put in the place of another and of what follows it."""

    def made() -> bytes:
        whole = small_log().bundle()
        start = whole.index(before.encode() + bytes(100 - len(before)))
        assert start % 512 == 0
        return whole[:start] + member(name, data)

    return made


def _upper_tile() -> bytes:
    """A bundle of a full tile, and 60 MiB where the one hash above it should stand."""
    log = TinyLog()
    for _ in range(255):
        log.minute = 30
        log.add("system", "RULES", "system.rules_adopted", table=RULES_ID, kinds=1, software="0")
    whole = log.bundle()
    return whole[: whole.index(b"sums" + bytes(96))] + member("tile/1/000.p/1", bytes(LARGE))


def _tables() -> bytes:
    """A bundle that begins with more rule tables than are kept, each of them one that can be interpreted."""
    whole = small_log().bundle()
    start = whole.index(b"rules/")
    documents = [encode(table_document() | {"terminal": [f"{n}-" + "x" * 2_000_000]}) for n in range(18)]
    named = sorted((hashlib.sha256(document).hexdigest(), document) for document in documents)
    return whole[:start] + b"".join(member(f"rules/{name}", document) for name, document in named)


LARGE = 60 * MEG
MEMBERS = {
    "a beginning of nothing but lists": _instead("bundle", "bundle", b"{" + b'"a":[' + b"[]," * (LARGE // 3)),
    "a note": _instead("checkpoint", "checkpoint", b"\n" * LARGE),
    "keys": _instead("keys", "keys", b"log\n" * (LARGE // 4)),
    "ends of lines in a custody table": _instead("custody/0", "custody/0", b"\n" * LARGE),
    "ends of lines about the vault": _instead("custody/0", "vault/0", b"\n" * LARGE),
    "one line about the vault": _instead("custody/0", "vault/0", b'{"a":[' + b"[]," * (LARGE // 3) + b"[]]}\n"),
    "a tile": _instead("tile/0/000.p/6", "tile/0/000.p/6", bytes(LARGE)),
    "a bundle of entries": _instead("tile/entries/000.p/6", "tile/entries/000.p/6", bytes(LARGE)),
    "a tile above the tiles": _upper_tile,
    "rule tables without end": _tables,
    "sums": _instead("sums", "sums", bytes(LARGE)),
    "one line of a custody table": _instead("custody/0", "custody/0", b'{"a":[' + b"[]," * (LARGE // 3) + b'[]],"code":"Z",}\n'),
}


TOO_LONG = {
    "a tile": "larger than the 192 bytes",
    "a bundle of entries": "larger than the 393,222 bytes",
    "a tile above the tiles": "larger than the 32 bytes",
    "rule tables without end": "more than 33,554,432 bytes together",
    "sums": "larger than the 65 bytes",
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_of_any_shape_is_refused_in_bounded_memory(name: str) -> None:
    """What a member of 60 MiB says would fill gigabytes when it is taken apart; the member itself is held once."""
    bundle = MEMBERS[name]()
    found: list[dict[str, Any]] = []

    assert most_of(lambda data: found.append(judge(data)), bundle) < MOST
    assert found[0]["verdict"] == "untrue"
    if name in TOO_LONG:
        assert TOO_LONG[name] in found[0]["why"]


def test_a_refusal_is_no_longer_than_what_it_refuses_needs() -> None:
    """What a refusal repeats of a request is cut: a problem is a page, whatever was sent."""
    refusal = MalformedRequest("The name is too long.", errors=[{"field": "a" * 100, "problem": "is no member here"}] * 20)

    assert len(problem_response(refusal).body) < 8 * 1024
