"""Rebuilding the projection from the log: the proof that custody is nothing but its events, and the answer to "as of".

Two clocks: `at` asks about the world (events that occurred by then), `as_known_at` about the bank (events recorded by
then). Both default to now.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.effects import INITIAL, apply
from biobank.custody.entry import parse_entry
from biobank.custody.event import rules
from biobank.foundation.db import table_of
from biobank.transparency.models import Event as EventRow

event = table_of(EventRow)


def fold(entries: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Fold parsed entries of one specimen, in sequence, into its projection with `seq` and `state_seq`; None when empty."""
    projection: dict[str, Any] | None = None
    for entry in entries:
        before = {k: v for k, v in (projection or INITIAL).items() if k in INITIAL}
        effect = rules.by_kind[entry["kind"]].whole_effect()
        after = apply(effect, before, entry["body"], entry)
        state_seq = entry["seq"] if "state" in effect else (projection or {"state_seq": 0})["state_seq"]
        projection = after | {"seq": entry["seq"], "state_seq": state_seq}
    return projection


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
) -> dict[str, Any] | None:
    """Rebuild the projection of one specimen from the log, as of two clocks; None when nothing was known yet."""
    return fold(entries_of(session, code, at=at, as_known_at=as_known_at))
