"""What is out of the cold for longer than its budget is held while it is still out: nobody waits for it to be put away."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import append
from biobank.custody.material_limits import WARM_TIME_BUDGET
from biobank.custody.models import custody
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, Condition, HoldKind, HoldScope
from biobank.foundation.clock import rfc3339
from biobank.specimens.limits import limits_of
from biobank.specimens.models import material_limit


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
    running = (
        select(custody.c.code)
        .where(
            custody.c.out_since.is_not(None),
            custody.c.condition == Condition.FROZEN.value,
            custody.c.state.not_in([state.value for state in TERMINAL]),
        )
        .order_by(custody.c.code)
    )
    facts = []
    for code, one in sorted(load(session, session.execute(running).scalars(), lock=True).items()):
        now = one.projection
        sites = frozenset(filter(None, (now.site_code, one.home_site_code)))
        red = limits_of(session, one.material, Condition.FROZEN, sites).warm_red_s
        if red is None or now.out_since is None or now.exposure_s + now.running_s(rfc3339(act.at)) <= red:
            continue
        if custody_holds.placed_since(session, HoldScope.SPECIMEN, code, WARM_TIME_BUDGET, datetime.fromisoformat(now.out_since)):
            continue
        head = head_of(session, act, NOW, subject=one.donor_code, site=now.site_code, last=one.last_occurred_at)
        facts.append(custody_holds.specimen_hold_fact(one, HoldKind.TEMPERATURE, head, reason=WARM_TIME_BUDGET))
    if facts:
        custody_holds.keep_placed(session, facts, append(session, facts))
    return len(facts)
