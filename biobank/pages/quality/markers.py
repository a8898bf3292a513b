"""Markers of infection of a donor: the results, entering one from its report, and confirming it as another person."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.states import HoldScope
from biobank.donors.markers import MARKERS
from biobank.foundation.clock import now
from biobank.pages.people.site_choices import Choices
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import DonorCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import said
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality.holds import find_scope
from biobank.quality.markers import (
    DecideMarker,
    EnterMarker,
    MarkerList,
    MarkerPublic,
    decide_marker,
    enter_marker,
    list_markers,
    marker_to_decide,
    sentence_of,
)
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import choices_of

router = APIRouter(include_in_schema=False)

NAMED: tuple[RegisterKind, ...] = ("laboratory", "test_method")
LABELS = {
    "marker": "What was looked for",
    "result": "Result",
    "sampled_at": "Sample drawn at",
    "laboratory": "Laboratory",
    "kit": "Test kit or method",
    "report_sha256": "The report",
}
COLUMNS = [
    Column("marker", "Marker"),
    Column("result", "Result", "words"),
    Column("state", "Confirmation", "words"),
    Column("sampled_at", "Sample drawn", "when"),
    Column("laboratory", "Laboratory"),
    Column("kit", "Kit or method"),
    Column("entered_by", "Entered by", "plain_code"),
    Column("decided_by", "Decided by", "plain_code"),
]
CHOICES = [("", "Choose"), *((name.value, marker.title) for name, marker in MARKERS.items())]


@router.get("/donors/{code}/markers")
async def show_markers(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw the results of a donor."""

    def query(session: Session, actor: Actor) -> tuple[MarkerList, bool]:
        found = list_markers(session, actor, code)
        sites = find_scope(session, actor, HoldScope.DONOR, code).sites
        return found, actor.may(Permission.HARVEST_RECORD, at=sites)

    found, may_enter = await reading.agreeing(query)
    decides = request.state.actor.permissions & {Permission.QUALITY_DECIDE}
    return render(
        request,
        "dossier.html",
        kind="Markers of infection",
        code=code,
        trail=[("Donors", "/donors"), (code, f"/donors/{code}"), ("Markers of infection", None)],
        acts=[ActionLink("Enter a result", f"/donors/{code}/markers/new", "pen", "get", "main")] if may_enter else [],
        facts=[
            ("Donor", code_markup(code)),
            ("Kept apart for infection", "Yes: isolated places only" if found.kept_apart else "No"),
        ],
        note="A reactive result counts at once. The others count when another person of quality has confirmed them. Labels and "
        "papers of everything that was taken from this donor follow from what stands here.",
        tables=[
            (
                "Results",
                COLUMNS,
                [_row(code, one, bool(decides)) for one in found.items],
                "No results",
                "Nothing says that this donor was tested: labels say NOT EVALUATED.",
            )
        ],
    )


def _row(code: str, one: MarkerPublic, decides: bool) -> dict[str, Any]:
    open_ = decides and one.state == "entered"
    return one.model_dump() | {
        "marker": MARKERS[one.marker].title,
        "act": "Compare with its report" if open_ else "",
        "href": f"/donors/{code}/markers/{one.id}/decide" if open_ else None,
        "about": MARKERS[one.marker].title,
    }


def _may_enter(session: Session, actor: Actor, asked: Asked) -> Mapping[str, Choices]:
    scope = find_scope(session, actor, HoldScope.DONOR, asked.code)
    actor.require(Permission.HARVEST_RECORD, at=scope.sites, subject=asked.code)
    return choices_of(session, NAMED, sites=sorted(scope.sites), person=actor.code, now=now())


ActPage(
    address="/donors/{code}/markers/new",
    again=("sampled_at", "laboratory", "kit", "report_sha256"),
    reads=_may_enter,
    form=lambda at: ActForm(
        title="Enter a result",
        submit="Enter it",
        icon="drop",
        lead="As its report says it. Another person of quality compares it with the report. For history and examination: "
        "reactive when a risk was found.",
        options={"marker": CHOICES, "laboratory": at.read["laboratory"], "kit": at.read["test_method"]},
        attach={"donor": at.code},
        back=f"/donors/{at.code}/markers",
    ),
    labels=LABELS,
    model=EnterMarker,
    names=("marker", "result", "sampled_at", "laboratory", "kit", "report_sha256"),
    use_case=enter_marker,
    after=lambda at, _body, _answer: Done(f"/donors/{at.code}/markers", "Entered.", "Quality compares it with its report."),
).on(router)


def _to_decide(session: Session, actor: Actor, asked: Asked) -> MarkerPublic:
    found, refusals = marker_to_decide(session, actor, asked.code, UUID(str(asked.path["marker"])))
    asked.opens(refusals)
    return found


def _draw_decision(at: Opened[MarkerPublic]) -> ActForm:
    one = at.read
    return ActForm(
        title="Compare a result with its report",
        submit="Sign",
        lead=Markup("{}; {}, {}. <a href='/attachments/{}'>Open the report</a> and compare.").format(
            said(sentence_of(one), at.zone), one.laboratory, one.kit, one.report_sha256
        ),
        statement="I have compared this result with its report.",
        back=f"/donors/{at.code}/markers",
    )


ActPage(
    address="/donors/{code}/markers/{marker}/decide",
    reads=_to_decide,
    form=_draw_decision,
    labels={"confirmed": "The report says this", "reason": "If not: what is wrong"},
    model=DecideMarker,
    names=("confirmed", "reason"),
    meaning=Meaning.REVIEWED,
    use_case=decide_marker,
    after=lambda at, body, _answer: Done(
        f"/donors/{at.code}/markers", "Confirmed." if body.confirmed else "Marked as entered wrongly."
    ),
).on(router)
