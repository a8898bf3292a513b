"""What differs from the log, for people and for monitors."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.reconciliation.models import FILES, log_difference, log_walk

SHOWN = 500


class WalkPublic(BaseModel):
    """How far the comparison of one part has come."""

    part: str
    began_at: AwareDatetime
    looked_at: int = Field(description="Rows or entries compared in this round so far, or in the last one when it has ended.")
    rounds: int = Field(description="Whole rounds so far.")
    ended_at: AwareDatetime | None = Field(description="When the last whole round ended.")


class DifferencePublic(BaseModel):
    """Something that is not what the log says of it."""

    part: str
    subject: str
    says: str
    found_at: AwareDatetime


class DifferenceList(BaseModel):
    """The walk, how much differs, and the oldest 500 of it."""

    walks: list[WalkPublic]
    count: int
    items: list[DifferencePublic]


def read_differences(session: Session, actor: Actor) -> DifferenceList:
    """Return what differs from the log now, oldest first, and how far the comparison is. Raises NotPermitted."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    of = log_difference.c
    rows = session.execute(select(log_difference).order_by(of.found_at, of.part, of.subject).limit(SHOWN))
    walks = session.execute(select(log_walk).order_by(log_walk.c.part))
    return DifferenceList(
        walks=[WalkPublic.model_validate(row._mapping) for row in walks],
        count=count_differences(session)[0],
        items=[DifferencePublic.model_validate(row._mapping) for row in rows],
    )


def count_differences(session: Session, *, of_files: bool | None = None) -> tuple[int, datetime | None]:
    """Return how much differs, and since when the oldest of it is known; `of_files`: lost files alone, or all but those."""
    asked = select(func.count(), func.min(log_difference.c.found_at)).select_from(log_difference)
    if of_files is not None:
        asked = asked.where((log_difference.c.part == FILES) == of_files)
    row = session.execute(asked).one()
    return int(row[0]), row[1]
