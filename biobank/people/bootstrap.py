"""The first logins of a bank, and the way back in when the last administrator is gone.

A new bank has nobody who could propose or co-sign a role, so the bank itself makes the first logins, by an act outside any
request (`biobank users create`, the demonstration). Whoever can run it already holds the application's database login; the log
shows each of these acts under `SYSTEM`, without signatures, for ever.
"""

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM_CODE, RoleGrant
from biobank.auth.models import user
from biobank.auth.passwords import require_strong
from biobank.auth.service import end_sessions_of
from biobank.foundation.errors import NotFound, NotPermitted
from biobank.people import events
from biobank.people.queries import get_site
from biobank.people.roles import add_grant
from biobank.people.service import add_user, record_about


def set_up_user(
    session: Session,
    act: Act,
    *,
    username: str,
    printed_name: str,
    password: str,
    password_hash: str,
    grants: Iterable[RoleGrant],
    must_change: bool = True,
) -> str:
    """Make a login with roles as the bank itself and return its badge code.

    `act` is `Act.system(bank, …)`; `password_hash` is `auth.passwords.hash_now(password)`, made before the transaction opened.
    Raises WeakPassword, UsernameTaken, NotFound for an unknown site, NotPermitted for any other act.
    """
    _require_system(act)
    require_strong(password, username)
    code, _ = add_user(session, act, username, printed_name, password_hash, must_change=must_change)
    for grant in grants:
        if grant.site is not None:
            get_site(session, grant.site)
        add_grant(session, act, code, grant)
        record_about(session, act, code, events.UserRoleGranted(role=grant.role, site=grant.site))
    return code


def set_first_password(session: Session, act: Act, *, username: str, password: str, password_hash: str) -> str:
    """Set a first password and open the login again, as the bank itself; return its badge code.

    Raises NotFound, WeakPassword, NotPermitted for any other act.
    """
    _require_system(act)
    row = session.execute(select(user.c.code, user.c.active).where(user.c.username == username).with_for_update()).first()
    if row is None:
        raise NotFound("There is no such login.")
    require_strong(password, username)
    session.execute(
        update(user).where(user.c.code == row.code).values(password_hash=password_hash, must_change_password=True, active=True)
    )
    ended = end_sessions_of(session, row.code, act.at, because="password_reset")
    if not row.active:
        record_about(session, act, row.code, events.UserReactivated(reason="set_up"))
    record_about(session, act, row.code, events.UserPasswordReset(sessions_ended=ended))
    return str(row.code)


def _require_system(act: Act) -> None:
    if act.actor.code != SYSTEM_CODE:
        raise NotPermitted("Only the bank itself does this, from the command line.")
