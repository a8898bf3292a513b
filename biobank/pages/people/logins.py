"""Logins as an administrator sees them: one login, making one, renaming, shutting and opening it, a first password.

Roles, and whatever takes a second person, are in `pages/people/roles.py`.
"""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import PendingActPublic, list_pending
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.passwords import hash_password
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import BODY_ALPHABET
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people import service
from biobank.people.authority import manages, places_of, takes_two
from biobank.people.queries import read_user
from biobank.people.schemas import PasswordReset, UserChange, UserCreate, UserPublic

router = APIRouter(include_in_schema=False)

UserCode = Annotated[str, Path(pattern=r"^US-[0-9A-Z]{7}$")]
ROLES = [Column("role", "Role", "words"), Column("site", "Where")]
PENDING = [
    Column("what", "What"), Column("proposed_by", "Proposed by", "plain_code"), Column("expires_at", "Until", "when"),
]  # fmt: skip
REASONS = [(one, words(one)) for one in ("left_the_bank", "long_absence", "lost_badge", "suspicion", "back_at_work", "other")]


def proposed_password() -> str:
    """Return a first password that can be read out and typed: 80 random bits."""
    letters = "".join(secrets.choice(BODY_ALPHABET) for _ in range(16)).lower()
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def trail_of(code: str, title: str) -> list[tuple[str, str | None]]:
    """Return the breadcrumb of a form about a login."""
    return [("Users", "/users"), (code, f"/users/{code}"), (title, None)]


@router.get("/users/new")
async def show_new(request: Request, reading: PageReading) -> Response:
    """Draw the form that makes a login."""
    return await _draw_new(request, reading)


