"""What people do with an alarm: look after it, or make it quiet for a time. Nobody ends one: it is over with its cause."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, insert, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.alarms.causes import steps_now
from biobank.alarms.events import AlarmAcknowledged, AlarmSilenced
from biobank.alarms.models import alarm, alarm_step
from biobank.alarms.queries import get_alarm, read_alarm
from biobank.alarms.rota import ABOUT_PEOPLE, CALLED
from biobank.alarms.schemas import AcknowledgeAlarm, AlarmAnswer, SilenceAlarm
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_of_persons
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.recording import Circumstances, acknowledge
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, MalformedRequest, Refusal, raise_first
from biobank.messages.kinds import KindName
from biobank.messages.outbox import tell
from biobank.quality.streams import record_on_stream

ACKNOWLEDGED_FOR: Final = timedelta(hours=2)
"""Who looks after an alarm has this long. Ours, not from a source: nothing may be quiet for ever."""
WRITTEN: Final[Mapping[str, KindName]] = {"raised": "alarm", "came_back": "alarm", "escalated": "alarm_again"}
"""The steps that call people, and the message that each is."""
MOST_SILENCE: Final = timedelta(hours=8)
"""The longest silence: a shift. Ours, not from a source."""


class AlarmOver(Conflict):
    """The cause is gone, and with it the alarm."""

    code = "alarm_over"
    title = "It is over"


class AlreadyAcknowledged(Conflict):
    """Somebody looks after it already."""

    code = "already_acknowledged"
    title = "Somebody has it already"


class SilenceTooLong(MalformedRequest):
    """An alarm is quiet until a time that lies ahead, and not for longer than a shift."""

    code = "silence_not_bounded"
    title = "Quiet for how long?"


class AlarmAboutYou(Conflict):
    """Nobody looks after an alarm about what they did themselves."""

    code = "alarm_about_you"
    title = "It is about you"


def answering_refusals(session: Session, actor: Actor, row: "Row[Any]") -> list[Refusal]:
    """Return why the actor may not answer an alarm: those who handle material at the site may, while it is not over.

    One about what a person did is answered by somebody else.
    """
    found: list[Refusal] = []
    if row.cause in ABOUT_PEOPLE and actor.code in logins_of_persons(session, [row.subject]).get(row.subject, ()):
        found.append(
            AlarmAboutYou(f"{row.code} is about what you did. Somebody else of quality looks after it.", subject=row.code)
        )
    refusal = actor.refusal(Permission.CUSTODY_RECORD, at=row.site_code, subject=row.code)
    if refusal is not None:
        found.append(refusal)
    if row.resolved_at is not None:
        found.append(AlarmOver(f"The cause of {row.code} is gone; there is nothing to answer.", subject=row.code))
    return found


def acknowledging_refusals(session: Session, actor: Actor, row: "Row[Any]") -> list[Refusal]:
    """Return why the actor may not acknowledge an alarm."""
    found = answering_refusals(session, actor, row)
    if row.resolved_at is None and row.acknowledged_by is not None:
        by = "You look" if row.acknowledged_by == actor.code else f"{row.acknowledged_by} looks"
        found.append(AlreadyAcknowledged(f"{by} after {row.code} already.", subject=row.code))
    return found


def record_step(
    session: Session,
    act: Act,
    row: Any,
    step: str,
    event: Event,
    given: Circumstances,
    *,
    told: tuple[str, ...] = (),
    until: datetime | None = None,
    reason: str | None = None,
    **changes: Any,
) -> Appended:
    """Append a step's event, keep the step, and change the alarm's row. Every step is written here.

    Whoever is `told` by it is written to, where they chose that.
    """
    site = changes.get("site_code", row.site_code)
    done = record_on_stream(session, act, row.code, event, given, site=site)
    session.execute(
        insert(alarm_step).values(
            alarm_code=row.code,
            step=step,
            at=act.at,
            by_code=act.actor.code,
            told=" ".join(told) or None,
            until=until,
            reason=reason,
            event_hash=done.leaf_hash,
        )
    )
    if changes:
        session.execute(update(alarm).where(alarm.c.code == row.code).values(**changes))
    if step in WRITTEN:
        # A rota that reaches nobody calls everybody who handles material there.
        tell(session, act, WRITTEN[step], site, told or CALLED)
    return done


def acknowledge_alarm(session: Session, act: Act, code: str, request: AcknowledgeAlarm) -> AlarmAnswer:
    """Say that one looks after it. It calls nobody for two hours, and comes back then while the cause is there.

    Raises NotFound, NotPermitted, AlarmAboutYou, AlarmOver, AlreadyAcknowledged.
    """
    row = get_alarm(session, act.actor, code, lock=True)
    raise_first(acknowledging_refusals(session, act.actor, row))
    until = max(filter(None, (row.quiet_until, act.at + ACKNOWLEDGED_FOR)))
    done = record_step(
        session,
        act,
        row,
        "acknowledged",
        AlarmAcknowledged(alarm=code, until=rfc3339(until)),
        request,
        until=until,
        quiet="acknowledged",
        quiet_until=until,
        acknowledged_at=act.at,
        acknowledged_by=act.actor.code,
        heard=steps_now(session, row.cause, row.subject),
    )
    return _answer(session, act, code, done)


def silence_alarm(session: Session, act: Act, code: str, request: SilenceAlarm) -> AlarmAnswer:
    """Make it quiet until a stated time, at most a shift ahead.

    Raises NotFound, NotPermitted, AlarmAboutYou, AlarmOver, SilenceTooLong.
    """
    row = get_alarm(session, act.actor, code, lock=True)
    raise_first(answering_refusals(session, act.actor, row))
    if not act.at < request.until <= act.at + MOST_SILENCE:
        hours = MOST_SILENCE // timedelta(hours=1)
        raise SilenceTooLong(f"Say until when: a time ahead, at most {hours} hours from now.", field="until")
    done = record_step(
        session,
        act,
        row,
        "silenced",
        AlarmSilenced(alarm=code, until=rfc3339(request.until), reason=request.reason),
        request,
        until=request.until,
        reason=request.reason,
        quiet="silenced",
        quiet_until=request.until,
        heard=steps_now(session, row.cause, row.subject),
    )
    return _answer(session, act, code, done)


def _answer(session: Session, act: Act, code: str, done: Appended) -> AlarmAnswer:
    detail = read_alarm(session, act.actor, code)
    return AlarmAnswer(**detail.model_dump(), receipt=acknowledge(act, [done]))
