"""Viability as measured: recording a count, what the counts of a specimen say, and the hold of one that shows too little."""

from collections.abc import Callable, Collection
from itertools import groupby
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Move, acknowledge, head_of, record, require_expected
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import get_visible, load
from biobank.custody.states import HoldKind, HoldScope
from biobank.donors.visibility import lock_donor
from biobank.foundation.errors import Conflict
from biobank.foundation.from_above import FromAbove
from biobank.foundation.terms import words
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.events import ViabilityMeasured
from biobank.specimens.lots import last_event_of_lot, lots_spoken_for
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

TOO_FEW_ALIVE = "count_below_criterion"
"""Why a unit or a lot is held whose count does not show what quality demands."""

shows_too_little: FromAbove[Callable[[Session, Snapshot, "Row[Any]"], bool]] = FromAbove("viability")
"""Whether a count (its row) does not show what quality had demanded of the material when it was recorded."""


class AssayNotForMaterial(Conflict):
    """This assay says nothing about this material."""

    code = "assay_not_for_material"
    title = "Not an assay of this material"


class NothingCounted(Conflict):
    """No cell was counted: there is no viability to record."""

    code = "nothing_counted"
    title = "Nothing was counted"


def record_viability(session: Session, act: Act, code: str, request: RecordViability) -> ViabilityRecorded:
    """Record one count of living and dead, as read. One that does not show what quality demands holds the unit at once; of a
    unit that was kept for testing, the lots that it speaks for.

    Raises NotFound, NotPermitted, PreconditionMissing, StaleSequence, AssayNotForMaterial, NothingCounted, ImplausibleTime.
    """
    lots = _lots_of(session, get_visible(session, act.actor, code))
    specimen = get_visible(session, act.actor, code, lock=True)
    require_expected(specimen, request.expected_seq)
    material = material_of(specimen.material)
    if request.method not in material.assays:
        assays = " or ".join(one.value for one in material.assays) or "no assay"
        raise AssayNotForMaterial(
            f"{code} is {material.title.lower()}; its viability is measured by {assays}, not {words(request.method)}.",
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
    keep_warnings(session, act, warned, request, used_in=str(assay_id), site=_site_of(specimen))
    kept = session.execute(select(assay).where(assay.c.id == assay_id)).one()
    if shows_too_little.get()(session, specimen, kept):
        appended += _hold(session, act, specimen, lots, counted=appended[0].leaf_hash)
    return ViabilityRecorded(
        specimen=code,
        seq=max(one.seq for one in appended if one.stream_id == code),
        measured=_measured(kept),
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def _lots_of(session: Session, specimen: Snapshot) -> list[str]:
    """Return the lots that a count of the unit speaks for, with its donor locked: an approval read their holds or sees them."""
    lots = lots_spoken_for(session, specimen.code)
    if lots and specimen.donor_code is not None:
        lock_donor(session, specimen.donor_code)
    return lots


def _hold(session: Session, act: Act, specimen: Snapshot, lots: Collection[str], *, counted: bytes) -> list[Appended]:
    """Hold what a count speaks for, unless the same is held for such a count already."""
    scope = HoldScope.LOT if lots else HoldScope.SPECIMEN
    placed = []
    for one in lots or [specimen.code]:
        if holds.stands(session, scope, one, HoldKind.QUALITY, TOO_FEW_ALIVE):
            continue
        unit = None if lots else load(session, [one], lock=True)[one]
        last = last_event_of_lot(session, one) if unit is None else unit.last_occurred_at
        _id, done = holds.place(
            session,
            kind=HoldKind.QUALITY,
            scope_kind=scope,
            scope_id=one,
            reason=TOO_FEW_ALIVE,
            head=head_of(session, act, NOW, subject=None, site=_site_of(specimen), last=last, relies_on=(counted,)),
            specimen=unit,
            donor_code=specimen.donor_code,
        )
        placed.append(done)
    return placed


def _site_of(specimen: Snapshot) -> str:
    """Where it is counted: where it is, or (on its way) its own bank."""
    return specimen.projection.site_code or specimen.home_site_code or ""


def _use_of(act: Act, specimen: Snapshot, request: RecordViability) -> Use:
    return Use(
        site=_site_of(specimen),
        used_at=request.occurred_at or act.at,
        people=request.performed_by or [act.actor.code],
        codes=[request.instrument or ""],
        devices=[request.instrument or ""],
    )


def measured_of(session: Session, code: str) -> list[Measured]:
    """Return what was measured of a specimen, oldest first. The caller has checked that the actor may know of it."""
    rows = session.execute(select(assay).where(assay.c.specimen_code == code).order_by(assay.c.measured_at, assay.c.id))
    return [_measured(row) for row in rows]


def counts_of(session: Session, codes: Collection[str]) -> dict[str, "list[Row[Any]]"]:
    """Return the counts of each specimen that was counted, as their rows: one statement however many specimens.

    The one that was recorded last comes first: by the bank's clock, which no stated time of a count moves.
    """
    rows = session.execute(
        select(assay)
        .where(assay.c.specimen_code.in_(sorted(codes)))
        .order_by(assay.c.specimen_code, assay.c.recorded_at.desc(), assay.c.measured_at.desc(), assay.c.id)
    )
    return {code: list(own) for code, own in groupby(rows, key=lambda row: str(row.specimen_code))}


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
