"""The one who acts: a login with its roles at this instant.

Tokens and page sessions prove identity only; flags, roles and sites are read in the request's own read, so a role taken
away at ten o'clock is gone at ten o'clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.foundation.errors import NotPermitted

SYSTEM_CODE = "SYSTEM"


@dataclass(frozen=True)
class RoleGrant:
    """A role at one site, or everywhere when `site` is None."""

    role: Role
    site: str | None


@dataclass(frozen=True)
class Actor:
    """A login: `code` is the badge code (`US-…`) and the only name that enters the log."""

    code: str
    grants: frozenset[RoleGrant]
    must_change_password: bool = False
    session_id: str | None = field(default=None, compare=False)

    @cached_property
    def permissions(self) -> frozenset[Permission]:
        """Everything the actor may do somewhere."""
        return frozenset(p for grant in self.grants for p in ROLE_PERMISSIONS[grant.role])

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles held anywhere."""
        return frozenset(grant.role for grant in self.grants)

    def may(self, permission: Permission, site: str | None = None) -> bool:
        """Say whether the actor holds `permission` at `site` (anywhere when `site` is None)."""
        sites = self.sites_with(permission)
        return sites is None or (bool(sites) if site is None else site in sites)

    def may_at_any(self, permission: Permission, sites: Iterable[str | None]) -> bool:
        """Say whether the actor holds `permission` at one of `sites`."""
        granted = self.sites_with(permission)
        return any(site is not None and (granted is None or site in granted) for site in sites)

    def sites_with(self, permission: Permission) -> frozenset[str] | None:
        """Return the sites at which the actor holds `permission`; None means every site."""
        return _sites_with(self.grants, permission)

    def require(self, permission: Permission, site: str | None = None) -> None:
        """Raise NotPermitted unless the actor holds `permission` at `site` (anywhere when None)."""
        if not self.may(permission, site):
            place = "" if site is None else f" at {site}"
            raise NotPermitted(
                f"Your role does not include '{permission.value}'{place}. Ask an administrator if it should.",
                permission=permission.value,
            )


@lru_cache(maxsize=4096)
def _sites_with(grants: frozenset[RoleGrant], permission: Permission) -> frozenset[str] | None:
    sites = [grant.site for grant in grants if permission in ROLE_PERMISSIONS[grant.role]]
    return None if None in sites else frozenset(site for site in sites if site is not None)


SYSTEM = Actor(code=SYSTEM_CODE, grants=frozenset())
"""The bank itself: timers and set-up. It holds no role; its use cases check nothing and log `SYSTEM`."""
