"""The queue of background work and the files it makes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import when


class Job(SQLModel, table=True):
    """One piece of background work, done in steps on behalf of the login, or the API client, that asked for it.

    `attempt` is the fence: a worker that was thought dead and comes back finds another number and stops.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state IN ('queued','running','done','failed','cancelled')", name="job_state_is_known"),
        CheckConstraint("done >= 0 AND total >= 0 AND done <= total", name="job_progress_is_within_its_total"),
        CheckConstraint("(finished_at IS NULL) = (state IN ('queued','running'))", name="a_finished_job_says_when"),
        Index("ix_job_waiting", "created_at", postgresql_where=text("state IN ('queued','running')")),
        Index("ix_job_requested_by", "requested_by", "created_at"),
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    requested_by: str = Field(sa_column=Column(Text, nullable=False))
    params: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    state: str = Field(default="queued", sa_column=Column(Text, nullable=False, server_default="queued"))
    attempt: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    done: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    total: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    answer: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB))
    request_id: str | None = Field(default=None, sa_column=Column(Text))
    """The name of the request that asked for it, in the lines of the service's log; None where no request did."""
    created_at: datetime = Field(sa_column=when())
    beat_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    finished_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class JobFile(SQLModel, table=True):
    """What a finished job made. Forgotten after some days; the record of the work itself is in the log."""

    __tablename__ = "job_file"
    __table_args__ = {"info": {"app_may_delete": True}}

    job_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    media_type: str = Field(sa_column=Column(Text, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
