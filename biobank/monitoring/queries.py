"""Questions about excursions. Whoever may know of the place may know of its excursions: where it stood, and where it stands."""

import hashlib
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select, true, update
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.ledger import Appended
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.monitoring.limits_met import last_read
from biobank.monitoring.models import excursion, excursion_item, reading
from biobank.monitoring.presence import own_cold_inside
from biobank.monitoring.schemas import AffectedDonor, AffectedSpecimen, ExcursionDetail, ExcursionList, ExcursionPublic
from biobank.monitoring.spans import Span
from biobank.specimens.models import specimen
from biobank.storage.models import storage_container
from biobank.storage.queries import tubes_inside

SHOWN = 1000
ORDERS = {"began_at": excursion.c.began_at, "container": excursion.c.container_code}

_standing = excursion_item.c.removed_at.is_(None)
_left = func.count().filter(excursion_item.c.decision.is_(None)).label("to_assess")
_set = excursion_item.join(custody, custody.c.code == excursion_item.c.specimen_code)
_COUNTED = (
    select(
        excursion_item.c.excursion_code,
        func.count().label("specimens"),
        func.count(custody.c.donor_code.distinct()).label("donors"),
        _left,
        func.max(func.greatest(excursion_item.c.included_at, excursion_item.c.assessed_at)).label("changed_at"),
    )
    .select_from(_set)
    .where(excursion_item.c.excursion_code.in_(bindparam("codes", expanding=True)), _standing)
    .group_by(excursion_item.c.excursion_code)
)
_of_code = excursion_item.c.excursion_code == bindparam("code")
_BY_DONOR = (
    select(custody.c.donor_code.label("donor"), func.count().label("specimens"), _left)
    .select_from(_set)
    .where(_of_code, _standing)
    .group_by(custody.c.donor_code)
    .order_by(custody.c.donor_code)
)
_ITEMS = (
    select(
        excursion_item.c.specimen_code.label("specimen"),
        custody.c.donor_code.label("donor"),
        excursion_item.c.since,
        custody.c.state,
        custody.c.site_code.label("site"),
        excursion_item.c.decision,
    )
    .select_from(_set)
    .where(_of_code, _standing)
    .order_by(custody.c.donor_code, excursion_item.c.specimen_code)
    .limit(SHOWN)
)
_LEFT = (
    select(custody.c.code, func.coalesce(custody.c.site_code, specimen.c.home_site_code).label("site"))
    .select_from(_set.join(specimen, specimen.c.code == custody.c.code))
    .where(_of_code, _standing, excursion_item.c.decision.is_(None))
    .order_by(custody.c.code)
)


def _known_to(actor: Actor) -> ColumnElement[bool]:
    scope, of = actor.scope(Permission.SPECIMEN_READ), storage_container.c
    if scope.everywhere:
        return true()
    return or_(scope.of(excursion.c.site_code), excursion.c.container_code.in_(select(of.code).where(scope.of(of.site_code))))


