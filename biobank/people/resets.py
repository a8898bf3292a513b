"""Where a login may have changed hands: passwords reset, codes used, and logins made or reset from the console, of late.

They are read from the log. The owner sees their own at Today; whoever approves a withdrawal, or stands at its bedside, sees those
of every login that acts in the case; quality sees what the console did.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, tuple_
from sqlmodel import Session

from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.transparency.models import event

SHOWN_FOR = timedelta(days=14)
RESET, CODE_USED = "user.password_reset", "user.password_changed"
_ABOUT_LOGINS = (RESET, "user.created", "user.reactivated", "user.role_granted")
_MOST = 200


@dataclass(frozen=True)
class Reset:
    """A login whose password was taken away. `by`: those who did it, or the console."""

    user: str
    kind: str
    at: datetime
    by: tuple[str, ...]


def resets_in_case(session: Session, streams: Collection[tuple[StreamKind, str]], *present: str) -> list[Reset]:
    """Return the resets, within the last 14 days, of every login that recorded something in a case, and of those `present`.

    `streams`: the case's records, its withdrawal, tubes and donor.
    """
    case = event.alias("case")
    acted = select(case.c.recorded_by).where(
        tuple_(case.c.stream_kind, case.c.stream_id).in_([(kind.value, code) for kind, code in streams])
    )
    return _read(session, and_(event.c.kind == RESET, or_(event.c.stream_id.in_(acted), event.c.stream_id.in_(sorted(present)))))


def shown_today(session: Session, actor: Actor) -> list[Reset]:
    """Return what the actor should know of: resets and uses of a code at their own login; for quality, acts of the console."""
    own = and_(event.c.stream_id == actor.code, event.c.kind.in_((RESET, CODE_USED)))
    quality = actor.may(Permission.ROLE_COSIGN, at=ANYWHERE)
    console = and_(event.c.recorded_by == SYSTEM_CODE, event.c.kind.in_(_ABOUT_LOGINS)) if quality else false()
    return _read(session, or_(own, console))


def _read(session: Session, wanted: ColumnElement[bool]) -> list[Reset]:
    rows = session.execute(
        select(event.c.stream_id, event.c.kind, event.c.recorded_at, event.c.recorded_by, event.c.entry)
        .where(event.c.stream_kind == StreamKind.USER.value, event.c.recorded_at > clock.now() - SHOWN_FOR, wanted)
        .order_by(event.c.recorded_at.desc())
        .limit(_MOST)
    )
    found = ((row, parse_entry(bytes(row.entry))) for row in rows)
    return [_reset(row, entry["body"]) for row, entry in found if _tells(row, entry)]


def _tells(row: Any, entry: dict[str, Any]) -> bool:
    """Say whether it is shown: a password that its owner changed is not, nor what came with imported history."""
    return entry["source"] == "live" and (row.kind != CODE_USED or bool(entry["body"]["first"]))


def _reset(row: Any, body: dict[str, Any]) -> Reset:
    named = dict.fromkeys((body.get("proposed_by"), row.recorded_by, body.get("completed_by")))
    return Reset(row.stream_id, row.kind, row.recorded_at, tuple("the console" if n == SYSTEM_CODE else n for n in named if n))
