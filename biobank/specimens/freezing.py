"""Runs that change specimens where they are: freezing, from which they are banked, and thawing, after which they are not."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Move, acknowledge, record
from biobank.custody.service import receipt_of
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.specimens.bench import Bench, keep_run, set_up_bench
from biobank.specimens.creation import made_of_snapshot
from biobank.specimens.events import Frozen, Thawed
from biobank.specimens.materials import material_of
from biobank.specimens.processing_schemas import FreezingRun, ProcessingRecorded, ThawingRun

NO_TOTALS: dict[str, Any] = {"used": None, "used_unit": None, "made": None, "made_unit": None, "loss": None}


class NotFreezable(Conflict):
    """The registry knows no way to keep this material frozen."""

    code = "not_freezable"
    title = "Not frozen here"


def freezing_refusal(specimen: Snapshot) -> Refusal | None:
    """Return why a specimen's material is not frozen here, or None. Pure."""
    entry = material_of(specimen.material)
    if entry.freezable:
        return None
    return NotFreezable(
        f"{specimen.code} is {entry.title.lower()}, which is not frozen here.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def record_freezing(session: Session, act: Act, request: FreezingRun) -> ProcessingRecorded:
    """Record a freezing run: each specimen is frozen and banked at the time the run ended.

    Raises what `set_up_bench` raises, NotFreezable, and IllegalTransition (thawed cells are not frozen again) from `record`.
    """
    bench = set_up_bench(session, act, request, request.specimens)
    raise_first([refusal for one in bench.specimens if (refusal := freezing_refusal(one)) is not None])
    run_id = uuid4()
    event = Frozen(
        processing=str(run_id),
        procedure_version=request.procedure_version,
        programme=request.programme,
        cryoprotectant=request.cryoprotectant,
        cryoprotectant_contact_s=request.cryoprotectant_contact_s,
        curve_sha256=request.curve_sha256,
        equipment=tuple(request.devices),
        reagent_lots=tuple(request.reagent_lots),
        no_reagents=request.no_reagents,
    )
    names = {"programme", "cryoprotectant", "cryoprotectant_contact_s", "curve_sha256"}
    return _treat(session, act, request, bench, run_id, event, request.model_dump(include=names))


def record_thawing(session: Session, act: Act, request: ThawingRun) -> ProcessingRecorded:
    """Record a thawing run. Raises what `set_up_bench` raises, and IllegalTransition, OnHold, ReservedElsewhere from `record`."""
    bench = set_up_bench(session, act, request, request.specimens)
    run_id = uuid4()
    event = Thawed(
        processing=str(run_id),
        method=request.method,
        bath_temperature_mc=request.bath_temperature_mc,
        duration_s=request.duration_s,
    )
    names = {"method", "bath_temperature_mc", "duration_s"}
    return _treat(session, act, request, bench, run_id, event, request.model_dump(include=names))


def _treat(
    session: Session,
    act: Act,
    request: FreezingRun | ThawingRun,
    bench: Bench,
    run_id: UUID,
    event: Event,
    parameters: dict[str, Any],
) -> ProcessingRecorded:
    moves = [Move(one, event, site=request.site, relies_on=bench.relies_on) for one in bench.specimens]
    appended = record(session, act, moves, request)
    heads = {done.stream_id: done for done in appended}
    amounts: Sequence[tuple[int | None, bool]] = [(None, False)] * len(moves)
    handled = keep_run(
        session, act, request, bench, run_id=run_id, lot=None, parameters=parameters, amounts=amounts, totals=NO_TOTALS
    )
    return ProcessingRecorded(
        processing=run_id,
        process=request.process,
        lot=None,
        donor=bench.donor,
        balance=None,
        specimens=[made_of_snapshot(one, heads[one.code]) for one in bench.specimens],
        inputs=[],
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, [*appended, *handled]),
        warnings=[one.sentence for one in bench.warned],
    )
