"""The forms of a visit: identification by two people from logins of their own, and the wristband that stands for it.

No draft of these forms is kept, and a refused one comes back without what the patient said: the page may stay open in a room.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import ValidationError
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors import banding, identifying, queries
from biobank.donors.identification import CheckWhatWasTyped, IdentificationOver
from biobank.donors.schemas import BandPublic, DonorPublic
from biobank.donors.visit_schemas import Identify, IssueWristband, Stated, VoidWristband
from biobank.donors.visits import Waiting, bandable_identification, waiting_identifications
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.posted import Form
from biobank.pages.ui.typed_times import WHICH, day_typed

router = APIRouter(include_in_schema=False)

LABELS = {"kit": "Collection kit, for a harvest (scan it)", "document_kind": "Document that you saw"}
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


Half = tuple[DonorPublic, Waiting | None]
OVER = "This identification was completed, failed or is too old. Start a new one."


def _read_half(session: Session, actor: Actor, asked: Asked) -> Half:
    donor = queries.describe_donor(session, actor, asked.code)
    pending = asked.form.get("pending")
    first = next((one for one in waiting_identifications(session, actor, asked.code) if str(one.id) == pending), None)
    actor.require(Permission.DONOR_IDENTIFY, at=donor.clinic_site if first is None else first.site, subject=asked.code)
    return donor, first


def _draw_identify(at: Opened[Half]) -> ActForm:
    _donor, first = at.read
    if "pending" in at.form and first is None and at.refusal is None:
        raise IdentificationOver(OVER, subject=at.code)
    about = fields_of(Identify, "purpose", "kit", "document_kind", values=at.filled(), labels=LABELS)
    if first is None:
        title, lead, hidden = "Identify", OPENLY + " Two different things at least; a colleague asks again afterwards.", {}
        fields, kinds = about[:2], tuple(IDENTIFIERS)
    else:
        title = "Identify as the second person"
        asked = ", ".join(words(kind).lower() for kind in first.kinds)
        lead = f"{OPENLY} Your colleague {first.first_by} asked for: {asked}. What was answered is not shown to you."
        fields, hidden, kinds = [], {"pending": str(first.id)}, tuple(first.kinds)
    submit = "Record what was stated"
    if isinstance(at.refusal, CheckWhatWasTyped) or "checked" in at.form:
        hidden, submit = hidden | {"checked": "yes"}, "Checked: record what the patient says"
    return ActForm(
        title=title,
        lead=lead,
        submit=submit,
        icon="person-check",
        fields=[*fields, *(field for kind in kinds for field in IDENTIFIERS[kind]), about[2]],
        hidden=hidden,
    )


def _half(at: Acting[Half]) -> dict[str, Any]:
    _donor, first = at.read
    stated = {"stated": _stated(at.form), "checked": "checked" in at.form}
    if first is not None:
        # What the first person chose is theirs to say; the second's form only names it.
        return stated | {"pending": first.id, "purpose": first.purpose, "kit": first.kit, "site": first.site}
    if "pending" in at.form:
        raise IdentificationOver(OVER, subject=at.code)
    return stated


def _identified(at: Opened[Half], body: Identify, answer: Mapping[str, Any]) -> Done:
    if answer["state"] == "pending":
        text = "A colleague opens this donor from a login of their own within 15 minutes and asks the patient again."
        return Done(f"/donors/{at.code}", "The first half is recorded.", text)
    if body.purpose == "wristband":
        return Done(f"/donors/{at.code}/band", "Identified by two people.", "Now put the wristband on.")
    if body.kit is not None:
        text = f"{body.kit} is bound to {at.code} and to nobody else."
        return Done(f"/harvests/new?kit={body.kit}", "Identified by two people.", text)
    return Done(f"/donors/{at.code}", "Identified by two people.", "Valid for this visit.")


# The first half, or the other person's. A mismatch stops everything and says so.
ActPage(
    address="/donors/{code}/identify",
    asks=("pending", "purpose", "kit"),
    keeps=("pending", "purpose", "kit", "document_kind", "checked"),
    reads=_read_half,
    form=_draw_identify,
    labels=LABELS,
    model=Identify,
    names=("purpose", "kit", "document_kind"),
    more=("comment",),
    scans={"kit": (Prefix.KIT,)},
    given=_half,
    use_case=identifying.identify,
    after=_identified,
).on(router)


def _stated(form: Form) -> dict[str, Any]:
    """Return what the patient said, by kind; kinds of which nothing was typed are left out."""
    stated: dict[str, Any] = {}
    if "family_name" in form:
        given = {"given_names": form["given_names"]} if "given_names" in form else {}
        stated["name"] = {"family_name": form["family_name"]} | given
    if "date_of_birth" in form:
        try:
            stated["date_of_birth"] = day_typed(form["date_of_birth"], form.get(f"{WHICH}date_of_birth")).isoformat()
        except ValueError as error:
            raise FormFault({"date_of_birth": f"Date of birth: {error}"}) from None
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


Band = tuple[BandPublic | None, UUID | None]


def _read_band(session: Session, actor: Actor, asked: Asked) -> Band:
    """The band in force, and the identification after which one may be issued."""
    donor = queries.describe_donor(session, actor, asked.code)
    identification, band = bandable_identification(session, actor, asked.code), donor.wristband
    if identification is None:
        at = donor.clinic_site if band is None else band.site
        actor.require(Permission.DONOR_IDENTIFY, at=at, subject=asked.code)
    return band, identification


def _draw_band(at: Opened[Band]) -> ActForm:
    band, identification = at.read
    if identification is not None:
        replaced = "" if band is None else f" {band.wristband} is void from then on."
        return ActForm(
            title="Put a wristband on",
            submit="Issue the wristband",
            icon="person-check",
            lead="Two people identified this patient for a wristband. Issue it, print its label, and put it on now." + replaced,
            fields=[],
            more=[],
            hidden={"identification": str(identification)},
        )
    if band is None:
        return ActForm(
            title="Put a wristband on",
            submit="Identify for a wristband",
            icon="person-check",
            lead="Two people identify the patient first. Start with your half.",
            fields=[],
            more=[],
        )
    return ActForm(
        title="Take the wristband off",
        submit="Void it",
        icon="person-check",
        grave=True,
        lead=f"{band.wristband} is in force. Once void it opens no bedside check.",
        more=[],
    )


async def _change_band(at: Acting[Band]) -> Done:
    """Issue a band after the identification in the form, void the one in force, or go and identify."""
    band, _identification = at.read
    if "identification" in at.form:
        made = await at.performing(banding.issue_wristband, at.parse(IssueWristband, "identification"))
        text = "Print its label below, put it on, then scan it back."
        return Done(f"/labels/{made['wristband']}", f"{made['wristband']} is in force.", text)
    if "reason" not in at.form and band is None:
        return Done(f"/donors/{at.code}/identify?purpose=wristband", "Identify first.", kind="note")
    if band is None:
        raise NoBandInForce("This donor wears no wristband that is in force.", subject=at.code)
    await at.performing(banding.void_wristband, band.wristband, at.parse(VoidWristband, "reason"))
    return Done(f"/donors/{at.code}", f"{band.wristband} is void.", "Cut it off and destroy it.")


ActPage(
    address="/donors/{code}/band", reads=_read_band, form=_draw_band, model=VoidWristband, names=("reason",), acts=_change_band
).on(router)
