"""Checkpoints: what a log says about itself, in the text format of C2SP tlog-checkpoint.

A checkpoint is a signed note whose text has exactly three lines: origin, tree size in decimal, root hash in base64. It
carries **no time**, so signing the same tree again gives the same bytes, and no extension lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from biobank.transparency.note import (
    MalformedNote,
    NoteError,
    NoteSigner,
    NoteVerifier,
    from_base64,
    open_note,
    sign_note,
    to_base64,
)
from biobank.transparency.tree import HASH_BYTES

MAX_TREE_SIZE: Final = 2**63 - 1

_ORIGIN = re.compile(r"[^\x00-\x1f]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class WrongOrigin(NoteError):
    """A genuine checkpoint, of another log."""


@dataclass(frozen=True)
class Checkpoint:
    """What a log says about itself: it is ``origin`` and its first ``size`` entries have the root ``root``."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the three lines to be signed. Raises ValueError for values that have no text."""
        if not _ORIGIN.fullmatch(self.origin):
            raise ValueError("an origin is one line of text")
        if not 0 <= self.size <= MAX_TREE_SIZE or len(self.root) != HASH_BYTES:
            raise ValueError("a tree has between 0 and 2^63 - 1 leaves and a root of 32 bytes")
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    def sign(self, signers: Sequence[NoteSigner]) -> str:
        """Return the signed note: one line per signer, two while the log's key is being rotated."""
        return sign_note(self.text(), signers)

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read exactly three lines. Raises MalformedNote; any other spelling of the same values is refused."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise MalformedNote("a checkpoint has exactly three lines: origin, size, root")
        if not _DECIMAL.fullmatch(lines[1]) or int(lines[1]) > MAX_TREE_SIZE:
            raise MalformedNote("the tree size is not a plain decimal number below 2^63")
        root = from_base64(lines[2])
        if root is None or len(root) != HASH_BYTES:
            raise MalformedNote("the root is not 32 bytes in base64")
        return cls(lines[0], int(lines[1]), root)


def open_checkpoint(note: str | bytes, origin: str, log_keys: Sequence[NoteVerifier]) -> Checkpoint:
    """Check a checkpoint of the log ``origin`` signed by one of its keys.

    Raises MalformedNote, BadSignature, NoKnownSignature or WrongOrigin.
    """
    checkpoint = Checkpoint.from_text(open_note(note, log_keys).text)
    if checkpoint.origin != origin:
        raise WrongOrigin(f"the checkpoint is of the log {checkpoint.origin}, not of {origin}")
    return checkpoint
