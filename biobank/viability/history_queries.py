"""Reading histories from the database: the log's entries, and the temperatures of the places they name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, func, select, text
from sqlmodel import Session

from biobank.monitoring.models import reading
from biobank.storage.queries import IN_CHAIN, chains_of
from biobank.storage.rules import standing_of
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
    SELECT line.target, line.member, e.entry, e.leaf_hash, leaf.log_index
    FROM line JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = line.member
    LEFT JOIN leaf ON leaf.leaf_hash = e.leaf_hash AND line.member = line.target
    WHERE (line.member = line.target OR e.kind = ANY(:kinds))
      AND (CAST(:known AS timestamptz) IS NULL OR e.recorded_at <= :known)
    ORDER BY line.target, line.member, e.seq
    """
)
_SHIPMENTS = text("SELECT code, temperature_class FROM shipment WHERE code = ANY(:codes)")


@dataclass
class Streams:
    """The entries of one specimen and of each of its ancestors; of its own also the rows that they were read from, with
    `entry`, `leaf_hash` and `log_index`.
    """

    own: list[Entry] = field(default_factory=list)
    ancestors: dict[str, list[Entry]] = field(default_factory=dict)
    rows: list["Row[Any]"] = field(default_factory=list)


def histories(
    session: Session,
    codes: Collection[str],
    at: datetime,
    limits: Limits,
    *,
    known: datetime | None = None,
    told: Mapping[str, Streams] | None = None,
) -> dict[str, History]:
    """Return the history of each specimen as of `at`, from what was recorded by `known` (None: by now).

    Three statements however many specimens there are; two when none travelled. `told`: their streams as known then, where they
    were read.
    """
    streams = {code: told[code] for code in codes} if told is not None else read_streams(session, codes, known)
    every = [one for found in streams.values() for one in (found.own, *found.ancestors.values())]
    places = _places(session, *places_named(every), at, limits.highest_mc)
    return {
        code: history_of(found.own, list(found.ancestors.values()), places, at, limits.highest_mc)
        for code, found in streams.items()
    }


def read_streams(session: Session, codes: Collection[str], known: datetime | None = None) -> dict[str, Streams]:
    """Return what the log says of each specimen and of what it was made from, recorded by `known`. One statement."""
    found = {code: Streams() for code in codes}
    rows = session.execute(_ENTRIES, {"codes": list(codes), "kinds": list(OF_ANCESTORS), "known": known})
    for row in rows:
        entry: dict[str, Any] = orjson.loads(bytes(row.entry)) | {"leaf_hash": bytes(row.leaf_hash).hex()}
        streams = found[row.target]
        if row.member == row.target:
            streams.own.append(entry)
            streams.rows.append(row)
        else:
            streams.ancestors.setdefault(row.member, []).append(entry)
    return found


def _warm(limit: int, at: datetime) -> ColumnElement[Any]:
    """When each container of a chain was read warmer than `limit`: a place was as warm as anything around it was read."""
    of = reading.c
    read = (
        of.container_code == IN_CHAIN,
        text("kind = 'temperature_mc' AND value > -130000 AND withdrawn_at IS NULL"),
    )  # its index
    return select(func.array_agg(of.at)).where(*read, of.value > limit, of.at <= at).scalar_subquery().label("warm")


def _places(session: Session, containers: Collection[str], shipments: Collection[str], at: datetime, limit: int) -> Places:
    classes: dict[str, str | None] = {}
    warm: dict[str, Sequence[datetime]] = {}
    if containers:
        for code, chain in chains_of(session, list(containers), beside=[_warm(limit, at)]).items():
            classes[code] = standing_of(chain).temperature
            warm[code] = sorted(instant for around in chain for instant in around.warm or ())
    if shipments:
        classes |= _classes_of(session, shipments)
    return Places(classes, warm)


def _classes_of(session: Session, shipments: Collection[str]) -> Mapping[str, str | None]:
    rows = session.execute(_SHIPMENTS, {"codes": list(shipments)})
    return {row.code: row.temperature_class for row in rows}
