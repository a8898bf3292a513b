"""What is to be measured after something was given, and what was: figures are in the vault, photographs are kept files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class OutcomeMeasure(SQLModel, table=True):
    """A planned measure of a withdrawal: what, in which unit, between which bounds, how many days after each unit was given."""

    __tablename__ = "outcome_measure"
    __table_args__ = (
        CheckConstraint("low < high", name="a_scale_has_two_ends"),
        CheckConstraint("due_days > 0 AND window_days >= 0", name="a_measure_is_due_after_the_giving"),
        UniqueConstraint("withdrawal_code", "measure", "due_days", name="a_measure_is_planned_once_for_a_day"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False))
    measure: str = Field(sa_column=Column(Text, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    low: int = Field(sa_column=Column(BigInteger, nullable=False))
    high: int = Field(sa_column=Column(BigInteger, nullable=False))
    due_days: int = Field(sa_column=Column(Integer, nullable=False))
    window_days: int = Field(sa_column=Column(Integer, nullable=False))
    photograph: bool = Field(sa_column=Column(Boolean, nullable=False))
    planned_at: datetime = Field(sa_column=when())
    planned_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class OutcomeResult(SQLModel, table=True):
    """What was measured of a planned measure after one unit was given, or why it was not done; the latest row counts."""

    __tablename__ = "outcome_result"
    __table_args__ = (
        CheckConstraint("(value_commit IS NULL) <> (not_done IS NULL)", name="a_result_is_measured_or_not_done"),
        CheckConstraint("photograph_sha256 IS NULL OR not_done IS NULL", name="what_was_not_done_has_no_photograph"),
        Index("ix_outcome_result_of", "measure_id", "release_id", "recorded_at"),
        Index("ix_outcome_result_photograph", "photograph_sha256"),
        {"info": {"append_only": True}},
    )

    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), primary_key=True))
    measure_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("outcome_measure.id"), nullable=False))
    release_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("administration.release_id"), nullable=False))
    value_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    not_done: str | None = Field(default=None, sa_column=Column(Text))
    photograph_sha256: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("attachment.sha256")))
    measured_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))


outcome_measure = table_of(OutcomeMeasure)
outcome_result = table_of(OutcomeResult)
