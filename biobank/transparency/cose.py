"""Inclusion receipts as COSE (RFC 9942): the same proof as the text receipt, for verifiers that know no other log than theirs.

A receipt is a COSE_Sign1 (RFC 9052, tag 18):

    protected header    1 alg: -8 (EdDSA) · 4 kid: the 4-byte id of the log's key · 15 CWT claims: {1 issuer: the log's origin}
                        395 data structure: 1 (RFC9162_SHA256)
    unprotected header  396 proofs: {-1 inclusion: [bstr of [tree size, leaf index, [hashes from the leaf upwards]]]}
    payload             nil: it is the root, which the verifier computes from the leaf and the proof
    signature           Ed25519 by the log's key over ["Signature1", protected header, empty, root]

The log's key signs a root when its checkpoint is published (``publishing``), because web processes do not have the key; a
receipt is put together from that signature when somebody asks. The same key signs notes and roots without confusion: a note
begins with a letter of a name, a COSE structure with the byte 0x84, which begins no UTF-8 text.
"""

from __future__ import annotations

from typing import Final

import cbor2

from biobank.transparency.note import NoteSigner
from biobank.transparency.stored_log import Inclusion

MEDIA_TYPE: Final = "application/cose"

_ALG, _KID, _CLAIMS, _STRUCTURE, _PROOFS = 1, 4, 15, 395, 396
_EDDSA: Final = -8
_ISSUER: Final = 1
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_SIGN1_TAG: Final = 18


def sign_root(signer: NoteSigner, origin: str, root: bytes) -> bytes:
    """Return the signature (64 bytes) of the log ``origin`` under a root (32 bytes), as every receipt of that tree carries it."""
    signed = ["Signature1", _protected(origin, signer.verifier.key_id), b"", root]
    return signer.sign(_encoded(signed)).signature


def inclusion_receipt(origin: str, key_id: bytes, signature: bytes, proof: Inclusion) -> bytes:
    """Return the receipt: a proof with the signature that ``sign_root`` made under the proof's root."""
    path = _encoded([proof.size, proof.index, list(proof.path)])
    message = [_protected(origin, key_id), {_PROOFS: {_INCLUSION: [path]}}, None, signature]
    return _encoded(cbor2.CBORTag(_SIGN1_TAG, message))


def _protected(origin: str, key_id: bytes) -> bytes:
    return _encoded({_ALG: _EDDSA, _KID: key_id, _CLAIMS: {_ISSUER: origin}, _STRUCTURE: _RFC9162_SHA256})


def _encoded(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)
