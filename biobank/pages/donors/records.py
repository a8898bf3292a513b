"""Forms about a donor's record: change who it is, say what became of them, give and revoke consents."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors import consents, queries, service
from biobank.donors.schemas import ChangeDonor, Contact, DonorPublic, GiveConsent, RevokeConsent
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.donors.visits import trail_of
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again

router = APIRouter(include_in_schema=False)

DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
IDENTITY = ("family_name", "given_names", "date_of_birth", "sex")
CONTACT = ("phone", "email", "address")
CONSENT = ("kind", "form_version", "document_sha256", "given_at", "witnessed_by", "tissues", "valid_until")
SPECIAL = ("on_death", "at_end_of_term", "representative")


async def _donor(request: Request, reading: PageReading, code: str, permission: Permission) -> DonorPublic:
    donor = await reading(queries.describe_donor, code)
    actor: Actor = request.state.actor
    actor.require(permission, at=donor.clinic_site)
    return donor


@router.get("/donors/{code}/change")
async def show_change(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw the form that changes name, birth date or contact. What is recorded now is not in it."""
    return await _draw_change(request, reading, code)


async def _draw_change(request: Request, reading: PageReading, code: str, refusal: Refusal | None = None) -> Response:
    await _donor(request, reading, code, Permission.DONOR_REGISTER)
    identity = [
        Field("date_of_birth", "Date of birth", "date") if f.name == "date_of_birth" else f
        for f in fields_of(ChangeDonor, *IDENTITY)
    ]
    return act_page(
        request,
        refusal,
        title="Change the record",
        subject=code,
        lead="Fill in only what is new; everything left empty stays as it is. The former name stays searchable.",
        back=f"/donors/{code}",
        trail=trail_of(code, "Change the record"),
        fields=[
            *identity,
            *fields_of(ChangeDonor, "reason", labels={"reason": "Why the identity changes"}),
            *fields_of(Contact, *CONTACT),
            Field("no_contact", "Delete the contact details", "checkbox", hint="Instead of new ones."),
        ],
        more=fields_of(ChangeDonor, *CIRCUMSTANCES),
        submit="Change the record",
        icon="pen",
    )


