"""Views of lists that people keep. They hold codes, kinds and days, never words: what one is called follows from them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKey, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import when


class SavedView(SQLModel, table=True):
    """A list as somebody wants it again: the names and values in its address. The people of `site_code` see it too."""

    __tablename__ = "saved_view"
    __table_args__ = (
        UniqueConstraint("user_code", "address", "query", name="a_view_is_saved_once"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    address: str = Field(sa_column=Column(Text, nullable=False, index=True))
    query: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    saved_at: datetime = Field(sa_column=when())
