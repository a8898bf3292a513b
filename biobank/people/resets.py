"""Where a login may have changed hands: passwords reset, codes used, and logins made or reset from the console, of late.

They are read from the log. The owner sees at Today what was done to their login; whoever approves a withdrawal, or stands at its
bedside, sees those of every login that acts in the case; quality sees what the console did, and resets and roles that others
signed for.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlmodel import Session

from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.people.queries import users_seen
from biobank.transparency.models import event

SHOWN_FOR = timedelta(days=14)
RESET, CODE_USED = "user.password_reset", "user.password_changed"
_ABOUT_LOGINS = (RESET, "user.created", "user.reactivated", "user.role_granted")
_OWN = (
    RESET,
    CODE_USED,
    *(f"user.{verb}" for verb in ("role_granted", "role_revoked", "second_factor_removed", "passkey_added", "passkey_removed")),
)
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
    """Return what the actor should know of: what was done to their own login, and codes used at it; for quality, acts of the
    console, and resets and roles that others signed for.
    """
    own = and_(event.c.stream_id == actor.code, event.c.kind.in_(_OWN))
    told = own
    if actor.may(Permission.ROLE_COSIGN, at=ANYWHERE):
        console = and_(event.c.recorded_by == SYSTEM_CODE, event.c.kind.in_(_ABOUT_LOGINS))
        seen = select(user.c.code).where(user.c.code == event.c.stream_id, users_seen(actor))
        others = and_(event.c.kind.in_((RESET, "user.role_granted")), event.c.recorded_by != actor.code, seen.exists())
        told = or_(own, console, others)
    return _read(session, told)


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
