"""Signing in and out, the first password, and the list of logins."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.proving import asking_of, own_login, password_check_of, prove_own_password, remember_device
from biobank.acts.web import BankDep
from biobank.auth.passwords import MINIMUM_LENGTH, hash_password, require_strong
from biobank.auth.pins import forgive
from biobank.auth.service import end_session, prove_password, require_standing
from biobank.auth.sessions import WrongFormToken, create_page_session, end_replaced_session
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.pages.ui.posted import SECOND, read_form
from biobank.pages.ui.session import (
    FIRST_LOGIN,
    Visiting,
    cookie_name,
    local_path,
    posted_form,
    see,
    set_cookie,
    sign_in_cookie,
    signing_in,
    signing_in_from,
)
from biobank.pages.ui.templating import render
from biobank.people.service import change_own_password

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def show_login(
    request: Request, bank: BankDep, next_page: Annotated[str, Query(alias="next", max_length=500)] = "/"
) -> Response:
    """Draw the sign-in page."""
    return _sign_in_page(request, bank, local_path(next_page))


def _sign_in_page(
    request: Request, bank: BankDep, next_page: str, username: str = "", refusal: Refusal | None = None
) -> Response:
    return signing_in(request, bank.settings, "login.html", refusal, username=username, next_url=next_page)


@router.post("/login")
async def log_in(request: Request, bank: BankDep) -> Response:
    """Prove the password and open a page session. A session that was open in this browser ends."""
    form = await read_form(request)
    form.require_fields("next", "username")
    next_page = local_path(form.get("next"))
    if not signing_in_from(request, bank.settings, form):
        refusal: Refusal = WrongFormToken("This page was open for too long. Log in again.")
        return _sign_in_page(request, bank, next_page, refusal=refusal)
    username = form.get("username", "")[:80]
    asking = asking_of(request, bank.settings)
    try:
        password, second = form.get("password", "")[:256], form.get(SECOND)
        proven = await prove_password(password_check_of(bank), username, password, asking, second)
    except Refusal as error:
        return _sign_in_page(request, bank, next_page, username, error)
    lifetime = bank.settings.session_s

    def opened(session: Session) -> tuple[str, str]:
        require_standing(session, proven)
        forgive(session, proven.user)
        at = clock.now()
        end_replaced_session(session, request.cookies.get(cookie_name(bank.settings)), at)
        return create_page_session(session, proven.user, at, lifetime)

    cookie, _ = await bank.database.write(opened)
    response = see(FIRST_LOGIN if proven.must_change_password else next_page)
    set_cookie(response, bank.settings, cookie_name(bank.settings), cookie, lifetime)
    remember_device(request, response, bank, username)
    name = sign_in_cookie(bank.settings)
    response.delete_cookie(name, path="/", secure=bank.settings.secure_cookies, httponly=True)
    return response


@router.post("/logout")
async def log_out(request: Request, page: Visiting, bank: BankDep) -> Response:
    """End the session."""
    await posted_form(request, page)
    await bank.database.write(lambda s: end_session(s, page.id, clock.now(), because="signed_out"))
    response = see("/login")
    response.delete_cookie(cookie_name(bank.settings), path="/", secure=bank.settings.secure_cookies, httponly=True)
    return response


@router.get(FIRST_LOGIN)
async def show_first_login(request: Request, page: Visiting) -> Response:
    """Draw the form that changes one's own password."""
    page.actor.require_full("change your password")
    return render(request, "first_login.html", minimum_length=MINIMUM_LENGTH)


@router.post(FIRST_LOGIN)
async def choose_password(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Change one's own password; every other session of this login ends."""
    form = await posted_form(request, page, "current_password", "new_password", "repeat_password")
    given = dict(form.pairs)
    present, fresh = given.get("current_password", "")[:256], given.get("new_password", "")[:256]
    if fresh != given.get("repeat_password", ""):
        errors = {"repeat_password": "The two new passwords differ."}
        return render(request, "first_login.html", 422, minimum_length=MINIMUM_LENGTH, errors=errors)
    try:
        async with own_login(bank, page.id, "POST", FIRST_LOGIN, first=True) as (act, username):
            require_strong(fresh, username, unlike=present, breached=bank.settings.breached_passwords)
            proven = await prove_own_password(bank, username, present, page.id, form.get(SECOND))
            hashed = await hash_password(fresh)
            await bank.database.write(lambda s: change_own_password(s, act, proven, hashed, page.id))
    except Refusal as refusal:
        problem = refusal.problem()
        return render(request, "first_login.html", refusal.status, minimum_length=MINIMUM_LENGTH, refusal=problem)
    return see("/")
