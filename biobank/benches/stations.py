"""Stations at workstations: enrolled and retired by who sets up the site, and signed in at by badge and PIN.

A station alone opens nothing: it only lets those with a PIN and a role at its site in, to what `auth/badges.py` allows.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth import pins
from biobank.auth.actor import Actor
from biobank.auth.identity import grants_at, load_actor_of
from biobank.auth.passwords import verify_password
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.auth.second_factor import SECRET
from biobank.auth.service import new_secret, secret_hash
from biobank.auth.sessions import create_badge_session, end_replaced_session
from biobank.auth.station_models import station as _station
from biobank.auth.stations import NoStation, end_sessions_at, next_cookie, station_of, was_copied
from biobank.auth.throttle import KNOWN
from biobank.benches.at_bench import require_workstation
from biobank.custody.event import Event
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.foundation.errors import Conflict, NotFound, NotPermitted, Refused
from biobank.people.badge_events import StationEnded, StationEnrolled
from biobank.registers.models import register_entry
from biobank.registers.queries import row_of

MOST = 200


class StationRetired(Conflict):
    """This station was retired before."""

    code = "station_retired"
    title = "Retired already"


class WorkstationNotInUse(Conflict):
    """The workstation has no site in the register, or was taken out of use: no browser is enrolled there."""

    code = "workstation_not_in_use"
    title = "No station there"


class StationCopied(NotPermitted):
    """The station's cookie was used by another browser as well. The station was ended, for both."""

    code = "station_copied"
    title = "This station was ended"


class NoRoleHere(NotPermitted):
    """Badge and PIN are right, and their owner has no role at the site of the station."""

    code = "no_role_here"
    title = "No role at this site"


class StationPublic(BaseModel):
    """A browser that was enrolled at a workstation."""

    id: UUID
    workstation: str
    name: str
    site: str
    state: Literal["in_use", "ended"]
    enrolled_at: datetime
    enrolled_by: str
    ended_at: datetime | None


@dataclass(frozen=True)
class SignedIn:
    """Who signed in by badge, with the values of two cookies: of the session, and of the station from now on."""

    user: str
    session: str = field(repr=False)
    station: str = field(repr=False)


def list_stations(session: Session, actor: Actor) -> list[StationPublic]:
    """Return the stations of the sites that the actor sets up, those in use first, the newest first."""
    scope = actor.scope(Permission.SITE_MANAGE)
    statement = select(_station).where(scope.of(_station.c.site_code))
    rows = session.execute(statement.order_by(_station.c.ended_at.is_(None).desc(), _station.c.enrolled_at.desc()).limit(MOST))
    return [StationPublic(site=row.site_code, state="in_use" if row.ended_at is None else "ended", **_said(row)) for row in rows]


def _said(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "workstation", "name", "enrolled_at", "enrolled_by", "ended_at")}


def may_get_stations(session: Session, actor: Actor) -> list[tuple[str, str]]:
    """Return the workstations, by code and name, at which the actor may enrol a browser."""
    e = register_entry.c
    here = actor.scope(Permission.SITE_MANAGE).of(e.site_code)
    found = select(e.key, e.name, e.site_code).where(
        e.kind == "workstation", e.retired_at.is_(None), e.site_code.is_not(None), here
    )
    return [(row.key, f"{row.name} at {row.site_code}") for row in session.execute(found.order_by(e.name, e.key).limit(MOST))]


def enrol_station(session: Session, act: Act, workstation: str) -> str:
    """Enrol the browser that asks, whose person's password and factor were just proved; return the value of its cookie.

    Raises NotFound, NotPermitted, NotAWorkstation, WorkstationNotInUse, FullSignInNeeded.
    """
    act.actor.require_full("enrol a station")
    act.require(Permission.SITE_MANAGE, at=ANYWHERE)
    bench = row_of(session, workstation, lock=True)
    require_workstation(session, workstation)
    if bench.site_code is None or bench.retired_at is not None:
        raise WorkstationNotInUse(
            f"{bench.name} is out of use, or the register does not say at which site it stands. Have it entered first.",
            subject=workstation,
        )
    act.require(Permission.SITE_MANAGE, at=bench.site_code, subject=workstation)
    cookie, made = new_secret(), uuid4()
    event = StationEnrolled(station=str(made), site=bench.site_code)
    values = {"id": made, "workstation": workstation, "site_code": bench.site_code, "name": bench.name}
    session.execute(
        insert(_station).values(
            **values,
            secret_hash=secret_hash(cookie),
            enrolled_at=act.at,
            enrolled_by=act.actor.code,
            enrolled_event=_record(session, act, workstation, bench.site_code, event),
        )
    )
    return cookie


