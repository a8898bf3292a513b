"""Tables of messages: what each person chose, and what is to be sent."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class MessageChoice(SQLModel, table=True):
    """What somebody wants to be written. `address`: the commitment to their e-mail address, which the vault has; null: none.

    `confirmed_at`: when they typed the code that was mailed there; null: nothing else is sent there. `asked_at`: when that code
    was made; `wrong_codes`: how often another one was typed since. `at_once`, `daily`: kinds of message; `sites`: only about
    these; empty: about all of theirs.
    """

    __tablename__ = "message_choice"
    __table_args__ = (
        CheckConstraint("confirmed_at IS NULL OR address IS NOT NULL", name="what_is_confirmed_is_an_address"),
        CheckConstraint("(asked_at IS NULL) = (address IS NULL)", name="an_address_was_asked_for_a_code"),
        CheckConstraint("wrong_codes >= 0", name="wrong_codes_are_counted"),
    )

    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    address: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    confirmed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    asked_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    wrong_codes: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    at_once: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    daily: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    sites: list[str] = Field(sa_column=Column(JSONB, nullable=False))


class Message(SQLModel, table=True):
    """A message to one person, written in the transaction of what it tells.

    `due_at`: when it is sent, or tried again; null: it was sent, given up, or is told to nobody any more. `fault`: why the last
    try failed, a word of ours.
    """

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("(due_at IS NULL) = (ended IS NOT NULL)", name="a_message_is_due_until_it_ended"),
        CheckConstraint("ended IN ('sent', 'given_up', 'not_wanted')", name="a_message_ends_in_a_known_way"),
        CheckConstraint("tries >= 0", name="tries_are_counted"),
        Index("ix_message_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_message_made", "made_at", "id"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    daily: bool = Field(sa_column=Column(Boolean, nullable=False))
    made_at: datetime = Field(sa_column=when())
    due_at: datetime | None = Field(sa_column=when(nullable=True))
    tries: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    fault: str | None = Field(default=None, sa_column=Column(Text))
    ended: str | None = Field(default=None, sa_column=Column(Text))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


# The tables, by the names under which everybody imports them.
message_choice = table_of(MessageChoice)
message = table_of(Message)
