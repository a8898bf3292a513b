"""Questions about specimens. Each takes the actor; what the actor may not know of is not found."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    DateTime,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import site
from biobank.custody.chronology import require_not_ahead
from biobank.custody.entry import parse_entry
from biobank.custody.hold_coverage import covered_by, holds_on
from biobank.custody.holds_then import holds_then, stays_of
from biobank.custody.legality import Snapshot
from biobank.custody.material_limits import Limits
from biobank.custody.models import custody
from biobank.custody.rebuild import Rebuilt, entries_of, steps_of, where_they_lead
from biobank.custody.snapshots import expiry_of, may_know, snapshot_columns, snapshot_from, snapshot_of, unknown_specimen
from biobank.custody.states import Condition
from biobank.donors.markers import Evaluation, evaluate, results_column, results_of
from biobank.donors.models import donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import NotFound
from biobank.foundation.from_above import FromAbove
from biobank.foundation.paging import Paging, read_page
from biobank.foundation.scanned_text import spellings
from biobank.specimens.label_facts import label_facts
from biobank.specimens.limits import limits_of, limits_then
from biobank.specimens.materials import UNDETERMINED, material_of
from biobank.specimens.models import specimen
from biobank.specimens.models import specimen_parent as parent
from biobank.specimens.preparation_queries import preparations_of
from biobank.specimens.resolving import alias, same_identifier
from biobank.specimens.schemas import (
    AliasPublic,
    AmendmentPublic,
    AsOf,
    Custodian,
    CustodyPublic,
    ExposurePublic,
    HoldSummary,
    SpecimenList,
    SpecimenPublic,
    SpecimenSummary,
)
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.transparency.models import event

require_shown: FromAbove[Callable[[Session, Actor, str], None]] = FromAbove("storage")
"""Raise why a reader is not told what stands in a place."""
places_below: FromAbove[Callable[[str], Select[tuple[str]]]] = FromAbove("storage")
"""The codes of a place and of every place in it."""

_LIST_COLUMNS: tuple[ColumnElement[Any], ...] = (
    *specimen.c,
    *(
        custody.c[name]
        for name in (
            "amount",
            "state",
            "condition",
            "quality",
            "site_code",
            "container_code",
            "position_code",
            "reserved_for",
            "banked_at",
            "use_by",
            "seq",
        )
    ),
)

EXPIRY = func.least(specimen.c.expires_at, cast(custody.c.use_by, DateTime(timezone=True)))
"""As `snapshots.expiry_of` says it."""

NUMBER = func.split_part(specimen.c.code, literal_column("'-'"), literal_column("2"), type_=Text)
"""A code without its prefix, as the index `ix_specimen_number` has it."""
ORDERS: dict[str, ColumnElement[Any]] = {
    "created_at": specimen.c.created_at,
    "code": specimen.c.code,
    "expires_at": EXPIRY,
    "banked_at": custody.c.banked_at,
    "donor": specimen.c.donor_code,
}
"""What a list of specimens can be sorted by."""


def list_specimens(
    session: Session,
    actor: Actor,
    *,
    of_donor: str | None = None,
    material: str | None = None,
    state: str | None = None,
    container: str | None = None,
    hold: str | None = None,
    words: str | None = None,
    expires_from: datetime | None = None,
    expires_before: datetime | None = None,
    paging: Paging = Paging(),
) -> SpecimenList:
    """Answer GET /specimens: newest first, only what the actor may know of.

    `container` includes everything below it; `hold` is a kind or "any", inherited ones count; `words` is the start of a code
    (with or without its prefix), of a lot's or harvest's code, or a whole identifier of another issuer.
    """
    statement: Select[Any] = select(*_LIST_COLUMNS).select_from(whole()).where(specimens_at_sites_of(actor))
    for column, value in ((specimen.c.donor_code, of_donor), (specimen.c.material, material), (custody.c.state, state)):
        if value is not None:
            statement = statement.where(column == value)
    if container is not None:
        require_shown.get()(session, actor, container)
        statement = statement.where(custody.c.container_code.in_(places_below.get()(container)))
    if hold is not None:
        covered = covered_by().bindparams(kind=hold).subquery("covered")
        statement = statement.where(specimen.c.code == _among(select(covered.c.code)))
    if words is not None:
        statement = statement.where(_matches(words.strip()))
    if expires_from is not None:
        statement = statement.where(expires_from <= EXPIRY)
    if expires_before is not None:
        statement = statement.where(expires_before > EXPIRY)
    page = read_page(session, statement, paging, key=specimen.c.code, orders=ORDERS, default="-created_at")
    held = holds_on(session, [row.code for row in page.rows]) if page.rows else {}
    return SpecimenList(items=[_summary(row, sorted({one.kind for one in held[row.code]})) for row in page.rows], **page.ends)


def whole() -> Any:
    """Return specimens with their custody and their donor, to select from."""
    return specimen.join(custody, custody.c.code == specimen.c.code).outerjoin(donor, donor.c.code == specimen.c.donor_code)


def _matches(words: str) -> ColumnElement[bool]:
    start = words.upper()
    by_alias = select(alias.c.specimen_code).where(same_identifier.in_(spellings(words)))
    return or_(
        specimen.c.code.startswith(start, autoescape=True),
        NUMBER.startswith(start, autoescape=True),
        specimen.c.lot_code.startswith(start, autoescape=True),
        specimen.c.harvest_code.startswith(start, autoescape=True),
        specimen.c.code == _among(by_alias),
    )


def _among(codes: Select[Any]) -> ColumnElement[Any]:
    """Return what a code is compared with to be one of `codes`: found first, so that the list is read by index from them."""
    return any_(func.array(codes.scalar_subquery()))


def _summary(row: "Row[Any]", holds: list[str]) -> SpecimenSummary:
    return SpecimenSummary(
        code=row.code,
        donor=row.donor_code,
        material=row.material,
        unit=row.unit,
        amount=row.amount,
        passage=row.passage,
        purpose=row.purpose,
        state=row.state,
        condition=row.condition,
        quality=row.quality,
        site=row.site_code,
        container=row.container_code,
        position=row.position_code,
        home_site=row.home_site_code,
        lot=row.lot_code,
        harvest=row.harvest_code,
        reserved_for=row.reserved_for,
        banked_at=row.banked_at,
        expires_at=expiry_of(row.expires_at, row.use_by),
        created_at=row.created_at,
        seq=row.seq,
        holds=holds,
    )


def describe_specimen(
    session: Session, actor: Actor, code: str, at: datetime | None = None, as_known_at: datetime | None = None
) -> SpecimenPublic:
    """Answer GET /specimens/{code}: as it stands, or with its custody as of two clocks.

    Raises NotFound, also when nothing was known of it by then. What a specimen *is* does not change and is shown as it is.
    """
    require_not_ahead(at, as_known_at)
    row, alone = find_described(session, actor, code)
    snapshot = replace(alone, holds=holds_on(session, [code])[code])
    if at is None and as_known_at is None:
        return specimen_public(session, row, snapshot)
    as_of = AsOf(at=at, as_known_at=as_known_at)
    steps = list(steps_of(entries_of(session, code, at=at, as_known_at=as_known_at)))
    if not steps:
        raise NotFound(f"Nothing was recorded of {code} by then.", subject=code)
    now = clock.now()
    snapshot = replace(
        snapshot,
        holds=tuple(holds_then(session, code, stays_of(steps), at or now, as_known_at or now)),
        regulatory_basis=basis_of([entry for entry, _ in steps]),
    )
    return specimen_public(session, row, snapshot, where_they_lead(steps), as_of)


def basis_of(entries: Sequence[dict[str, Any]]) -> str:
    """Return the legal basis as these entries leave it."""
    decided = [entry["body"] for entry in entries if entry["kind"] == "specimen.basis_decided"]
    if decided:
        return str(decided[-1]["basis"])
    return UNDETERMINED


def find_described(session: Session, actor: Actor, code: str, *also: ColumnElement[Any]) -> tuple["Row[Any]", Snapshot]:
    """Return what a specimen is described from, with the columns `also`, and its snapshot without holds: one statement.

    Raises NotFound when the actor may not know of it.
    """
    row = session.execute(_described(also), {"code": code}).first()
    snapshot = None if row is None else snapshot_of(row)
    if row is None or snapshot is None or not may_know(actor, snapshot):
        raise unknown_specimen(code)
    return row, snapshot


def specimen_public(
    session: Session, row: "Row[Any]", snapshot: Snapshot, then: Rebuilt | None = None, as_of: AsOf | None = None
) -> SpecimenPublic:
    """Describe a specimen from what `find_described` read and its snapshot with its holds: as it stands, or as it was `then`."""
    stands = then or Rebuilt(snapshot.projection, snapshot.seq, snapshot.state_seq)
    evaluation = _evaluation_of(row, as_of)
    return SpecimenPublic(
        **_identity(row, snapshot),
        parents=row.parents or [],
        aliases=[
            AliasPublic(issuer=issuer, value=value)
            for issuer, value, occurred, recorded in row.aliases or []
            if _was_known({"occurred_at": occurred, "recorded_at": recorded}, as_of)
        ],
        expires_at=expiry_of(row.expires_at, stands.projection.use_by),
        custody=custody_public(stands),
        exposure=_exposure(session, snapshot, stands, as_of),
        as_of=as_of,
        holds=_holds(snapshot),
        amendments=[
            _amendment(read, leaf)
            for entry, leaf in zip(row.amended or [], row.amended_by or [], strict=True)
            if _was_known(read := parse_entry(bytes(entry)), as_of)
        ],
        preparations=preparations_of(session, row.code, row.material),
        markers_evaluated=evaluation.complete,
        label=label_facts(
            row,
            stands.projection,
            unit_count=row.unit_count,
            zone=ZoneInfo(row.zone or "UTC"),
            evaluation=evaluation,
        ),
    )


def _evaluation_of(row: "Row[Any]", as_of: AsOf | None) -> Evaluation:
    """Return what the donor's results say of this specimen, then where it is asked as of a time.

    Of material of several harvests only what was found counts.
    """
    if row.donor_code is None:
        return Evaluation()
    of_one_harvest = row.harvest_code is not None
    by = None if as_of is None else min((one for one in (as_of.at, as_of.as_known_at) if one is not None), default=None)
    return evaluate(results_of(row.results, by), row.collected_at if of_one_harvest else None)


@cache
def _described(also: tuple[ColumnElement[Any], ...]) -> "Select[Any]":
    """The specimen with its custody, unit count, its donor's results, parents, aliases and what was corrected.

    Kept, because making an alias of a wide table costs more than the query.
    """
    code: BindParameter[str] = bindparam("code")
    parents = select(func.array_agg(aggregate_order_by(parent.c.parent_code, parent.c.parent_code)))
    one = func.json_build_array(alias.c.issuer, alias.c.value, alias.c.occurred_at, alias.c.recorded_at)
    aliases = select(func.json_agg(aggregate_order_by(one, alias.c.issuer, alias.c.value)))
    corrected = (event.c.stream_kind == "specimen", event.c.stream_id == code, event.c.kind == "specimen.amended")
    columns = snapshot_columns()
    named = {column.name for column in columns}
    return (
        select(
            *columns,
            *(column for column in specimen.c if column.name not in named),
            *also,
            _unit_count(),
            results_column(specimen.c.donor_code),
            select(site.c.timezone).where(site.c.code == specimen.c.home_site_code).scalar_subquery().label("zone"),
            parents.where(parent.c.child_code == code).scalar_subquery().label("parents"),
            aliases.where(alias.c.specimen_code == code).scalar_subquery().label("aliases"),
            select(func.array_agg(aggregate_order_by(event.c.entry, event.c.seq)))
            .where(*corrected)
            .scalar_subquery()
            .label("amended"),
            select(func.array_agg(aggregate_order_by(event.c.leaf_hash, event.c.seq)))
            .where(*corrected)
            .scalar_subquery()
            .label("amended_by"),
        )
        .select_from(snapshot_from())
        .where(custody.c.code == code)
    )


def _unit_count() -> ColumnElement[Any]:
    """Return how many containers the specimen's lot has; null without a lot."""
    mate = specimen.alias("mate")
    count = select(func.nullif(func.count(), 0)).select_from(mate).where(mate.c.lot_code == specimen.c.lot_code)
    return count.scalar_subquery().label("unit_count")


