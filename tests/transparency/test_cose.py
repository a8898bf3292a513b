"""Inclusion receipts in COSE, read by a verifier that somebody else wrote and by hand."""

import hashlib
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose.receipt import verify_receipt

from biobank.transparency.cose import inclusion_receipt, sign_root
from biobank.transparency.note import Signer
from biobank.transparency.stored_log import Inclusion
from biobank.transparency.tree import CompactRange, fold_perfect, hash_leaf, inclusion_proof
from tests.transparency.conftest import KEY, ORIGIN

ENTRIES = [f'{{"number":{number}}}'.encode() for number in range(11)]


def root_of(size: int) -> bytes:
    tree = CompactRange()
    tree.extend([hash_leaf(entry) for entry in ENTRIES[:size]])
    return tree.root()


def receipt_of(index: int, size: int, signer: Signer = KEY, origin: str = ORIGIN) -> bytes:
    leaves = [hash_leaf(entry) for entry in ENTRIES[:size]]
    path = tuple(inclusion_proof(index, size, lambda level, n: fold_perfect(leaves[n << level : (n + 1) << level])))
    root = root_of(size)
    signature = sign_root(signer, origin, root)
    return inclusion_receipt(origin, signer.verifier.key_id, signature, Inclusion(index, size, root, path))


def pem_of(signer: Signer) -> bytes:
    key = Ed25519PublicKey.from_public_bytes(signer.verifier.public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("index", "size"), [(index, size) for size in range(1, 12) for index in range(size)])
def test_a_verifier_of_others_accepts_each_entry_of_each_size_and_no_other_entry(index: int, size: int) -> None:
    receipt = receipt_of(index, size)

    found = verify_receipt(receipt, leaf_entry_hex=ENTRIES[index].hex(), log_public_key_pem=pem_of(KEY))
    other = verify_receipt(receipt, leaf_entry_hex=ENTRIES[index].hex() + "00", log_public_key_pem=pem_of(KEY))

    assert found.ok, found.errors
    assert not other.ok


def test_what_it_refuses_is_what_was_changed() -> None:
    entry, receipt = ENTRIES[4].hex(), receipt_of(4, 9)
    stranger = Signer(ORIGIN, bytes(32))
    flipped = sum(
        verify_receipt(
            receipt[:place] + bytes([receipt[place] ^ 1]) + receipt[place + 1 :],
            leaf_entry_hex=entry,
            log_public_key_pem=pem_of(KEY),
        ).ok
        for place in range(len(receipt))
    )

    assert flipped == 0
    assert not verify_receipt(receipt, leaf_entry_hex=entry, log_public_key_pem=pem_of(stranger)).ok
    assert not verify_receipt(receipt_of(4, 9, stranger), leaf_entry_hex=entry, log_public_key_pem=pem_of(KEY)).ok


def test_a_receipt_is_read_by_the_words_of_the_standards_alone() -> None:
    """RFC 9052 section 4.4 and RFC 9942 by hand: the bytes that are signed, the labels, the path of RFC 9162 section 2.1.3.2."""
    message = cbor2.loads(receipt_of(6, 7))
    protected, unprotected, payload, signature = message.value
    (path,) = unprotected[396][-1]
    size, index, nodes = cbor2.loads(path)
    node, last = hashlib.sha256(b"\x00" + ENTRIES[6]).digest(), size - 1
    for sibling in nodes:
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1

    assert (message.tag, payload, last) == (18, None, 0)
    assert cbor2.loads(protected) == {1: -8, 4: KEY.verifier.key_id, 15: {1: ORIGIN}, 395: 1}
    signed = cbor2.dumps(["Signature1", protected, b"", node])
    Ed25519PublicKey.from_public_bytes(KEY.verifier.public_key).verify(signature, signed)


def test_equal_trees_of_two_logs_have_different_receipts() -> None:
    assert sign_root(KEY, ORIGIN, root_of(3)) != sign_root(KEY, "another.example/log", root_of(3))


def test_a_root_and_a_note_are_never_the_same_bytes() -> None:
    """What the log's key signs for COSE begins with a byte that begins no text."""
    signed: list[bytes] = []

    class Kept(Signer):
        def sign(self, text: bytes) -> Any:
            signed.append(text)
            return super().sign(text)

    sign_root(Kept(ORIGIN, bytes(range(32))), ORIGIN, root_of(3))
    assert signed[0][0] == 0x84
    with pytest.raises(UnicodeDecodeError):
        signed[0].decode()
