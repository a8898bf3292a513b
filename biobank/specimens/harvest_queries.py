"""Questions about harvests. Each takes the actor; what the actor may not know of is not found."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Row, Text, cast, column, func, or_, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.entry import parse_entry
from biobank.custody.models import custody
from biobank.custody.states import StreamKind
from biobank.donors.models import donor, identification
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.specimens.harvest_schemas import ContainerTaken, HarvestList, HarvestPublic, HarvestSummary
from biobank.specimens.models import harvest, specimen
from biobank.specimens.preparations import PREPARED, preparation_in
from biobank.specimens.scoping import at_sites_of
from biobank.transparency.models import event

ORDERS = {"started_at": harvest.c.started_at, "harvest": harvest.c.code, "donor": harvest.c.donor_code}


def list_harvests(
    session: Session,
    actor: Actor,
    *,
    of_donor: str | None = None,
    site: str | None = None,
    paging: Paging = Paging(),
) -> HarvestList:
    """Answer GET /harvests: newest first."""
    statement = harvests_of(actor)
    if of_donor is not None:
        statement = statement.where(harvest.c.donor_code == of_donor)
    if site is not None:
        statement = statement.where(harvest.c.site_code == site)
    page = read_page(session, statement, paging, key=harvest.c.code, orders=ORDERS, default="-started_at")
    return HarvestList(items=[HarvestSummary(**_summary(row)) for row in page.rows], **page.ends)


def describe_harvest(session: Session, actor: Actor, code: str) -> HarvestPublic:
    """Answer GET /harvests/{code}."""
    row = session.execute(harvests_of(actor).where(harvest.c.code == code)).first()
    if row is None:
        raise NotFound(f"There is no harvest {code} that you may see.", subject=code)
    codes = session.execute(
        select(specimen.c.code).where(specimen.c.harvest_code == code, specimen.c.lot_code.is_(None)).order_by(specimen.c.code)
    )
    found = list(codes.scalars())
    return HarvestPublic(**_summary(row), specimens=found, containers=_containers(session, found))


def _containers(session: Session, codes: list[str]) -> list[ContainerTaken]:
    """Return what the first event of each specimen says, with the corrections of it."""
    asked = select(event.c.stream_id, event.c.leaf_hash, event.c.entry).where(
        event.c.stream_kind == "specimen",
        event.c.stream_id.in_(codes),
        or_(event.c.seq == 1, event.c.kind == "specimen.amended"),
    )
    of: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in session.execute(asked.order_by(event.c.stream_id, event.c.seq)):
        of.setdefault(row.stream_id, []).append((row.leaf_hash.hex(), parse_entry(bytes(row.entry))))
    told = {code: body for code, entries in of.items() if (body := told_at_first(entries, only="specimen.collected"))}
    names = ("material", "unit", "amount", "method", "anatomical_site", "side", "started_at")
    return [
        ContainerTaken(
            specimen=code,
            preparation=preparation_in(code, body) if body["material"] in PREPARED else None,
            **{name: body.get(name) for name in names},
        )
        for code, body in told.items()
    ]


def told_at_first(entries: Iterable[tuple[str, Mapping[str, Any]]], *, only: str | None = None) -> dict[str, Any]:
    """Return what the first event of a stream says, as it was corrected since. Pure.

    `entries`: (leaf hash in hex, entry) of the first event and of the corrections of the stream, in order. Empty where there is
    none, or its kind is not `only`.
    """
    told: dict[str, Any] = {}
    first = None
    for leaf, entry in entries:
        if first is None:
            if only is not None and entry["kind"] != only:
                return {}
            first, told = leaf, dict(entry["body"])
        elif entry["body"].get("corrects") == first:
            told[entry["body"]["field"]] = entry["body"]["value"]
    return told


def harvests_of(actor: Actor) -> Any:
    """Harvests the actor may know of: at the place of harvest, at the bank that keeps it, at the donor's clinic."""
    mine = at_sites_of(actor, harvest.c.site_code, harvest.c.home_site_code, donor.c.clinic_site_code)
    return select(harvest).join(donor, donor.c.code == harvest.c.donor_code).where(mine)


def _summary(row: "Row[Any]") -> dict[str, Any]:
    identification: UUID | None = row.identification_id
    return {
        "harvest": row.code,
        "donor": row.donor_code,
        "site": row.site_code,
        "home_site": row.home_site_code,
        "kit": row.kit_code,
        "identification": identification,
        "method": row.method,
        "anatomical_site": row.anatomical_site,
        "transport_medium": row.transport_medium,
        "started_at": row.started_at,
        "recorded_at": row.recorded_at,
        "recorded_by": row.recorded_by,
    }


_ROOTS = (
    text(
        """
        WITH RECURSIVE line (unit, code) AS (
            SELECT code, code FROM specimen WHERE code = ANY(:units)
            UNION SELECT line.unit, p.parent_code FROM line JOIN specimen_parent p ON p.child_code = line.code
        )
        SELECT line.unit, s.harvest_code FROM line JOIN specimen s ON s.code = line.code
        WHERE NOT EXISTS (SELECT FROM specimen_parent up WHERE up.child_code = line.code)
        """
    )
    .columns(column("unit", Text), column("harvest_code", Text))
    .subquery("root")
)
_TWICE = identification.c.completed_at
_HOW = (
    select(
        _ROOTS.c.unit,
        func.bool_and(_TWICE.is_not(None)).label("every"),
        func.bool_or(_TWICE.is_not(None)).label("some"),
        func.max(_TWICE).label("latest"),
    )
    .select_from(
        _ROOTS.outerjoin(harvest, harvest.c.code == _ROOTS.c.harvest_code).outerjoin(
            identification, identification.c.id == harvest.c.identification_id
        )
    )
    .group_by(_ROOTS.c.unit)
)


def identified_at_harvest(session: Session, units: Collection[str]) -> dict[str, str]:
    """Return for each unit, in words, whether two people identified the donor at every harvest that it comes from."""
    found = {}
    for row in session.execute(_HOW, {"units": sorted(units)}) if units else ():
        if row.every:
            found[row.unit] = f"identified by two on {row.latest:%Y-%m-%d}"
        else:
            found[row.unit] = "not asked at every harvest" if row.some else "not asked"
    return found


def oldest_record(session: Session, donor_code: str) -> datetime | None:
    """Return when the record of a donor begins: the donor's own, or older material that was taken over from another bank."""
    own = (event.c.stream_kind == StreamKind.DONOR.value, event.c.stream_id == donor_code, event.c.seq == 1)
    banked = select(func.min(cast(custody.c.banked_at, DateTime(timezone=True)))).where(custody.c.donor_code == donor_code)
    times = (
        select(event.c.occurred_at).where(*own),
        select(func.min(specimen.c.collected_at)).where(specimen.c.donor_code == donor_code),
        banked,
    )
    known = session.execute(select(*(one.scalar_subquery() for one in times))).one()
    return min((at for at in known if at is not None), default=None)
