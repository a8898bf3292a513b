"""Processing runs that make specimens: choosing one, its form, the list of runs and one run."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.specimens.kits import site_options
from biobank.pages.specimens.run_forms import input_codes, known_specimens, loss_of, run_inputs, run_outputs
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.pages.ui.rows import draw_rows, wants_rows
from biobank.pages.ui.scanned import scanned_code, scanned_codes
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again, see
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens import making, processing_queries
from biobank.specimens.amounts import what_choices
from biobank.specimens.lots import describe_lot
from biobank.specimens.materials import MaterialName, amount_text
from biobank.specimens.processes import PROCESSES, PassageRule, ProcessName
from biobank.specimens.processing_schemas import MakingRun, ProcessingList, ProcessingPublic, RunOutput

router = APIRouter(include_in_schema=False)

AnyCode = Annotated[str, Query(max_length=20, pattern=r"^[A-Z0-9-]*$")]
BENCH = ("site", "procedure_version", "equipment", "reagent_lots")
BENCH_LABELS = {
    "procedure_version": "Procedure and version",
    "equipment": "Equipment (EQ codes)",
    "reagent_lots": "Reagent lots (RG codes)",
    "site": "Where",
}
TRAIL: list[tuple[str, str | None]] = [("Processing", "/processings"), ("Record a run", None)]
INPUT_COLUMNS = [Column("specimen", "Specimen", "code"), Column("amount", "Went in"), Column("left", "Afterwards")]


def run_link(run: ProcessingPublic) -> Any:
    """Return a run as a link; a run has no code, so its procedure stands for it."""
    return Markup('<a href="/processings/{}">{}</a>').format(run.processing, str(run.processing)[:8])


PROCESS_NAMES = (*(one.value for one in ProcessName), "freezing", "thawing")


def read_runs(session: Session, actor: Actor, asked: Wanted) -> ProcessingList:
    """Read one page of the runs that the address asks for."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    of = asked.of
    return processing_queries.list_processings(
        session, actor, of_donor=of["donor"], process=of["process"], specimen=of["specimen"], lot=of["lot"], paging=asked.paging
    )


def row_of(run: ProcessingPublic) -> Mapping[str, Any]:
    """Return the cells of one run."""
    return run.model_dump() | {"run": run_link(run)}


Listing(
    address="/processings",
    title="Processing",
    lead="Every run of the laboratory: what went in, what came out, with what.",
    key="processing",
    columns=[
        Column("run", "Run"),
        Column("process", "Process", "words", sort="process"),
        Column("donor", "Donor", "code", sort="donor"),
        Column("lot", "Lot", "code"),
        Column("procedure_version", "Procedure"),
        Column("site", "At", "plain_code"),
        Column("started_at", "When", "when", sort="started_at"),
    ],
    read=read_runs,
    row=row_of,
    default="-started_at",
    filters=[
        Filter("process", "Process", "choice", [(one, words(one)) for one in PROCESS_NAMES]),
        Filter("donor", "Donor code", "code"),
        Filter("specimen", "Specimen", "code"),
        Filter("lot", "Lot", "code"),
    ],
    links=[
        Link("Record a run", "/processings/new", "flask", Permission.PROCESSING_RECORD, main=True),
        Link("Record a freezing run", "/processings/freezing", "snow", Permission.PROCESSING_RECORD),
        Link("Record a thawing run", "/processings/thawing", "drop", Permission.PROCESSING_RECORD),
    ],
    tabs=[("Runs", "/processings"), ("Lots", "/lots")],
    empty="No runs",
    hint="A run is recorded when its last container is closed.",
).on(router)


