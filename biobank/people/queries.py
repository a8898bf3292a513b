"""Questions about logins and sites. Names come out of the vault here and nowhere else."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, bindparam, false, func, or_, select, text, true
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.models import site, user, user_role
from biobank.auth.permissions import Permission, Role
from biobank.auth.scope import ANYWHERE
from biobank.foundation import clock
from biobank.foundation.errors import NotFound, NotSignedIn
from biobank.foundation.names import name_key
from biobank.foundation.paging import Paging, read_page
from biobank.people.authority import may_see_user
from biobank.people.schemas import GrantPublic, Me, SiteList, SitePublic, UserList, UserPublic
from biobank.vault import Erased, Keystore, open_document, open_documents

_grants = select(user_role.c.role, user_role.c.site_code).where(user_role.c.user_code == bindparam("code"))
_by_code = select(user).where(user.c.code == bindparam("code"))
_time_zone = text("SELECT count(*) FROM pg_timezone_names WHERE name = :name AND name !~ '^(posix|right)/'")
_site = select(site).where(site.c.code == bindparam("code"))


def unknown_user(code: str) -> NotFound:
    """The answer for a login that does not exist, or that the caller may not know of."""
    return NotFound(f"There is no user {code}.", subject=code)


def grants_of(session: Session, code: str) -> frozenset[RoleGrant]:
    """Return the roles of a login."""
    return frozenset(RoleGrant(Role(row.role), row.site_code) for row in session.execute(_grants, {"code": code}))


def get_user(session: Session, actor: Actor, code: str, *, lock: bool = False) -> tuple[Any, frozenset[RoleGrant]]:
    """Return (row, grants) of a login the actor may know of, locked for a change; raise NotFound."""
    statement: Select[Any] = _by_code.with_for_update() if lock else _by_code
    row = session.execute(statement, {"code": code}).first()
    grants: frozenset[RoleGrant] = frozenset() if row is None else grants_of(session, code)
    if row is None or not may_see_user(actor, code, grants):
        raise unknown_user(code)
    return row, grants


def person_of(session: Session, actor: Actor, code: str) -> str:
    """Return the first login of the person who has this one, of those the actor may know of; raise NotFound."""
    row, _ = get_user(session, actor, code)
    return str(row.person_code or row.code)


def login_named(session: Session, keystore: Keystore, name: str) -> str | None:
    """Return a login that is printed with this name, or None. It opens every name in the vault: for the making of a login."""
    rows = session.execute(select(user.c.code, user.c.name_commit).order_by(user.c.code))
    same = (
        row.code for row in rows.all() if (printed_name(session, keystore, row.name_commit) or "").casefold() == name.casefold()
    )
    return next(same, None)


def read_user(session: Session, actor: Actor, keystore: Keystore, code: str) -> UserPublic:
    """Return one login with its printed name; raise NotFound."""
    row, grants = get_user(session, actor, code)
    return _public(row, grants, printed_name(session, keystore, row.name_commit), actor)


ORDERS = {"code": user.c.code, "username": user.c.username, "created_at": user.c.created_at}


_roles_of_row = select(user_role.c.id).where(user_role.c.user_code == user.c.code)


def users_seen(actor: Actor) -> ColumnElement[bool]:
    """Return the condition, as `may_see_user` says it: a role held everywhere is held here too."""
    at_sites = actor.scope(Permission.USER_READ).of(user_role.c.site_code)
    here = _roles_of_row.where(or_(user_role.c.site_code.is_(None), at_sites))
    return or_(here.exists(), ~_roles_of_row.exists(), user.c.code == actor.code)


def list_users(
    session: Session,
    actor: Actor,
    keystore: Keystore,
    *,
    active: bool | None = None,
    role: Role | None = None,
    at_site: str | None = None,
    paging: Paging = Paging(),
) -> UserList:
    """Return logins by badge code, those of the actor's sites when `user:read` is held at sites only."""
    actor.require(Permission.USER_READ, at=ANYWHERE)
    statement = select(user).where(users_seen(actor))
    if active is not None:
        statement = statement.where(user.c.active.is_(active))
    if role is not None or at_site is not None:
        # One grant answers both: a technician of another site who audits here is no technician here.
        granted = _roles_of_row
        if role is not None:
            granted = granted.where(user_role.c.role == role.value)
        if at_site is not None:
            granted = granted.where(or_(user_role.c.site_code.is_(None), user_role.c.site_code == at_site))
        statement = statement.where(granted.exists())
    page = read_page(session, statement, paging, key=user.c.code, orders=ORDERS, default="code")
    grants = _grants_by_user(session, [row.code for row in page.rows])
    items = [_public(r, grants.get(r.code, ()), printed_name(session, keystore, r.name_commit), actor) for r in page.rows]
    return UserList(items=items, **page.ends)


