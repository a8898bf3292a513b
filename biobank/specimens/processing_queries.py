"""Questions about runs. Each takes the actor; what the actor may not know of is not found."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.donors.models import donor
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.registers.queries import warnings_of
from biobank.specimens.making import balance_of
from biobank.specimens.models import processing, processing_input
from biobank.specimens.processes import PROCESSES, ProcessName
from biobank.specimens.processing_schemas import ProcessingList, ProcessingPublic, RunInputPublic
from biobank.specimens.scoping import at_sites_of

ORDERS = {"started_at": processing.c.started_at, "process": processing.c.process, "donor": processing.c.donor_code}


def list_processings(
    session: Session,
    actor: Actor,
    *,
    of_donor: str | None = None,
    process: str | None = None,
    specimen: str | None = None,
    lot: str | None = None,
    paging: Paging = Paging(),
) -> ProcessingList:
    """Answer GET /processings: newest first; `specimen` finds the runs it went into or through."""
    statement = runs_of(actor)
    wanted = ((processing.c.donor_code, of_donor), (processing.c.process, process), (processing.c.lot_code, lot))
    for column, value in wanted:
        if value is not None:
            statement = statement.where(column == value)
    if specimen is not None:
        through = select(processing_input.c.processing_id).where(processing_input.c.specimen_code == specimen)
        statement = statement.where(processing.c.id.in_(through))
    page = read_page(session, statement, paging, key=processing.c.id, orders=ORDERS, default="-started_at")
    inputs = _inputs_of(session, [row.id for row in page.rows])
    warned = warnings_of(session, [str(row.id) for row in page.rows])
    return ProcessingList(items=[_public(row, inputs[row.id], warned[str(row.id)]) for row in page.rows], **page.ends)


def describe_processing(session: Session, actor: Actor, run: UUID) -> ProcessingPublic:
    """Answer GET /processings/{id}."""
    row = session.execute(runs_of(actor).where(processing.c.id == run)).first()
    if row is None:
        raise NotFound("There is no such run that you may see.")
    return _public(row, _inputs_of(session, [run])[run], warnings_of(session, [str(run)])[str(run)])


def runs_of(actor: Actor) -> Any:
    """Runs the actor may know of: at the place of the run, at the donor's clinic."""
    return (
        select(processing)
        .join(donor, donor.c.code == processing.c.donor_code)
        .where(at_sites_of(actor, processing.c.site_code, donor.c.clinic_site_code))
    )


def _inputs_of(session: Session, runs: list[UUID]) -> dict[UUID, list[RunInputPublic]]:
    found: dict[UUID, list[RunInputPublic]] = {run: [] for run in runs}
    rows = session.execute(
        select(processing_input)
        .where(processing_input.c.processing_id.in_(runs))
        .order_by(processing_input.c.processing_id, processing_input.c.specimen_code)
    )
    for row in rows:
        found[row.processing_id].append(RunInputPublic(specimen=row.specimen_code, amount=row.amount, consumed=row.consumed))
    return found


def _public(row: "Row[Any]", inputs: list[RunInputPublic], warnings: list[str]) -> ProcessingPublic:
    balance = None
    if row.used is not None:
        rule = PROCESSES[ProcessName(row.process)].balance
        balance = balance_of(rule, row.used, row.used_unit, row.made, row.made_unit, row.loss)
    return ProcessingPublic(
        processing=row.id,
        process=row.process,
        procedure_version=row.procedure_version,
        donor=row.donor_code,
        lot=row.lot_code,
        site=row.site_code,
        operator=row.operator,
        equipment=row.equipment,
        reagent_lots=row.reagent_lots,
        bench_session=row.bench_session,
        balance=balance,
        parameters=row.parameters,
        inputs=inputs,
        warnings=warnings,
        started_at=row.started_at,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
    )
