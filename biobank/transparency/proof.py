"""Inclusion receipts: one text that shows, offline, that an event is in the log (C2SP tlog-proof).

::

    c2sp.org/tlog-proof@v1
    index <position in the log, decimal>
    <one line of base64 per hash of the inclusion proof, from the leaf upwards>
    <empty line>
    <the checkpoint, verbatim, with whatever cosignatures it carries>

The optional ``extra`` line of the format is not used and is refused: nothing would authenticate it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.note import NoteVerifier, from_base64, to_base64
from biobank.transparency.tree import HASH_BYTES, ProofError, verify_inclusion

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
LONGEST_PATH: Final = 63

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class InclusionReceipt:
    """The position of an entry, its path to the root, and the checkpoint note that names the root."""

    index: int
    path: tuple[bytes, ...]
    checkpoint_note: str

    def to_text(self) -> str:
        """Return the text form."""
        lines = [FIRST_LINE, f"index {self.index}", *(to_base64(node) for node in self.path)]
        return "\n".join(lines) + "\n\n" + self.checkpoint_note

    @classmethod
    def from_text(cls, text: str) -> InclusionReceipt:
        """Read the text form without believing it yet. Raises ProofError."""
        head, gap, note = text.partition("\n\n")
        lines = head.split("\n")
        index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        if lines[0] != FIRST_LINE or not gap or index is None:
            raise ProofError(f"an inclusion receipt begins with {FIRST_LINE} and an index, and ends with a checkpoint")
        path = [from_base64(line) for line in lines[2:]]
        hashes = tuple(node for node in path if node is not None and len(node) == HASH_BYTES)
        if len(hashes) != len(path) or len(hashes) > LONGEST_PATH:
            raise ProofError("the path is at most 63 hashes of 32 bytes in base64, one a line")
        return cls(int(index[1]), hashes, note)

    def verify(self, leaf_hash: bytes, origin: str, log_keys: Sequence[NoteVerifier]) -> Checkpoint:
        """Check that the log ``origin`` contains ``leaf_hash``, and return the checkpoint that commits to it.

        Raises ProofError when the path is wrong and NoteError (see ``open_checkpoint``) when the checkpoint is.
        """
        checkpoint = open_checkpoint(self.checkpoint_note, origin, log_keys)
        verify_inclusion(self.index, checkpoint.size, leaf_hash, self.path, checkpoint.root)
        return checkpoint
