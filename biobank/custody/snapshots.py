"""Reading what the rules need: snapshots of specimens, with or without a lock, with or without holds."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.effects import PROJECTED
from biobank.custody.legality import ActiveHold, Snapshot
from biobank.custody.models import Custody
from biobank.foundation.db import metadata, table_of
from biobank.foundation.errors import NotFound

custody = table_of(Custody)

_PROJECTED_COLUMNS = tuple(custody.c[name] for name in PROJECTED)


def snapshot_columns() -> tuple[ColumnElement[Any], ...]:
    """The columns a snapshot is made of, from `snapshot_from()`."""
    specimen, donor = metadata.tables["specimen"], metadata.tables["donor"]
    return (
        custody.c.code,
        custody.c.donor_code,
        custody.c.seq,
        custody.c.head_hash,
        custody.c.last_occurred_at,
        custody.c.state_seq,
        *_PROJECTED_COLUMNS,
        specimen.c.material,
        specimen.c.unit,
        specimen.c.purpose,
        specimen.c.passage,
        specimen.c.lot_code,
        specimen.c.harvest_code,
        specimen.c.regulatory_basis,
        specimen.c.home_site_code,
        specimen.c.expires_at,
        donor.c.clinic_site_code,
    )


def snapshot_from() -> Any:
    """custody ⋈ specimen ⟕ donor."""
    specimen, donor = metadata.tables["specimen"], metadata.tables["donor"]
    return custody.join(specimen, specimen.c.code == custody.c.code).outerjoin(donor, donor.c.code == custody.c.donor_code)


def snapshot_of(row: "Row[Any]", holds: tuple[ActiveHold, ...] = ()) -> Snapshot:
    """Build a snapshot from a row of `snapshot_columns()` (or a named tuple of them)."""
    m = row._asdict()
    projection = {name: m[name] for name in PROJECTED}
    if projection["administered_under"] is not None:
        projection["administered_under"] = str(projection["administered_under"])
    return Snapshot(
        code=m["code"],
        donor_code=m["donor_code"],
        seq=m["seq"],
        head_hash=bytes(m["head_hash"]),
        projection=projection,
        last_occurred_at=m["last_occurred_at"],
        state_seq=m["state_seq"],
        material=m["material"],
        unit=m["unit"],
        purpose=m["purpose"],
        passage=m["passage"],
        lot_code=m["lot_code"],
        harvest_code=m["harvest_code"],
        regulatory_basis=m["regulatory_basis"],
        home_site_code=m["home_site_code"],
        clinic_site_code=m["clinic_site_code"],
        expires_at=m["expires_at"],
        holds=holds,
    )


# A hold on a place covers what was in it at any time since it was placed: carrying a tube or its box out lifts nothing. The
# log is read for that only while some place is on hold. A hold on a shipment covers what ever travelled with it. A tube has
# left when that was recorded, whatever time was stated: nobody carries it out of a hold by saying that it was earlier.
_HOLDS = text(
    """
    WITH RECURSIVE line AS (
        SELECT code AS target, code AS member FROM specimen WHERE code = ANY(:codes)
        UNION
        SELECT line.target, p.parent_code FROM line JOIN specimen_parent p ON p.child_code = line.member
    ), stay AS (
        SELECT line.target, e.occurred_at AS since,
               CASE WHEN e.state IN ('stored', 'checked_out')
                    THEN convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'container' END AS member,
               lead(e.recorded_at) OVER (PARTITION BY line.target, e.stream_id ORDER BY e.seq) AS until
        FROM line JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = line.member
        WHERE EXISTS (SELECT 1 FROM hold WHERE scope_kind = 'container' AND lifted_at IS NULL)
          AND (e.kind IN ('specimen.stored', 'specimen.moved', 'specimen.safeguarded')
               OR e.state NOT IN ('stored', 'checked_out'))
    ), place AS (
        (SELECT c.code AS target, c.container_code AS member, c.last_occurred_at AS since, CAST(NULL AS timestamptz) AS until
         FROM custody c WHERE c.code = ANY(:codes) AND c.container_code IS NOT NULL
         UNION
         SELECT target, member, since, until FROM stay WHERE member IS NOT NULL)
        UNION
        SELECT place.target, above.member, place.since, above.until FROM place, LATERAL (
            SELECT s.parent_code AS member, place.until FROM storage_container s WHERE s.code = place.member
            UNION
            SELECT convert_from(e.entry, 'UTF8')::jsonb -> 'body' ->> 'from_parent', least(e.recorded_at, place.until)
            FROM event e
            WHERE e.stream_kind = 'container' AND e.stream_id = place.member AND e.kind = 'container.moved'
              AND e.recorded_at >= place.since
        ) AS above
        WHERE above.member IS NOT NULL
    ), scope AS (
        SELECT target, 'specimen' AS scope_kind, member AS scope_id, CAST(NULL AS timestamptz) AS until FROM line
        UNION
        SELECT line.target, 'lot', s.lot_code, NULL FROM line JOIN specimen s ON s.code = line.member
        WHERE s.lot_code IS NOT NULL
        UNION
        SELECT line.target, 'harvest', s.harvest_code, NULL FROM line JOIN specimen s ON s.code = line.member
        WHERE s.harvest_code IS NOT NULL
        UNION
        SELECT s.code, 'donor', s.donor_code, NULL FROM specimen s WHERE s.code = ANY(:codes) AND s.donor_code IS NOT NULL
        UNION
        SELECT target, 'container', member, until FROM place
        UNION
        SELECT line.target, 'shipment', i.shipment_code, NULL FROM line JOIN shipment_item i ON i.specimen_code = line.member
    )
    SELECT DISTINCT ON (scope.target, h.placed_at, h.id) scope.target, h.id, h.kind, h.scope_kind, h.scope_id, h.blocks
    FROM scope JOIN hold h ON h.scope_id = scope.scope_id AND h.scope_kind = scope.scope_kind
    WHERE h.lifted_at IS NULL AND (scope.until IS NULL OR scope.until >= h.placed_at)
    ORDER BY scope.target, h.placed_at, h.id
    """
)


def holds_on(session: Session, codes: Collection[str]) -> dict[str, tuple[ActiveHold, ...]]:
    """Return the active holds that cover each specimen: its own, its ancestors', lot, harvest, donor, places, shipments."""
    found: dict[str, list[ActiveHold]] = {code: [] for code in codes}
    for row in session.execute(_HOLDS, {"codes": list(codes)}):
        found[row.target].append(ActiveHold(str(row.id), row.kind, row.scope_kind, row.scope_id, tuple(row.blocks)))
    return {code: tuple(holds) for code, holds in found.items()}


