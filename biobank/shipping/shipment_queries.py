"""Questions about shipments. The people of both ends may know of one. What is underway stands in custody, not here."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.locks import locked
from biobank.custody.models import custody, hold
from biobank.custody.states import HoldScope, State
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.shipping.arrival_findings import ELSEWHERE
from biobank.shipping.boxes import boxes_of
from biobank.shipping.models import Shipment, shipment_item
from biobank.shipping.schemas import ManifestLine, ShipmentDetail, ShipmentList, ShipmentPublic
from biobank.specimens.models import specimen as specimen_table

shipment = table_of(Shipment)
item = shipment_item

LONG_UNDERWAY: Final = timedelta(days=2)
"""After this a shipment is due of which nobody said when it is. Ours, not from a source."""
LONGEST_UNDERWAY: Final = timedelta(days=14)
"""No shipment is said to be on its way, or its shipper cold, for longer: a slip in a date would silence the alarm. Ours."""
DUE: Final = func.coalesce(func.least(shipment.c.expected_by, shipment.c.cold_until), shipment.c.dispatched_at + LONG_UNDERWAY)
"""When a shipment should be there: as it was said, and before its cold has ended; what `due_at` says, as a column."""


def due_at(one: Any) -> datetime:
    """Return when a shipment (its row or shape) should be there. Pure."""
    said: list[datetime] = [end for end in (one.expected_by, one.cold_until) if end is not None]
    return min(said) if said else one.dispatched_at + LONG_UNDERWAY


Status = Literal["in_transit", "nothing_underway", "closed"]

_underway = and_(custody.c.shipment_code == item.c.shipment_code, custody.c.state == State.IN_TRANSIT.value)

_specimens = (
    select(func.count()).select_from(item).where(item.c.shipment_code == shipment.c.code).scalar_subquery().label("specimens")
)
_still_out = (
    select(func.count())
    .select_from(item.join(custody, custody.c.code == item.c.specimen_code))
    .where(item.c.shipment_code == shipment.c.code, _underway)
    .scalar_subquery()
    .label("underway")
)
_elsewhere = (
    exists(select(1))
    .where(hold.c.scope_kind == HoldScope.SHIPMENT.value, hold.c.scope_id == shipment.c.code)
    .where(hold.c.reason == ELSEWHERE.reason)
    .label("elsewhere")
)


def visible(actor: Actor) -> ColumnElement[bool]:
    """Who may know of a shipment: whoever may read specimens at one of its ends."""
    return actor.scope(Permission.SPECIMEN_READ).of(shipment.c.from_site, shipment.c.to_site)


def get_shipment(session: Session, actor: Actor, code: str, *, lock: bool = False) -> Any:
    """Return the row of a shipment the actor may know of; raise NotFound otherwise (also when it exists)."""
    statement = select(shipment).where(shipment.c.code == code, visible(actor))
    row = session.execute(locked(statement, shipment) if lock else statement).first()
    if row is None:
        raise NotFound(f"There is no shipment {code} that you may see. Scan its label again.", subject=code)
    return row


def row_of(session: Session, code: str) -> Any:
    """Return the row of a shipment for the bank's own work: whoever asks has its specimens in hand."""
    return session.execute(select(shipment).where(shipment.c.code == code)).one()


def read_shipment(session: Session, actor: Actor, code: str) -> ShipmentDetail:
    """Answer GET /shipments/{code}: the manifest."""
    get_shipment(session, actor, code)
    return detail_of(session, code)


ORDERS = {"dispatched_at": shipment.c.dispatched_at, "code": shipment.c.code}


def list_shipments(
    session: Session,
    actor: Actor,
    *,
    site: str | None = None,
    status: Status | None = None,
    specimen: str | None = None,
    paging: Paging = Paging(),
) -> ShipmentList:
    """Return shipments the actor may know of, newest first. `site`: one of its ends."""
    statement = select(shipment, _specimens, _still_out, _elsewhere).where(visible(actor))
    if site is not None:
        statement = statement.where(or_(shipment.c.from_site == site, shipment.c.to_site == site))
    if specimen is not None:
        statement = statement.where(shipment.c.code.in_(select(item.c.shipment_code).where(item.c.specimen_code == specimen)))
    if status == "closed":
        statement = statement.where(shipment.c.closed_at.is_not(None))
    elif status is not None:
        out = _still_out.element > 0 if status == "in_transit" else _still_out.element == 0
        statement = statement.where(shipment.c.closed_at.is_(None), out)
    page = read_page(session, statement, paging, key=shipment.c.code, orders=ORDERS, default="-dispatched_at")
    return ShipmentList(items=[_public(row) for row in page.rows], **page.ends)


def manifest_of(session: Session, code: str) -> list[ManifestLine]:
    """Return the lines of a shipment by specimen, as the specimens stand now."""
    rows = session.execute(
        select(item.c.specimen_code, item.c.issued_for, item.c.box, custody.c.state, _underway.label("underway"))
        .select_from(item.join(custody, custody.c.code == item.c.specimen_code))
        .where(item.c.shipment_code == code)
        .order_by(item.c.specimen_code)
    )
    return [
        ManifestLine(specimen=r.specimen_code, state=r.state, underway=bool(r.underway), box=r.box, issued_for=r.issued_for)
        for r in rows
    ]


def kinds_inside(session: Session, code: str) -> list[tuple[str, str]]:
    """Return material and condition of everything on the manifest of a shipment."""
    rows = session.execute(
        select(specimen_table.c.material, custody.c.condition)
        .select_from(
            item.join(custody, custody.c.code == item.c.specimen_code).join(
                specimen_table, specimen_table.c.code == item.c.specimen_code
            )
        )
        .where(item.c.shipment_code == code)
        .distinct()
    )
    return [(row.material, row.condition) for row in rows]


def detail_of(session: Session, code: str) -> ShipmentDetail:
    """Return a shipment with its manifest; the caller has checked that the actor may know of it."""
    row = session.execute(select(shipment, _specimens, _still_out, _elsewhere).where(shipment.c.code == code)).one()
    return ShipmentDetail(**_public(row).model_dump(), manifest=manifest_of(session, code), boxes=boxes_of(session, code))


def _public(row: Any) -> ShipmentPublic:
    status: Status = "closed" if row.closed_at is not None else "in_transit" if row.underway else "nothing_underway"
    names = [n for n in ShipmentPublic.model_fields if n != "status"]
    return ShipmentPublic(status=status, **{name: getattr(row, name) for name in names})
