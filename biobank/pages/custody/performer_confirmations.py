"""The page on which a colleague says whose hands it was."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.acts.signing import Meaning
from biobank.custody.performer_confirmations import ConfirmRequest, confirm_hands, own_open_hands
from biobank.custody.states import HandsAnswer
from biobank.foundation.errors import MalformedRequest, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import Field, act_page
from biobank.pages.ui.session import PagePerforming, PageReading, or_again, see

router = APIRouter(include_in_schema=False)

ENTRY = "entry"
"""The name of every entry's tick box; its value is in the name's rest, because a form sends only what is ticked."""
ANSWERS = [(HandsAnswer.CONFIRMED.value, "It was my work"), (HandsAnswer.DISPUTED.value, "It was not my work")]


@router.get("/confirmations")
async def show_confirmations(request: Request, reading: PageReading) -> Response:
    """Draw the entries that name the one who is signed in."""
    return await _draw(request, reading)


async def _draw(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    waiting = await reading(own_open_hands)
    if not waiting:
        return see("/")
    chosen = typed or {}
    boxes = [
        Field(
            f"{ENTRY}-{one.event}",
            f"{one.id}: {words(one.kind.partition('.')[2]).lower()}",
            "checkbox",
            not typed or f"{ENTRY}-{one.event}" in typed,
            hint=when(one.occurred_at, request.state.zone) + f", recorded by {one.recorded_by}",
        )
        for one in waiting
    ]
    answer = Field("answer", "I say", "select", chosen.get("answer", ANSWERS[0][0]), required=True, options=ANSWERS)
    return act_page(
        request,
        refusal,
        title="Confirm your work",
        subject=waiting[0].user,
        lead="Colleagues recorded these for you. Say with your own password whether it was your work; until then they stay "
        "listed as unconfirmed.",
        back="/",
        trail=[("Today", "/"), ("Confirm your work", None)],
        fields=[*boxes, answer],
        submit="Sign",
        icon="pen",
        statement="You say whose hands it was.",
        meaning=(Meaning.PERFORMED.value, "What I ticked is as I state it above."),
    )


@router.post("/confirmations")
async def confirm(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign what is ticked."""

    async def act() -> Response:
        ticked = [name.partition("-")[2] for name in performing.form if name.startswith(f"{ENTRY}-")]
        if not ticked:
            raise MalformedRequest("Tick what you answer for.")
        try:
            body = ConfirmRequest(events=ticked, answer=HandsAnswer(performing.form.get("answer", "")))
        except ValueError:
            raise MalformedRequest("This form is not whole. Load the page again.") from None
        confirmed = body.answer is HandsAnswer.CONFIRMED
        token = await performing.sign(Meaning.PERFORMED if confirmed else Meaning.NOT_PERFORMED)
        await performing(confirm_hands, body.model_copy(update={"signature": token}))
        return await performing.done("/", f"{len(ticked)} {'confirmed' if confirmed else 'disputed'}.")

    return await or_again(act(), lambda refusal: _draw(request, reading, refusal, performing.form))
