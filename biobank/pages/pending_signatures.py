"""Acts that wait for a second person, as people see them: what was proposed, by whom, until when; sign it or take it back.

An act is one row of `ACTS`: how the second person's request is built from what the first one said, and which use case takes it.
What is signed is drawn from the proposal itself, never from a form: the second person cannot sign something else by accident.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from markupsafe import Markup
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import PendingActPublic, cancel_pending, list_pending
from biobank.auth.actor import Actor
from biobank.auth.passwords import hash_password
from biobank.custody.reversal import ReverseRequest, reverse
from biobank.custody.snapshots import get_visible
from biobank.donors.erasure import erase_donor
from biobank.donors.schemas import EraseDonor
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Listed, Paging
from biobank.foundation.terms import words
from biobank.pages.people.logins import first_password_field, first_password_in
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.code_pages import page_of
from biobank.pages.ui.entries import facts_of
from biobank.pages.ui.listing import Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.people.roles import grant_role, revoke_role
from biobank.people.schemas import PasswordReset, RoleChange, UserChange
from biobank.people.service import change_user, reset_password
from biobank.quality.identifying import resolve
from biobank.quality.schemas import ResolveRequest

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class TwoPersonAct:
    """An act of two people. `said` is what the second signature says; `model` is the request it completes."""

    label: str
    said: str
    model: type[BaseModel]
    use_case: Callable[..., Any]
    grave: bool = False
    needs_seq: bool = False
    first_password: bool = False
    """The second person sets a first password: what the proposer set is not kept anywhere."""


_ROLE = "I have compared this change with the person's appointment and approve it."
ACTS: Mapping[str, TwoPersonAct] = {
    "user.grant_role": TwoPersonAct("Give a role", _ROLE, RoleChange, grant_role),
    "user.revoke_role": TwoPersonAct("Take a role away", _ROLE, RoleChange, revoke_role),
    "user.reactivate": TwoPersonAct("Open a login again", _ROLE, UserChange, change_user),
    "user.reset_password": TwoPersonAct(
        "Set a first password",
        "Its owner asked for it in person, and I agree.",
        PasswordReset,
        reset_password,
        first_password=True,
    ),
    "donor.erase": TwoPersonAct(
        "Forget a person",
        "I have read the request and the retention duties, and agree that the person is forgotten.",
        EraseDonor,
        erase_donor,
        grave=True,
    ),
    "specimen.reverse": TwoPersonAct(
        "Undo the end of a specimen",
        "I have read the evidence and agree that the recorded end was wrong.",
        ReverseRequest,
        reverse,
        grave=True,
        needs_seq=True,
    ),
    "specimen.resolve": TwoPersonAct(
        "Say which specimen an unidentified item is",
        "I have read the evidence and agree that it is this specimen.",
        ResolveRequest,
        resolve,
        grave=True,
        needs_seq=True,
    ),
}


def label_of(act: str) -> str:
    """Return how an act of two people is called."""
    return ACTS[act].label if act in ACTS else words(act)


def read_waiting(session: Session, actor: Actor, asked: Wanted) -> Listed[dict[str, Any]]:
    """Read what the actor proposed and what they may complete."""
    found = list_pending(session, actor, asked.paging)
    rows = [
        one.model_dump()
        | {
            "label": Markup('<a href="/pending/{}">{}</a>').format(one.id, label_of(one.act)),
            "mine": "a second person" if one.proposed_by == actor.code else "your signature",
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
                known = ACTS.get(one.act)
                return one, get_visible(session, actor, one.subject).seq if known is not None and known.needs_seq else None
        if page.next is None:
            raise NotFound("Nothing with this id waits for you: it was completed, taken back, or left for more than a day.")
        after = page.next


Read = tuple[PendingActPublic, int | None]


def _reads(session: Session, actor: Actor, asked: Asked) -> Read:
    return find_pending(session, actor, asked.path["pending"])


def _draw(at: Opened[Read]) -> OwnPage:
    one, seq = at.read
    known = ACTS.get(one.act)
    said = "; ".join(f"{words(name).lower()} {words(value)}" for name, value in one.body.items() if value is not None)
    return OwnPage(
        "pending_act.html",
        one=one,
        label=label_of(one.act),
        subject_href=page_of(one.subject),
        facts=[*facts_of(one.body), ("Needs", one.needs), ("At", one.site or "everywhere")],
        mine=one.proposed_by == at.actor.code,
        known=known is not None,
        grave=known is not None and known.grave,
        fields=[first_password_field()] if known is not None and known.first_password else [],
        seq=seq,
        statement=f"{label_of(one.act)}: {one.subject}; {said}." if said else f"{label_of(one.act)}: {one.subject}.",
        meaning=(one.meaning, known.said if known else ""),
    )


async def _sign(at: Acting[Read]) -> Done:
    """Sign as the second person and complete the act."""
    one, seq = at.read
    known = ACTS.get(one.act)
    if known is None:
        raise NotFound("This act has no page. Complete it where it was proposed.")
    given = {name: value for name, value in one.body.items() if name != "kind"} | {"pending_act": one.id}
    if known.needs_seq:
        given["expected_seq"] = seq
    hashed: tuple[str, ...] = ()
    if known.first_password:
        given["password"] = first_password_in(at.form)
        hashed = (await hash_password(given["password"]),)
    body = await at.sign(known.model.model_validate(given), Meaning(one.meaning))
    await at.performing(known.use_case, one.subject, body, *hashed)
    return Done("/pending", f"Done: {known.label.lower()}.", f"{one.subject}, signed by two people.")


async def _cancel(at: Acting[Read]) -> Done:
    """Take the proposal back, or say no to it."""
    one = await at.performing(cancel_pending, at.path["pending"])
    return Done("/pending", f"Not done: {label_of(one['act']).lower()}.", "Nothing changed.", "care")


PENDING = ActPage(address="/pending/{pending}", reads=_reads, form=_draw, model=BaseModel)
PENDING.shows(router)
PENDING.also(router, "/pending/{pending}/sign", _sign)
PENDING.also(router, "/pending/{pending}/cancel", _cancel)
