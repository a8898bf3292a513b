"""What quality demands of a count, per material and site: set with a signature, read beside every count."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Row, func, insert, select, tuple_
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.models import site as site_table
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.reconciliation.tables import repeated
from biobank.reconciliation.written import Said, Written, is_written
from biobank.specimens.materials import MATERIALS
from biobank.viability.events import CriterionSet
from biobank.viability.models import ViabilityCriterion
from biobank.viability.schemas import CriterionList, CriterionPublic, CriterionRecorded, SetCriterion

criterion_table = table_of(ViabilityCriterion)
is_written(
    Written(
        criterion_table,
        (
            Said(
                "event_hash",
                ("system.viability_criterion_set",),
                {"site_code": "body.site", "decided_by": "by", **repeated("material", "minimum_bp", "confidence_bp")},
            ),
        ),
        site="site_code",
    )
)
_NAMED = (criterion_table.c.site_code, criterion_table.c.material)


class NothingToCount(Conflict):
    """The material has no living cells to count."""

    code = "nothing_to_count"
    title = "Nothing to count"


@dataclass(frozen=True)
class Criterion:
    """At least `minimum_bp` per 10,000 live, shown with `confidence_bp`."""

    minimum_bp: int
    confidence_bp: int


def criterion_for(session: Session, site: str | None, material: str) -> Criterion | None:
    """Return what stands for a material at a site, or None."""
    row = session.execute(
        select(criterion_table.c.minimum_bp, criterion_table.c.confidence_bp)
        .where(criterion_table.c.site_code == site, criterion_table.c.material == material)
        .order_by(criterion_table.c.number.desc())
        .limit(1)
    ).first()
    return None if row is None else Criterion(row.minimum_bp, row.confidence_bp)


Demanded: TypeAlias = dict[tuple[str, str], list[tuple[datetime, Criterion]]]


def criteria_over_time(session: Session, pairs: Collection[tuple[str, str]]) -> Demanded:
    """Return what was demanded for each pair of site and material that has a criterion, with since when, the newest first."""
    rows = session.execute(
        select(criterion_table).where(tuple_(*_NAMED).in_(sorted(pairs))).order_by(*_NAMED, criterion_table.c.number.desc())
    )
    found: Demanded = {}
    for row in rows:
        criterion = Criterion(row.minimum_bp, row.confidence_bp)
        found.setdefault((row.site_code, row.material), []).append((row.decided_at, criterion))
    return found


def applying(demanded: Sequence[tuple[datetime, Criterion]], recorded_at: datetime) -> Criterion | None:
    """Return the criterion that judges a count recorded at an instant: the newest that stood by then, or None. Pure.

    By the bank's clock, which no stated time of a count moves.
    """
    return next((one for since, one in demanded if since <= recorded_at), None)


def set_criterion(session: Session, act: Act, request: SetCriterion) -> CriterionRecorded:
    """Set what a count must show. Raises NotPermitted, NotFound, NothingToCount, and what `use_signature` raises."""
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    if session.execute(select(site_table.c.code).where(site_table.c.code == request.site)).first() is None:
        raise NotFound(f"There is no site {request.site}.", subject=request.site)
    if not MATERIALS[request.material].assays:
        raise NothingToCount(f"{MATERIALS[request.material].title} has no living cells that an assay here counts.")
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = CriterionSet(
        site=request.site,
        material=request.material.value,
        minimum_bp=request.minimum_bp,
        confidence_bp=request.confidence_bp,
        signature=str(signature.id),
    )
    head = head_of(session, act, request, subject=None, site=request.site)
    appended = append(session, [Fact(StreamKind.SYSTEM, request.site, event, head)])
    session.execute(
        insert(criterion_table).values(
            site_code=request.site,
            material=request.material.value,
            minimum_bp=request.minimum_bp,
            confidence_bp=request.confidence_bp,
            decided_by=act.actor.code,
            decided_at=act.at,
            event_hash=appended[0].leaf_hash,
        )
    )
    (row,) = _standing(session, request.site, request.material.value)
    return CriterionRecorded(criterion=_public(row), events=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended))


def list_criteria(session: Session, actor: Actor) -> CriterionList:
    """Answer GET /viability/criteria: what stands."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    return CriterionList(items=[_public(row) for row in _standing(session)])


def _standing(session: Session, site: str | None = None, material: str | None = None) -> "list[Row[Any]]":
    newest = select(func.max(criterion_table.c.number)).group_by(*_NAMED)
    statement = select(criterion_table).where(criterion_table.c.number.in_(newest)).order_by(*_NAMED)
    for column, value in ((criterion_table.c.site_code, site), (criterion_table.c.material, material)):
        if value is not None:
            statement = statement.where(column == value)
    return list(session.execute(statement).all())


def _public(row: "Row[Any]") -> CriterionPublic:
    return CriterionPublic(
        site=row.site_code,
        material=row.material,
        minimum_bp=row.minimum_bp,
        confidence_bp=row.confidence_bp,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
