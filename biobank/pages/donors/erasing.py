"""Forgetting a person, as a form: what would go today is said first; the first of two signs here, the second at what waits."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors.erasure import describe_erasure, erase_donor
from biobank.donors.schemas import EraseDonor, ErasureOutlook
from biobank.foundation.terms import words
from biobank.pages.donors.about import about_donor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Opened, proposed

router = APIRouter(include_in_schema=False)


def _outlook(session: Session, actor: Actor, asked: Asked) -> ErasureOutlook:
    about_donor(Permission.DONOR_ERASE)(session, actor, asked)
    return describe_erasure(session, actor, asked.code)


def _draw(at: Opened[ErasureOutlook]) -> ActForm:
    one = at.read
    if one.everything_goes:
        said = "Today everything about the person goes: name, contact, consents, free text and files. It cannot be undone."
    else:
        why = ", ".join(words(reason).lower() for reason in one.because)
        until = "" if one.earliest_on is None else f", until {one.earliest_on:%Y-%m-%d} at least"
        said = f"Today contact and free text go; the rest must be kept ({why}){until}."
    return ActForm(
        title="Forget the person",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=f"{said} Two people of quality sign.",
        labels={"reason": "Why"},
        statement=f"You propose that the person behind {at.code} is forgotten.",
        said="I have read the request and the duties to keep records.",
    )


ActPage(
    address="/donors/{code}/erase",
    reads=_outlook,
    form=_draw,
    model=EraseDonor,
    names=("reason",),
    meaning=Meaning.ERASED,
    use_case=erase_donor,
    after=lambda at, _body, _answer: proposed(f"/donors/{at.code}"),
).on(router)
