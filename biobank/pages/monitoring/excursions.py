"""Excursions as people see them: the list, one with its donors and specimens, and assessing a group of it, signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import counted, words
from biobank.monitoring.queries import get_excursion, list_excursions, read_excursion, to_assess
from biobank.monitoring.schemas import ExcursionDetail, ExcursionList, ExcursionPublic
from biobank.pages.monitoring.said import UNITS, sentence_on_own_cold
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import ExcursionCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity_text
from biobank.pages.ui.forms import fields_of
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality.excursions import AssessRequest, assess, assessing_refusals
from biobank.storage.queries import get_container, public_containers

router = APIRouter(include_in_schema=False)

DONORS = [
    Column("donor", "Donor", "code"),
    Column("specimens", "Specimens", "number"),
    Column("to_assess", "To assess", "number"),
]
SPECIMENS = [
    Column("specimen", "Specimen", "code"),
    Column("donor", "Donor", "code"),
    Column("since", "Affected since", "when"),
    Column("state", "State", "chip"),
    Column("site", "Site", "plain_code"),
    Column("decided", "Assessed"),
]


def read_excursions(session: Session, actor: Actor, asked: Wanted) -> ExcursionList:
    """Read one page of the excursions that the address asks for."""
    return list_excursions(session, actor, container=asked.of["container"], site=asked.of["site"], paging=asked.paging)


def state_of(one: ExcursionPublic) -> str:
    """How an excursion stands, as a word."""
    if one.annulled_at is not None:
        return "annulled"
    return "open" if one.ended_at is None else "closed" if one.to_assess == 0 else "to assess"


def row_of(one: ExcursionPublic) -> Mapping[str, Any]:
    """Return the cells of one excursion."""
    said = [f"{words(each.outside).lower()}, {quantity_text(each.peak, UNITS[each.measure])}" for each in one.worst]
    what = "; ".join(said) + (", read before its limit was set" if one.by_limit else "")
    return one.model_dump() | {"what": what[:1].upper() + what[1:], "stands": state_of(one).capitalize()}


Listing(
    address="/excursions",
    title="Excursions",
    lead="When a place was outside its limits, and what was inside then.",
    columns=[
        Column("code", "Excursion", "code"),
        Column("container", "Place", "code", sort="container"),
        Column("what", "How far"),
        Column("began_at", "From", "when", sort="began_at"),
        Column("last_at", "To", "when"),
        Column("donors", "Donors", "number"),
        Column("specimens", "Specimens", "number"),
        Column("to_assess", "To assess", "number"),
        Column("stands", "State"),
        Column("ended_at", "Within limits again", "when", usual=False),
        Column("site", "Site", "plain_code", usual=False),
    ],
    read=read_excursions,
    row=row_of,
    default="-began_at",
    filters=[Filter("container", "Place", "code"), Filter("site", "Site", "code")],
    empty="No excursions",
    hint="No place was read outside its limits.",
).on(router)


@dataclass(frozen=True)
class _Seen:
    """An excursion, what the place is called, whether the reader may read it anew, and why its units are not assessed now."""

    one: ExcursionDetail
    path: str
    reads_again: bool
    refusals: list[Refusal]


def _see(session: Session, actor: Actor, code: str) -> _Seen:
    one = read_excursion(session, actor, code)
    path = " · ".join(public_containers(session, [get_container(session, actor, one.container)])[0].path)
    again = one.ended_at is None and actor.may(Permission.STORAGE_RECORD, at=one.site)
    return _Seen(
        one, path, again, assessing_refusals(session, actor, get_excursion(session, actor, code), to_assess(session, code))
    )


@router.get("/excursions/{code}")
async def show_excursion(request: Request, code: ExcursionCode, reading: PageReading) -> Response:
    """Draw one excursion: when, how far, whose and which specimens, what was decided of them."""
    seen = await reading.agreeing(_see, code)
    one = seen.one
    acts = [] if seen.refusals else [ActionLink("Assess a group", f"/excursions/{code}/assess", "pen", "get", "main")]
    if seen.reads_again:
        acts.append(ActionLink("Read the place again", f"/storage/{one.container}/reading", "snow"))
    why = [] if one.to_assess == 0 else [refusal.detail for refusal in seen.refusals]
    if one.ended_at is None and one.annulled_at is None:
        why.append("It ends with the next reading within limits.")
    return render(
        request,
        "excursion.html",
        one=one,
        row=row_of(one),
        acts=acts,
        apart=sentence_on_own_cold(one.keep_their_own_cold),
        why=why,
        place=Markup("{} {}").format(seen.path, code_markup(one.container)),
        donors=[donor.model_dump() for donor in one.by_donor],
        donor_columns=DONORS,
        items=[item.model_dump() | {"decided": words(item.decision or "not yet")} for item in one.items],
        item_columns=SPECIMENS,
    )


def _opened(session: Session, actor: Actor, asked: Asked) -> _Seen:
    seen = _see(session, actor, asked.code)
    asked.opens(seen.refusals)
    return seen


def _draw(at: Opened[_Seen]) -> ActForm:
    one = at.read.one
    left = [(str(donor.donor), f"{donor.donor} · {donor.to_assess}") for donor in one.by_donor if donor.to_assess and donor.donor]
    fields = fields_of(AssessRequest, "decision", "reason", "donors", values=at.filled(), labels=LABELS, options={"donors": left})
    return ActForm(
        title="Assess a group",
        submit="Sign",
        icon="pen",
        lead=f"{at.read.path}: {row_of(one)['what'].lower()}. Left to assess: {counted(one.to_assess, 'specimen')}. "
        "Tick the donors of this group; none ticked means all.",
        fields=fields,
        hidden={"seen": at.form.get("seen") or one.seen},
        statement="You assessed what this excursion did to the specimens of this group.",
        said="I take responsibility for this decision.",
    )


LABELS = {"donors": "Donors of this group", "decision": "Decision", "reason": "Cause"}
ASSESS = ActPage(
    address="/excursions/{code}/assess",
    reads=_opened,
    form=_draw,
    model=AssessRequest,
    names=("donors", "decision", "reason"),
    labels=LABELS,
    given=lambda at: {"seen": at.form.get("seen")} | ({} if at.form.all_of("donors") else {"donors": None}),
    meaning=lambda _at, body: Meaning.REJECTED if body.decision == "rejected" else Meaning.RELEASED,
    use_case=assess,
    after=lambda at, body, done: Done(f"/excursions/{at.code}", f"{counted(done['assessed'], 'specimen')} {body.decision}."),
)
ASSESS.on(router)