@router.post("/donors/{code}/change")
async def change(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Change it; warn of donors they could now be taken for. A refused form comes back empty: the page may stay open."""
    form = performing.form

    async def act() -> Response:
        given: dict[str, Any] = {}
        if any(name in form for name in CONTACT):
            given["contact"] = parse(Contact, form, request.state.zone, *CONTACT)
        elif "no_contact" in form:
            given["contact"] = None
        if not given and not any(name in form for name in IDENTITY):
            raise FormFault({"": "Fill in what is new."})
        body = parse(ChangeDonor, form, request.state.zone, *IDENTITY, "reason", *CIRCUMSTANCES, **given)
        answer = await performing(service.change_donor, code, body)
        alike = ", ".join(one["donor"] for one in answer.get("look_alikes", []))
        if alike:
            return await performing.done(f"/donors/{code}", "Changed. Look-alikes exist.", f"Compare with {alike}.", "care")
        return await performing.done(f"/donors/{code}", "The record is changed.")

    return await or_again(act(), lambda refusal: _draw_change(request, reading, code, refusal))


@router.get("/donors/{code}/status")
async def show_status(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw the form that says what became of a donor."""
    return await _draw_status(request, reading, code)


async def _draw_status(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    donor = await _donor(request, reading, code, Permission.DONOR_REGISTER)
    return act_page(
        request,
        refusal,
        title="Change the status",
        subject=code,
        lead=f"Now {words(donor.status).lower()}. A death stops every use at once; what was consented to for that case follows.",
        back=f"/donors/{code}",
        trail=trail_of(code, "Change the status"),
        fields=fields_of(ChangeDonor, "status", values=typed, needed=("status",)),
        more=fields_of(ChangeDonor, *CIRCUMSTANCES, values=typed),
        submit="Change the status",
        icon="donor",
        grave=True,
    )


@router.post("/donors/{code}/status")
async def change_status(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Change it."""

    async def act() -> Response:
        if "status" not in performing.form:
            raise FormFault({"status": "Status: is needed."})
        body = parse(ChangeDonor, performing.form, request.state.zone, "status", *CIRCUMSTANCES)
        await performing(service.change_donor, code, body)
        return await performing.done(f"/donors/{code}", f"Recorded: {words(body.status).lower()}.")

    return await or_again(act(), lambda refusal: _draw_status(request, reading, code, refusal, performing.form))


@router.get("/donors/{code}/consent")
async def show_consent(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw the form that records a consent."""
    return await _draw_consent(request, reading, code)


async def _draw_consent(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Form | None = None
) -> Response:
    await _donor(request, reading, code, Permission.CONSENT_RECORD)
    today = now().astimezone(request.state.zone)
    values: Any = typed if typed is not None else {"kind": "banking", "given_at": today.strftime("%Y-%m-%dT%H:%M")}
    labels = {
        "form_version": "Version of the form",
        "document_sha256": "SHA-256 of the signed form",
        "given_at": "Signed at",
        "witnessed_by": "Witness (scan the badge)",
        "tissues": "Tissues it covers",
        "on_death": "After death",
        "at_end_of_term": "At the end of the term",
        "representative": "Who may speak for the donor",
    }
    return act_page(
        request,
        refusal,
        title="Record a consent",
        subject=code,
        lead="The signed form is kept where your papers are; its hash ties it to this record.",
        back=f"/donors/{code}",
        trail=trail_of(code, "Record a consent"),
        fields=[
            *fields_of(GiveConsent, *CONSENT, values=values, labels=labels),
            *fields_of(GiveConsent, *SPECIAL, values=values, labels=labels),
        ],
        more=fields_of(GiveConsent, *CIRCUMSTANCES, values=values),
        submit="Record the consent",
        icon="pen",
        draft=True,
    )


@router.post("/donors/{code}/consent")
async def give(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record it."""
    form = performing.form

    async def act() -> Response:
        given: dict[str, Any] = {}
        if "witnessed_by" in form:
            given["witnessed_by"] = scanned_code(form, "witnessed_by", performing.bank.settings, Prefix.BADGE)
        names = [name for name in CONSENT if name != "witnessed_by"]
        body = parse(GiveConsent, form, request.state.zone, *names, *SPECIAL, *CIRCUMSTANCES, **given)
        await performing(consents.give_consent, code, body)
        return await performing.done(f"/donors/{code}", f"Consent recorded: {words(body.kind).lower()}.")

    return await or_again(act(), lambda refusal: _draw_consent(request, reading, code, refusal, form))


@router.get("/donors/{code}/consents/{consent}/revoke")
async def show_revoke(request: Request, code: DonorCode, consent: UUID, reading: PageReading) -> Response:
    """Draw the form that takes a consent back."""
    return await _draw_revoke(request, reading, code, consent)


async def _draw_revoke(
    request: Request, reading: PageReading, code: str, consent: UUID, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    donor = await _donor(request, reading, code, Permission.CONSENT_RECORD)
    found = next((one for one in donor.consents if one.id == consent), None)
    if found is None:
        raise NotFound(f"{code} has no such consent.", subject=code)
    return act_page(
        request,
        refusal,
        title="Revoke a consent",
        subject=code,
        lead=f"{words(found.kind)}, form {found.form_version}. The donor takes it back; it counts at once.",
        back=f"/donors/{code}",
        trail=trail_of(code, "Revoke a consent"),
        fields=[],
        more=fields_of(RevokeConsent, *CIRCUMSTANCES, values=typed),
        submit="Revoke it",
        icon="octagon",
        grave=True,
    )


@router.post("/donors/{code}/consents/{consent}/revoke")
async def revoke(request: Request, code: DonorCode, consent: UUID, performing: PagePerforming, reading: PageReading) -> Response:
    """Record that it was taken back."""

    async def act() -> Response:
        body = parse(RevokeConsent, performing.form, request.state.zone, *CIRCUMSTANCES)
        answer = await performing(consents.revoke_consent, code, consent, body)
        return await performing.done(f"/donors/{code}", f"Revoked: {words(answer['kind']).lower()}.", kind="care")

    return await or_again(act(), lambda refusal: _draw_revoke(request, reading, code, consent, refusal, performing.form))
