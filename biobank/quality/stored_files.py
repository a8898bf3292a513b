"""Is a file with this hash stored, and is it about this person? A hash that nobody stored a file for is evidence of nothing."""

from collections.abc import Collection

from sqlalchemy import select
from sqlmodel import Session

from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict
from biobank.quality.models import Attachment

attachment = table_of(Attachment)


class AttachmentUnknown(Conflict):
    """No file with this hash was stored."""

    code = "attachment_unknown"
    title = "Attachment not stored"


def require_stored(session: Session, hashes: Collection[str]) -> None:
    """Raise AttachmentUnknown naming the first hash that no stored file has."""
    known = set(session.execute(select(attachment.c.sha256).where(attachment.c.sha256.in_(list(hashes)))).scalars())
    for sha256 in hashes:
        if sha256 not in known:
            raise AttachmentUnknown(f"No file with the hash {sha256} was stored. Store it first: POST /attachments.")


def is_about(session: Session, sha256: str, person: str) -> bool:
    """Say whether a stored file is kept as one about this donor, not about anybody else or the bank's own."""
    known = select(attachment.c.sha256).where(attachment.c.sha256 == sha256, attachment.c.subject == person)
    return session.execute(known).first() is not None
