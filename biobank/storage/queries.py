"""Questions about places. Containers are visible to everyone who may read specimens, manage or record storage at their site."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Row, case, false, func, or_, select, text, true, union_all
from sqlalchemy import column as sql_column
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import site as site_table
from biobank.auth.permissions import Permission
from biobank.auth.scope import Scope
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.donors.models import donor as donors
from biobank.foundation.errors import NotFound
from biobank.foundation.names import name_key
from biobank.foundation.paging import Paging, read_page
from biobank.storage.allocation import Slot
from biobank.storage.grid import cell_of
from biobank.storage.models import storage_container as container
from biobank.storage.models import storage_position as position
from biobank.storage.rules import COOLING, Standing, keeps_its_own_cold, standing_of, takes_everything
from biobank.storage.schemas import ContainerList, ContainerPublic
from biobank.transparency.models import event

SEEING = (Permission.SPECIMEN_READ, Permission.STORAGE_MANAGE)

_DESCRIBED = text(
    """
    WITH RECURSIVE below AS (
        SELECT code AS top, code FROM storage_container WHERE code = ANY(:codes)
        UNION ALL
        SELECT below.top, c.code FROM below JOIN storage_container c ON c.parent_code = below.code
    ), above AS (
        SELECT code AS start, parent_code, name, purpose, 0 AS depth FROM storage_container WHERE code = ANY(:codes)
        UNION ALL
        SELECT above.start, c.parent_code, c.name, c.purpose, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.parent_code WHERE above.depth < 32
    ), counted AS (
        SELECT top,
               sum((SELECT count(*) FROM storage_position p WHERE p.container_code = below.code)) AS positions,
               sum((SELECT count(*) FROM custody k WHERE k.container_code = below.code)) AS occupied
        FROM below GROUP BY top
    ), outwards AS (
        SELECT start, array_agg(name ORDER BY depth DESC) AS names, array_agg(purpose ORDER BY depth DESC) AS purposes
        FROM above GROUP BY start
    )
    SELECT top AS code, positions, occupied, names, purposes FROM counted JOIN outwards ON start = top
    """
)
DESCRIBED = _DESCRIBED.columns(*map(sql_column, ("code", "positions", "occupied", "names", "purposes"))).subquery("described")
"""The same as a table, for who reads it beside the rows of the containers `:codes`."""

_PATHS = text(
    """
    WITH RECURSIVE above AS (
        SELECT code AS start, code, parent_code, name, purpose, 0 AS depth FROM storage_container WHERE code = ANY(:codes)
        UNION ALL
        SELECT above.start, c.code, c.parent_code, c.name, c.purpose, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.parent_code WHERE above.depth < 32
    )
    SELECT start, code, name, purpose FROM above ORDER BY start, depth DESC
    """
)


def places_seen(actor: Actor) -> Scope:
    """Return the scope of the containers the actor may see."""
    return actor.scope(*SEEING)


def quarantine_at(session: Session, site: str) -> list[str]:
    """Return the codes of up to three quarantine places in use at a site: where what may not be used goes now."""
    here = (container.c.site_code == site, container.c.purpose == "quarantine", container.c.active)
    return list(
        session.execute(select(container.c.code).where(*here).order_by(container.c.name_key, container.c.code).limit(3)).scalars()
    )


def safe_places(session: Session, codes: Sequence[str]) -> set[str]:
    """Return which of these containers and positions take everything, whoever may see them."""
    inside = {
        row.code: row.container_code
        for row in session.execute(select(position.c.code, position.c.container_code).where(position.c.code.in_(codes)))
    }
    rows = session.execute(select(container).where(container.c.code.in_({*codes, *inside.values()}))).all()
    safe = {one.code for one in public_containers(session, rows) if one.safe}
    return safe | {code for code, box in inside.items() if box in safe}


def get_container(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return a container's row; raise NotFound when the actor may not know of it."""
    statement = select(container).where(container.c.code == code)
    if lock:
        statement = locked(statement, container)
    row = session.execute(statement).first()
    if row is None or not places_seen(actor).covers(row.site_code):
        raise NotFound(f"There is no storage container {code} that you may see. Scan its label again.", subject=code)
    return row


