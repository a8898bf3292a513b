"""The forms of a visit: identification by two people from logins of their own, and the wristband that stands for it.

No draft of these forms is kept, and a refused one comes back without what the patient said: the page may stay open in a room.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.donors import banding, identifying, queries
from biobank.donors.identification import IdentificationOver
from biobank.donors.schemas import DonorPublic
from biobank.donors.visit_schemas import Identify, IssueWristband, Stated, VoidWristband
from biobank.donors.visits import Waiting, bandable_identification, waiting_identifications
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again

router = APIRouter(include_in_schema=False)

DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
BandCode = Annotated[str, Path(pattern=r"^WB-[0-9A-Z]{7}$")]
Pending = Annotated[UUID | None, Query()]

IDENTIFIERS = {
    "name": (Field("family_name", "Family name, as the patient says it", "text"), Field("given_names", "Given names", "text")),
    "date_of_birth": (Field("date_of_birth", "Date of birth, as the patient says it", "date"),),
    "external_id": (
        Field("issuer", "Hospital or office that gave the number", "text", hint="As in the record, such as CITY-HOSPITAL."),
        Field("value", "The patient's number there", "text"),
    ),
}
"""The inputs of each kind of identifier."""

OPENLY = "Ask openly: “What is your name? When were you born?” Never “Are you …?”. Type what the patient says."


class NoBandInForce(Conflict):
    """There is no wristband to void."""

    code = "no_band_in_force"
    title = "No wristband in force"


def trail_of(code: str, title: str) -> list[tuple[str, str | None]]:
    """Return the breadcrumb of a form about a donor."""
    return [("Donors", "/donors"), (code, f"/donors/{code}"), (title, None)]


@router.get("/donors/{code}/identify")
async def show_identify(
    request: Request,
    code: DonorCode,
    reading: PageReading,
    pending: Pending = None,
    purpose: Annotated[str, Query(pattern="^[a-z]*$", max_length=20)] = "",
    kit: Annotated[str, Query(pattern="^[A-Z0-9-]*$", max_length=20)] = "",
) -> Response:
    """Draw one person's half."""
    return await _draw_identify(request, reading, code, pending, typed={"purpose": purpose, "kit": kit})


async def _draw_identify(
    request: Request, reading: PageReading, code: str, pending: UUID | None, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    def query(session: Session, actor: Actor) -> tuple[DonorPublic, Waiting | None]:
        donor = queries.describe_donor(session, actor, code)
        actor.require(Permission.DONOR_IDENTIFY, at=ANYWHERE)
        found = [one for one in waiting_identifications(session, actor, code) if one.id == pending]
        return donor, found[0] if found else None

    _donor, first = await reading.agreeing(query)
    if pending is not None and first is None and refusal is None:
        raise IdentificationOver("This identification was completed, failed or is too old. Start a new one.", subject=code)
    kept = {name: (typed or {}).get(name) for name in ("purpose", "kit", "document_kind")}
    if first is None:
        title, lead, hidden = "Identify", OPENLY + " Two different things at least; a colleague asks again afterwards.", {}
        fields = fields_of(Identify, "purpose", "kit", values=kept, labels={"kit": "Collection kit, for a harvest (scan it)"})
        stated = [field for kind in IDENTIFIERS.values() for field in kind]
    else:
        title = "Identify as the second person"
        asked = ", ".join(words(kind).lower() for kind in first.kinds)
        lead = f"{OPENLY} Your colleague {first.first_by} asked for: {asked}. What was answered is not shown to you."
        fields, hidden = [], {"pending": str(first.id)}
        stated = [field for kind in first.kinds for field in IDENTIFIERS[kind]]
    document = fields_of(Identify, "document_kind", values=kept, labels={"document_kind": "Document that you saw"})
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead=lead,
        back=f"/donors/{code}",
        trail=trail_of(code, title),
        fields=[*fields, *stated, *document],
        more=fields_of(Identify, "comment"),
        hidden=hidden,
        submit="Record what was stated",
        icon="person-check",
    )


