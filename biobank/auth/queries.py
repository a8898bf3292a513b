"""Small questions about logins that layers above ask."""

from typing import Any

from sqlalchemy import bindparam, select, true
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.models import user
from biobank.auth.models import user_role as _role
from biobank.auth.permissions import Role
from biobank.foundation.errors import NotSignedIn

_username = select(user.c.username).where(user.c.code == bindparam("code"))
_active_with_roles = (
    select(_role.c.role, _role.c.site_code)
    .select_from(user.outerjoin(_role, _role.c.user_code == user.c.code))
    .where(user.c.code == bindparam("code"), user.c.active == true())
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