def _identity(row: "Row[Any]", snapshot: Snapshot) -> dict[str, Any]:
    names = (
        "code",
        "material",
        "unit",
        "purpose",
        "passage",
        "vessel_count",
        "follicular_units",
        "follicles",
        "transected",
        "collected_at",
        "created_at",
        "created_by",
    )
    return {name: getattr(row, name) for name in names} | {
        "donor": row.donor_code,
        "regulatory_basis": snapshot.regulatory_basis,
        "title": material_of(row.material).title,
        "harvest": row.harvest_code,
        "lot": row.lot_code,
        "home_site": row.home_site_code,
        "clinic_site": snapshot.clinic_site_code,
    }


def custody_public(stands: Rebuilt) -> CustodyPublic:
    """Return where a specimen stands in its wire shape."""
    projection = stands.projection
    same = (
        "state",
        "condition",
        "quality",
        "reserved_for",
        "amount",
        "freeze_count",
        "exposure_s",
        "exposure_unknown",
        "out_since",
        "use_by",
        "banked_at",
        "marked",
    )
    return CustodyPublic(
        **{name: getattr(projection, name) for name in same},
        seq=stands.seq,
        state_seq=stands.state_seq,
        custodian=Custodian(kind=projection.custodian_kind, id=projection.custodian_id),
        offered_to=None if projection.offered_kind is None else Custodian(kind=projection.offered_kind, id=projection.offered_id),
        site=projection.site_code,
        container=projection.container_code,
        position=projection.position_code,
        slot_unknown=projection.container_code is not None and projection.position_code is None,
        shipment=projection.shipment_code,
    )


