"""Using a kit: for one harvest, where it was prepared for, before it expires, for the donor it was bound to."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.chronology import require_existed
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import head_of
from biobank.custody.states import StreamKind
from biobank.donors.identification import CompletedIdentification, KitOfAnotherDonor
from biobank.donors.models import kit_binding as binding
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.specimens.events import KitBound
from biobank.specimens.harvest_schemas import RecordHarvest
from biobank.specimens.kits import KitExpired, unknown_kit
from biobank.specimens.models import kit, kit_label
from biobank.specimens.taking import KEEP


class KitUsed(Conflict):
    """The kit was used in a harvest before."""

    code = "kit_used"
    title = "Kit already used"


class KitOfAnotherSite(Conflict):
    """The kit was prepared for another place."""

    code = "kit_of_another_site"
    title = "Kit of another site"


def take_kit(session: Session, request: RecordHarvest, started: datetime) -> "Row[Any]":
    """Lock the kit and check that it may be used here, for this donor, by a harvest that began at `started`."""
    code = request.kit or ""
    row = session.execute(select(kit).where(kit.c.code == code).with_for_update()).first()
    if row is None:
        raise unknown_kit(code)
    if row.site_code != request.site:
        raise KitOfAnotherSite(
            f"{code} was prepared for {row.site_code}, not {request.site}. Take a kit of this place.",
            where_now=KEEP,
            subject=code,
        )
    if row.used_at is not None:
        raise KitUsed(f"{code} was used already. Take a new kit; a kit is for one harvest.", where_now=KEEP, subject=code)
    # The label is on before the material is in. A form's times are to the minute.
    require_existed(session, started, {(StreamKind.SYSTEM.value, code)}, to_the_minute=True)
    if row.expires_at <= started:
        raise KitExpired(f"{code} expired {rfc3339(row.expires_at)}. Take a new kit.", where_now=KEEP, subject=code)
    owner = bound_to(session, code)
    if owner is not None and owner != request.donor:
        raise KitOfAnotherDonor(
            f"{code} was bound to another donor at their bedside. Stop: find out whose material this is.",
            where_now=KEEP,
            subject=code,
        )
    return row


def bound_to(session: Session, code: str) -> str | None:
    """Return the donor to whom an identification bound the kit, or None."""
    donor: str | None = session.execute(select(binding.c.donor_code).where(binding.c.kit_code == code)).scalar()
    return donor


def labels_of(session: Session, code: str) -> set[str]:
    """Return the codes on the labels of a kit."""
    return set(session.execute(select(kit_label.c.specimen_code).where(kit_label.c.kit_code == code)).scalars())


def bind_kit(
    session: Session,
    act: Act,
    row: "Row[Any]",
    request: RecordHarvest,
    identification: CompletedIdentification | None,
    codes: list[str],
) -> Appended:
    """Write down that the kit was used for this donor, label by label; return the event."""
    event = KitBound(
        donor=request.donor,
        harvest=row.code,
        identification=None if identification is None else str(identification.id),
        used=tuple(codes),
        unused=tuple(request.unused),
    )
    relies_on = (bytes(row.prepared_event), *(() if identification is None else (identification.leaf_hash,)))
    head = head_of(session, act, request, subject=request.donor, site=request.site, relies_on=relies_on)
    (appended,) = append(session, [Fact(StreamKind.SYSTEM, row.code, event, head, donor_code=request.donor)])
    session.execute(update(kit).where(kit.c.code == row.code).values(used_at=act.at))
    session.execute(update(kit_label).where(kit_label.c.specimen_code.in_(codes)).values(used_at=act.at))
    if request.unused:
        session.execute(update(kit_label).where(kit_label.c.specimen_code.in_(request.unused)).values(voided_at=act.at))
    return appended