async def _draw_new(request: Request, _reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    request.state.actor.require(Permission.USER_MANAGE, at=ANYWHERE)
    labels = {"username": "Login name", "printed_name": "Name as printed under signatures"}
    return act_page(
        request, refusal, title="New", subject="Login",
        lead="The login has no role yet: roles are given afterwards, and quality signs them too.",
        back="/users", trail=[("Users", "/users"), ("New", None)],
        fields=[*fields_of(UserCreate, "username", "printed_name", values=typed, labels=labels), _first_password()],
        submit="Make the login", icon="user",
    )  # fmt: skip


def _first_password() -> Field:
    hint = "Hand it over in person. It must be changed at the first log-in, and is not shown again."
    return Field("first_password", "First password", "text", proposed_password(), True, hint)


@router.post("/users/new")
async def create(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Make it and lead to its page."""
    form = performing.form

    async def act() -> Response:
        body = parse(UserCreate, form, request.state.zone, "username", "printed_name", password=form.get("first_password", ""))
        made = await performing(service.create_user, body, await hash_password(body.password))
        return await performing.done(f"/users/{made['code']}", f"{made['code']} is made.", "Give it a role next.")

    return await or_again(act(), lambda refusal: _draw_new(request, reading, _about_first(refusal), form))


def _about_first(refusal: Refusal) -> Refusal:
    """Point a fault of the password at the field that it was typed into."""
    if isinstance(refusal, FormFault) and "password" in refusal.fields:
        fields = {name: text for name, text in refusal.fields.items() if name != "password"}
        return FormFault(fields | {"first_password": "First password: this is too short or too long."})
    return refusal


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
        | ({"href": f"/users/{code}/roles/take?role={one.role.value}&site={one.site or ''}", "act": "Take away",
            "about": words(one.role)} if may_change else {})
        for one in user.roles
    ]  # fmt: skip
    waiting = [
        one.model_dump() | {"what": f"{words(one.act)} {words(one.body.get('role')) if 'role' in one.body else ''}".strip(),
                            "href": f"/users/{code}/cosign/{one.id}", "act": "Open", "about": words(one.act)}
        for one in pending
    ]  # fmt: skip
    tables: list[Any] = [("Roles", ROLES, roles, "No role", "A login without a role sees nothing.")]
    if waiting:
        tables.insert(0, ("Waits for a second person", PENDING, waiting, "", ""))
    return render(
        request, "dossier.html", kind="Login", code=code, chip="active" if user.active else "disabled", tables=tables,
        trail=[("Users", "/users"), (code, None)], acts=_acts(user, may_change),
        facts=[
            ("Login name", user.username),
            ("Printed name", user.printed_name),
            ("Made", when(user.created_at, request.state.zone)),
            ("First password", "Not changed yet" if user.must_change_password else "Changed"),
        ],
    )  # fmt: skip


def _acts(user: UserPublic, may_change: bool) -> list[ActionLink]:
    here = f"/users/{user.code}"
    if not may_change:
        return []
    acts = [ActionLink("Open it again", f"{here}/state", "lock")] if not user.active else [
        ActionLink("Give a role", f"{here}/roles/give", "plus", "get", "main"),
        ActionLink("Set a first password", f"{here}/reset", "lock"),
        ActionLink("Change the printed name", f"{here}/rename", "pen"),
        ActionLink("Shut the login", f"{here}/state", "octagon", "get", "grave"),
    ]  # fmt: skip
    return [*acts, ActionLink("Its badge", f"/labels/{user.code}", "print")]


def grants_of_user(user: UserPublic) -> frozenset[RoleGrant]:
    """Return the roles of a login as the rules take them."""
    return frozenset(RoleGrant(one.role, one.site) for one in user.roles)


async def managed(request: Request, reading: PageReading, code: str) -> UserPublic:
    """Return the login a form is about; raise NotPermitted, NotFound."""
    user = await reading(read_user, reading.bank.keystore, code)
    for place in places_of(grants_of_user(user)):
        request.state.actor.require(Permission.USER_MANAGE, at=place, subject=code)
    return user


@router.get("/users/{code}/rename")
async def show_rename(request: Request, code: UserCode, reading: PageReading) -> Response:
    """Draw the form that changes the printed name."""
    return await _draw_rename(request, reading, code)


async def _draw_rename(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    user = await managed(request, reading, code)
    return act_page(
        request, refusal, title="Change the printed name", subject=code, back=f"/users/{code}",
        trail=trail_of(code, "Change the printed name"), lead=f"Now {user.printed_name or 'none'}. Earlier signatures keep it.",
        fields=fields_of(UserChange, "printed_name", values=typed, needed=("printed_name",)), submit="Change it", icon="pen",
    )  # fmt: skip


@router.post("/users/{code}/rename")
async def rename(request: Request, code: UserCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Change it."""

    async def act() -> Response:
        if "printed_name" not in performing.form:
            raise FormFault({"printed_name": "Printed name: is needed."})
        await performing(service.change_user, code, parse(UserChange, performing.form, request.state.zone, "printed_name"))
        return await performing.done(f"/users/{code}", "The name is changed.")

    return await or_again(act(), lambda refusal: _draw_rename(request, reading, code, refusal, performing.form))


@router.get("/users/{code}/state")
async def show_state(request: Request, code: UserCode, reading: PageReading) -> Response:
    """Draw the form that shuts a login, or opens it again."""
    return await _draw_state(request, reading, code)


async def _draw_state(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    user = await managed(request, reading, code)
    title = "Shut the login" if user.active else "Open it again"
    two = not user.active and takes_two(grants_of_user(user))
    lead = "Every session of it ends at once. Its roles stay." if user.active else "It has the roles it had."
    return act_page(
        request, refusal, title=title, subject=code, lead=lead + (" Quality signs as the second person." if two else ""),
        back=f"/users/{code}", trail=trail_of(code, title), grave=user.active, submit=title, icon="lock",
        fields=fields_of(UserChange, "reason", values=typed, options={"reason": REASONS}, needed=("reason",)),
        statement=f"You propose to open the login {code} again." if two else None,
        meaning=(Meaning.APPROVED.value, "The reason stated is right.") if two else None,
        hidden={"active": "no" if user.active else "yes"},
    )  # fmt: skip


@router.post("/users/{code}/state")
async def change_state(request: Request, code: UserCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Shut or open it."""
    form = performing.form

    async def act() -> Response:
        user = await managed(request, reading, code)
        body = parse(UserChange, form, request.state.zone, "reason", active=form.get("active") == "yes")
        if body.active and takes_two(grants_of_user(user)):
            body = body.model_copy(update={"signature": await performing.sign(Meaning.APPROVED)})
        return await said(performing, code, await performing(service.change_user, code, body))

    return await or_again(act(), lambda refusal: _draw_state(request, reading, code, refusal, form))


async def said(performing: PagePerforming, code: str, answer: dict[str, Any]) -> Response:
    """Say on the login's page whether an act is done or waits for a second person."""
    if answer["status"] == "pending":
        return await performing.done(f"/users/{code}", "Proposed.", "It waits for a second person from quality.", kind="note")
    return await performing.done(f"/users/{code}", "Done.")


@router.get("/users/{code}/reset")
async def show_reset(request: Request, code: UserCode, reading: PageReading) -> Response:
    """Draw the form that sets a first password."""
    return await _draw_reset(request, reading, code)


async def _draw_reset(request: Request, reading: PageReading, code: str, refusal: Refusal | None = None) -> Response:
    two = takes_two(grants_of_user(await managed(request, reading, code)))
    lead = "Every session of it ends." + (" Quality signs too, and the one that quality sets counts." if two else "")
    return act_page(
        request, refusal, title="Set a first password", subject=code, lead=lead, back=f"/users/{code}",
        trail=trail_of(code, "Set a first password"), fields=[_first_password()], submit="Set it", icon="lock",
        statement=f"You propose a first password for {code}." if two else None,
        meaning=(Meaning.APPROVED.value, "Its owner asked me in person.") if two else None,
    )  # fmt: skip


@router.post("/users/{code}/reset")
async def reset(request: Request, code: UserCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Set it."""
    form = performing.form

    async def act() -> Response:
        user = await managed(request, reading, code)
        body = parse(PasswordReset, form, request.state.zone, password=form.get("first_password", ""))
        if takes_two(grants_of_user(user)):
            body = body.model_copy(update={"signature": await performing.sign(Meaning.APPROVED)})
        return await said(
            performing, code, await performing(service.reset_password, code, body, await hash_password(body.password))
        )

    return await or_again(act(), lambda refusal: _draw_reset(request, reading, code, _about_first(refusal)))
