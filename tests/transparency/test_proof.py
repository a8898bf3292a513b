"""Inclusion receipts as text: exact form, offline verification, refusal of everything altered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.checkpoint import Checkpoint, WrongOrigin
from biobank.transparency.note import BadSignature, MalformedNote, NoKnownSignature, Signer
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.tree import CompactRange, ProofError, fold_perfect, hash_leaf, inclusion_proof

ORIGIN = "bank.example/custody"
LOG = Signer(ORIGIN, bytes(range(32)))
LEAVES = [hash_leaf(bytes([n])) for n in range(200)]


def receipt(index: int, size: int) -> InclusionReceipt:
    tree = CompactRange()
    tree.extend(LEAVES[:size])
    path = inclusion_proof(index, size, lambda level, i: fold_perfect(LEAVES[i << level : (i + 1) << level]))
    return InclusionReceipt(index, tuple(path), Checkpoint(ORIGIN, size, tree.root()).sign([LOG]))


@given(st.integers(1, 200), st.data())
def test_a_receipt_read_from_its_text_proves_its_event(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    made = receipt(index, size)
    read = InclusionReceipt.from_text(made.to_text())
    assert read == made
    assert read.verify(LEAVES[index], ORIGIN, [LOG.verifier]).size == size
    with pytest.raises(ProofError):
        read.verify(hash_leaf(b"another"), ORIGIN, [LOG.verifier])


def test_the_text_has_the_published_form() -> None:
    lines = receipt(2, 3).to_text().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 2"]
    assert lines[3:6] == ["", ORIGIN, "3"]
    lines = receipt(0, 1).to_text().split("\n")
    assert lines[:5] == ["c2sp.org/tlog-proof@v1", "index 0", "", ORIGIN, "1"]


@given(st.data())
def test_a_receipt_with_any_bit_flipped_fails(data: st.DataObject) -> None:
    text = bytearray(receipt(5, 9).to_text().encode())
    bit = data.draw(st.integers(0, len(text) * 8 - 1))
    text[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ProofError, MalformedNote, BadSignature, NoKnownSignature, UnicodeDecodeError)):
        InclusionReceipt.from_text(bytes(text).decode()).verify(LEAVES[5], ORIGIN, [LOG.verifier])


def test_a_receipt_of_another_log_is_refused() -> None:
    with pytest.raises(WrongOrigin):
        receipt(0, 2).verify(LEAVES[0], "other.example", [LOG.verifier])


GOOD = receipt(5, 9).to_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.replace("@v1", "@v2"),
        GOOD.replace("index 5\n", ""),
        GOOD.replace("index 5", "index 05"),
        GOOD.replace("index 5", "index -5"),
        GOOD.replace("index 5\n", "extra AAAA\nindex 5\n"),
        GOOD.replace("index 5\n", "index 5\nAAAA\n"),
        GOOD.replace("index 5\n", "index 5\n" + GOOD.split("\n")[2] * 70 + "\n"),
        GOOD.replace("index 5\n", "index 5\n" + (GOOD.split("\n")[2] + "\n") * 70),
        GOOD.partition("\n\n")[0] + "\n",
    ],
)
def test_any_other_spelling_of_a_receipt_is_refused(text: str) -> None:
    with pytest.raises(ProofError):
        InclusionReceipt.from_text(text)
