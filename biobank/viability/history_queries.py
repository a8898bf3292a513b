"""Reading histories from the database: the log's entries, and the temperatures of the places they name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel import Session

from biobank.storage.queries import standings_of
from biobank.viability.history import OF_ANCESTORS, Entry, History, Places, history_of, places_named
from biobank.viability.parameters import Limits

# The whole stream of each specimen, and of everything it was made from the events that say how it was kept.
_ENTRIES = text(
    """
    WITH RECURSIVE line AS (
        SELECT code AS target, code AS member FROM unnest(CAST(:codes AS text[])) AS code
        UNION
        SELECT line.target, p.parent_code FROM line JOIN specimen_parent p ON p.child_code = line.member
    )
    SELECT line.target, line.member, e.entry, e.leaf_hash
    FROM line JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = line.member
    WHERE (line.member = line.target OR e.kind = ANY(:kinds))
      AND (CAST(:known AS timestamptz) IS NULL OR e.recorded_at <= :known)
    ORDER BY line.target, line.member, e.seq
    """
)
# A place was as warm as anything around it was read; how cold it is, `storage/rules.py: standing_of` says.
_CONTAINERS = text(
    """
    WITH RECURSIVE above AS (
        SELECT code AS place, code, parent_code, 0 AS depth
        FROM storage_container WHERE code = ANY(:places)
        UNION ALL
        SELECT above.place, c.code, c.parent_code, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.parent_code WHERE above.depth < 32
    )
    SELECT above.place, array_agg(warm.at) FILTER (WHERE warm.at IS NOT NULL) AS warm
    FROM above LEFT JOIN LATERAL (
        SELECT r.at FROM storage_reading r
        WHERE r.container_code = above.code AND r.kind = 'temperature_mc' AND r.value > -130000 AND r.withdrawn_at IS NULL
          AND r.value > :limit
          AND r.at <= :at
    ) AS warm ON true
    GROUP BY above.place
    """
)
_SHIPMENTS = text("SELECT code, temperature_class FROM shipment WHERE code = ANY(:codes)")


@dataclass
class Streams:
    """The entries of one specimen and of each of its ancestors."""

    own: list[Entry] = field(default_factory=list)
    ancestors: dict[str, list[Entry]] = field(default_factory=dict)


def histories(
    session: Session, codes: Collection[str], at: datetime, limits: Limits, *, known: datetime | None = None
) -> dict[str, History]:
    """Return the history of each specimen as of `at`, from what was recorded by `known` (None: by now).

    Five statements however many specimens there are; four when none travelled.
    """
    streams = _streams(session, codes, known)
    every = [one for found in streams.values() for one in (found.own, *found.ancestors.values())]
    places = _places(session, *places_named(every), at, limits.highest_mc)
    return {
        code: history_of(found.own, list(found.ancestors.values()), places, at, limits.highest_mc)
        for code, found in streams.items()
    }


def _streams(session: Session, codes: Collection[str], known: datetime | None) -> dict[str, Streams]:
    found = {code: Streams() for code in codes}
    rows = session.execute(_ENTRIES, {"codes": list(codes), "kinds": list(OF_ANCESTORS), "known": known})
    for row in rows:
        entry: dict[str, Any] = orjson.loads(bytes(row.entry)) | {"leaf_hash": bytes(row.leaf_hash).hex()}
        streams = found[row.target]
        kept = streams.own if row.member == row.target else streams.ancestors.setdefault(row.member, [])
        kept.append(entry)
    return found


def _places(session: Session, containers: Collection[str], shipments: Collection[str], at: datetime, limit: int) -> Places:
    classes: dict[str, str | None] = {}
    warm: dict[str, Sequence[datetime]] = {}
    if containers:
        classes |= {code: place.temperature for code, place in standings_of(session, list(containers)).items()}
        for row in session.execute(_CONTAINERS, {"places": list(containers), "limit": limit, "at": at}):
            warm[row.place] = sorted(row.warm or ())
    if shipments:
        classes |= _classes_of(session, shipments)
    return Places(classes, warm)


def _classes_of(session: Session, shipments: Collection[str]) -> Mapping[str, str | None]:
    rows = session.execute(_SHIPMENTS, {"codes": list(shipments)})
    return {row.code: row.temperature_class for row in rows}
