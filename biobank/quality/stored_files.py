"""Is a file with this hash stored, and is it about this person? A hash that nobody stored a file for is evidence of nothing."""

from collections.abc import Collection

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.recording import BANK_SUBJECT
from biobank.custody.reversal import evidence_stored
from biobank.donors.visibility import every_code
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict
from biobank.quality.models import Attachment, AttachmentContext

attachment = table_of(Attachment)
context = table_of(AttachmentContext)


class AttachmentUnknown(Conflict):
    """No file with this hash was stored."""

    code = "attachment_unknown"
    title = "Attachment not stored"


def require_stored(session: Session, hashes: Collection[str]) -> None:
    """Raise AttachmentUnknown naming the first hash that no stored file has."""
    known = set(session.execute(select(attachment.c.sha256).where(attachment.c.sha256.in_(list(hashes)))).scalars())
    for sha256 in hashes:
        if sha256 not in known:
            raise AttachmentUnknown("The file that was named is not kept here. Attach it first.", sha256=sha256)


def is_about(session: Session, sha256: str, person: str) -> bool:
    """Say whether a stored file was given as one about this donor; that it was given about others too says nothing."""
    known = select(context.c.sha256).where(context.c.sha256 == sha256, context.c.subject == person)
    return session.execute(known).first() is not None


def require_evidence_of(session: Session, sha256: str, people: Collection[str]) -> None:
    """Raise AttachmentUnknown unless a file with this hash is stored, about one of these donors or the bank's own."""
    require_stored(session, [sha256])
    if not any(is_about(session, sha256, subject) for subject in (*people, BANK_SUBJECT)):
        raise AttachmentUnknown(
            "The file that was named is kept as one about somebody else. Attach what shows this.", sha256=sha256
        )


@evidence_stored.give
def require_evidence(session: Session, sha256: str, person: str | None) -> None:
    """Raise AttachmentUnknown unless a file with this hash is stored, about this donor or the bank's own."""
    require_evidence_of(session, sha256, [] if person is None else every_code(session, [person]))