def names_of_places(session: Session, actor: Actor, codes: Collection[str]) -> dict[str, str]:
    """Return what containers and positions are called ("Box 2 in Rack 1", "B1 of Box 2"), of those the actor may see, by code."""
    place, inside = container.alias("place"), container.alias("inside")
    of_box = select(position.c.code, place.c.site_code, (position.c.label + " of " + place.c.name).label("name")).join(
        place, place.c.code == position.c.container_code
    )
    around = func.concat(place.c.name, case((inside.c.name.is_not(None), " in "), else_=""), inside.c.name)
    itself = select(place.c.code, place.c.site_code, around.label("name")).outerjoin(inside, inside.c.code == place.c.parent_code)
    wanted = sorted(codes)
    found = of_box.where(position.c.code.in_(wanted)).union_all(itself.where(place.c.code.in_(wanted)))
    seen = places_seen(actor)
    return {row.code: row.name for row in session.execute(found) if seen.covers(row.site_code)}


def public_containers(session: Session, rows: Sequence["Row[Any]"]) -> list[ContainerPublic]:
    """Turn container rows into wire shapes with path and occupancy: one statement however many rows."""
    codes = [r.code for r in rows]
    found = {one.code: one for one in session.execute(_DESCRIBED, {"codes": codes})} if codes else {}
    return [public_container(r, found[r.code]) for r in rows]


def public_container(r: "Row[Any]", described: "Row[Any]") -> ContainerPublic:
    """Turn a container's row and its row of `DESCRIBED`, which may be one, into its wire shape. Pure."""
    return ContainerPublic(
        code=r.code,
        site=r.site_code,
        parent=r.parent_code,
        kind=r.kind,
        name=r.name,
        purpose=r.purpose,
        temperature_class=r.temperature_class,
        highest_mc=r.highest_mc,
        rows=r.rows,
        cols=r.cols,
        isolated=r.isolated,
        active=r.active,
        lifted_at=r.lifted_at,
        path=[r.site_code, *described.names],
        safe=takes_everything(described.purposes),
        positions=int(described.positions),
        occupied=int(described.occupied),
    )


ORDERS = {"code": container.c.code, "name": container.c.name_key}


def name_of(session: Session, code: str) -> str:
    """Return the name of a container."""
    return str(session.execute(select(container.c.name).where(container.c.code == code)).scalar_one())


def path_of(session: Session, code: str) -> list[str]:
    """Return the names of a container and of everything it stands in, the outermost first."""
    return paths_of(session, [code]).get(code, [])


def paths_of(session: Session, codes: Sequence[str]) -> dict[str, list[str]]:
    """Do the same for several containers, by their codes."""
    found: dict[str, list[str]] = {}
    for row in session.execute(_PATHS, {"codes": list(codes)}):
        found.setdefault(row.start, []).append(row.name)
    return found


def list_containers(
    session: Session,
    actor: Actor,
    *,
    site: str | None = None,
    parent: str | None = None,
    kind: str | None = None,
    purpose: str | None = None,
    root: bool = False,
    paging: Paging = Paging(),
) -> ContainerList:
    """Return containers by name as people count, filtered; `root` asks for those without a parent."""
    statement = select(container).where(places_seen(actor).of(container.c.site_code))
    for column, value in (("site_code", site), ("parent_code", parent), ("kind", kind), ("purpose", purpose)):
        if value is not None:
            statement = statement.where(container.c[column] == value)
    if root:
        statement = statement.where(container.c.parent_code.is_(None))
    page = read_page(session, statement, paging, key=container.c.code, orders=ORDERS, default="name")
    return ContainerList(items=public_containers(session, page.rows), **page.ends)


def places_holding_others(session: Session, actor: Actor, most: int) -> list[ContainerPublic] | None:
    """Return what rooms, tanks, racks and shelves there are, by path; None where there are more than `most` of them."""
    statement = select(container).where(
        places_seen(actor).of(container.c.site_code), container.c.kind != "box", container.c.active, container.c.rows.is_(None)
    )
    rows = session.execute(statement.limit(most + 1)).all()
    if len(rows) > most:
        return None
    return sorted(public_containers(session, rows), key=lambda one: [name_key(name) for name in one.path])


def read_container(session: Session, actor: Actor, code: str) -> ContainerPublic:
    """Return one container."""
    return public_containers(session, [get_container(session, actor, code)])[0]


def slots_of(session: Session, code: str) -> list[tuple[Slot, bool]]:
    """Return the positions of a container row by row, each with whether no tube has it; lock its row to rely on it."""
    return slots_of_many(session, [code])[code]


def slots_of_many(session: Session, codes: Sequence[str]) -> dict[str, list[tuple[Slot, bool]]]:
    """Do the same for several containers, by their codes."""
    rows = session.execute(
        select(position, custody.c.code.is_(None).label("free"))
        .select_from(position.outerjoin(custody, custody.c.position_code == position.c.code))
        .where(position.c.container_code.in_(codes))
        .order_by(position.c.container_code, position.c.row, position.c.col)
    )
    found: dict[str, list[tuple[Slot, bool]]] = {code: [] for code in codes}
    for r in rows:
        found[r.container_code].append((Slot(r.row, r.col, r.code, r.label, r.blocked, r.kept_for), r.free))
    return found


