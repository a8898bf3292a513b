"""Donors: pseudonymous rows. Everything that names a person is ciphertext in the vault under that person's own key."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Text
from sqlmodel import Field, SQLModel


class Donor(SQLModel, table=True):
    """A person whose own cells are kept. Donor and recipient are the same person, always."""

    __tablename__ = "donor"
    __table_args__ = (CheckConstraint("status IN ('living','deceased','unreachable','erased')", name="donor_status_is_known"),)

    code: str = Field(sa_column=Column(Text, primary_key=True))
    clinic_site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    status: str = Field(default="living", sa_column=Column(Text, nullable=False, server_default="living"))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    created_by: str = Field(sa_column=Column(Text, nullable=False))
