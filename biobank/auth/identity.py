"""From a proven session to an Actor: the one read at the start of every request."""

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant, ScopeGrant
from biobank.auth.models import api_client as _client
from biobank.auth.models import login_session as _session
from biobank.auth.models import user
from biobank.auth.models import user_role as _role
from biobank.auth.permissions import CLIENT_SCOPES, Permission, Role
from biobank.foundation import clock
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotSignedIn

_grants = (
    select(func.array_agg(aggregate_order_by(_role.c.role + "@" + func.coalesce(_role.c.site_code, ""), _role.c.id)))
    .where(_role.c.user_code == user.c.code)
    .scalar_subquery()
)

IDENTITY_COLUMNS = (
    _session.c.id.label("session_id"),
    _session.c.expires_at.label("session_expires_at"),
    _session.c.revoked_at,
    _session.c.station_site,
    user.c.code.label("user_code"),
    user.c.active,
    user.c.must_change_password,
    _grants.label("grants"),
)

identity_from = _session.join(user, user.c.code == _session.c.user_code)


def identity_select(*more: Any) -> "Select[Any]":
    """Return the identity statement (bind `session_id`), with further columns when the scan path wants one read for all."""
    return select(*IDENTITY_COLUMNS, *more).select_from(identity_from).where(_session.c.id == bindparam("session_id"))


_by_session = identity_select()


def actor_of(row: "Row[Any] | None") -> Actor:
    """Turn an identity row into an Actor; raise NotSignedIn when the session, the user or its time is gone."""
    if row is None:
        raise NotSignedIn("This sign-in is not known. Sign in again.")
    if row.revoked_at is not None or row.session_expires_at <= clock.now():
        raise NotSignedIn("This sign-in has ended. Sign in again.")
    if not row.active:
        raise NotSignedIn("This login is not active. Ask an administrator.")
    grants = _grants_of(row.grants)
    if row.station_site is not None:
        grants = grants_at(grants, row.station_site)
        if not grants:
            raise NotSignedIn(f"You have no role at {row.station_site} any more. Sign in with your password.")
    return Actor(row.user_code, grants, row.must_change_password, str(row.session_id), badge_at=row.station_site)


def grants_at(grants: frozenset[RoleGrant], site: str) -> frozenset[RoleGrant]:
    """Return what of these roles is held at a site, as roles of that site alone."""
    return frozenset(RoleGrant(grant.role, site) for grant in grants if grant.site in (None, site))


def load_actor(session: Session, session_id: UUID) -> Actor:
    """Read the actor behind a login session, or behind the key of an API client that has this id."""
    row = session.execute(_by_session, {"session_id": session_id}).first()
    if row is None:
        client = session.execute(_by_key, {"session_id": session_id}).first()
        if client is not None:
            return _client_of(client)
    return actor_of(row)


CLIENT_LETTERS = f"{Prefix.CLIENT.value}-"
_by_key = select(_client).where(_client.c.key_id == bindparam("session_id"))
_by_client = select(_client).where(_client.c.code == bindparam("user_code"))


def _client_of(row: "Row[Any]") -> Actor:
    """Turn a client's row into an Actor; raise NotSignedIn when its key has ended. What the table of scopes lacks it may not."""
    if row.key_id is None or row.expires_at <= clock.now():
        raise NotSignedIn("This key has ended. Two people grant a new one.")
    allowed = frozenset(Permission(one) for one in row.scopes) & CLIENT_SCOPES
    return Actor(
        row.code,
        frozenset(),
        session_id=str(row.key_id),
        scopes=frozenset(ScopeGrant(allowed, site) for site in row.sites or (None,)),
    )


_by_user = select(user.c.code, user.c.active, user.c.must_change_password, _grants.label("grants")).where(
    user.c.code == bindparam("user_code")
)


def load_actor_of(session: Session, user_code: str) -> Actor:
    """Read the actor of a login, or of an API client, outside a sign-in, for work that it asked for earlier.

    Raises NotSignedIn when not active.
    """
    if user_code.startswith(CLIENT_LETTERS):
        return _client_of(session.execute(_by_client, {"user_code": user_code}).one())
    row = session.execute(_by_user, {"user_code": user_code}).first()
    if row is None or not row.active:
        raise NotSignedIn("The login that asked for this is not active any more.")
    return Actor(row.code, _grants_of(row.grants), row.must_change_password)


def _grants_of(entries: Sequence[str] | None) -> frozenset[RoleGrant]:
    return _parsed(tuple(entries or ()))


@lru_cache(maxsize=1024)
def _parsed(entries: tuple[str, ...]) -> frozenset[RoleGrant]:
    """Parse `role@site` entries. Only the parsing is remembered; which entries a user has is read every time."""
    return frozenset(RoleGrant(Role(role), site or None) for role, _, site in (e.partition("@") for e in entries))


def idle_since(last_seen: Any, limit_s: int) -> bool:
    """Say whether a page session has been idle for longer than `limit_s` seconds."""
    return bool(clock.now() - last_seen > timedelta(seconds=limit_s))
