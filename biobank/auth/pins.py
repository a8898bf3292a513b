"""PINs of badges: six to eight digits, good at stations only, kept as an Argon2id hash under the bank's secret.

A PIN has few values, so the hash alone would be searched in a day; it is encrypted under a secret that is not in the database.
After `ALLOWED` wrong ones for a badge at a station it opens nothing there until its owner has signed in with the password.
Wrong PINs are kept with the wrong passwords, by keyed hashes of their own: they never count against the owner's password.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, TypeGuard
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session

from biobank.auth.models import login_attempt as _attempt
from biobank.auth.models import user as _user
from biobank.auth.passwords import repeated
from biobank.auth.second_factor import bank_box
from biobank.auth.service import WINDOW
from biobank.auth.station_models import badge_failure as _failure
from biobank.auth.station_models import badge_pin as _pin
from biobank.auth.throttle import keyed_hash
from biobank.foundation.errors import Conflict, NotSignedIn, TooManyAttempts

SHORTEST, LONGEST = 6, 8
ALLOWED: Final = 5
"""Wrong PINs of one badge at one station."""
ALLOWED_OF_A_STATION: Final = 30
"""Wrong ones of all badges together at one station in ten minutes."""
WRONG: Final = "Badge or PIN is wrong, or this badge opens nothing here. After five wrong ones it needs a sign-in with password."

_find = (
    select(_user.c.code, _user.c.active, _user.c.must_change_password, _pin.c.pin)
    .outerjoin_from(_user, _pin, _pin.c.user_code == _user.c.code)
    .where(_user.c.code == bindparam("code"))
)
_wrong_here = select(func.count()).where(
    _attempt.c.address_hash == bindparam("here"), _attempt.c.at > bindparam("since"), _attempt.c.succeeded.is_(False)
)


class WrongPin(NotSignedIn):
    """The badge is nobody's here, or the PIN is not its own: the answer does not say which."""

    code = "wrong_pin"
    title = "Wrong badge or PIN"


class BadgeStopped(NotSignedIn):
    """Five wrong PINs were entered for this badge at this station. Its owner signs in with the password."""

    code = "badge_stopped"
    title = "This badge needs a full sign-in"


class WeakPin(Conflict):
    """The PIN is one of those that are tried first, or no PIN."""

    code = "weak_pin"
    title = "Choose another PIN"


class NoPin(Conflict):
    """The login has no PIN."""

    code = "no_pin"
    title = "No PIN"


@dataclass(frozen=True)
class Tried:
    """One entry of a PIN, written down as wrong before it is looked at. `stored`: the hash to compare with; None: none fits."""

    attempt: int
    code: str
    station: UUID
    stored: str | None = field(default=None, repr=False)
    kept: bytes | None = field(default=None, repr=False)


def require_good(pin: str) -> None:
    """Raise WeakPin unless it is six to eight digits that are no run and no repetition."""
    if re.fullmatch(rf"[0-9]{{{SHORTEST},{LONGEST}}}", pin) is None:
        raise WeakPin(f"A PIN has {SHORTEST} to {LONGEST} digits and nothing else.")
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if len(steps) == 1 or repeated(pin) != pin or len(set(pin)) < 3:
        raise WeakPin("Many people choose this one, so it is tried first. Choose digits that follow no rule.")


def keep_pin(session: Session, keys: Sequence[bytes], code: str, stored: str, at: datetime) -> None:
    """Keep the hash of a login's PIN in the place of the one before."""
    values = {"pin": bank_box(keys).encrypt(stored.encode()), "set_at": at}
    fresh = upsert(_pin).values(user_code=code, **values)
    session.execute(fresh.on_conflict_do_update(index_elements=["user_code"], set_=values))
    forgive(session, code)


def remove_pin(session: Session, code: str) -> bool:
    """Take the PIN of a login away; return whether there was one."""
    forgive(session, code)
    return session.execute(delete(_pin).where(_pin.c.user_code == code).returning(_pin.c.user_code)).first() is not None


def pin_set_at(session: Session, code: str) -> datetime | None:
    """Return since when a login has its PIN; None when it has none."""
    return session.execute(select(_pin.c.set_at).where(_pin.c.user_code == code)).scalar()


def forgive(session: Session, code: str) -> None:
    """Forget the wrong PINs of a login whose owner has just proved the password."""
    session.execute(delete(_failure).where(_failure.c.user_code == code))


def begin(session: Session, station: "Row[Any]", code: str, keys: Sequence[bytes], throttle: bytes, at: datetime) -> Tried:
    """Write an entry of a PIN down as wrong, at a station whose row is locked; return what to compare it with.

    Raises TooManyAttempts when too many were wrong at this station, BadgeStopped when they were of this badge.
    """
    here = keyed_hash(throttle, "station", str(station.id))
    if session.execute(_wrong_here, {"here": here, "since": at - WINDOW}).scalar_one() >= ALLOWED_OF_A_STATION:
        wait = int(WINDOW.total_seconds())
        said = "Too many wrong PINs were entered at this station. Sign in with your password, or try again in ten minutes."
        raise TooManyAttempts(said, retry_after_s=wait)
    row = session.execute(_find, {"code": code}).first()
    if row is not None:
        counted = upsert(_failure).values(user_code=code, station_id=station.id, failures=1)
        more = counted.on_conflict_do_update(
            index_elements=["user_code", "station_id"], set_={"failures": _failure.c.failures + 1}
        )
        if session.execute(more.returning(_failure.c.failures)).scalar_one() > ALLOWED:
            raise BadgeStopped(
                "Five wrong PINs were entered for this badge here. Sign in with your password once, then it opens again."
            )
    values = {
        "name_hash": keyed_hash(throttle, "badge", str(station.id), code),
        "address_hash": here,
        "at": at,
        "succeeded": False,
    }
    attempt = session.execute(insert(_attempt).values(values).returning(_attempt.c.id)).scalar_one()
    if not _may_open(row):
        return Tried(attempt, code, station.id)
    return Tried(attempt, code, station.id, bank_box(keys).decrypt(row.pin).decode(), row.pin)


def _may_open(row: "Row[Any] | None") -> "TypeGuard[Row[Any]]":
    return row is not None and row.pin is not None and row.active and not row.must_change_password


def succeed(session: Session, tried: Tried) -> None:
    """Note that the PIN was right; raise WrongPin when it was replaced, or the login shut, since it was compared."""
    row = session.execute(_find.with_for_update(read=True, of=_user), {"code": tried.code}).first()
    if not _may_open(row) or row.pin != tried.kept:
        raise WrongPin(WRONG)
    session.execute(update(_attempt).where(_attempt.c.id == tried.attempt).values(succeeded=True))
    session.execute(delete(_failure).where(_failure.c.user_code == tried.code, _failure.c.station_id == tried.station))


def encrypt_anew(session: Session, keys: Sequence[bytes]) -> list[str]:
    """Put every PIN under the newest of the bank's secrets; return whose they are. Harmless to repeat."""
    rows = session.execute(select(_pin.c.user_code, _pin.c.pin).with_for_update()).all()
    for row in rows:
        session.execute(update(_pin).where(_pin.c.user_code == row.user_code).values(pin=bank_box(keys).rotate(row.pin)))
    return [row.user_code for row in rows]
