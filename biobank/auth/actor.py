"""The one who acts: a login with its roles at this instant.

Tokens and page sessions prove identity only; flags, roles and sites are read in the request's own read, so a role taken
away at ten o'clock is gone at ten o'clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from biobank.auth.badges import BY_BADGE, not_by_badge
from biobank.auth.decisions import note_decision, note_scope
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.auth.scope import ANYWHERE, EVERYWHERE, Place, Scope
from biobank.foundation.errors import NotPermitted

SYSTEM_CODE = "SYSTEM"


@dataclass(frozen=True)
class RoleGrant:
    """A role at one site, or everywhere when `site` is None."""

    role: Role
    site: str | None


@dataclass(frozen=True)
class ScopeGrant:
    """What an API client may do at one site, or everywhere when `site` is None. It holds no role."""

    permissions: frozenset[Permission]
    site: str | None


@dataclass(frozen=True)
class Actor:
    """A login: `code` is the badge code (`US-…`) and the only name that enters the log; or an API client (`AC-…`), with `scopes`
    and without roles. `badge_at`: the site of the station where they signed in by badge and PIN, which bounds all they may
    (`auth/badges.py`); their `grants` are those of that site.
    """

    code: str
    grants: frozenset[RoleGrant]
    must_change_password: bool = False
    session_id: str | None = field(default=None, compare=False)
    scopes: frozenset[ScopeGrant] = frozenset()
    badge_at: str | None = None

    @property
    def is_client(self) -> bool:
        """Say whether a program acts, and no person."""
        return bool(self.scopes)

    @cached_property
    def permissions(self) -> frozenset[Permission]:
        """Everything the actor may do somewhere."""
        held = frozenset(p for permissions, _site in _held(self.grants, self.scopes) for p in permissions)
        return held if self.badge_at is None else held & BY_BADGE

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles held anywhere."""
        return frozenset(grant.role for grant in self.grants)

    def roles_at(self, site: str) -> frozenset[Role]:
        """Return the roles held at a site: for whom a list of roles calls, never for what is allowed."""
        return frozenset(grant.role for grant in self.grants if grant.site in (None, site))

    def scope(self, *permissions: Permission) -> Scope:
        """Return where the actor holds at least one of `permissions`."""
        found = self._scope_of(permissions)
        note_scope(self.code, permissions, found)
        return found

    def may(self, permission: Permission, *, at: Place) -> bool:
        """Say whether the actor holds `permission` at a place."""
        granted = self._scope_of((permission,)).covers(at)
        note_decision(self.code, permission, at, granted=granted)
        return granted

    def _scope_of(self, permissions: tuple[Permission, ...]) -> Scope:
        asked = permissions if self.badge_at is None else tuple(one for one in permissions if one in BY_BADGE)
        return _scope(self.grants, self.scopes, asked)

    def first_site(self, permission: Permission, sites: Iterable[str | None]) -> str | None:
        """Return the first of several sites, by name, where the actor holds `permission`: at which an act on all is recorded."""
        return next((site for site in sorted(filter(None, sites)) if self.may(permission, at=site)), None)

    def refusal(
        self, permission: Permission, *, at: Place, subject: str | None = None, where_now: str | None = None
    ) -> NotPermitted | None:
        """Return why the actor may not at a place, or None. `subject`: the code of what stands there, which goes `where_now`."""
        if self.may(permission, at=at):
            return None
        if self.badge_at is not None:
            return not_by_badge(f"{permission.words}{_words(at, subject)}", subject=subject, where_now=where_now)
        if self.is_client:
            said = f"This API client may not {permission.words}{_words(at, subject)}. Its scopes say what it may."
        else:
            said = f"Your role does not let you {permission.words}{_words(at, subject)}. Ask an administrator if it should."
        site = at if isinstance(at, str) else None
        members = {"permission": permission.value, "subject": subject, "site": site, "where_now": where_now}
        return NotPermitted(said, **{name: value for name, value in members.items() if value is not None})

    def require(self, permission: Permission, *, at: Place, subject: str | None = None) -> None:
        """Raise what `refusal` answers."""
        refusal = self.refusal(permission, at=at, subject=subject)
        if refusal is not None:
            raise refusal

    def require_full(self, what: str) -> None:
        """Raise FullSignInNeeded for `what` (the end of "you may not …") when they signed in by badge and PIN."""
        if self.badge_at is not None:
            raise not_by_badge(what)


def _words(at: Place, subject: str | None) -> str:
    if at is None or at is EVERYWHERE:
        return " at every site"
    if at is ANYWHERE:
        return ""
    if isinstance(at, str):
        return f" at {at}"
    return f" where {subject} is" if subject else " there"


@lru_cache(maxsize=4096)
def _scope(grants: frozenset[RoleGrant], scopes: frozenset[ScopeGrant], permissions: tuple[Permission, ...]) -> Scope:
    held = [site for allowed, site in _held(grants, scopes) if not allowed.isdisjoint(permissions)]
    return Scope(None in held, frozenset(site for site in held if site is not None))


def _held(grants: Iterable[RoleGrant], scopes: Iterable[ScopeGrant]) -> Iterator[tuple[frozenset[Permission], str | None]]:
    yield from ((ROLE_PERMISSIONS[grant.role], grant.site) for grant in grants)
    yield from ((scope.permissions, scope.site) for scope in scopes)


READER = Actor(code=SYSTEM_CODE, grants=frozenset({RoleGrant(Role.AUDITOR, None)}))
"""The bank itself when it only looks: it sees what an auditor of every site sees."""

SYSTEM = Actor(code=SYSTEM_CODE, grants=frozenset())
"""The bank itself: timers and set-up. It holds no role; its use cases check nothing and log `SYSTEM`."""
