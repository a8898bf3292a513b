"""Forms about a donor's record: change who it is, say what became of them, give and revoke consents."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors import consents, service
from biobank.donors.allergies import AllergyList, RecordAllergy, list_allergies, record_allergy
from biobank.donors.schemas import ChangeDonor, ConsentPublic, Contact, DonorPublic, GiveConsent, RevokeConsent
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound
from biobank.foundation.terms import words
from biobank.pages.donors.about import about_donor
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import NAMELESS, Field, FormFault, fields_of

router = APIRouter(include_in_schema=False)

IDENTITY = ("family_name", "given_names", "date_of_birth", "sex")
CONTACT = ("phone", "email", "address")
CONSENT = (
    *("kind", "form_version", "document_sha256", "given_at", "witnessed_by", "tissues", "valid_until"),
    *("on_death", "at_end_of_term", "representative"),
)
CONSENT_LABELS = {
    "form_version": "Version of the form",
    "document_sha256": "The signed form",
    "given_at": "Signed at",
    "witnessed_by": "Witness (scan the badge, or type the name)",
    "tissues": "Tissues it covers",
    "on_death": "After death",
    "at_end_of_term": "At the end of the term",
    "representative": "Who may speak for the donor",
}


def look_alikes_of(answer: Mapping[str, Any], title: str, otherwise: str) -> Done:
    """Return where registering or changing a donor leads; it warns of donors they could be taken for."""
    place, alike = f"/donors/{answer['donor']}", ", ".join(one["donor"] for one in answer.get("look_alikes", []))
    return Done(place, f"{title} Look-alikes exist.", f"Compare with {alike}.", "care") if alike else Done(place, otherwise)


def _draw_change(at: Opened[DonorPublic]) -> ActForm:
    said = {"reason": "Why the identity changes"}
    identity = fields_of(ChangeDonor, *IDENTITY, "reason", values=at.filled(), labels=said)
    return ActForm(
        title="Change the record",
        lead="Fill in only what is new; everything left empty stays as it is. The former name stays searchable.",
        icon="pen",
        fields=[
            *(replace(one, kind="date") if one.name == "date_of_birth" else one for one in identity),
            *fields_of(Contact, *CONTACT),
            Field("no_contact", "Delete the contact details", "checkbox", hint="Instead of new ones."),
        ],
    )


def _contact(at: Acting[DonorPublic]) -> dict[str, Any]:
    if any(name in at.form for name in CONTACT):
        return {"contact": at.parse(Contact, *CONTACT)}
    if "no_contact" in at.form:
        return {"contact": None}
    if not any(name in at.form for name in IDENTITY):
        raise FormFault({"": "Fill in what is new."})
    return {}


# What is recorded now is not in this form, and a refused one comes back without what was typed of the person: the page may stay
# open in a room.
ActPage(
    address="/donors/{code}/change",
    reads=about_donor(Permission.DONOR_REGISTER),
    form=_draw_change,
    model=ChangeDonor,
    names=(*IDENTITY, "reason"),
    given=_contact,
    keeps=("reason", *NAMELESS),
    use_case=service.change_donor,
    after=lambda _at, _body, answer: look_alikes_of(answer, "Changed.", "The record is changed."),
).on(router)

ActPage(
    address="/donors/{code}/status",
    reads=about_donor(Permission.DONOR_REGISTER),
    form=lambda at: ActForm(
        title="Change the status",
        lead=f"Now {words(at.read.status).lower()}. Nothing of somebody unreachable is destroyed. A death has its own form.",
        icon="donor",
        grave=True,
    ),
    model=ChangeDonor,
    names=("status",),
    needed=("status",),
    use_case=service.change_donor,
    after=lambda at, body, _answer: Done(f"/donors/{at.code}", f"Recorded: {words(body.status).lower()}."),
).on(router)

ActPage(
    address="/donors/{code}/consent",
    reads=about_donor(Permission.CONSENT_RECORD),
    form=lambda at: ActForm(
        title="Record a consent",
        submit="Record the consent",
        lead="A scan of the signed form is kept under the donor's own key; the paper stays where your papers are.",
        attach={"donor": at.code, "site": at.read.clinic_site},
        icon="pen",
        draft=True,
        values={"kind": "banking", "given_at": f"{now().astimezone(at.zone):%Y-%m-%dT%H:%M}"},
    ),
    labels=CONSENT_LABELS,
    model=GiveConsent,
    names=CONSENT,
    scans={"witnessed_by": (Prefix.BADGE,)},
    use_case=consents.give_consent,
    after=lambda at, body, _answer: Done(f"/donors/{at.code}", f"Consent recorded: {words(body.kind).lower()}."),
).on(router)


def _allergies(session: Session, actor: Actor, asked: Asked) -> AllergyList:
    about_donor(Permission.CONSENT_RECORD)(session, actor, asked)
    return list_allergies(session, actor, asked.code)


def _draw_allergies(at: Opened[AllergyList]) -> ActForm:
    known = ", ".join(words(one.substance).lower() for one in at.read.items) or "none recorded"
    return ActForm(
        title="Record an allergy",
        submit="Record it",
        icon="pen",
        lead=f"To what processing may leave in the cells. Now on record: {known}.",
        options={"stands": [("true", "Has this allergy"), ("false", "Does not have it")]},
    )


ActPage(
    address="/donors/{code}/allergies",
    reads=_allergies,
    form=_draw_allergies,
    labels={"substance": "To what", "stands": "The person"},
    model=RecordAllergy,
    names=("substance", "stands"),
    use_case=record_allergy,
    after=lambda at, body, _answer: Done(f"/donors/{at.code}", f"Recorded: {words(body.substance).lower()}."),
).on(router)


def _consent(session: Session, actor: Actor, asked: Asked) -> ConsentPublic:
    donor = about_donor(Permission.CONSENT_RECORD)(session, actor, asked)
    found = next((one for one in donor.consents if one.id == asked.path["consent"]), None)
    if found is None:
        raise NotFound(f"{asked.code} has no such consent.", subject=asked.code)
    return found


ActPage(
    address="/donors/{code}/consents/{consent}/revoke",
    reads=_consent,
    form=lambda at: ActForm(
        title="Revoke a consent",
        submit="Revoke it",
        lead=f"{words(at.read.kind)}, form {at.read.form_version}. The donor takes it back; it counts at once.",
        icon="octagon",
        grave=True,
    ),
    model=RevokeConsent,
    use_case=consents.revoke_consent,
    after=lambda at, _body, answer: Done(f"/donors/{at.code}", f"Revoked: {words(answer['kind']).lower()}.", kind="care"),
).on(router)
