"""The registers' tables: what is in use, who may work by a procedure, what a site refuses, what was used despite a warning."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Boolean, CheckConstraint, Column, Date, ForeignKey, Index, Integer, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


def _words(*, nullable: bool = True) -> "Column[Any]":
    return Column(Text, nullable=nullable)


class RegisterEntry(SQLModel, table=True):
    """A thing that forms name. `key`: our code where it carries a label, else a UUID. `site_code` NULL: in use at every site."""

    __tablename__ = "register_entry"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('reagent_lot','medium','equipment','workstation','shipper','procedure','cooling_programme',"
            "'cryoprotectant','thawing_method','courier','laboratory','test_method','reason')",
            name="register_kind_is_known",
        ),
        CheckConstraint(
            "(kind IN ('reagent_lot','medium') AND key LIKE 'RG-_______') OR (kind IN ('equipment','workstation','shipper') AND "
            "key LIKE 'EQ-_______') OR (kind NOT IN ('reagent_lot','medium','equipment','workstation','shipper') AND "
            "length(key) = 36)",
            name="what_is_scanned_has_a_code",
        ),
        CheckConstraint("NOT leaves_nothing OR cardinality(contains) = 0", name="what_leaves_nothing_leaves_nothing"),
        CheckConstraint("use_within_days > 0", name="days_after_opening_are_counted"),
        CheckConstraint("result_within_days > 0", name="days_to_a_result_are_counted"),
        CheckConstraint(
            "kind = 'shipper' OR (holds_h IS NULL AND least_charge_g IS NULL)", name="only_a_shipper_is_charged_with_nitrogen"
        ),
        CheckConstraint("holds_h > 0 AND least_charge_g > 0", name="a_shipper_holds_for_hours"),
        # A name that forms choose from stands for one thing at a site; what carries a code may be called alike.
        Index(
            "a_name_is_registered_once",
            "kind",
            text("coalesce(site_code, '')"),
            "name",
            unique=True,
            postgresql_where=text("length(key) = 36"),
        ),
        {"info": {"never_deleted": True}},
    )

    key: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=_words(nullable=False))
    name: str = Field(sa_column=_words(nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    supplier: str | None = Field(default=None, sa_column=_words())
    supplier_lot: str | None = Field(default=None, sa_column=_words())
    gtin: str | None = Field(default=None, sa_column=_words())
    contains: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))
    )
    leaves_nothing: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    expires_on: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    use_within_days: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    result_within_days: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    calibration_due_on: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    holds_h: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    least_charge_g: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    opened_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    qualified_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    recalled_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    retired_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words(nullable=False))


class RegisterAuthorisation(SQLModel, table=True):
    """That a person may work by a procedure, from the beginning of one day to the end of another."""

    __tablename__ = "register_authorisation"
    __table_args__ = ({"info": {"never_deleted": True}},)

    entry_key: str = Field(sa_column=Column(Text, ForeignKey("register_entry.key"), primary_key=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    since: date = Field(sa_column=Column(Date, nullable=False))
    until: date = Field(sa_column=Column(Date, nullable=False))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words(nullable=False))


class RegisterRule(SQLModel, table=True):
    """What a site does about one problem of what is named, where it differs from the bank's usual answer."""

    __tablename__ = "register_rule"
    __table_args__ = (CheckConstraint("answer IN ('accept','warn','refuse')", name="register_answer_is_known"),)

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    problem: str = Field(sa_column=Column(Text, primary_key=True))
    answer: str = Field(sa_column=_words(nullable=False))
    set_by: str = Field(sa_column=_words(nullable=False))


class RegisterWarning(SQLModel, table=True):
    """That something was used although a problem stood against it. `used_in`: the run, kit or count that used it."""

    __tablename__ = "register_warning"
    __table_args__ = (
        Index("ix_register_warning_entry", "entry_key"),
        Index("ix_register_warning_used_in", "used_in"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    entry_key: str = Field(sa_column=Column(Text, ForeignKey("register_entry.key"), nullable=False))
    problem: str = Field(sa_column=_words(nullable=False))
    person: str | None = Field(default=None, sa_column=_words())
    used_in: str = Field(sa_column=_words(nullable=False))
    sentence: str = Field(sa_column=_words(nullable=False))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words(nullable=False))


# The tables, by the names under which everybody imports them.
register_entry = table_of(RegisterEntry)
register_authorisation = table_of(RegisterAuthorisation)
register_rule = table_of(RegisterRule)
register_warning = table_of(RegisterWarning)
