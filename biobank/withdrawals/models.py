"""Treatment withdrawals. "Withdrawn" is never said of consent here: consent is *revoked*.

Donor = recipient is a fact of the schema: both columns stand in every row, both are foreign keys, and a CHECK compares them.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlmodel import Field, SQLModel


class Withdrawal(SQLModel, table=True):
    """A request to give a person's own cells back to them, and where it stands."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("donor_code = recipient_code", name="recipient_is_the_donor"),
        UniqueConstraint("code", "recipient_code", name="withdrawal_is_named_by_code_and_recipient"),
        Index("ix_withdrawal_state", "state"),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    recipient_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    clinic_site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    material: str = Field(sa_column=Column(Text, nullable=False))
    route: str = Field(sa_column=Column(Text, nullable=False))
    needed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    requested_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    requested_by: str = Field(sa_column=Column(Text, nullable=False))
    approved_by: str | None = Field(default=None, sa_column=Column(Text))
    approved_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class WithdrawalItem(SQLModel, table=True):
    """A specimen reserved for a withdrawal. The database refuses another person's."""

    __tablename__ = "withdrawal_item"
    __table_args__ = (
        ForeignKeyConstraint(
            ["specimen_code", "donor_code"], ["specimen.code", "specimen.donor_code"], name="item_is_of_its_donor"
        ),
        ForeignKeyConstraint(
            ["withdrawal_code", "recipient_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="item_is_for_its_recipient",
        ),
        CheckConstraint("donor_code = recipient_code", name="item_goes_back_to_its_donor"),
    )

    withdrawal_code: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    recipient_code: str = Field(sa_column=Column(Text, nullable=False))
    added_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    removed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class BedsideRelease(SQLModel, table=True):
    """A single-use permission to administer one specimen to its donor, made by two people at the bedside; valid for minutes."""

    __tablename__ = "bedside_release"
    __table_args__ = (
        ForeignKeyConstraint(
            ["withdrawal_code", "donor_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="release_is_for_the_recipient",
        ),
        ForeignKeyConstraint(
            ["specimen_code", "donor_code"],
            ["specimen.code", "specimen.donor_code"],
            name="release_is_of_the_donors_cells",
        ),
        UniqueConstraint("id", "specimen_code", "donor_code", "consumed", name="release_is_named_whole"),
        CheckConstraint("first_checker <> second_checker", name="bedside_check_has_two_people"),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, nullable=False))
    specimen_code: str = Field(sa_column=Column(Text, nullable=False))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    wristband_code: str = Field(sa_column=Column(Text, nullable=False))
    first_checker: str = Field(sa_column=Column(Text, nullable=False))
    second_checker: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    consumed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    consumed: bool | None = Field(
        default=None,
        sa_column=Column(Boolean, Computed("CASE WHEN consumed_at IS NOT NULL THEN true END", persisted=True)),
    )
    killed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    killed_because: str | None = Field(default=None, sa_column=Column(Text))
