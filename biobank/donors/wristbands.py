"""Wristbands: a band stands for the donor during one visit, from a completed identification until it is voided or expires."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW, Circumstances
from biobank.donors import events
from biobank.donors.models import wristband as _band
from biobank.donors.recording import record_on_donor
from biobank.donors.schemas import BandPublic
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict, NotFound

VoidReason = Literal["replaced", "expired", "damaged", "removed", "discharged", "identity_mismatch", "identity_changed", "erased"]


class WristbandVoid(Conflict):
    """The band was taken out of force."""

    code = "wristband_void"
    title = "Wristband void"


class WristbandExpired(Conflict):
    """The visit the band was issued for is over."""

    code = "wristband_expired"
    title = "Wristband expired"


@dataclass(frozen=True)
class ActiveBand:
    """A band in force; `leaf_hash` is that of its issue, for an act's `relies_on`."""

    code: str
    donor_code: str
    site_code: str
    identification_id: UUID
    expires_at: datetime
    leaf_hash: bytes


def unknown_band(code: str) -> NotFound:
    """The refusal for a band the caller may not know of."""
    return NotFound(
        f"There is no wristband {code} that you may see. Scan the band again; if it is right, identify the patient anew.",
        subject=code,
    )


def active_wristband(session: Session, code: str, at: datetime) -> ActiveBand:
    """Resolve a band scanned at `at` to its donor. Raises NotFound, WristbandVoid, WristbandExpired.

    Anyone at the bedside may scan any band: who may act on that donor is the caller's question.
    """
    row = session.execute(select(_band).where(_band.c.code == code)).first()
    if row is None:
        raise unknown_band(code)
    if row.voided_at is not None and row.voided_at <= at:
        raise WristbandVoid(
            f"{code} has been void since {rfc3339(row.voided_at)} ({row.void_reason.replace('_', ' ')}). "
            "Remove it and look for the band in force, or identify the patient again.",
            subject=code,
        )
    if row.expires_at <= at:
        raise WristbandExpired(
            f"{code} was good until {rfc3339(row.expires_at)}. Identify the patient again and issue a new band.", subject=code
        )
    return ActiveBand(row.code, row.donor_code, row.site_code, row.identification_id, row.expires_at, bytes(row.issued_event))


def insert_band(
    session: Session, act: Act, *, code: str, donor: str, identification: UUID, site: str, expires_at: datetime, issued: Appended
) -> None:
    """Write the row of a band whose issue was just recorded."""
    session.execute(
        insert(_band).values(
            code=code,
            donor_code=donor,
            identification_id=identification,
            site_code=site,
            issued_at=act.at,
            issued_by=act.actor.code,
            issued_event=issued.leaf_hash,
            expires_at=expires_at,
        )
    )


def band_used_by(session: Session, identification: UUID) -> str | None:
    """Return the band issued under an identification, or None."""
    code: str | None = session.execute(select(_band.c.code).where(_band.c.identification_id == identification)).scalar()
    return code


def void_band(
    session: Session, act: Act, row: "Row[Any]", reason: VoidReason, given: Circumstances = NOW, *, site: str | None
) -> Appended:
    """Void one band; the caller has locked the donor's row and checked that it is in force.

    It stands for nobody from the time on that is stated, and from now on where that lies ahead.
    """
    (appended,) = record_on_donor(
        session,
        act,
        row.donor_code,
        [events.WristbandVoided(wristband=row.code, reason=reason)],
        given,
        site=site,
        relies_on=(bytes(row.issued_event),),
    )
    since = max(row.issued_at, min(given.occurred_at or act.at, act.at))
    session.execute(
        update(_band).where(_band.c.code == row.code).values(voided_at=since, void_reason=reason, voided_event=appended.leaf_hash)
    )
    return appended


def void_band_in_force(
    session: Session, act: Act, donor_code: str, reason: VoidReason, *, site: str | None
) -> tuple[str, Appended] | None:
    """Void the donor's band that was not voided yet, if there is one; return its code and the event."""
    row = session.execute(select(_band).where(_band.c.donor_code == donor_code, _band.c.voided_at.is_(None))).first()
    if row is None:
        return None
    if row.expires_at <= act.at:
        reason = "expired"
    return row.code, void_band(session, act, row, reason, site=site)


def find_band(session: Session, code: str) -> "Row[Any] | None":
    """Return the row of a band, or None."""
    return session.execute(select(_band).where(_band.c.code == code)).first()


def band_in_force(session: Session, donor_code: str) -> BandPublic | None:
    """Return the band on the donor's wrist now, or None. The caller has checked that the actor may see the donor."""
    at = now()
    row = session.execute(
        select(_band).where(_band.c.donor_code == donor_code, _band.c.voided_at.is_(None), _band.c.expires_at > at)
    ).first()
    return None if row is None else _public(row, at)


def describe_band(session: Session, actor: Actor, code: str) -> BandPublic:
    """Answer GET /wristbands/{code}; raise NotFound unless the actor may see its donor."""
    row = find_band(session, code)
    if row is None:
        raise unknown_band(code)
    try:
        get_visible_donor(session, actor, row.donor_code)
    except NotFound:
        raise unknown_band(code) from None
    return _public(row, now())


def _public(row: "Row[Any]", at: datetime) -> BandPublic:
    return BandPublic(
        wristband=row.code,
        donor=row.donor_code,
        site=row.site_code,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        voided_at=row.voided_at,
        void_reason=row.void_reason,
        in_force=row.voided_at is None and row.expires_at > at,
    )
