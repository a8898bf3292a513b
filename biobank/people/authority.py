"""Rules about who may decide about whom. Pure functions of actors and grants."""

from collections.abc import Iterable

from biobank.acts.act import Act
from biobank.acts.two_person import holds
from biobank.auth.actor import SYSTEM_CODE, Actor, RoleGrant
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import NotPermitted


class OwnLogin(NotPermitted):
    """Nobody decides about their own login or roles."""

    code = "own_login"
    title = "Not about yourself"


def require_held(act: Act, permission: Permission, site: str | None) -> None:
    """Raise NotPermitted unless the actor holds `permission` at `site` (None: everywhere). The bank itself may."""
    if act.actor.code != SYSTEM_CODE and not holds(act.actor, permission, site):
        place = "everywhere" if site is None else f"at {site}"
        raise NotPermitted(
            f"Your role does not include '{permission.value}' {place}. Ask an administrator if it should.",
            permission=permission.value,
        )


def require_not_own(act: Act, code: str) -> None:
    """Raise OwnLogin when `code` is the actor's own."""
    if act.actor.code == code:
        raise OwnLogin("Someone else must do this: nobody decides about their own login.", subject=code)


def require_manager_of(act: Act, code: str, grants: Iterable[RoleGrant]) -> None:
    """Raise NotPermitted unless the actor manages users wherever this one has a role, OwnLogin when it is their own.

    A login without roles may be managed by whoever manages users anywhere.
    """
    act.actor.require(Permission.USER_MANAGE, at=ANYWHERE)
    for grant in grants:
        require_held(act, Permission.USER_MANAGE, grant.site)
    require_not_own(act, code)


def takes_two(grants: Iterable[RoleGrant]) -> bool:
    """Say whether opening this login takes two people: it holds a role whose signature others' roles need.

    Else an administrator could set the password of a quality login and co-sign their own proposals.
    """
    return any(_cosigns(grant) for grant in grants)


def cosigning_site(grants: Iterable[RoleGrant]) -> str | None:
    """Return where the second person must be quality: the one site where this login co-signs, else everywhere (None)."""
    sites = {grant.site for grant in grants if _cosigns(grant)}
    return sites.pop() if len(sites) == 1 else None


def _cosigns(grant: RoleGrant) -> bool:
    return Permission.ROLE_COSIGN in ROLE_PERMISSIONS[grant.role]


def may_see_user(actor: Actor, code: str, grants: Iterable[RoleGrant]) -> bool:
    """Say whether `actor` may know of a login: their own, or with `user:read` where it has a role, or when it has none."""
    sites = actor.sites_with(Permission.USER_READ)
    held = list(grants)
    if actor.code == code or sites is None:
        return True
    return bool(sites) and (not held or any(g.site is None or g.site in sites for g in held))
