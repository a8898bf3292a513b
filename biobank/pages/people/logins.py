"""Logins as an administrator sees them: one login, making one, renaming, shutting and opening it, a first password.

Roles, and whatever takes a second person, are in `pages/people/roles.py`.
"""

import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import PendingActPublic, list_pending
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.passwords import MAXIMUM_LENGTH, hash_password
from biobank.auth.permissions import Permission
from biobank.foundation.codes import BODY_ALPHABET
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Needs, Opened
from biobank.pages.ui.addresses import UserCode
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import Form, PageReading
from biobank.pages.ui.templating import render
from biobank.people import service
from biobank.people.authority import manages, places_of, takes_two
from biobank.people.queries import read_user
from biobank.people.schemas import PasswordReset, UserChange, UserCreate, UserPublic

router = APIRouter(include_in_schema=False)

NAMED = ("username", "printed_name")
LABELS = {"username": "Login name", "printed_name": "Name as printed under signatures"}
ROLES = [Column("role", "Role", "words"), Column("site", "Where")]
PENDING = [
    Column("what", "What"),
    Column("proposed_by", "Proposed by", "plain_code"),
    Column("expires_at", "Until", "when"),
]
REASONS = [(one, words(one)) for one in ("left_the_bank", "long_absence", "lost_badge", "suspicion", "back_at_work", "other")]


def proposed_password() -> str:
    """Return a first password that can be read out and typed: 80 random bits."""
    letters = "".join(secrets.choice(BODY_ALPHABET) for _ in range(16)).lower()
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def first_password_field() -> Field:
    """Return the field of a first password, filled with a proposal."""
    hint = "Hand it over in person. It must be changed at the first log-in, and is not shown again."
    return Field("first_password", "First password", "text", proposed_password(), True, hint)


def first_password_in(form: Form) -> str:
    """Return the first password that was typed; raise FormFault at its field."""
    typed = form.get("first_password", "")
    if not 0 < len(typed) <= MAXIMUM_LENGTH:
        raise FormFault({"first_password": "First password: this is too short or too long."})
    return typed


def _draw_new(at: Opened[Actor]) -> ActForm:
    return ActForm(
        title="New",
        subject="Login",
        submit="Make the login",
        icon="user",
        lead="The login has no role yet: roles are given afterwards, and quality signs them too.",
        fields=[*fields_of(UserCreate, *NAMED, values=at.filled(), labels=LABELS), first_password_field()],
    )


async def _create(at: Acting[Actor]) -> Done:
    body = at.parse(UserCreate, *NAMED, password=first_password_in(at.form))
    made = await at.performing(service.create_user, body, await hash_password(body.password))
    return Done(f"/users/{made['code']}", f"{made['code']} is made.", "Give it a role next.")


ActPage(
    address="/users/new",
    reads=Needs(Permission.USER_MANAGE),
    form=_draw_new,
    labels=LABELS,
    model=UserCreate,
    names=NAMED,
    acts=_create,
).on(router)


@router.get("/users/{code}")
async def show_user(request: Request, code: UserCode, reading: PageReading) -> Response:
    """Draw a login with its roles and what waits for a second person."""

    def query(session: Session, actor: Actor) -> tuple[UserPublic, list[PendingActPublic]]:
        user = read_user(session, actor, reading.bank.keystore, code)
        return user, [one for one in list_pending(session, actor).items if one.subject == code]

    user, pending = await reading.agreeing(query)
    actor: Actor = request.state.actor
    may_change = manages(actor, code, grants_of_user(user))
    roles = [
        {"role": one.role, "site": one.site or "Everywhere"}
        | (
            {
                "href": f"/users/{code}/roles/take?role={one.role.value}&site={one.site or ''}",
                "act": "Take away",
                "about": words(one.role),
            }
            if may_change
            else {}
        )
        for one in user.roles
    ]
    waiting = [
        one.model_dump()
        | {
            "what": f"{words(one.act)} {words(one.body.get('role')) if 'role' in one.body else ''}".strip(),
            "href": f"/pending/{one.id}",
            "act": "Open",
            "about": words(one.act),
        }
        for one in pending
    ]
    tables: list[Any] = [("Roles", ROLES, roles, "No role", "A login without a role sees nothing.")]
    if waiting:
        tables.insert(0, ("Waits for a second person", PENDING, waiting, "", ""))
    return render(
        request,
        "dossier.html",
        kind="Login",
        code=code,
        chip="active" if user.active else "disabled",
        tables=tables,
        trail=[("Users", "/users"), (code, None)],
        acts=_acts(user, may_change),
        facts=[
            ("Login name", user.username),
            ("Printed name", user.printed_name),
            ("Made", when(user.created_at, request.state.zone)),
            ("First password", "Not changed yet" if user.must_change_password else "Changed"),
        ],
    )


