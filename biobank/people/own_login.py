"""What people do about their own login: a second factor, and which sign-ins stay open."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth import passkeys, second_factor
from biobank.auth.models import login_session
from biobank.auth.schemas import FactorBegun, PasskeyList, PasskeyPublic, SessionList, SessionPublic, SessionsEnded
from biobank.auth.service import end_session, end_sessions_of
from biobank.auth.station_models import station
from biobank.foundation import clock
from biobank.foundation.errors import NotFound
from biobank.people.credentials import record_about, record_credentials
from biobank.people.events import UserPasskeyAdded, UserPasskeyRemoved, UserSecondFactorRemoved, UserSecondFactorSet
from biobank.people.queries import get_user


def begin_second_factor(session: Session, act: Act, username: str) -> FactorBegun:
    """Make a second factor of the actor, whose password was just proved; it counts once confirmed. Raises SecondFactorStands."""
    get_user(session, act.actor, act.actor.code, lock=True)
    keys, issuer = act.bank.secrets_of(second_factor.SECRET), act.bank.settings.host_name
    secret, address = second_factor.begin(session, keys, act.actor.code, issuer, username, act.at)
    return FactorBegun(secret=secret, address=address)


def confirm_second_factor(session: Session, act: Act, code: str) -> None:
    """Let the second factor count. Raises NoSecondFactor, SecondFactorStands, WrongSecondFactor."""
    get_user(session, act.actor, act.actor.code, lock=True)
    second_factor.confirm(session, act.bank.secrets_of(second_factor.SECRET), act.actor.code, code, act.at)
    record_about(session, act, act.actor.code, UserSecondFactorSet())
    record_credentials(session, act, act.actor.code)


def remove_second_factor(session: Session, act: Act) -> None:
    """Take the actor's second factor away: password and code were just proved. Raises NoSecondFactor."""
    get_user(session, act.actor, act.actor.code, lock=True)
    if not second_factor.remove(session, act.actor.code):
        raise second_factor.NoSecondFactor("No second factor is set up for your login.")
    record_about(session, act, act.actor.code, UserSecondFactorRemoved(because="owner"))
    record_credentials(session, act, act.actor.code)


def add_passkey(session: Session, act: Act, answer: str) -> PasskeyPublic:
    """Add a passkey of the actor, whose password, and second factor if there is one, was just proved.

    Raises PasskeyNotMade, PasskeyKnown.
    """
    code = act.actor.code
    get_user(session, act.actor, code, lock=True)
    keys, relying = act.bank.secrets_of(second_factor.SECRET), passkeys.Relying.of(act.bank.settings)
    made, digest = passkeys.add(session, keys, relying, code, answer, act.at)
    record_about(session, act, code, UserPasskeyAdded(passkey=digest))
    record_credentials(session, act, code)
    return PasskeyPublic(id=made, created_at=act.at)


def remove_passkey(session: Session, act: Act, passkey: UUID) -> None:
    """Take a passkey of the actor away: password and second factor were just proved. Raises NotFound."""
    code = act.actor.code
    get_user(session, act.actor, code, lock=True)
    for digest in passkeys.remove(session, code, passkey):
        record_about(session, act, code, UserPasskeyRemoved(passkey=digest, because="owner"))
    record_credentials(session, act, code)


def own_passkeys(session: Session, user: str) -> PasskeyList:
    """Return the passkeys of a login, the oldest first."""
    return PasskeyList(items=[PasskeyPublic.model_validate(dict(row._mapping)) for row in passkeys.passkeys_of(session, user)])


def open_sessions(session: Session, user: str, present: UUID) -> SessionList:
    """Return the open sign-ins of a login, the last used first; `present` is the one that asks."""
    table = login_session
    rows = session.execute(
        select(
            table.c.id,
            table.c.kind,
            table.c.created_at,
            table.c.last_seen_at,
            table.c.expires_at,
            station.c.name.label("station"),
        )
        .select_from(table.outerjoin(station, station.c.id == table.c.station_id))
        .where(table.c.user_code == user, table.c.revoked_at.is_(None), table.c.expires_at > clock.now())
        .order_by(table.c.last_seen_at.desc(), table.c.id)
    )
    return SessionList(items=[SessionPublic(this_one=row.id == present, **row._mapping) for row in rows])


def end_own_session(session: Session, user: str, wanted: UUID) -> None:
    """End one open sign-in of a login. Raises NotFound, for another's as well."""
    table = login_session
    own = select(table.c.id).where(table.c.id == wanted, table.c.user_code == user, table.c.revoked_at.is_(None))
    if session.execute(own).first() is None:
        raise NotFound("This sign-in is not open any more, or it is not yours.")
    end_session(session, wanted, clock.now(), because="ended_by_owner")


def end_other_sessions(session: Session, user: str, present: UUID) -> SessionsEnded:
    """End every sign-in of a login but the one that asks."""
    return SessionsEnded(ended=end_sessions_of(session, user, clock.now(), because="ended_by_owner", but=present))
