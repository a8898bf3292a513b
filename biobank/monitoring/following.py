"""What follows from a reading that came or was withdrawn, and from a limit that was set: excursions begin, change or end."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW, head_of
from biobank.foundation.clock import now
from biobank.monitoring.excursions import Cause, Followed, reckon
from biobank.monitoring.limits_met import outside_since_set
from biobank.monitoring.models import reading
from biobank.storage.limits import LimitsMet, limits_met
from biobank.storage.limits_then import limits_set_between
from biobank.storage.models import storage_container

_INSTANT = timedelta(milliseconds=1)


def follow(
    session: Session, cause: Cause, container: str, measure: str, at: datetime, *, outside: bool, source: str | None = None
) -> Followed:
    """Reckon the excursions of a container around a reading at `at` anew (`excursions.reckon`), and around every limit that was
    set between it and the next reading: that judges it too.

    Raises NotPermitted or SignatureRequired when it takes specimens out of a set and quality did not sign.
    """
    done = reckon(session, cause, container, measure, at, outside=outside, source=source)
    settings = [one[0] for one in limits_set_between(session, container, at + _INSTANT, now())]
    following = _next_read(session, container, measure, at, source) if settings else None
    for since in (one for one in settings if following is None or one < following):
        done.add(_follow_limit(session, cause, container, since))
    return done


@limits_met.give
def judge_what_was_read(session: Session, act: Act, containers: Collection[str], at: datetime, setting: Appended) -> LimitsMet:
    """Judge what containers read last by a limit that was set at `at`: what lies outside it is an excursion from then on."""
    read = reading.c
    with_readings = select(read.container_code).where(read.container_code.in_(sorted(containers)), read.withdrawn_at.is_(None))
    done = Followed()
    for code in session.scalars(with_readings.distinct().order_by(read.container_code)):
        site = session.execute(select(storage_container.c.site_code).where(storage_container.c.code == code)).scalar_one()
        head = head_of(session, act, NOW, subject=None, site=site)
        done.add(_follow_limit(session, Cause(act, head, setting, None), code, at))
    return LimitsMet(done.appended, done.excursions, len(done.added))


def _follow_limit(session: Session, cause: Cause, container: str, at: datetime) -> Followed:
    done = Followed()
    met = outside_since_set(session, container, at, at)
    for measure in ("temperature_mc", "level_ppm"):
        its = [one for one in met if one.measure == measure]
        source = its[0].source if its else None
        done.add(reckon(session, cause, container, measure, at, outside=bool(its), source=source))
    return done


def _next_read(session: Session, container: str, measure: str, at: datetime, source: str | None) -> datetime | None:
    """When the next reading was that speaks for what a source read at `at`, as `spans.py` has it."""
    of = reading.c
    speaks = [] if source is None else [or_(of.sensor_code.is_(None), of.sensor_code == source)]
    its = (of.container_code == container, of.kind == measure, of.at > at, of.withdrawn_at.is_(None))
    return session.execute(select(of.at).where(*its, *speaks).order_by(of.at).limit(1)).scalar()
