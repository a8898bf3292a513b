"""Questions about alarms. Whoever may know of specimens at a site may know of its alarms; of those about what people did, whoever
reads the log there.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlmodel import Session

from biobank.alarms.models import alarm, alarm_step
from biobank.alarms.rota import ABOUT_PEOPLE, Rota, rota_of
from biobank.alarms.schemas import AlarmDetail, AlarmList, AlarmPublic, AlarmStepPublic
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.locks import locked
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page

ORDERS = {"raised_at": alarm.c.raised_at}
_open = alarm.c.resolved_at.is_(None)
STATES: dict[str, ColumnElement[bool]] = {
    "open": _open,
    "sounding": and_(_open, alarm.c.quiet.is_(None)),
    "acknowledged": and_(_open, alarm.c.quiet == "acknowledged"),
    "silenced": and_(_open, alarm.c.quiet == "silenced"),
    "resolved": alarm.c.resolved_at.is_not(None),
}


def may_know(actor: Actor, row: "Row[Any]") -> bool:
    """Say whether the actor may know of an alarm."""
    return actor.may(Permission.LOG_READ if row.cause in ABOUT_PEOPLE else Permission.SPECIMEN_READ, at=row.site_code)


def public(row: "Row[Any]") -> AlarmPublic:
    """Return a row as it travels."""
    return AlarmPublic(
        code=row.code,
        cause=row.cause,
        subject=row.subject,
        site=row.site_code,
        raised_at=row.raised_at,
        state="resolved" if row.resolved_at is not None else row.quiet or "sounding",
        called=row.called,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        quiet_until=row.quiet_until,
        resolved_at=row.resolved_at,
    )


def get_alarm(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return an alarm's row; raise NotFound when the actor may not know of it."""
    statement = select(alarm).where(alarm.c.code == code)
    row = session.execute(locked(statement, alarm) if lock else statement).first()
    if row is None or not may_know(actor, row):
        raise NotFound(f"There is no alarm {code} that you may see.", subject=code)
    return row


def read_alarm(session: Session, actor: Actor, code: str) -> AlarmDetail:
    """Return one with its steps; raise NotFound when the actor may not know of it."""
    return with_steps(session, get_alarm(session, actor, code))


def with_steps(session: Session, row: "Row[Any]") -> AlarmDetail:
    """Return an alarm that was read, with its steps."""
    steps = session.execute(select(alarm_step).where(alarm_step.c.alarm_code == row.code).order_by(alarm_step.c.id))
    return AlarmDetail(
        **public(row).model_dump(),
        steps=[
            AlarmStepPublic(
                step=one.step, at=one.at, by=one.by_code, told=(one.told or "").split(), until=one.until, reason=one.reason
            )
            for one in steps
        ],
    )


def list_alarms(
    session: Session,
    actor: Actor,
    *,
    state: str | None = None,
    cause: str | None = None,
    site: str | None = None,
    paging: Paging = Paging(),
) -> AlarmList:
    """Return the alarms the actor may know of, newest first."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    about_people = alarm.c.cause.in_(sorted(ABOUT_PEOPLE))
    statement = select(alarm).where(
        or_(
            and_(~about_people, actor.scope(Permission.SPECIMEN_READ).of(alarm.c.site_code)),
            and_(about_people, actor.scope(Permission.LOG_READ).of(alarm.c.site_code)),
        )
    )
    if state is not None:
        statement = statement.where(STATES[state])
    for column, value in ((alarm.c.cause, cause), (alarm.c.site_code, site)):
        if value is not None:
            statement = statement.where(column == value)
    page = read_page(session, statement, paging, key=alarm.c.code, orders=ORDERS, default="-raised_at")
    return AlarmList(items=[public(row) for row in page.rows], **page.ends)


def alarms_calling(session: Session, actor: Actor, known: Mapping[str, Rota], limit: int) -> list[AlarmPublic]:
    """Return the alarms that sound or are being looked after and whose rota the actor stands on; silenced ones come back.

    A site without a rota, or with one that reaches nobody, calls everybody who handles material there: no alarm goes to nobody.
    `known`: the rotas by site. One statement.
    """
    rows = session.execute(
        select(alarm).where(_open, alarm.c.quiet.is_distinct_from("silenced")).order_by(alarm.c.raised_at, alarm.c.code)
    ).all()
    mine = [row for row in rows if may_know(actor, row) and rota_of(known, row.cause, row.site_code).calls(actor, row.site_code)]
    return [public(row) for row in mine[:limit]]
