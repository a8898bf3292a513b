"""What was written beside an entry of the log."""

from typing import Annotated

from fastapi import APIRouter, Path

from biobank.acts.web import Disclosing
from biobank.quality import entry_words
from biobank.quality.entry_words import EntryWords

router = APIRouter(prefix="/api/v1/entries", tags=["quality"])

LeafHash = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@router.get("/{leaf_hash}/words")
async def read_entry_words(leaf_hash: LeafHash, performing: Disclosing) -> EntryWords:
    """A remark, or why a time lies back, beside an entry. That you asked is recorded where it is about a person."""
    return await performing(entry_words.read_entry_words, leaf_hash)
