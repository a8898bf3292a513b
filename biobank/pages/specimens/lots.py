"""Lots as people see them: the list, one lot with its units, tests and results, and the forms of a test and of an assay."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.specimens.specimen_rows import SPECIMEN_COLUMNS, specimen_rows
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.specimens import assays, lots
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.processes import ProcessName
from biobank.specimens.processing_queries import list_processings
from biobank.specimens.processing_schemas import LotList, LotPublic, LotTestPublic, ProcessingPublic, RecordLotTest
from biobank.specimens.queries import describe_specimen, list_specimens
from biobank.specimens.schemas import RecordViability, SpecimenList

router = APIRouter(include_in_schema=False)

LotCode = Annotated[str, Path(pattern=r"^LT-[0-9A-Z]{7}$")]
SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD)[0-9]{2}-[0-9A-Z]{7}$")]
AnyCode = Annotated[str, Query(max_length=20, pattern=r"^[A-Z0-9-]*$")]
Completes = Annotated[UUID | None, Query()]

TESTS = [
    Column("test", "Test", "words"),
    Column("result", "Result", "chip"),
    Column("sampled_at", "Sampled", "when"),
    Column("due_at", "Due", "when"),
    Column("recorded_by", "By", "plain_code"),
]
CHIPS = {"passed": "pass", "failed": "fail", "pending": "pending"}


def read_lots(session: Session, actor: Actor, asked: Wanted) -> LotList:
    """Read one page of the lots that the address asks for."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    of = asked.of
    return lots.list_lots(
        session, actor, of_donor=of["donor"], material=of["material"], process=of["process"], paging=asked.paging
    )


Listing(
    address="/lots",
    title="Lots",
    lead="What one run made. Its tests count for every unit.",
    key="lot",
    columns=[
        Column("lot", "Lot", "code", sort="lot"),
        Column("material", "Material", "words", sort="material"),
        Column("process", "Process", "words"),
        Column("donor", "Donor", "code", sort="donor"),
        Column("specimens", "Units", "number"),
        Column("started_at", "Made", "when", sort="started_at"),
    ],
    read=read_lots,
    default="-started_at",
    filters=[
        Filter("material", "Material", "choice", [(name, MATERIALS[name].title) for name in sorted(MATERIALS)]),
        Filter("process", "Process", "choice", [(one.value, words(one)) for one in ProcessName]),
        Filter("donor", "Donor code", "code"),
    ],
    tabs=[("Runs", "/processings"), ("Lots", "/lots")],
    empty="No lots",
    hint="A processing run makes one.",
).on(router)


@router.get("/lots/{code}")
async def show_lot(request: Request, code: LotCode, reading: PageReading) -> Response:
    """Draw a lot: its units, its tests, what may be done with it."""

    def query(session: Session, actor: Actor) -> tuple[LotPublic, SpecimenList, list[ProcessingPublic]]:
        lot = lots.describe_lot(session, actor, code)
        specimens = list_specimens(session, actor, words=code, paging=Paging(limit=500))
        return lot, specimens, list_processings(session, actor, lot=code, paging=Paging(limit=1)).items

    lot, specimens, runs = await reading.agreeing(query)
    actor: Actor = request.state.actor
    may = actor.may(Permission.PROCESSING_RECORD, at=lot.site)
    tests = [one.model_dump() | {"result": _standing(one)} | (_act(code, one) if may else {}) for one in lot.tests]
    facts: list[tuple[str, Any]] = [
        ("Donor", code_markup(lot.donor)),
        ("Material", MATERIALS[MaterialName(lot.material)].title),
        ("Process", words(lot.process)),
        ("Procedure", lot.procedure_version),
        ("At", lot.site),
        ("Made", when(lot.started_at, request.state.zone)),
        ("Recorded by", lot.recorded_by),
        ("Units", lot.specimens),
    ]
    acts: list[ActionLink] = [ActionLink("The run that made it", f"/processings/{run.processing}", "flask") for run in runs]
    if may:
        acts = [
            ActionLink("Record a test", f"/lots/{code}/test", "flask", "get", "main"),
            ActionLink("Freeze its units", f"/processings/freezing?lot={code}", "snow"),
            *acts,
        ]
    if actor.may(Permission.LABEL_PRINT, at=lot.site):
        acts.append(ActionLink("Print the labels of its units", f"/labels/batch?selection=lot&of={code}", "print"))
    return render(
        request,
        "dossier.html",
        kind="Lot",
        code=code,
        trail=[("Lots", "/lots"), (code, None)],
        facts=facts,
        acts=acts,
        tables=[
            ("Units", SPECIMEN_COLUMNS, specimen_rows(specimens.items), "No units", "Every unit was used up or is elsewhere."),
            ("Tests", TESTS, tests, "No tests yet", "Record a test when its sample goes out."),
        ],
    )


