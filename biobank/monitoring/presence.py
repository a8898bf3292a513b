"""Who was where when: the specimens that were inside a container during a time, read from the log in one statement.

A specimen is inside from the event that puts it there to the next that takes it out or puts it elsewhere, and its box and rack
are inside by their own moves; both times are cut with each other. Of the time stated and the time recorded it counts what makes
the stay longer: nobody leaves the set by stating a time. An undone event counts as if what it changed had gone on. Where an
unidentified item was, the specimen was that it turned out to be. What a count saw elsewhere was there until it is next put
somewhere, what was found in a place since it was reported missing.

A container inside that keeps its own cold is a boundary: a warm room warms no nitrogen tank. Its own readings speak for it.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from biobank.storage.queries import box_named, own_cold
from biobank.transparency.in_sql import member_told

AHEAD = timedelta(minutes=2)
"""By how much a stated time may lie after its record (`custody/recording.py`)."""

_BODY = "(convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> '{}')"
_SEEN_IN = f"coalesce({_BODY.format('container')}, {_BODY.format('place')})"
_WALK = """
    WITH RECURSIVE stood AS (
        SELECT e.stream_id AS code, e.seq, least(e.occurred_at, e.recorded_at) AS since,
               CASE WHEN e.kind = 'container.added' THEN convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'parent'
                    ELSE convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'to_parent' END AS parent,
               lead(greatest(e.occurred_at, e.recorded_at)) OVER (PARTITION BY e.stream_id ORDER BY e.seq) AS until
        FROM event e WHERE e.stream_kind = 'container' AND e.kind IN ('container.added', 'container.moved')
    ), met (code, since, until, own_cold) AS (
        SELECT CAST(:container AS text), CAST(:since AS timestamptz), CAST(:until AS timestamptz), false
        UNION
        SELECT s.code, greatest(s.since, met.since), least(s.until, met.until),
               s.code = ANY(:own_cold)
        FROM met JOIN stood s ON s.parent = met.code AND s.since <= met.until AND (s.until IS NULL OR s.until >= met.since)
        WHERE NOT met.own_cold
    ), place AS (
        SELECT code, since, until FROM met WHERE NOT own_cold
    ), candidate (code) AS (
        SELECT c.code FROM custody c WHERE c.container_code IN (SELECT code FROM place)
        UNION
        SELECT e.stream_id FROM event e
        WHERE e.stream_kind = 'specimen' AND (e.recorded_at >= :left OR e.kind = 'specimen.sighted')
    ), stay AS (
        SELECT e.stream_id AS code, e.state,
               CASE WHEN e.kind = 'specimen.reversed' THEN (
                        SELECT least(undone.occurred_at, undone.recorded_at) FROM event undone WHERE undone.leaf_hash =
                        decode(convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'reverses', 'hex'))
                    ELSE least(e.occurred_at, e.recorded_at) END AS since,
               CASE WHEN e.state <> 'stored' THEN NULL
                    WHEN e.kind = 'specimen.reversed' THEN (
                        SELECT coalesce(said.body -> 'restores' ->> 'container_code', said.body ->> 'container')
                        FROM (SELECT b.seq, convert_from(b.entry, 'UTF8')::jsonb -> 'body' AS body FROM event b
                              WHERE b.stream_kind = 'specimen' AND b.stream_id = e.stream_id AND b.seq <= e.seq
                                AND b.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded',
                                               'specimen.reversed')) AS said
                        WHERE said.body ? 'container' OR said.body -> 'restores' ? 'container_code'
                        ORDER BY said.seq DESC LIMIT 1)
                    ELSE convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'container' END AS container,
               lead(greatest(e.occurred_at, e.recorded_at)) OVER past AS until
        FROM candidate JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = candidate.code
        WHERE e.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded', 'specimen.reversed') OR e.state <> 'stored'
        WINDOW past AS (PARTITION BY e.stream_id ORDER BY e.seq)
    ), seen AS (
        SELECT e.stream_id AS code, {box} AS container,
               CASE WHEN e.kind = 'specimen.sighted' THEN least(e.occurred_at, e.recorded_at) ELSE (
                   SELECT least(m.occurred_at, m.recorded_at) FROM event m
                   WHERE m.stream_kind = 'specimen' AND m.stream_id = e.stream_id AND m.seq < e.seq
                     AND m.kind = 'specimen.missing'
                   ORDER BY m.seq DESC LIMIT 1) END AS since,
               CASE WHEN e.kind = 'specimen.found' THEN greatest(e.occurred_at, e.recorded_at) ELSE (
                   SELECT greatest(n.occurred_at, n.recorded_at) FROM event n
                   WHERE n.stream_kind = 'specimen' AND n.stream_id = e.stream_id AND n.seq > e.seq
                     AND n.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded')
                   ORDER BY n.seq LIMIT 1) END AS until
        FROM candidate JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = candidate.code
        WHERE e.kind IN ('specimen.sighted', 'specimen.found')
    ), line (code, since) AS (
        SELECT who.code, greatest(stay.since, place.since)
        FROM (SELECT code, container, since, until FROM stay UNION ALL SELECT code, container, since, until FROM seen) AS stay
        JOIN place ON place.code = stay.container, LATERAL (
            SELECT stay.code
            UNION ALL {same_as}
        ) AS who
        WHERE stay.since <= place.until AND (stay.until IS NULL OR stay.until >= place.since)
        UNION
        SELECT p.child_code, made.at FROM line JOIN specimen_parent p ON p.parent_code = line.code, LATERAL (
            SELECT greatest(e.occurred_at, e.recorded_at) AS at FROM event e
            WHERE e.stream_kind = 'specimen' AND e.stream_id = p.child_code AND e.seq = 1
        ) AS made
        WHERE CAST(:derivatives AS boolean) AND made.at >= line.since
    )""".replace("{same_as}", member_told("stay.code", "specimen.identified", "same_as")).replace("{box}", box_named(_SEEN_IN))
"""The places met from a container downwards, each with its time there, to those that keep their own cold; who stayed in them."""

_INSIDE = text(f"{_WALK} SELECT code, min(since) AS since FROM line GROUP BY code ORDER BY code LIMIT :limit")  # noqa: S608
_APART = text(f"{_WALK} SELECT DISTINCT code FROM met WHERE own_cold ORDER BY code")  # noqa: S608 - our own constant


def inside_during(
    session: Session,
    container: str,
    since: datetime,
    until: datetime,
    *,
    derivatives: bool = True,
    limit: int | None = None,
) -> dict[str, datetime]:
    """Return what was inside a container at any instant from `since` to `until`, and from when on in that time.

    `derivatives`: also what was made afterwards from what was inside. Two statements.
    """
    given = _given(session, container, since, until) | {"derivatives": derivatives, "limit": limit}
    return {row.code: row.since for row in session.execute(_INSIDE, given)}


def own_cold_inside(session: Session, container: str, since: datetime, until: datetime) -> list[str]:
    """Return the containers inside at which `inside_during` stopped: they keep their own cold, look at their own readings."""
    return list(session.scalars(_APART, _given(session, container, since, until) | {"derivatives": False}))


def _given(session: Session, container: str, since: datetime, until: datetime) -> dict[str, Any]:
    return {"container": container, "since": since, "until": until, "left": since - AHEAD, "own_cold": own_cold(session)}