def _exposure(session: Session, snapshot: Snapshot, stands: Rebuilt, as_of: AsOf | None) -> ExposurePublic:
    """Return how long it was out of the cold, what is running included, beside the budget of the place where it is."""
    then, now = stands.projection, clock.now()
    at = now if as_of is None else min(as_of.at or now, as_of.as_known_at or now)
    since = then.out_since if then.condition == Condition.FROZEN else None
    total = then.exposure_s + then.running_s(rfc3339(at))
    sites = frozenset(filter(None, (then.site_code, snapshot.home_site_code)))
    limits = Limits()
    if (total or then.exposure_unknown) and as_of is None:
        limits = limits_of(session, snapshot.material, Condition.FROZEN, sites)
    elif (total or then.exposure_unknown) and as_of is not None:
        limits = limits_then(session, snapshot.material, Condition.FROZEN, sites, at, as_of.as_known_at or now)
    budget = None
    if limits.warm_red_s is not None and limits.warm_amber_s is not None:
        known = "amber" if total > limits.warm_amber_s else "within"
        budget = "red" if total > limits.warm_red_s else "not_known" if then.exposure_unknown else known
    return ExposurePublic(
        total_s=total,
        at_least=then.exposure_unknown,
        running_since=since,
        budget=budget,
        amber_s=limits.warm_amber_s,
        red_s=limits.warm_red_s,
    )


def _holds(snapshot: Snapshot) -> list[HoldSummary]:
    return [
        HoldSummary(id=UUID(h.id), kind=h.kind, scope_kind=h.scope_kind, scope_id=h.scope_id, blocks=list(h.blocks))
        for h in snapshot.holds
    ]


def _was_known(entry: dict[str, Any], as_of: AsOf | None) -> bool:
    """Say whether an entry counts in an answer as of two clocks, as `entries_of` has it. Pure."""
    if as_of is None:
        return True
    occurred, recorded = (datetime.fromisoformat(entry[name]) for name in ("occurred_at", "recorded_at"))
    return (as_of.at is None or occurred <= as_of.at) and (as_of.as_known_at is None or recorded <= as_of.as_known_at)


def _amendment(read: dict[str, Any], leaf_hash: bytes) -> AmendmentPublic:
    """Return what was corrected: the events stay as they were, so what is right now stands beside them."""
    return AmendmentPublic(
        **{name: read["body"][name] for name in ("corrects", "field", "value", "reason")},
        by=read["by"],
        occurred_at=read["occurred_at"],
        leaf_hash=bytes(leaf_hash).hex(),
    )
