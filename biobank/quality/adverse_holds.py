"""What an adverse event holds: the lots or harvests of its units where the cause may be in the material, and what of the
withdrawal can still be given, each unit by itself.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds as custody_holds
from biobank.custody.events import HOLD_EVENTS
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import hold
from biobank.custody.queries import last_event_at
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, HoldKind, HoldScope
from biobank.quality.dispositions import ADVERSE
from biobank.quality.releases import end_held_releases


def hold_concerned(
    session: Session, act: Act, cause: Collection[Snapshot], at_hand: Iterable[Snapshot], site: str, because: bytes
) -> list[Appended]:
    """Hold the siblings of `cause`, and of what is `at_hand` each unit that can still be given and that this holds not yet.

    Open bedside releases of all of it end.
    """
    placed = _hold_siblings(session, act, cause, site, because)
    scopes = {_shared(unit) for unit in cause}
    codes = {
        unit.code for unit in at_hand if unit.state not in TERMINAL and (_shared(unit)[1] is None or _shared(unit) not in scopes)
    }
    for code, unit in sorted(load(session, codes, lock=True).items()):
        if _held(session, HoldScope.SPECIMEN, code):
            continue
        head = head_of(session, act, NOW, subject=unit.donor_code, site=site, last=unit.last_occurred_at, relies_on=(because,))
        placed.append(
            custody_holds.place(
                session,
                kind=HoldKind.QUALITY,
                scope_kind=HoldScope.SPECIMEN,
                scope_id=code,
                reason=ADVERSE,
                head=head,
                specimen=unit,
            )[1]
        )
    if placed:
        end_held_releases.get()(session, at=act.at, because=ADVERSE)
    return placed


def _shared(unit: Snapshot) -> tuple[HoldScope, str | None]:
    """What a unit shares a cause in the material with: its lot, or its harvest."""
    return (HoldScope.LOT, unit.lot_code) if unit.lot_code is not None else (HoldScope.HARVEST, unit.harvest_code)


def _hold_siblings(session: Session, act: Act, units: Collection[Snapshot], site: str, because: bytes) -> list[Appended]:
    """Hold every lot of these units, and for a unit of no lot its harvest, unless an adverse event holds it already."""
    scopes = {_shared(unit): unit.donor_code for unit in units}
    placed: list[Appended] = []
    for (scope, what), donor in sorted(scopes.items(), key=str):
        if what is None or _held(session, scope, what):
            continue
        stream = donor if scope is HoldScope.HARVEST and donor is not None else what
        last = last_event_at(session, HOLD_EVENTS[scope][0], stream)
        head = head_of(session, act, NOW, subject=donor, site=site, last=last, relies_on=(because,))
        placed.append(
            custody_holds.place(
                session,
                kind=HoldKind.QUALITY,
                scope_kind=scope,
                scope_id=what,
                reason=ADVERSE,
                head=head,
                donor_code=donor,
            )[1]
        )
    return placed


def _held(session: Session, scope: HoldScope, what: str) -> bool:
    of_it = (hold.c.scope_kind == scope.value, hold.c.scope_id == what, hold.c.reason == ADVERSE, hold.c.lifted_at.is_(None))
    # A hold of another kind with this reason blocks other things.
    of_kind = hold.c.kind == HoldKind.QUALITY.value
    return session.execute(select(hold.c.id).where(*of_it, of_kind)).first() is not None
