"""The idle lock: a page nobody used for a while asks for the password of the one who is signed in, and keeps what is on it.

Only the same login goes on; somebody else logs in anew. Wrong passwords count with those at sign-in.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from biobank.acts.bank import Bank
from biobank.acts.problems import problem_response, wants_page
from biobank.acts.proving import actor_of_session, prove_own_password
from biobank.acts.web import BankDep
from biobank.auth.sessions import PageSession, locked_page_session, unlock_page_session
from biobank.foundation.errors import NotSignedIn, Refusal
from biobank.pages.ui.posted import read_form
from biobank.pages.ui.session import LOCKED, Visiting, cookie_name, local_path, see
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)


@router.get(LOCKED)
async def show_locked(
    request: Request, bank: BankDep, next_page: Annotated[str, Query(alias="next", max_length=500)] = "/"
) -> Response:
    """Ask for the password of whoever is signed in here; the sign-in page when nobody is."""
    try:
        page = await _page_of(request, bank)
    except NotSignedIn:
        return see("/login")
    return _draw(request, page, local_path(next_page))


@router.post(LOCKED)
async def unlock(request: Request, bank: BankDep) -> Response:
    """Go on with the session after its login proved its password again."""
    form = await read_form(request)
    form.require_fields("next")
    next_page = local_path(form.get("next"))
    page = await _page_of(request, bank)
    page.require_csrf(form.get("csrf_token"))
    _, username = await actor_of_session(bank, page.id)
    try:
        await prove_own_password(bank, username, form.get("password", "")[:256], page.id, alone=True)
    except Refusal as refusal:
        return _draw(request, page, next_page, refusal) if wants_page(request) else problem_response(refusal)
    await bank.database.write(lambda s: unlock_page_session(s, page))
    return see(next_page) if wants_page(request) else JSONResponse({"unlocked": True})


@router.get("/alive")
async def stay(_page: Visiting) -> Response:
    """Note that somebody works on an open page, a long form say: asked at most once a minute, and only after keys or touches."""
    return Response(status_code=204)


async def _page_of(request: Request, bank: Bank) -> PageSession:
    cookie = request.cookies.get(cookie_name(bank.settings))
    if cookie is None:
        raise NotSignedIn("Log in to see this page.")
    return await bank.database.read(lambda s: locked_page_session(s, cookie))


def _draw(request: Request, page: PageSession, next_page: str, refusal: Refusal | None = None) -> Response:
    problem = None if refusal is None else refusal.problem()
    if problem is not None:
        problem["detail"] = problem["detail"].replace("Nothing was signed or changed.", "Try again.")
    status = 200 if refusal is None else refusal.status
    return render(
        request, "locked.html", status, csrf_token=page.csrf, badge=page.actor.code, next_url=next_page, refusal=problem
    )
