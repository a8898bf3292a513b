"""Sessions of the pages: a random cookie, a row in the database, the same Actor as a token gives.

The cookie holds 256 random bits; the row holds their SHA-256, so a stolen table opens no session. A page session ends after
`session_s`, at sign-out, when the login is deactivated or its password changes, and it locks when nobody has used it for
`idle_lock_s`: at a shared bench an open page is someone else's signature waiting to happen.
"""

import hmac
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, bindparam, case, exists, func, insert, or_, select, update
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.identity import IDENTITY_COLUMNS, actor_of, identity_from, idle_since
from biobank.auth.models import login_session as _session
from biobank.auth.models import passkey as _passkey
from biobank.auth.models import preferences as _own
from biobank.auth.models import second_factor as _factor
from biobank.auth.models import site, user
from biobank.auth.models import user_role as _role
from biobank.auth.service import end_session, new_secret, secret_hash
from biobank.auth.station_models import station as _station
from biobank.auth.stations import end_sessions_at
from biobank.foundation import clock
from biobank.foundation.errors import NotPermitted, NotSignedIn

TOUCH_EVERY = timedelta(minutes=1)
LANGUAGE = "en"
BELL = frozenset({"due", "expected"})
"""What the bell counts, besides what presses, of somebody who has not chosen."""

# The zone of a person's first site; of whoever holds a role everywhere that of all sites, where they have one.
_own_site = (
    select(case((func.bool_and(_role.c.site_code.is_not(None)), func.min(_role.c.site_code))))
    .where(_role.c.user_code == user.c.code)
    .correlate(user)  # Two levels down it is not correlated by itself, and would ask everybody's roles.
    .scalar_subquery()
)
_own_zone = select(site.c.timezone).where(site.c.code == _own_site).scalar_subquery()
_one_zone = select(func.min(site.c.timezone)).having(func.count(site.c.timezone.distinct()) == 1).scalar_subquery()
_zone = func.coalesce(_own_zone, _one_zone).label("site_zone")
_has_app = exists().where(_factor.c.user_code == user.c.code, _factor.c.confirmed_at.is_not(None))
_has_factor = or_(_has_app, exists().where(_passkey.c.user_code == user.c.code)).label("second_factor")
_find = (
    select(
        *IDENTITY_COLUMNS,
        *(_session.c.csrf_token, _session.c.last_seen_at, _session.c.flashes, _zone, _has_factor),
        *(_own.c.timezone, _own.c.language, _own.c.bell),
        *(_station.c.name.label("station_name"), _station.c.next_hash, _station.c.ended_at),
    )
    .select_from(
        identity_from.outerjoin(_own, _own.c.user_code == user.c.code).outerjoin(_station, _station.c.id == _session.c.station_id)
    )
    .where(_session.c.secret_hash == bindparam("secret_hash"), _session.c.kind == "page")
)
_touch = (
    update(_session)
    .where(_session.c.id == bindparam("session_id"), _session.c.last_seen_at < bindparam("before"))
    .values(last_seen_at=bindparam("at"))
)


class SessionIdle(NotSignedIn):
    """Nobody used this page session for `idle_lock_s`; sign in again."""

    code = "session_idle"
    title = "Locked"


class StationLeft(NotSignedIn):
    """The sign-in by badge was idle for minutes, or is shown by another browser than the station's: scan the badge again."""

    code = "station_left"
    title = "Scan your badge again"


class WrongFormToken(NotPermitted):
    """A form came without the token of its session: it may have been sent from another site."""

    code = "wrong_form_token"
    title = "Form not accepted"


@dataclass(frozen=True)
class PageSession:
    """A page session and the actor behind it. `csrf` stands in every form of its pages.

    `flashes` are messages kept for the next page (JSON); `zone` names the time zone that the person chose, or else that of their
    site; `site_zone` the site's, in which papers are written, None for UTC (a role everywhere, and sites in several zones);
    `bell` what the bell counts besides what presses;
    `second_factor`: whether signatures need the code of an app too; `station`: the workstation where they signed in by badge.
    """

    id: UUID
    actor: Actor
    csrf: str
    flashes: str | None
    zone: str | None
    site_zone: str | None
    second_factor: bool
    language: str = LANGUAGE
    bell: frozenset[str] = BELL
    station: str | None = None

    def require_csrf(self, given: str | None) -> None:
        """Raise WrongFormToken unless `given` is this session's form token."""
        if given is None or not hmac.compare_digest(given.encode(errors="replace"), self.csrf.encode()):
            raise WrongFormToken("This form is no longer valid. Load the page again and repeat what you did.")


