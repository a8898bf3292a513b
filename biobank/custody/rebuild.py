"""Rebuilding the projection from the log: the proof that custody is nothing but its events, and the answer to "as of".

Two clocks: `at` asks about the world (events that occurred by then), `as_known_at` about the bank (events recorded by
then). Both default to now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.event import parse_payload, rules
from biobank.custody.projection import Projection
from biobank.transparency.models import event


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What the log says of a specimen: the projection after its event `seq`, and the event that last set its state."""

    projection: Projection
    seq: int
    state_seq: int


def steps_of(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Projection]]:
    """Yield each parsed entry of one specimen with the projection after it."""
    projection = Projection()
    for entry in entries:
        event_class = rules.by_kind[entry["kind"]]
        body = entry["body"]
        if entry["kv"] != event_class.version:
            body = parse_payload(entry["kind"], entry["kv"], body).payload()
        projection = projection.after(event_class.whole_effect(), body, entry)
        yield entry, projection


def fold(entries: Iterable[dict[str, Any]]) -> Rebuilt:
    """Fold parsed entries of one specimen, in sequence, into what they make of it; without entries `seq` is 0."""
    return where_they_lead(steps_of(entries))


def where_they_lead(steps: Iterable[tuple[dict[str, Any], Projection]]) -> Rebuilt:
    """Return where the steps of one specimen (`steps_of`) end; without any `seq` is 0."""
    projection, seq, state_seq = Projection(), 0, 0
    for entry, after in steps:
        projection = after
        seq = entry["seq"]
        state_seq = seq if "state" in rules.by_kind[entry["kind"]].whole_effect() else state_seq
    return Rebuilt(projection, seq, state_seq)


def entries_of(
    session: Session, code: str, *, at: datetime | None = None, as_known_at: datetime | None = None
) -> list[dict[str, Any]]:
    """Return the parsed entries of a specimen's stream in sequence, as they occurred by `at` and were known at `as_known_at`."""
    statement = select(event.c.entry).where(event.c.stream_kind == "specimen", event.c.stream_id == code)
    if at is not None:
        statement = statement.where(event.c.occurred_at <= at)
    if as_known_at is not None:
        statement = statement.where(event.c.recorded_at <= as_known_at)
    return [parse_entry(bytes(row.entry)) for row in session.execute(statement.order_by(event.c.seq))]


def projection_of(
    session: Session, code: str, *, at: datetime | None = None, as_known_at: datetime | None = None
) -> Rebuilt | None:
    """Rebuild the projection of one specimen from the log, as of two clocks; None when nothing was known yet."""
    rebuilt = fold(entries_of(session, code, at=at, as_known_at=as_known_at))
    return rebuilt if rebuilt.seq else None
