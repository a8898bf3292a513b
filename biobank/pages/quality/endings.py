"""Ending material as forms: discard, announce, take back, transfer out, give up as lost, use up; and a site's rule of it.

What stands against it is said before anything is typed, by the function that the use cases raise from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import get_visible
from biobank.foundation import clock
from biobank.foundation.terms import words
from biobank.pages.quality.attachments import about
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Needs, Opened, proposed
from biobank.pages.ui.filters import day_and_time
from biobank.quality import disposal, ending_rules
from biobank.quality.disposal import ending_refusals
from biobank.quality.ending import Facts, Route, goes_at_once, waits
from biobank.quality.ending_facts import COOLING_OFF_DAYS, USABLE_REST_PERCENT, read_facts
from biobank.quality.schemas import (
    AnnounceRequest,
    DiscardRequest,
    EndingRuleRequest,
    LostRequest,
    TransferRequest,
    UseUpRequest,
    WithdrawEndRequest,
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Ending:
    """The specimen, what the rule reads of it, and when."""

    specimen: Snapshot
    facts: Facts
    at: datetime


def _read(session: Session, actor: Actor, asked: Asked) -> Ending:
    specimen = get_visible(session, actor, asked.code, holds=True)
    actor.require(Permission.CUSTODY_RECORD, at=specimen.sites, subject=asked.code)
    at = clock.now()
    return Ending(specimen, read_facts(session, specimen, at), at)


def _against(at: Opened[Ending], route: Route, *, announcing: bool = False) -> str:
    found = ending_refusals(at.actor, route, at.read.specimen, at.read.facts, announcing=announcing)
    return " ".join(one.detail for one in found)


def _lead(at: Opened[Ending], route: Route, first: str) -> str:
    left = at.read.facts.remaining.sentence if at.read.specimen.donor_code else ""
    known = at.read.facts.announced
    said = f"Announced as {words(known.reason).lower()}, from {day_and_time(known.not_before, at.zone)} on." if known else ""
    return " ".join(part for part in (first, said, left, _against(at, route)) if part)


EVIDENCE = {"evidence": "The donor's written request, when the donor asked"}


def _proposal(
    at: Opened[Ending], title: str, lead: str, statement: str, said: str, labels: Mapping[str, str] = MappingProxyType({})
) -> ActForm:
    return ActForm(
        title=title,
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=lead,
        labels=labels,
        attach=about(at.actor, [at.read.specimen]),
        statement=f"You propose {statement.format(at.code)}.",
        said=said,
    )


def _discard(at: Opened[Ending]) -> ActForm:
    who = "a witness" if goes_at_once(at.read.specimen, at.read.facts) else "somebody of quality"
    first = f"You propose it and sign; {who} signs as the second person, and then it is destroyed."
    if waits(at.read.specimen, at.read.facts) and at.read.facts.announced is None:
        first += " It is kept frozen for treatment: quality announces its end first."
    lead = _lead(at, Route.DISCARD, first)
    return _proposal(at, "Discard", lead, "to destroy {}", "It is to be destroyed for the reason stated.", EVIDENCE)


def _announce(at: Opened[Ending]) -> ActForm:
    first = "Quality and the donor's clinicians see it from now on, until it is carried out. Whoever objects places a hold."
    against = _against(at, Route.DISCARD, announcing=True)
    return ActForm(
        title="Announce its end",
        submit="Sign and announce",
        icon="pen",
        grave=True,
        lead=" ".join(part for part in (first, at.read.facts.remaining.sentence, against) if part),
        labels=EVIDENCE,
        attach=about(at.actor, [at.read.specimen]),
        statement=f"You announce that {at.code} is to be destroyed, or used up.",
        said="Its end is announced for the reason stated.",
    )


def _use_up(at: Opened[Ending]) -> ActForm:
    first = "For a day after the second signature it may be thawed, sampled or worked up with nothing left for its donor."
    if waits(at.read.specimen, at.read.facts) and at.read.facts.announced is None:
        first += " It is kept frozen for treatment: quality announces that first."
    return _proposal(
        at,
        "Allow to use it up",
        _lead(at, Route.USE_UP, first),
        "that {} is used up",
        "It may be used up; I have seen what remains for the donor.",
        {"use": "For what"},
    )


def _lost(at: Opened[Ending]) -> ActForm:
    first = "You say that you searched; somebody of quality signs too. It can still be found."
    lead = _lead(at, Route.GIVE_UP, first)
    said = "I have searched, and it is not to be found."
    return _proposal(at, "Give up the search", lead, "to give up the search for {}", said)


def _transfer(at: Opened[Ending]) -> ActForm:
    first = "Another establishment has it, by its receipt. Two people of quality sign."
    return _proposal(
        at,
        "Transferred out for good",
        _lead(at, Route.TRANSFER_OUT, first),
        "to close the record of {}",
        "I have read the other establishment's receipt.",
        {
            "to": "Code of the other establishment",
            "donors_request": EVIDENCE["evidence"],
            "evidence": "Its receipt",
        },
    )


def _proposed(at: Opened[Ending], _body: object, _answer: object) -> Done:
    return proposed(f"/specimens/{at.code}")


for part, draw, model, names, use_case in (
    ("discard", _discard, DiscardRequest, ("reason", "method", "evidence"), disposal.discard),
    ("use-up", _use_up, UseUpRequest, ("use",), disposal.allow_use_up),
    ("lost", _lost, LostRequest, ("reason",), disposal.give_up_as_lost),
    ("transfer-out", _transfer, TransferRequest, ("to", "reason", "donors_request", "evidence"), disposal.transfer_out),
):
    ActPage(
        address=f"/specimens/{{code}}/{part}",
        reads=_read,
        form=draw,
        model=model,
        names=names,
        given=lambda at: {"expected_seq": at.read.specimen.seq},
        meaning=Meaning.DECIDED,
        use_case=use_case,
        after=_proposed,
    ).on(router)

ActPage(
    address="/specimens/{code}/end",
    reads=_read,
    form=_announce,
    model=AnnounceRequest,
    names=("reason", "evidence"),
    given=lambda at: {"expected_seq": at.read.specimen.seq},
    meaning=Meaning.DECIDED,
    use_case=disposal.announce_end,
    after=lambda at, _body, answer: Done(f"/specimens/{at.code}", "Announced.", answer["remains"], "care"),
).on(router)

ActPage(
    address="/specimens/{code}/end/withdraw",
    reads=_read,
    form=lambda _at: ActForm(title="Take the announcement back", submit="It stays", icon="return"),
    model=WithdrawEndRequest,
    names=("reason",),
    given=lambda at: {"expected_seq": at.read.specimen.seq},
    use_case=disposal.withdraw_end,
    after=lambda at, _body, _answer: Done(f"/specimens/{at.code}", "Taken back.", "It stays in the bank."),
).on(router)

ActPage(
    address="/ending-rules",
    reads=Needs(Permission.QUALITY_DECIDE, ANYWHERE),
    form=lambda _at: ActForm(
        title="Rule of ending material",
        subject="Sites",
        submit="Sign and set",
        icon="pen",
        lead="What is kept frozen for treatment is announced before it is destroyed, and waits for so many days. Sampling that "
        "leaves less than the usable rest takes two people. Two of quality sign fewer days, or a smaller rest, than holds now "
        f"(where nothing is set: {COOLING_OFF_DAYS} days, {USABLE_REST_PERCENT} %).",
        labels={"cooling_off_days": "Days that an announced end waits", "usable_rest_percent": "Usable rest of a unit (%)"},
        statement="You set the rule of ending for this site.",
        said="I decide this rule for the site.",
        back="/",
        trail=[("Today", "/"), ("Rule of ending material", None)],
    ),
    model=EndingRuleRequest,
    names=("site", "cooling_off_days", "usable_rest_percent"),
    meaning=Meaning.DECIDED,
    use_case=ending_rules.set_ending_rule,
    args=lambda at: (at.form.get("site", ""),),
    after=lambda _at, body, answer: (
        proposed("/ending-rules") if answer["status"] == "pending" else Done("/ending-rules", f"Set for {body.site}.")
    ),
).on(router)