def free_slots(session: Session, code: str) -> list[Slot]:
    """Return the positions that any tube may have, of a container whose row the caller has locked."""
    return [slot for slot, free in slots_of(session, code) if free and slot.blocked is None and slot.kept_for is None]


def loose_in(session: Session, code: str) -> set[str]:
    """Return the tubes that are in a container itself with their slot unknown."""
    return set(
        session.execute(
            select(custody.c.code).where(custody.c.container_code == code, custody.c.position_code.is_(None))
        ).scalars()
    )


def loose_counts(session: Session, codes: Sequence[str]) -> dict[str, int]:
    """Return how many tubes with their slot unknown are in each of these containers; those without any are absent."""
    inside = (custody.c.container_code.in_(codes), custody.c.position_code.is_(None))
    rows = session.execute(
        select(custody.c.container_code, func.count().label("tubes")).where(*inside).group_by(custody.c.container_code)
    )
    return {row.container_code: row.tubes for row in rows}


def stored_without_a_slot(session: Session, actor: Actor, limit: int) -> "Sequence[Row[Any]]":
    """Return code, box and last time of tubes that are in a box of slots and in none of them, where the actor records storage.

    One that stands in a quarantine or evacuation place waits for a decision, not for its slot.
    """
    return session.execute(
        select(custody.c.code, custody.c.container_code, custody.c.last_occurred_at)
        .join(container, container.c.code == custody.c.container_code)
        .where(
            custody.c.state == "stored",
            custody.c.position_code.is_(None),
            container.c.rows.is_not(None),
            container.c.purpose == "storage",
            actor.scope(Permission.STORAGE_RECORD).of(container.c.site_code),
        )
        .order_by(custody.c.last_occurred_at, custody.c.code)
        .limit(limit)
    ).all()


def _with_all_inside(which: ColumnElement[bool], name: str) -> CTE:
    """The codes of some containers and of everything in them."""
    of = select(container.c.code).where(which).cte(name, recursive=True)
    inner = container.alias()
    return of.union(select(inner.c.code).join(of, inner.c.parent_code == of.c.code))


def kept_with_others(session: Session, scope: Scope, *, donor: str | None = None, limit: int | None = None) -> Any:
    """Return code, container_code, last_occurred_at and infectious of stored tubes that may not stand where they do: infectious
    material among other, or other in an isolated place (`rules.KeptApart`). Where everything is taken nothing is named.
    """
    apart = _with_all_inside(container.c.isolated, "apart")
    safe = _with_all_inside(container.c.purpose != "storage", "safe")
    of = custody.c
    found = (
        select(of.code, of.container_code, of.donor_code, of.last_occurred_at)
        .join_from(custody, container, container.c.code == of.container_code)
        .where(of.state == "stored", scope.of(container.c.site_code), of.container_code.not_in(select(safe.c.code)))
    )
    infectious, isolated = select(donors.c.code).where(donors.c.kept_apart), select(apart.c.code)
    among = found.add_columns(true().label("infectious")).where(of.donor_code.in_(infectious), of.container_code.not_in(isolated))
    alone = found.add_columns(false().label("infectious")).where(
        of.container_code.in_(isolated), or_(of.donor_code.is_(None), of.donor_code.not_in(infectious))
    )
    wrong = union_all(among, alone).subquery()
    statement = select(wrong).order_by(wrong.c.last_occurred_at, wrong.c.code).limit(limit)
    return session.execute(statement if donor is None else statement.where(wrong.c.donor_code == donor)).all()


def box_named(code: str) -> str:
    """Return SQL for the container that a code in SQL names: itself, or the one that a slot is in."""
    return f"coalesce((SELECT p.container_code FROM storage_position p WHERE p.code = {code}), {code})"  # noqa: S608 - our own


def boxes_named(session: Session, codes: Iterable[str]) -> dict[str, str]:
    """Return the container of each code: itself, or the one that a slot is in. One statement."""
    rows = session.execute(select(position.c.code, position.c.container_code).where(position.c.code.in_(sorted(codes))))
    return {code: code for code in codes} | {row.code: row.container_code for row in rows}


def find_position(session: Session, container_code: str | None, place: str) -> "Row[Any] | None":
    """Return a position by its PS- code, or by its label in a container; None when there is none."""
    if place.upper().startswith("PS-"):
        statement = select(position).where(position.c.code == place.upper())
        if container_code is not None:
            statement = statement.where(position.c.container_code == container_code)
        return session.execute(statement).first()
    try:
        row, col = cell_of(place)
    except ValueError:
        return None
    if container_code is None:
        return None
    return session.execute(
        select(position).where(position.c.container_code == container_code, position.c.row == row, position.c.col == col)
    ).first()


