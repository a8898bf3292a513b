"""Logins as an administrator sees them: one login, making one, renaming, shutting and opening it, proposing a reset.

Roles, and whatever takes a second person, are in `pages/people/roles.py`.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import PendingActPublic, list_pending
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Needs, Opened
from biobank.pages.ui.addresses import UserCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.people import service
from biobank.people.authority import manages, places_of, takes_two
from biobank.people.queries import read_user
from biobank.people.schemas import PasswordReset, UserChange, UserCreate, UserPublic

router = APIRouter(include_in_schema=False)

NAMED = ("username", "printed_name", "same_person_as", "another_person")
LABELS = {
    "username": "Login name",
    "printed_name": "Name as printed under signatures",
    "same_person_as": "Another login of the same person",
    "another_person": "Another person, of the same name as somebody who has a login",
}
ROLES = [Column("role", "Role", "words"), Column("site", "Where")]
PENDING = [
    Column("what", "What"),
    Column("proposed_by", "Proposed by", "plain_code"),
    Column("expires_at", "Until", "when"),
]
REASONS = [(one, words(one)) for one in ("left_the_bank", "long_absence", "lost_badge", "suspicion", "back_at_work", "other")]


def _draw_new(_at: Opened[Actor]) -> ActForm:
    return ActForm(
        title="New",
        subject="Login",
        submit="Make the login",
        icon="user",
        lead="Nothing opens it yet. Give it a role next; when quality has signed that too, its owner gets a one-time code.",
    )


def _made(_at: Opened[Any], _body: Any, made: dict[str, Any]) -> Done:
    title, text = f"{made['code']} is made.", "Give it a role now; until then it opens nothing."
    return Done(f"/users/{made['code']}/roles/give", title, text, halfway=True)


ActPage(
    address="/users/new",
    reads=Needs(Permission.USER_MANAGE),
    form=_draw_new,
    labels=LABELS,
    model=UserCreate,
    names=NAMED,
    use_case=service.create_user,
    args=lambda _at: (),
    after=_made,
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
        acts=[*_acts(user, may_change), *_day(actor, code)],
        facts=[
            ("Login name", user.username),
            ("Printed name", user.printed_name),
            *([("The same person as", code_markup(user.person))] if user.person != code else []),
            ("Made", when(user.created_at, request.state.zone)),
            ("Password", "Not chosen yet" if user.must_change_password else "Chosen by its owner"),
        ],
    )


def _day(actor: Actor, code: str) -> list[ActionLink]:
    """What the login recorded today, for whoever may copy the log; one's own day is no copy of what others did."""
    if not actor.may(Permission.LOG_EXPORT, at=ANYWHERE):
        return []
    if code == actor.code:
        return [ActionLink("Print its day", f"/users/{code}/day", "print")]
    asked = "That you took this copy of the log will be recorded. Go on?"
    return [ActionLink("Print its day", f"/users/{code}/day", "print", "post", confirm=asked)]


def _acts(user: UserPublic, may_change: bool) -> list[ActionLink]:
    here = f"/users/{user.code}"
    slip = [ActionLink("Draw your half of the code", f"/slips/{user.slip}", "print", "get", "main")] if user.slip else []
    if not may_change:
        return slip
    acts = (
        [ActionLink("Open it again", f"{here}/state", "lock")]
        if not user.active
        else [
            ActionLink("Give a role", f"{here}/roles/give", "plus", "get", "main"),
            *([ActionLink("Reset the password", f"{here}/reset", "lock")] if user.roles else []),
            ActionLink("Change the printed name", f"{here}/rename", "pen"),
            ActionLink("Say whose login it is", f"{here}/person", "user"),
            ActionLink("Shut the login", f"{here}/state", "octagon", "get", "grave"),
        ]
    )
    return [*slip, *acts, ActionLink("Its badge", f"/labels/{user.code}", "print")]


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


ActPage(
    address="/users/{code}/person",
    reads=managed,
    model=UserChange,
    names=("same_person_as",),
    needed=("same_person_as",),
    labels=LABELS,
    scans={"same_person_as": (Prefix.BADGE,)},
    form=lambda at: ActForm(
        title="Say whose login it is",
        submit="Record it",
        icon="user",
        lead="What a person did with one login counts for their others: they do not release or approve what they handled."
        + ("" if _alone(at.read) else f" Now of {at.read.person}. Its own code says it is nobody else's; quality signs too."),
        statement=None if _alone(at.read) else f"You propose to take the login {at.code} from its person.",
        said="I know whose login it is.",
    ),
    meaning=lambda at, _body: None if _alone(at.read) else Meaning.APPROVED,
    use_case=service.change_user,
    after=said,
).on(router)


def _alone(user: UserPublic) -> bool:
    return user.person == user.code


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


ActPage(
    address="/users/{code}/reset",
    reads=managed,
    form=lambda at: ActForm(
        title="Reset the password",
        submit="Sign and propose",
        icon="lock",
        lead="Quality signs too. Then every session of it ends, its password opens nothing. You "
        "and quality draw half of a one-time code each, and its owner gets both.",
        statement=f"You propose to reset the password of {at.code}.",
        said="Its owner asked me in person.",
    ),
    model=PasswordReset,
    meaning=Meaning.APPROVED,
    use_case=service.reset_password,
    after=said,
).on(router)
