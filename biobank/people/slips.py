"""Slips: how a one-time code reaches its owner, and nobody else.

A first role and a reset take two people, and make a slip: a promise of a code, without a code. Whoever proposed it draws one
half, whoever completed it the other, each once, in any order. So neither of them ever holds what opens the login; only its owner
does, who gets both. Who the two are is read from the log again when a half is drawn.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth import one_time
from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.auth.models import user
from biobank.auth.passwords import hash_now
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.foundation import clock
from biobank.foundation.errors import Conflict, NotFound
from biobank.people.authority import one_site, require_held
from biobank.people.credentials import record_credentials
from biobank.people.queries import grants_of, half_waits, printed_name
from biobank.people.schemas import DrawnSlip, Slip
from biobank.transparency.models import event

_NO_HALF: dict[str, Any] = {"half_drawn": None, "half_drawn_by": None}
NO_CODE: dict[str, Any] = {"code_expires_at": None, "slip_id": None, "slip_for": None, "slip_with": None} | _NO_HALF
"""What a login holds beside its password when no one-time code is out."""

_find = select(user).where(user.c.slip_id == bindparam("slip"))
_opened = (
    select(event.c.entry, event.c.recorded_by)
    .where(event.c.stream_kind == "user", event.c.stream_id == bindparam("code"), event.c.kind == "user.enrolment_opened")
    .order_by(event.c.seq.desc())
    .limit(1)
)


class SlipOver(Conflict):
    """The half was drawn, or the three days of the slip are over."""

    code = "slip_over"
    title = "This slip is over"


class SlipNotSigned(Conflict):
    """What the table says of the slip is not what two people signed: the table was changed by hand."""

    code = "slip_not_signed"
    title = "Not the two people who signed"


def issue_slip(session: Session, act: Act, code: str, first: str, half: str | None = None) -> Slip:
    """Take what opens a login away and make a slip; `first` and the actor draw a half each.

    `half`: the first person's, who is at the console and sees it there.
    """
    slip = Slip(id=uuid4(), drawn_by=[first, act.actor.code], expires_at=act.at + one_time.LIFETIME)
    drawn = _NO_HALF if half is None else {"half_drawn": one_time.digest_of(half), "half_drawn_by": first}
    session.execute(
        update(user)
        .where(user.c.code == code)
        .values(
            password_hash=None,
            must_change_password=True,
            code_expires_at=slip.expires_at,
            slip_id=slip.id,
            slip_for=act.actor.code,
            slip_with=first,
            **drawn,
        )
    )
    return slip


def other_half_by(session: Session, code: str) -> str | None:
    """Return who draws the second half of a login's one-time code, or None where there is a whole one: for the console."""
    return session.scalar(select(user.c.slip_for).where(user.c.code == code))


def slips_to_draw(session: Session, actor: Actor) -> Sequence[Any]:
    """Return `code`, `slip_id` and `code_expires_at` of the logins of whose code the actor has a half to draw, by their end."""
    if not (actor.may(Permission.USER_MANAGE, at=ANYWHERE) or actor.may(Permission.ROLE_COSIGN, at=ANYWHERE)):
        return []
    waits = (
        or_(user.c.slip_for == actor.code, user.c.slip_with == actor.code),
        user.c.password_hash.is_(None),
        user.c.code_expires_at > clock.now(),
        user.c.half_drawn_by.is_distinct_from(actor.code),
    )
    found = select(user.c.code, user.c.slip_id, user.c.code_expires_at).where(*waits)
    return session.execute(found.order_by(user.c.code_expires_at, user.c.code)).all()


def read_slip(session: Session, actor: Actor, slip: UUID) -> Any:
    """Return the login of whose code the actor has a half to draw; raise NotFound, SlipOver."""
    return _open(session.execute(_find, {"slip": slip}).first(), actor)


def draw_slip(session: Session, act: Act, slip: UUID) -> DrawnSlip:
    """Make the actor's half of a code and show it, this once. With the second half drawn the code opens its login.

    Raises NotFound unless a half of the slip is the actor's, SlipOver, SlipNotSigned, NotPermitted when they are no administrator
    or quality there any more.
    """
    row = _open(session.execute(_find.with_for_update(), {"slip": slip}).first(), act.actor)
    completes = act.actor.code == row.slip_for
    needed = Permission.ROLE_COSIGN if completes else Permission.USER_MANAGE
    require_held(act, needed, one_site(grants_of(session, row.code)))
    _require_signed(session, row)
    half = one_time.new_half()
    digest = one_time.digest_of(half)
    whole = row.half_drawn is not None
    drawn: dict[str, Any] = {"half_drawn": digest, "half_drawn_by": act.actor.code}
    if whole:
        drawn = {"password_hash": hash_now(one_time.of_halves(bytes(row.half_drawn), digest)).stored} | _NO_HALF
    session.execute(update(user).where(user.c.code == row.code).values(**drawn))
    if whole:
        record_credentials(session, act, row.code)
    return DrawnSlip(
        code=row.code,
        username=row.username,
        printed_name=printed_name(session, act.keystore, row.name_commit),
        half=half,
        other_half_by=row.slip_with if completes else row.slip_for,
        expires_at=row.code_expires_at,
    )


def _require_signed(session: Session, row: Any) -> None:
    """Raise SlipNotSigned unless the log says that these two opened the enrolment: a table is changed more easily."""
    opened = session.execute(_opened, {"code": row.code}).one()
    body = parse_entry(bytes(opened.entry))["body"]
    first = body.get("proposed_by") or (SYSTEM_CODE if opened.recorded_by == SYSTEM_CODE else None)
    if (first, body.get("completed_by")) != (row.slip_with, row.slip_for):
        raise SlipNotSigned(
            "The log says that others signed for this. Tell quality: somebody may have changed the table of logins.",
            subject=row.code,
        )


def _open(row: Any, actor: Actor) -> Any:
    if row is None or actor.code not in (row.slip_for, row.slip_with):
        raise NotFound("There is no such slip that you may draw.")
    if not half_waits(row, actor):
        raise SlipOver(
            "You drew your half already, or the slip is older than three days. If its owner has not got both halves, reset the "
            "password again.",
            subject=row.code,
        )
    return row
