"""How a person is reached for safety after they asked to be forgotten: kept while cells, a recall or a legal hold remain.

It is no ordinary contact: `read_identity` does not show it, quality alone reads it, for a recall or a late result, and that it
was read is recorded. When nothing is left that could need it, the worker deletes it.
"""

from datetime import timedelta

from pydantic import BaseModel
from sqlalchemy import delete, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.permissions import Permission
from biobank.custody.recording import NOW
from biobank.donors.erasure import outlook_for
from biobank.donors.events import SafetyContactDeleted, WordsRead
from biobank.donors.models import donor
from biobank.donors.recording import record_on_donor
from biobank.donors.schemas import Contact
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.errors import NotFound
from biobank.vault import open_document
from biobank.vault.models import vault_document as _documents


class SafetyContact(BaseModel):
    """How to reach somebody about the safety of their cells, and for nothing else."""

    donor: str
    contact: Contact


def read_safety_contact(session: Session, act: Act, code: str) -> SafetyContact:
    """Read it, for a recall or a late result; that somebody did is recorded. Raises NotFound, NotPermitted."""
    row = get_visible_donor(session, act.actor, code)
    act.require(Permission.QUALITY_DECIDE, at=row.clinic_site_code)
    kept = None if row.safety_commit is None else open_document(session, act.keystore, row.safety_commit)
    if kept is None:
        raise NotFound(f"No contact of {code} is kept for safety.", subject=code)
    read = WordsRead(what="safety_contact", about=code, words=bytes(row.safety_commit).hex())
    record_on_donor(session, act, code, [read], NOW, site=row.clinic_site_code)
    return SafetyContact(donor=code, contact=Contact.model_construct(**kept))


@timer(every=timedelta(hours=1))
def delete_safety_contacts(session: Session, act: Act) -> int:
    """Delete those that nothing can need any more: no living cells, no recall, no legal hold. Return how many."""
    gone = 0
    d = donor.c
    rows = session.execute(select(d.code, d.clinic_site_code, d.safety_commit).where(d.safety_commit.is_not(None))).all()
    for row in rows:
        if outlook_for(session, row.code).needs_a_contact:
            continue
        session.execute(delete(_documents).where(_documents.c.commit == row.safety_commit))
        session.execute(update(donor).where(d.code == row.code).values(safety_commit=None))
        record_on_donor(session, act, row.code, [SafetyContactDeleted()], NOW, site=row.clinic_site_code)
        gone += 1
    return gone