def _standing(test: LotTestPublic) -> str:
    late = test.result == "pending" and test.due_at is not None and test.due_at < now()
    return "overdue" if late else CHIPS[test.result]


def _act(code: str, test: LotTestPublic) -> dict[str, str | None]:
    """The link that records the result of a test that waits for one."""
    href = f"/lots/{code}/test?completes={test.id}" if test.result == "pending" else None
    return {"href": href, "act": "Result", "about": f"of {words(test.test).lower()}"}


class NoSuchTest(Conflict):
    """The test named has its result, or is of another lot."""

    code = "test_has_its_result"
    title = "Nothing waits for a result"


@router.get("/lots/{code}/test")
async def show_test(request: Request, code: LotCode, reading: PageReading, completes: Completes = None) -> Response:
    """Draw the form of a test, or of the result of one that waits."""
    return await _draw_test(request, reading, code, completes)


async def _draw_test(
    request: Request,
    reading: PageReading,
    code: str,
    completes: UUID | None,
    refusal: Refusal | None = None,
    typed: Form | None = None,
) -> Response:
    lot = await reading(lots.describe_lot, code)
    actor: Actor = request.state.actor
    actor.require(Permission.PROCESSING_RECORD, at=lot.site)
    zone = request.state.zone
    names: tuple[str, ...] = ("result", "report_sha256")
    if completes is None:
        title, lead = "Record a test", "When the sample goes out. Its result is recorded from the page of the lot."
        names = ("test", "sampled_at", "due_at", *names)
        values: Any = (
            typed if typed is not None else {"sampled_at": f"{now().astimezone(zone):%Y-%m-%dT%H:%M}", "result": "pending"}
        )
        hidden: dict[str, str] = {}
        options = None
    else:
        waiting = _waiting(lot, completes)
        title = f"Result of the {words(waiting.test).lower()} test"
        lead = "A failed test holds every unit of the lot at once."
        values, hidden = typed, {"completes": str(completes)}
        options = {"result": [("passed", "Passed"), ("failed", "Failed")]}
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead=lead,
        back=f"/lots/{code}",
        trail=[("Lots", "/lots"), (code, f"/lots/{code}"), (title, None)],
        hidden=hidden,
        draft=True,
        fields=fields_of(
            RecordLotTest,
            *names,
            values=values,
            options=options,
            labels={"sampled_at": "Sampled at", "due_at": "Result due at", "report_sha256": "SHA-256 of the report"},
        ),
        more=fields_of(RecordLotTest, *CIRCUMSTANCES, values=typed),
        submit="Record it",
        icon="flask",
    )


def _waiting(lot: LotPublic, completes: UUID) -> LotTestPublic:
    for one in lot.tests:
        if one.id == completes and one.result == "pending":
            return one
    raise NoSuchTest(f"No such test of {lot.lot} waits for a result. Look at its page.", subject=lot.lot)


