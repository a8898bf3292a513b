"""Changing who a donor is while material of theirs is kept: the clinic's form, and what quality reads before it signs."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.pages.donors.about import about_donor
from biobank.pages.quality.kept_words import words_page
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done
from biobank.pages.ui.forms import NAMELESS
from biobank.quality.identity_changes import ChangeIdentity, change_identity, read_proposed

router = APIRouter(include_in_schema=False)

# A refused form comes back without who it is: the page may stay open in a room.
ActPage(
    address="/donors/{code}/identity-change",
    reads=about_donor(Permission.DONOR_REGISTER),
    form=lambda at: ActForm(
        title="Change who this is",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead="Every identification compares the patient with this. You propose it with what shows it; somebody of quality reads "
        "both and signs. The wristband and every identification before it then count no more. Fill in only what is new.",
        labels={
            "date_of_birth": "Date of birth",
            "reason": "Why it changes",
            "evidence_sha256": "What shows it (certificate, passport)",
        },
        attach={"donor": at.code, "site": at.read.clinic_site},
        statement=f"You propose to change who {at.code} is.",
        said="I have seen the evidence, and it is the same person.",
    ),
    model=ChangeIdentity,
    names=("family_name", "given_names", "date_of_birth", "reason", "evidence_sha256"),
    keeps=("reason", "evidence_sha256", *NAMELESS),
    meaning=Meaning.DECIDED,
    use_case=change_identity,
    after=lambda at, _body, _answer: Done(f"/donors/{at.code}", "Proposed.", "It waits for somebody of quality."),
).on(router)


def _opens(session: Session, actor: Actor, asked: Asked) -> None:
    about_donor(Permission.IDENTITY_READ)(session, actor, asked)


words_page("/donors/{code}/proposed-identity", "Who it is, and who was proposed", _opens, read_proposed, "both").on(router)
