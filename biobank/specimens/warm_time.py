"""What is out of the cold for longer than its budget is held while it is still out, or when the budget is set that it is over."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import Appended, append
from biobank.custody.legality import Snapshot
from biobank.custody.material_limits import WARM_TIME_BUDGET
from biobank.custody.models import custody, hold
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, Condition, HoldKind, HoldScope
from biobank.foundation.clock import rfc3339
from biobank.specimens.limit_models import material_limit
from biobank.specimens.models import specimen

_EVER: Final = datetime.min.replace(tzinfo=UTC)
_FROZEN: Final[tuple[ColumnElement[bool], ...]] = (
    custody.c.condition == Condition.FROZEN.value,
    custody.c.state.not_in([state.value for state in TERMINAL]),
)


@timer(every=timedelta(minutes=1))
def hold_what_is_out_too_long(session: Session, act: Act) -> int:
    """Hold every frozen specimen whose time out of the cold, what runs included, is over its red time. A timer's work.

    A hold that quality lifted while the specimen is still out is not placed again.
    """
    if (
        session.execute(select(material_limit.c.site_code).where(material_limit.c.warm_red_s.is_not(None)).limit(1)).first()
        is None
    ):
        return 0
    running = select(custody.c.code).where(custody.c.out_since.is_not(None), *_FROZEN)
    return len(_hold_over_budget(session, act, session.scalars(running.order_by(custody.c.code))))


def hold_over_new_budget(session: Session, act: Act, site: str, material: str) -> list[Appended]:
    """Hold what is frozen, of a site, and was out of the cold for longer already than a budget that is set now.

    What was ever held for its budget is assessed, or will be: stored, it is not held again before more time is added.
    """
    warmed = select(custody.c.code).join(specimen, specimen.c.code == custody.c.code).where(*_FROZEN)
    its = (specimen.c.material == material, or_(custody.c.exposure_s > 0, custody.c.out_since.is_not(None)))
    here = or_(custody.c.site_code == site, specimen.c.home_site_code == site)
    return _hold_over_budget(session, act, session.scalars(warmed.where(*its, here).order_by(custody.c.code)))


def _budgets(session: Session, frozen: Iterable[Snapshot]) -> dict[str, int]:
    """Return, by code, for how many seconds each of these may be out of the cold where its sites say so. One statement."""
    units = list(frozen)
    asked = select(material_limit.c.material, material_limit.c.site_code, material_limit.c.warm_red_s).where(
        material_limit.c.material.in_(sorted({one.material for one in units})),
        material_limit.c.condition == Condition.FROZEN.value,
        material_limit.c.warm_red_s.is_not(None),
    )
    rows = session.execute(asked).all() if units else []
    return {
        one.code: min(said)
        for one in units
        if (said := [row.warm_red_s for row in rows if row.material == one.material and row.site_code in _sites(one)])
    }


def without_limit(session: Session, units: Iterable[Snapshot]) -> list[str]:
    """Return which of these frozen units nothing stops however long they are out of the cold: no limit is set for them."""
    frozen = [one for one in units if one.projection.condition == Condition.FROZEN.value]
    limited = _budgets(session, frozen)
    return sorted(one.code for one in frozen if one.code not in limited)


def warm_reds(session: Session, units: Iterable[Snapshot]) -> dict[str, int]:
    """Return, by code, for how many seconds those of these units that are frozen and out of the cold now may be so, in two
    statements at most. Absent: no limit is set (the registry has none), or it was held for this time already: then the hold, or
    who lifted it, decides.
    """
    out = {one.code: one for one in units if one.projection.condition == Condition.FROZEN.value and one.projection.out_since}
    reds = _budgets(session, out.values())
    of_it = (hold.c.scope_kind == HoldScope.SPECIMEN.value, hold.c.scope_id.in_(sorted(reds)), hold.c.reason == WARM_TIME_BUDGET)
    latest = select(hold.c.scope_id, func.max(hold.c.placed_at).label("placed")).where(*of_it).group_by(hold.c.scope_id)
    held = {row.scope_id: row.placed for row in session.execute(latest)} if reds else {}
    since = {code: datetime.fromisoformat(str(out[code].projection.out_since)) for code in reds}
    return {code: red for code, red in reds.items() if code not in held or held[code] < since[code]}


def _sites(one: Snapshot) -> frozenset[str]:
    return frozenset(filter(None, (one.projection.site_code, one.home_site_code)))


def _hold_over_budget(session: Session, act: Act, codes: Iterable[Any]) -> list[Appended]:
    facts = []
    found = load(session, codes, lock=True)
    budgets = _budgets(session, found.values())
    for code, one in sorted(found.items()):
        now, red = one.projection, budgets.get(code)
        if red is None or now.exposure_s + now.running_s(rfc3339(act.at)) <= red:
            continue
        since = _EVER if now.out_since is None else datetime.fromisoformat(now.out_since)
        if custody_holds.placed_since(session, HoldScope.SPECIMEN, code, WARM_TIME_BUDGET, since):
            continue
        head = head_of(session, act, NOW, subject=one.donor_code, site=now.site_code, last=one.last_occurred_at)
        facts.append(custody_holds.specimen_hold_fact(one, HoldKind.TEMPERATURE, head, reason=WARM_TIME_BUDGET))
    placed = append(session, facts) if facts else []
    if facts:
        custody_holds.keep_placed(session, facts, placed)
    return placed