def get_excursion(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return an excursion's row; raise NotFound when the actor may not know of it."""
    statement = select(excursion).where(excursion.c.code == code, _known_to(actor))
    row = session.execute(locked(statement, excursion) if lock else statement).first()
    if row is None:
        raise NotFound(f"There is no excursion {code} that you may see.", subject=code)
    return row


def _public(session: Session, rows: "list[Row[Any]]") -> list[ExcursionPublic]:
    codes = [row.code for row in rows]
    counts = {one.excursion_code: one for one in session.execute(_COUNTED, {"codes": codes})} if codes else {}
    found = []
    for row in rows:
        one = counts.get(row.code)
        numbers = {} if one is None else {name: getattr(one, name) for name in ("specimens", "donors", "to_assess")}
        same = ("code", "began_at", "last_at", "ended_at", "worst", "by_limit", "annulled_at", "hold_id")
        of_row = {name: getattr(row, name) for name in same} | asdict(Span.of(row).gravest)
        seen = hashlib.sha256(repr((of_row, numbers, one and one.changed_at)).encode()).hexdigest()
        found.append(ExcursionPublic(container=row.container_code, site=row.site_code, seen=seen, **of_row, **numbers))
    return found


def seen_now(session: Session, row: "Row[Any]") -> str:
    """Return `ExcursionPublic.seen` of a row."""
    return _public(session, [row])[0].seen


def list_excursions(
    session: Session, actor: Actor, *, container: str | None = None, site: str | None = None, paging: Paging = Paging()
) -> ExcursionList:
    """Return excursions the actor may know of, newest first. Three statements."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    statement = select(excursion).where(_known_to(actor))
    for column, value in (("container_code", container), ("site_code", site)):
        if value is not None:
            statement = statement.where(excursion.c[column] == value)
    page = read_page(session, statement, paging, key=excursion.c.code, orders=ORDERS, default="-began_at")
    return ExcursionList(items=_public(session, list(page.rows)), **page.ends)


def read_excursion(session: Session, actor: Actor, code: str) -> ExcursionDetail:
    """Return one with its donors and specimens."""
    row = get_excursion(session, actor, code)
    (public,) = _public(session, [row])
    apart = own_cold_inside(session, row.container_code, row.began_at, row.last_at)
    donors = [AffectedDonor(**one._mapping) for one in session.execute(_BY_DONOR, {"code": code})]
    items = [AffectedSpecimen(**one._mapping) for one in session.execute(_ITEMS, {"code": code})]
    return ExcursionDetail(**public.model_dump(), keep_their_own_cold=apart, by_donor=donors, items=items)


def to_assess(
    session: Session, code: str, *, specimens: list[str] | None = None, donors: list[str] | None = None
) -> "list[Row[Any]]":
    """Return code and site of what is left to assess, of a group when one is named."""
    statement = _LEFT
    for column, named in ((custody.c.code, specimens), (custody.c.donor_code, donors)):
        if named is not None:
            statement = statement.where(column.in_(named))
    return list(session.execute(statement, {"code": code}))


def entries_behind(session: Session, row: "Row[Any]") -> set[bytes]:
    """Return the entries of the readings that people entered within an excursion (its row), of the one that ended it, and of what
    was read last before a limit began it.
    """
    of = reading.c
    by_people = (of.container_code == row.container_code, of.sensor_code.is_(None), of.withdrawn_at.is_(None))
    within = (of.at >= row.began_at, of.at <= (row.ended_at or row.last_at))
    rows = session.execute(select(of.event_hash).where(*by_people, *within))
    before = last_read(session, row.container_code, row.began_at) if row.by_limit else []
    return {bytes(leaf) for leaf in rows.scalars()} | {bytes(one.event_hash) for one in before if one.sensor_code is None}


def is_still_inside(session: Session, row: "Row[Any]") -> bool:
    """Say whether something of the set is still in the container."""
    inside = tubes_inside(session, row.container_code)
    return not {one.code for one in inside}.isdisjoint(
        one.specimen for one in session.execute(_ITEMS.limit(None), {"code": row.code})
    )


def keep_assessment(session: Session, code: str, specimens: list[str], decision: str, event: Appended, at: Any) -> None:
    """Write what was decided of a group."""
    session.execute(
        update(excursion_item)
        .where(excursion_item.c.excursion_code == code, excursion_item.c.specimen_code.in_(specimens))
        .values(decision=decision, assessed_at=at, assessed_event=event.leaf_hash)
    )


def excursions_to_assess(session: Session, actor: Actor, limit: int) -> "list[Row[Any]]":
    """Return code, container, ended_at and to_assess of excursions that are over and left something to assess, the oldest
    first, of the places where the actor assesses.
    """
    scope = actor.scope(Permission.HOLD_LIFT)
    statement = (
        select(excursion.c.code, excursion.c.container_code, excursion.c.ended_at, _left)
        .join(excursion_item, excursion_item.c.excursion_code == excursion.c.code)
        .where(excursion.c.annulled_at.is_(None), excursion.c.ended_at.is_not(None), scope.of(excursion.c.site_code))
        .where(_standing, excursion_item.c.decision.is_(None))
        .group_by(excursion.c.code, excursion.c.container_code, excursion.c.ended_at)
        .order_by(excursion.c.ended_at, excursion.c.code)
        .limit(limit)
    )
    return list(session.execute(statement))
