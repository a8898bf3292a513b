"""The bank watches by itself: alarms are raised, come back, go up the rota and are resolved by one timer.

Two workers raise one alarm: a timer runs at one worker at a time, and the database keeps one open alarm of a cause.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.timers import timer
from biobank.alarms.causes import Cause, causes_at
from biobank.alarms.events import AlarmCameBack, AlarmEscalated, AlarmRaised, AlarmResolved, Because
from biobank.alarms.models import alarm
from biobank.alarms.rota import Rota, rota_of, rotas
from biobank.alarms.service import record_step
from biobank.custody.locks import locked
from biobank.custody.recording import NOW
from biobank.foundation.clock import rfc3339
from biobank.monitoring.models import excursion, sensor

_GONE = {
    "excursion": "within_limits_again",
    "shipment_overdue": "arrived",
    "handover_overdue": "attended_to",
    "differs_from_log": "agrees_with_the_log",
    "sensor_silent": "heard_again",
    "sensor_doubtful": "attended_to",
    "identities_read": "attended_to",
}


@timer(every=timedelta(seconds=30))
def watch_for_alarms(session: Session, act: Act) -> int:
    """Raise, resolve, bring back and escalate; return how many steps that were. A timer's work."""
    causes = {(one.kind, one.subject): one for one in causes_at(session, act.at, act.bank.settings.identity_reads_per_hour)}
    statement = select(alarm).where(alarm.c.resolved_at.is_(None)).order_by(alarm.c.code)
    known = session.execute(locked(statement, alarm, skip_locked=True)).all()
    known_rotas = rotas(session)
    steps = 0
    for row in known:
        cause = causes.pop((row.cause, row.subject), None)
        if cause is None:
            _resolve(session, act, row)
            steps += 1
        elif (because := _sounds_again(row, cause, act.at)) is not None:
            site = cause.site if because == "taken_to_another_site" else row.site_code
            _come_back(session, act, row, rota_of(known_rotas, row.cause, site), cause, because, site)
            steps += 1
        elif row.quiet_until is None:
            steps += _escalate(session, act, row, rota_of(known_rotas, row.cause, row.site_code))
    return steps + sum(_raise(session, act, cause, rota_of(known_rotas, cause.kind, cause.site)) for cause in causes.values())


def _raise(session: Session, act: Act, cause: Cause, rota: Rota) -> int:
    """Raise an alarm unless its cause has one that another act is writing just now."""
    due = rota.due(act.at, act.at)
    row = session.execute(
        insert(alarm)
        .values(
            code=new_code(session, "AL"),
            cause=cause.kind,
            subject=cause.subject,
            site_code=cause.site,
            raised_at=act.at,
            sounding_since=act.at,
            called=due,
            heard=sorted(cause.steps),
        )
        .on_conflict_do_nothing()
        .returning(alarm)
    ).first()
    if row is None:
        return 0
    told = rota.told(0, due)
    event = AlarmRaised(alarm=row.code, cause=cause.kind, subject=cause.subject, since=rfc3339(cause.since), told=told)
    record_step(session, act, row, "raised", event, NOW, told=told)
    return 1


def _escalate(session: Session, act: Act, row: Any, rota: Rota) -> int:
    due = rota.due(row.sounding_since, act.at)
    told = rota.told(row.called, due)
    if not told:
        return 0
    record_step(session, act, row, "escalated", AlarmEscalated(alarm=row.code, told=told), NOW, told=told, called=due)
    return 1


def _sounds_again(row: Any, cause: Cause, at: datetime) -> Because | None:
    """Return why an open alarm (its row) sounds again, None where it does not. Pure.

    The alarm of a place is of the site where the place stands now: others are called there, and others may answer.
    """
    if row.cause == "excursion" and cause.site != row.site_code:
        return "taken_to_another_site"
    if row.quiet_until is None:
        return None
    if not cause.steps.issubset(row.heard):
        return "got_worse"
    return "still_there" if row.quiet_until <= at else None


def _come_back(session: Session, act: Act, row: Any, rota: Rota, cause: Cause, because: Because, site: str) -> None:
    """Sound again at a site, from the foot of its rota: who looked after it has to say so again."""
    due = rota.due(act.at, act.at)
    told = rota.told(0, due)
    record_step(
        session,
        act,
        row,
        "came_back",
        AlarmCameBack(alarm=row.code, because=because, told=told),
        NOW,
        told=told,
        reason=because,
        site_code=site,
        heard=sorted(cause.steps),
        quiet=None,
        quiet_until=None,
        acknowledged_at=None,
        acknowledged_by=None,
        sounding_since=act.at,
        called=due,
    )


def _resolve(session: Session, act: Act, row: Any) -> None:
    because = _GONE[row.cause]
    if row.cause == "excursion":
        of = excursion.c
        one = session.execute(select(of.annulled_at, of.ended_at).where(of.code == row.subject)).one()
        if one.annulled_at is not None:
            because = "readings_withdrawn"
        elif one.ended_at is None:
            because = "emptied_and_assessed"
        elif one.ended_at < row.raised_at:
            because = "assessed"
    if row.cause == "sensor_silent":
        spoke = session.execute(
            select(sensor.c.last_post_at).where(sensor.c.code == row.subject, sensor.c.withdrawn_at.is_(None))
        ).scalar()
        because = because if spoke is not None and spoke > row.raised_at else "no_longer_waited_for"
    event = AlarmResolved.model_validate({"alarm": row.code, "because": because})
    record_step(session, act, row, "resolved", event, NOW, reason=because, resolved_at=act.at, quiet=None, quiet_until=None)
