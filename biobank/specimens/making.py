"""Runs that make specimens: inputs of one donor in, one lot out, lineage and balance on the record.

The inputs' events come first and the outputs' after them, so that each output names the very entry by which its parent was
used up: lineage is in the log, not only in a table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code, new_codes
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import ImplausibleTime, Move, acknowledge, head_of, record
from biobank.custody.service import receipt_of
from biobank.custody.states import Condition, State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import Prefix, parse_code
from biobank.foundation.from_above import FromAbove
from biobank.specimens.bench import Bench, keep_run, set_up_bench
from biobank.specimens.creation import Draft, create_specimens, made_of_snapshot
from biobank.specimens.events import Consumed, Derived, LotMade, PartUsed, ProcessStarted
from biobank.specimens.limits import limits_of
from biobank.specimens.models import lot, specimen
from biobank.specimens.models import specimen_parent as _parent
from biobank.specimens.processes import PROCESSES, Process
from biobank.specimens.processing_schemas import BalancePublic, MakingRun, ProcessingRecorded, RunInput, RunOutput
from biobank.specimens.run_rules import (
    THERAPEUTIC,
    Making,
    PassageBeyondLimit,
    Use,
    condition_after,
    made_total,
    refusal_of_run,
    used_total,
)
from biobank.specimens.shapes import SpecimenMade

_RunRefusals = Callable[[Session, Act, Process, Sequence[Use], Sequence[Making], str | None], None]
run_refusals: FromAbove[_RunRefusals] = FromAbove("quality")
"""Raise why a run may not end one of its inputs for the donor; the last: the withdrawal on whose behalf it is."""

_TRAITS = (specimen.c.code, specimen.c.collected_at)


@dataclass(frozen=True)
class _Run:
    """One run while it is being recorded."""

    id: UUID
    lot: str
    process: Process
    request: MakingRun
    bench: Bench
    uses: list[Use]
    makings: list[Making]

    @property
    def donor(self) -> str:
        return self.bench.donor

    @property
    def parents(self) -> list[Snapshot]:
        return [use.specimen for use in self.uses]


def record_making(session: Session, act: Act, request: MakingRun, withdrawal: str | None = None) -> ProcessingRecorded:
    """Record a run that makes specimens. `withdrawal`: on whose behalf, when quality approved it for that.

    Raises what `set_up_bench` raises (NotPermitted, NotFound, StaleSequence, SeveralDonors, SpecimenElsewhere, ConsentMissing
    …), what `refusal_of_run` answers, PassageBeyondLimit, and IllegalTransition, OnHold, ReservedElsewhere,
    ImplausibleTime from `record`.
    """
    process = PROCESSES[request.process]
    _require_ends(request, request.occurred_at or act.at)
    bench = set_up_bench(session, act, request, request.inputs)
    uses = [_use_of(request_input, one) for request_input, one in zip(request.inputs, bench.specimens, strict=True)]
    makings = [_making_of(output) for output in request.outputs]
    refusal = refusal_of_run(process, uses, makings, request.loss)
    if refusal is not None:
        raise refusal
    _require_passages(session, request.site, uses, makings)
    run_refusals.get()(session, act, process, uses, makings, withdrawal)
    run = _Run(uuid4(), new_code(session, "LT"), process, request, bench, uses, makings)
    _insert_lot(session, act, run)
    opened = _open_lot(session, act, run)
    used = record(session, act, _input_moves(run), request, withdrawal=withdrawal)
    heads = {done.stream_id: done for done in used}
    made, derived = _make(session, act, run, heads)
    balance = _balance(run)
    handled = keep_run(
        session,
        act,
        request,
        bench,
        run_id=run.id,
        lot=run.lot,
        parameters={},
        amounts=[(use.amount, use.consumed) for use in uses],
        totals=balance.model_dump(include={"used", "used_unit", "made", "made_unit", "loss"}),
        made=[one.code for one in made],
    )
    appended = [opened, *used, *derived]
    return ProcessingRecorded(
        processing=run.id,
        process=process.name,
        lot=run.lot,
        donor=run.donor,
        balance=balance,
        specimens=made,
        inputs=[made_of_snapshot(parent, heads[parent.code]) for parent in run.parents],
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, [*appended, *handled]),
        warnings=[one.sentence for one in bench.warned],
    )


def _require_ends(request: MakingRun, began: datetime) -> None:
    """Raise ImplausibleTime for what would expire before it was made."""
    if any(output.expires_at is not None and output.expires_at <= began for output in request.outputs):
        raise ImplausibleTime("What a run makes expires after the run. Check the date of its expiry.")


def _require_passages(session: Session, site: str, uses: Sequence[Use], makings: Sequence[Making]) -> None:
    """Raise PassageBeyondLimit for what would be grown for treatment further than the bank or the site allows."""
    sites = frozenset({site, *(use.specimen.home_site_code for use in uses if use.specimen.home_site_code)})
    for making in makings:
        if making.passage is None or making.purpose != THERAPEUTIC:
            continue
        limit = limits_of(session, making.material, Condition.IN_CULTURE, sites).highest_passage
        if limit is not None and making.passage > limit and all((use.specimen.passage or 0) < making.passage for use in uses):
            raise PassageBeyondLimit(
                f"What comes out is passage {making.passage}; for treatment it is grown to passage {limit} here. "
                "Freeze it as it is, or make it for tests.",
                subject=uses[0].specimen.code,
                passage=making.passage,
            )


def _use_of(given: RunInput, one: Snapshot) -> Use:
    return Use(one, one.projection.amount if given.amount is None else given.amount, given.consumed)


def _making_of(output: RunOutput) -> Making:
    return Making(
        material=output.material,
        unit=output.unit,
        amount=output.amount,
        count=output.count,
        purpose=output.purpose,
        passage=output.passage,
        vessel_count=output.vessel_count,
    )


def _insert_lot(session: Session, act: Act, run: _Run) -> None:
    session.execute(
        insert(lot).values(
            code=run.lot,
            donor_code=run.donor,
            material=run.makings[0].material,
            process=run.process.name,
            procedure_version=run.request.procedure_version,
            site_code=run.request.site,
            started_at=run.request.occurred_at or act.at,
            recorded_at=act.at,
            recorded_by=act.actor.code,
        )
    )


def _open_lot(session: Session, act: Act, run: _Run) -> Appended:
    request = run.request
    event = LotMade(
        donor=run.donor,
        processing=str(run.id),
        process=run.process.name,
        procedure_version=request.procedure_version,
        site=request.site,
        equipment=tuple(request.devices),
        reagent_lots=tuple(request.reagent_lots),
        no_reagents=request.no_reagents,
        inputs=tuple(parent.code for parent in run.parents),
        used=used_total(run.uses),
        used_unit=run.parents[0].unit,
        made=made_total(run.makings),
        made_unit=run.makings[0].unit,
        loss=request.loss,
        specimens=sum(making.count for making in run.makings),
    )
    head = head_of(session, act, request, subject=run.donor, site=request.site, relies_on=run.bench.relies_on)
    (appended,) = append(session, [Fact(StreamKind.LOT, run.lot, event, head, donor_code=run.donor)])
    return appended


def _input_moves(run: _Run) -> list[Move]:
    """Take each input into the run, then use it up or use a part of it."""
    moves: list[Move] = []
    started = ProcessStarted(lot=run.lot, process=run.process.name, procedure_version=run.request.procedure_version)
    for use in run.uses:
        if use.specimen.state is not State.IN_PROCESS:
            moves.append(_move(run, use.specimen, started))
        done = (
            Consumed(lot=run.lot, process=run.process.name, amount=use.amount)
            if use.consumed
            else PartUsed(lot=run.lot, process=run.process.name, amount=use.amount)
        )
        moves.append(_move(run, use.specimen, done))
    return moves


def _move(run: _Run, one: Snapshot, event: ProcessStarted | Consumed | PartUsed) -> Move:
    return Move(one, event, site=run.request.site, relies_on=run.bench.relies_on)


def _make(session: Session, act: Act, run: _Run, heads: dict[str, Appended]) -> tuple[list[SpecimenMade], list[Appended]]:
    """Bring the outputs into being, with their parents."""
    codes = new_codes(session, _prefix(run).value, sum(m.count for m in run.makings), year=act.at.year % 100)
    parents = [parent.code for parent in run.parents]
    parent_heads = tuple(heads[code].leaf_hash.hex() for code in parents)
    relies_on = (*run.bench.relies_on, *(heads[code].leaf_hash for code in parents))
    common = _inherited(session, run)
    drafts: list[Draft] = []
    remaining = iter(codes)
    for output, making in zip(run.request.outputs, run.makings, strict=True):
        for _ in range(making.count):
            drafts.append(_draft(run, output, making, next(remaining), len(drafts) + 1, common, parents, parent_heads, relies_on))
    made, derived = create_specimens(
        session, act, drafts, run.request, site=run.request.site, clinic_site=run.parents[0].clinic_site_code
    )
    session.execute(
        insert(_parent),
        [
            {"child_code": child, "parent_code": parent, "child_donor": run.donor, "parent_donor": run.donor}
            for child in codes
            for parent in parents
        ],
    )
    return made, derived


def _prefix(run: _Run) -> Prefix:
    """The outputs keep the programme of their parents."""
    return parse_code(run.parents[0].code).prefix


def _inherited(session: Session, run: _Run) -> dict[str, Any]:
    """Return what every output has from its parents: home, harvest, collection, freezes they went through."""
    codes = [parent.code for parent in run.parents]
    traits = session.execute(select(*_TRAITS).where(specimen.c.code.in_(codes))).all()
    harvests = {parent.harvest_code for parent in run.parents}
    collected = [trait.collected_at for trait in traits if trait.collected_at is not None]
    return {
        "home_site_code": run.parents[0].home_site_code,
        # Parents of several harvests: holds on each reach the output through them.
        "harvest_code": harvests.pop() if len(harvests) == 1 else None,
        "collected_at": min(collected, default=None),
        "freeze_count": max(parent.projection.freeze_count for parent in run.parents),
        "condition": condition_after(run.process, run.uses),
    }


def _draft(
    run: _Run,
    output: RunOutput,
    making: Making,
    code: str,
    number: int,
    common: dict[str, Any],
    parents: Sequence[str],
    parent_heads: tuple[str, ...],
    relies_on: tuple[bytes, ...],
) -> Draft:
    event = Derived(
        donor=run.donor,
        material=making.material,
        unit=making.unit,
        amount=making.amount,
        site=run.request.site,
        purpose=output.purpose,
        expires_at=None if output.expires_at is None else rfc3339(output.expires_at),
        parents=tuple(parents),
        parent_heads=parent_heads,
        lot=run.lot,
        process=run.process.name,
        home_site=common["home_site_code"],
        passage=making.passage,
        vessel_count=making.vessel_count,
        condition=common["condition"],
        freeze_count=common["freeze_count"],
        use_by=_clock_of(run.parents, making.material, common["condition"]),
    )
    row = {name: common[name] for name in ("home_site_code", "harvest_code", "collected_at")} | {
        "code": code,
        "donor_code": run.donor,
        "material": making.material,
        "unit": making.unit,
        "purpose": output.purpose,
        "passage": making.passage,
        "vessel_count": making.vessel_count,
        "lot_code": run.lot,
        "unit_number": number,
        "expires_at": output.expires_at,
    }
    return Draft(row, event, relies_on)


def _clock_of(parents: Sequence[Snapshot], material: str, condition: Condition) -> str | None:
    """Return the clock that runs on in what a run only divided or washed: the earliest of its parents of the same kind."""
    same = [one.projection for one in parents if one.material == material and one.projection.condition == condition]
    return min((one.use_by for one in same if one.use_by is not None), default=None)


def _balance(run: _Run) -> BalancePublic:
    used, made = used_total(run.uses), made_total(run.makings)
    return balance_of(run.process.balance, used, run.parents[0].unit, made, run.makings[0].unit, run.request.loss)


def balance_of(rule: str, used: int, used_unit: str, made: int, made_unit: str, loss: int) -> BalancePublic:
    """Describe a balance with its ratio."""
    return BalancePublic(
        rule=rule,
        used=used,
        used_unit=used_unit,
        made=made,
        made_unit=made_unit,
        loss=loss,
        ratio_milli=None if used == 0 else made * 1000 // used,
    )
