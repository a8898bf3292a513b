"""The page on which a colleague says whose hands it was."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.custody.performer_confirmations import ConfirmRequest, confirm_performed, own_open_confirmations
from biobank.custody.states import PerformerAnswer
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import Field
from biobank.pages.ui.session import see

router = APIRouter(include_in_schema=False)

ENTRY = "entry-"
"""The name of every entry's tick box begins so; the entry is in its rest, because a form sends only what is ticked."""
ANSWERS = [(PerformerAnswer.CONFIRMED.value, "It was my work"), (PerformerAnswer.DISPUTED.value, "It was not my work")]


def _waiting(session: Session, actor: Actor, _asked: Asked) -> list[Any]:
    return list(own_open_confirmations(session, actor))


def _draw(at: Opened[list[Any]]) -> ActForm | Response:
    if not at.read:
        return see("/")
    boxes = [
        Field(
            f"{ENTRY}{one.event}",
            f"{one.id}: {words(one.kind.partition('.')[2]).lower()}",
            "checkbox",
            not at.sent or f"{ENTRY}{one.event}" in at.form,
            hint=when(one.occurred_at, at.zone) + f", recorded by {one.recorded_by}",
        )
        for one in at.read
    ]
    return ActForm(
        title="Confirm your work",
        subject=at.read[0].user,
        lead="Colleagues recorded these for you. Say with your own password whether it was your work; until then they stay "
        "listed as unconfirmed.",
        back="/",
        trail=[("Today", "/"), ("Confirm your work", None)],
        fields=[*boxes, Field("answer", "I say", "select", at.form.get("answer", ANSWERS[0][0]), True, options=ANSWERS)],
        submit="Sign",
        statement="You say whose hands it was.",
        said="What I ticked is as I state it above.",
    )


def _ticked(at: Acting[list[Any]]) -> dict[str, Any]:
    events = at.form.names_after(ENTRY)
    if not events:
        raise MalformedRequest("Tick what you answer for.")
    return {"events": events}


def _said(_at: Opened[list[Any]], body: ConfirmRequest, _answer: Any) -> Done:
    return Done("/", f"{len(body.events)} {'confirmed' if body.answer is PerformerAnswer.CONFIRMED else 'disputed'}.")


ActPage(
    address="/confirmations",
    reads=_waiting,
    form=_draw,
    model=ConfirmRequest,
    names=("answer",),
    more=(),
    given=_ticked,
    meaning=lambda _at, body: Meaning.PERFORMED if body.answer is PerformerAnswer.CONFIRMED else Meaning.NOT_PERFORMED,
    use_case=confirm_performed,
    after=_said,
).on(router)
