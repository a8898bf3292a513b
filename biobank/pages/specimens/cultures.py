"""A culture on pages: its vessels and what was seen and done, new medium, a look, vessels discarded by two."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import get_visible
from biobank.custody.states import Condition
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import words
from biobank.pages.specimens.run_forms import typed_amount
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.addresses import SpecimenCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.forms import Field, fields_of
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality.culture_schemas import CulturePublic, DiscardVessels, RecordCulture
from biobank.quality.cultures import describe, discard_vessels, record_culture
from biobank.specimens.materials import amount_text

router = APIRouter(include_in_schema=False)

LABELS = {
    "vessels": "In how many vessels",
    "medium_lots": "Lots of the new medium (scan each)",
    "incubator": "Incubator (scan it)",
    "confluence_percent": "Surface covered, in percent",
    "finding": "What you saw",
    "reason": "Why",
}
RECORDS = [
    Column("at", "When", "when"),
    Column("what", "What", "words"),
    Column("vessels", "Vessels", "number"),
    Column("finding", "Seen, or why", "words"),
    Column("confluence_percent", "Covered, %", "number"),
    Column("medium", "Medium"),
    Column("incubator", "Incubator", "code"),
    Column("by", "By", "plain_code"),
]
Read = tuple[CulturePublic, Snapshot]


def _of(session: Session, actor: Actor, code: str) -> Read:
    one = get_visible(session, actor, code)
    return describe(session, one), one


@router.get("/specimens/{code}/culture")
async def show_culture(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw a culture: how many vessels it has, what was seen and done."""
    found, one = await reading.agreeing(_of, code)
    actor, here = request.state.actor, f"/specimens/{code}/culture"
    acts: list[ActionLink] = []
    if one.projection.condition == Condition.IN_CULTURE and found.vessels:
        if actor.may(Permission.PROCESSING_RECORD, at=one.projection.site_code):
            acts.append(ActionLink("Record a look", f"{here}/look", "search", weight="main"))
            acts.append(ActionLink("Change the medium", f"{here}/medium", "drop"))
        if found.vessels > 1 and actor.may(Permission.CUSTODY_RECORD, at=one.projection.site_code):
            acts.append(ActionLink("Discard some vessels", f"{here}/discard", "bin", weight="grave"))
    facts = [
        ("Specimen", code_markup(code)),
        ("Passage", one.passage),
        ("Vessels now", found.vessels if found.vessels is not None else "Not counted"),
        ("Begun with", found.begun_with),
        ("Cells", amount_text(one.projection.amount, one.unit)),
    ]
    rows = [one_row.model_dump() | {"medium": ", ".join(one_row.medium_lots)} for one_row in found.items]
    return render(
        request,
        "dossier.html",
        kind="Culture",
        code=code,
        facts=[(label, value) for label, value in facts if value is not None],
        tables=[("What was seen and done, newest first", RECORDS, rows, "Nothing yet", "Record each look and each new medium.")],
        acts=acts,
        trail=[("Specimens", "/specimens"), (code, f"/specimens/{code}"), ("Culture", None)],
    )


def _read(session: Session, actor: Actor, asked: Asked) -> Read:
    actor.require(Permission.PROCESSING_RECORD, at=get_visible(session, actor, asked.code).sites)
    return _of(session, actor, asked.code)


def _read_to_discard(session: Session, actor: Actor, asked: Asked) -> Read:
    actor.require(Permission.CUSTODY_RECORD, at=get_visible(session, actor, asked.code).sites)
    return _of(session, actor, asked.code)


def _trail(at: Opened[Read], title: str) -> dict[str, Any]:
    here = f"/specimens/{at.code}"
    trail: list[tuple[str, str | None]] = [
        ("Specimens", "/specimens"),
        (at.code, here),
        ("Culture", f"{here}/culture"),
        (title, None),
    ]
    return {"back": f"{here}/culture", "trail": trail, "hidden": {"expected_seq": str(at.read[1].seq)}}


def _recorded(at: Opened[Read], body: RecordCulture, answer: Mapping[str, Any]) -> Done:
    here = f"/specimens/{at.code}/culture"
    if answer["held"]:
        text = f"On hold now: {', '.join(answer['held'])}."
        return Done(here, f"Recorded: {words(body.finding).lower()}.", text, "care")
    return Done(here, "Recorded.")


ActPage(
    address="/specimens/{code}/culture/look",
    reads=_read,
    form=lambda at: ActForm(
        title="Record a look",
        lead=f"{at.read[0].vessels or 0} vessels. A contamination holds the lot and what shares its run, medium or incubator.",
        **_trail(at, "Record a look"),
    ),
    labels=LABELS,
    model=RecordCulture,
    names=("vessels", "finding", "confluence_percent", "incubator"),
    needed=("finding",),
    scans={"incubator": (Prefix.EQUIPMENT,)},
    given=lambda _at: {"what": "looked_at"},
    use_case=record_culture,
    after=_recorded,
).on(router)

ActPage(
    address="/specimens/{code}/culture/medium",
    reads=_read,
    form=lambda at: ActForm(
        title="Change the medium", lead=f"{at.read[0].vessels or 0} vessels.", **_trail(at, "Change the medium")
    ),
    labels=LABELS,
    model=RecordCulture,
    names=("vessels", "medium_lots", "incubator"),
    needed=("medium_lots",),
    scans={"medium_lots": (Prefix.REAGENT_LOT,), "incubator": (Prefix.EQUIPMENT,)},
    given=lambda _at: {"what": "medium_changed"},
    use_case=record_culture,
    after=_recorded,
).on(router)


def _draw_discard(at: Opened[Read]) -> ActForm:
    found, one = at.read
    hint = f"Of {amount_text(one.projection.amount, one.unit)}, as far as it is known. Cells as 2.4 M or 2.4e6."
    return ActForm(
        title="Discard some vessels",
        submit="Sign and propose",
        grave=True,
        lead=f"{found.vessels or 0} vessels. What is spoilt goes before a witness, who signs too; what is surplus with quality.",
        fields=fields_of(
            DiscardVessels, "vessels", "reason", values=at.filled(), labels=LABELS | {"vessels": "How many vessels"}
        ),
        also=[Field("amount", "How much was in them", "text", at.form.get("amount", ""), True, hint)],
        statement=f"You propose to destroy some vessels of {at.code}.",
        said="They are to be destroyed for the reason stated.",
        **_trail(at, "Discard some vessels"),
    )


def _amount(at: Acting[Read]) -> Mapping[str, Any]:
    return {"amount": typed_amount(at.form, at.read[1].unit)}


ActPage(
    address="/specimens/{code}/culture/discard",
    reads=_read_to_discard,
    form=_draw_discard,
    labels=LABELS | {"vessels": "How many vessels", "amount": "How much was in them"},
    model=DiscardVessels,
    names=("vessels", "reason"),
    given=_amount,
    meaning=Meaning.DECIDED,
    use_case=discard_vessels,
    after=lambda at, _body, _answer: proposed(f"/specimens/{at.code}/culture"),
).on(router)