def load(session: Session, codes: Iterable[str], *, lock: bool = False, holds: bool = False) -> dict[str, Snapshot]:
    """Load snapshots by code; missing codes are absent.

    `lock` takes the custody rows FOR UPDATE in code order (donor and withdrawal rows must have been locked before, see the
    lock order in docs). `holds` loads the active holds too.
    """
    wanted = sorted(set(codes))
    statement = (
        select(*snapshot_columns()).select_from(snapshot_from()).where(custody.c.code.in_(wanted)).order_by(custody.c.code)
    )
    if lock:
        statement = statement.with_for_update(of=custody)
    rows = session.execute(statement).all()
    held = holds_on(session, [r.code for r in rows]) if holds and rows else {}
    return {row.code: snapshot_of(row, held.get(row.code, ())) for row in rows}


def get_visible(session: Session, actor: Actor, code: str, *, lock: bool = False, holds: bool = False) -> Snapshot:
    """Load one specimen the actor may know of; raise NotFound otherwise (also when it exists)."""
    return get_all_visible(session, actor, [code], lock=lock, holds=holds)[0]


def get_all_visible(
    session: Session, actor: Actor, codes: Sequence[str], *, lock: bool = False, holds: bool = False
) -> list[Snapshot]:
    """Load several, in the order given; raise NotFound naming the first code the actor may not know of."""
    found = load(session, codes, lock=lock, holds=holds)
    answer = []
    for code in codes:
        specimen = found.get(code)
        if specimen is None or not may_know(actor, specimen):
            raise unknown_specimen(code)
        answer.append(specimen)
    return answer


def may_know(actor: Actor, specimen: Snapshot) -> bool:
    """Say whether the actor may know that the specimen exists."""
    return actor.may(Permission.SPECIMEN_READ, at=specimen.sites)


def unknown_specimen(code: str) -> NotFound:
    """The refusal for a code the caller may not know of."""
    return NotFound(
        f"There is no specimen {code} that you may see. Scan the label again; if it is right, ask the laboratory.",
        where_now="Put the tube in the nearest quarantine place now; storing there is always accepted.",
        subject=code,
    )
