"""Reading what the rules need: snapshots of specimens, with or without a lock, with or without holds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.hold_coverage import holds_on
from biobank.custody.legality import ActiveHold, Snapshot
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.custody.projection import PROJECTED, Projection
from biobank.foundation.errors import NotFound
from biobank.foundation.from_above import FromAbove


@dataclass(frozen=True)
class SpecimenFacts:
    """What the rules of custody need of a specimen beside its custody row: the columns, and how their tables are joined."""

    columns: tuple[ColumnElement[Any], ...]
    """material, unit, purpose, passage, lot_code, harvest_code, regulatory_basis, home_site_code, expires_at and the donor's
    clinic_site_code and kept_apart; `kept_under` and `cared_under`: under whose law its keeper and the donor's clinic work."""
    joined: Callable[[FromClause, bool], FromClause]
    """Join them to a FROM that holds `custody`; with True also where there is no specimen (an outer join)."""


specimen_facts: FromAbove[SpecimenFacts] = FromAbove("specimens")

_PROJECTED_COLUMNS = tuple(custody.c[name] for name in PROJECTED)


def snapshot_columns() -> tuple[ColumnElement[Any], ...]:
    """The columns a snapshot is made of, from `snapshot_from()`."""
    return (
        custody.c.code,
        custody.c.donor_code,
        custody.c.seq,
        custody.c.head_hash,
        custody.c.last_occurred_at,
        custody.c.state_seq,
        *_PROJECTED_COLUMNS,
        *specimen_facts.get().columns,
    )


def snapshot_from() -> FromClause:
    """custody ⋈ specimen ⟕ donor."""
    return specimen_facts.get().joined(custody, False)


def snapshot_of(row: "Row[Any]", holds: tuple[ActiveHold, ...] = ()) -> Snapshot:
    """Build a snapshot from a row of `snapshot_columns()` (or a named tuple of them)."""
    m = row._asdict()
    return Snapshot(
        code=m["code"],
        donor_code=m["donor_code"],
        seq=m["seq"],
        head_hash=bytes(m["head_hash"]),
        projection=Projection.of(m),
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
        kept_under=m["kept_under"],
        cared_under=m["cared_under"],
        expires_at=expiry_of(m["expires_at"], m["use_by"]),
        kept_apart=bool(m["kept_apart"]),
        holds=holds,
    )


def expiry_of(expires_at: datetime | None, use_by: str | None) -> datetime | None:
    """Return when a specimen is too old for use: its own expiry, or earlier the clock that its condition started."""
    clock = None if use_by is None else datetime.fromisoformat(use_by)
    return min(filter(None, (expires_at, clock)), default=None)


def load(session: Session, codes: Iterable[str], *, lock: bool = False, holds: bool = False) -> dict[str, Snapshot]:
    """Load snapshots by code; missing codes are absent.

    `lock` takes the custody rows in code order; what comes before them in `locks.ORDER` was locked before.
    `holds` loads the active holds too.
    """
    wanted = sorted(set(codes))
    statement = (
        select(*snapshot_columns()).select_from(snapshot_from()).where(custody.c.code.in_(wanted)).order_by(custody.c.code)
    )
    if lock:
        statement = locked(statement, custody)
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
