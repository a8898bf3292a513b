"""Lots as people see them: the list, one lot with its units, tests and results, and the forms of a test and of an assay."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.specimens.about import about_specimen
from biobank.pages.specimens.specimen_rows import SPECIMEN_COLUMNS, specimen_rows
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import LotCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity_text, when
from biobank.pages.ui.forms import fields_of
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality.decisions import LotOffer, offered_on_lot
from biobank.quality.hold_schemas import HoldPublic
from biobank.quality.holds import liftable, list_holds
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import choices_of
from biobank.specimens import assays, lots
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.processes import ProcessName
from biobank.specimens.processing_queries import list_processings
from biobank.specimens.processing_schemas import Found, LotList, LotPublic, LotTestPublic, ProcessingPublic, RecordLotTest
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import RecordViability, SpecimenList, SpecimenPublic
from biobank.specimens.test_results import BY_GROWTH, NUMBERS

router = APIRouter(include_in_schema=False)

TEST_LABELS = {
    "sampled_at": "Sampled at",
    "due_at": "Result due at",
    "method": "Test method",
    "laboratory": "Laboratory",
    "endotoxin_milli_eu_per_ml": "Endotoxin found",
    "below_detection": "Less than that: below what the test can find",
    "viable_bp": "Living cells",
    "organism": "What grew, if the report names it",
    "report_sha256": "The report",
}
SENT_TO: tuple[RegisterKind, ...] = ("test_method", "laboratory")

TESTS = [
    Column("test", "Test", "words"),
    Column("result", "Result", "chip"),
    Column("found", "Found"),
    Column("laboratory", "Laboratory"),
    Column("method", "Method"),
    Column("sampled_at", "Sampled", "when"),
    Column("due_at", "Due", "when"),
    Column("recorded_by", "By", "plain_code"),
]
HOLDS = [
    Column("kind", "Hold", "words"),
    Column("reason", "Why", "words"),
    Column("placed_at", "Since", "when"),
    Column("placed_by", "By", "plain_code"),
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
    empty="No lots",
    hint="A processing run makes one.",
).on(router)


@dataclass(frozen=True)
class Known:
    """What the page of a lot reads."""

    lot: LotPublic
    specimens: SpecimenList
    runs: list[ProcessingPublic]
    holds: list[HoldPublic]
    liftable: Collection[UUID]
    quality: LotOffer


def _read(session: Session, actor: Actor, code: str) -> Known:
    lot = lots.describe_lot(session, actor, code)
    holds = list_holds(session, actor, scope=code, active=True).items
    return Known(
        lot,
        list_specimens(session, actor, words=code, paging=Paging(limit=500)),
        list_processings(session, actor, lot=code, paging=Paging(limit=1)).items,
        holds,
        liftable(session, actor, [one.id for one in holds]),
        offered_on_lot(session, actor, code, lot.site),
    )


@router.get("/lots/{code}")
async def show_lot(request: Request, code: LotCode, reading: PageReading) -> Response:
    """Draw a lot: its units, its tests, what may be done with it."""

    known = await reading.agreeing(_read, code)
    lot = known.lot
    actor: Actor = request.state.actor
    may = actor.may(Permission.PROCESSING_RECORD, at=lot.site)
    tests = [_test_row(code, one, may=may) for one in lot.tests]
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
    acts: list[ActionLink] = [ActionLink("The run that made it", f"/processings/{run.processing}", "flask") for run in known.runs]
    if may:
        acts = [
            ActionLink("Record a test", f"/lots/{code}/test", "flask", "get", "main"),
            ActionLink("Freeze its units", f"/processings/freezing?lot={code}", "snow"),
            *acts,
        ]
    if known.quality.basis:
        acts.append(ActionLink("Determine the legal basis", f"/lots/{code}/basis", "pen"))
    if known.quality.decision:
        acts.append(ActionLink("Decide on quality", f"/lots/{code}/decision", "check", "get", "plain" if may else "main"))
        if any(test.result == "failed" for test in lot.tests):
            acts.append(ActionLink("Reopen its rejection", f"/lots/{code}/reopen", "return"))
    if actor.may(Permission.LABEL_PRINT, at=lot.site):
        acts.append(ActionLink("Print the labels of its units", f"/labels/batch?selection=lot&of={code}", "print"))
    if actor.may(Permission.LOG_READ, at=EVERYWHERE):
        acts.append(ActionLink("Print what it reached", f"/lots/{code}/dossier", "print"))
        acts.append(ActionLink("What was seen afterwards", f"/lots/{code}/consequences", "search"))
    units = specimen_rows(known.specimens.items, actor)
    acts.append(ActionLink("Every hold there was on it", f"/holds?on={code}&state=all", "octagon"))
    holds = [
        one.model_dump()
        | {"href": f"/holds/{one.id}/lift" if one.id in known.liftable else None, "act": "Lift", "about": words(one.kind)}
        for one in known.holds
    ]
    return render(
        request,
        "dossier.html",
        kind="Lot",
        code=code,
        trail=[("Lots", "/lots"), (code, None)],
        facts=facts,
        acts=acts,
        tables=[
            *([("Holds", HOLDS, holds, "", "")] if holds else []),
            (
                "Units",
                SPECIMEN_COLUMNS,
                units,
                "No units",
                "Every unit was used up or is elsewhere.",
            ),
            ("Tests", TESTS, tests, "No tests yet", "Record a test when its sample goes out."),
        ],
    )


def _test_row(code: str, test: LotTestPublic, *, may: bool) -> dict[str, Any]:
    return test.model_dump() | {"result": _standing(test), "found": found_text(test)} | (_act(code, test) if may else {})


def _standing(test: LotTestPublic) -> str:
    late = test.result == "pending" and test.due_at is not None and test.due_at < now()
    return "overdue" if late else CHIPS[test.result]


def found_text(test: LotTestPublic) -> str | None:
    """Return in the laboratory's words what a test found; None while it waits, or where it says no more than its result."""
    if test.result == "pending":
        return None
    if test.endotoxin_milli_eu_per_ml is not None:
        less = "less than " if test.below_detection else ""
        return f"{less}{Decimal(test.endotoxin_milli_eu_per_ml) / 1000:f} EU/mL"
    if test.viable_bp is not None:
        return f"{quantity_text(test.viable_bp, 'basis_points')} living"
    if test.test in BY_GROWTH:
        return "no growth" if test.result == "passed" else f"growth: {test.organism}" if test.organism else "growth"
    return None


