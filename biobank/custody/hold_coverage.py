"""Which active holds cover a specimen: its own, its ancestors', its lot's, harvest's and donor's, of places, shipments,
excursions.

One statement, put together from what the owners of the tables say: each knows what a hold on a thing of its own covers.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Text, TextClause, TextualSelect, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.legality import ActiveHold
from biobank.custody.models import hold
from biobank.foundation.from_above import FromAbove
from biobank.transparency.models import event


@dataclass(frozen=True)
class HoldReach:
    """SQL by which one package finds the things of its own under whose holds the specimens `:codes` stand."""

    tables: str
    """Common table expressions, which may use those of the packages before it in `_REACHES`."""
    scopes: str
    """SELECT target, scope_kind, scope_id, until: the specimen, what covers it, and until when it did (NULL: still)."""
    held: str
    """The way back, from the table `active (scope_kind, scope_id, placed_at)` of holds: SELECT code of every specimen that one
    may cover through itself or an ancestor; too many is right, too few is not."""
    held_tables: str = ""
    """Common table expressions for `held`."""
    tables_then: str = ""
    """`tables` as known at `:known`: who was recognised or merged later was not yet."""
    scopes_then: str = ""
    """`scopes`, as known at `:known`."""


benches_reach: FromAbove[HoldReach] = FromAbove("benches")
specimens_reach: FromAbove[HoldReach] = FromAbove("specimens")
"""Gives the table `line (target, member)`: each specimen with its ancestors."""
storage_reach: FromAbove[HoldReach] = FromAbove("storage")
shipping_reach: FromAbove[HoldReach] = FromAbove("shipping")
excursions_reach: FromAbove[HoldReach] = FromAbove("monitoring")
_REACHES = (specimens_reach, benches_reach, storage_reach, shipping_reach, excursions_reach)

with_heirs: FromAbove[str] = FromAbove("specimens")
"""SQL, recursive over `candidate (code)`: the specimens of the table `held (code)` and all that was made of them."""
shipment_sites: FromAbove[str] = FromAbove("shipping")
"""SQL: SELECT scope_id, donor_code, site; who may know of a hold on a shipment."""


def _coverage() -> str:
    """Common table expressions up to `scope`: what covers each of `:codes`."""
    reaches = [reach.get() for reach in _REACHES]
    tables = ", ".join(reach.tables for reach in reaches if reach.tables)
    return f"{tables}, scope (target, scope_kind, scope_id, until) AS ({' UNION '.join(reach.scopes for reach in reaches)})"


@cache
def _statement() -> TextClause:
    return text(
        f"""
        WITH RECURSIVE {_coverage()}
        SELECT DISTINCT ON (scope.target, h.placed_at, h.id) scope.target, h.id, h.kind, h.scope_kind, h.scope_id, h.blocks
        FROM scope JOIN hold h ON h.scope_id = scope.scope_id AND h.scope_kind = scope.scope_kind
        WHERE h.lifted_at IS NULL AND (scope.until IS NULL OR scope.until >= h.placed_at)
        ORDER BY scope.target, h.placed_at, h.id
        """  # noqa: S608 - the parts put in are constants of our packages
    )


def _held(active: str) -> str:
    """Common table expressions up to `held (code)`: what the holds that `active` selects may cover, each by itself."""
    reaches = [reach.get() for reach in _REACHES]
    tables = "".join(f", {reach.held_tables}" for reach in reaches if reach.held_tables)
    return f"WITH RECURSIVE active AS ({active}){tables}, held (code) AS ({' UNION '.join(reach.held for reach in reaches)})"


def covered_by_those(which: str, answer: str) -> str:
    """Return SQL for what the holds that meet the condition `which` cover; `answer` picks from h (hold) and scope.target.

    The holds say which specimens they may cover; which of those they do cover is asked as for one specimen, so that a list
    and the specimen's own page cannot differ.
    """
    coverage = _coverage().replace(":codes", "ARRAY(SELECT code FROM candidate)")
    return f"""
        {_held(f"SELECT id, scope_kind, scope_id, placed_at FROM hold WHERE {which}")},
        candidate (code) AS ({with_heirs.get()}), {coverage}
        SELECT DISTINCT {answer}
        FROM scope JOIN active h ON h.scope_id = scope.scope_id AND h.scope_kind = scope.scope_kind
        WHERE scope.until IS NULL OR scope.until >= h.placed_at
        """  # noqa: S608 - the parts put in are constants of our packages


@cache
def covered_by() -> TextualSelect:
    """Select the `code` of every specimen that an active hold of the kind `:kind` covers; "any" is every kind."""
    active = "lifted_at IS NULL AND (:kind = 'any' OR kind = :kind)"
    return text(covered_by_those(active, "scope.target AS code")).columns(code=Text)


@cache
def _named_by(active: str) -> TextClause:
    return text(f"{_held(active)} SELECT code FROM held")  # noqa: S608 - the parts put in are constants of our packages


_ONE = "SELECT CAST(:kind AS text) AS scope_kind, CAST(:id AS text) AS scope_id, now() AS placed_at"
_THESE = "SELECT scope_kind, scope_id, placed_at FROM hold WHERE id = ANY(:holds)"


def named_by(session: Session, kind: str, scope_id: str) -> list[str]:
    """Return the specimens that a hold on this would cover by itself, without what was made of them."""
    return sorted(session.execute(_named_by(_ONE), {"kind": kind, "id": scope_id}).scalars())


def held_for(session: Session, reason: str, since: datetime, until: datetime) -> set[str]:
    """Return what was held between two times by holds that were placed or lifted for a reason, whatever they were placed on:
    without what was made of it. A place that was held names all that stood in it since.
    """
    why = cast(func.convert_from(event.c.entry, "UTF8"), JSONB)["body"]["reason"].astext
    asked = select(hold.c.id).join(event, event.c.leaf_hash == hold.c.lifted_event, isouter=True)
    asked = asked.where(or_(hold.c.reason == reason, why == reason), hold.c.placed_at <= until)
    holds = session.execute(asked.where(func.coalesce(hold.c.lifted_at, until) >= since)).scalars().all()
    return set(session.execute(_named_by(_THESE), {"holds": holds}).scalars()) if holds else set()


def holds_on(session: Session, codes: Collection[str]) -> dict[str, tuple[ActiveHold, ...]]:
    """Return the active holds that cover each specimen: its own, its ancestors', lot, harvest, donor, places, shipments."""
    found: dict[str, list[ActiveHold]] = {code: [] for code in codes}
    for row in session.execute(_statement(), {"codes": list(codes)}):
        found[row.target].append(ActiveHold(str(row.id), row.kind, row.scope_kind, row.scope_id, tuple(row.blocks)))
    return {code: tuple(holds) for code, holds in found.items()}
