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
from biobank.auth.permissions import Permission
from biobank.donors.events import IdentifierKind
from biobank.donors.models import Identification, Wristband
from biobank.foundation.clock import now
from biobank.foundation.db import table_of

_identification = table_of(Identification)
_band = table_of(Wristband)


@dataclass(frozen=True)
class Waiting:
    """An identification whose first half is recorded: for what, and until when the second person may complete it."""

    id: UUID
    donor: str
    site: str
    purpose: str
    kit: str | None
    kinds: Sequence[IdentifierKind]
    first_by: str
    expires_at: datetime


def waiting_identifications(session: Session, actor: Actor, donor: str | None = None, limit: int = 12) -> list[Waiting]:
    """Return identifications that wait for a second person, at the actor's sites, the most urgent first."""
    statement = select(_identification).where(
        _identification.c.completed_at.is_(None), _identification.c.failed_at.is_(None), _identification.c.expires_at > now()
    )
    statement = statement.where(actor.scope(Permission.DONOR_IDENTIFY).of(_identification.c.site_code))
    if donor is not None:
        statement = statement.where(_identification.c.donor_code == donor)
    rows = session.execute(statement.order_by(_identification.c.expires_at).limit(limit))
    return [
        Waiting(r.id, r.donor_code, r.site_code, r.purpose, r.kit_code, r.identifier_kinds, r.first_by, r.expires_at)
        for r in rows
    ]


def bandable_identification(session: Session, actor: Actor, donor: str) -> UUID | None:
    """Return the identification of this visit after which a wristband may be issued, or None.

    A failed identification after it takes it away, and one band was enough.
    """
    at = now()
    rows = session.execute(
        select(_identification.c.id, _identification.c.failed_at, _identification.c.purpose, _identification.c.valid_until)
        .where(_identification.c.donor_code == donor)
        .where(_identification.c.failed_at.is_not(None) | _identification.c.completed_at.is_not(None))
        .where(actor.scope(Permission.DONOR_IDENTIFY).of(_identification.c.site_code))
        .order_by(_identification.c.first_at.desc())
        .limit(5)
    )
    for row in rows:
        if row.failed_at is not None:
            return None
        if row.purpose == "wristband" and row.valid_until > at:
            used = session.execute(select(_band.c.code).where(_band.c.identification_id == row.id)).first()
            return None if used else row.id
    return None
