"""Tables of open acts: the limits that sites set, and what was timed out. What is open stands in its own package's tables."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class OpenActLimit(SQLModel, table=True):
    """For how many minutes an act of a kind may stay open at a site, where it is not the usual time (`kinds.py`)."""

    __tablename__ = "open_act_limit"
    __table_args__ = (CheckConstraint("minutes > 0", name="an_act_has_time"),)

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    act: str = Field(sa_column=Column(Text, primary_key=True))
    minutes: int = Field(sa_column=Column(Integer, nullable=False))
    set_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class ActTimedOut(SQLModel, table=True):
    """An act that was begun at `since` and not finished in its time."""

    __tablename__ = "act_timed_out"
    __table_args__ = ({"info": {"append_only": True}},)

    act: str = Field(sa_column=Column(Text, primary_key=True))
    stream_id: str = Field(sa_column=Column(Text, primary_key=True))
    since: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


# The tables, by the names under which everybody imports them.
open_act_limit = table_of(OpenActLimit)
act_timed_out = table_of(ActTimedOut)
