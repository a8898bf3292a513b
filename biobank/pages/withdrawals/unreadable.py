"""The pick of a tube whose code nothing reads: by its place and what is read on it. Neither page shows what is expected."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.errors import Refusal
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import WithdrawalCode
from biobank.pages.ui.forms import Field, fields_of
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.withdrawals import picking
from biobank.withdrawals.label_text import LabelRead
from biobank.withdrawals.pick_list import PickLine, PickList, read_pick_list
from biobank.withdrawals.schemas import PickRequest
from biobank.withdrawals.standing import read_standing

router = APIRouter(include_in_schema=False)

READ = ("recipient", "unit_number", "code")
WORDS = {
    "recipient": "Recipient (DN-…), as it stands on the label",
    "unit_number": "Number of the unit: 3 of “3 of 12”",
    "code": "Code, with a ? for every character that cannot be read",
}
LEAD = "Write down what you see on the label, and nothing that you know. Another person reads it too, and the bank compares."


def _reads(step: str) -> Any:
    def read(session: Session, actor: Actor, asked: Asked) -> tuple[PickList, Refusal | None]:
        standing = read_standing(session, actor, asked.code, asked.bank)
        against = next(iter(standing.refusals(step)), None)
        asked.opens([] if against is None else [against])
        return read_pick_list(session, actor, standing.case), against

    return read


def places_of(picks: PickList) -> str:
    """Say where the tubes stand that nobody took out yet, and nothing of what they are."""
    return "; ".join(" › ".join(line.path) for line in picks.lines if not line.picked and line.path)


def _fields(at: Opened[Any]) -> list[Field]:
    return list(fields_of(LabelRead, *READ, values=at.filled(), labels=WORDS))


def _draw_first(at: Opened[Any]) -> ActForm:
    picks: PickList = at.read[0]
    return ActForm(
        title="Pick a tube whose code cannot be read",
        subject=at.code,
        submit="Compare and take it out",
        icon="vial",
        lead=f"{LEAD} It stands in: {places_of(picks)}.",
        fields=[
            Field("place", "Its place (scan the position)", "scan", at.filled().get("place", ""), True, accepts="PS BX"),
            *_fields(at),
        ],
        back=f"/withdrawals/{at.code}/pick",
    )


def _draw_second(at: Opened[Any]) -> ActForm:
    return ActForm(
        title="Confirm a tube whose code cannot be read",
        subject=at.code,
        submit="Compare",
        icon="vial",
        lead=f"You are the second person. {LEAD}",
        fields=_fields(at),
        back=f"/withdrawals/{at.code}/confirm",
    )


def _read_label(at: Acting[Any]) -> Mapping[str, Any]:
    return {"label": at.parse(LabelRead, *READ)}


def _picked(at: Opened[Any], _body: PickRequest, _answer: Any) -> Done:
    return Done(
        f"/withdrawals/{at.code}/pick",
        "It fits. The tube is picked.",
        "A second person reads its label now, on their own device. Print a new label for it afterwards.",
    )


ActPage(
    address="/withdrawals/{code}/pick/label",
    reads=_reads("pick"),
    form=_draw_first,
    model=PickRequest,
    names=("place",),
    needed=("place",),
    more=(),
    given=_read_label,
    use_case=picking.pick,
    after=_picked,
    keeps=(),
).on(router)

ActPage(
    address="/withdrawals/{code}/confirm/label",
    reads=_reads("confirm"),
    form=_draw_second,
    model=PickRequest,
    more=(),
    given=lambda at: {**_read_label(at), "confirm": True},
    use_case=picking.pick,
    after=lambda at, _body, _answer: Done(f"/withdrawals/{at.code}", "Yes. Both of you read the same tube."),
    keeps=(),
).on(router)


@router.get("/withdrawals/{code}/pick/route")
async def show_route(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw the way to every tube, in the order of walking, for paper: a sheet for each tank or freezer."""

    def query(session: Session, actor: Actor) -> PickList:
        return read_pick_list(session, actor, read_standing(session, actor, code, reading.bank).case)

    picks = await reading(query)
    return render(request, "withdrawal_route.html", picks=picks, stops=stops_of(picks))


def stops_of(picks: PickList) -> list[tuple[str, list[tuple[int, PickLine]]]]:
    """Return the tubes of a pick by where one has to stand, each with its number on the way. Pure."""
    stops: dict[str, list[tuple[int, PickLine]]] = {}
    for number, line in enumerate(picks.lines, 1):
        stops.setdefault(" › ".join(line.path[:2]) or "Not in a box", []).append((number, line))
    return list(stops.items())
