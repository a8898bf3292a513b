"""Signed notes, in the text format of C2SP signed-note.

A signed note is a text, an empty line and signature lines::

    <text, every line ended by a newline>
    <empty line>
    — <key name> <base64 of 4 bytes key id and the signature>

The key id ties a line to one key: the first 4 bytes of SHA-256 over name, newline, algorithm byte and public key.
A reader ignores lines of keys it does not know (that is how keys are rotated and witnesses join) and refuses the whole
note when a line of a key it does know is wrong: such a note was altered or its maker is broken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = b"\x01"
"""Algorithm byte of a plain Ed25519 note signature."""

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100

_KEY_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE_LINE = re.compile(r"\u2014 ([^ ]+) ([^ ]+)")


class NoteError(ValueError):
    """Base of everything this module raises."""


class MalformedNote(NoteError):
    """The bytes are not a signed note, or its text is not of the kind expected."""


class MalformedKey(NoteError):
    """The text is not a key. The message never contains the text: it may be a private key."""


class BadSignature(NoteError):
    """A signature of a known key is wrong."""


class NoKnownSignature(NoteError):
    """No signature is by a key the reader knows."""


@dataclass(frozen=True)
class Signature:
    """One signature line: the key's name, its 4-byte id and the signature bytes that follow the id."""

    key_name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line with its newline."""
        return f"\u2014 {self.key_name} {to_base64(self.key_id + self.signature)}\n"


class NoteVerifier(Protocol):
    """Anything that can check one key's signatures on a text; witness cosignatures bring another algorithm."""

    @property
    def name(self) -> str:
        """The key's name."""

    @property
    def key_id(self) -> bytes:
        """The key's 4-byte id."""

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's over ``text``."""


class NoteSigner(Protocol):
    """Anything that signs as one key: a key in a file, or one that never leaves its device."""

    @property
    def name(self) -> str:
        """The key's name."""

    @property
    def verifier(self) -> Verifier:
        """Its public half."""

    def sign(self, text: bytes) -> Signature:
        """Sign a text. Ed25519 is deterministic: the same text always gives the same line."""

    def to_skey(self) -> str:
        """Return what its file holds."""


