"""Reopening a rejection as a form: the first of two people of quality; the second signs at what waits for them."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Opened, proposed
from biobank.quality.reopening import Rejection, ReopenRequest, rejection_of, reopen

router = APIRouter(include_in_schema=False)


def _read(session: Session, actor: Actor, asked: Asked) -> Rejection:
    return rejection_of(session, actor, asked.code)


def _draw(at: Opened[Rejection]) -> ActForm:
    count = len(at.read.deciding.specimens)
    said = f"{count} {'unit is' if count == 1 else 'units are'} rejected."
    return ActForm(
        title="Reopen a rejection",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=" ".join([said, "Two of quality sign, over a closed investigation.", *(one.detail for one in at.read.refusals())]),
        labels={"deviation": "Closed deviation that investigated it", "reason": "Why"},
        statement=f"You propose that the rejection of {at.code} is reopened.",
        said="I have read the investigation.",
    )


for part in ("specimens", "lots"):
    ActPage(
        address=f"/{part}/{{code}}/reopen",
        reads=_read,
        form=_draw,
        model=ReopenRequest,
        names=("deviation", "reason"),
        meaning=Meaning.DECIDED,
        use_case=reopen,
        after=lambda at, _body, _answer: proposed(f"/{'lots' if at.code.startswith('LT-') else 'specimens'}/{at.code}"),
    ).on(router)
