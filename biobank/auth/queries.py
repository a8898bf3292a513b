"""Small questions about logins that layers above ask."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select, true
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.models import site, user
from biobank.auth.models import user_role as _role
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.foundation.errors import NotSignedIn

_username = select(user.c.username).where(user.c.code == bindparam("code"))
_active_with_roles = (
    select(_role.c.role, _role.c.site_code)
    .select_from(user.outerjoin(_role, _role.c.user_code == user.c.code))
    .where(user.c.code == bindparam("code"), user.c.active == true())
)


def jurisdiction_of(code: ColumnElement[Any]) -> ScalarSelect[str | None]:
    """Return, as a column, under whose law the site of this code works; null: nobody has said, or there is no site."""
    return select(site.c.jurisdiction).where(site.c.code == code).scalar_subquery()


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


def logins_that_may(session: Session, permission: Permission, sites: Collection[str]) -> dict[str, frozenset[str]]:
    """Return for each of these sites the active logins that hold a permission there, or everywhere."""
    roles = [role.value for role in Role if permission in ROLE_PERMISSIONS[role]]
    rows = session.execute(
        select(_role.c.user_code, _role.c.site_code)
        .join(user, user.c.code == _role.c.user_code)
        .where(user.c.active == true(), _role.c.role.in_(roles))
    ).all()
    return {site: frozenset(row.user_code for row in rows if row.site_code in (None, site)) for site in sites}


def person_of(login: Any) -> ColumnElement[str]:
    """Return the column that is the same for every login of a person; `login`: the table of logins, or an alias of it."""
    return func.coalesce(login.c.person_code, login.c.code)


def every_login(login: Any) -> ScalarSelect[Any]:
    """Return the column of every login of the person (a JSON list, itself included); `login`: an alias of the table of logins."""
    other = user.alias()
    return select(func.jsonb_agg(other.c.code)).where(person_of(other) == person_of(login)).scalar_subquery()


def every_login_of(named: Any) -> ScalarSelect[Any]:
    """Return the column of every login of the persons named in a column (a JSON list of logins); NULL where it names nobody."""
    one, other = user.alias(), user.alias()
    theirs = select(person_of(one)).where(func.jsonb_exists(named, one.c.code)).correlate(named.table)
    return select(func.jsonb_agg(other.c.code)).where(person_of(other).in_(theirs)).correlate(named.table).scalar_subquery()


def logins_of_persons(session: Session, codes: Collection[str]) -> dict[str, frozenset[str]]:
    """Return for each of these logins every login of the same person, itself included; unknown codes are left out."""
    one, other = user.alias(), user.alias()
    same = person_of(one) == person_of(other)
    rows = session.execute(select(one.c.code, other.c.code).join(other, same).where(one.c.code.in_(sorted(codes)))).all()
    found: dict[str, set[str]] = {}
    for code, login in rows:
        found.setdefault(code, set()).add(login)
    return {code: frozenset(logins) for code, logins in found.items()}


def grants_now(login: Any) -> ScalarSelect[Any]:
    """Return the column of what a login may do now: a JSON list of its roles with their sites; null when it is not active."""
    grant = _role.alias()
    pairs = func.jsonb_agg(func.jsonb_build_array(grant.c.role, grant.c.site_code))
    return select(pairs).where(grant.c.user_code == login.c.code, login.c.active == true()).scalar_subquery()


def actor_by(code: str, grants: Collection[Any] | None) -> Actor:
    """Return a login with what `grants_now` says of it."""
    return Actor(code, frozenset(RoleGrant(Role(role), site) for role, site in grants or ()))


def one_person(login: Any, other: Any) -> ColumnElement[bool]:
    """Return the condition that two logins are one person's; both columns of codes."""
    one, two = user.alias(), user.alias()
    return select(one.c.code).join(two, person_of(one) == person_of(two)).where(one.c.code == login, two.c.code == other).exists()


def logins_of(session: Session, codes: Collection[str]) -> frozenset[str]:
    """Return every login of the people behind these: where it takes two, none of them stands for both."""
    return frozenset().union(*logins_of_persons(session, codes).values())