_OF_CHAINS = ("start", "depth", "code", "kind", "purpose", "temperature_class", "isolated", "lifted_at", "site_code")
_ABOVE = text(
    """
    WITH RECURSIVE above AS (
        SELECT code AS start, code, 0 AS depth FROM storage_container WHERE code = ANY(:codes)
        UNION ALL
        SELECT above.start, CASE WHEN c.code = :moved THEN :target ELSE c.parent_code END, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.code
        WHERE above.depth < 32 AND (c.parent_code IS NOT NULL OR c.code = :moved)
    )
    SELECT above.start, above.depth, c.code, c.kind, c.purpose, c.temperature_class, c.isolated, c.lifted_at, c.site_code
    FROM above JOIN storage_container c ON c.code = above.code
    """
)
_CHAINS = _ABOVE.columns(*(sql_column(one) for one in _OF_CHAINS)).subquery("chains")
IN_CHAIN: ColumnElement[str] = _CHAINS.c.code
"""Each container of a chain, for what `chains_of` is asked to read beside it."""


def standings_of(
    session: Session, codes: Sequence[str], *, moved: str | None = None, target: str | None = None
) -> dict[str, Standing]:
    """Return what each container is with everything it stands in; with `moved` as it will be once that one is in `target`."""
    return {code: standing_of(chain) for code, chain in chains_of(session, codes, moved=moved, target=target).items()}


def chains_of(
    session: Session,
    codes: Sequence[str],
    *,
    moved: str | None = None,
    target: str | None = None,
    beside: Sequence[ColumnElement[Any]] = (),
) -> dict[str, list[Any]]:
    """Return each container and everything it stands in, from the inside out, as `standings_of` reads them.

    `beside`: what else to read of each, as columns over `IN_CHAIN`.
    """
    chains: dict[str, list[Any]] = {}
    statement = (
        select(_CHAINS, site_table.c.kind.label("site_kind"), *beside)
        .join(site_table, site_table.c.code == _CHAINS.c.site_code)
        .order_by(_CHAINS.c.start, _CHAINS.c.depth)
    )
    for row in session.execute(statement, {"codes": list(codes), "moved": moved, "target": target}):
        chains.setdefault(row.start, []).append(row)
    return chains


_INSIDE = text(
    """
    WITH RECURSIVE below AS (
        SELECT CAST(:code AS text) AS code
        UNION ALL
        SELECT c.code FROM below JOIN storage_container c ON c.parent_code = below.code
    )
    SELECT k.code, k.container_code, k.state FROM custody k JOIN below ON below.code = k.container_code ORDER BY k.code
    """
)


def tubes_inside(session: Session, code: str) -> "Sequence[Row[Any]]":
    """Return code, container_code and state of every specimen in a container or anywhere below it, by code."""
    return session.execute(_INSIDE, {"code": code}).all()


def settled_at(session: Session, codes: Sequence[str]) -> dict[str, datetime]:
    """Return when each tube's state last changed: since when it is where it is."""
    rows = session.execute(
        select(custody.c.code, event.c.occurred_at)
        .join(
            event,
            (event.c.stream_kind == "specimen") & (event.c.stream_id == custody.c.code) & (event.c.seq == custody.c.state_seq),
        )
        .where(custody.c.code.in_(sorted(codes)))
    )
    return {row.code: row.occurred_at for row in rows}


def specimens_inside(session: Session, code: str) -> list[str]:
    """Return the codes of every specimen in a container or anywhere below it."""
    return [row.code for row in tubes_inside(session, code)]


def containers_below(session: Session, code: str) -> set[str]:
    """Return the codes of a container and of everything below it."""
    rows = session.execute(
        text(
            """
            WITH RECURSIVE below AS (
                SELECT CAST(:code AS text) AS code
                UNION ALL
                SELECT c.code FROM below JOIN storage_container c ON c.parent_code = below.code
            )
            SELECT code FROM below
            """
        ),
        {"code": code},
    ).scalars()
    return set(rows)


def own_cold(session: Session) -> list[str]:
    """Return the containers that keep their own cold (`rules.keeps_its_own_cold`)."""
    of = container.c
    rows = session.execute(select(of.code, of.kind, of.temperature_class).where(of.kind.in_(COOLING)))
    return [row.code for row in rows if keeps_its_own_cold(row.kind, row.temperature_class)]
