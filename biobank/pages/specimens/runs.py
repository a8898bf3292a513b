"""Processing runs that make specimens: choosing one, its form, the list of runs and one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import Condition, State
from biobank.foundation.clock import now
from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.foundation.terms import counted, words
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.specimens.run_forms import input_codes, known_specimens, loss_of, run_inputs, run_outputs
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.entries import facts_of
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import day_and_time, when
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import draw_rows
from biobank.pages.ui.session import PageReading, see
from biobank.pages.ui.templating import render
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import choices_of
from biobank.specimens import making, processing_queries
from biobank.specimens.amounts import what_choices
from biobank.specimens.lots import describe_lot
from biobank.specimens.materials import MaterialName, amount_text
from biobank.specimens.processes import PROCESSES, PassageRule, Process, ProcessName
from biobank.specimens.processing_schemas import MakingRun, ProcessingList, ProcessingPublic, RunOutput

router = APIRouter(include_in_schema=False)

BENCH = ("site", "procedure_version", "workstation", "equipment", "reagent_lots", "no_reagents")
BENCH_LABELS = {
    "procedure_version": "Procedure and version",
    "workstation": "Workstation that is open (scan it)",
    "equipment": "Equipment (EQ codes)",
    "reagent_lots": "Reagent lots (RG codes)",
    "no_reagents": "No reagent was used",
    "site": "Where",
}
CHOSEN: tuple[RegisterKind, ...] = ("procedure", "cooling_programme", "cryoprotectant", "thawing_method")
BENCH_CODES = {"workstation": (Prefix.EQUIPMENT,), "equipment": (Prefix.EQUIPMENT,), "reagent_lots": (Prefix.REAGENT_LOT,)}
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
    empty="No runs",
    hint="A run is recorded when its last container is closed.",
).on(router)


@dataclass(frozen=True)
class Bench:
    """What the form of a run reads: the specimens that it begins with, and where the actor may record."""

    known: Mapping[str, Snapshot]
    sites: Choices
    registered: Mapping[str, Choices]

    @property
    def options(self) -> dict[str, Choices]:
        """What the fields choose from."""
        names = {
            "procedure_version": "procedure",
            "programme": "cooling_programme",
            "cryoprotectant": "cryoprotectant",
            "method": "thawing_method",
        }
        return {"site": self.sites} | {field: self.registered[kind] for field, kind in names.items()}


def bench_for(session: Session, actor: Actor, codes: Sequence[str]) -> Bench:
    """Read it; raise NotPermitted, NotFound."""
    actor.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
    known = known_specimens(session, actor, codes) if codes else {}
    sites = own_sites(session, actor, Permission.PROCESSING_RECORD)
    registered = choices_of(session, CHOSEN, sites=[code for code, _ in sites], person=actor.code, now=now())
    return Bench(known, sites, registered)


def _begin(session: Session, actor: Actor, asked: Asked) -> Bench:
    # A specimen in a posted form is what was scanned: it is read with the rest of what was typed.
    return bench_for(session, actor, [] if asked.sent else asked.form.all_of("specimen"))


def _draw(at: Opened[Bench]) -> ActForm:
    """The form of a process; without one, what to choose first."""
    known, name = at.read.known, at.form.get("process", "")
    if "start" in at.form or name not in set(ProcessName):
        return _draw_start(at, list(known))
    return draw_run(at, PROCESSES[ProcessName(name)], at.read)


def draw_run(at: Opened[Any], process: Process, bench: Bench) -> ActForm:
    """Return the form of a run by this process, with what the bench begins with among its inputs."""
    known = bench.known
    made = {one for taken in process.makes.values() for one in taken}
    if known:
        made = {one for spec in known.values() for one in process.makes.get(MaterialName(spec.material), made)}
    choices = what_choices(sorted(made))
    if process.units is not None:
        choices = [(value, text) for value, text in choices if value.endswith(f":{process.units[1].value}")]
    typed = at.form if at.sent else None
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
        lambda row: _output_fields(row, process, choices),
        typed,
        at_least=1 if process.culture else 2,
        hint="All of one lot. Containers of the same content stand in one row.",
    )
    passage = {PassageRule.FIRST: " The culture is passage 0.", PassageRule.NEXT: " The passage number grows by one."}
    return ActForm(
        title=process.title,
        subject="Processing",
        lead="Recorded when the last container is closed." + passage.get(process.passage, ""),
        trail=TRAIL,
        values={"site": only(bench.sites)},
        options=bench.options,
        also=[Field("loss", "Lost in handling", "text", at.form.get("loss", ""), False, "In the unit of what went in.")],
        rows=[inputs, outputs],
        hidden={"process": process.name.value},
        draft=True,
        submit="Record the run",
        icon="flask",
    )


def _draw_start(at: Opened[Bench], codes: Sequence[str]) -> ActForm:
    materials = {MaterialName(one.material) for one in at.read.known.values()}
    possible = [(entry.name.value, entry.title) for entry in PROCESSES.values() if materials <= set(entry.makes)]
    first = codes[0] if codes else at.form.get("specimen", "")
    return ActForm(
        title="Record a run",
        subject="Processing",
        lead="Choose the process, then scan what goes in.",
        trail=TRAIL,
        fields=[
            Field("process", "Process", "select", at.form.get("process", ""), True, options=possible),
            Field("specimen", "First specimen that goes in", "scan", first, accepts="HF AD"),
        ],
        more=[],
        hidden={"start": "yes", **({"workstation": at.form["workstation"]} if "workstation" in at.form else {})},
        submit="Go on",
        icon="arrow",
    )


def _input_fields(row: Any) -> list[Field]:
    fresh = not isinstance(row, Form)
    consumed = fresh or "consumed" in row or "specimen" not in row
    return [
        Field("specimen", "Specimen", "scan", row.get("specimen", ""), accepts="HF AD"),
        Field("amount", "How much (empty: all)", "text", row.get("amount", ""), hint="Volumes in mL, cells as 2.4 M or 2.4e6."),
        Field("consumed", "Nothing of it is left", "checkbox", consumed),
    ]


def _output_fields(row: Any, process: Process, choices: list[tuple[str, str]]) -> list[Field]:
    what = row.get("what") or (choices[0][0] if len(choices) == 1 else "")
    fields = [
        Field("what", "What came out", "select", what, options=choices),
        Field("amount", "Amount in each", "text", row.get("amount", ""), hint="Volumes in mL, cells as 2.4 M or 2.4e6."),
        Field("count", "How many containers", "number", row.get("count") or "1"),
    ]
    if process.culture:
        fields += fields_of(RunOutput, "vessel_count", values=row, labels={"vessel_count": "Vessels"})
    purpose = row.get("purpose") or ("qc" if process.tests_only else "therapeutic")
    return [*fields, *fields_of(RunOutput, "purpose", values={"purpose": purpose})]


async def _record(at: Acting[Bench]) -> Done | Response:
    """Record the run and show its lot; or go on from the choice of a process."""
    form = at.form
    try:
        name = ProcessName(form.get("process", ""))
    except ValueError:
        raise FormFault({"process": "Process: choose one."}) from None
    if "start" in form:
        scanned = f"&specimen={at.scanned('specimen', *SPECIMENS)}" if "specimen" in form else ""
        bench = f"&workstation={at.scanned('workstation', Prefix.EQUIPMENT)}" if "workstation" in form else ""
        return see(f"/processings/new?process={name.value}{scanned}{bench}")
    made = await at.performing(making.record_making, await RUN.body_of(at, **await run_of(at, name)))
    text = f"{counted(len(made['specimens']), 'new specimen')}. Print the labels next."
    return Done(f"/lots/{made['lot']}", "The run is recorded.", " ".join([text, *made["warnings"]]))


async def run_of(at: Acting[Any], name: ProcessName) -> dict[str, Any]:
    """Return what the rows of a run's form say; raise FormFault."""
    form, settings = at.form, at.bank.settings
    known = await at.reading(known_specimens, input_codes(form, settings))
    return {
        "process": name,
        "inputs": run_inputs(form, settings, known, at.zone),
        "loss": loss_of(form, known),
        "outputs": run_outputs(form, name, known, at.zone),
    }


