"""Boxes as they look from above: every cell with its tube, and tubes whose slot is unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, null, select, text, union_all
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.chronology import require_not_ahead
from biobank.custody.entry import parse_entry
from biobank.custody.event import rules
from biobank.custody.hold_coverage import holds_on
from biobank.custody.holds_then import holds_then, places_around, stays_of
from biobank.custody.legality import ActiveHold, Snapshot
from biobank.custody.models import custody
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.errors import NotFound
from biobank.specimens.models import specimen
from biobank.storage.blindness import WAITING, require_shown, withheld_for
from biobank.storage.models import storage_container as container_table
from biobank.storage.models import storage_position as position
from biobank.storage.naming import name_then
from biobank.storage.queries import DESCRIBED, get_container, places_seen, public_container, public_containers
from biobank.storage.rules import takes_everything
from biobank.storage.schemas import ContainerMap, ContainerPublic, SlotPublic
from biobank.storage.slots import marks_then
from biobank.transparency.models import event
from biobank.vault import Keystore


def map_of(session: Session, actor: Actor, code: str) -> ContainerMap:
    """Return one container as it looks; raise NotFound when the actor may not know of it, ContentsWithheld."""
    row = get_container(session, actor, code)
    require_shown(session, actor, code)
    return _maps(session, [row])[0]


def map_around(session: Session, actor: Actor, specimen: Snapshot) -> tuple[ContainerMap | None, Snapshot]:
    """Return the box that a specimen is in, None where it is in none that the actor may know of, or that waits to be counted
    blind; and the specimen with its holds.

    The holds on everything in a box are found by one question, the specimen's own among them.
    """
    code = specimen.projection.container_code
    row = None if code is None else session.execute(_AROUND, {"codes": [code], "who": actor.code}).first()
    # It may stand at a site whose places this login may not see.
    shown = row is not None and places_seen(actor).covers(row.site_code) and not withheld_for(actor, row.waiting or ())
    cells = _cells(session, [row.code]) if row is not None and shown else []
    held = holds_on(session, {specimen.code, *(c.specimen_code for c in cells if c.specimen_code is not None)})
    box = _drawn(public_container(row, row), cells, held) if row is not None and shown else None
    return box, replace(specimen, holds=held[specimen.code])


_AROUND = select(container_table, DESCRIBED, WAITING.label("waiting")).join(DESCRIBED, DESCRIBED.c.code == container_table.c.code)


def map_as_of(
    session: Session, actor: Actor, keystore: Keystore, code: str, at: datetime | None, as_known_at: datetime | None
) -> ContainerMap:
    """Return the box as it looked at `at`, as known at `as_known_at`: what its tubes' own records put into it by then.

    Every tube that was ever put into it is read from the log; its site, names, the marks of slots and whether it was lifted are
    those of then. Slots are drawn as the box is built now. Raises NotFound, ContentsWithheld.
    """
    require_not_ahead(at, as_known_at)
    row = get_container(session, actor, code)
    require_shown(session, actor, code)
    now = clock.now()
    when, known_by = at or now, as_known_at or now
    if not _stood(session, code, when, known_by):
        raise NotFound(f"Nothing was recorded of {code} by then.", subject=code)
    ever = session.execute(_EVER_IN, {"code": code, "at": when}).scalars().all()
    told = {one: list(steps_of(entries_of(session, one, at=at, as_known_at=as_known_at))) for one in ever}
    inside = {one: steps[-1][1] for one, steps in told.items() if steps and steps[-1][1].container_code == code}
    (drawn,) = _maps(session, [row])
    by_slot = {then.position_code: (one, then) for one, then in inside.items() if then.position_code is not None}
    known = {s.code: s for s in load(session, inside).values()}
    marks = marks_then(session, code, when, known_by)
    slots = []
    for slot in drawn.slots:
        blocked, kept_for = marks.get(slot.position, (None, None))
        one, then = by_slot.get(slot.position, (None, None))
        slots.append(
            slot.model_copy(
                update={
                    "specimen": one,
                    "state": None if then is None else then.state,
                    "material": known[one].material if one is not None else None,
                    "reserved_for": None if then is None else then.reserved_for,
                    "held": one is not None and bool(holds_then(session, one, stays_of(told[one]), when, known_by)),
                    "blocked": blocked,
                    "kept_for": kept_for,
                }
            )
        )
    outwards = places_around.get()(session, code, when, known_by)
    names = [name_then(session, keystore, outer, when, known_by) for outer in outwards]
    site = site_of_root(session, outwards[-1]) or row.site_code
    below = below_then(session, code, when, known_by)
    positions, others = _counted_then(session, sorted(below - {code}), when, known_by)
    container = drawn.container.model_copy(
        update={
            "name": names[0],
            "path": [site, *reversed(names)],
            "site": site,
            "parent": outwards[1] if len(outwards) > 1 else None,
            "lifted_at": _lifted_then(session, code, when, known_by),
            "highest_mc": _highest_then(session, code, when, known_by),
            "safe": takes_everything(_purposes(session, outwards)),
            "positions": len(drawn.slots) + positions,
            "occupied": len(inside) + others,
        }
    )
    loose = sorted(one for one, then in inside.items() if then.position_code is None)
    return ContainerMap(
        container=container, slots=slots, loose=loose, free=len(slots) - len(by_slot), at=at, as_known_at=as_known_at
    )


def _stood(session: Session, code: str, at: datetime, known: datetime) -> bool:
    """Say whether a place had begun by a time, as known at another; one without any record stood since ever."""
    of_it = (event.c.stream_kind == "container", event.c.stream_id == code, event.c.seq == 1)
    began = session.execute(select(event.c.occurred_at, event.c.recorded_at).where(*of_it)).first()
    return began is None or (began.occurred_at <= at and began.recorded_at <= known)


def site_of_root(session: Session, code: str) -> str | None:
    """Return the site of what stands in nothing: a move is always into something, so it is the one at which it was added."""
    of_it = (event.c.stream_kind == "container", event.c.stream_id == code, event.c.kind == "container.added")
    entry = session.execute(select(event.c.entry).where(*of_it)).scalar()
    return None if entry is None else str(parse_entry(bytes(entry))["body"]["site"])


def _lifted_then(session: Session, code: str, at: datetime, known: datetime) -> datetime | None:
    """Return since when a container was out of its place at `at`, as known at `known`; None: it was in it."""
    of_it = (event.c.stream_kind == "container", event.c.stream_id == code)
    told = (event.c.occurred_at <= at, event.c.recorded_at <= known)
    row = session.execute(
        select(event.c.kind, event.c.occurred_at)
        .where(*of_it, *told, event.c.kind.in_(("container.lifted", "container.put_back")))
        .order_by(event.c.seq.desc())
        .limit(1)
    ).first()
    return row.occurred_at if row is not None and row.kind == "container.lifted" else None


_EVER_IN = text(
    """
    SELECT DISTINCT stream_id FROM event
    WHERE stream_kind = 'specimen' AND kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded', 'specimen.reversed')
      AND occurred_at <= :at
      AND (convert_from(entry, 'UTF8')::jsonb -> 'body' ->> 'container' = :code
           OR convert_from(entry, 'UTF8')::jsonb -> 'body' -> 'restores' ->> 'container_code' = :code)
    ORDER BY stream_id
    """
)


_BELOW_THEN = text(
    """
    WITH RECURSIVE told AS (
        SELECT DISTINCT ON (e.stream_id) e.stream_id AS code,
               CASE WHEN e.kind = 'container.added' THEN convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'parent'
                    ELSE convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'to_parent' END AS parent
        FROM event e
        WHERE e.stream_kind = 'container' AND e.kind IN ('container.added', 'container.moved')
          AND e.occurred_at <= :at AND e.recorded_at <= :known
        ORDER BY e.stream_id, e.seq DESC
    ), below AS (
        SELECT CAST(:code AS text) AS code
        UNION
        SELECT told.code FROM below JOIN told ON told.parent = below.code
    )
    SELECT code FROM below
    """
)


def below_then(session: Session, code: str, at: datetime, known: datetime) -> set[str]:
    """Return the codes of a container and of everything that stood in it at `at`, as known at `known`."""
    return set(session.scalars(_BELOW_THEN, {"code": code, "at": at, "known": known}))


_TUBES_THEN = text(
    """
    SELECT count(*) FROM (
        SELECT DISTINCT ON (e.stream_id) e.kind, convert_from(e.entry, 'UTF8')::jsonb -> 'body' AS body
        FROM event e
        WHERE e.stream_kind = 'specimen' AND e.occurred_at <= :at AND e.recorded_at <= :known AND e.kind = ANY(:kinds)
          AND (e.kind <> 'specimen.reversed'
               OR convert_from(e.entry, 'UTF8')::jsonb -> 'body' -> 'restores' ? 'container_code')
          AND e.stream_id IN (
              SELECT was.stream_id FROM event was
              WHERE was.stream_kind = 'specimen' AND was.occurred_at <= :at AND was.kind = ANY(:placing)
                AND coalesce(convert_from(was.entry, 'UTF8')::jsonb -> 'body' ->> 'container',
                             convert_from(was.entry, 'UTF8')::jsonb -> 'body' -> 'restores' ->> 'container_code')
                    = ANY(:codes))
        ORDER BY e.stream_id, e.seq DESC
    ) AS last
    WHERE last.kind = ANY(:placing)
      AND coalesce(last.body ->> 'container', last.body -> 'restores' ->> 'container_code') = ANY(:codes)
    """
)
"""Of the tubes that were ever in one of these places, those of which that was said last by then."""
_PLACING = ("specimen.stored", "specimen.moved", "specimen.safeguarded", "specimen.reversed")


def _counted_then(session: Session, codes: Sequence[str], at: datetime, known: datetime) -> tuple[int, int]:
    """Return how many slots these places have, and how many tubes were in them then."""
    if not codes:
        return 0, 0
    slots = session.execute(select(func.count()).where(position.c.container_code.in_(codes))).scalar_one()
    kinds = [kind for kind, cls in rules.by_kind.items() if "container_code" in cls.whole_effect()]
    given = {"codes": codes, "at": at, "known": known, "kinds": [*kinds, *_PLACING], "placing": list(_PLACING)}
    return slots, session.execute(_TUBES_THEN, given).scalar_one()


def _highest_then(session: Session, code: str, at: datetime, known: datetime) -> int | None:
    """Return the warmest that was allowed in a container itself: as it was set last by then."""
    of = event.c
    entry = session.execute(
        select(of.entry)
        .where(of.stream_kind == "container", of.stream_id == code)
        .where(of.kind == "container.limits_set", of.occurred_at <= at, of.recorded_at <= known)
        .order_by(of.seq.desc())
        .limit(1)
    ).scalar()
    highest = None if entry is None else parse_entry(bytes(entry))["body"].get("highest_mc")
    return None if highest is None else int(highest)


def _purposes(session: Session, codes: Sequence[str]) -> list[str]:
    """Return what containers are for; no call changes it."""
    return list(session.scalars(select(container_table.c.purpose).where(container_table.c.code.in_(codes))))


def maps_below(session: Session, actor: Actor, code: str, most: int) -> tuple[list[ContainerMap], int]:
    """Return the boxes in a place, itself included, by name, and how many there are; at most `most` are drawn.

    Whatever is inside stands at the place's own site, so who may see the place may see it. Raises NotFound, ContentsWithheld.
    """
    get_container(session, actor, code)
    require_shown(session, actor, code)
    rows = session.execute(_BOXES_BELOW, {"code": code}).all()
    return _maps(session, rows[:most]), len(rows)


_BOXES_BELOW = text(
    """
        WITH RECURSIVE below AS (
            SELECT code, ARRAY[name_key] AS names FROM storage_container WHERE code = :code
            UNION ALL
            SELECT c.code, below.names || c.name_key FROM below JOIN storage_container c ON c.parent_code = below.code
        )
        SELECT c.* FROM below JOIN storage_container c USING (code) WHERE c.rows IS NOT NULL ORDER BY below.names
        """
)


def _maps(session: Session, rows: Sequence["Row[Any]"]) -> list[ContainerMap]:
    """Draw containers in a fixed number of statements, however many there are."""
    cells = _cells(session, [row.code for row in rows])
    held = holds_on(session, [c.specimen_code for c in cells if c.code is not None and c.specimen_code is not None])
    return [_drawn(one, cells, held) for one in public_containers(session, rows)]


def _cells(session: Session, containers: Sequence[str]) -> Sequence["Row[Any]"]:
    """Return the slots of containers with what is in them, and what is in them without a slot (those have no `code`)."""
    tube = (custody.c.code.label("specimen_code"), custody.c.state, custody.c.reserved_for)
    in_slots = (
        select(position, *tube, specimen.c.material)
        .select_from(
            position.outerjoin(custody, custody.c.position_code == position.c.code).outerjoin(
                specimen, specimen.c.code == custody.c.code
            )
        )
        .where(position.c.container_code.in_(containers))
    )
    no_slot = [custody.c.container_code if c.name == "container_code" else null().label(c.name) for c in position.c]
    loose = select(*no_slot, *tube, null().label("material")).where(
        custody.c.container_code.in_(containers), custody.c.position_code.is_(None)
    )
    every = union_all(in_slots, loose)
    return session.execute(every.order_by("row", "col", "specimen_code")).all()


def _drawn(public: ContainerPublic, cells: Sequence["Row[Any]"], held: Mapping[str, Sequence[ActiveHold]]) -> ContainerMap:
    own = [c for c in cells if c.container_code == public.code]
    slots = [_slot(c, held=bool(held.get(c.specimen_code))) for c in own if c.code is not None]
    loose = [c.specimen_code for c in own if c.code is None]
    free = sum(1 for slot in slots if slot.specimen is None)
    return ContainerMap(container=public, slots=slots, loose=loose, free=free)


def _slot(cell: "Row[Any]", *, held: bool) -> SlotPublic:
    return SlotPublic(
        position=cell.code,
        label=cell.label,
        row=cell.row,
        col=cell.col,
        specimen=cell.specimen_code,
        state=cell.state,
        material=cell.material,
        reserved_for=cell.reserved_for,
        held=held,
        blocked=cell.blocked,
        kept_for=cell.kept_for,
    )
