"""The print ledger: every label that left a printer has a serial, a reason, and an end."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from biobank.foundation.db import when


class LabelPrint(SQLModel, table=True):
    """One print of one label. A newer print of the same code on the same kind of label supersedes it."""

    __tablename__ = "label_print"
    __table_args__ = (
        UniqueConstraint("code", "template", "copy_number", name="copies_of_a_label_are_numbered"),
        CheckConstraint("copy_number >= 1", name="first_copy_is_number_one"),
        Index("ix_label_print_code", "code"),
    )

    serial: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    code: str = Field(sa_column=Column(Text, nullable=False))
    template: str = Field(sa_column=Column(Text, nullable=False))
    copy_number: int = Field(sa_column=Column(Integer, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    printed_at: datetime = Field(sa_column=when())
    printed_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    superseded_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    verified_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    verified_by: str | None = Field(default=None, sa_column=Column(Text))


class PrintRule(SQLModel, table=True):
    """What a site prints for a kind of code when nothing else is asked for."""

    __tablename__ = "print_rule"
    __table_args__ = {"info": {"app_may_delete": True}}

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    prefix: str = Field(sa_column=Column(Text, primary_key=True))
    template: str = Field(sa_column=Column(Text, nullable=False))
    printer: str | None = Field(default=None, sa_column=Column(Text))
