"""Refusals around identification, and the question every act asks: did two people identify this donor for this?

`identifying.py` is the act itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlmodel import Session

from biobank.custody.states import StreamKind
from biobank.donors.events import IdentityChanged, Purpose
from biobank.donors.models import identification as _identification
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotPermitted
from biobank.transparency.models import event as _event

SECOND_PERSON_WITHIN = timedelta(minutes=15)


class IdentityMismatch(Conflict):
    """What the patient stated is not what the vault holds."""

    code = "identity_mismatch"
    title = "This may be another person"


class CheckWhatWasTyped(Conflict):
    """What was typed is not what the vault holds; nothing is held until it was checked with the patient."""

    code = "check_what_was_typed"
    title = "Check what you typed"


class NotAsked(Conflict):
    """The name on record has given names, and none were asked for: nobody knows yet whether they differ."""

    code = "given_names_not_asked"
    title = "Given names were not asked"


class IdentificationDiffers(Conflict):
    """The second person did not do the same as the first."""

    code = "identification_differs"
    title = "Not the same as the first person's"


class IdentificationExpired(Conflict):
    """The second person came too late, or the visit is over."""

    code = "identification_expired"
    title = "Identification expired"


class IdentificationMissing(Conflict):
    """Nobody completed an identification that covers this act."""

    code = "identification_missing"
    title = "Identification missing"


class IdentificationOver(Conflict):
    """This identification was completed or failed already."""

    code = "identification_over"
    title = "Identification already decided"


class SamePerson(NotPermitted):
    """One person cannot be both."""

    code = "second_person_needed"
    title = "A second person is needed"


class KitOfAnotherDonor(Conflict):
    """The kit was bound to somebody else at their bedside."""

    code = "kit_of_another_donor"
    title = "Kit of another donor"


@dataclass(frozen=True)
class CompletedIdentification:
    """An identification an act may rest on; `leaf_hash` goes into the act's `relies_on`."""

    id: UUID
    donor_code: str
    site_code: str
    purpose: str
    kit_code: str | None
    valid_until: datetime
    leaf_hash: bytes


def completed_identification(
    session: Session, donor_code: str, purpose: Purpose, at: datetime, *, kit: str | None = None
) -> CompletedIdentification:
    """Return the identification an act at `at` rests on; the caller holds the donor's row lock.

    A later failed identification of the same donor, or a change of who they are, takes away what was completed before it. For
    a harvest name the `kit`.
    Raises IdentificationMissing, IdentificationExpired.
    """
    statement = select(_identification).where(
        _identification.c.donor_code == donor_code,
        _identification.c.purpose == purpose,
        _identification.c.completed_at <= at,
    )
    if kit is not None:
        statement = statement.where(_identification.c.kit_code == kit)
    row = session.execute(statement.order_by(_identification.c.completed_at.desc()).limit(1)).first()
    return _standing(session, row, donor_code, at)


def identification_by_id(session: Session, identification: UUID, donor_code: str, at: datetime) -> CompletedIdentification:
    """Return one identification if an act at `at` may rest on it; raises as `completed_identification`."""
    row = session.execute(
        select(_identification).where(
            _identification.c.id == identification,
            _identification.c.donor_code == donor_code,
            _identification.c.completed_at.is_not(None),
        )
    ).first()
    return _standing(session, row, donor_code, at)


def donor_of_identification(session: Session, identification: UUID) -> str | None:
    """Return the donor an identification is about, or None."""
    code: str | None = session.execute(
        select(_identification.c.donor_code).where(_identification.c.id == identification)
    ).scalar()
    return code


def _failed(donor_code: str) -> Select[Any]:
    return select(func.max(_identification.c.failed_at)).where(_identification.c.donor_code == donor_code)


def identity_changed(donor_code: str) -> Select[Any]:
    """When what is compared with was last changed: who was identified before that was compared with something else."""
    return select(func.max(_event.c.recorded_at)).where(
        _event.c.stream_kind == StreamKind.DONOR.value,
        _event.c.stream_id == donor_code,
        _event.c.kind == IdentityChanged.model_fields["kind"].default,
    )


def _standing(session: Session, row: Any, donor_code: str, at: datetime) -> CompletedIdentification:
    doubted = session.execute(select(_failed(donor_code).union_all(identity_changed(donor_code)).subquery())).scalars()
    if row is None or any(one is not None and one >= row.completed_at for one in doubted):
        raise IdentificationMissing(
            f"Two people have not identified {donor_code} for this. Identify the donor first, both of you.",
            subject=donor_code,
        )
    if row.valid_until <= at:
        raise IdentificationExpired(
            f"{donor_code} was identified for a visit that ended {rfc3339(row.valid_until)}. Identify again.", subject=donor_code
        )
    return CompletedIdentification(
        id=row.id,
        donor_code=row.donor_code,
        site_code=row.site_code,
        purpose=row.purpose,
        kit_code=row.kit_code,
        valid_until=row.valid_until,
        leaf_hash=bytes(row.completed_event),
    )
