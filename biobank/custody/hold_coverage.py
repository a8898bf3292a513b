"""Which active holds cover a specimen: its own, its ancestors', its lot's, harvest's and donor's, of places and shipments.

One statement, put together from what the owners of the tables say: each knows what a hold on a thing of its own covers.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from sqlalchemy import TextClause, text
from sqlmodel import Session

from biobank.custody.legality import ActiveHold
from biobank.foundation.from_above import FromAbove


@dataclass(frozen=True)
class HoldReach:
    """SQL by which one package finds the things of its own under whose holds the specimens `:codes` stand."""

    tables: str
    """Common table expressions, which may use those of the packages before it in `_REACHES`."""
    scopes: str
    """SELECT target, scope_kind, scope_id, until: the specimen, what covers it, and until when it did (NULL: still)."""


specimens_reach: FromAbove[HoldReach] = FromAbove("specimens")
"""Gives the table `line (target, member)`: each specimen with its ancestors."""
storage_reach: FromAbove[HoldReach] = FromAbove("storage")
shipping_reach: FromAbove[HoldReach] = FromAbove("shipping")
_REACHES = (specimens_reach, storage_reach, shipping_reach)

shipment_sites: FromAbove[str] = FromAbove("shipping")
"""SQL: SELECT scope_id, donor_code, site; who may know of a hold on a shipment."""


@cache
def _statement() -> TextClause:
    reaches = [reach.get() for reach in _REACHES]
    tables = ", ".join(reach.tables for reach in reaches if reach.tables)
    scopes = " UNION ".join(reach.scopes for reach in reaches)
    return text(
        f"""
        WITH RECURSIVE {tables}, scope (target, scope_kind, scope_id, until) AS ({scopes})
        SELECT DISTINCT ON (scope.target, h.placed_at, h.id) scope.target, h.id, h.kind, h.scope_kind, h.scope_id, h.blocks
        FROM scope JOIN hold h ON h.scope_id = scope.scope_id AND h.scope_kind = scope.scope_kind
        WHERE h.lifted_at IS NULL AND (scope.until IS NULL OR scope.until >= h.placed_at)
        ORDER BY scope.target, h.placed_at, h.id
        """  # noqa: S608 - the parts put in are constants of our packages
    )


def holds_on(session: Session, codes: Collection[str]) -> dict[str, tuple[ActiveHold, ...]]:
    """Return the active holds that cover each specimen: its own, its ancestors', lot, harvest, donor, places, shipments."""
    found: dict[str, list[ActiveHold]] = {code: [] for code in codes}
    for row in session.execute(_statement(), {"codes": list(codes)}):
        found[row.target].append(ActiveHold(str(row.id), row.kind, row.scope_kind, row.scope_id, tuple(row.blocks)))
    return {code: tuple(holds) for code, holds in found.items()}
