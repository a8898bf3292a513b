"""Small questions about logins that layers above ask."""

from typing import Any

from sqlalchemy import bindparam, select, true
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.models import User, UserRole
from biobank.auth.permissions import Role
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotSignedIn

_user = table_of(User)
_role = table_of(UserRole)
_username = select(_user.c.username).where(_user.c.code == bindparam("code"))
_active_with_roles = (
    select(_role.c.role, _role.c.site_code)
    .select_from(_user.outerjoin(_role, _role.c.user_code == _user.c.code))
    .where(_user.c.code == bindparam("code"), _user.c.active == true())
)


def actor_of_user(session: Session, code: str) -> Actor | None:
    """Return what a login that is not the caller's may do now; None when there is no such active login."""
    rows: Any = session.execute(_active_with_roles, {"code": code}).all()
    if not rows:
        return None
    return Actor(code, frozenset(RoleGrant(Role(row.role), row.site_code) for row in rows if row.role is not None))


def username_of(session: Session, code: str) -> str:
    """Return the login name behind a badge code; raise NotSignedIn when there is no such login."""
    name: str | None = session.scalars(_username, {"code": code}).first()
    if name is None:
        raise NotSignedIn("This login is not known. Sign in again.")
    return name