def _act(code: str, test: LotTestPublic) -> dict[str, str | None]:
    """The link that records the result of a test that waits for one."""
    href = f"/lots/{code}/test?completes={test.id}" if test.result == "pending" else None
    return {"href": href, "act": "Result", "about": f"of {words(test.test).lower()}"}


class NoSuchTest(Conflict):
    """The test named has its result, or is of another lot."""

    code = "test_has_its_result"
    title = "Nothing waits for a result"


@dataclass(frozen=True)
class Testing:
    """A lot, its test that waits for the result that the form is about, and what the registers offer."""

    lot: LotPublic
    waiting: LotTestPublic | None
    registered: Mapping[str, list[tuple[str, str]]]


def _testing(session: Session, actor: Actor, asked: Asked) -> Testing:
    lot = lots.describe_lot(session, actor, asked.code)
    actor.require(Permission.PROCESSING_RECORD, at=lot.site, subject=lot.lot)
    if "completes" not in asked.form:
        return Testing(lot, None, choices_of(session, SENT_TO, sites=[lot.site], person=actor.code, now=now()))
    for one in lot.tests:
        if str(one.id) == asked.form["completes"] and one.result == "pending":
            return Testing(lot, one, {})
    raise NoSuchTest(f"No such test of {lot.lot} waits for a result. Look at its page.", subject=lot.lot)


