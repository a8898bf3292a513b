"""Questions about hand-overs. Those who give, those who take, and whoever may know every specimen of it may read one."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.donors.models import donor
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.shipping.models import Handover, HandoverItem
from biobank.shipping.schemas import HandoverList, HandoverPublic
from biobank.specimens.models import specimen

handover = table_of(Handover)
item = table_of(HandoverItem)


def get_handover(session: Session, actor: Actor, handover_id: UUID, *, lock: bool = False) -> tuple[Any, list[Any]]:
    """Return a hand-over the actor may know of and its items by specimen; raise NotFound otherwise (also when it exists)."""
    statement = select(handover).where(handover.c.id == handover_id, visible(actor))
    row = session.execute(locked(statement, handover) if lock else statement).first()
    if row is None:
        raise NotFound(f"There is no hand-over {handover_id} that you may see.", subject=str(handover_id))
    items = session.execute(select(item).where(item.c.handover_id == row.id).order_by(item.c.specimen_code)).all()
    return row, list(items)


def read_handover(session: Session, actor: Actor, handover_id: UUID) -> HandoverPublic:
    """Answer GET /handovers/{id}."""
    row, _items = get_handover(session, actor, handover_id)
    return public_of(session, [row])[0]


ORDERS = {"offered_at": handover.c.offered_at, "expires_at": handover.c.expires_at}


def list_handovers(
    session: Session,
    actor: Actor,
    *,
    waiting: Literal["me"] | None = None,
    specimen: str | None = None,
    paging: Paging = Paging(),
) -> HandoverList:
    """Return hand-overs the actor may know of, newest first. `waiting=me`: open offers that the actor can accept."""
    statement = select(handover).where(visible(actor))
    if waiting is not None:
        statement = statement.where(handover.c.ended_at.is_(None), _addressed_to(actor), handover.c.offered_by != actor.code)
    if specimen is not None:
        of_it = select(item.c.handover_id).where(item.c.specimen_code == specimen)
        statement = statement.where(handover.c.id.in_(of_it))
    page = read_page(session, statement, paging, key=handover.c.id, orders=ORDERS, default="-offered_at")
    return HandoverList(items=public_of(session, page.rows), **page.ends)


def public_of(session: Session, rows: Sequence[Any]) -> list[HandoverPublic]:
    """Turn rows into their wire shape."""
    lines = session.execute(
        select(item.c.handover_id, item.c.specimen_code)
        .where(item.c.handover_id.in_([row.id for row in rows]))
        .order_by(item.c.specimen_code)
    ).all()
    names = [n for n in HandoverPublic.model_fields if n not in ("id", "status", "specimens")]
    return [
        HandoverPublic(
            id=str(row.id),
            status=_status(row),
            specimens=[line.specimen_code for line in lines if line.handover_id == row.id],
            **{name: getattr(row, name) for name in names},
        )
        for row in rows
    ]


def overdue_offers(session: Session, codes: Collection[str], at: datetime) -> frozenset[str]:
    """Return which of these specimens stand in an offer whose time has passed: a new offer ends it."""
    statement = (
        select(item.c.specimen_code)
        .join(handover, handover.c.id == item.c.handover_id)
        .where(item.c.specimen_code.in_(codes), item.c.open, handover.c.ended_at.is_(None), handover.c.expires_at <= at)
    )
    return frozenset(session.execute(statement).scalars())


def _status(row: Any) -> Literal["offered", "accepted", "declined", "expired"]:
    if row.accepted_at is not None:
        return "accepted"
    if row.declined_at is not None:
        return "declined"
    return "offered" if row.expired_at is None else "expired"


def _addressed_to(actor: Actor) -> ColumnElement[bool]:
    mine = and_(handover.c.to_kind == "user", handover.c.to_id == actor.code)
    return or_(mine, and_(handover.c.to_kind == "site", actor.scope(Permission.HANDOVER_TAKE).of(handover.c.to_id)))


def visible(actor: Actor) -> ColumnElement[bool]:
    """Who may know of a hand-over: its giver, its receiver, and who may know every specimen of it."""
    scope = actor.scope(Permission.SPECIMEN_READ)
    if scope.everywhere:
        return true()
    known = scope.of(custody.c.site_code, specimen.c.home_site_code, donor.c.clinic_site_code).is_(True)
    hidden = exists(
        select(1)
        .select_from(
            item.join(custody, custody.c.code == item.c.specimen_code)
            .join(specimen, specimen.c.code == custody.c.code)
            .outerjoin(donor, donor.c.code == custody.c.donor_code)
        )
        .where(item.c.handover_id == handover.c.id, ~known)
    )
    return or_(handover.c.offered_by == actor.code, _addressed_to(actor), ~hidden)
