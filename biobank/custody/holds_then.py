"""Which holds covered a specimen at a time gone by, as known at another; `hold_coverage` answers for now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

from biobank.custody.hold_coverage import benches_reach, shipping_reach, specimens_reach
from biobank.custody.legality import ActiveHold
from biobank.custody.projection import Projection
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.states import State
from biobank.foundation.from_above import FromAbove

places_around: FromAbove[Callable[[Session, str, datetime, datetime], list[str]]] = FromAbove("storage")
"""A container and every one that it stood in at a time, as known at another, from the inside out."""

places_since: FromAbove[Callable[[Session, "Sequence[Stay]", datetime, datetime], set[tuple[str, datetime | None]]]] = FromAbove(
    "storage"
)
"""Every container that stays were in, however far out, each with when it was left (None: still), as known at a time."""

excursions_then: FromAbove[str] = FromAbove("monitoring")
"""SQL in brackets: SELECT scope_kind, scope_id, until; the excursions in whose set `:codes`, or what they were made from since it
was affected, stood unassessed at `:at`, as known at `:known`."""


PUT_SOMEWHERE: Final = ("specimen.stored", "specimen.moved", "specimen.safeguarded")
_SIGHTED: Final = "specimen.sighted"


@dataclass(frozen=True)
class Stay:
    """A container that a specimen was in, and from when to when; `until` None: still."""

    code: str
    since: datetime
    until: datetime | None


def stays_of(steps: Sequence[tuple[dict[str, Any], Projection]], *, in_hand: bool = True) -> list[Stay]:
    """Return the stays of a specimen. `steps`: its entries, each with the projection after it (`rebuild.steps_of`). Pure.

    Of the time stated and the time recorded the one counts that makes a stay longer: nobody leaves a hold by stating a time.
    `in_hand`: a container keeps what is checked out of it. What a count saw in a place other than its own was there until it is
    next put somewhere.
    """
    stays: list[Stay] = []
    seen: list[tuple[str, datetime]] = []
    open_code: str | None = None
    since: datetime | None = None
    for entry, after in steps:
        earlier, later = _instants(entry)
        if entry["kind"] == _SIGHTED:
            seen.append((entry["body"]["container"], earlier))
        elif entry["kind"] in PUT_SOMEWHERE:
            stays += [Stay(place, at, later) for place, at in seen]
            seen = []
        code = after.container_code if in_hand or after.state == State.STORED.value else None
        if code != open_code:
            if open_code is not None and since is not None:
                stays.append(Stay(open_code, since, later))
            open_code, since = code, earlier
    if open_code is not None and since is not None:
        stays.append(Stay(open_code, since, None))
    return [*stays, *(Stay(place, at, None) for place, at in seen)]


def _instants(entry: dict[str, Any]) -> tuple[datetime, datetime]:
    """The earlier and the later of the time that an entry states and the time at which it was recorded."""
    earlier, later = sorted(datetime.fromisoformat(entry[name]) for name in ("occurred_at", "recorded_at"))
    return earlier, later


@cache
def _statement() -> TextClause:
    reach, handled, travelled = specimens_reach.get(), benches_reach.get(), shipping_reach.get()
    return text(
        f"""
        WITH RECURSIVE {reach.tables_then}, own (target, scope_kind, scope_id, until) AS (
            {reach.scopes_then} UNION {handled.scopes} WHERE h.at <= :at UNION {travelled.scopes}),
        scope AS (
            SELECT scope_kind, scope_id, until FROM own
            UNION {excursions_then.get()}
            UNION SELECT 'container', * FROM unnest(CAST(:ids AS text[]), CAST(:untils AS timestamptz[]))
        )
        SELECT DISTINCT h.id, h.kind, h.scope_kind, h.scope_id, h.blocks, h.placed_at
        FROM scope JOIN hold h ON h.scope_id = scope.scope_id AND h.scope_kind = scope.scope_kind
        JOIN event placed ON placed.leaf_hash = h.placed_event
        LEFT JOIN event lifted ON lifted.leaf_hash = h.lifted_event
        WHERE h.placed_at <= :at AND placed.recorded_at <= :known AND (scope.until IS NULL OR scope.until >= h.placed_at)
          AND (lifted.leaf_hash IS NULL OR h.lifted_at > :at OR lifted.recorded_at > :known)
        ORDER BY h.placed_at, h.id
        """  # noqa: S608 - the parts put in are constants of our packages
    )


@cache
def _made_from() -> TextClause:
    tables = specimens_reach.get().tables_then
    return text(f"WITH RECURSIVE {tables} SELECT member FROM line WHERE member <> target ORDER BY member")  # noqa: S608


def holds_then(session: Session, code: str, stays: Sequence[Stay], at: datetime, known: datetime) -> list[ActiveHold]:
    """Return the holds that covered a specimen at `at` as known at `known`: its own and its ancestors', lot, harvest, donor, of
    shipments that any of them travelled in, and of the places that any of them was in since they were placed.
    """
    every = list(stays)
    for ancestor in session.scalars(_made_from(), {"codes": [code], "known": known}).all():
        every += stays_of(list(steps_of(entries_of(session, ancestor, at=at, as_known_at=known))))
    named = places_since.get()(session, every, at, known)
    ids, untils = (list(column) for column in zip(*sorted(named, key=str), strict=True)) if named else ([], [])
    rows = session.execute(_statement(), {"codes": [code], "ids": ids, "untils": untils, "at": at, "known": known})
    return [ActiveHold(str(row.id), row.kind, row.scope_kind, row.scope_id, tuple(row.blocks)) for row in rows]
