"""Which closings of banks concern somebody, and what of them waits for whom: a question of the list, of Today and of each act."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Scope
from biobank.donors.models import donor
from biobank.quality.models import bank_closing, bank_closing_unit
from biobank.specimens.models import specimen

Step = Literal["announced", "accepted", "transferred", "taken_back"]


@dataclass(frozen=True)
class ClosingTask:
    """A closing that is not over. `decides`: the reader is of quality there; `own`: units of donors of the reader's clinics."""

    id: UUID
    site: str
    to: str
    step: Step
    units: int
    announced_at: datetime
    not_before: datetime
    decides: bool
    own: int


def step_of(row: Any) -> Step:
    """Say how far a closing is. Pure."""
    if row.over_at is not None:
        return "transferred" if row.receipt_sha256 is not None else "taken_back"
    return "announced" if row.accepted_at is None else "accepted"


def _of_clinics(clinics: Scope, *columns: Any) -> Select[Any]:
    """Select from the units of a closing whose donors are of these clinics."""
    units = bank_closing_unit.join(specimen, specimen.c.code == bank_closing_unit.c.specimen_code)
    units = units.join(donor, donor.c.code == specimen.c.donor_code)
    of_it = bank_closing_unit.c.closing_id == bank_closing.c.id
    return select(*columns).select_from(units).where(of_it, clinics.of(donor.c.clinic_site_code))


def concerns(actor: Actor) -> ColumnElement[bool]:
    """Select the closings of banks whose specimens the actor reads, or that named a unit of a donor of their clinic."""
    scope = actor.scope(Permission.SPECIMEN_READ)
    return or_(scope.of(bank_closing.c.site_code), exists(_of_clinics(scope, bank_closing_unit.c.specimen_code)))


def closings_waiting(session: Session, actor: Actor, limit: int) -> list[ClosingTask]:
    """Return the closings that are not over and concern the actor: quality there, and who treats donors of their units."""
    quality, clinics = actor.scope(Permission.QUALITY_DECIDE), actor.scope(Permission.WITHDRAWAL_REQUEST)
    if not (quality or clinics):
        return []
    own = _of_clinics(clinics, func.count()).scalar_subquery()
    decides = quality.of(bank_closing.c.site_code)
    rows = session.execute(
        select(bank_closing, decides.label("decides"), own.label("own"))
        .where(bank_closing.c.over_at.is_(None), or_(decides, own > 0))
        .order_by(bank_closing.c.not_before)
        .limit(limit)
    )
    return [
        ClosingTask(
            id=row.id,
            site=row.site_code,
            to=row.to_code,
            step=step_of(row),
            units=row.units,
            announced_at=row.announced_at,
            not_before=row.not_before,
            decides=row.decides,
            own=row.own,
        )
        for row in rows
    ]
