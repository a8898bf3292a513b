"""Sites as choices of a form."""

from collections.abc import Callable, Sequence

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.pages.ui.act_pages import Asked
from biobank.people.queries import list_sites
from biobank.people.schemas import SitePublic

Choices = list[tuple[str, str]]


def own_sites(session: Session, actor: Actor, permission: Permission | None, *, kind: str | None = None) -> Choices:
    """Return the active sites at which the actor has `permission` (None: all of them), of one `kind` if asked."""
    return among(list_sites(session, actor, active=True).items, actor, permission, kind=kind)


def among(sites: Sequence[SitePublic], actor: Actor, permission: Permission | None, *, kind: str | None = None) -> Choices:
    """Return the same of sites that were read."""
    return [
        (one.code, f"{one.code} · {one.name}")
        for one in sites
        if (permission is None or actor.may(permission, at=one.code)) and kind in (None, one.kind)
    ]


def sites_for(permission: Permission) -> Callable[[Session, Actor, Asked], Choices]:
    """Return what reads the sites at which the actor has `permission`; raises NotPermitted when there is none."""

    def reads(session: Session, actor: Actor, _asked: Asked) -> Choices:
        actor.require(permission, at=ANYWHERE)
        return own_sites(session, actor, permission)

    return reads


def only(choices: Sequence[tuple[str, str]]) -> str:
    """Return the code of the one choice there is, to fill it in; empty when there are several or none."""
    return choices[0][0] if len(choices) == 1 else ""
