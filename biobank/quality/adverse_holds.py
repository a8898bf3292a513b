"""What an adverse event holds: where the cause may be in the material, the lots and harvests of its units and of what those were
made of (where neither is known, all of the donor's); and what of the withdrawal can still be given, each unit by itself.
"""

from collections.abc import Collection, Iterable, Mapping

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
from biobank.specimens.lineage import kin_of


def hold_concerned(
    session: Session, act: Act, cause: Collection[Snapshot], at_hand: Iterable[Snapshot], site: str, because: bytes
) -> list[Appended]:
    """Hold the siblings of `cause`, and of what is `at_hand` each unit that can still be given and that this holds not yet.

    Open bedside releases of all of it end.
    """
    scopes = shared_scopes(session, cause)
    placed = _hold_siblings(session, act, scopes, site, because)
    codes = {unit.code for unit in at_hand if unit.state not in TERMINAL and not _covered(unit, scopes)}
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


Shared = tuple[HoldScope, str]


def _own(unit: Snapshot) -> set[Shared]:
    """What a unit shares a cause in the material with: its lot, or for one of no lot its harvest."""
    if unit.lot_code is not None:
        return {(HoldScope.LOT, unit.lot_code)}
    return {(HoldScope.HARVEST, unit.harvest_code)} if unit.harvest_code is not None else set()


def _covered(unit: Snapshot, scopes: Collection[Shared]) -> bool:
    """Say whether one of these holds the unit already."""
    its = ((HoldScope.LOT, unit.lot_code), (HoldScope.HARVEST, unit.harvest_code), (HoldScope.DONOR, unit.donor_code))
    return any(one in scopes for one in its)


def shared_scopes(session: Session, units: Collection[Snapshot]) -> dict[Shared, str | None]:
    """Return the lots and harvests of these units and of all that they were made of, each with its donor: a contamination or a
    mix-up may lie in any of them. For a unit of which neither is known, its donor.
    """
    made_of: dict[str, set[str]] = {unit.code: {unit.code} for unit in units}
    for one in kin_of(session, made_of):
        if not one.sibling:
            made_of[one.unit].add(one.code)
    every = load(session, {code for line in made_of.values() for code in line})
    found: dict[Shared, str | None] = {}
    for line in made_of.values():
        known = {scope: every[code].donor_code for code in sorted(line) for scope in _own(every[code])}
        donors = {every[code].donor_code for code in line} - {None}
        found |= known or {(HoldScope.DONOR, str(donor)): donor for donor in sorted(donors, key=str)}
    return found


def _hold_siblings(session: Session, act: Act, scopes: Mapping[Shared, str | None], site: str, because: bytes) -> list[Appended]:
    """Hold each of these, unless an adverse event holds it already."""
    placed: list[Appended] = []
    for (scope, what), donor in sorted(scopes.items(), key=str):
        if _held(session, scope, what):
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
