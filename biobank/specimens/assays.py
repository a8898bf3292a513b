"""Viability as measured: recording a count, and what the counts of a specimen say."""

from collections.abc import Collection
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Move, acknowledge, record, require_expected
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import get_visible
from biobank.foundation.errors import Conflict
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.events import ViabilityMeasured
from biobank.specimens.materials import Assay, Estimand, material_of
from biobank.specimens.models import viability_assay as assay
from biobank.specimens.schemas import Measured, RecordViability, ViabilityRecorded
from biobank.specimens.viability import live_per_ml, viability_bp, wilson_bp

COUNTED = {
    "method",
    "live",
    "dead",
    "dilution_milli",
    "volume_nl",
    "suspension_ul",
    "minutes_after_thaw",
    "instrument",
}
"""What a count says beside its circumstances."""


class AssayNotForMaterial(Conflict):
    """This assay says nothing about this material."""

    code = "assay_not_for_material"
    title = "Not an assay of this material"


class NothingCounted(Conflict):
    """No cell was counted: there is no viability to record."""

    code = "nothing_counted"
    title = "Nothing was counted"


def record_viability(session: Session, act: Act, code: str, request: RecordViability) -> ViabilityRecorded:
    """Record one count of living and dead, as read.

    Raises NotFound, NotPermitted, PreconditionMissing, StaleSequence, AssayNotForMaterial, NothingCounted, ImplausibleTime.
    """
    specimen = get_visible(session, act.actor, code, lock=True)
    require_expected(specimen, request.expected_seq)
    material = material_of(specimen.material)
    if request.method not in material.assays:
        assays = " or ".join(one.value for one in material.assays) or "no assay"
        raise AssayNotForMaterial(
            f"{code} is {material.title.lower()}; its viability is measured by {assays}, not {request.method.value}.",
            subject=code,
        )
    if request.live + request.dead == 0:
        raise NothingCounted("Nothing was counted, so there is no viability to record. Count again.", subject=code)
    assay_id = uuid4()
    counts = request.model_dump(include=COUNTED)
    warned = require_fit(session, act, _use_of(act, specimen, request)) if request.instrument is not None else []
    appended = record(session, act, [Move(specimen, ViabilityMeasured(assay=str(assay_id), **counts))], request)
    session.execute(
        insert(assay).values(
            id=assay_id,
            specimen_code=code,
            operator=request.performed_by[0] if request.performed_by else act.actor.code,
            measured_at=request.occurred_at or act.at,
            event_hash=appended[0].leaf_hash,
            recorded_at=act.at,
            recorded_by=act.actor.code,
            **counts,
        )
    )
    keep_warnings(session, act, warned, used_in=str(assay_id), site=_site_of(specimen))
    kept = session.execute(select(assay).where(assay.c.id == assay_id)).one()
    return ViabilityRecorded(
        specimen=code,
        seq=appended[-1].seq,
        measured=_measured(kept),
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def _site_of(specimen: Snapshot) -> str:
    """Where it is counted: where it is, or (on its way) its own bank."""
    return specimen.projection.site_code or specimen.home_site_code or ""


def _use_of(act: Act, specimen: Snapshot, request: RecordViability) -> Use:
    return Use(
        site=_site_of(specimen),
        used_at=request.occurred_at or act.at,
        people=request.performed_by or [act.actor.code],
        codes=[request.instrument or ""],
    )


def measured_of(session: Session, code: str) -> list[Measured]:
    """Return what was measured of a specimen, oldest first. The caller has checked that the actor may know of it."""
    rows = session.execute(select(assay).where(assay.c.specimen_code == code).order_by(assay.c.measured_at, assay.c.id))
    return [_measured(row) for row in rows]


def latest_counts(session: Session, codes: Collection[str]) -> dict[str, "Row[Any]"]:
    """Return the latest count of each specimen that was counted, as its row: one statement however many specimens."""
    rows = session.execute(
        select(assay)
        .where(assay.c.specimen_code.in_(sorted(codes)))
        .ext(distinct_on(assay.c.specimen_code))
        .order_by(assay.c.specimen_code, assay.c.measured_at.desc(), assay.c.recorded_at.desc())
    )
    return {row.specimen_code: row for row in rows}


def _measured(row: "Row[Any]") -> Measured:
    interval = wilson_bp(row.live, row.dead)
    grown = row.method == Assay.OUTGROWTH
    return Measured(
        assay=row.id,
        method=row.method,
        estimand=(Estimand.FOLLICLE_OUTGROWTH if grown else Estimand.CELL_MEMBRANE_INTEGRITY).value,
        live=row.live,
        dead=row.dead,
        viability_bp=viability_bp(row.live, row.dead),
        wilson_95_lower_bp=interval.lower_bp,
        wilson_95_upper_bp=interval.upper_bp,
        dilution_milli=row.dilution_milli,
        volume_nl=row.volume_nl,
        suspension_ul=row.suspension_ul,
        live_per_ml=None if row.volume_nl is None else live_per_ml(row.live, row.dilution_milli, row.volume_nl),
        minutes_after_thaw=row.minutes_after_thaw,
        instrument=row.instrument,
        operator=row.operator,
        measured_at=row.measured_at,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        leaf_hash=bytes(row.event_hash).hex(),
    )