def _draw_test(at: Opened[Testing]) -> ActForm:
    waiting = at.read.waiting
    if waiting is None:
        return ActForm(
            title="Record a test",
            submit="Record it",
            icon="flask",
            lead="When the sample goes out; its result is recorded from the page of the lot. Leave empty when that is due where "
            "the register says how long the method takes.",
            fields=fields_of(
                RecordLotTest,
                *("test", "method", "laboratory", "sampled_at", "due_at"),
                values={"sampled_at": f"{now().astimezone(at.zone):%Y-%m-%dT%H:%M}", **at.filled()},
                options={"method": at.read.registered["test_method"], "laboratory": at.read.registered["laboratory"]},
                labels=TEST_LABELS,
                needed=("method", "laboratory"),
            ),
            draft=True,
        )
    number = NUMBERS.get(waiting.test)
    asked = [] if number is None else [number]
    asked += ["below_detection"] if waiting.test == "endotoxin" else []
    asked += ["organism"] if waiting.test in BY_GROWTH else []
    return ActForm(
        title=f"Result of the {words(waiting.test).lower()} test",
        submit="Record it",
        icon="flask",
        lead=f"{waiting.laboratory}, {waiting.method}. A failed test holds every unit of the lot at once.",
        fields=fields_of(
            RecordLotTest,
            *("result", *asked, "report_sha256"),
            values=at.filled(),
            options={"result": [("passed", "Passed"), ("failed", "Failed")]},
            labels=TEST_LABELS,
            needed=("report_sha256",),
        ),
        hidden={"completes": str(waiting.id)},
        draft=True,
        once=True,
    )


def _of_waiting(at: Acting[Testing]) -> dict[str, Any]:
    one = at.read.waiting
    if one is None:
        return {"result": "pending"}
    return {"test": one.test, "sampled_at": one.sampled_at, "due_at": one.due_at, "completes": one.id}


def _tested(at: Opened[Testing], body: RecordLotTest, made: Mapping[str, Any]) -> Done:
    if made["hold"] is not None:
        return Done(f"/lots/{at.code}", "The test failed.", "Every unit is on hold until quality decides.", "stop")
    return Done(f"/lots/{at.code}", f"Recorded: {words(body.test).lower()} {words(body.result).lower()}.")


ActPage(
    address="/lots/{code}/test",
    asks=("completes",),
    again=("laboratory", "sampled_at"),
    reads=_testing,
    form=_draw_test,
    labels=TEST_LABELS,
    model=RecordLotTest,
    names=("test", "method", "laboratory", "sampled_at", "due_at", "result", *Found.model_fields, "report_sha256"),
    given=_of_waiting,
    use_case=lots.record_test,
    after=_tested,
).on(router)


def _draw_assay(at: Opened[SpecimenPublic]) -> ActForm:
    specimen, assays_of = at.read, MATERIALS[MaterialName(at.read.material)].assays
    counted = "follicles" if specimen.unit == "follicles" else "cells"
    return ActForm(
        title="Record a viability assay",
        submit="Record the count",
        icon="flask",
        lead="What was counted, as read. The share and its interval are computed; membrane integrity is not potency.",
        labels={"live": f"Living {counted} counted", "dead": f"Dead {counted} counted"},
        values={"method": assays_of[0].value if len(assays_of) == 1 else ""},
        options={"method": [(one.value, words(one.value)) for one in assays_of]},
        hidden={"expected_seq": str(specimen.custody.seq)},
        draft=True,
    )


def _counted(at: Opened[SpecimenPublic], _body: RecordViability, answer: Mapping[str, Any]) -> Done:
    measured = answer["measured"]
    low, high = measured["wilson_95_lower_bp"] / 100, measured["wilson_95_upper_bp"] / 100
    said = f"Recorded: {measured['viability_bp'] / 100:.1f} % living."
    return Done(f"/specimens/{at.code}#viability", said, f"95 % interval {low:.1f} to {high:.1f} %.")


ActPage(
    address="/specimens/{code}/assay",
    reads=about_specimen,
    form=_draw_assay,
    labels={
        "volume_nl": "Volume looked at (nL)",
        "minutes_after_thaw": "Minutes after thawing",
        "dilution_milli": "Dilution",
        "suspension_ul": "Volume of the suspension in the tube (µL)",
        "instrument": "Instrument (EQ code)",
    },
    model=RecordViability,
    names=("method", "live", "dead", "volume_nl", "dilution_milli", "suspension_ul", "minutes_after_thaw", "instrument"),
    scans={"instrument": (Prefix.EQUIPMENT,)},
    use_case=assays.record_viability,
    after=_counted,
).on(router)
