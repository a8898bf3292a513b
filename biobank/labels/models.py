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
    """One print of one label. A newer print of the same code on the same kind of label supersedes it.

    `print_number`: the how-manyth label of this code it is, whatever kind; its symbol says so. `batch`: the serial of the first
    label that was numbered together with it. `bench_session`: of the workstation that it was printed for. `destroyed_at`: when
    two people recorded it as destroyed unused.
    """

    __tablename__ = "label_print"
    __table_args__ = (
        UniqueConstraint("code", "template", "copy_number", name="copies_of_a_label_are_numbered"),
        UniqueConstraint("code", "print_number", name="labels_of_a_code_are_numbered"),
        CheckConstraint("print_number BETWEEN 1 AND 1023", name="a_label_says_its_number_in_two_characters"),
        CheckConstraint("copy_number >= 1", name="first_copy_is_number_one"),
        Index("ix_label_print_code", "code"),
        Index("ix_label_print_batch", "batch"),
    )

    serial: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    code: str = Field(sa_column=Column(Text, nullable=False))
    template: str = Field(sa_column=Column(Text, nullable=False))
    copy_number: int = Field(sa_column=Column(Integer, nullable=False))
    print_number: int = Field(sa_column=Column(Integer, nullable=False))
    batch: int = Field(sa_column=Column(BigInteger, nullable=False))
    bench_session: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("bench_session.code"), index=True))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    printed_at: datetime = Field(sa_column=when())
    printed_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    superseded_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    destroyed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    verified_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    verified_by: str | None = Field(default=None, sa_column=Column(Text))


class LabelReconciliation(SQLModel, table=True):
    """What became of the labels of a batch, as two people counted it: printed = applied + destroyed + unaccounted."""

    __tablename__ = "label_reconciliation"
    __table_args__ = (
        CheckConstraint("printed = applied + destroyed + unaccounted", name="every_label_of_a_batch_is_somewhere"),
        CheckConstraint("LEAST(applied, destroyed, unaccounted) >= 0", name="counts_of_labels_are_counts"),
        CheckConstraint("unaccounted = 0 OR deviation_code IS NOT NULL", name="a_missing_label_is_a_deviation"),
        CheckConstraint("first_user <> second_user", name="two_people_count_labels"),
        {"info": {"append_only": True}},
    )

    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("label_print.serial"), primary_key=True, autoincrement=False))
    printed: int = Field(sa_column=Column(Integer, nullable=False))
    applied: int = Field(sa_column=Column(Integer, nullable=False))
    destroyed: int = Field(sa_column=Column(Integer, nullable=False))
    unaccounted: int = Field(sa_column=Column(Integer, nullable=False))
    deviation_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("deviation.code")))
    first_user: str = Field(sa_column=Column(Text, nullable=False))
    second_user: str = Field(sa_column=Column(Text, nullable=False))
    reconciled_at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class PrintRule(SQLModel, table=True):
    """What a site prints for a kind of code when nothing else is asked for."""

    __tablename__ = "print_rule"
    __table_args__ = {"info": {"app_may_delete": True}}

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    prefix: str = Field(sa_column=Column(Text, primary_key=True))
    template: str = Field(sa_column=Column(Text, nullable=False))
    printer: str | None = Field(default=None, sa_column=Column(Text))
