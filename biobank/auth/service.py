"""Signing in: the password is proved, a session is opened, tokens are handed out, exchanged and revoked.

A session lives `refresh_token_s` (a working day) from the sign-in and is not prolonged by a refresh: at the end of the day a
person proves again who they are. Every refresh token works once. A second use means that two parties hold it, so the whole
session ends, for the thief and for the owner, who signs in again. No grace is given for a lost answer: a grace would be the
thief's too.
"""

import base64
import hashlib
import math
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID, uuid4

from sqlalchemy import and_, bindparam, func, insert, select, text, update
from sqlmodel import Session

from biobank.auth import one_time, passkeys, personal_keys, second_factor
from biobank.auth.models import RefreshToken
from biobank.auth.models import login_attempt as _attempt
from biobank.auth.models import login_session as _session
from biobank.auth.models import passkey as _passkey
from biobank.auth.models import second_factor as _factor
from biobank.auth.models import user as _user
from biobank.auth.passwords import Hashed, Verified, verify_password
from biobank.auth.schemas import TokenAnswer
from biobank.auth.throttle import ADDRESS_FACTOR, Asking, Counted, counted
from biobank.auth.tokens import TokenRing
from biobank.foundation import clock
from biobank.foundation.db import Database, table_of
from biobank.foundation.errors import NotSignedIn, Refused, TooManyAttempts

WINDOW = timedelta(minutes=10)
USERNAME = re.compile(r"^[a-z][a-z0-9._-]{1,39}$")
TOKEN_BYTES = 32
WRONG = "Login name or password is wrong, or the login is not active."

_FROM_HERE = "Too many wrong passwords were entered here. Try again in {wait} seconds, or ask an administrator."
_BY_NAME = (
    "Too many wrong passwords for this login, from devices where it had not signed in before. Use a device where you have signed "
    "in, go on where you are signed in now, or try again here in {wait} seconds."
)
_BY_ADDRESS = (
    "Too many wrong passwords from this part of the network. Use a device where you have signed in before, or try again in "
    "{wait} seconds."
)

_refresh = table_of(RefreshToken)

_find_login = (
    select(
        _user.c.code,
        _user.c.password_hash,
        _user.c.active,
        _user.c.must_change_password,
        _user.c.code_expires_at,
        _factor.c.secret,
        select(_passkey.c.id).where(_passkey.c.user_code == _user.c.code).exists().label("passkeys"),
    )
    .outerjoin_from(_user, _factor, and_(_factor.c.user_code == _user.c.code, _factor.c.confirmed_at.is_not(None)))
    .where(_user.c.username == bindparam("username"))
)
_still_stands = (
    select(_user.c.code)
    .where(_user.c.code == bindparam("code"), _user.c.password_hash == bindparam("stored"), _user.c.active)
    .with_for_update(read=True)
)
_failures = (
    select(_attempt.c.at)
    .where(_attempt.c.name_hash == bindparam("name_hash"), _attempt.c.at > bindparam("since"), _attempt.c.succeeded.is_(False))
    .order_by(_attempt.c.at.desc())
    .limit(bindparam("limit"))
)
_address_failures = (
    select(_attempt.c.at)
    .where(
        _attempt.c.address_hash == bindparam("address_hash"), _attempt.c.at > bindparam("since"), _attempt.c.succeeded.is_(False)
    )
    .order_by(_attempt.c.at.desc())
    .limit(bindparam("limit"))
)
_one_at_a_time = text("SELECT pg_advisory_xact_lock(:key)")
_find_refresh = (
    select(
        _refresh.c.session_id,
        _refresh.c.used_at,
        _refresh.c.expires_at,
        _session.c.revoked_at,
        _session.c.expires_at.label("session_expires_at"),
        _user.c.code,
        _user.c.active,
        _user.c.must_change_password,
    )
    .join_from(_refresh, _session, _session.c.id == _refresh.c.session_id)
    .join(_user, _user.c.code == _session.c.user_code)
    .where(_refresh.c.token_hash == bindparam("token_hash"))
    .with_for_update(of=_refresh)
)


class WrongCredentials(NotSignedIn):
    """No such login, a wrong password, or a login that is not active: the answer does not say which."""

    code = "wrong_credentials"
    title = "Wrong login or password"


class RefreshTokenInvalid(NotSignedIn):
    """The refresh token is unknown, too old, or its session has ended."""

    code = "refresh_token_invalid"
    title = "Refresh token not valid"


class RefreshTokenReused(NotSignedIn):
    """The refresh token was used before: two parties hold it, so its session has been ended."""

    code = "refresh_token_reused"
    title = "Refresh token used twice"


@dataclass(frozen=True)
class PasswordCheck:
    """What proving a password needs: the database, how many failures are allowed, the keys of the throttle and second factors.

    `hashed_anew` tells the log of a hash that was replaced because the way of hashing has changed.
    """

    database: Database
    throttle_key: bytes
    failures_allowed: int
    second_factor_keys: tuple[bytes, ...]
    hashed_anew: Callable[[Session, str], None]
    relying: passkeys.Relying


