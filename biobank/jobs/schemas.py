"""Wire shapes of jobs."""

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from biobank.foundation.paging import Listed

JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class JobPublic(BaseModel):
    """One job as its owner sees it."""

    id: UUID
    kind: str
    state: JobState
    done: int = Field(description="Units of work done so far.")
    total: int = Field(description="Units of work in all.")
    answer: dict[str, Any] = Field(description="What it made so far; depends on the kind.")
    problem: dict[str, Any] | None = Field(description="Why it failed, as a problem document.")
    file: str | None = Field(description="Address of the file it made, while that is kept.")
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class JobList(Listed[JobPublic]):
    """Jobs, newest first."""
