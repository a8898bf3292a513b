"""Is every file still where files are kept? What the log quotes by its hash was there when it was acknowledged.

A part of the comparison with a timer of its own, because it asks a store (`foundation/file_store.py`) and not the database.
It sees that a file is there, not what is in it; `biobank files check --read` reads them all.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.custody.recording import BANK_SUBJECT
from biobank.donors.models import donor
from biobank.foundation.file_store import FileStore
from biobank.quality.attachments import name_of
from biobank.quality.stored_files import context
from biobank.reconciliation.comparing import Differs, Slice
from biobank.reconciliation.models import FILES
from biobank.reconciliation.walk import step

AT_ONCE: Final = 100
"""Files in one slice: 6,000 an hour, each a question to the store."""


@timer(every=timedelta(minutes=1))
def look_for_kept_files(session: Session, act: Act) -> int:
    """Ask the store for the next files; return how many of them are not there. A timer's work; raises StoreAway."""
    return step(session, FILES, lambda session, after, most: _missing(session, act.bank.files, after, most), act.at, AT_ONCE)


def _missing(session: Session, files: FileStore, after: str, most: int) -> Slice:
    found = Slice()
    for row_id, sha256, subject in still_readable(session, int(after or 0), most):
        found.last, found.looked_at = str(row_id), found.looked_at + 1
        if not files.holds(name_of(sha256, subject)):
            found.differing[sha256[:32]] = [Differs("the file that was kept", None, "it is here")]
    return found


def still_readable(session: Session, after: int, most: int) -> list[tuple[int, str, str]]:
    """Return the next files as (row, SHA-256, subject), without those of erased persons, which nobody can read."""
    ours = or_(context.c.subject == BANK_SUBJECT, context.c.subject.in_(select(donor.c.code).where(donor.c.status != "erased")))
    asked = select(context.c.id, context.c.sha256, context.c.subject).where(context.c.id > after, ours)
    return [(row.id, row.sha256, row.subject) for row in session.execute(asked.order_by(context.c.id).limit(most))]


def check_all(session: Session, files: FileStore, read: Callable[[str, str], bool] | None) -> tuple[int, list[str]]:
    """Look for every file, and `read` it when that is given; return how many there are, and the hashes of the lost."""
    looked_at, lost, after = 0, [], 0
    while rows := still_readable(session, after, AT_ONCE):
        after = rows[-1][0]
        looked_at += len(rows)
        for _, sha256, subject in rows:
            if not files.holds(name_of(sha256, subject)) or (read is not None and not read(sha256, subject)):
                lost.append(sha256)
    return looked_at, lost
