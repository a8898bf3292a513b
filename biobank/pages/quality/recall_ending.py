"""What becomes of the units of a recall, and its closing, as forms: the second person of quality signs at what waits for them."""

from uuid import UUID

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.terms import counted
from biobank.pages.quality.dispositions import disposing_form, disposing_page
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Opened, proposed
from biobank.quality.recall_ending import CloseRecallRequest, close_recall, closing_refusals, dispose
from biobank.quality.recalls import read_recall
from biobank.quality.schemas import RecallDetail

router = APIRouter(include_in_schema=False)


def _read(session: Session, actor: Actor, asked: Asked) -> RecallDetail:
    actor.require(Permission.RECALL_START, at=EVERYWHERE)
    return read_recall(session, actor, asked.path["recall"])


def _draw(at: Opened[RecallDetail]) -> ActForm:
    return disposing_form(
        at.read.deviation,
        at.read.items,
        at.filled(),
        but=("kept_held",),
        after="Nothing is freed before two of quality close the recall.",
        back=f"/recalls/{at.read.id}",
        trail=_trail(at.read),
    )


def _trail(one: RecallDetail) -> list[tuple[str, str | None]]:
    return [("Recalls", "/recalls"), (one.deviation, f"/recalls/{one.id}"), ("Decide", None)]


disposing_page(
    "/recalls/{recall}/dispositions",
    params={"recall": UUID},
    reads=_read,
    form=_draw,
    use_case=dispose,
    leads=lambda at: f"/recalls/{at.read.id}",
).on(router)


def _draw_close(at: Opened[RecallDetail]) -> ActForm:
    against = [one.detail for one in closing_refusals(at.read)]
    unread = sum(one.acknowledged_at is None for one in at.read.notices)
    several = f"{unread} of {len(at.read.notices)} who were told have not acknowledged it."
    told = several if at.read.notices else "Nobody had to be told."
    return ActForm(
        title="Close a recall",
        subject=at.read.deviation,
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=" ".join(["Two of quality sign; then its holds end.", told, *against]),
        labels={"reason": "Why"},
        statement=f"You propose that the recall of {at.read.deviation} is closed: {counted(len(at.read.items), 'unit')}.",
        said="I have read what becomes of each unit.",
        back=f"/recalls/{at.read.id}",
        trail=_trail(at.read),
    )


ActPage(
    address="/recalls/{recall}/close",
    params={"recall": UUID},
    reads=_read,
    form=_draw_close,
    model=CloseRecallRequest,
    names=("reason",),
    meaning=Meaning.CLOSED,
    use_case=close_recall,
    after=lambda at, _body, _answer: proposed(f"/recalls/{at.read.id}"),
).on(router)
