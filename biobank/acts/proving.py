"""Proving a password inside the bank: at sign-in, under a signature, before a password is changed.

Under a session the throttle counts by session: a stolen one gives its thief a few guesses, and no stranger stops a signature.
"""

from dataclasses import replace
from uuid import UUID

from fastapi import Request, Response
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.signing import Meaning, SignatureToken, make_signature
from biobank.acts.web import require_own_password
from biobank.auth.actor import Actor
from biobank.auth.identity import load_actor
from biobank.auth.queries import username_of
from biobank.auth.service import PasswordCheck, WrongCredentials, prove_password
from biobank.auth.throttle import DEVICE_COOKIE, DEVICE_S, Asking, remembered
from biobank.foundation import clock
from biobank.foundation.config import Settings
from biobank.foundation.errors import NotPermitted


class WrongPassword(NotPermitted):
    """The password of the one who is signed in was wrong. Counted like a failed sign-in."""

    code = "wrong_password"
    title = "Wrong password"


def password_check_of(bank: Bank) -> PasswordCheck:
    """Return what `auth.service.prove_password` needs."""
    return PasswordCheck(bank.database, bank.secret("throttle"), bank.settings.login_attempts)


def device_cookie(settings: Settings) -> str:
    """Return the name of the cookie by which a device is known where somebody has signed in."""
    return f"__Host-{DEVICE_COOKIE}" if settings.secure_cookies else DEVICE_COOKIE


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
    """Return the actor behind a session and their login name; raise NotSignedIn."""

    def unit(session: Session) -> tuple[Actor, str]:
        actor = load_actor(session, session_id)
        return actor, username_of(session, actor.code)

    return await bank.database.read(unit)


async def prove_own_password(bank: Bank, username: str, password: str, session_id: UUID) -> None:
    """Prove that the one who is signed in as `username`, in this session, knows its password.

    Raises TooManyAttempts, and WrongPassword (403: the sign-in itself is still good).
    """
    try:
        await prove_password(password_check_of(bank), username, password, Asking(session=session_id))
    except WrongCredentials as error:
        raise WrongPassword("The password is wrong. Nothing was signed or changed.") from error


async def sign_act(
    bank: Bank, act: Act, session_id: UUID, username: str, password: str, meaning: Meaning, act_hash: bytes
) -> SignatureToken:
    """Sign `act_hash` as `act.actor`, who is signed in by this session under the login name `username`.

    Raises NotPermitted on a first-login password, TooManyAttempts, WrongPassword. For pages as well as for the API: a page
    computes the act hash of the request it is about to perform, signs it, and puts the token into that request.
    """
    require_own_password(act.actor)
    await prove_own_password(bank, username, password, session_id)
    return await bank.database.write(
        lambda s: make_signature(s, user=act.actor.code, meaning=meaning, act_hash=act_hash, at=clock.now())
    )


def act_of(act: Act, actor: Actor) -> Act:
    """Bind an act to its actor, without its idempotency key: what it answers is a credential and is never kept."""
    return replace(act, actor=actor, idempotency_key=None)