def describe_me(session: Session, actor: Actor, keystore: Keystore) -> Me:
    """Return the one who is signed in."""
    row = session.execute(_by_code, {"code": actor.code}).first()
    if row is None:
        raise NotSignedIn("This login is not known. Sign in again.")
    return Me(
        code=actor.code,
        username=row.username,
        printed_name=printed_name(session, keystore, row.name_commit),
        must_change_password=actor.must_change_password,
        roles=_grants_public(actor.grants),
        permissions=sorted(p.value for p in actor.permissions),
    )


def printed_name(session: Session, keystore: Keystore, commit: bytes | None) -> str | None:
    """Return the printed name under a commitment; None when there is none or the person's key was destroyed."""
    if commit is None:
        return None
    try:
        return str(open_document(session, keystore, bytes(commit))["printed_name"])
    except Erased:
        return None


def printed_names(session: Session, keystore: Keystore, codes: Iterable[str]) -> dict[str, str]:
    """Return the printed name of each badge that has one: for pages that show who did what."""
    rows = session.execute(select(user.c.code, user.c.name_commit).where(user.c.code.in_(sorted(set(codes))))).all()
    return _names_of(session, keystore, rows)


def _names_of(session: Session, keystore: Keystore, rows: Sequence[Any]) -> dict[str, str]:
    commits = {row.code: bytes(row.name_commit) for row in rows if row.name_commit is not None}
    opened = open_documents(session, keystore, set(commits.values()))
    return {code: str(opened[commit]["printed_name"]) for code, commit in commits.items() if commit in opened}


def works_with(actor: Actor) -> ColumnElement[bool]:
    """Return the condition on `app_user` under which the actor is told a name: a colleague of one of their sites, themselves, or
    whoever `user:read` lets them see. A role that is held everywhere is held at every site."""
    everywhere = any(grant.site is None for grant in actor.grants)
    at_sites = true() if everywhere else user_role.c.site_code.in_(sorted({grant.site for grant in actor.grants if grant.site}))
    colleague = _roles_of_row.where(or_(user_role.c.site_code.is_(None), at_sites)).exists()
    seen = users_seen(actor) if actor.may(Permission.USER_READ, at=ANYWHERE) else user.c.code == actor.code
    return or_(colleague if actor.grants else false(), seen)


def names_for(session: Session, actor: Actor, keystore: Keystore, codes: Iterable[str]) -> dict[str, str]:
    """Return the printed names of those badges whose owners the actor works with."""
    rows = session.execute(
        select(user.c.code, user.c.name_commit).where(user.c.code.in_(sorted(set(codes))), works_with(actor))
    ).all()
    return _names_of(session, keystore, rows)


def names_of_colleagues(session: Session, actor: Actor, keystore: Keystore) -> dict[str, str]:
    """Return badge → printed name of everybody whom the actor works with, people who left included."""
    return _names_of(session, keystore, session.execute(select(user.c.code, user.c.name_commit).where(works_with(actor))).all())


SHORTEST: Final = 2
"""So many letters are typed before a colleague is looked for: one letter would list the staff."""
OPENED: Final = 100
"""So many names are taken out of the vault for what somebody types. Of more colleagues the names are not compared: the form takes
the only one found for the one who was meant, and of a part of the names none is known to be the only one."""


