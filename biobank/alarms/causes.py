"""What is wrong right now: the one rule by which alarms are raised and resolved.

A cause that stands here and has no open alarm gets one; an open alarm whose cause no longer stands here is resolved.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session

from biobank.alarms.models import alarm
from biobank.auth.actor import SYSTEM_CODE
from biobank.auth.models import site
from biobank.custody.models import custody
from biobank.custody.states import TERMINAL, State
from biobank.donors.identity_reads import many_read
from biobank.monitoring.models import excursion, excursion_item
from biobank.monitoring.sensors import doubted_since, silent_at
from biobank.reconciliation.models import log_difference
from biobank.shipping.handover_queries import handover
from biobank.shipping.handover_queries import item as handover_item
from biobank.shipping.shipment_queries import DUE, shipment
from biobank.specimens.models import specimen
from biobank.storage.limits import CLASSES
from biobank.storage.models import storage_container
from biobank.storage.queries import specimens_inside
from biobank.transparency.models import event


@dataclass(frozen=True)
class Cause:
    """Something wrong: of which kind, about what (a code, or the id of a hand-over), where, since when.

    `steps`: how bad it is, as marks that it has passed. One that was not there when somebody answered calls again.
    """

    kind: str
    subject: str
    site: str
    since: datetime
    steps: frozenset[str] = frozenset()


def causes_at(session: Session, at: datetime, identities_per_hour: int) -> list[Cause]:
    """Return everything that is wrong at `at`, in an order that is always the same.

    `identities_per_hour`: of how many people a person may read within an hour who they are.
    """
    found = [
        *_excursions(session),
        *_shipments(session, at),
        *_handovers(session),
        *_differences(session),
        *_silent_sensors(session, at),
        *_doubtful_values(session),
        *_identities_read(session, at, identities_per_hour),
    ]
    return sorted(found, key=lambda one: (one.kind, one.subject))


def _excursions(session: Session) -> Iterator[Cause]:
    """Places that have not read within their limits again, unless they are done with; and those whose excursion was over before
    anybody was called (values of a sensor in one call, a file of last night), while something of it is left to assess. Each is
    of the site where the place stands now.
    """
    of = excursion.c
    called = select(alarm.c.code).where(
        alarm.c.cause == "excursion", alarm.c.subject == of.code, alarm.c.raised_at <= of.ended_at
    )
    left = select(excursion_item.c.excursion_code).where(
        excursion_item.c.excursion_code == of.code, excursion_item.c.removed_at.is_(None), excursion_item.c.decision.is_(None)
    )
    rows = session.execute(
        select(excursion, storage_container.c.site_code.label("stands_at"))
        .join(storage_container, storage_container.c.code == of.container_code)
        .where(of.annulled_at.is_(None), or_(of.ended_at.is_(None), and_(left.exists(), ~called.exists())))
    )
    yield from (
        Cause("excursion", row.code, row.stands_at, row.began_at, steps_of(row.worst))
        for row in rows
        if row.ended_at is not None or not done_with(session, row)
    )


_MARKS: Final = {
    "too_warm": sorted({one.limits.highest_mc for one in CLASSES.values() if one.limits.highest_mc is not None}),
    "too_cold": sorted({one.limits.lowest_mc for one in CLASSES.values() if one.limits.lowest_mc is not None}),
    "level_too_low": [100_000, 50_000, 1],
}
"""What a value passes on its way out: the bounds of classes of places (m°C); of a level 10 %, 5 % and empty, which are ours."""


def steps_of(worst: "Sequence[Mapping[str, Any]]") -> frozenset[str]:
    """Return the ways in which a place is outside, and the marks that each value furthest out has passed. Pure."""
    found: set[str] = set()
    for one in worst:
        way, peak = one["outside"], one["peak"]
        found.add(way)
        found |= {f"{way} {mark}" for mark in _MARKS.get(way, ()) if (peak > mark if way == "too_warm" else peak < mark)}
    return frozenset(found)


def steps_now(session: Session, cause: str, subject: str) -> list[str]:
    """Return how bad the cause of an alarm is now, in an order that is always the same."""
    if cause != "excursion":
        return []
    return sorted(steps_of(session.execute(select(excursion.c.worst).where(excursion.c.code == subject)).scalar_one()))


def done_with(session: Session, row: Any) -> bool:
    """Say whether a place that is outside its limits (the row of its excursion) concerns nobody any more.

    Everything that it reached is assessed, and nothing at all is in the place: a tank that failed and was emptied. An empty one
    that reached nothing goes on calling: somebody may be about to bring tubes there.
    """
    of = excursion_item.c
    asked = select(func.count(), func.count(of.decision)).where(of.excursion_code == row.code, of.removed_at.is_(None))
    reached, assessed = session.execute(asked).one()
    return reached > 0 and reached == assessed and not specimens_inside(session, row.container_code)


def _shipments(session: Session, at: datetime) -> Iterator[Cause]:
    """Shipments that should have arrived, or whose cold has ended under way."""
    of = shipment.c
    rows = session.execute(select(of.code, of.to_site, DUE.label("due")).where(of.closed_at.is_(None), at > DUE))
    yield from (Cause("shipment_overdue", row.code, row.to_site, row.due) for row in rows)


def _handovers(session: Session) -> Iterator[Cause]:
    """Hand-overs that ran out, of which a tube is neither stored nor at its end, and nothing was recorded of it since."""
    safe = [State.STORED.value, *(state.value for state in TERMINAL)]
    newer, its = handover.alias("newer"), handover_item.alias("its")
    later = (
        select(newer.c.id)
        .join_from(newer, its, its.c.handover_id == newer.c.id)
        .where(its.c.specimen_code == handover_item.c.specimen_code, newer.c.offered_at > handover.c.offered_at)
    )
    # What the bank's own timers wrote since then attends to nothing.
    done = event.alias("done")
    since = select(done.c.seq).where(
        done.c.stream_kind == event.c.stream_kind,
        done.c.stream_id == event.c.stream_id,
        done.c.seq > event.c.seq,
        done.c.recorded_by != SYSTEM_CODE,
    )
    site = func.min(func.coalesce(custody.c.site_code, specimen.c.home_site_code))
    rows = session.execute(
        select(handover.c.id, handover.c.expires_at, site.label("site"))
        .select_from(
            handover.join(handover_item, handover_item.c.handover_id == handover.c.id)
            .join(custody, custody.c.code == handover_item.c.specimen_code)
            .join(specimen, specimen.c.code == custody.c.code)
            .join(event, and_(event.c.stream_kind == "specimen", event.c.stream_id == custody.c.code))
        )
        .where(
            handover.c.expired_at.is_not(None),
            custody.c.state.not_in(safe),
            event.c.kind == "specimen.handover_expired",
            ~later.exists(),
            ~since.exists(),
        )
        .group_by(handover.c.id, handover.c.expires_at)
    )
    yield from (Cause("handover_overdue", str(row.id), row.site, row.expires_at) for row in rows if row.site is not None)


def _differences(session: Session) -> Iterator[Cause]:
    """What stands otherwise in the tables than in the log; what is at no site calls the first one, in use where one is.

    A subject of several words or of one letter is named as an alarm may name it: no row may be called so that nobody is called.
    """
    of = log_difference.c
    of_sites = select(site.c.code).order_by(site.c.active.desc(), site.c.code).limit(1)
    first = session.execute(of_sites).scalar()
    found: dict[str, Cause] = {}
    for row in session.execute(select(of.subject, of.site_code, of.found_at).order_by(of.found_at, of.part, of.subject)):
        where, subject = row.site_code or first, subject_of(row.subject)
        if where is not None and subject not in found:
            found[subject] = Cause("differs_from_log", subject, where, row.found_at)
    yield from found.values()


def subject_of(named: str) -> str:
    """Return what differs under a name that an alarm may bear: letters, digits and hyphens, 3 to 40 of them. Pure."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", named)[:40]
    return plain if len(plain) >= 3 else f"row-{plain}"


def _silent_sensors(session: Session, at: datetime) -> Iterator[Cause]:
    """Sensors that sent no value of some place for longer than they may be silent."""
    yield from (Cause("sensor_silent", row.code, row.site_code, row.since) for row in silent_at(session, at))


def _doubtful_values(session: Session) -> Iterator[Cause]:
    """Sensors that sent what can hardly be right, and nobody has said whether it is so."""
    yield from (Cause("sensor_doubtful", row.code, row.site_code, row.since) for row in doubted_since(session))


def _identities_read(session: Session, at: datetime, most: int) -> Iterator[Cause]:
    """Persons who read the identities of many people within an hour; an alarm of it stands until somebody has looked after it."""
    found = {one.person: Cause("identities_read", one.person, one.site, one.since) for one in many_read(session, at, most)}
    unanswered = select(alarm.c.subject, alarm.c.site_code, alarm.c.raised_at).where(
        alarm.c.cause == "identities_read", alarm.c.resolved_at.is_(None), alarm.c.acknowledged_at.is_(None)
    )
    for row in session.execute(unanswered):
        found.setdefault(row.subject, Cause("identities_read", row.subject, row.site_code, row.raised_at))
    yield from found.values()
