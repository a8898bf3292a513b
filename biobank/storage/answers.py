"""What packages below ask of storage: the holds on places that cover a specimen, and the places below a place."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, select, text
from sqlmodel import Session

from biobank.custody.hold_coverage import HoldReach, storage_reach
from biobank.custody.holds_then import Stay, places_around, places_since
from biobank.specimens.queries import places_below, require_shown
from biobank.storage import blindness
from biobank.storage.models import storage_container as _container
from biobank.storage.queries import box_named
from biobank.transparency.in_sql import parents_told

_OUTWARDS: Final = """
    SELECT {carried} stood.parent, greatest(place.since, stood.since), least(place.until, stood.until)
    FROM place, LATERAL ({stood}) AS stood
    WHERE stood.parent IS NOT NULL AND (stood.until IS NULL OR stood.until >= place.since)
      AND (place.until IS NULL OR stood.since <= place.until)"""
"""From the places of `place (…, member, since, until)` to what each stood in during that time, and from when to when."""

_FROM_PLACES: Final = {"carried": "place.target,", "stood": parents_told("place.member", "true")}

# A hold on a place covers what was in it, or was seen in it by a count, at any time since it was placed: carrying a tube or its
# box out lifts nothing. The log is read for that only while some place is on hold. A tube has left when that was recorded,
# whatever time was stated: nobody carries it out of a hold by saying that it was earlier.
storage_reach.give(
    HoldReach(
        tables=f"""
    told AS (
        SELECT line.target, e.stream_id, e.seq, e.kind, e.state, e.recorded_at, least(e.occurred_at, e.recorded_at) AS since,
               convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'container' AS container
        FROM line JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = line.member
        WHERE EXISTS (SELECT 1 FROM hold WHERE scope_kind = 'container' AND lifted_at IS NULL)
          AND (e.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded', 'specimen.sighted')
               OR e.state NOT IN ('stored', 'checked_out'))
    ), stay AS (
        SELECT target, since, CASE WHEN state IN ('stored', 'checked_out') THEN container END AS member,
               lead(recorded_at) OVER (PARTITION BY target, stream_id ORDER BY seq) AS until
        FROM told WHERE kind <> 'specimen.sighted' OR state NOT IN ('stored', 'checked_out')
    ), seen AS (
        SELECT target, {box_named("container")} AS member, since, until FROM (
            SELECT target, container, since, kind,
                   min(recorded_at) FILTER (WHERE kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded'))
                       OVER (PARTITION BY target, stream_id ORDER BY seq ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) until
            FROM told) AS later
        WHERE kind = 'specimen.sighted'
    ), place AS (
        (SELECT c.code AS target, c.container_code AS member, c.last_occurred_at AS since, CAST(NULL AS timestamptz) AS until
         FROM custody c WHERE c.code = ANY(:codes) AND c.container_code IS NOT NULL
         UNION
         SELECT target, member, since, until FROM stay WHERE member IS NOT NULL
         UNION
         SELECT target, member, since, until FROM seen)
        UNION {_OUTWARDS.format(**_FROM_PLACES)}
    )""",  # noqa: S608 - our own constants
        scopes="SELECT target, 'container', member, until FROM place",
        held_tables="""
    held_place (code, since) AS (
        SELECT scope_id, placed_at FROM active WHERE scope_kind = 'container'
        UNION
        SELECT inner_place.code, held_place.since FROM held_place, LATERAL (
            SELECT s.code FROM storage_container s WHERE s.parent_code = held_place.code
            UNION
            SELECT e.stream_id FROM event e
            WHERE e.stream_kind = 'container' AND e.kind = 'container.moved' AND e.recorded_at >= held_place.since
              AND convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'from_parent' = held_place.code
        ) AS inner_place
    )""",
        held="""
    SELECT c.code FROM held_place JOIN custody c ON c.container_code = held_place.code
    UNION
    SELECT e.stream_id FROM event e
    WHERE EXISTS (SELECT 1 FROM active WHERE scope_kind = 'container')
      AND e.stream_kind = 'specimen'
      AND e.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded', 'specimen.sighted')
      AND convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'container' IN (SELECT code FROM held_place)""",
    )
)


require_shown.give(blindness.require_shown)


@places_below.give
def below(container: str) -> Select[tuple[str]]:
    """Select the codes of a place and of every place in it."""
    code: ColumnElement[str] = _container.c.code
    tree = select(code).where(code == container).cte("tree", recursive=True)
    tree = tree.union(select(code).where(_container.c.parent_code == tree.c.code))
    return select(tree.c.code)


# The parent that its last move by then led to; before any move that which its first one left; else the one it has.
_PARENT_THEN = text(
    """
    WITH move AS (
        SELECT e.seq, convert_from(e.entry, 'UTF8')::jsonb -> 'body' AS body,
               e.occurred_at <= :at AND e.recorded_at <= :known AS then
        FROM event e WHERE e.stream_kind = 'container' AND e.stream_id = :code AND e.kind = 'container.moved'
    )
    SELECT parent FROM (
        (SELECT 1 AS n, body ->> 'to_parent' AS parent FROM move WHERE move.then ORDER BY seq DESC LIMIT 1)
        UNION ALL
        (SELECT 2, body ->> 'from_parent' FROM move WHERE NOT move.then ORDER BY seq LIMIT 1)
        UNION ALL
        SELECT 3, c.parent_code FROM storage_container c WHERE c.code = :code
    ) AS found ORDER BY n LIMIT 1
    """
)

_THEN: Final = parents_told("place.member", "e.occurred_at <= :at AND e.recorded_at <= :known")
_SINCE: Final = text(
    f"""
    WITH RECURSIVE place (member, since, until) AS (
        SELECT * FROM unnest(CAST(:codes AS text[]), CAST(:sinces AS timestamptz[]), CAST(:untils AS timestamptz[]))
        UNION {_OUTWARDS.format(carried="", stood=_THEN)}
    ) SELECT DISTINCT member, until FROM place
    """  # noqa: S608 - our own constants
)


@places_since.give
def _places_since(session: Session, stays: Sequence[Stay], at: datetime, known: datetime) -> set[tuple[str, datetime | None]]:
    """Return every container in which something was during its stays, however far out, each with when it had left it."""
    given = {
        "codes": [stay.code for stay in stays],
        "sinces": [stay.since for stay in stays],
        "untils": [stay.until for stay in stays],
    }
    return {(row.member, row.until) for row in session.execute(_SINCE, given | {"at": at, "known": known})}


@places_around.give
def _places_around(session: Session, container: str, at: datetime, known: datetime) -> list[str]:
    """Return a container and every one that it stood in at `at` as known at `known`, from the inside out."""
    found = [container]
    while len(found) < 32:
        outer = session.execute(_PARENT_THEN, {"code": found[-1], "at": at, "known": known}).scalar()
        if outer is None:
            break
        found.append(str(outer))
    return found
