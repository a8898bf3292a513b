"""Tables of alarms: each alarm as it stands, its steps, and who is called when at a site."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class Alarm(SQLModel, table=True):
    """Something is wrong and somebody has to look. One cause has one open alarm.

    `sounding_since`: since when it calls up the rota; `called`: how many lines of the rota it has reached; `quiet_until`: until
    then it calls nobody, because it was acknowledged or silenced (`quiet`). It ends only when its cause is gone.
    `heard`: how bad its cause was when it was raised, came back or was answered (`causes.Cause.steps`).
    """

    __tablename__ = "alarm"
    __table_args__ = (
        CheckConstraint("quiet IN ('acknowledged','silenced')", name="alarm_quiet_is_known"),
        CheckConstraint("(quiet IS NULL) = (quiet_until IS NULL)", name="an_alarm_is_quiet_until_a_time"),
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="an_acknowledged_alarm_says_by_whom"),
        Index("one_open_alarm_per_cause", "cause", "subject", unique=True, postgresql_where=text("resolved_at IS NULL")),
        Index("ix_alarm_raised", "raised_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    cause: str = Field(sa_column=Column(Text, nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    raised_at: datetime = Field(sa_column=when())
    sounding_since: datetime = Field(sa_column=when())
    called: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    heard: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    acknowledged_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    acknowledged_by: str | None = Field(default=None, sa_column=Column(Text))
    quiet: str | None = Field(default=None, sa_column=Column(Text))
    quiet_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    resolved_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class AlarmStep(SQLModel, table=True):
    """A step of an alarm; its event is the evidence.

    `told`: who is called by it, badge codes and roles in the rota's order.
    """

    __tablename__ = "alarm_step"
    __table_args__ = (Index("ix_alarm_step_alarm", "alarm_code", "id"), {"info": {"append_only": True}})

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    alarm_code: str = Field(sa_column=Column(Text, ForeignKey("alarm.code"), nullable=False))
    step: str = Field(sa_column=Column(Text, nullable=False))
    at: datetime = Field(sa_column=when())
    by_code: str = Field(sa_column=Column(Text, nullable=False))
    told: str | None = Field(default=None, sa_column=Column(Text))
    until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    reason: str | None = Field(default=None, sa_column=Column(Text))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class RotaLine(SQLModel, table=True):
    """Who is called at a site after how many minutes; `who`: a badge code, or a role there."""

    __tablename__ = "rota_line"
    __table_args__ = (
        CheckConstraint("after_min >= 0", name="a_rota_runs_forwards"),
        {"info": {"app_may_delete": True}},
    )

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True))
    who: str = Field(sa_column=Column(Text, nullable=False))
    after_min: int = Field(sa_column=Column(Integer, nullable=False))


# The tables, by the names under which everybody imports them.
alarm = table_of(Alarm)
alarm_step = table_of(AlarmStep)
rota_line = table_of(RotaLine)
