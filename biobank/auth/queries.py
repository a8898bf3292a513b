"""Small questions about logins that layers above ask."""

from sqlalchemy import bindparam, select
from sqlmodel import Session

from biobank.auth.models import User
from biobank.db import table_of
from biobank.errors import NotSignedIn

_user = table_of(User)
_username = select(_user.c.username).where(_user.c.code == bindparam("code"))


def username_of(session: Session, code: str) -> str:
    """Return the login name behind a badge code; raise NotSignedIn when there is no such login."""
    name: str | None = session.scalars(_username, {"code": code}).first()
    if name is None:
        raise NotSignedIn("This login is not known. Sign in again.")
    return name