class Verifier:
    """An Ed25519 public key with its name. Text form (vkey): ``<name>+<key id, 8 hex>+<base64 of 0x01 and key>``."""

    def __init__(self, name: str, public_key: bytes) -> None:
        _require_key_name(name)
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public_key)
        except ValueError:
            raise MalformedKey("an Ed25519 public key is 32 bytes") from None
        self.name = name
        self.public_key = public_key
        self.key_id = key_id(name, ED25519, public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's signature over ``text``."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def to_vkey(self) -> str:
        """Return the text form."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(ED25519 + self.public_key)}"

    @classmethod
    def from_vkey(cls, text: str) -> Verifier:
        """Read the text form. Raises MalformedKey."""
        name, stated_id, material = _split_key(text.strip())
        verifier = cls(name, material)
        if verifier.key_id.hex() != stated_id:
            raise MalformedKey("the key id does not belong to this name and key")
        return verifier

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verifier) and self.to_vkey() == other.to_vkey()

    def __hash__(self) -> int:
        return hash(self.to_vkey())

    def __repr__(self) -> str:
        return f"Verifier({self.to_vkey()!r})"


class Signer:
    """An Ed25519 private key with its name. Text form (skey): ``PRIVATE+KEY+`` and then as a vkey, with the seed."""

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise MalformedKey("an Ed25519 seed is 32 bytes")
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for a key that also signs in another format."""
        return self._seed

    @classmethod
    def generate(cls, name: str) -> Signer:
        """Make a new key from the system's randomness."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, text: bytes) -> Signature:
        """Sign a note's text. Ed25519 is deterministic: the same text always gives the same line."""
        return Signature(self.name, self.verifier.key_id, self._key.sign(text))

    def to_skey(self) -> str:
        """Return the private text form. It is a secret."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{to_base64(ED25519 + self._seed)}"

    @classmethod
    def from_skey(cls, text: str) -> Signer:
        """Read the private text form. Raises MalformedKey."""
        prefix = "PRIVATE+KEY+"
        text = text.strip()
        if not text.startswith(prefix):
            raise MalformedKey("not a private key")
        name, stated_id, material = _split_key(text[len(prefix) :])
        signer = cls(name, material)
        if signer.verifier.key_id.hex() != stated_id:
            raise MalformedKey("the key id does not belong to this name and key")
        return signer

    def __repr__(self) -> str:
        return f"Signer({self.name!r}, key id {self.verifier.key_id.hex()})"


@dataclass(frozen=True)
class Note:
    """An opened note: its text, the signatures that were checked and those of keys the reader does not know."""

    text: str
    verified: tuple[Signature, ...]
    unknown: tuple[Signature, ...]


def sign_note(text: str, signers: Sequence[NoteSigner], *, most: int = MAX_NOTE_BYTES) -> str:
    """Return ``text`` as a note with one line per signer (two while a key is being rotated).

    Raises ValueError for a text that cannot be a note, for more than ``most`` bytes or without signers.
    """
    if not signers:
        raise ValueError("a note needs at least one signer")
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("a note's text ends with a newline and holds no other control characters")
    data = text.encode()
    note = text + "\n" + "".join(signer.sign(data).line() for signer in signers)
    if len(note.encode()) > most:
        raise ValueError(f"a note is at most {most} bytes")
    return note


def open_note(note: str | bytes, verifiers: Iterable[NoteVerifier], *, most: int = MAX_NOTE_BYTES) -> Note:
    """Check a note against the keys the reader knows.

    Raises MalformedNote, BadSignature (a known key's line is wrong: the whole note is refused) or NoKnownSignature.
    Repeated lines of one key count once.
    """
    text, signatures = split_note(note, most=most)
    known: dict[tuple[str, bytes], NoteVerifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) is not verifier:
            raise ValueError(f"two keys share the name and id {verifier.name}+{verifier.key_id.hex()}")
    data = text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    unknown: dict[tuple[str, bytes], Signature] = {}
    for signature in signatures:
        identity = (signature.key_name, signature.key_id)
        if identity not in known:
            unknown.setdefault(identity, signature)
        elif not known[identity].verify(data, signature.signature):
            raise BadSignature(f"the signature of {signature.key_name}+{signature.key_id.hex()} is wrong")
        else:
            verified.setdefault(identity, signature)
    if not verified:
        raise NoKnownSignature("the note carries no signature of a key the reader knows")
    return Note(text, tuple(verified.values()), tuple(unknown.values()))


def split_note(note: str | bytes, *, most: int = MAX_NOTE_BYTES) -> tuple[str, list[Signature]]:
    """Take a note apart without checking any signature. Raises MalformedNote."""
    data = note.encode() if isinstance(note, str) else note
    if len(data) > most:
        raise MalformedNote(f"a note is at most {most} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise MalformedNote("a note is UTF-8") from None
    if _CONTROL.search(whole):
        raise MalformedNote("a note holds no control characters but newline")
    body, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise MalformedNote("a note is a text, an empty line and signature lines")
    if tail.count("\n") > MAX_SIGNATURES:  # before a list is made of them
        raise MalformedNote(f"a note carries at most {MAX_SIGNATURES} signatures")
    return body + "\n", [_parse_signature(line) for line in tail[:-1].split("\n")]


def key_id(name: str, algorithm: bytes, public_key: bytes) -> bytes:
    """Return the 4-byte id of a key: the start of SHA-256 over name, newline, algorithm byte and key."""
    return hashlib.sha256(name.encode() + b"\n" + algorithm + public_key).digest()[:4]


def _parse_signature(line: str) -> Signature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match or not _KEY_NAME.fullmatch(match[1]):
        raise MalformedNote("a signature line is a dash, a key name and base64")
    data = from_base64(match[2])
    if data is None or len(data) < 5:
        raise MalformedNote("a signature is 4 bytes of key id and at least one more, in base64")
    return Signature(match[1], data[:4], data[4:])


def _split_key(text: str) -> tuple[str, str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise MalformedKey("a key is a name, an id and base64, joined by +")
    material = from_base64(parts[2])
    if material is None or material[:1] != ED25519 or len(material) != 33:
        raise MalformedKey("not an Ed25519 key")
    return parts[0], parts[1], material[1:]


def _require_key_name(name: str) -> None:
    if not _KEY_NAME.fullmatch(name):
        raise MalformedKey("a key name has no spaces, no plus sign and no control characters")


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes | None:
    """Decode standard base64, or return None. Only the one canonical spelling of the bytes is accepted."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if to_base64(data) == text else None
