"""Notices to a login that was ended: whoever treats at the clinic now is told instead, as soon as somebody does."""

from datetime import timedelta

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.models import user
from biobank.custody.snapshots import load
from biobank.custody.states import State
from biobank.quality.dispositions import reached_units
from biobank.quality.models import deviation, notice
from biobank.quality.notices import RECEIVED, TREATS, Told, give_notices, standing_in


@timer(every=timedelta(minutes=5))
def pass_notices_on(session: Session, act: Act) -> int:
    """Tell who stands in for each login that was ended before it acknowledged what was given; return how many were told."""
    rows = session.execute(
        select(notice)
        .join(user, user.c.code == notice.c.user_code)
        .join(deviation, deviation.c.code == notice.c.deviation_code)
        .where(~user.c.active, notice.c.rank == TREATS, notice.c.acknowledged_at.is_(None), deviation.c.closed_at.is_(None))
        .order_by(notice.c.made_at)
    ).all()
    count = 0
    for row in rows:
        reached = load(session, reached_units(session, row.deviation_code)).values()
        given = [one for one in reached if one.state is State.ADMINISTERED and one.donor_code is not None]
        standing = standing_in(session, {row.user_code}, {str(one.donor_code) for one in given}).get(row.user_code, frozenset())
        known = set(session.execute(select(notice.c.user_code).where(notice.c.deviation_code == row.deviation_code)).scalars())
        # All of them are told, and the word of one is enough: none is waited for as the one who treated.
        told = [Told(login, RECEIVED, frozenset(one.code for one in given)) for login in sorted(standing - known)]
        same = {"reason": row.reason, "about": row.about, "deviation": row.deviation_code, "site": row.site_code}
        give_notices(session, act, told, **same, relies_on=bytes(row.made_event))
        count += len(told)
    return count
