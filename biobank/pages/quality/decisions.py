"""Quality's verdicts as forms: the legal basis and the decision, of a specimen, of a lot, of what was ticked in the list.

What is read is what the use case reads, so a page opens for whoever may decide and says beforehand what stands against a release.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import SPECIMENS
from biobank.foundation.terms import words
from biobank.pages.quality.attachments import about
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.quality.acceptances import NAMES as ACCEPTANCE
from biobank.quality.decisions import (
    Deciding,
    decide_basis_of,
    decide_lot,
    decide_lot_basis,
    decide_several,
    decide_specimen,
    decide_specimen_basis,
    lot_basis_to_decide,
    lot_to_decide,
    specimens_to_decide,
)
from biobank.quality.events import Decision
from biobank.quality.schemas import BasisOfSeveral, BasisRequest, DecisionOfSeveral, DecisionRequest

router = APIRouter(include_in_schema=False)

DECISION = ("decision", "reason", "notification_plan", *ACCEPTANCE)
DECISION_LABELS = {
    "notification_plan": "For a conditional release: whom to tell, and how, if a late result is bad",
    "physician": "For a conditional release: badge of the physician who will treat",
    "physician_accepted_at": "When the physician accepted it",
    "physician_acceptance": "What the physician signed",
    "patient_accepted_at": "When the patient accepted it",
    "patient_acceptance": "What the patient signed",
}
BASIS = ("basis", "authorisation", "reason")
BASIS_LABELS = {"basis": "Legal basis", "authorisation": "Number or statute of the authorisation"}


BELONGS = ("donor", "site")
"""Fields of the form that say of whom and where a file is kept; the decision itself reads neither."""


def _specimen(session: Session, actor: Actor, asked: Asked) -> Deciding:
    asked.form.know(*BELONGS)
    return specimens_to_decide(session, actor, [asked.code])


def _lot(session: Session, actor: Actor, asked: Asked) -> Deciding:
    asked.form.know(*BELONGS)
    return lot_to_decide(session, actor, asked.code)


def _lot_basis(session: Session, actor: Actor, asked: Asked) -> Deciding:
    return lot_basis_to_decide(session, actor, asked.code)


def _several(session: Session, actor: Actor, asked: Asked) -> Deciding:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    asked.form.know(*BELONGS)
    # What was typed into a posted form may be anything: the act reads it.
    return specimens_to_decide(session, actor, [] if asked.sent else asked.form.all_of("specimens"))


def _counted(values: Counter[str]) -> str:
    """Write how many are what: `released to bank`, or `2 quarantined, 10 rejected`."""
    if len(values) == 1:
        return words(next(iter(values))).lower()
    return ", ".join(f"{count} {words(value).lower()}" for value, count in sorted(values.items()))


def _what(at: Opened[Deciding]) -> str:
    code, count = str(at.path.get("code", "")), len(at.read.specimens)
    if not code:
        return "these specimens"
    if code.startswith(tuple(one.value for one in SPECIMENS)):
        return code
    return f"the one specimen of {code}" if count == 1 else f"all {count} specimens of {code}"


def _draw_decision(at: Opened[Deciding]) -> ActForm:
    specimens = at.read.specimens
    now = _counted(Counter(one.projection.quality for one in specimens))
    basis = _counted(Counter(one.regulatory_basis for one in specimens))
    belongs = about(at.actor, specimens) if specimens else {name: at.form.get(name) for name in BELONGS}
    against = {one.code: one.detail for one in at.read.refusals(Decision.RELEASED_TO_BANK, planned=False, accepted=False)}
    return ActForm(
        title="Decide on quality",
        submit="Sign the decision",
        lead=" ".join([f"Now {now}; legal basis {basis}.", *against.values()]) if specimens else None,
        statement=f"You decide on the quality of {_what(at)}.",
        attach=belongs,
        # Ticked specimens are not read again when the form was refused: what a file chosen then is about stands in it.
        hidden={name: value for name, value in belongs.items() if value},
        said="I have reviewed the record and decide as stated above.",
    )


def _draw_basis(at: Opened[Deciding]) -> ActForm:
    now = _counted(Counter(one.regulatory_basis for one in at.read.specimens)) if at.read.specimens else ""
    return ActForm(
        title="Determine the legal basis",
        submit="Sign the legal basis",
        lead=(f"Now {now}. " if now else "") + "Under which law it may be used. Nothing is released before this is known.",
        statement=f"You determine the legal basis of {_what(at)}.",
        options={"basis": [(one.value, words(one)) for one in at.read.bases]},
        said="I have assessed under which law it may be used.",
    )


def _decided(place: str) -> Callable[[Opened[Deciding], DecisionRequest, Mapping[str, Any]], Done]:
    def after(at: Opened[Deciding], body: DecisionRequest, answer: Mapping[str, Any]) -> Done:
        return Done(place.format(**at.path), f"Decided: {words(body.decision).lower()}.", _touched(answer))

    return after


def _determined(place: str) -> Callable[[Opened[Deciding], BasisRequest, Mapping[str, Any]], Done]:
    def after(at: Opened[Deciding], body: BasisRequest, answer: Mapping[str, Any]) -> Done:
        return Done(place.format(**at.path), f"Legal basis: {words(body.basis)}.", _touched(answer))

    return after


def _touched(answer: Mapping[str, Any]) -> str:
    count = len(answer["items"])
    return f"{count} specimens." if count > 1 else ""


def _means(_at: Opened[Deciding], body: DecisionRequest) -> Meaning:
    return Meaning.REJECTED if body.decision is Decision.REJECTED else Meaning.RELEASED


for part, read, read_basis, decide, determine in (
    ("specimens", _specimen, _specimen, decide_specimen, decide_specimen_basis),
    ("lots", _lot, _lot_basis, decide_lot, decide_lot_basis),
):
    ActPage(
        address=f"/{part}/{{code}}/decision",
        reads=read,
        form=_draw_decision,
        model=DecisionRequest,
        names=DECISION,
        labels=DECISION_LABELS,
        meaning=_means,
        use_case=decide,
        after=_decided(f"/{part}/{{code}}"),
    ).on(router)
    ActPage(
        address=f"/{part}/{{code}}/basis",
        reads=read_basis,
        form=_draw_basis,
        labels=BASIS_LABELS,
        model=BasisRequest,
        names=BASIS,
        meaning=Meaning.DECIDED,
        use_case=determine,
        after=_determined(f"/{part}/{{code}}"),
    ).on(router)

ActPage(
    address="/specimens/decision",
    asks=("specimens",),
    reads=_several,
    form=_draw_decision,
    model=DecisionOfSeveral,
    names=("specimens", *DECISION),
    labels=DECISION_LABELS,
    scans={"specimens": tuple(SPECIMENS)},
    tubes=("specimens",),
    meaning=_means,
    use_case=decide_several,
    after=_decided("/specimens"),
).on(router)
ActPage(
    address="/specimens/basis",
    asks=("specimens",),
    reads=_several,
    form=_draw_basis,
    labels=BASIS_LABELS,
    model=BasisOfSeveral,
    names=("specimens", *BASIS),
    scans={"specimens": tuple(SPECIMENS)},
    tubes=("specimens",),
    meaning=Meaning.DECIDED,
    use_case=decide_basis_of,
    after=_determined("/specimens"),
).on(router)
