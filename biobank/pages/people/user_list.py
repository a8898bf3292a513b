"""The list of logins."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission, Role
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.people.queries import list_users
from biobank.people.schemas import UserList, UserPublic

router = APIRouter(include_in_schema=False)


def read_users(session: Session, actor: Actor, asked: Wanted) -> UserList:
    """Read one page of the logins that the address asks for."""
    role, state = asked.of["role"], asked.of["state"]
    return list_users(
        session,
        actor,
        asked.bank.keystore,
        role=None if role is None else Role(role),
        active=None if state is None else state == "active",
        at_site=asked.of["site"],
        paging=asked.paging,
    )


def row_of(user: UserPublic) -> Mapping[str, Any]:
    """Return the cells of one login."""
    roles = ", ".join(f"{words(grant.role)} ({grant.site or 'everywhere'})" for grant in user.roles) or None
    return user.model_dump() | {"roles": roles, "state": "active" if user.active else "disabled"}


Listing(
    address="/users",
    title="Users",
    read=read_users,
    row=row_of,
    default="code",
    lead="Logins and what they may do. An administrator and quality give roles together; all of it is in the log.",
    columns=[
        Column("code", "Badge", "code", sort="code"),
        Column("username", "Login", sort="username"),
        Column("roles", "Roles"),
        Column("state", "State", "chip"),
        Column("created_at", "Since", "when", sort="created_at"),
    ],
    filters=[
        Filter("role", "Role", "choice", [(one.value, words(one)) for one in Role]),
        Filter("state", "State", "choice", [("active", "Active"), ("disabled", "Disabled")]),
        Filter("site", "Site", "code"),
    ],
    links=[
        Link("Make a login", "/users/new", "plus", Permission.USER_MANAGE, main=True),
        Link("Sites", "/sites", "home", Permission.USER_MANAGE),
    ],
).on(router)
