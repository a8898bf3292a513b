"""Cosignatures: a witness says, at a time, that it saw a checkpoint that extends all it saw before (C2SP tlog-cosignature).

A cosignature is a line under the checkpoint like the log's own. Its payload after the key id is the time in 8 bytes
(seconds since 1970, big-endian) and an Ed25519 signature over::

    cosignature/v1
    time <the same seconds, decimal>
    <the note's text, with its last newline>

The algorithm byte is 0x04, so the key id of a witness's key differs from that of the same key signing plain notes, and
neither can be taken for the other. The time is the witness's; the log's own checkpoint has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from biobank.transparency.note import MalformedKey, Signature, Signer, Verifier, from_base64, key_id, split_note, to_base64

COSIGNATURE: Final = b"\x04"
"""Algorithm byte of a timestamped Ed25519 cosignature."""

PAYLOAD_BYTES: Final = 8 + 64


class CosignatureVerifier:
    """A witness's public key with its name. Text form: ``<name>+<key id, 8 hex>+<base64 of 0x04 and key>``."""

    def __init__(self, name: str, public_key: bytes) -> None:
        Verifier(name, public_key)  # the same rules for names and keys
        self.name = name
        self.public_key = public_key
        self.key_id = key_id(name, COSIGNATURE, public_key)
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` (time and Ed25519 bytes) is this witness's over ``text``."""
        if len(signature) != PAYLOAD_BYTES:
            return False
        try:
            self._key.verify(signature[8:], signed_text(text, time_of(signature)))
        except InvalidSignature:
            return False
        return True

    def to_vkey(self) -> str:
        """Return the text form."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(COSIGNATURE + self.public_key)}"

    @classmethod
    def from_vkey(cls, text: str) -> CosignatureVerifier:
        """Read the text form. Raises MalformedKey."""
        parts = text.strip().split("+", 2)
        material = from_base64(parts[2]) if len(parts) == 3 else None
        if material is None or material[:1] != COSIGNATURE or len(material) != 33:
            raise MalformedKey("not the key of a witness")
        verifier = cls(parts[0], material[1:])
        if verifier.key_id.hex() != parts[1]:
            raise MalformedKey("the key id does not belong to this name and key")
        return verifier


@dataclass(frozen=True)
class Cosigned:
    """One good cosignature: whose, and when, in seconds since 1970."""

    key_id: bytes
    name: str
    time: int
    line: str


class Cosigner:
    """A witness's private key. It lies in the file as a plain note key (``Signer``) under the witness's name."""

    def __init__(self, key: Signer) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(key.seed)
        self.verifier = CosignatureVerifier(key.name, self._key.public_key().public_bytes_raw())

    def cosign(self, text: bytes, time_s: int) -> Signature:
        """Cosign a checkpoint's text at ``time_s``, seconds since 1970."""
        stamp = time_s.to_bytes(8, "big")
        return Signature(self.verifier.name, self.verifier.key_id, stamp + self._key.sign(signed_text(text, time_s)))


def signed_text(text: bytes, time_s: int) -> bytes:
    """Return what a witness signs."""
    return f"cosignature/v1\ntime {time_s}\n".encode() + text


def time_of(payload: bytes) -> int:
    """Return the time in a cosignature's payload, in seconds since 1970."""
    return int.from_bytes(payload[:8], "big")


def find_cosignature(note: str, verifier: CosignatureVerifier) -> Cosigned | None:
    """Return ``verifier``'s good cosignature under ``note``, or None. Raises MalformedNote."""
    text, signatures = split_note(note)
    for signature in signatures:
        if (signature.key_name, signature.key_id) == (verifier.name, verifier.key_id) and verifier.verify(
            text.encode(), signature.signature
        ):
            return Cosigned(verifier.key_id, verifier.name, time_of(signature.signature), signature.line())
    return None
