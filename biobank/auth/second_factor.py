"""The second factor: the six digits of an authenticator app (TOTP, RFC 6238: SHA-1, 30 s) beside the password.

Its secret is shown once to its owner, and kept encrypted under the bank's secret `second-factor`. A code counts in its own 30
seconds and in those before and after them, and works once: the step that was used is kept, and earlier ones are refused with it.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest

import pyotp
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.auth.models import second_factor as _factor
from biobank.foundation.errors import Conflict, NotPermitted

SECRET = "second-factor"  # noqa: S105  (the name of a file)
"""Of the bank: under it lies what opens a login and is kept."""
DRIFT_STEPS = 1


class SecondFactorNeeded(NotPermitted):
    """The password is right; this login also asks for the code of its app."""

    code = "second_factor_needed"
    title = "Enter the code of your app too"


class WrongSecondFactor(NotPermitted):
    """The code is wrong, too old, or was used before. Counted like a wrong password."""

    code = "second_factor_wrong"
    title = "Code not accepted"


class SecondFactorNotSetUp(NotPermitted):
    """A role of this login may sign only with a second factor, and none is set up."""

    code = "second_factor_not_set_up"
    title = "Set up a second factor first"


class SecondFactorStands(Conflict):
    """A second factor is set up already."""

    code = "second_factor_stands"
    title = "Already set up"


class NoSecondFactor(Conflict):
    """There is nothing to confirm or to remove."""

    code = "second_factor_missing"
    title = "No second factor"


def typed_step(keys: Sequence[bytes], secret: bytes, code: str | None, at: datetime) -> int:
    """Return the step whose code was typed, given the encrypted secret; `use_step` then says whether it was used before.

    Raises SecondFactorNeeded without a code, WrongSecondFactor when it is of no step near `at`.
    """
    typed = "".join((code or "").split())
    if not typed:
        raise SecondFactorNeeded("Your password is right. Enter the six digits that your authenticator app shows now as well.")
    totp = pyotp.TOTP(bank_box(keys).decrypt(secret).decode())
    now = totp.timecode(at)
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if compare_digest(totp.generate_otp(step).encode(), typed.encode(errors="replace")):
            return step
    raise WrongSecondFactor("The code is wrong or too old. Wait for the next one that your app shows.")


def use_step(session: Session, user: str, step: int) -> None:
    """Write down that a step was used; raise WrongSecondFactor when another request used it, or a later one, first."""
    statement = update(_factor).where(_factor.c.user_code == user, _factor.c.last_step < step).values(last_step=step)
    if session.execute(statement.returning(_factor.c.user_code)).first() is None:
        raise WrongSecondFactor("The code was used before. Wait for the next one that your app shows.")


def begin(session: Session, keys: Sequence[bytes], user: str, issuer: str, username: str, at: datetime) -> tuple[str, str]:
    """Make a secret that counts once it is confirmed; return it and the address that apps read (`otpauth://`).

    Raises SecondFactorStands.
    """
    secret = pyotp.random_base32()
    values = {"secret": bank_box(keys).encrypt(secret.encode()), "created_at": at, "last_step": 0}
    made = (
        insert(_factor)
        .values(user_code=user, **values)
        .on_conflict_do_update(index_elements=["user_code"], set_=values, where=_factor.c.confirmed_at.is_(None))
        .returning(_factor.c.user_code)
    )
    if session.execute(made).first() is None:
        raise SecondFactorStands("A second factor is set up for your login. Remove it before you set up another.")
    return secret, pyotp.TOTP(secret, name=username, issuer=issuer).provisioning_uri()


def confirm(session: Session, keys: Sequence[bytes], user: str, code: str, at: datetime) -> None:
    """Let a secret count, once its owner has typed a code of it. Raises NoSecondFactor, SecondFactorStands, WrongSecondFactor."""
    row = session.execute(_find, {"user": user}).first()
    if row is None:
        raise NoSecondFactor("Nothing waits to be confirmed. Begin again on your account page.")
    if row.confirmed_at is not None:
        raise SecondFactorStands("This second factor was confirmed before.")
    step = typed_step(keys, row.secret, code, at)
    session.execute(update(_factor).where(_factor.c.user_code == user).values(confirmed_at=at, last_step=step))


def remove(session: Session, user: str) -> bool:
    """Take a second factor away; return whether there was a confirmed one."""
    gone = session.execute(delete(_factor).where(_factor.c.user_code == user).returning(_factor.c.confirmed_at)).first()
    return gone is not None and gone.confirmed_at is not None


def set_up_at(session: Session, user: str) -> datetime | None:
    """Return since when a login has a second factor; None when it has none."""
    row = session.execute(_find, {"user": user}).first()
    return None if row is None else row.confirmed_at


_find = select(_factor).where(_factor.c.user_code == bindparam("user"))


def encrypt_anew(session: Session, keys: Sequence[bytes]) -> list[str]:
    """Put every second factor under the newest of the bank's secrets; return whose they are. Harmless to repeat."""
    rows = session.execute(select(_factor.c.user_code, _factor.c.secret).with_for_update()).all()
    for row in rows:
        fresh = bank_box(keys).rotate(row.secret)
        session.execute(update(_factor).where(_factor.c.user_code == row.user_code).values(secret=fresh))
    return [row.user_code for row in rows]


def bank_box(keys: Sequence[bytes]) -> MultiFernet:
    """Encrypt under the first of the bank's secrets, decrypt under any."""
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key[:32])) for key in keys])
