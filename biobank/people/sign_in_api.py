"""Routes of signing in. They take no Idempotency-Key: an answer that is a credential must never be kept."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.proving import actor_of_session, asking_of, own_login, password_check_of, prove_own_password, remember_device
from biobank.acts.web import BankDep, ClaimsDep, PersonNeeded, require_own_password, require_person
from biobank.auth import passkeys
from biobank.auth.actor import Actor
from biobank.auth.identity import CLIENT_LETTERS, load_actor
from biobank.auth.passkeys import Purpose
from biobank.auth.passwords import hash_password, require_strong
from biobank.auth.schemas import (
    FactorBegun,
    FactorCode,
    NewPasskey,
    OwnProof,
    PasskeyList,
    PasskeyPublic,
    PasskeyQuestion,
    PasswordChange,
    PasswordGrant,
    RefreshRequest,
    SessionList,
    SessionsEnded,
    TokenAnswer,
)
from biobank.auth.second_factor import SECRET
from biobank.auth.service import end_session, open_token_session, prove_password, refresh_tokens
from biobank.auth.tokens import Claims
from biobank.foundation import clock
from biobank.foundation.errors import Refused
from biobank.people.own_login import (
    add_passkey,
    begin_second_factor,
    confirm_second_factor,
    end_other_sessions,
    end_own_session,
    open_sessions,
    own_passkeys,
    remove_passkey,
    remove_second_factor,
)
from biobank.people.queries import describe_me
from biobank.people.schemas import Me
from biobank.people.service import change_own_password

router = APIRouter(prefix="/api/v1/auth", tags=["sign-in"])
keys_router = APIRouter(tags=["sign-in"])

NO_STORE = {"Cache-Control": "no-store"}
"""RFC 6749 §5.1: an answer with a token is kept by nobody."""


@router.post("/token")
async def sign_in(form: Annotated[PasswordGrant, Form()], bank: BankDep, request: Request, response: Response) -> TokenAnswer:
    """Sign in with a password (OAuth2 password form) and get a token for the `Authorization: Bearer` header.

    A client that keeps the cookie `device` is not stopped by strangers' wrong passwords for its login.
    """
    asking = asking_of(request, bank.settings)
    proven = await prove_password(password_check_of(bank), form.username, form.password, asking, form.second_factor)
    response.headers.update(NO_STORE)
    remember_device(request, response, bank, form.username)
    return await bank.database.write(
        lambda s: open_token_session(s, bank.tokens, proven, clock.now(), bank.settings.refresh_token_s)
    )


@router.post("/refresh")
async def refresh(request: RefreshRequest, bank: BankDep, response: Response) -> TokenAnswer:
    """Exchange a refresh token for new tokens. It works once; a second use ends the session for everyone who holds it."""
    answer = await bank.database.write(lambda s: refresh_tokens(s, bank.tokens, request.refresh_token, clock.now()))
    if isinstance(answer, Refused):
        raise answer.refusal
    response.headers.update(NO_STORE)
    return answer


@router.post("/logout", status_code=204)
async def sign_out(claims: ClaimsDep, bank: BankDep) -> None:
    """End this session: its access and refresh tokens stop working at once."""
    if claims.subject.startswith(CLIENT_LETTERS):
        raise PersonNeeded("The key of an API client has no session. Revoke the client to end it.")
    await bank.database.write(lambda s: end_session(s, claims.session_id, clock.now(), because="signed_out"))


@router.get("/me")
async def read_me(claims: ClaimsDep, bank: BankDep) -> Me:
    """Who is signed in, and what they may do. Answers also while the first password is still to be changed."""

    def unit(session: Session) -> Me:
        actor = load_actor(session, claims.session_id)
        require_person(actor)
        return describe_me(session, actor, bank.keystore)

    return await bank.database.read(unit)


@router.post("/password", status_code=204)
async def change_password(change: PasswordChange, claims: ClaimsDep, bank: BankDep, request: Request) -> None:
    """Change your own password. Every other session of yours ends."""
    session_id = claims.session_id
    async with own_login(bank, session_id, request.method, request.url.path, first=True) as (act, username):
        listed = bank.settings.breached_passwords
        require_strong(change.new_password, username, unlike=change.password, breached=listed)
        proven = await prove_own_password(bank, username, change.password, session_id, change.second_factor)
        fresh = await hash_password(change.new_password)
        await bank.database.write(lambda s: change_own_password(s, act, proven, fresh, session_id))


@router.post("/second-factor", status_code=201)
async def set_up_second_factor(
    proof: OwnProof, claims: ClaimsDep, bank: BankDep, request: Request, response: Response
) -> FactorBegun:
    """Begin to set up an authenticator app. Its secret is shown in this answer only, and counts once it was confirmed."""
    async with own_login(bank, claims.session_id, request.method, request.url.path) as (act, username):
        await prove_own_password(bank, username, proof.password, claims.session_id, proof.second_factor)
        response.headers.update(NO_STORE)
        return await bank.database.write(lambda s: begin_second_factor(s, act, username))


@router.post("/second-factor/confirm", status_code=204)
async def confirm_own_second_factor(code: FactorCode, claims: ClaimsDep, bank: BankDep, request: Request) -> None:
    """Type a code of the new app: from now on sign-ins and signatures need one."""
    async with own_login(bank, claims.session_id, request.method, request.url.path) as (act, _username):
        await bank.database.write(lambda s: confirm_second_factor(s, act, code.second_factor))


@router.post("/second-factor/remove", status_code=204)
async def remove_own_second_factor(proof: OwnProof, claims: ClaimsDep, bank: BankDep, request: Request) -> None:
    """Take your second factor away, with password and code."""
    async with own_login(bank, claims.session_id, request.method, request.url.path) as (act, username):
        await prove_own_password(bank, username, proof.password, claims.session_id, proof.second_factor)
        await bank.database.write(lambda s: remove_second_factor(s, act))


@router.get("/passkey-challenge")
async def ask_a_passkey(bank: BankDep, response: Response, purpose: Purpose = "sign_in") -> PasskeyQuestion:
    """What a passkey is asked at a sign-in, for an act of your own (a signature, say), or when it is added.

    It is for anybody: the answer, with the password, shows who you are.
    """
    response.headers.update(NO_STORE)
    challenge = passkeys.new_challenge(bank.secrets_of(SECRET), purpose, clock.now())
    return PasskeyQuestion(challenge=challenge, site=passkeys.Relying.of(bank.settings).name)


@router.get("/passkeys")
async def read_passkeys(claims: ClaimsDep, bank: BankDep) -> PasskeyList:
    """Your passkeys."""
    actor = await _own(bank, claims)
    return await bank.database.read(lambda s: own_passkeys(s, actor.code))


@router.post("/passkeys", status_code=201)
async def add_passkey_of_mine(new: NewPasskey, claims: ClaimsDep, bank: BankDep, request: Request) -> PasskeyPublic:
    """Add a passkey: from now on sign-ins and signatures need it, another one, or your app."""
    async with own_login(bank, claims.session_id, request.method, request.url.path) as (act, username):
        await prove_own_password(bank, username, new.password, claims.session_id, new.second_factor)
        return await bank.database.write(lambda s: add_passkey(s, act, new.credential))


@router.post("/passkeys/{passkey}/remove", status_code=204)
async def remove_passkey_of_mine(passkey: UUID, proof: OwnProof, claims: ClaimsDep, bank: BankDep, request: Request) -> None:
    """Take a passkey of yours away, with password and second factor."""
    async with own_login(bank, claims.session_id, request.method, request.url.path) as (act, username):
        await prove_own_password(bank, username, proof.password, claims.session_id, proof.second_factor)
        await bank.database.write(lambda s: remove_passkey(s, act, passkey))


@router.get("/sessions")
async def read_sessions(claims: ClaimsDep, bank: BankDep) -> SessionList:
    """Your open sign-ins, in browsers and in programs."""
    actor = await _own(bank, claims)
    return await bank.database.read(lambda s: open_sessions(s, actor.code, claims.session_id))


@router.post("/sessions/{session_id}/end", status_code=204)
async def end_session_of_mine(session_id: UUID, claims: ClaimsDep, bank: BankDep) -> None:
    """End one sign-in of yours; what is open there is refused from the next request on."""
    actor = await _own(bank, claims)
    await bank.database.write(lambda s: end_own_session(s, actor.code, session_id))


@router.post("/sessions/end-others")
async def end_sessions_of_mine(claims: ClaimsDep, bank: BankDep) -> SessionsEnded:
    """End every sign-in of yours but this one."""
    actor = await _own(bank, claims)
    return await bank.database.write(lambda s: end_other_sessions(s, actor.code, claims.session_id))


async def _own(bank: Bank, claims: Claims) -> Actor:
    actor, _username = await actor_of_session(bank, claims.session_id)
    require_own_password(actor)
    actor.require_full("see and change what opens your login")
    return actor


@keys_router.get("/.well-known/jwks.json")
async def read_keys(bank: BankDep, response: Response) -> dict[str, list[dict[str, str]]]:
    """The public keys under access tokens (RFC 7517)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return bank.tokens.jwks()