@router.get("/processings/new")
async def show_new(
    request: Request,
    reading: PageReading,
    process: Annotated[str, Query(max_length=30, pattern="^[a-z_]*$")] = "",
    specimen: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Response:
    """Draw the form of a process; without one, what to choose first."""
    request.state.actor.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
    codes = [one for one in specimen or [] if len(one) == 12]
    if process in set(ProcessName):
        return await _draw(request, reading, ProcessName(process), given=codes)
    return await _draw_start(request, reading, codes)


async def _draw_start(
    request: Request, reading: PageReading, codes: list[str], refusal: Refusal | None = None, typed: Any = None
) -> Response:
    known = await reading(known_specimens, codes) if codes else {}
    materials = {MaterialName(one.material) for one in known.values()}
    possible = [entry for entry in PROCESSES.values() if materials <= set(entry.makes)]
    fields = [
        Field(
            "process",
            "Process",
            "select",
            (typed or {}).get("process", ""),
            True,
            options=[(entry.name.value, entry.title) for entry in possible],
        ),
        Field(
            "specimen",
            "First specimen that goes in",
            "scan",
            codes[0] if codes else (typed or {}).get("specimen", ""),
            False,
            accepts="HF AD",
        ),
    ]
    return act_page(
        request,
        refusal,
        title="Record a run",
        subject="Processing",
        lead="Choose the process, then scan what goes in.",
        back="/processings",
        trail=TRAIL,
        fields=fields,
        hidden={"start": "yes"},
        submit="Go on",
        icon="arrow",
    )


async def _draw(
    request: Request,
    reading: PageReading,
    name: ProcessName,
    refusal: Refusal | None = None,
    typed: Form | None = None,
    given: list[str] | None = None,
) -> Response:
    process = PROCESSES[name]
    sites = (await reading(list_sites, active=True)).items
    known = await reading(known_specimens, given) if given else {}
    own = [one for one in sites if request.state.actor.may(Permission.PROCESSING_RECORD, at=one.code)]
    values: Any = typed if typed is not None else {"site": own[0].code if len(own) == 1 else ""}
    made = {one for taken in process.makes.values() for one in taken}
    if known:
        made = {one for spec in known.values() for one in process.makes.get(MaterialName(spec.material), made)}
    choices = what_choices(sorted(made))
    if process.units is not None:
        choices = [(value, text) for value, text in choices if value.endswith(f":{process.units[1].value}")]
    inputs = draw_rows(
        "inputs",
        "What went in",
        "Specimen",
        _input_fields,
        typed,
        at_least=max(2, len(known)),
        given=[{"specimen": code} for code in known],
        hint="All of one donor. Scan each; rows left empty do not count.",
    )
    outputs = draw_rows(
        "outputs",
        "What came out",
        "Containers alike",
        lambda row: _output_fields(row, name, choices),
        typed,
        at_least=1 if process.culture else 2,
        hint="All of one lot. Containers of the same content stand in one row.",
    )
    fields = fields_of(MakingRun, *BENCH, values=values, labels=BENCH_LABELS, options={"site": site_options(own)})
    fields.append(Field("loss", "Lost in handling", "text", values.get("loss", ""), False, "In the unit of what went in."))
    passage = {PassageRule.FIRST: " The culture is passage 0.", PassageRule.NEXT: " The passage number grows by one."}
    return act_page(
        request,
        refusal,
        title=process.title,
        subject="Processing",
        lead="Recorded when the last container is closed." + passage.get(process.passage, ""),
        back="/processings",
        trail=TRAIL,
        fields=fields,
        rows=[inputs, outputs],
        hidden={"process": name.value},
        draft=True,
        more=fields_of(MakingRun, *CIRCUMSTANCES, values=typed),
        submit="Record the run",
        icon="flask",
    )


def _input_fields(row: Any) -> list[Field]:
    fresh = not isinstance(row, Form)
    consumed = fresh or "consumed" in row or "specimen" not in row
    return [
        Field("specimen", "Specimen", "scan", row.get("specimen", ""), accepts="HF AD"),
        Field("amount", "How much (empty: all)", "text", row.get("amount", ""), hint="Volumes in mL, cells as 2.4e6."),
        Field("consumed", "Nothing of it is left", "checkbox", consumed),
    ]


def _output_fields(row: Any, name: ProcessName, choices: list[tuple[str, str]]) -> list[Field]:
    process = PROCESSES[name]
    what = row.get("what") or (choices[0][0] if len(choices) == 1 else "")
    fields = [
        Field("what", "What came out", "select", what, options=choices),
        Field("amount", "Amount in each", "text", row.get("amount", ""), hint="Volumes in mL, cells as 2.4e6."),
        Field("count", "How many containers", "number", row.get("count") or "1"),
    ]
    if process.culture:
        fields += fields_of(RunOutput, "vessel_count", values=row, labels={"vessel_count": "Vessels"})
    purpose = row.get("purpose") or ("qc" if process.tests_only else "therapeutic")
    return [*fields, *fields_of(RunOutput, "purpose", values={"purpose": purpose})]


@router.post("/processings/new")
async def record(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Record the run and show its lot; or go on from the choice of a process."""
    form, settings, zone = performing.form, performing.bank.settings, request.state.zone

    async def start() -> Response:
        name = _process(form)
        scanned = f"&specimen={scanned_code(form, 'specimen', settings, *SPECIMENS)}" if "specimen" in form else ""
        return see(f"/processings/new?process={name.value}{scanned}")

    async def act() -> Response:
        name = _process(form)
        known = await reading(known_specimens, input_codes(form, settings))
        given: dict[str, Any] = {
            "process": name,
            "inputs": run_inputs(form, settings, known, zone),
            "loss": loss_of(form, known),
            "outputs": run_outputs(form, name, known, zone),
            **bench_codes(form, settings),
        }
        body = parse(MakingRun, form, zone, "site", "procedure_version", *CIRCUMSTANCES, **given)
        made = await performing(making.record_making, body)
        text = f"{len(made['specimens'])} specimens came into being. Print their labels next."
        return await performing.done(f"/lots/{made['lot']}", "The run is recorded.", text)

    if "start" in form:
        return await or_again(start(), lambda refusal: _draw_start(request, reading, [], refusal, form))
    if wants_rows(form):
        return await _draw(request, reading, _process(form), typed=form)
    return await or_again(act(), lambda refusal: _draw(request, reading, _process(form), refusal, form))


def bench_codes(form: Form, settings: Any) -> dict[str, list[str]]:
    """Return the equipment and reagent lots of a run; raise FormFault."""
    return {
        "equipment": scanned_codes(form, "equipment", settings, Prefix.EQUIPMENT),
        "reagent_lots": scanned_codes(form, "reagent_lots", settings, Prefix.REAGENT_LOT),
    }


def _process(form: Form) -> ProcessName:
    try:
        return ProcessName(form.get("process", ""))
    except ValueError:
        raise FormFault({"process": "Process: choose one."}) from None


@router.get("/processings/{run_id}")
async def show_run(request: Request, run_id: UUID, reading: PageReading) -> Response:
    """Draw a run."""

    def query(session: Session, actor: Actor) -> tuple[ProcessingPublic, list[str], dict[str, str]]:
        run = processing_queries.describe_processing(session, actor, run_id)
        made = [] if run.lot is None else describe_lot(session, actor, run.lot).codes
        known = known_specimens(session, actor, [one.specimen for one in run.inputs])
        return run, made, {code: one.unit for code, one in known.items()}

    run, made, units = await reading.agreeing(query)
    facts: list[tuple[str, Any]] = [
        ("Process", words(run.process)),
        ("Procedure", run.procedure_version),
        ("Donor", code_markup(run.donor)),
        ("Lot", None if run.lot is None else code_markup(run.lot)),
        ("At", run.site),
        ("Operator", run.operator),
        ("When", when(run.started_at, request.state.zone)),
        ("Equipment", ", ".join(run.equipment) or None),
        ("Reagent lots", ", ".join(run.reagent_lots) or None),
    ]
    facts += [(words(name), value) for name, value in sorted(run.parameters.items())]
    if run.balance is not None:
        facts.append(("Used", amount_text(run.balance.used, run.balance.used_unit)))
        facts.append(("Made", amount_text(run.balance.made, run.balance.made_unit)))
        facts.append(("Lost", amount_text(run.balance.loss, run.balance.used_unit) if run.balance.loss else "Nothing stated"))
    inputs = [
        {
            "specimen": one.specimen,
            "amount": None if one.amount is None else amount_text(one.amount, units[one.specimen]),
            "left": "Nothing left" if one.consumed else "Goes on",
        }
        for one in run.inputs
    ]
    tables: list[Any] = [("What went in", INPUT_COLUMNS, inputs, "Nothing", "Nothing went in.")]
    if made:
        rows = [{"code": code} for code in made]
        tables.append(("What came out", [Column("code", "Specimen", "code")], rows, "Nothing", "Nothing came out."))
    return render(
        request,
        "dossier.html",
        kind=words(run.process),
        code=str(run.processing)[:8],
        facts=facts,
        tables=tables,
        acts=[],
        trail=[("Processing", "/processings"), (words(run.process), None)],
    )
