"""Giving a role and taking one away: an administrator proposes and signs, quality completes it as the second person."""

from typing import Annotated

from fastapi import APIRouter, Path
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.pages.people.logins import managed, said
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.people import roles
from biobank.people.schemas import RoleChange, UserPublic

router = APIRouter(include_in_schema=False)

Read = tuple[UserPublic, Choices]
TITLES = {"give": "Give a role", "take": "Take a role away"}


def _reads(session: Session, actor: Actor, asked: Asked) -> Read:
    return managed(session, actor, asked), own_sites(session, actor, None)


def _draw(at: Opened[Read]) -> ActForm:
    user, sites = at.read
    has = ", ".join(f"{words(one.role).lower()} ({one.site or 'everywhere'})" for one in user.roles) or "no role"
    title = TITLES[at.path["way"]]
    return ActForm(
        title=title,
        submit="Sign and propose",
        grave=at.path["way"] == "take",
        options={"site": sites},
        lead=f"{user.username} has {has}. Quality signs as the second person before it counts.",
        statement=f"You propose to {title.lower()}: {at.code}.",
        said="The work of this person asks for this change of roles.",
    )


async def _propose(at: Acting[Read]) -> Done:
    body = await at.sign(at.parse(RoleChange, "role", "site"), Meaning.ROLE_CHANGE)
    use_case = roles.grant_role if at.path["way"] == "give" else roles.revoke_role
    return said(at, body, await at.performing(use_case, at.code, body))


ActPage(
    address="/users/{code}/roles/{way}",
    params={"way": Annotated[str, Path(pattern="^(give|take)$")]},
    asks=("role", "site"),
    reads=_reads,
    form=_draw,
    model=RoleChange,
    names=("role", "site"),
    labels={"site": "At (nothing chosen: everywhere)"},
    acts=_propose,
).on(router)
