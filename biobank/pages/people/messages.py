"""What one is written by e-mail, chosen by oneself; and what could not be sent, for administrators."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.messages.choices import OwnMessages, OwnMessagesNow, own_messages, set_own_messages
from biobank.messages.failures import MessageFailed, MessageFailedList, SendAgain, list_failed, send_again
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Needs, Opened
from biobank.pages.ui.listing import Listing, RowsAct, Wanted
from biobank.pages.ui.parts import Column

router = APIRouter(include_in_schema=False)

KINDS = {
    "alarm": "An alarm calls me",
    "alarm_again": "Nobody answered an alarm, and I am next",
    "notice": "A notice came for me",
}
CODE = "A code for an address of their own"
UNCONFIRMED = "A code was mailed to this address. Type it here; nothing else is sent there before."
FAULTS = {
    "address_refused": "The mail server does not take the address",
    "sign_in_refused": "The mail server does not let the bank in",
    "refused": "The mail server refused it",
    "server_away": "The mail server did not answer",
}
Read = tuple[OwnMessagesNow, Choices, bool]


def _own(session: Session, actor: Actor, asked: Asked) -> Read:
    sent = asked.bank.settings.smtp_server is not None
    return own_messages(session, actor, asked.bank.keystore), own_sites(session, actor, None), sent


def _draw(at: Opened[Read]) -> ActForm:
    chosen, sites, sent = at.read
    lead = "A message says that something waits and where to log in, and never what it is or whose."
    if not sent:
        lead = f"This bank has no mail server yet: nothing is sent until it has. {lead}"
    elif chosen.e_mail is not None and not chosen.confirmed:
        lead = f"{UNCONFIRMED} {lead}"
    return ActForm(
        title="Messages to me",
        subject="My account",
        submit="Keep them",
        lead=lead,
        values=at.form if at.sent else chosen.model_dump(),
        options={"at_once": list(KINDS.items()), "daily": list(KINDS.items()), "sites": sites},
        back="/account",
        trail=[("My account", "/account"), ("Messages to me", None)],
    )


ActPage(
    address="/account/messages",
    reads=_own,
    form=_draw,
    model=OwnMessages,
    names=("e_mail", "code", "at_once", "daily", "sites"),
    given=lambda at: {name: at.form.all_of(name) for name in ("at_once", "daily", "sites")},
    labels={
        "e_mail": "My e-mail address",
        "code": "The code that was mailed there",
        "at_once": "Write to me at once",
        "daily": "Write to me once a day, at 07:00",
        "sites": "Only about these sites; none ticked: all of mine",
    },
    use_case=set_own_messages,
    args=lambda _at: (),
    after=lambda _at, _body, _answer: Done("/account", "Kept.", "It holds for what happens from now on."),
).on(router)


def read_failed(session: Session, actor: Actor, asked: Wanted) -> MessageFailedList:
    """Read one page of what failed; raise NotPermitted."""
    return list_failed(session, actor, paging=asked.paging)


def row_of(one: MessageFailed) -> Mapping[str, Any]:
    """Return the cells of one message."""
    state = "Given up" if one.due_at is None else "Tried again"
    return one.model_dump() | {"id": str(one.id), "kind": KINDS.get(one.kind, CODE), "fault": FAULTS[one.fault], "state": state}


Listing(
    address="/messages/failed",
    title="Messages that failed",
    lead="E-mail that did not leave yet, or was given up after some 30 hours. What it told stands on their pages all the same.",
    key="id",
    named="to",
    columns=[
        Column("made_at", "Since", "when", sort="made_at"),
        Column("to", "To", "code"),
        Column("kind", "Because"),
        Column("site", "Site", "plain_code"),
        Column("fault", "Why not"),
        Column("tries", "Tries"),
        Column("state", "Now"),
        Column("due_at", "Next try", "when"),
    ],
    read=read_failed,
    row=row_of,
    default="-made_at",
    acts=[RowsAct("send", "Send again", "undo", lambda keys: f"/messages/failed/{keys[0]}/send", Permission.USER_MANAGE, most=1)],
    empty="Nothing failed",
    hint="Every message left, or waits for its first try.",
).on(router)


ActPage(
    address="/messages/failed/{message}/send",
    reads=Needs(Permission.USER_MANAGE),
    form=lambda _at: ActForm(
        title="Send a message again",
        submit="Send it again",
        lead="It is tried within half a minute. If it fails again, it stands here again.",
        back="/messages/failed",
    ),
    model=SendAgain,
    use_case=send_again,
    after=lambda _at, _body, _done: Done("/messages/failed", "It is tried now."),
    params={"message": UUID},
).on(router)
