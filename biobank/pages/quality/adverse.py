"""Adverse reactions and events as people see them: the list with its dates, one with its words, judging and reporting it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Needs, Opened
from biobank.pages.ui.addresses import DeviationCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality import adverse, judging
from biobank.quality.adverse import (
    AdverseDetail,
    AdverseList,
    AdversePublic,
    ReportAdverse,
    ReportingRuleRequest,
)
from biobank.quality.judging import AssessAdverse

router = APIRouter(include_in_schema=False)

IN_LOT = {None: "not said", True: "yes", False: "no"}
NO_RULE = "no date is set for this site"


def read_adverse_events(session: Session, actor: Actor, asked: Wanted) -> AdverseList:
    """Read one page of the reactions and events that the address asks for."""
    return adverse.list_adverse(session, actor, open_only=asked.of["state"] == "open", paging=asked.paging)


def row_of(one: AdversePublic) -> Mapping[str, Any]:
    """Return the cells of one."""
    return one.model_dump() | {"href": f"/adverse-events/{one.deviation}"}


Listing(
    address="/adverse-events",
    title="Adverse events",
    lead="Reactions of patients and events in the handling, with the dates by which they are reported.",
    key="deviation",
    columns=[
        Column("deviation", "Deviation", "plain_code", sort="deviation"),
        Column("kind", "What", "words"),
        Column("withdrawal", "Withdrawal", "code"),
        Column("site", "Site", "plain_code"),
        Column("seriousness", "Seriousness", "words"),
        Column("causality", "Cause in the material", "words"),
        Column("known_at", "Known since", "when", sort="known_at"),
        Column("due_at", "Report by", "when"),
        Column("reported_at", "Reported", "when"),
    ],
    read=read_adverse_events,
    row=row_of,
    default="-known_at",
    filters=[Filter("state", "State", "choice", [("open", "Not reported")])],
    links=[Link("Days to report", "/reporting-rules", "pen", Permission.DEVIATION_DECIDE)],
    empty="No adverse events",
    hint="Whoever treats records one at the withdrawal.",
).on(router)


@router.get("/adverse-events/{code}")
async def show_adverse_event(request: Request, code: DeviationCode, reading: PageReading) -> Response:
    """Draw one: what was seen, when, how it was judged, by when it is reported."""
    one = await reading(adverse.describe_adverse, reading.bank.keystore, code)
    zone, actor = request.state.zone, request.state.actor
    kept = "kept, for those who treat or decide" if one.words_kept else "none"
    facts: list[tuple[str, Any]] = [
        ("What was seen", one.words or kept),
        ("Withdrawal", code_markup(one.withdrawal)),
        ("Donor", code_markup(one.donor)),
        ("Units", ", ".join(one.units) or "none"),
        ("Seriousness", words(one.seriousness)),
        ("Cause in the material", words(one.causality)),
        ("The lot may be concerned", IN_LOT[one.in_lot]),
        ("Seen", when(one.seen_at, zone)),
        ("Known to the bank", when(one.known_at, zone)),
        ("Report by", NO_RULE if one.due_at is None else when(one.due_at, zone)),
        ("Report to", one.authority or "not set"),
        ("Reported", "not yet" if one.reported_at is None else when(one.reported_at, zone)),
        *([] if one.reported_to is None else [("Reported to", one.reported_to), ("Reference", one.reference)]),
    ]
    return render(
        request,
        "dossier.html",
        kind=f"Adverse {one.kind}",
        code=code,
        trail=[("Adverse events", "/adverse-events"), (code, None)],
        facts=facts,
        acts=acts_on(actor, one),
        tables=[],
        note=" ".join([*one.against, "Its deviation is closed when it is judged and, where a date is set, reported."]),
    )


def acts_on(actor: Actor, one: AdverseDetail) -> list[ActionLink]:
    """Return what this reader may do about it."""
    here = f"/adverse-events/{one.deviation}"
    acts = [ActionLink("Its deviation", f"/deviations/{one.deviation}", "triangle")]
    if actor.may(Permission.LOG_READ, at=EVERYWHERE):
        acts.append(ActionLink("Look back: lots, siblings, inputs", f"{here}/look-back", "search"))
    if not actor.may(Permission.DEVIATION_DECIDE, at=one.judged_at):
        return acts
    waits = one.causality == "not_assessed"
    if one.reported_at is None and not waits:
        acts.insert(0, ActionLink("Record the report", f"{here}/report", "pen", weight="main"))
    if one.against:
        return acts
    return [ActionLink("Judge it", f"{here}/assess", "pen", weight="main" if waits else "plain"), *acts]


def _read(session: Session, actor: Actor, asked: Asked) -> AdverseDetail:
    one = adverse.describe_adverse(session, actor, asked.bank.keystore, asked.code)
    actor.require(Permission.DEVIATION_DECIDE, at=one.judged_at, subject=asked.code)
    return one


def _trail(one: AdversePublic, last: str) -> list[tuple[str, str | None]]:
    return [("Adverse events", "/adverse-events"), (one.deviation, f"/adverse-events/{one.deviation}"), (last, None)]


TWO_SIGN = (
    "Two of quality sign a judgement that is milder than what stands, and one that takes what was called serious for less, or "
    "its cause for no matter of the material."
)
JUDGED = {
    "causality": "How likely the material or its handling caused it",
    "in_lot": "The cause may be in the material: hold everything of its lot",
    "reason": "Why",
}
REPORTED = {"authority": "Reported to", "reference": "Reference number", "reported_at": "When it was reported"}
RULED = {"days": "Days to report, from when the bank knew", "authority": "To whom, as your site calls them"}


def _draw_assess(at: Opened[AdverseDetail]) -> ActForm:
    return ActForm(
        title="Judge an adverse event",
        subject=at.code,
        submit="Sign and record",
        icon="pen",
        lead=" ".join(filter(None, [at.read.words, TWO_SIGN])),
        statement=f"You judge the adverse {at.read.kind} of {at.code}.",
        said="I have read what was seen, and judge it as stated above.",
        back=f"/adverse-events/{at.code}",
        trail=_trail(at.read, "Judge"),
    )


def _judged(at: Opened[AdverseDetail], _body: AssessAdverse, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "pending":
        said = "Two of quality sign what lets go of something; the second finds it on Today. What is held stays held."
        return Done(f"/adverse-events/{at.code}", "Proposed.", said)
    return Done(f"/adverse-events/{at.code}", "Recorded.", f"{answer['held']} more lots are held.")


ActPage(
    address="/adverse-events/{code}/assess",
    reads=_read,
    form=_draw_assess,
    model=AssessAdverse,
    names=("seriousness", "causality", "in_lot", "reason"),
    labels=JUDGED,
    meaning=Meaning.DECIDED,
    use_case=judging.assess_adverse,
    after=_judged,
).on(router)


def _draw_report(at: Opened[AdverseDetail]) -> ActForm:
    return ActForm(
        title="Record a report",
        subject=at.code,
        submit="Sign and record",
        icon="pen",
        values={"authority": at.read.authority or ""},
        statement=f"You record that the adverse {at.read.kind} of {at.code} was reported.",
        said="I have seen the report and its acknowledgement.",
        back=f"/adverse-events/{at.code}",
        trail=_trail(at.read, "Report"),
    )


ActPage(
    address="/adverse-events/{code}/report",
    reads=_read,
    form=_draw_report,
    model=ReportAdverse,
    names=("authority", "reference", "reported_at"),
    labels=REPORTED,
    meaning=Meaning.DECIDED,
    use_case=adverse.report_adverse,
    after=lambda at, _body, _answer: Done(f"/adverse-events/{at.code}", "Recorded."),
).on(router)

ActPage(
    address="/reporting-rules",
    reads=Needs(Permission.DEVIATION_DECIDE, ANYWHERE),
    form=lambda _at: ActForm(
        title="Days to report adverse events",
        subject="Sites",
        submit="Sign and set",
        icon="pen",
        lead="Your site says how long its law gives to report what is serious and what is not. Today lists the dates.",
        statement="You set how long this site has to report.",
        said="I decide this rule for the site.",
        back="/adverse-events",
        trail=[("Adverse events", "/adverse-events"), ("Days to report", None)],
    ),
    model=ReportingRuleRequest,
    names=("site", "seriousness", "days", "authority"),
    labels=RULED,
    meaning=Meaning.DECIDED,
    use_case=adverse.set_reporting_rule,
    args=lambda _at: (),
    after=lambda _at, body, _answer: Done("/adverse-events", f"Set for {body.site}."),
).on(router)
