"""Ending open bedside releases. The rows belong to `withdrawals`, above; whoever stops a specimen ends them from here.

A release never survives the reason for which it could not be given now: administration checks everything again, and an
ended release says so to whoever holds it.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from biobank.custody.snapshots import holds_on
from biobank.custody.states import HoldAct

_KILL = text(
    """
    UPDATE bedside_release SET killed_at = :at, killed_because = :because
    WHERE specimen_code = ANY(:codes) AND consumed_at IS NULL AND killed_at IS NULL
    RETURNING id
    """
)
_OPEN = text(
    "SELECT DISTINCT specimen_code FROM bedside_release WHERE consumed_at IS NULL AND killed_at IS NULL AND expires_at > :at"
)


def kill_releases(session: Session, specimens: Collection[str], *, at: datetime, because: str) -> int:
    """End every open release of these specimens and return how many there were. `because` is a coded reason."""
    return len(session.execute(_KILL, {"codes": list(specimens), "at": at, "because": because}).all())


def kill_held_releases(session: Session, *, at: datetime, because: str) -> int:
    """End every open release of a specimen that a hold now keeps from being administered; return how many."""
    codes = [row.specimen_code for row in session.execute(_OPEN, {"at": at})]
    held = [
        code for code, holds in holds_on(session, codes).items() if any(HoldAct.ADMINISTER.value in hold.blocks for hold in holds)
    ]
    return kill_releases(session, held, at=at, because=because)