def create_page_session(session: Session, user: str, at: datetime, lifetime_s: int, **station: Any) -> tuple[str, str]:
    """Open a page session for a login whose password stands (`require_standing`); return (cookie value, form token).

    `station`: what a session by badge says of its station.
    """
    cookie, csrf = new_secret(), new_secret()
    session.execute(
        insert(_session).values(
            id=uuid4(),
            user_code=user,
            kind="page",
            secret_hash=secret_hash(cookie),
            csrf_token=csrf,
            created_at=at,
            last_seen_at=at,
            expires_at=at + timedelta(seconds=lifetime_s),
            **station,
        )
    )
    return cookie, csrf


def create_badge_session(session: Session, user: str, station: "Row[Any]", at: datetime, lifetime_s: int) -> str:
    """Open a page session for somebody who signed in by badge at a station, in the place of whoever was; return its cookie."""
    end_sessions_at(session, station.id, at, because="next_badge")
    here = {"station_id": station.id, "station_site": station.site_code}
    return create_page_session(session, user, at, lifetime_s, **here)[0]


def resolve_page_session(
    session: Session, cookie: str, idle_lock_s: int, *, badge_idle_s: int = 180, station_cookie: str | None = None
) -> PageSession:
    """Return the session behind a cookie, and note that it is in use (written at most once a minute).

    Raises NotSignedIn when there is no such session or it has ended, SessionIdle when it is locked, StationLeft when one by
    badge would be, or comes without the cookie that its station was given with it.
    """
    page, last_seen_at, given = _behind(session, cookie)
    if page.station is not None:
        if station_cookie is None or given != secret_hash(station_cookie) or idle_since(last_seen_at, badge_idle_s):
            raise StationLeft("Nobody used this station for a while. Scan your badge again.")
    elif idle_since(last_seen_at, idle_lock_s):
        raise SessionIdle("This page was not used for a while, so it locked itself. Enter your password to go on.")
    at = clock.now()
    if last_seen_at < at - TOUCH_EVERY:
        session.execute(_touch, {"session_id": page.id, "before": at - TOUCH_EVERY, "at": at})
    return page


def locked_page_session(session: Session, cookie: str) -> PageSession:
    """Return the session behind a cookie whether or not it is locked; raise NotSignedIn when there is none or it has ended."""
    page = _behind(session, cookie)[0]
    if page.station is not None:
        raise StationLeft("A sign-in by badge is not unlocked. Scan your badge again.")
    return page


def end_replaced_session(session: Session, cookie: str | None, at: datetime) -> None:
    """End the session that a browser had until it signed in again, locked or not, whoever's it was."""
    if cookie is not None:
        with suppress(NotSignedIn):
            end_session(session, _behind(session, cookie)[0].id, at, because="signed_in_again")


def unlock_page_session(session: Session, page: PageSession) -> None:
    """Let a session go on whose login has just proved its password again."""
    at = clock.now()
    session.execute(_touch, {"session_id": page.id, "before": at, "at": at})


def _behind(session: Session, cookie: str) -> tuple[PageSession, datetime, bytes | None]:
    row = session.execute(_find, {"secret_hash": secret_hash(cookie)}).first()
    actor = actor_of(row)
    assert row is not None
    if row.ended_at is not None:
        raise NotSignedIn("This station was taken out of use. Sign in with your password.")
    return (
        PageSession(
            id=row.session_id,
            actor=actor,
            csrf=row.csrf_token,
            flashes=row.flashes,
            zone=row.timezone or row.site_zone,
            site_zone=row.site_zone,
            second_factor=row.second_factor,
            language=row.language or LANGUAGE,
            bell=BELL if row.bell is None else frozenset(row.bell),
            station=row.station_name,
        ),
        row.last_seen_at,
        None if row.next_hash is None else bytes(row.next_hash),
    )
