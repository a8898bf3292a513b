"""Stations: browsers that stand at a workstation, each known by a cookie that is drawn anew at every sign-in there.

The cookie holds 256 random bits; the table holds their SHA-256. With each sign-in the browser is given the next cookie, and
showing that one makes it the station's. One from before that is shown again was copied, so that two have it: the station ends,
for both. A lost answer does no harm, as the cookie before it counts until its successor was shown. A session by badge goes on
only with the very cookie that was given with it: a copy of either alone is worth nothing elsewhere.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, bindparam, or_, select, update
from sqlmodel import Session

from biobank.auth.models import login_session as _session
from biobank.auth.service import new_secret, secret_hash
from biobank.auth.station_models import station as _station
from biobank.foundation.errors import NotPermitted

COOKIE: Final = "station"
COOKIES: Final = (f"__Host-{COOKIE}", COOKIE)
"""Its name where cookies are secure, and where they are not."""
STATION_S: Final = 400 * 24 * 3600
"""The longest that browsers keep a cookie."""

_by_cookie = select(_station).where(
    or_(
        _station.c.secret_hash == bindparam("shown"),
        _station.c.next_hash == bindparam("shown"),
        _station.c.prior_hash == bindparam("shown"),
    ),
    _station.c.ended_at.is_(None),
)


class NoStation(NotPermitted):
    """This browser is enrolled at no workstation, or not any more: nobody signs in by badge here."""

    code = "no_station"
    title = "Not a station"


def station_of(session: Session, cookie: str | None, *, lock: bool = False) -> "Row[Any] | None":
    """Return the station whose cookie a browser shows, that of before included (see `was_copied`); None when there is none."""
    if cookie is None:
        return None
    statement = _by_cookie.with_for_update() if lock else _by_cookie
    return session.execute(statement, {"shown": secret_hash(cookie)}).first()


def was_copied(row: "Row[Any]", cookie: str) -> bool:
    """Say whether the cookie is one that the station's browser has replaced: somebody else has it."""
    return bool(row.prior_hash == secret_hash(cookie))


def next_cookie(session: Session, row: "Row[Any]", cookie: str) -> str:
    """Give the station, whose row is locked and which showed this cookie, its next one."""
    fresh, shown = new_secret(), secret_hash(cookie)
    values: dict[str, Any] = {"next_hash": secret_hash(fresh)}
    if row.next_hash == shown:
        values |= {"secret_hash": shown, "prior_hash": row.secret_hash}
    session.execute(update(_station).where(_station.c.id == row.id).values(values))
    return fresh


def end_sessions_at(session: Session, station: UUID, at: datetime, *, because: str) -> None:
    """End whoever is signed in at a station."""
    here = _session.c.station_id == station, _session.c.revoked_at.is_(None)
    session.execute(update(_session).where(*here).values(revoked_at=at, revoked_because=because))


def end_sessions_at_workstation(session: Session, workstation: str, at: datetime) -> None:
    """End whoever is signed in at a workstation that was taken out of use."""
    for found in session.execute(select(_station.c.id).where(_station.c.workstation == workstation)).scalars():
        end_sessions_at(session, found, at, because="workstation_retired")


def end_badge_sessions_of(session: Session, code: str, at: datetime, *, because: str) -> None:
    """End whatever somebody has open by badge, at whichever station."""
    own = _session.c.user_code == code, _session.c.station_id.is_not(None), _session.c.revoked_at.is_(None)
    session.execute(update(_session).where(*own).values(revoked_at=at, revoked_because=because))