@dataclass(frozen=True)
class Proven:
    """A login whose password, or one-time code, was just proved against the hash `stored`; `twice`: with a second factor,
    `passkey`: which was a passkey.

    `unlocks`: what opens the login's personal key; None after a hash from before there were any.
    """

    user: str
    must_change_password: bool
    stored: str
    twice: bool
    unlocks: bytes | None = field(default=None, repr=False)
    passkey: bool = False


@dataclass(frozen=True)
class _Begun:
    attempt: int
    user: str | None
    password_hash: str | None
    active: bool = False
    must_change_password: bool = False
    takes_code: bool = False
    second_secret: bytes | None = None
    passkeys: bool = False


async def prove_password(
    check: PasswordCheck, username: str, password: str, asking: Asking, second: str | None = None, *, alone: bool = False
) -> Proven:
    """Prove that `password` belongs to the active login `username`. A one-time code proves it until it lapses.

    A login with a second factor also needs `second`, the code of its app or the answer of a passkey, but where the password
    `alone` is asked: to go on where both were proved before. Raises SecondFactorNeeded, WrongSecondFactor, PasskeyNotAccepted.

    Raises TooManyAttempts (429) when `failures_allowed` wrong passwords were tried within ten minutes by what asks
    (`auth/throttle.py`), whether or not such a login exists, SignInBusy (503) and WrongCredentials (401). The attempt is written
    down as failed before the password is looked at, so that a hundred guesses at once are not a hundred free ones.
    """
    name = username.casefold()
    tries = counted(check.throttle_key, name, asking)
    with tries.lane.place():
        begun = await check.database.write(lambda s: _begin(s, check, name, tries, clock.now()))
        typed = one_time.as_typed(password) if begun.takes_code else password
        verified = await verify_password(typed, begun.password_hash, tries.lane.executor)
    if not verified.genuine or not begun.active or begun.user is None or begun.password_hash is None:
        raise WrongCredentials(WRONG)
    step: int | None = None
    answer: str | None = None
    try:
        if begun.passkeys and not alone:
            passkeys.require_answer(second, app=begun.second_secret is not None)
            answer = second if passkeys.is_answer(second) else None
        if begun.second_secret is not None and answer is None and not alone:
            step = second_factor.typed_step(check.second_factor_keys, begun.second_secret, second, clock.now())
    except second_factor.SecondFactorNeeded:
        # A right password is no guess, and whoever did not know of the second field types it again.
        await check.database.write(lambda s: _succeed(s, check, begun, verified, None))
        raise
    purpose: passkeys.Purpose = "sign_in" if asking.session is None else "own"

    def unit(session: Session) -> None:
        if answer is not None:
            keys, at = check.second_factor_keys, clock.now()
            passkeys.use(session, keys, check.relying, str(begun.user), answer, purpose, at)
        _succeed(session, check, begun, verified, step)

    await check.database.write(unit)
    fresh = verified.rehashed or Hashed(begun.password_hash, verified.unlocks or b"")
    twice = step is not None or answer is not None
    return Proven(begun.user, begun.must_change_password, fresh.stored, twice, fresh.unlocks or None, answer is not None)


def require_standing(session: Session, proven: Proven) -> None:
    """Lock the login and raise WrongCredentials when what was proved has been replaced, or the login shut, since.

    Else a password that was proved a moment before its reset would open a session that the reset never ended.
    """
    if session.execute(_still_stands, {"code": proven.user, "stored": proven.stored}).first() is None:
        raise WrongCredentials(WRONG)


def _begin(session: Session, check: PasswordCheck, name: str, tries: Counted, at: datetime) -> _Begun:
    session.execute(_one_at_a_time, {"key": int.from_bytes(tries.by[:8], "big", signed=True)})
    since, most = at - WINDOW, check.failures_allowed
    failures = session.scalars(_failures, {"name_hash": tries.by, "since": since, "limit": most}).all()
    if len(failures) >= most:
        _slow_down(failures[-1], at, _FROM_HERE if tries.known else _BY_NAME)
    if tries.address is not None:
        most *= ADDRESS_FACTOR
        failures = session.scalars(_address_failures, {"address_hash": tries.address, "since": since, "limit": most}).all()
        if len(failures) >= most:
            _slow_down(failures[-1], at, _BY_ADDRESS)
    values = {"name_hash": tries.by, "address_hash": tries.address, "at": at, "succeeded": False}
    attempt = session.execute(insert(_attempt).values(values).returning(_attempt.c.id)).scalar_one()
    # A name outside the grammar belongs to nobody and might hold what PostgreSQL cannot take.
    row = session.execute(_find_login, {"username": name}).first() if USERNAME.match(name) else None
    if row is None:
        return _Begun(attempt, None, None)
    lapsed = row.code_expires_at is not None and row.code_expires_at <= at
    stored = None if lapsed else row.password_hash
    return _Begun(
        attempt, row.code, stored, row.active, row.must_change_password, row.code_expires_at is not None, row.secret, row.passkeys
    )


