"""Acts that wait for a second person, as people see them: what was proposed, by whom, until when; sign it or take it back.

Which acts there are, the use cases declare (`acts.two_person.two_person`).
What is signed is drawn from the proposal itself, never from a form: the second person cannot sign something else by accident.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import ACTS, PendingActPublic, cancel_pending, list_pending
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.snapshots import get_visible
from biobank.foundation.errors import NotFound
from biobank.foundation.kept_files import file_members
from biobank.foundation.paging import Listed, Paging
from biobank.foundation.terms import words
from biobank.labels.reconciling import RECONCILE
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage, Shown
from biobank.pages.ui.code_pages import page_of
from biobank.pages.ui.entries import facts_of, opened, said_of
from biobank.pages.ui.listing import Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.quality import identity_changes
from biobank.quality.attachments import readable

router = APIRouter(include_in_schema=False)


UNSAID = frozenset({"seq", "set", "identity", "supersedes", "release"})
"""Members of a proposal that bind how far a record stood, or what the vault keeps: nothing that a person reads."""

READ_FIRST = {identity_changes.ACT: ("/donors/{}/proposed-identity", "Read who is on record and who was proposed")}
"""What the second person reads elsewhere before they sign, where that is recorded."""


OWN_PAGES = {"withdrawal.approve": "/withdrawals/{}/approve", RECONCILE: "/labels/batches/{}"}
"""Where the second person signs what is not drawn from the proposal alone, or finds out alone what the first one found."""


def read_waiting(session: Session, actor: Actor, asked: Wanted) -> Listed[dict[str, Any]]:
    """Read what the actor proposed and what they may complete."""
    found = list_pending(session, actor, asked.paging)
    rows = [
        one.model_dump()
        | {
            "label": Markup('<a href="/pending/{}">{}</a>').format(one.id, ACTS[one.act].label),
            "mine": "a second person" if one.is_first(actor.code) else "your signature",
        }
        for one in found.items
    ]
    return Listed[dict[str, Any]](items=rows, next=found.next, total=found.total)


Listing(
    address="/pending",
    title="Acts that wait",
    lead="What takes two people: proposed by one, completed by another.",
    key="id",
    columns=[
        Column("label", "Act"),
        Column("subject", "On", "code"),
        Column("proposed_by", "Proposed by", "plain_code"),
        Column("proposed_at", "Since", "when", sort="proposed_at"),
        Column("expires_at", "Until", "when", sort="expires_at"),
        Column("mine", "Waits for"),
    ],
    read=read_waiting,
    row=dict,
    default="proposed_at",
    empty="Nothing waits",
    hint="Roles, erasures and the undoing of an end take two signatures; the first one's proposal appears here.",
).on(router)


def find_pending(session: Session, actor: Actor, pending: UUID) -> tuple[PendingActPublic, int | None]:
    """Return an act that waits and, for a specimen's, how far its record stands; raise NotFound when nothing waits."""
    after: str | None = None
    while True:
        page = list_pending(session, actor, Paging(after, 500))
        for one in page.items:
            if one.id == pending:
                return one, get_visible(session, actor, one.subject).seq if ACTS[one.act].needs_seq else None
        if page.next is None:
            raise NotFound("This does not wait for you any more. It was completed, taken back, or left for more than a day.")
        after = page.next


Read = tuple[PendingActPublic, int | None, Collection[str]]
"""What waits, how far its record stands, and which of its files the reader may open."""


def _reads(session: Session, actor: Actor, asked: Asked) -> Read:
    one, seq = find_pending(session, actor, asked.path["pending"])
    named = [one.body[name] for name in file_members(ACTS[one.act].model) if one.body.get(name) is not None]
    return one, seq, readable(session, actor, named)


def _draw(at: Opened[Read]) -> Shown:
    one, seq, seen = at.read
    if one.act in OWN_PAGES and not one.is_first(at.actor.code):
        return RedirectResponse(OWN_PAGES[one.act].format(one.subject), 303)
    known = ACTS[one.act]
    body = {name: value for name, value in one.body.items() if name not in UNSAID and value is not None}
    if "roles" in body:
        held = (role.partition("@") for role in body["roles"])
        body["roles"] = ", ".join(f"{words(role).lower()} {_where(site)}" for role, _, site in held)
    files = {name: body.pop(name) for name in file_members(known.model) if name in body}
    proposal = said_of(body, whole=True)
    return OwnPage(
        "pending_act.html",
        one=one,
        label=ACTS[one.act].label,
        subject_href=page_of(one.subject),
        facts=[
            *facts_of(body, whole=True),
            *opened(files, seen),
            *_needs(one),
        ],
        read_first=READ_FIRST.get(one.act),
        mine=one.is_first(at.actor.code),
        grave=known.grave,
        seq=seq,
        statement=f"{ACTS[one.act].label}: {one.subject}; {proposal}." if proposal else f"{ACTS[one.act].label}: {one.subject}.",
        meaning=(one.meaning, known.statement),
    )


def _needs(one: PendingActPublic) -> list[tuple[str, str]]:
    """Say who may sign it as the second person."""
    return [("Signed by somebody who may", Permission(one.needs).words), ("At", one.site or "everywhere")]


def _where(site: str) -> str:
    return "everywhere" if site == "*" else f"at {site}"


async def _sign(at: Acting[Read]) -> Done:
    """Sign as the second person and complete the act."""
    one, seq, _seen = at.read
    if one.act in OWN_PAGES:
        return Done(OWN_PAGES[one.act].format(one.subject), "It is signed on this page.", kind="note")
    known = ACTS[one.act]
    # A proposal may also bind what must not change meanwhile, which the use case reads again.
    given = {name: value for name, value in one.body.items() if name in known.model.model_fields and name != "kind"}
    given["pending_act"] = one.id
    if known.needs_seq:
        given["expected_seq"] = seq
    body = await at.sign(known.model.model_validate(given), Meaning(one.meaning))
    answer = await at.performing(known.use_case, one.subject, body)
    if answer.get("slip") is not None:
        text = "Now draw your half of the one-time code and hand it to its owner. Who proposed it draws the other."
        return Done(f"/slips/{answer['slip']['id']}", f"{known.label}: signed by two people.", text)
    if answer.get("key_for") == at.actor.code:
        text = "Now let the bank show the key, once, and put it where it is used."
        return Done(f"{page_of(one.subject)}/draw", f"{known.label}: signed by two people.", text)
    return Done("/pending", f"{known.label}: signed by two people.", f"It is done for {one.subject}.")


async def _cancel(at: Acting[Read]) -> Done:
    """Take the proposal back, or say no to it."""
    one = await at.performing(cancel_pending, at.path["pending"])
    return Done("/pending", f"Not done: {ACTS[one['act']].label.lower()}.", "Nothing changed.", "care")


PENDING = ActPage(address="/pending/{pending}", reads=_reads, form=_draw, model=BaseModel)
PENDING.shows(router)
PENDING.also(router, "/pending/{pending}/sign", _sign)
PENDING.also(router, "/pending/{pending}/cancel", _cancel)
