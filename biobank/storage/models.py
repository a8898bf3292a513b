"""The storage tree and its positions. Occupancy is not stored here: `custody.position_code` is the only place it lives."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when
from biobank.foundation.names import key_column


class StorageContainer(SQLModel, table=True):
    """A room, tank, rack, cane or box: a node of the tree under a site, of free depth."""

    __tablename__ = "storage_container"
    __table_args__ = (
        CheckConstraint("kind IN ('room','tank','freezer','rack','cane','box','shelf')", name="container_kind_is_known"),
        CheckConstraint("purpose IN ('storage','quarantine','evacuation')", name="container_purpose_is_known"),
        CheckConstraint("parent_code <> code", name="container_is_not_its_own_parent"),
        UniqueConstraint(
            "site_code", "parent_code", "name_key", name="names_in_one_place_look_different", postgresql_nulls_not_distinct=True
        ),
        Index("ix_container_parent", "parent_code"),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    parent_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("storage_container.code")))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    name_key: str = Field(sa_column=key_column())
    renamed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    purpose: str = Field(default="storage", sa_column=Column(Text, nullable=False, server_default="storage"))
    temperature_class: str | None = Field(default=None, sa_column=Column(Text))
    lowest_mc: int | None = Field(default=None, sa_column=Column(Integer))
    highest_mc: int | None = Field(default=None, sa_column=Column(Integer))
    lowest_level_ppm: int | None = Field(default=None, sa_column=Column(Integer))
    rise_mc_per_min: int | None = Field(default=None, sa_column=Column(Integer))
    fall_ppm_per_h: int | None = Field(default=None, sa_column=Column(Integer))
    rows: int | None = Field(default=None, sa_column=Column(Integer))
    cols: int | None = Field(default=None, sa_column=Column(Integer))
    lifted_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    isolated: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    active: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))


class StoragePosition(SQLModel, table=True):
    """One slot of a box or cane, e.g. `B7`. One tube per position: `custody.one_specimen_per_position`."""

    __tablename__ = "storage_position"
    __table_args__ = (
        UniqueConstraint("code", "container_code", name="position_is_named_by_code_and_container"),
        UniqueConstraint("container_code", "row", "col", name="one_position_per_cell"),
        CheckConstraint("blocked IS NULL OR kept_for IS NULL", name="a_blocked_position_is_kept_for_nobody"),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    row: int = Field(sa_column=Column(Integer, nullable=False))
    col: int = Field(sa_column=Column(Integer, nullable=False))
    label: str = Field(sa_column=Column(Text, nullable=False))
    blocked: str | None = Field(default=None, sa_column=Column(Text))
    kept_for: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("donor.code")))


class ClassLimit(SQLModel, table=True):
    """What a site allows the places of a temperature class to read, where it is stricter than the registry (`limits.py`)."""

    __tablename__ = "class_limit"

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    temperature_class: str = Field(sa_column=Column(Text, primary_key=True))
    lowest_mc: int | None = Field(default=None, sa_column=Column(Integer))
    highest_mc: int | None = Field(default=None, sa_column=Column(Integer))
    lowest_level_ppm: int | None = Field(default=None, sa_column=Column(Integer))
    rise_mc_per_min: int | None = Field(default=None, sa_column=Column(Integer))
    fall_ppm_per_h: int | None = Field(default=None, sa_column=Column(Integer))
    set_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class SplitStorageRule(SQLModel, table=True):
    """Whether automatic placing at a site spreads a donor's units over tanks, where the site decided (`spreading.py`)."""

    __tablename__ = "split_storage_rule"

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    spread: bool = Field(sa_column=Column(Boolean, nullable=False))
    set_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class StockCount(SQLModel, table=True):
    """A count of what is in a place, blind; a second one by other people where the first differs; quality's word at the end.

    `open`: it waits for the second count, or for quality.
    """

    __tablename__ = "stock_count"
    __table_args__ = (
        CheckConstraint("NOT (counted_by && recounted_by)", name="a_recount_is_by_others"),
        CheckConstraint("resolved_at IS NULL OR recounted_at IS NOT NULL", name="two_counts_are_resolved"),
        CheckConstraint(
            "NOT (resolved_by = ANY(counted_by)) AND NOT (resolved_by = ANY(recounted_by))", name="no_counter_resolves"
        ),
        Index("one_open_count_per_place", "container_code", unique=True, postgresql_where=text("open")),
        Index("ix_stock_count_counted", "counted_at", "id"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    open: bool = Field(sa_column=Column(Boolean, nullable=False))
    counted_at: datetime = Field(sa_column=when())
    counted_by: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    counted_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    recounted_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    recounted_by: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    recounted_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    resolved_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    resolved_by: str | None = Field(default=None, sa_column=Column(Text))
    resolved_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class StockCountLine(SQLModel, table=True):
    """What the second count did not find, or saw in `seen_in` though it is recorded elsewhere; `state_seq` as it stood then."""

    __tablename__ = "stock_count_line"
    __table_args__ = (
        CheckConstraint("finding IN ('missing','elsewhere')", name="finding_is_known"),
        Index("ix_stock_count_line_specimen", "specimen_code"),
        {"info": {"append_only": True}},
    )

    count_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("stock_count.id"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    finding: str = Field(sa_column=Column(Text, nullable=False))
    seen_in: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("storage_container.code")))
    state_seq: int = Field(sa_column=Column(Integer, nullable=False))


# The tables, by the names under which everybody imports them.
storage_container = table_of(StorageContainer)
storage_position = table_of(StoragePosition)
class_limit = table_of(ClassLimit)
split_storage_rule = table_of(SplitStorageRule)
stock_count = table_of(StockCount)
stock_count_line = table_of(StockCountLine)