def _slow_down(oldest: datetime, at: datetime, words: str) -> NoReturn:
    wait = max(1, math.ceil((oldest + WINDOW - at).total_seconds()))
    raise TooManyAttempts(words.format(wait=wait), retry_after_s=wait)


def _succeed(session: Session, check: PasswordCheck, begun: _Begun, verified: Verified, step: int | None) -> None:
    user = str(begun.user)
    if step is not None:
        second_factor.use_step(session, user, step)
    session.execute(update(_attempt).where(_attempt.c.id == begun.attempt).values(succeeded=True))
    if verified.rehashed is not None:
        stands = _user.c.code == begun.user, _user.c.password_hash == begun.password_hash
        fresh = update(_user).where(*stands).values(password_hash=verified.rehashed.stored).returning(_user.c.code)
        if session.execute(fresh).first() is not None:
            if verified.unlocks is not None:
                personal_keys.rewrap(session, user, verified.unlocks, verified.rehashed.unlocks)
            check.hashed_anew(session, user)


def open_token_session(session: Session, ring: TokenRing, proven: Proven, at: datetime, lifetime_s: int) -> TokenAnswer:
    """Open a session for a login whose password was just proved and return its first tokens. Raises WrongCredentials."""
    require_standing(session, proven)
    session_id = uuid4()
    ends = at + timedelta(seconds=lifetime_s)
    session.execute(
        insert(_session).values(
            id=session_id, user_code=proven.user, kind="token", created_at=at, last_seen_at=at, expires_at=ends
        )
    )
    return _tokens(session, ring, proven.user, session_id, at, ends, proven.must_change_password)


def refresh_tokens(session: Session, ring: TokenRing, token: str, at: datetime) -> TokenAnswer | Refused:
    """Exchange a refresh token for new tokens.

    A second use returns `Refused(RefreshTokenReused)`, so that the end of the session commits. Raises RefreshTokenInvalid.
    """
    row = session.execute(_find_refresh, {"token_hash": secret_hash(token)}).first()
    if row is None:
        raise RefreshTokenInvalid("This refresh token is not known. Sign in again.")
    if row.used_at is not None:
        end_session(session, row.session_id, at, because="refresh_token_reused")
        return Refused(
            RefreshTokenReused("This refresh token was used before, so the session has been ended for everyone. Sign in again.")
        )
    if row.revoked_at is not None or min(row.expires_at, row.session_expires_at) <= at or not row.active:
        raise RefreshTokenInvalid("This session has ended. Sign in again.")
    session.execute(update(_refresh).where(_refresh.c.token_hash == secret_hash(token)).values(used_at=at))
    session.execute(update(_session).where(_session.c.id == row.session_id).values(last_seen_at=at))
    return _tokens(session, ring, row.code, row.session_id, at, row.session_expires_at, row.must_change_password)


def end_session(session: Session, session_id: UUID, at: datetime, *, because: str) -> None:
    """End one session. Its access tokens are refused from the next request on. Idempotent."""
    session.execute(
        update(_session)
        .where(_session.c.id == session_id, _session.c.revoked_at.is_(None))
        .values(revoked_at=at, revoked_because=because)
    )


def end_sessions_of(session: Session, user: str, at: datetime, *, because: str, but: UUID | None = None) -> int:
    """End every open session of `user`, tokens and pages, but not `but`; return how many."""
    statement = update(_session).where(_session.c.user_code == user, _session.c.revoked_at.is_(None), _session.c.expires_at > at)
    if but is not None:
        statement = statement.where(_session.c.id != but)
    ended = session.execute(statement.values(revoked_at=at, revoked_because=because).returning(_session.c.id))
    return len(ended.all())


def new_secret() -> str:
    """Return 256 random bits, base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()


def secret_hash(secret: str) -> bytes:
    """Return what is stored of a random secret. It has 256 bits, so a plain SHA-256 cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _tokens(
    session: Session, ring: TokenRing, user: str, session_id: UUID, at: datetime, ends: datetime, must_change: bool
) -> TokenAnswer:
    access, lifetime = ring.issue(user, session_id)
    fresh = new_secret()
    row: dict[str, Any] = {"token_hash": secret_hash(fresh), "session_id": session_id, "issued_at": at, "expires_at": ends}
    session.execute(insert(_refresh).values(**row))
    return TokenAnswer(
        access_token=access,
        expires_in=lifetime,
        refresh_token=fresh,
        refresh_expires_in=int((ends - at).total_seconds()),
        must_change_password=must_change,
    )


def forget_old(session: Session, before: datetime) -> int:
    """Delete sign-in attempts and refresh tokens from before `before`; return how many rows. For the worker."""
    attempts = session.execute(_attempt.delete().where(_attempt.c.at < before).returning(_attempt.c.id)).all()
    tokens = session.execute(
        _refresh.delete().where(_refresh.c.expires_at < before).returning(func.length(_refresh.c.token_hash))
    )
    return len(attempts) + len(tokens.all())
