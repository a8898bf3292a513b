"""What was given before something came that stands against it now: the page of whoever gave it. Quality signs it on Today."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, proposed
from biobank.pages.withdrawals.bedside import given_scanned
from biobank.pages.withdrawals.paper_checks import LABELS
from biobank.withdrawals.given_before import GivenBefore, enter_given_before, entering_refusals
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.steps import STEPS

router = APIRouter(include_in_schema=False)


def _read(session: Session, actor: Actor, asked: Asked) -> Standing:
    standing = read_standing(session, actor, asked.code, asked.bank)
    asked.opens(entering_refusals(standing))
    return standing


ActPage(
    address="/withdrawals/{code}/given-before",
    reads=_read,
    form=lambda at: ActForm(
        title="It was given before",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead="Only for what is in the patient already: it was checked by two and given, and what stands against it now was "
        "recorded afterwards. Nothing may be given now. Say when it began and ended; somebody of quality compares it and signs.",
        labels={"occurred_at": "When it ended", "paper": "The form it was filed as, if it was on paper"},
        statement=f"You say that what follows of {at.code} was given before something was recorded against it.",
        said="I was there, and the times are those at which it was given.",
    ),
    model=GivenBefore,
    names=(*STEPS["administer"].names, "occurred_at", "paper"),
    needed=("occurred_at",),
    labels=LABELS,
    more=("performed_by",),
    given=lambda at: given_scanned(at, at.read),
    meaning=Meaning.REVIEWED,
    use_case=enter_given_before,
    after=lambda at, _body, _answer: proposed(f"/withdrawals/{at.code}"),
).on(router)
