"""Sites as choices of a form."""

from collections.abc import Sequence

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.people.queries import list_sites

Choices = list[tuple[str, str]]


def own_sites(session: Session, actor: Actor, permission: Permission | None, *, kind: str | None = None) -> Choices:
    """Return the active sites at which the actor has `permission` (None: all of them), of one `kind` if asked."""
    return [
        (one.code, f"{one.code} · {one.name}")
        for one in list_sites(session, actor, active=True).items
        if (permission is None or actor.may(permission, at=one.code)) and kind in (None, one.kind)
    ]


def only(choices: Sequence[tuple[str, str]]) -> str:
    """Return the code of the one choice there is, to fill it in; empty when there are several or none."""
    return choices[0][0] if len(choices) == 1 else ""