@router.post("/lots/{code}/test")
async def record_test(request: Request, code: LotCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record it; a failed one holds the lot."""
    form = performing.form
    try:
        completes = UUID(form["completes"]) if "completes" in form else None
    except ValueError:
        completes = UUID(int=0)

    async def act() -> Response:
        names, given = ["test", "sampled_at", "due_at", "result", "report_sha256", *CIRCUMSTANCES], {}
        if completes is not None:
            waiting = _waiting(await reading(lots.describe_lot, code), completes)
            given = {"test": waiting.test, "sampled_at": waiting.sampled_at, "due_at": waiting.due_at, "completes": completes}
            names = ["result", "report_sha256", *CIRCUMSTANCES]
        body = parse(RecordLotTest, form, request.state.zone, *names, **given)
        made = await performing(lots.record_test, code, body)
        if made["hold"] is not None:
            text = "Every unit is on hold until quality decides."
            return await performing.done(f"/lots/{code}", "The test failed.", text, kind="stop")
        return await performing.done(f"/lots/{code}", f"Recorded: {words(body.test).lower()} {words(body.result).lower()}.")

    return await or_again(act(), lambda refusal: _draw_test(request, reading, code, completes, refusal, form))


ASSAY = ("method", "live", "dead", "volume_nl", "minutes_after_thaw", "instrument")


@router.get("/specimens/{code}/assay")
async def show_assay(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw the form of a count of living and dead."""
    return await _draw_assay(request, reading, code)


async def _draw_assay(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Form | None = None
) -> Response:
    specimen = await reading(describe_specimen, code)
    material = MATERIALS[MaterialName(specimen.material)]
    counted = "follicles" if specimen.unit == "follicles" else "cells"
    values: Any = typed if typed is not None else {"method": material.assays[0].value if len(material.assays) == 1 else ""}
    fields = fields_of(
        RecordViability,
        *ASSAY,
        "dilution_milli",
        values=values,
        options={"method": [(one.value, words(one.value)) for one in material.assays]},
        labels={
            "live": f"Living {counted} counted",
            "dead": f"Dead {counted} counted",
            "volume_nl": "Volume looked at (nL)",
            "minutes_after_thaw": "Minutes after thawing",
            "dilution_milli": "Dilution (thousandths: 2-fold is 2000)",
            "instrument": "Instrument (EQ code)",
        },
    )
    return act_page(
        request,
        refusal,
        title="Record a viability assay",
        subject=code,
        lead="What was counted, as read. The share and its interval are computed; membrane integrity is not potency.",
        back=f"/specimens/{code}",
        fields=fields,
        hidden={"expected_seq": str(specimen.custody.seq)},
        draft=True,
        trail=[("Specimens", "/specimens"), (code, f"/specimens/{code}"), ("Record a viability assay", None)],
        more=fields_of(RecordViability, *CIRCUMSTANCES, values=typed),
        submit="Record the count",
        icon="flask",
    )


@router.post("/specimens/{code}/assay")
async def record_assay(request: Request, code: SpecimenCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record the count and say what it is."""
    form = performing.form

    async def act() -> Response:
        given: dict[str, Any] = {}
        if "instrument" in form:
            given["instrument"] = scanned_code(form, "instrument", performing.bank.settings, Prefix.EQUIPMENT)
        names = [*(name for name in ASSAY if name != "instrument"), "dilution_milli", "expected_seq", *CIRCUMSTANCES]
        body = parse(RecordViability, form, request.state.zone, *names, **given)
        measured = (await performing(assays.record_viability, code, body))["measured"]
        share = f"{measured['viability_bp'] / 100:.1f} % living"
        low, high = measured["wilson_95_lower_bp"] / 100, measured["wilson_95_upper_bp"] / 100
        text = f"95 % interval {low:.1f} to {high:.1f} %."
        return await performing.done(f"/specimens/{code}#viability", f"Recorded: {share}.", text)

    return await or_again(act(), lambda refusal: _draw_assay(request, reading, code, refusal, form))
