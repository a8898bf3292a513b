"""Tables of what was read in places."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of


class StorageReading(SQLModel, table=True):
    """A temperature or level as an instrument or a person read it. Its event on the container's stream is the evidence.

    `outside`: in what it lies outside the limits that stood when it was recorded. One that was withdrawn counts for nothing.
    """

    __tablename__ = "storage_reading"
    __table_args__ = (
        CheckConstraint("kind IN ('temperature_mc','level_ppm')", name="reading_kind_is_known"),
        Index("ix_reading_container_at", "container_code", "at"),
        # What makes frozen cells doubtful (`viability/history_queries.py`): few rows of very many.
        Index(
            "ix_reading_warm",
            *("container_code", "at"),
            postgresql_where=text("kind = 'temperature_mc' AND value > -130000 AND withdrawn_at IS NULL"),
        ),
        {"info": {"never_deleted": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False, index=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    value: int = Field(sa_column=Column(Integer, nullable=False))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    outside: str | None = Field(default=None, sa_column=Column(Text))
    confirmed: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    corrects: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("storage_reading.id")))
    withdrawn_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    withdrawn_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


# The tables, by the names under which everybody imports them.
reading = table_of(StorageReading)
