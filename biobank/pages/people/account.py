"""A person's own account: password, second factor, open sign-ins."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session
from webauthn.helpers import bytes_to_base64url

from biobank.acts.bank import Bank
from biobank.acts.proving import own_login, prove_own_password
from biobank.acts.web import BankDep
from biobank.auth.passkeys import passkeys_of
from biobank.auth.passwords import hash_password
from biobank.auth.personal_keys import made_at as key_made_at
from biobank.auth.pins import LONGEST, pin_set_at, require_good
from biobank.auth.schemas import SessionList
from biobank.auth.second_factor import set_up_at
from biobank.auth.sessions import PageSession
from biobank.foundation.errors import Refusal
from biobank.labels.matrix import ErrorCorrection, dark_runs, text_qr_matrix
from biobank.pages.people.preferences import BELL, LANGUAGES
from biobank.pages.ui.parts import Column
from biobank.pages.ui.posted import SECOND, Form, chosen_id
from biobank.pages.ui.session import Visiting, posted_form, see
from biobank.pages.ui.templating import render
from biobank.people import own_login as own
from biobank.people import pins
from biobank.people.preferences import OwnPreferences, own_preferences
from biobank.people.queries import describe_me
from biobank.people.schemas import Me

router = APIRouter(include_in_schema=False)

ACCOUNT = "/account"
PASSKEYS = (Column("name", "Passkey"), Column("created_at", "Added", "when"), Column("last_used_at", "Last used", "when"))
WITH = {"page": "A browser", "token": "A program"}
COLUMNS = (
    Column("with", "With"),
    Column("created_at", "Since", "when"),
    Column("last_seen_at", "Last used", "when"),
    Column("expires_at", "Ends", "when"),
)


async def _draw(request: Request, page: PageSession, bank: Bank, refusal: Refusal | None = None, **shown: Any) -> Response:
    page.actor.require_full("open your account")

    def read(session: Session) -> tuple[Me, SessionList, Any, Any, OwnPreferences, list[Any], Any]:
        code = page.actor.code
        return (
            describe_me(session, page.actor, bank.keystore),
            own.open_sessions(session, code, page.id),
            set_up_at(session, code),
            key_made_at(session, code),
            own_preferences(session, page.actor),
            passkeys_of(session, code),
            pin_set_at(session, code),
        )

    me, sessions, since, key_since, own_choices, keys, pin_since = await bank.database.read(read)
    rows = [one.model_dump() | {"with": one.station or WITH[one.kind]} for one in sessions.items]
    names = {
        "me": me,
        "choices": _said(own_choices, page),
        "sessions": rows,
        "columns": COLUMNS,
        "since": since,
        "key_since": key_since,
        "pin_since": pin_since,
        "passkey_columns": PASSKEYS,
        "passkeys": [dict(row._mapping) | {"name": f"Passkey {number}"} for number, row in enumerate(keys, 1)],
        "passkey_choices": [(str(row.id), f"Passkey {number}") for number, row in enumerate(keys, 1)],
        "known_passkeys": " ".join(bytes_to_base64url(bytes(row.credential)) for row in keys),
        "begun": None,
        "modules": None,
    } | shown
    names["wanted"] = sorted(page.actor.roles & bank.settings.roles_of_two_factors)
    names["passkey_wanted"] = sorted(page.actor.roles & bank.settings.roles_of_passkeys)
    problem = None if refusal is None else refusal.problem()
    return render(request, "account.html", 200 if refusal is None else refusal.status, refusal=problem, **names)


def _said(chosen: OwnPreferences, page: PageSession) -> list[tuple[str, str]]:
    """Return one's choices in words."""
    zone = chosen.timezone or f"{page.site_zone or 'UTC'}, as at my site"
    also = [said.lower() for name, said in BELL if name in chosen.bell]
    bell = ", ".join(["alarms", "what is overdue", "what waits for me", *also])
    return [("Time zone", zone), ("Language", dict(LANGUAGES)[chosen.language]), ("The bell counts", bell)]


@router.get(ACCOUNT)
async def show_account(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Draw the account."""
    return await _draw(request, page, bank)


@router.post(f"{ACCOUNT}/second-factor")
async def begin(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Show the secret of a new second factor, once, as a QR code and as text."""
    form = await posted_form(request, page)
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            await _prove(bank, username, form, page)
            begun = await bank.database.write(lambda s: own.begin_second_factor(s, act, username))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    matrix = text_qr_matrix(begun.address, ErrorCorrection.M)
    return await _draw(request, page, bank, begun=begun, modules=(len(matrix), list(dark_runs(matrix))))


@router.post(f"{ACCOUNT}/second-factor/confirm")
async def confirm(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Let the second factor count."""
    form = await posted_form(request, page)
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, _username):
            await bank.database.write(lambda s: own.confirm_second_factor(s, act, form.get(SECOND, "")))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal, begun="asked")
    return see(ACCOUNT)


@router.post(f"{ACCOUNT}/second-factor/remove")
async def remove(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Take the second factor away."""
    form = await posted_form(request, page)
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            await _prove(bank, username, form, page)
            await bank.database.write(lambda s: own.remove_second_factor(s, act))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(ACCOUNT)


@router.post(f"{ACCOUNT}/passkeys")
async def add_passkey(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Add the passkey that a device made."""
    form = await posted_form(request, page, "credential")
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            await _prove(bank, username, form, page)
            await bank.database.write(lambda s: own.add_passkey(s, act, form.get("credential", "")))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(ACCOUNT)


@router.post(f"{ACCOUNT}/passkeys/remove")
async def remove_passkey(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Take a passkey away."""
    form = await posted_form(request, page, "passkey")
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            await _prove(bank, username, form, page)
            wanted = chosen_id(form.get("passkey", ""))
            await bank.database.write(lambda s: own.remove_passkey(s, act, wanted))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(ACCOUNT)


@router.post(f"{ACCOUNT}/pin")
async def choose_pin(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Set the PIN of one's badge, or another in its place."""
    form = await posted_form(request, page, "pin_password")
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            chosen = form.get("pin_password", "")[: LONGEST + 1]
            require_good(chosen)
            await _prove(bank, username, form, page)
            hashed = await hash_password(chosen)
            await bank.database.write(lambda s: pins.set_pin(s, act, hashed))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(f"{ACCOUNT}#pin")


@router.post(f"{ACCOUNT}/pin/clear")
async def clear_pin(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Take the PIN of one's badge away."""
    await posted_form(request, page)
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, _username):
            await bank.database.write(lambda s: pins.clear_pin(s, act))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(f"{ACCOUNT}#pin")


@router.post(f"{ACCOUNT}/sessions/end")
async def end_sessions(request: Request, page: Visiting, bank: BankDep) -> Response:
    """End one other sign-in, or all of them."""
    form = await posted_form(request, page, "session")
    wanted, code = form.get("session"), page.actor.code
    try:
        if wanted is None:
            await bank.database.write(lambda s: own.end_other_sessions(s, code, page.id))
        else:
            session_id = chosen_id(wanted)
            await bank.database.write(lambda s: own.end_own_session(s, code, session_id))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(ACCOUNT)


async def _prove(bank: Bank, username: str, form: Form, page: PageSession) -> None:
    await prove_own_password(bank, username, form.get("password", "")[:256], page.id, form.get(SECOND))
