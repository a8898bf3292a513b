"""Questions about a visit that is going on: identifications that wait for a colleague, and those a wristband may rest on.

What the first person recorded is never answered: the second asks the patient as if nobody had.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.queries import every_login
from biobank.donors.events import IdentifierKind
from biobank.donors.models import identification
from biobank.donors.models import wristband as _band
from biobank.foundation.clock import now


@dataclass(frozen=True)
class Waiting:
    """An identification whose first half is recorded: for what, and until when the second person may complete it.

    `first_logins`: every login of the first person, none of which completes it.
    """

    id: UUID
    donor: str
    site: str
    purpose: str
    kit: str | None
    kinds: Sequence[IdentifierKind]
    first_by: str
    first_logins: frozenset[str]
    expires_at: datetime


def waiting_identifications(session: Session, actor: Actor, donor: str | None = None, limit: int = 12) -> list[Waiting]:
    """Return identifications that wait for a second person, at the actor's sites, the most urgent first."""
    first = user.alias("first")
    its = identification.join(first, first.c.code == identification.c.first_by)
    statement = (
        select(identification, every_login(first).label("logins"))
        .select_from(its)
        .where(identification.c.completed_at.is_(None), identification.c.failed_at.is_(None), identification.c.expires_at > now())
    )
    statement = statement.where(actor.scope(Permission.DONOR_IDENTIFY).of(identification.c.site_code))
    if donor is not None:
        statement = statement.where(identification.c.donor_code == donor)
    rows = session.execute(statement.order_by(identification.c.expires_at).limit(limit))
    return [
        Waiting(
            r.id,
            r.donor_code,
            r.site_code,
            r.purpose,
            r.kit_code,
            r.identifier_kinds,
            r.first_by,
            frozenset(r.logins),
            r.expires_at,
        )
        for r in rows
    ]


def bandable_identification(session: Session, actor: Actor, donor: str) -> UUID | None:
    """Return the identification of this visit after which a wristband may be issued, or None.

    A failed identification after it takes it away, and one band was enough.
    """
    at = now()
    rows = session.execute(
        select(identification.c.id, identification.c.failed_at, identification.c.purpose, identification.c.valid_until)
        .where(identification.c.donor_code == donor)
        .where(identification.c.failed_at.is_not(None) | identification.c.completed_at.is_not(None))
        .where(actor.scope(Permission.DONOR_IDENTIFY).of(identification.c.site_code))
        .order_by(identification.c.first_at.desc())
        .limit(5)
    )
    for row in rows:
        if row.failed_at is not None:
            return None
        if row.purpose == "wristband" and row.valid_until > at:
            used = session.execute(select(_band.c.code).where(_band.c.identification_id == row.id)).first()
            return None if used else row.id
    return None
