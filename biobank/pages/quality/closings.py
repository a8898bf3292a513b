"""A bank that closes, as pages: the list, one with its set and what stands in its way, and the form of each step."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.terms import words
from biobank.pages.people.site_choices import Choices, only, sites_for
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.filters import day_and_time, when
from biobank.pages.ui.listing import Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality import closing
from biobank.quality.closing import (
    SHOWN,
    AcceptClosing,
    AnnounceClosing,
    CarryOutClosing,
    ClosingDetail,
    ClosingList,
    ClosingPublic,
    WithdrawClosing,
)

router = APIRouter(include_in_schema=False)

UNITS = [
    Column("specimen", "Specimen", "code"),
    Column("donor", "Donor", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
]
BLOCKED = [Column("specimen", "Specimen", "code"), Column("why", "Why it may not leave")]


def read_closings(session: Session, actor: Actor, asked: Wanted) -> ClosingList:
    """Read one page of the closings."""
    return closing.list_closings(session, actor, paging=asked.paging)


def row_of(one: ClosingPublic) -> dict[str, Any]:
    """Return the cells of one closing."""
    return one.model_dump() | {"href": f"/closings/{one.id}"}


Listing(
    address="/closings",
    title="Closing a bank",
    lead="Another bank takes over everything that one keeps: announced, accepted, handed over by two of quality.",
    key="id",
    columns=[
        Column("site", "Bank", "plain_code", sort="site"),
        Column("to", "Goes to", "plain_code"),
        Column("units", "Specimens", "number"),
        Column("step", "Step", "words"),
        Column("announced_at", "Announced", "when", sort="announced_at"),
        Column("announced_by", "By", "plain_code"),
    ],
    read=read_closings,
    row=row_of,
    default="-announced_at",
    links=[Link("Announce a closing", "/closings/new", "pen", Permission.QUALITY_DECIDE)],
    empty="No bank closes",
    hint="Quality announces it; the time to think it over runs from then on.",
).on(router)


def _draw_new(at: Opened[Choices]) -> ActForm:
    return ActForm(
        title="Announce a closing",
        subject="Closing",
        submit="Sign and announce",
        icon="pen",
        grave=True,
        lead="Everything that the bank keeps is named now, and goes to the other bank as one set when it has accepted it.",
        values=at.filled(site=only(at.read)),
        options={"site": at.read},
        statement="You announce that everything this bank keeps goes to another one.",
        said="The bank closes, and the other bank is to take everything over.",
        back="/closings",
        trail=[("Closing a bank", "/closings"), ("Announce", None)],
    )


ActPage(
    address="/closings/new",
    reads=sites_for(Permission.QUALITY_DECIDE),
    form=_draw_new,
    labels={"site": "The bank that closes", "to": "Code of the other establishment"},
    model=AnnounceClosing,
    names=("site", "to"),
    meaning=Meaning.DECIDED,
    use_case=closing.announce_closing,
    args=lambda _at: (),
    after=lambda _at, _body, answer: Done(f"/closings/{answer['id']}", "Announced.", f"{answer['units']} specimens are named."),
).on(router)


def _read(session: Session, actor: Actor, asked: Asked) -> ClosingDetail:
    one = closing.read_closing(session, actor, asked.path["closing"])
    actor.require(Permission.QUALITY_DECIDE, at=one.site, subject=one.site)
    return one


def _form(at: Opened[ClosingDetail], title: str, lead: str, statement: str, said: str, *, submit: str) -> ActForm:
    return ActForm(
        title=title,
        subject=at.read.site,
        submit=submit,
        icon="pen",
        grave=True,
        lead=lead,
        attach={"site": at.read.site},
        statement=statement,
        said=said,
        back=f"/closings/{at.read.id}",
        trail=[("Closing a bank", "/closings"), (at.read.site, f"/closings/{at.read.id}"), (title, None)],
    )


def _draw_acceptance(at: Opened[ClosingDetail]) -> ActForm:
    one = at.read
    return _form(
        at,
        "Record the acceptance",
        f"{one.to} signs that it takes over {one.units} specimens. The digest of their list begins with {one.units_sha256[:16]}.",
        f"You record that {one.to} accepted everything that {one.site} keeps.",
        "I have read what the other bank signed, and it names this set.",
        submit="Sign and record",
    )


def _draw_transfer(at: Opened[ClosingDetail]) -> ActForm:
    one = at.read
    first = "You propose it and sign; a second person of quality signs, and then every record here is closed."
    wait = f"It may be carried out from {day_and_time(one.not_before, at.request.state.zone)} on."
    against = f"{one.blocked_units} may not leave now: the page of the closing lists them." if one.blocked_units else ""
    return _form(
        at,
        "Hand everything over",
        " ".join(filter(None, (first, wait, against))),
        f"You propose that {one.units} specimens of {one.site} are handed over to {one.to}.",
        "I have read the other bank's receipt.",
        submit="Sign and propose",
    )


CLOSING = {"closing": UUID}
for part, draw, model, names, labels, use_case, after in (
    (
        "acceptance",
        _draw_acceptance,
        AcceptClosing,
        ("evidence",),
        {"evidence": "What the other bank signed"},
        closing.accept_closing,
        lambda at, _body, _answer: Done(f"/closings/{at.read.id}", "Recorded.", "It may be handed over when the wait is past."),
    ),
    (
        "transfer",
        _draw_transfer,
        CarryOutClosing,
        ("receipt",),
        {"receipt": "Its receipt"},
        closing.carry_out_closing,
        lambda at, _body, _answer: proposed(f"/closings/{at.read.id}"),
    ),
):
    ActPage(
        address=f"/closings/{{closing}}/{part}",
        params=CLOSING,
        reads=_read,
        form=draw,
        labels=labels,
        model=model,
        names=names,
        meaning=Meaning.DECIDED,
        use_case=use_case,
        after=after,
    ).on(router)

ActPage(
    address="/closings/{closing}/withdraw",
    params=CLOSING,
    reads=_read,
    form=lambda at: ActForm(
        title="Take the closing back",
        subject=at.read.site,
        submit="The bank stays",
        icon="return",
        back=f"/closings/{at.read.id}",
        trail=[("Closing a bank", "/closings"), (at.read.site, f"/closings/{at.read.id}"), ("Take it back", None)],
    ),
    model=WithdrawClosing,
    names=("reason",),
    use_case=closing.withdraw_closing,
    after=lambda at, _body, _answer: Done(f"/closings/{at.read.id}", "Taken back.", "The bank keeps what it has."),
).on(router)


def acts_on(actor: Actor, one: ClosingDetail) -> list[ActionLink]:
    """Return what this reader may do about a closing that is not over."""
    if one.over_at is not None or not actor.may(Permission.QUALITY_DECIDE, at=one.site):
        return []
    here = f"/closings/{one.id}"
    steps = {
        "announced": ActionLink("Record the acceptance", f"{here}/acceptance", "pen", weight="main"),
        "accepted": ActionLink("Hand everything over (two people)", f"{here}/transfer", "truck", weight="grave"),
    }
    return [steps[one.step], ActionLink("Take the closing back", f"{here}/withdraw", "return")]


@router.get("/closings/{closing}")
async def show_closing(request: Request, closing: UUID, reading: PageReading) -> Response:
    """Draw a closing: how far it is, its set by material, what stands in its way."""
    one: ClosingDetail = await reading(_detail, closing)
    zone = request.state.zone
    facts: list[tuple[str, Any]] = [
        ("Goes to", one.to),
        ("Step", words(one.step)),
        ("Specimens named", one.units),
        *((words(name), count) for name, count in sorted(one.materials.items())),
        ("Digest of their list", one.units_sha256),
        ("Announced", when(one.announced_at, zone)),
        ("By", one.announced_by),
        ("May be carried out from", when(one.not_before, zone)),
        ("Accepted", None if one.accepted_at is None else when(one.accepted_at, zone)),
        ("Over", None if one.over_at is None else when(one.over_at, zone)),
        ("May not leave now", one.blocked_units),
        ("Kept there and not named", ", ".join(one.not_announced) or None),
    ]
    return render(
        request,
        "dossier.html",
        kind="Closing",
        code=one.site,
        trail=[("Closing a bank", "/closings"), (one.site, None)],
        facts=facts,
        acts=acts_on(request.state.actor, one),
        tables=[
            ("May not leave now", BLOCKED, [unit.model_dump() for unit in one.blocked], "Nothing", "Nothing stands in its way."),
            (f"Specimens (the first {SHOWN})", UNITS, [unit.model_dump() for unit in one.shown], "No specimens", ""),
        ],
    )


def _detail(session: Session, actor: Actor, identity: UUID) -> ClosingDetail:
    return closing.read_closing(session, actor, identity)
