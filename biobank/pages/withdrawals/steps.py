"""The steps of a withdrawal whose page is a form: each is a row of `STEPS`. The others have a page of their own.

A step's page opens for those who may take it now: the same list of refusals that its button comes from and its use case raises
from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.custodians import in_other_hands
from biobank.custody.states import Quality
from biobank.foundation.terms import words
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.quality.attachments import about
from biobank.pages.shipping.boxes import compared, rows_to_compare
from biobank.pages.shipping.shipments import asked_again, couriers_at
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.withdrawals.requests import route_words
from biobank.shipping.boxes import boxes_of
from biobank.shipping.schemas import BoxPublic
from biobank.withdrawals.case import Case
from biobank.withdrawals.return_rules import returns_offered
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.steps import STEPS, StepPage

router = APIRouter(include_in_schema=False)

OWN_PAGES = frozenset({"approve", "pick", "confirm", "check", "administer", "expand"})
"""Steps whose page is more than a form."""


def taken(name: str) -> Callable[[Opened[Any], Any, Any], Done]:
    """Return what is said after a step, with what comes next."""

    def say(_at: Opened[Any], _body: Any, answer: dict[str, Any]) -> Done:
        next_up = f"Next: {answer['waits_for'][0]}." if answer["waits_for"] else ""
        return Done(f"/withdrawals/{answer['code']}", STEPS[name].done, next_up)

    return say


def statement_of(case: Case, label: str) -> str:
    """Return what a signature under a step is about."""
    route = route_words(case.route).lower()
    return f"{label}: withdrawal {case.code} of {', '.join(sorted(case.tubes))} for {case.donor}, route: {route}."


@dataclass(frozen=True)
class Known:
    """What the form of a step reads: the withdrawal, what fields choose from, and the boxes that are to be looked at."""

    standing: Standing
    options: dict[str, Choices]
    boxes: list[BoxPublic]
    told: list[str]


def _verdicts(standing: Standing) -> list[tuple[str, str]]:
    """What may be decided about one of the tubes that can come back."""
    case = standing.case
    back = [code for code in sorted(case.tubes) if not standing.refusals_of("return", code)]
    offered = {one for code in back for one in returns_offered(standing.actor, case, code, standing.grounds.at)}
    return [(one.value, words(one)) for one in Quality if one in offered]


def _held_by_others(standing: Standing) -> list[str]:
    """Say who alone may give a tube to a courier, where that is not the reader."""
    against = (in_other_hands(standing.actor, tube) for _, tube in sorted(standing.case.tubes.items()))
    return [f"To a courier: {one.detail}" for one in against if one is not None][:1]


def _declare(name: str, step: StepPage) -> ActPage[Any, Any]:
    def reads(session: Session, actor: Actor, asked: Asked) -> Known:
        standing = read_standing(session, actor, asked.code, asked.bank)
        asked.opens(standing.refusals(name))
        options, boxes = {}, []
        if "site" in step.names:
            options["site"] = own_sites(session, actor, None, kind="bank")
        if "courier" in step.names:
            sites = {site for tube in standing.case.tubes.values() if (site := tube.projection.site_code) is not None}
            options["courier"] = couriers_at(session, actor, sorted(sites))
        if name == "return":
            options["quality"] = _verdicts(standing)
        if name == "receive":
            shipments = {tube.projection.shipment_code for tube in standing.case.tubes.values()} - {None}
            boxes = [box for code in sorted(map(str, shipments)) for box in boxes_of(session, code)]
        told = _held_by_others(standing) if name == "issue" else []
        return Known(standing, {field: choices for field, choices in options.items() if choices}, boxes, told)

    def form(at: Opened[Known]) -> ActForm:
        standing = at.read.standing
        label = step.label
        return ActForm(
            title=label,
            submit=f"Sign: {label.lower()}" if step.meaning else label,
            lead=" ".join([step.lead, *at.read.told]),
            icon=step.icon,
            grave=step.grave,
            options=at.read.options,
            rows=[rows_to_compare(at.read.boxes, at.form if at.sent else None)] if at.read.boxes else [],
            also=asked_again(at.refusal),
            hidden={"expected_seq": str(standing.case.seq)},
            statement=statement_of(standing.case, label) if step.meaning else None,
            said=step.said,
            attach=about(at.actor, standing.case.tubes.values()),
        )

    return ActPage(
        address=f"/withdrawals/{{code}}/{name}",
        reads=reads,
        form=form,
        model=step.model,
        names=step.names,
        labels=step.labels,
        given=lambda at: {**step.given, **(_looked_at(at) if name == "receive" else {})},
        meaning=step.meaning,
        use_case=step.use_case,
        # Which print the label says is asked of the scan itself.
        old_labels="left" if name == "label" else "stop",
        after=_after_paper if name == "paper" else taken(name),
    )


def _looked_at(at: Opened[Known]) -> dict[str, Any]:
    """Return what the form of a receipt says beside its fields."""
    return {"boxes": compared(at.form), "confirmed": "confirmed" in at.form}


def _after_paper(at: Opened[Any], _body: Any, answer: Any) -> Done:
    text = "It is good for 24 hours; its receipt is on it."
    return Done(f"/withdrawals/{at.code}/paper-checks/{answer['sheet']}", "The paper check was made.", text)


for _name, _step in STEPS.items():
    if _name not in OWN_PAGES:
        _declare(_name, _step).on(router)
