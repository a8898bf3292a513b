"""Tables of the comparison: how far each part of it has come, and what differs now."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Text, text
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class LogWalk(SQLModel, table=True):
    """How far the comparison of one part has come. `after`: where the next slice begins, empty at the beginning of a round."""

    __tablename__ = "log_walk"

    part: str = Field(sa_column=Column(Text, primary_key=True))
    after: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    began_at: datetime = Field(sa_column=when())
    looked_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    rounds: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class LogDifference(SQLModel, table=True):
    """Something that is not what the log says of it. Gone when a whole round did not find it again.

    `says`: what differs, in words, without names of persons. `site_code`: where it is, when it is somewhere.
    """

    __tablename__ = "log_difference"
    __table_args__ = {"info": {"app_may_delete": True}}

    part: str = Field(sa_column=Column(Text, primary_key=True))
    subject: str = Field(sa_column=Column(Text, primary_key=True))
    says: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    found_at: datetime = Field(sa_column=when())
    seen_at: datetime = Field(sa_column=when())


FILES = "files"
"""The part that says which kept files are lost: an alarm as any, and no reason to take no work."""

# The tables, by the names under which everybody imports them.
log_walk = table_of(LogWalk)
log_difference = table_of(LogDifference)