RUN = ActPage(
    address="/processings/new",
    asks=("process", "specimen", "workstation"),
    reads=_begin,
    form=_draw,
    labels=BENCH_LABELS,
    model=MakingRun,
    names=BENCH,
    scans=BENCH_CODES,
    tubes=("specimen",),
    acts=_record,
)
RUN.on(router)


@router.get("/processings/{run_id}")
async def show_run(request: Request, run_id: UUID, reading: PageReading) -> Response:
    """Draw a run."""

    def query(session: Session, actor: Actor) -> tuple[ProcessingPublic, list[str], Mapping[str, Snapshot]]:
        run = processing_queries.describe_processing(session, actor, run_id)
        made = [] if run.lot is None else describe_lot(session, actor, run.lot).codes
        known = known_specimens(session, actor, [one.specimen for one in run.inputs])
        return run, made, known

    run, made, known = await reading.agreeing(query)
    zone, actor = request.state.zone, request.state.actor
    facts: list[tuple[str, Any]] = [
        ("Process", words(run.process)),
        ("Procedure", run.procedure_version),
        ("Donor", code_markup(run.donor)),
        ("Lot", None if run.lot is None else code_markup(run.lot)),
        ("At", run.site),
        ("Operator", run.operator),
        ("When", when(run.started_at, zone)),
        ("At the workstation in", None if run.bench_session is None else code_markup(run.bench_session)),
        ("Equipment", ", ".join(run.equipment) or None),
        ("Reagent lots", ", ".join(run.reagent_lots) or None),
    ]
    facts += [("Used despite a warning", warning) for warning in run.warnings]
    facts += sorted(facts_of(run.parameters), key=lambda one: str(one[0]))
    if run.balance is not None:
        facts.append(("Used", amount_text(run.balance.used, run.balance.used_unit)))
        facts.append(("Made", amount_text(run.balance.made, run.balance.made_unit)))
        facts.append(("Lost", amount_text(run.balance.loss, run.balance.used_unit) if run.balance.loss else "Nothing stated"))
    inputs = [
        {
            "specimen": one.specimen,
            "amount": None if one.amount is None else amount_text(one.amount, known[one.specimen].unit),
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
        code=day_and_time(run.started_at, zone),
        facts=facts,
        tables=tables,
        acts=_next(run, known, actor),
        trail=[("Processing", "/processings"), (words(run.process), None)],
    )


def _next(run: ProcessingPublic, known: Mapping[str, Snapshot], actor: Actor) -> list[ActionLink]:
    """Return what follows a run: what was frozen goes to its place, what was made gets its labels."""
    acts: list[ActionLink] = []
    if run.lot is not None:
        acts.append(ActionLink("What came out: labels, tests, freezing", f"/lots/{run.lot}", "vial", "get", "main"))
    waiting = [code for code, one in known.items() if one.projection.condition == Condition.FROZEN and _is_out(one.projection)]
    if waiting and actor.may(Permission.CUSTODY_RECORD, at=run.site):
        where = urlencode([("specimens", one) for one in waiting])
        acts += [
            ActionLink("Store them where they fit", f"/specimens/store-where-they-fit?{where}", "tank", "get", "main"),
            ActionLink("Scan them into their places", "/scan?codes=" + "+".join(waiting), "scan"),
        ]
    return acts


def _is_out(projection: Projection) -> bool:
    """Say whether a specimen is in the laboratory's hands and in no place yet."""
    return projection.container_code is None and projection.state in (State.RECEIVED, State.IN_PROCESS, State.CHECKED_OUT)