def retire_station(session: Session, act: Act, station: UUID) -> StationPublic:
    """End a station and whoever is signed in there. Raises NotFound, NotPermitted, StationRetired."""
    act.actor.require_full("retire a station")
    row = session.execute(select(_station).where(_station.c.id == station).with_for_update()).first()
    if row is None or not act.actor.scope(Permission.SITE_MANAGE).covers(row.site_code):
        raise NotFound("There is no such station that you may see. Load the list again.")
    if row.ended_at is not None:
        raise StationRetired(f"The station at {row.name} was ended already.", subject=row.workstation)
    _end(session, act, row, because="retired")
    return StationPublic(site=row.site_code, state="ended", **_said(row) | {"ended_at": act.at})


def _end(session: Session, act: Act, row: Any, because: Literal["retired", "copied"]) -> None:
    end_sessions_at(session, row.id, act.at, because=f"station_{because}")
    event = StationEnded(station=str(row.id), site=row.site_code, because=because)
    ended = _record(session, act, row.workstation, row.site_code, event)
    session.execute(update(_station).where(_station.c.id == row.id).values(ended_at=act.at, ended_event=ended))


def _record(session: Session, act: Act, workstation: str, site: str, event: Event) -> bytes:
    head = head_of(session, act, NOW, subject=workstation, site=site)
    return append(session, [Fact(StreamKind.SYSTEM, workstation, event, head)])[0].leaf_hash


async def sign_in_by_badge(bank: Bank, shown: str | None, code: str, pin: str, replaced: str | None) -> SignedIn:
    """Open a session for the badge `code` at the station whose cookie the browser shows.

    `replaced`: the cookie of the session that the browser had until now, whoever's it was.

    Raises NoStation, StationCopied, BadgeStopped, WrongPin, NoRoleHere, TooManyAttempts, SignInBusy.
    """
    keys, throttle = bank.secrets_of(SECRET), bank.secret("throttle")

    def begin(session: Session) -> pins.Tried | Refused:
        row = _usable(session, shown)
        if was_copied(row, str(shown)):
            _end(session, Act.system(bank, path="station/copied"), row, because="copied")
            return Refused(
                StationCopied(
                    f"Another browser had a copy of the key of the station at {row.name}, so it was ended. Sign in with your "
                    "password, tell quality, and have an administrator enrol this browser anew.",
                    subject=row.workstation,
                )
            )
        return pins.begin(session, row, code, keys, throttle, clock.now())

    with KNOWN.place():
        tried = await bank.database.write(begin)
        if isinstance(tried, Refused):
            raise tried.refusal
        right = (await verify_password(pin, tried.stored, KNOWN.executor)).genuine
    if not right:
        raise pins.WrongPin(pins.WRONG)

    def finish(session: Session) -> SignedIn:
        row, at = _usable(session, shown), clock.now()
        if row.id != tried.station or was_copied(row, str(shown)):
            raise pins.WrongPin(pins.WRONG)
        pins.succeed(session, tried)
        if not grants_at(load_actor_of(session, code).grants, row.site_code):
            raise NoRoleHere(f"You have no role at {row.site_code}. Sign in where you have one.", subject=code)
        end_replaced_session(session, replaced, at)
        fresh = next_cookie(session, row, str(shown))
        return SignedIn(code, create_badge_session(session, code, row, at, bank.settings.badge_session_s), fresh)

    return await bank.database.write(finish)


def station_here(session: Session, shown: str | None) -> str | None:
    """Return the name of the station whose cookie a browser shows; None for any other browser."""
    try:
        return str(_usable(session, shown, lock=False).name)
    except NoStation:
        return None


def _usable(session: Session, shown: str | None, *, lock: bool = True) -> Any:
    row = station_of(session, shown, lock=lock)
    if row is None or row_of(session, row.workstation).retired_at is not None:
        raise NoStation("This browser is no station, or not any more. Sign in with your password, or have it enrolled.")
    return row
