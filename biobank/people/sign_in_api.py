"""Routes of signing in. They take no Idempotency-Key: an answer that is a credential must never be kept."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act
from biobank.acts.proving import actor_of_session, asking_of, password_check_of, prove_own_password, remember_device
from biobank.acts.web import BankDep, ClaimsDep
from biobank.auth.identity import load_actor
from biobank.auth.passwords import hash_password, require_strong
from biobank.auth.schemas import PasswordChange, PasswordGrant, RefreshRequest, TokenAnswer
from biobank.auth.service import end_session, open_token_session, prove_password, refresh_tokens
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
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
    proven = await prove_password(password_check_of(bank), form.username, form.password, asking)
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
    await bank.database.write(lambda s: end_session(s, claims.session_id, clock.now(), because="signed_out"))


@router.get("/me")
async def read_me(claims: ClaimsDep, bank: BankDep) -> Me:
    """Who is signed in, and what they may do. Answers also while the first password is still to be changed."""
    return await bank.database.read(lambda s: describe_me(s, load_actor(s, claims.session_id), bank.keystore))


@router.post("/password", status_code=204)
async def change_password(change: PasswordChange, claims: ClaimsDep, bank: BankDep, request: Request) -> None:
    """Change your own password. Every other session of yours ends."""
    actor, username = await actor_of_session(bank, claims.session_id)
    act = Act(actor=actor, bank=bank, keystore=bank.keystore, method=request.method, path=request.url.path)
    try:
        require_strong(change.new_password, username, unlike=change.password)
        await prove_own_password(bank, username, change.password, claims.session_id)
        fresh = await hash_password(change.new_password)
        await bank.database.write(lambda s: change_own_password(s, act, fresh, claims.session_id))
    except Refusal as error:
        refusal = error
        await bank.database.write(lambda s: answers_and_attempts.keep_attempt(s, act, refusal, evidence=False))
        raise


@keys_router.get("/.well-known/jwks.json")
async def read_keys(bank: BankDep, response: Response) -> dict[str, list[dict[str, str]]]:
    """The public keys under access tokens (RFC 7517)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return bank.tokens.jwks()
