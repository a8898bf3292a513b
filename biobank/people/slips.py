"""Slips: how a one-time code reaches its owner, and nobody else.

Completing a first role or a reset makes a slip: a promise of a code, without a code. The person who completed it draws the slip,
once. Only then is there a code; its hash stands at the login, and the code itself in that one answer and nowhere else.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth import one_time
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation import clock
from biobank.foundation.errors import Conflict, NotFound
from biobank.people.authority import one_site, require_held
from biobank.people.credentials import record_credentials
from biobank.people.queries import grants_of, printed_name
from biobank.people.schemas import DrawnSlip, Slip

NO_CODE: dict[str, Any] = {"code_expires_at": None, "slip_id": None, "slip_for": None}
"""What a login holds beside its password when no one-time code is out."""

_find = select(user).where(user.c.slip_id == bindparam("slip"))


class SlipOver(Conflict):
    """The slip was drawn, or its three days are over."""

    code = "slip_over"
    title = "This slip is over"


def issue_slip(session: Session, act: Act, code: str) -> Slip:
    """Take what opens a login away and make a slip for the actor to draw."""
    slip = Slip(id=uuid4(), expires_at=act.at + one_time.LIFETIME)
    session.execute(
        update(user)
        .where(user.c.code == code)
        .values(
            password_hash=None,
            must_change_password=True,
            code_expires_at=slip.expires_at,
            slip_id=slip.id,
            slip_for=act.actor.code,
        )
    )
    return slip


def read_slip(session: Session, actor: Actor, slip: UUID) -> Any:
    """Return the login that a slip of the actor's is for, not drawn yet; raise NotFound, SlipOver."""
    return _open(session.execute(_find, {"slip": slip}).first(), actor)


def draw_slip(session: Session, act: Act, slip: UUID, plain: str, hashed: str) -> DrawnSlip:
    """Put the hash of a fresh code at the login and show the code, this once. `hashed` is of `one_time.as_typed(plain)`.

    Raises NotFound unless the slip is the actor's, SlipOver, NotPermitted when they are not quality there any more.
    """
    row = _open(session.execute(_find.with_for_update(), {"slip": slip}).first(), act.actor)
    require_held(act, Permission.ROLE_COSIGN, one_site(grants_of(session, row.code)))
    session.execute(update(user).where(user.c.code == row.code).values(password_hash=hashed))
    record_credentials(session, act, row.code)
    return DrawnSlip(
        code=row.code,
        username=row.username,
        printed_name=printed_name(session, act.keystore, row.name_commit),
        one_time_code=plain,
        expires_at=row.code_expires_at,
    )


def slips_to_draw(session: Session, actor: Actor) -> Sequence[Any]:
    """Return `code`, `slip_id` and `code_expires_at` of the logins whose slip the actor has still to draw, nearest end first."""
    if not actor.may(Permission.ROLE_COSIGN, at=ANYWHERE):
        return []
    waits = (user.c.slip_for == actor.code, user.c.password_hash.is_(None), user.c.code_expires_at > clock.now())
    found = select(user.c.code, user.c.slip_id, user.c.code_expires_at).where(*waits)
    return session.execute(found.order_by(user.c.code_expires_at, user.c.code)).all()


def _open(row: Any, actor: Actor) -> Any:
    if row is None or row.slip_for != actor.code:
        raise NotFound("There is no such slip that you may draw.")
    if row.password_hash is not None or row.code_expires_at <= clock.now():
        raise SlipOver(
            "This slip was drawn already, or is older than three days. If its owner has no code, reset the password again.",
            subject=row.code,
        )
    return row
