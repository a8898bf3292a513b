"""How the bedside was kept to: what was given as it should be, and what was not, by cause and clinic."""

from collections import Counter
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import func, literal, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.foundation import clock
from biobank.transparency.models import event
from biobank.unfinished.kinds import CHECK_DUE
from biobank.unfinished.models import act_timed_out
from biobank.withdrawals.case import STANDS, administration
from biobank.withdrawals.models import bedside_release, withdrawal
from biobank.withdrawals.releases import check_table as bedside_check


class BedsideCount(BaseModel):
    """How often one cause was met at a clinic. `kept`: the bedside was kept to."""

    site: str
    cause: str
    kept: bool
    times: int


class BedsideCompliance(BaseModel):
    """The counts since a day, by clinic and cause."""

    since: AwareDatetime
    items: list[BedsideCount]


KEPT = frozenset({"given_after_two_scans", "given_and_entered_from_paper"})


def bedside_compliance(session: Session, actor: Actor, since: datetime) -> BedsideCompliance:
    """Count at the clinics whose withdrawals the actor may know of. Raises NotPermitted."""
    actor.require(Permission.WITHDRAWAL_READ, at=ANYWHERE)
    clinic = withdrawal.c.clinic_site_code
    here = actor.scope(Permission.WITHDRAWAL_READ).of(clinic)
    counts: Counter[tuple[str, str]] = Counter()

    def count(cause: Any, source: Any, of: Any, *where: Any) -> None:
        joined = source.join(withdrawal, withdrawal.c.code == of)
        rows = select(clinic.label("site"), cause.label("cause"), func.count().label("times")).select_from(joined)
        for row in session.execute(rows.where(here, *where).group_by(clinic, cause)):
            counts[row.site, row.cause] += row.times

    paper = bedside_check.c.paper.is_not(None)
    by_check = administration.join(bedside_release, bedside_release.c.id == administration.c.release_id).join(
        bedside_check, bedside_check.c.id == bedside_release.c.check_id
    )
    for cause, condition in (("given_after_two_scans", ~paper), ("given_and_entered_from_paper", paper)):
        count(literal(cause), by_check, administration.c.withdrawal_code, administration.c.ended_at >= since, STANDS, condition)
    now = clock.now()
    # When half a check is late is asked of the list of what was begun and not finished: on paper the other person has the day.
    lapsed = bedside_check.c.ended_at.is_(None), or_(bedside_check.c.superseded_at.is_not(None), now > CHECK_DUE)
    count(
        literal("first_scans_without_second"),
        bedside_check,
        bedside_check.c.withdrawal_code,
        bedside_check.c.opened_at >= since,
        *lapsed,
    )
    unused = bedside_release.c.consumed_at.is_(None), bedside_release.c.made_at >= since
    ended = func.coalesce(literal("release_ended_").concat(bedside_release.c.ended_because), "release_not_used_in_time")
    gone = or_(bedside_release.c.ended_at.is_not(None), bedside_release.c.expires_at < now)
    count(ended, bedside_release, bedside_release.c.withdrawal_code, *unused, gone)
    late = act_timed_out.c.act == "unverified", act_timed_out.c.at >= since
    count(literal("issued_and_not_verified_in_time"), act_timed_out, act_timed_out.c.stream_id, *late)
    stops = (
        select(clinic.label("site"), event.c.entry)
        .select_from(event.join(withdrawal, withdrawal.c.code == event.c.stream_id))
        .where(event.c.kind == "withdrawal.bedside_check_failed", event.c.recorded_at >= since, here)
    )
    for row in session.execute(stops):
        differing = parse_entry(bytes(row.entry))["body"]["differing"]
        counts[row.site, "stopped_wrong_" + "_and_".join(differing)] += 1
    items = [BedsideCount(site=site, cause=cause, kept=cause in KEPT, times=n) for (site, cause), n in sorted(counts.items())]
    return BedsideCompliance(since=since, items=items)
