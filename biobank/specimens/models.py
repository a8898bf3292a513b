"""Specimens: what each one is. Where it is and in which state belongs to `custody`."""

from datetime import datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel


class Specimen(SQLModel, table=True):
    """One tube, bag or vessel. `donor_code` is NULL for an unidentified item only."""

    __tablename__ = "specimen"
    __table_args__ = (
        UniqueConstraint("code", "donor_code", name="specimen_is_named_by_code_and_donor"),
        CheckConstraint("(donor_code IS NULL) = (material = 'unidentified')", name="only_the_unidentified_have_no_donor"),
        CheckConstraint("purpose IN ('therapeutic','qc','retained')", name="specimen_purpose_is_known"),
        Index("ix_specimen_donor", "donor_code"),
        Index("ix_specimen_lot", "lot_code"),
        Index("ix_specimen_harvest", "harvest_code"),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("donor.code")))
    material: str = Field(sa_column=Column(Text, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    purpose: str = Field(default="therapeutic", sa_column=Column(Text, nullable=False, server_default="therapeutic"))
    passage: int | None = Field(default=None, sa_column=Column(Integer))
    vessel_count: int | None = Field(default=None, sa_column=Column(Integer))
    harvest_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("harvest.code")))
    lot_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("lot.code")))
    home_site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    regulatory_basis: str = Field(default="undetermined", sa_column=Column(Text, nullable=False, server_default="undetermined"))
    markers_evaluated: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    collected_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    expires_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    created_by: str = Field(sa_column=Column(Text, nullable=False))


class SpecimenParent(SQLModel, table=True):
    """Lineage. A derivative of another donor's cells cannot be written down."""

    __tablename__ = "specimen_parent"
    __table_args__ = (
        ForeignKeyConstraint(
            ["child_code", "child_donor"], ["specimen.code", "specimen.donor_code"], name="child_is_of_its_donor"
        ),
        ForeignKeyConstraint(
            ["parent_code", "parent_donor"], ["specimen.code", "specimen.donor_code"], name="parent_is_of_its_donor"
        ),
        CheckConstraint("child_donor = parent_donor", name="derived_from_the_same_donor"),
        CheckConstraint("child_code <> parent_code", name="not_its_own_parent"),
    )

    child_code: str = Field(sa_column=Column(Text, primary_key=True))
    parent_code: str = Field(sa_column=Column(Text, primary_key=True))
    child_donor: str = Field(sa_column=Column(Text, nullable=False))
    parent_donor: str = Field(sa_column=Column(Text, nullable=False))


class SpecimenAlias(SQLModel, table=True):
    """A foreign identifier (pre-etched tube, clinic, legacy, DIN) that resolves to our specimen; unique per issuer."""

    __tablename__ = "specimen_alias"

    issuer: str = Field(sa_column=Column(Text, primary_key=True))
    value: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False, index=True))


class Harvest(SQLModel, table=True):
    """One collection from one donor at one visit."""

    __tablename__ = "harvest"
    __table_args__ = (UniqueConstraint("code", "donor_code", name="harvest_is_named_by_code_and_donor"),)

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    kit_code: str | None = Field(default=None, sa_column=Column(Text))
    method: str = Field(sa_column=Column(Text, nullable=False))
    anatomical_site: str = Field(sa_column=Column(Text, nullable=False))
    transport_medium: str | None = Field(default=None, sa_column=Column(Text))
    started_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    recorded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))


class Lot(SQLModel, table=True):
    """The outputs of one processing run: tests and releases belong to it."""

    __tablename__ = "lot"

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    material: str = Field(sa_column=Column(Text, nullable=False))
    process: str = Field(sa_column=Column(Text, nullable=False))
    procedure_version: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    started_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    recorded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
