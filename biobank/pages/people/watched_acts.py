"""What somebody should notice: roles, resets, holds that were lifted."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.people.watched_acts import LIFTED, OF_LOGINS, WatchedAct, WatchedActList, list_watched_acts

router = APIRouter(include_in_schema=False)

WHAT = {
    "user.created": "Login made",
    "user.reactivated": "Login opened",
    "user.role_granted": "Role given",
    "user.role_revoked": "Role taken away",
    "user.password_reset": "Password reset",
    "user.password_changed": "One-time code used",
    "user.second_factor_removed": "Second factor removed",
    "user.passkey_added": "Passkey added",
    "user.passkey_removed": "Passkey removed",
} | {kind: f"Hold lifted, of a {kind.partition('.')[0]}" for kind in LIFTED}
"""What is said of each kind."""


def read_acts(session: Session, actor: Actor, asked: Wanted) -> WatchedActList:
    """Read one page of the acts that the address asks for."""
    return list_watched_acts(session, actor, kind=asked.of["kind"], days=int(asked.of["days"] or "366"), paging=asked.paging)


def row_of(one: WatchedAct) -> Mapping[str, Any]:
    """Return the cells of one act."""
    role = None if one.role is None else words(one.role)
    return one.model_dump() | {"what": WHAT[one.kind], "by": ", ".join(one.by), "role": role}


Listing(
    address="/watched-acts",
    title="Roles, resets and holds lifted",
    lead="What was done to logins, roles and holds, and by whom. You see what concerns your own login and the holds that you "
    "placed, and what you may know of others. Whoever did not expect it tells quality.",
    key="about",
    columns=[
        Column("at", "When", "when", sort="at"),
        Column("what", "What"),
        Column("about", "Of", "code"),
        Column("by", "By"),
        Column("role", "Role"),
        Column("site", "Site", "plain_code"),
        Column("placed_by", "Hold placed by", "plain_code"),
    ],
    read=read_acts,
    row=row_of,
    default="-at",
    filters=[
        Filter("days", "How far back", "choice", [("7", "The last week"), ("31", "The last month")], usual="31"),
        Filter("kind", "What", "choice", [(one, WHAT[one]) for one in (*OF_LOGINS, *LIFTED)]),
    ],
    empty="Nothing",
    hint="Nothing of this was done of late.",
).on(router)