@router.post("/donors/{code}/identify")
async def identify(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record the first half, or complete the other person's. A mismatch stops everything and says so."""
    form = performing.form
    pending = _uuid(form.get("pending"))

    async def act() -> Response:
        def find(session: Session, actor: Actor) -> Waiting | None:
            return next((one for one in waiting_identifications(session, actor, code) if one.id == pending), None)

        given: dict[str, Any] = {"stated": _stated(form)}
        first = None if pending is None else await reading(find)
        names = ["purpose", "document_kind", "comment"]
        if first is not None:
            # What the first person chose is theirs to say; the second's form only names it.
            given |= {"pending": pending, "purpose": first.purpose, "kit": first.kit, "site": first.site}
            names.remove("purpose")
        elif pending is not None:
            raise IdentificationOver("This identification was completed, failed or is too old. Start a new one.", subject=code)
        elif "kit" in form:
            given["kit"] = scanned_code(form, "kit", performing.bank.settings, Prefix.KIT)
        body = parse(Identify, form, request.state.zone, *names, **given)
        answer = await performing(identifying.identify, code, body)
        if answer["state"] == "pending":
            text = "A colleague opens this donor from a login of their own within 15 minutes and asks the patient again."
            return await performing.done(f"/donors/{code}", "The first half is recorded.", text)
        if body.purpose == "wristband":
            return await performing.done(f"/donors/{code}/band", "Identified by two people.", "Now put the wristband on.")
        if body.kit is not None:
            text = f"{body.kit} is bound to {code} and to nobody else."
            return await performing.done(f"/harvests/new?kit={body.kit}", "Identified by two people.", text)
        return await performing.done(f"/donors/{code}", "Identified by two people.", "Valid for this visit.")

    return await or_again(act(), lambda refusal: _draw_identify(request, reading, code, pending, refusal, form))


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise FormFault({"": "Open this identification again from the donor's page."}) from None


def _stated(form: Form) -> dict[str, Any]:
    """Return what the patient said, by kind; kinds of which nothing was typed are left out."""
    stated: dict[str, Any] = {}
    if "family_name" in form:
        given = {"given_names": form["given_names"]} if "given_names" in form else {}
        stated["name"] = {"family_name": form["family_name"]} | given
    if "date_of_birth" in form:
        stated["date_of_birth"] = form["date_of_birth"]
    if "issuer" in form or "value" in form:
        stated["external_id"] = {"issuer": form.get("issuer", "").upper(), "value": form.get("value", "")}
    if len(stated) < 2:
        raise FormFault({"": "Enter two different things that the patient said: name, date of birth, or a number."})
    try:
        Stated.model_validate(stated)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise FormFault({str(one["loc"][-1]): f"{one['msg'].removeprefix('Value error, ')}." for one in faults}) from None
    return stated


@router.get("/donors/{code}/band")
async def show_band(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw the form that issues a band, or the one that takes the band in force away."""
    return await _draw_band(request, reading, code)


async def _draw_band(request: Request, reading: PageReading, code: str, refusal: Refusal | None = None) -> Response:
    def query(session: Session, actor: Actor) -> tuple[DonorPublic, UUID | None]:
        actor.require(Permission.DONOR_IDENTIFY, at=ANYWHERE)
        return queries.describe_donor(session, actor, code), bandable_identification(session, actor, code)

    donor, identification = await reading.agreeing(query)
    if identification is not None:
        title, submit, fields = "Put a wristband on", "Issue the wristband", []
        lead = "Two people identified this patient for a wristband. Issue it, print its label, and put it on now."
        if donor.wristband is not None:
            lead += f" {donor.wristband.wristband} is void from then on."
    elif donor.wristband is not None:
        title, submit, fields = "Take the wristband off", "Void it", fields_of(VoidWristband, "reason")
        lead = f"{donor.wristband.wristband} is in force. Once void it opens no bedside check."
    else:
        title, submit, fields = "Put a wristband on", "Identify for a wristband", []
        lead = "Two people identify the patient first. Start with your half."
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead=lead,
        back=f"/donors/{code}",
        trail=trail_of(code, title),
        fields=fields,
        submit=submit,
        icon="person-check",
        grave=bool(fields),
        hidden={"identification": str(identification)} if identification else {},
    )


@router.post("/donors/{code}/band")
async def change_band(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Issue a band after the identification in the form, void the one in force, or go and identify."""
    form = performing.form

    async def act() -> Response:
        if "identification" in form:
            body = parse(IssueWristband, form, request.state.zone, "identification")
            made = await performing(banding.issue_wristband, body)
            text = "Print its label below, put it on, then scan it back."
            return await performing.done(f"/labels/{made['wristband']}", f"{made['wristband']} is in force.", text)
        donor = await reading(queries.describe_donor, code)
        if "reason" not in form and donor.wristband is None:
            return await performing.done(f"/donors/{code}/identify?purpose=wristband", "Identify first.", kind="note")
        if donor.wristband is None:
            raise NoBandInForce("This donor wears no wristband that is in force.", subject=code)
        voided = parse(VoidWristband, form, request.state.zone, "reason", *CIRCUMSTANCES)
        await performing(banding.void_wristband, donor.wristband.wristband, voided)
        return await performing.done(f"/donors/{code}", f"{donor.wristband.wristband} is void.", "Cut it off and destroy it.")

    return await or_again(act(), lambda refusal: _draw_band(request, reading, code, refusal))