def _acts(user: UserPublic, may_change: bool) -> list[ActionLink]:
    here = f"/users/{user.code}"
    if not may_change:
        return []
    acts = (
        [ActionLink("Open it again", f"{here}/state", "lock")]
        if not user.active
        else [
            ActionLink("Give a role", f"{here}/roles/give", "plus", "get", "main"),
            ActionLink("Set a first password", f"{here}/reset", "lock"),
            ActionLink("Change the printed name", f"{here}/rename", "pen"),
            ActionLink("Shut the login", f"{here}/state", "octagon", "get", "grave"),
        ]
    )
    return [*acts, ActionLink("Its badge", f"/labels/{user.code}", "print")]


def managed(session: Session, actor: Actor, asked: Asked) -> UserPublic:
    """Return the login a form is about; raise NotPermitted, NotFound."""
    user = read_user(session, actor, asked.bank.keystore, asked.code)
    for place in places_of(grants_of_user(user)):
        actor.require(Permission.USER_MANAGE, at=place, subject=asked.code)
    return user


def grants_of_user(user: UserPublic) -> frozenset[RoleGrant]:
    """Return the roles of a login as the rules take them."""
    return frozenset(RoleGrant(one.role, one.site) for one in user.roles)


def needs_second(user: UserPublic) -> bool:
    """Say whether a change of this login waits for a second person."""
    return takes_two(grants_of_user(user))


def said(at: Opened[Any], _body: Any, answer: dict[str, Any]) -> Done:
    """Say on the login's page whether an act is done or waits for a second person."""
    if answer["status"] == "pending":
        return Done(f"/users/{at.code}", "Proposed.", "It waits for a second person from quality.", "note")
    return Done(f"/users/{at.code}", "Done.")


ActPage(
    address="/users/{code}/rename",
    reads=managed,
    model=UserChange,
    names=("printed_name",),
    needed=("printed_name",),
    form=lambda at: ActForm(
        title="Change the printed name",
        submit="Change it",
        icon="pen",
        lead=f"Now {at.read.printed_name or 'none'}. Earlier signatures keep it.",
    ),
    use_case=service.change_user,
    after=lambda at, _body, _answer: Done(f"/users/{at.code}", "The name is changed."),
).on(router)


def _draw_state(at: Opened[UserPublic]) -> ActForm:
    user = at.read
    title = "Shut the login" if user.active else "Open it again"
    two = not user.active and needs_second(user)
    lead = "Every session of it ends at once. Its roles stay." if user.active else "It has the roles it had."
    return ActForm(
        title=title,
        submit=title,
        icon="lock",
        grave=user.active,
        options={"reason": REASONS},
        lead=lead + (" Quality signs as the second person." if two else ""),
        hidden={"active": "no" if user.active else "yes"},
        statement=f"You propose to open the login {at.code} again." if two else None,
        said="The reason stated is right.",
    )


ActPage(
    address="/users/{code}/state",
    reads=managed,
    form=_draw_state,
    model=UserChange,
    names=("reason",),
    needed=("reason",),
    given=lambda at: {"active": at.form.get("active") == "yes"},
    meaning=lambda at, body: Meaning.APPROVED if body.active and needs_second(at.read) else None,
    use_case=service.change_user,
    after=said,
).on(router)


def _draw_reset(at: Opened[UserPublic]) -> ActForm:
    two = needs_second(at.read)
    return ActForm(
        title="Set a first password",
        submit="Set it",
        icon="lock",
        fields=[first_password_field()],
        lead="Every session of it ends." + (" Quality signs too, and the one that quality sets counts." if two else ""),
        statement=f"You propose a first password for {at.code}." if two else None,
        said="Its owner asked me in person.",
    )


async def _reset(at: Acting[UserPublic]) -> Done:
    body = PasswordReset(password=first_password_in(at.form))
    body = await at.sign(body, Meaning.APPROVED if needs_second(at.read) else None)
    answer = await at.performing(service.reset_password, at.code, body, await hash_password(body.password))
    return said(at, body, answer)


ActPage(address="/users/{code}/reset", reads=managed, form=_draw_reset, model=PasswordReset, acts=_reset, keeps=()).on(router)
