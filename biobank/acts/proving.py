"""Proving a password inside the bank: at sign-in, under a signature, before a password is changed.

Under a session the throttle counts by session: a stolen one gives its thief a few guesses, and no stranger stops a signature.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlmodel import Session

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.signing import Meaning, SignatureToken, make_signature
from biobank.acts.web import require_own_password, require_person
from biobank.auth.actor import Actor
from biobank.auth.identity import load_actor
from biobank.auth.passkeys import Relying
from biobank.auth.queries import username_of
from biobank.auth.second_factor import SECRET, SecondFactorNotSetUp
from biobank.auth.service import PasswordCheck, Proven, WrongCredentials, prove_password, require_standing
from biobank.auth.throttle import DEVICE_COOKIES, DEVICE_S, Asking, remembered
from biobank.foundation import clock
from biobank.foundation.config import Settings
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.foundation.from_above import FromAbove


class PasskeyNeeded(NotPermitted):
    """A role of this login signs with a passkey only, and none answered."""

    code = "passkey_needed"
    title = "Sign with a passkey"


class WrongPassword(NotPermitted):
    """The password of the one who is signed in was wrong. Counted like a failed sign-in."""

    code = "wrong_password"
    title = "Wrong password"


credentials_changed: FromAbove[Callable[[Session, Act, str], Any]] = FromAbove("people")
"""Tells the log that what opens a login is stored otherwise now."""


def password_check_of(bank: Bank) -> PasswordCheck:
    """Return what `auth.service.prove_password` needs."""
    throttle, factors = bank.secret("throttle"), bank.secrets_of(SECRET)

    def hashed_anew(session: Session, user: str) -> None:
        credentials_changed.get()(session, Act.system(bank, path="sign-in/hashed-anew"), user)

    relying = Relying.of(bank.settings)
    return PasswordCheck(bank.database, throttle, bank.settings.login_attempts, factors, hashed_anew, relying)


def device_cookie(settings: Settings) -> str:
    """Return the name of the cookie by which a device is known where somebody has signed in."""
    return DEVICE_COOKIES[0 if settings.secure_cookies else 1]


def asking_of(request: Request, settings: Settings) -> Asking:
    """Say what asks for a sign-in: the device by its cookie, and its address."""
    address = None if request.client is None else request.client.host
    return Asking(cookie=request.cookies.get(device_cookie(settings)), address=address)


def remember_device(request: Request, response: Response, bank: Bank, username: str) -> None:
    """Let this device be known as one where the login has proved its password."""
    name = device_cookie(bank.settings)
    value = remembered(bank.secret("throttle"), username, request.cookies.get(name))
    secure = bank.settings.secure_cookies
    response.set_cookie(name, value, max_age=DEVICE_S, path="/", secure=secure, httponly=True, samesite="lax")


async def actor_of_session(bank: Bank, session_id: UUID) -> tuple[Actor, str]:
    """Return the actor behind a session and their login name; raise NotSignedIn, PersonNeeded."""

    def unit(session: Session) -> tuple[Actor, str]:
        actor = load_actor(session, session_id)
        require_person(actor)
        return actor, username_of(session, actor.code)

    return await bank.database.read(unit)


async def prove_own_password(
    bank: Bank, username: str, password: str, session_id: UUID, second: str | None = None, *, alone: bool = False
) -> Proven:
    """Prove that the one who is signed in as `username`, in this session, knows its password, and has its second factor.

    Raises TooManyAttempts, WrongPassword (403: the sign-in itself is still good), SecondFactorNeeded and WrongSecondFactor.
    """
    try:
        return await prove_password(password_check_of(bank), username, password, Asking(session=session_id), second, alone=alone)
    except WrongCredentials as error:
        raise WrongPassword("The password is wrong. Nothing was signed or changed.") from error


async def sign_act(
    bank: Bank,
    act: Act,
    session_id: UUID,
    username: str,
    password: str,
    meaning: Meaning,
    act_hash: bytes,
    second: str | None = None,
) -> SignatureToken:
    """Sign `act_hash` as `act.actor`, who is signed in by this session under the login name `username`.

    Raises NotPermitted on a first-login password, TooManyAttempts, WrongPassword, SecondFactorNeeded, WrongSecondFactor,
    WrongCredentials when the password was replaced meanwhile, NoPersonalKey, and where a role of the actor signs
    FullSignInNeeded of who signed in by badge, and where a role of the actor signs
    with two factors only SecondFactorNotSetUp (`second_factor_roles`), PasskeyNeeded (`passkey_roles`).

    For pages as well as for the API: a page computes the act hash of the request it is about to perform, signs it, and puts the
    token into that request.
    """
    require_own_password(act.actor)
    act.actor.require_full("sign")
    proven = await prove_own_password(bank, username, password, session_id, second)
    if not proven.twice and (needed := act.actor.roles & bank.settings.roles_of_two_factors):
        raise SecondFactorNotSetUp(
            f"Who acts as {', '.join(sorted(needed))} signs with a second factor. Set one up on your account page, then sign."
        )

    if not proven.passkey and (needed := act.actor.roles & bank.settings.roles_of_passkeys):
        raise PasskeyNeeded(
            f"Who acts as {', '.join(sorted(needed))} signs with a passkey. Add one on your account page, then sign with it."
        )

    def unit(session: Session) -> SignatureToken:
        require_standing(session, proven)
        user, at = act.actor.code, clock.now()
        return make_signature(session, user=user, meaning=meaning, act_hash=act_hash, at=at, unlocks=proven.unlocks)

    return await bank.database.write(unit)


def act_of(act: Act, actor: Actor) -> Act:
    """Bind an act to its actor, without its idempotency key: what it answers is a credential and is never kept."""
    return replace(act, actor=actor, idempotency_key=None)


@asynccontextmanager
async def own_login(
    bank: Bank, session_id: UUID, method: str, path: str, *, first: bool = False
) -> AsyncIterator[tuple[Act, str]]:
    """Give the act and the login name of someone who changes what their own login rests on; a refusal is kept as an attempt.

    Raises NotPermitted while the password is another's, unless it is the `first` password that is being chosen.
    """
    actor, username = await actor_of_session(bank, session_id)
    if not first:
        require_own_password(actor)
    actor.require_full("change what opens your login")
    act = Act(actor=actor, bank=bank, keystore=bank.keystore, method=method, path=path)
    try:
        yield act, username
    except Refusal as error:
        refusal = error
        await bank.database.write(lambda s: answers_and_attempts.keep_attempt(s, act, refusal, evidence=False))
        raise
