"""Ending open bedside releases.

A release never survives the reason for which it could not be given now: administration checks everything again, and an
ended release says so to whoever holds it.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.auth.queries import one_person
from biobank.custody.hold_coverage import holds_on
from biobank.custody.states import HoldAct
from biobank.foundation.db import table_of
from biobank.withdrawals.models import BedsideCheck
from biobank.withdrawals.models import bedside_release as _release

check_table = table_of(BedsideCheck)
ONE_PERSON = one_person(_release.c.first_checker, _release.c.second_checker).label("one_person")
"""Column: whether the two logins that made a release are one person's, by what is known now."""
_OPEN = (_release.c.consumed_at.is_(None), _release.c.ended_at.is_(None))


def end_releases(session: Session, specimens: Collection[str], *, at: datetime, because: str) -> int:
    """End every open release of these specimens and return how many there were. `because` is a coded reason."""
    ended = session.execute(
        update(_release)
        .where(_release.c.specimen_code.in_(specimens), *_OPEN)
        .values(ended_at=at, ended_because=because)
        .returning(_release.c.id)
    )
    return len(ended.all())


def end_revoked_releases(session: Session, donor: str, at: datetime) -> int:
    """End every open release of a donor who took the consent to treatment back; return how many. The donor's row is locked."""
    return end_open_releases(session, donor, at=at, because="consent_revoked")


def end_open_releases(session: Session, donor: str, *, at: datetime, because: str) -> int:
    """End every open release of a donor's cells, whichever withdrawal they go with; return how many."""
    codes = session.execute(select(_release.c.specimen_code).where(_release.c.donor_code == donor, *_OPEN)).scalars().all()
    return end_releases(session, codes, at=at, because=because)


def end_held_releases(session: Session, *, at: datetime, because: str) -> int:
    """End every open release of a specimen that a hold now keeps from being administered; return how many."""
    codes = session.execute(select(_release.c.specimen_code).where(*_OPEN, _release.c.expires_at > at).distinct()).scalars().all()
    held = [
        code for code, holds in holds_on(session, codes).items() if any(HoldAct.ADMINISTER.value in hold.blocks for hold in holds)
    ]
    return end_releases(session, held, at=at, because=because)


def end_checks(session: Session, at: datetime, *, withdrawal: str | None = None, donor: str | None = None) -> None:
    """End what one person read at the bedside and nobody followed yet, of a withdrawal or of all of a donor's."""
    of = (check_table.c.withdrawal_code == withdrawal, check_table.c.donor_code == donor)
    named = [one for one, code in zip(of, (withdrawal, donor), strict=True) if code is not None]
    session.execute(
        update(check_table)
        .where(*named, check_table.c.ended_at.is_(None), check_table.c.superseded_at.is_(None))
        .values(superseded_at=at)
    )
