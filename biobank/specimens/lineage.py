"""Lineage: everything a specimen came from and everything that came from it."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.snapshots import get_visible
from biobank.specimens.schemas import Lineage, LineageEdge, LineageNode

LARGEST = 10_000
"""Specimens shown of one graph; a donor's whole life is some hundreds."""

_NODES = text(
    """
    WITH RECURSIVE up AS (
        SELECT CAST(:code AS text) AS code, 0 AS generation
        UNION
        SELECT p.parent_code, up.generation - 1 FROM up JOIN specimen_parent p ON p.child_code = up.code
    ), down AS (
        SELECT CAST(:code AS text) AS code, 0 AS generation
        UNION
        SELECT p.child_code, down.generation + 1 FROM down JOIN specimen_parent p ON p.parent_code = down.code
    ), met AS (
        SELECT code, max(generation) AS generation FROM up GROUP BY code
        UNION
        SELECT code, min(generation) AS generation FROM down GROUP BY code
    )
    SELECT s.code, s.material, s.passage, s.lot_code, s.unit, s.home_site_code, c.site_code, c.state, c.amount,
           d.clinic_site_code, met.generation, l.process,
           (SELECT array_agg(p.parent_code ORDER BY p.parent_code) FROM specimen_parent p WHERE p.child_code = s.code) AS parents
    FROM met JOIN specimen s ON s.code = met.code JOIN custody c ON c.code = s.code
    LEFT JOIN donor d ON d.code = s.donor_code LEFT JOIN lot l ON l.code = s.lot_code
    ORDER BY met.generation, s.code
    LIMIT :largest
    """
)


_KIN = text(
    """
    WITH RECURSIVE up AS (
        SELECT code AS unit, code FROM specimen WHERE code = ANY(:units)
        UNION
        SELECT up.unit, p.parent_code FROM up JOIN specimen_parent p ON p.child_code = up.code
    )
    SELECT up.unit, up.code, s.lot_code, false AS sibling FROM up JOIN specimen s ON s.code = up.code WHERE up.code <> up.unit
    UNION
    SELECT own.code, other.code, NULL, true FROM specimen own JOIN specimen other ON other.lot_code = own.lot_code
    WHERE own.code = ANY(:units) AND other.code <> own.code
    """
)


class Kin(NamedTuple):
    """Another specimen that a unit was made from or with. `lot`: of an ancestor; `sibling`: made in the same lot as the unit."""

    unit: str
    code: str
    lot: str | None
    sibling: bool


def kin_of(session: Session, units: Collection[str]) -> list[Kin]:
    """Return every ancestor of these units and every other unit of their lots. One statement."""
    return [Kin(*row) for row in session.execute(_KIN, {"units": sorted(units)})]


def describe_lineage(session: Session, actor: Actor, code: str) -> Lineage:
    """Answer GET /specimens/{code}/lineage.

    The whole graph is of one donor, and a specimen's own log names its parents, so codes are shown throughout; the present
    state of what is at places the actor may not see is not. Raises NotFound.
    """
    return lineage_of(session, actor, get_visible(session, actor, code).code)


def lineage_of(session: Session, actor: Actor, code: str) -> Lineage:
    """Return the graph around a specimen that the actor may know of. One statement."""
    rows = session.execute(_NODES, {"code": code, "largest": LARGEST}).all()
    met = {row.code for row in rows}
    edges = sorted((parent, row.code, row.process) for row in rows for parent in row.parents or () if parent in met)
    return Lineage(
        specimen=code,
        nodes=[_node(actor, row) for row in rows],
        edges=[LineageEdge(parent=parent, child=child, process=process) for parent, child, process in edges],
    )


def _node(actor: Actor, row: "Row[Any]") -> LineageNode:
    sites = (row.site_code, row.home_site_code, row.clinic_site_code)
    known = actor.may(Permission.SPECIMEN_READ, at=sites)
    return LineageNode(
        code=row.code,
        material=row.material,
        passage=row.passage,
        lot=row.lot_code,
        generation=row.generation,
        state=row.state if known else None,
        amount=row.amount if known else None,
        unit=row.unit,
    )
