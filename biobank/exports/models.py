"""A person's own filters of the log. They hold codes, kinds and days, never words: what a filter is called follows from them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKey, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import when


class SavedFilter(SQLModel, table=True):
    """A filter that somebody wants again: the names and values that stand in the address of the search."""

    __tablename__ = "saved_filter"
    __table_args__ = (UniqueConstraint("user_code", "query", name="a_filter_is_saved_once"), {"info": {"app_may_delete": True}})

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    query: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    saved_at: datetime = Field(sa_column=when())
