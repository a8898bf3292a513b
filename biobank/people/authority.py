"""Rules about who may decide about whom. Pure functions of actors and grants."""

from collections.abc import Iterable

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM_CODE, Actor, RoleGrant
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.auth.scope import ANYWHERE, Place
from biobank.foundation.errors import NotPermitted

COSIGNING_ROLES = frozenset(role for role in Role if Permission.ROLE_COSIGN in ROLE_PERMISSIONS[role])
"""Roles whose signature others' roles need."""


class OwnLogin(NotPermitted):
    """Nobody decides about their own login or roles."""

    code = "own_login"
    title = "Not about yourself"


def require_held(act: Act, permission: Permission, site: str | None) -> None:
    """Raise NotPermitted unless the actor holds `permission` at `site` (None: everywhere). The bank itself may."""
    if act.actor.code != SYSTEM_CODE and not act.may(permission, at=site):
        act.actor.require_full(permission.words)
        place = "everywhere" if site is None else f"at {site}"
        raise NotPermitted(
            f"Your role does not let you {permission.words} {place}. Ask an administrator if it should.",
            permission=permission.value,
        )


def require_not_own(act: Act, code: str) -> None:
    """Raise OwnLogin when `code` is the actor's own."""
    if act.actor.code == code:
        raise OwnLogin("Someone else must do this: nobody decides about their own login.", subject=code)


def places_of(grants: Iterable[RoleGrant]) -> list[Place]:
    """Return where one must manage users to change a login: wherever it has a role. One without roles belongs to no site."""
    return [grant.site for grant in grants] or [ANYWHERE]


def manages(actor: Actor, code: str, grants: Iterable[RoleGrant]) -> bool:
    """Say whether the actor may change a login: another's, and they manage users wherever it has a role."""
    return actor.code != code and all(actor.may(Permission.USER_MANAGE, at=place) for place in places_of(grants))


def require_manager_of(act: Act, code: str, grants: Iterable[RoleGrant]) -> None:
    """Raise NotPermitted or OwnLogin unless the actor manages this login."""
    for place in places_of(grants):
        act.require(Permission.USER_MANAGE, at=place)
    require_not_own(act, code)


def takes_two(grants: Iterable[RoleGrant]) -> bool:
    """Say whether opening a shut login takes two people: it holds a role whose signature others' roles need."""
    return any(_cosigns(grant) for grant in grants)


def cosigning_site(grants: Iterable[RoleGrant]) -> str | None:
    """Return where the second person must be quality: the one site where this login co-signs, else everywhere (None)."""
    return one_site(grant for grant in grants if _cosigns(grant))


def one_site(grants: Iterable[RoleGrant]) -> str | None:
    """Return the one site of some grants; None, everywhere, when there are several."""
    sites = {grant.site for grant in grants}
    return sites.pop() if len(sites) == 1 else None


def _cosigns(grant: RoleGrant) -> bool:
    return grant.role in COSIGNING_ROLES


def may_see_user(actor: Actor, code: str, grants: Iterable[RoleGrant]) -> bool:
    """Say whether `actor` may know of a login: their own, or with `user:read` where it has a role, or when it has none."""
    held = list(grants)
    # A role held everywhere is held at the reader's site too, and a login without a role belongs to nobody else's.
    here = ANYWHERE if not held or any(grant.site is None for grant in held) else [grant.site for grant in held]
    return actor.code == code or actor.may(Permission.USER_READ, at=here)