def colleagues_like(session: Session, actor: Actor, keystore: Keystore, typed: str, most: int) -> list[tuple[str, str, str]]:
    """Return badge, login name and printed name of colleagues whose badge or login begins so, by login, whole ones first; if that
    leaves room, then those a word of whose name begins so."""
    wanted = typed.strip().casefold()
    if len(wanted) < SHORTEST:
        return []
    known = select(user.c.code, user.c.username, user.c.name_commit).where(user.c.active, works_with(actor))
    named = (func.lower(user.c.code), func.lower(user.c.username))
    begins = or_(*(one.startswith(wanted, autoescape=True) for one in named))
    whole = or_(*(one == wanted for one in named))
    rows = session.execute(known.where(begins).order_by(whole.desc(), user.c.username).limit(most)).all()
    names = _names_of(session, keystore, rows)
    found = [(row.code, row.username, names.get(row.code, "")) for row in rows]
    room = most - len(found)
    if room <= 0:
        return found
    others = session.execute(known.where(~begins).order_by(user.c.username).limit(OPENED - len(rows) + 1)).all()
    if len(rows) + len(others) > OPENED:
        return found
    names = _names_of(session, keystore, others)
    for row in others:
        name = names.get(row.code, "")
        if any(part.casefold().startswith(wanted) for part in (name, *name.split())):
            found.append((row.code, row.username, name))
    return found[:most]


def list_sites(session: Session, _actor: Actor, *, active: bool | None = None) -> SiteList:
    """Return every site by code as people count. Everyone signed in may know the places of the bank."""
    statement = select(site)
    if active is not None:
        statement = statement.where(site.c.active.is_(active))
    return SiteList(items=[site_public(row) for row in sorted(session.execute(statement), key=lambda row: name_key(row.code))])


def read_site(session: Session, _actor: Actor, code: str) -> SitePublic:
    """Return one site; raise NotFound."""
    return site_public(get_site(session, code))


def get_site(session: Session, code: str, *, lock: bool = False) -> Any:
    """Return the row of a site, locked for a change; raise NotFound."""
    row = session.execute(_site.with_for_update() if lock else _site, {"code": code}).first()
    if row is None:
        raise NotFound(f"There is no site {code}.", subject=code)
    return row


def site_public(row: Any) -> SitePublic:
    """Turn a row into its wire shape."""
    return SitePublic(
        code=row.code, name=row.name, kind=row.kind, timezone=row.timezone, active=row.active, jurisdiction=row.jurisdiction
    )


def knows_time_zone(session: Session, name: str) -> bool:
    """Say whether PostgreSQL knows a time zone by this name; the server brings the IANA list, a bare machine may not."""
    found = session.scalar(_time_zone, {"name": name})
    return bool(found)


def _grants_by_user(session: Session, codes: Sequence[str]) -> dict[str, list[RoleGrant]]:
    rows = session.execute(select(user_role).where(user_role.c.user_code.in_(codes)))
    grants: dict[str, list[RoleGrant]] = {}
    for row in rows:
        grants.setdefault(row.user_code, []).append(RoleGrant(Role(row.role), row.site_code))
    return grants


def _grants_public(grants: Iterable[RoleGrant]) -> list[GrantPublic]:
    ordered = sorted(grants, key=lambda g: (g.role.value, g.site or ""))
    return [GrantPublic(role=g.role, site=g.site) for g in ordered]


def half_waits(row: Any, actor: Actor) -> bool:
    """Say whether a half of a login's one-time code waits for the actor to draw it."""
    waits = row.slip_id is not None and row.password_hash is None and row.code_expires_at > clock.now()
    return waits and actor.code in (row.slip_for, row.slip_with) and row.half_drawn_by != actor.code


def _public(row: Any, grants: Iterable[RoleGrant], name: str | None, actor: Actor) -> UserPublic:
    return UserPublic(
        code=row.code,
        username=row.username,
        printed_name=name,
        active=row.active,
        must_change_password=row.must_change_password,
        person=row.person_code or row.code,
        slip=row.slip_id if half_waits(row, actor) else None,
        created_at=row.created_at,
        roles=_grants_public(grants),
    )


def zone_of(session: Session, code: str) -> ZoneInfo:
    """Return a site's time zone: the days on its labels and papers are of this zone."""
    return ZoneInfo(session.execute(_site, {"code": code}).one().timezone)
