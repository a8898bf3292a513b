"""Notes, checkpoints, cosignatures, receipts, proofs, tiles and bundles that are almost right: refused by type, or right."""

import contextlib
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.transparency import canonical
from biobank.transparency import verify as module
from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.cosignature import Cosigner, find_cosignature
from biobank.transparency.note import NoteError, Signer, Verifier
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.receipt import AcknowledgedEvent, receipt_key_name, sign_acknowledgement, verify_acknowledgement
from biobank.transparency.tiles import TileError, TileName, decode_bundle, encode_bundle, split_tile
from biobank.transparency.tree import ProofError
from tests.mutating import mutated, mutated_text
from tests.transparency.tiny import judge, small_log

ORIGIN = "bank.example/custody"
KEY = Signer(ORIGIN, bytes(range(32)))
WITNESS = Cosigner(Signer("witness.example/w", bytes(range(1, 33))))
RECEIPTS = Signer(receipt_key_name(ORIGIN), bytes(range(2, 34)))
CHECKPOINT = Checkpoint(ORIGIN, 3, bytes(32))
NOTE = CHECKPOINT.sign([KEY])
COSIGNED = NOTE + WITNESS.cosign(CHECKPOINT.text().encode(), 1_790_000_000).line() + "\n"
EVENT = AcknowledgedEvent("specimen", "AD26-WVDXNY3", 4, bytes(32))
RECEIPT = sign_acknowledgement(RECEIPTS, ORIGIN, datetime(2026, 11, 29, tzinfo=UTC), 600, [EVENT])
PROOF = InclusionReceipt(1, (bytes(32), bytes(range(32))), NOTE).to_text()
TOKENS = ["\n", "\n\n", "— ", ORIGIN, "0", "-1", "18446744073709551616", "=", "AAAA", "\u2028", "index ", "\x00"]
BUNDLE = small_log().bundle()


@settings(max_examples=80)
@given(st.data())
def test_no_text_that_is_almost_a_note_is_taken_for_one_or_makes_a_reader_stumble(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([NOTE, COSIGNED, RECEIPT, PROOF]))
    text = mutated_text(data, whole, TOKENS)

    with contextlib.suppress(NoteError):
        assert open_checkpoint(text, ORIGIN, [KEY.verifier]) == CHECKPOINT
    try:
        found = find_cosignature(text, WITNESS.verifier)
        assert found is None or found.time == 1_790_000_000
    except NoteError:
        pass
    with contextlib.suppress(NoteError):
        assert verify_acknowledgement([RECEIPTS.verifier], text).events == (EVENT,)
    with contextlib.suppress(ProofError):
        InclusionReceipt.from_text(text)


@settings(max_examples=40)
@given(st.data())
def test_keys_and_names_of_tiles_that_are_almost_right_are_refused(data: st.DataObject) -> None:
    for reads, whole, fault in (
        (Verifier.from_vkey, KEY.verifier.to_vkey(), NoteError),
        (Signer.from_skey, KEY.to_skey(), NoteError),
        (TileName.from_path, "tile/8/0/x001/x234/067.p/8", TileError),
    ):
        with contextlib.suppress(fault):
            reads(mutated_text(data, whole, ["/", "x", "+", "-1", "000", "٠", "p/256"]))


@settings(max_examples=40)
@given(st.data())
def test_tiles_and_documents_that_are_almost_right_are_refused_or_read_the_same(data: st.DataObject) -> None:
    entries = [b'{"a":1}', b"", bytes(300)]
    changed = mutated(data, encode_bundle(entries))
    with contextlib.suppress(TileError):
        assert encode_bundle(decode_bundle(changed)) == changed
    with contextlib.suppress(TileError):
        split_tile(changed, data.draw(st.integers(-1, 300)))
    for document in (mutated(data, b'{"a":[1,true,null],"b":{"c":"\xc3\xa9"}}'), b"[" * data.draw(st.integers(0, 3000))):
        with contextlib.suppress(ValueError):
            assert canonical.encode(canonical.parse(document)) == document
        with contextlib.suppress(module.Untrue, module.Unreadable):
            assert module.canonical(module.parse(document)) == document


@settings(max_examples=25)
@given(st.data())
def test_a_bundle_that_is_almost_right_is_judged_never_true_and_never_stumbled_over(data: st.DataObject) -> None:
    changed = mutated(data, BUNDLE)

    verdict = judge(changed)

    assert verdict["verdict"] == "true" or verdict["exit_code"] not in (0, 3)
    assert (verdict["verdict"] == "true") <= (changed == BUNDLE)
