"""What the worker keeps of its fits, which thaws it looked at, what quality demands, and the reports that were signed.

All of it is written once. A fit names the parameter file and the newest thaw it saw; with the thaws of its stratum up to
there it can be made again and must come out the same.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import when


def _words(nullable: bool = False) -> "Column[Any]":
    return Column(Text, nullable=nullable)


class ViabilityParameters(SQLModel, table=True):
    """A parameter file as it was used, so that an old fit can be made again."""

    __tablename__ = "viability_parameters"
    __table_args__ = {"info": {"append_only": True}}

    sha256: str = Field(sa_column=Column(Text, primary_key=True))
    version: str = Field(sa_column=_words())
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    first_used_at: datetime = Field(sa_column=when())


class ViabilityFit(SQLModel, table=True):
    """The posterior of one stratum (material, freezing procedure, assay, storage) after the thaws up to number `through`.

    A fit without thaws has procedure and assay `*`: it is the prior of its material. `draws`: 1000 × 4 little-endian doubles.
    `reading`: what estimates are read from (`forecast.Table`).
    """

    __tablename__ = "viability_fit"
    __table_args__ = (
        CheckConstraint("storage IN ('nitrogen','minus_80')", name="fit_storage_is_known"),
        UniqueConstraint(
            "material", "procedure_version", "assay", "storage", "through", "parameters_sha256", name="a_fit_is_made_once"
        ),
        Index("ix_viability_fit_stratum", "material", "storage", "procedure_version", "assay", "made_at"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    material: str = Field(sa_column=_words())
    procedure_version: str = Field(sa_column=_words())
    assay: str = Field(sa_column=_words())
    storage: str = Field(sa_column=_words())
    parameters_sha256: str = Field(sa_column=Column(Text, ForeignKey("viability_parameters.sha256"), nullable=False, index=True))
    through: int = Field(sa_column=Column(BigInteger, nullable=False))
    inputs_sha256: str = Field(sa_column=_words())
    seed: str = Field(sa_column=_words())
    thaws: int = Field(sa_column=Column(Integer, nullable=False))
    donors: int = Field(sa_column=Column(Integer, nullable=False))
    longest_days: float = Field(sa_column=Column(Float, nullable=False))
    draws: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    reading: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    made_with: str = Field(sa_column=_words())
    made_at: datetime = Field(sa_column=when())


class ViabilityThaw(SQLModel, table=True):
    """One count that the worker looked at: what the model takes from it, where it fell in its forecast, or why it was left out.

    `place_ppm`: where the count fell in the forecast of `forecast_by`, a fit that had not seen it (calibration).
    """

    __tablename__ = "viability_thaw"
    __table_args__ = (
        CheckConstraint("(excluded IS NULL) = (forecast_by IS NOT NULL)", name="a_thaw_is_forecast_or_excluded"),
        CheckConstraint("(forecast_by IS NULL) = (place_ppm IS NULL)", name="a_forecast_has_a_place"),
        UniqueConstraint("assay_id", name="a_count_is_looked_at_once"),
        Index("ix_viability_thaw_stratum", "material", "procedure_version", "assay", "storage", "number"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    number: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    assay_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("viability_assay.id"), nullable=False))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False, index=True))
    donor_code: str | None = Field(default=None, sa_column=_words(nullable=True))
    material: str = Field(sa_column=_words())
    procedure_version: str = Field(sa_column=_words())
    assay: str = Field(sa_column=_words())
    storage: str = Field(sa_column=_words())
    live: int = Field(sa_column=Column(BigInteger, nullable=False))
    counted: int = Field(sa_column=Column(BigInteger, nullable=False))
    stored_days: float = Field(sa_column=Column(Float, nullable=False))
    late_hours: float = Field(sa_column=Column(Float, nullable=False))
    excluded: str | None = Field(default=None, sa_column=_words(nullable=True))
    forecast_by: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("viability_fit.id"), nullable=True))
    place_ppm: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    looked_at: datetime = Field(sa_column=when())


class ViabilityCriterion(SQLModel, table=True):
    """What quality demands of a material at a site: at least so much alive, shown with this confidence. The newest stands."""

    __tablename__ = "viability_criterion"
    __table_args__ = (
        CheckConstraint("minimum_bp BETWEEN 1 AND 9999", name="criterion_is_a_share"),
        CheckConstraint("confidence_bp BETWEEN 5000 AND 9999", name="criterion_confidence_is_plausible"),
        Index("ix_viability_criterion", "site_code", "material", "number"),
        {"info": {"append_only": True}},
    )

    number: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    material: str = Field(sa_column=_words())
    minimum_bp: int = Field(sa_column=Column(Integer, nullable=False))
    confidence_bp: int = Field(sa_column=Column(Integer, nullable=False))
    decided_by: str = Field(sa_column=_words())
    decided_at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class ViabilityReport(SQLModel, table=True):
    """A signed report of what was counted in a lot after thawing. The paper is drawn from this row and is always the same."""

    __tablename__ = "viability_report"
    __table_args__ = (Index("ix_viability_report_lot", "lot_code", "signed_at"), {"info": {"append_only": True}})

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    lot_code: str = Field(sa_column=Column(Text, ForeignKey("lot.code"), nullable=False))
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    content_sha256: str = Field(sa_column=_words())
    signed_by: str = Field(sa_column=_words())
    signed_at: datetime = Field(sa_column=when())
    signature: UUID = Field(sa_column=Column(Uuid, ForeignKey("signature.id"), nullable=False))
    receipt: str = Field(sa_column=_words())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
