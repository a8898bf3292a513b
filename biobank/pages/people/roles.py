"""Acts about a login that take two people: an administrator proposes and signs, quality opens the same page and completes.

The second person sees what was proposed, whole, and signs that: nothing of it can be changed on the way.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from biobank.acts.signing import Meaning
from biobank.acts.two_person import PendingActOver, PendingActPublic, cancel_pending, list_pending
from biobank.auth.actor import Actor
from biobank.auth.passwords import hash_password
from biobank.auth.permissions import Permission
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.people.logins import managed, proposed_password, said, trail_of
from biobank.pages.ui.forms import Field, act_page, fields_of, parse
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.people import roles, service
from biobank.people.queries import list_sites
from biobank.people.schemas import PasswordReset, RoleChange, UserChange

router = APIRouter(include_in_schema=False)

UserCode = Annotated[str, Path(pattern=r"^US-[0-9A-Z]{7}$")]
Way = Annotated[str, Path(pattern="^(give|take)$")]
TITLES = {"give": "Give a role", "take": "Take a role away"}
SAYS = {
    "user.grant_role": "Give a role", "user.revoke_role": "Take a role away", "user.reactivate": "Open the login again",
    "user.reset_password": "Set a first password",
}  # fmt: skip
"""What may wait here, in words."""


@router.get("/users/{code}/roles/{way}")
async def show_role(
    request: Request,
    code: UserCode,
    way: Way,
    reading: PageReading,
    role: Annotated[str, Query(max_length=30, pattern="^[a-z_]*$")] = "",
    site: Annotated[str, Query(max_length=8, pattern="^[A-Z0-9]*$")] = "",
) -> Response:
    """Draw the form that gives a role or takes one away."""
    return await _draw_role(request, reading, code, way, typed={"role": role, "site": site})


async def _draw_role(
    request: Request, reading: PageReading, code: str, way: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    user = await managed(request, reading, code)
    sites = (await reading(list_sites, active=True)).items
    has = ", ".join(f"{words(one.role).lower()} ({one.site or 'everywhere'})" for one in user.roles) or "no role"
    fields = fields_of(
        RoleChange, "role", "site", values=typed, labels={"site": "At (nothing chosen: everywhere)"},
        options={"site": [(one.code, f"{one.code} · {one.name}") for one in sites]},
    )  # fmt: skip
    return act_page(
        request, refusal, title=TITLES[way], subject=code, back=f"/users/{code}", trail=trail_of(code, TITLES[way]),
        lead=f"{user.username} has {has}. Quality signs as the second person before it counts.", fields=fields,
        submit="Sign and propose", icon="pen", grave=way == "take",
        statement=f"You propose to {TITLES[way].lower()}: {code}.",
        meaning=(Meaning.ROLE_CHANGE.value, "The work of this person asks for this change of roles."),
    )  # fmt: skip


@router.post("/users/{code}/roles/{way}")
async def propose_role(request: Request, code: UserCode, way: Way, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign and propose it."""
    form = performing.form

    async def act() -> Response:
        body = parse(RoleChange, form, request.state.zone, "role", "site")
        signed = body.model_copy(update={"signature": await performing.sign(Meaning.ROLE_CHANGE)})
        use_case = roles.grant_role if way == "give" else roles.revoke_role
        return await said(performing, code, await performing(use_case, code, signed))

    return await or_again(act(), lambda refusal: _draw_role(request, reading, code, way, refusal, form))


async def _find(reading: PageReading, code: str, pending: UUID) -> PendingActPublic:
    for one in (await reading(list_pending)).items:
        if one.id == pending and one.subject == code and one.act in SAYS:
            return one
    raise PendingActOver("It was completed, taken back or left for more than a day. Look at the login.", subject=code)


@router.get("/users/{code}/cosign/{pending}")
async def show_cosign(request: Request, code: UserCode, pending: UUID, reading: PageReading) -> Response:
    """Draw what was proposed: to the second person with the signature, to the proposer with the way back."""
    return await _draw_cosign(request, reading, code, pending)


async def _draw_cosign(
    request: Request, reading: PageReading, code: str, pending: UUID, refusal: Refusal | None = None
) -> Response:
    found = await _find(reading, code, pending)
    actor: Actor = request.state.actor
    what = SAYS[found.act]
    if "role" in found.body:
        what += f": {words(found.body['role']).lower()} ({found.body.get('site') or 'everywhere'})"
    elif "reason" in found.body:
        what += f": {words(found.body['reason']).lower()}"
    mine = found.proposed_by == actor.code or not actor.may(Permission(found.needs), at=found.site)
    fields = []
    if found.act == "user.reset_password" and not mine:
        hint = "Hand it over in person. The one you set counts, not the proposer's."
        fields = [Field("first_password", "First password", "text", proposed_password(), True, hint)]
    return act_page(
        request, refusal, title=what, subject=code, back=f"/users/{code}", trail=trail_of(code, SAYS[found.act]),
        lead=f"Proposed and signed by {found.proposed_by}." + (" It waits for quality." if mine else ""), fields=fields,
        submit="Take it back" if mine else "Sign as the second person", icon="pen", grave=mine,
        hidden={"way": "cancel" if mine else "complete"},
        statement=None if mine else f"You agree: {what} for {code}.",
        meaning=None if mine else (found.meaning, "I have looked at it myself and agree."),
    )  # fmt: skip


@router.post("/users/{code}/cosign/{pending}")
async def cosign(request: Request, code: UserCode, pending: UUID, performing: PagePerforming, reading: PageReading) -> Response:
    """Complete it as the second person, or take it back."""
    form = performing.form

    async def act() -> Response:
        if form.get("way") == "cancel":
            await performing(cancel_pending, pending)
            return await performing.done(f"/users/{code}", "Taken back.")
        found = await _find(reading, code, pending)
        both = {"signature": await performing.sign(Meaning(found.meaning)), "pending_act": pending}
        if found.act == "user.reset_password":
            first = parse(PasswordReset, form, request.state.zone, password=form.get("first_password", ""), **both)
            answer = await performing(service.reset_password, code, first, await hash_password(first.password))
        elif found.act == "user.reactivate":
            answer = await performing(service.change_user, code, UserChange(**found.body, **both))
        else:
            use_case = roles.grant_role if found.act == "user.grant_role" else roles.revoke_role
            answer = await performing(use_case, code, RoleChange(**found.body, **both))
        return await said(performing, code, answer)

    return await or_again(act(), lambda refusal: _draw_cosign(request, reading, code, pending, refusal))
