"""Specimens: what each one is, and where it came from. Where it is and in which state belongs to `custody`.

What PostgreSQL refuses, whatever the code does: a specimen of another donor than its harvest's, its lot's or its parent's; an
input of another donor than the run's; a kit used twice; a pre-printed label used in two harvests.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Label,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import MOVES_WITH_ITS_DONOR, donor_unless_anothers, not_another_donors, table_of, when


def _site(nullable: bool = False) -> "Column[Any]":
    return Column(Text, ForeignKey("site.code"), nullable=nullable)


def _event() -> "Column[Any]":
    return Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False)


def _words(nullable: bool = False) -> "Column[Any]":
    return Column(Text, nullable=nullable)


_NUMBER: "Label[str]" = literal_column("split_part(code, '-', 2)").label("number")


class Kit(SQLModel, table=True):
    """A prepared collection kit: its labels carry codes that exist already, so that the label is on before material is in."""

    __tablename__ = "kit"
    __table_args__ = (Index("ix_kit_prepared", "prepared_at", "code"), {"info": {"never_deleted": True}})

    code: str = Field(sa_column=Column(Text, primary_key=True))
    site_code: str = Field(sa_column=_site())
    home_site_code: str = Field(sa_column=_site())
    media_lots: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    expires_at: datetime = Field(sa_column=when())
    prepared_at: datetime = Field(sa_column=when())
    prepared_by: str = Field(sa_column=_words())
    prepared_event: bytes = Field(sa_column=_event())
    used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class KitLabel(SQLModel, table=True):
    """A pre-printed label of a kit: waiting (both times NULL), used, or void because its kit was closed without it."""

    __tablename__ = "kit_label"
    __table_args__ = (
        CheckConstraint("used_at IS NULL OR voided_at IS NULL", name="a_label_is_used_or_void"),
        {"info": {"never_deleted": True}},
    )

    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    kit_code: str = Field(sa_column=Column(Text, ForeignKey("kit.code"), nullable=False, index=True))
    used_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    voided_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class Harvest(SQLModel, table=True):
    """One collection from one donor at one visit. Its code is its kit's, or a KT- code of its own.

    `method`, `anatomical_site`: those of all its containers; NULL when the containers differ (each says its own in its record).
    """

    __tablename__ = "harvest"
    __table_args__ = (
        UniqueConstraint("code", "donor_code", name="harvest_is_named_by_code_and_donor"),
        UniqueConstraint("kit_code", name="a_kit_is_used_once"),
        ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="harvest_follows_an_identification_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        Index("ix_harvest_started", "started_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    site_code: str = Field(sa_column=_site())
    home_site_code: str = Field(sa_column=_site())
    kit_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("kit.code")))
    identification_id: UUID | None = Field(default=None, sa_column=Column(Uuid))
    method: str | None = Field(default=None, sa_column=_words(nullable=True))
    anatomical_site: str | None = Field(default=None, sa_column=_words(nullable=True))
    transport_medium: str | None = Field(default=None, sa_column=_words(nullable=True))
    started_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words())


class Lot(SQLModel, table=True):
    """The outputs of one processing run: tests and releases belong to it."""

    __tablename__ = "lot"
    __table_args__ = (
        UniqueConstraint("code", "donor_code", name="lot_is_named_by_code_and_donor"),
        Index("ix_lot_started", "started_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    material: str = Field(sa_column=_words())
    process: str = Field(sa_column=_words())
    procedure_version: str = Field(sa_column=_words())
    site_code: str = Field(sa_column=_site())
    started_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words())


class Specimen(SQLModel, table=True):
    """One tube, bag or vessel. `donor_code` is NULL for an unidentified item only."""

    __tablename__ = "specimen"
    __table_args__ = (
        UniqueConstraint("code", "donor_code", name="specimen_is_named_by_code_and_donor"),
        UniqueConstraint("code", "donor_key", name="specimen_is_named_by_code_and_donor_key"),
        ForeignKeyConstraint(
            ["harvest_code", "donor_code"],
            ["harvest.code", "harvest.donor_code"],
            name="specimen_is_of_its_harvests_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["lot_code", "donor_code"],
            ["lot.code", "lot.donor_code"],
            name="specimen_is_of_its_lots_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        CheckConstraint("(donor_code IS NULL) = (material = 'unidentified')", name="only_the_unidentified_have_no_donor"),
        CheckConstraint(
            "donor_code IS NOT NULL OR (harvest_code IS NULL AND lot_code IS NULL)",
            name="the_unidentified_are_of_no_harvest_and_no_lot",
        ),
        CheckConstraint("purpose IN ('therapeutic','qc','retained')", name="specimen_purpose_is_known"),
        CheckConstraint("passage BETWEEN 0 AND 50", name="passage_is_plausible"),
        CheckConstraint(
            "follicular_units >= 0 AND transected >= 0 AND transected <= follicles", name="follicle_counts_are_possible"
        ),
        Index("ix_specimen_newest", "created_at", "code"),
        Index("ix_specimen_expires", "expires_at", "code"),
        Index("ix_specimen_donor", "donor_code"),
        # Searched by how they begin, whatever the database's collation; `specimens/queries.py` has the search.
        Index("ix_specimen_lot", "lot_code", postgresql_ops={"lot_code": "text_pattern_ops"}),
        Index("ix_specimen_harvest", "harvest_code", postgresql_ops={"harvest_code": "text_pattern_ops"}),
        Index("ix_specimen_start", "code", postgresql_ops={"code": "text_pattern_ops"}),
        Index("ix_specimen_number", _NUMBER, postgresql_ops={"number": "text_pattern_ops"}),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("donor.code")))
    donor_key: str = Field(
        default="", sa_column=Column(Text, Computed("COALESCE(donor_code, '')", persisted=True), nullable=False)
    )
    material: str = Field(sa_column=_words())
    unit: str = Field(sa_column=_words())
    purpose: str = Field(default="therapeutic", sa_column=Column(Text, nullable=False, server_default="therapeutic"))
    passage: int | None = Field(default=None, sa_column=Column(Integer))
    vessel_count: int | None = Field(default=None, sa_column=Column(Integer))
    follicular_units: int | None = Field(default=None, sa_column=Column(Integer))
    follicles: int | None = Field(default=None, sa_column=Column(Integer))
    transected: int | None = Field(default=None, sa_column=Column(Integer))
    harvest_code: str | None = Field(default=None, sa_column=Column(Text))
    lot_code: str | None = Field(default=None, sa_column=Column(Text))
    unit_number: int | None = Field(default=None, sa_column=Column(Integer))
    home_site_code: str | None = Field(default=None, sa_column=_site(nullable=True))
    regulatory_basis: str = Field(default="undetermined", sa_column=Column(Text, nullable=False, server_default="undetermined"))
    collected_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    expires_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    created_at: datetime = Field(sa_column=when())
    created_by: str = Field(sa_column=_words())


class SpecimenParent(SQLModel, table=True):
    """Lineage. A derivative of another donor's cells cannot be written down."""

    __tablename__ = "specimen_parent"
    __table_args__ = (
        ForeignKeyConstraint(
            ["child_code", "child_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="child_is_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["parent_code", "parent_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="parent_is_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        CheckConstraint("child_donor = parent_donor", name="derived_from_the_same_donor"),
        CheckConstraint("child_code <> parent_code", name="not_its_own_parent"),
        Index("ix_specimen_parent_parent", "parent_code"),
        {"info": {"never_deleted": True}},
    )

    child_code: str = Field(sa_column=Column(Text, primary_key=True))
    parent_code: str = Field(sa_column=Column(Text, primary_key=True))
    child_donor: str = Field(sa_column=_words())
    parent_donor: str = Field(sa_column=_words())


class SpecimenAlias(SQLModel, table=True):
    """A foreign identifier (pre-etched tube, clinic, legacy, DIN) that resolves to our specimen; unique per issuer.

    `occurred_at`, `recorded_at`: since when, and when the bank was told; as its event has them.
    """

    __tablename__ = "specimen_alias"
    __table_args__ = (
        Index("ix_specimen_alias_compared", text("lower(value)")),
        {"info": {"app_may_delete": True}},
    )

    issuer: str = Field(sa_column=Column(Text, primary_key=True))
    value: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False, index=True))
    occurred_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())


class Processing(SQLModel, table=True):
    """One run. It made a lot, or (freezing, thawing) changed specimens where they were and made none.

    `used`, `made` and `loss` are totals in `used_unit` and `made_unit`; `parameters` are the run's own facts, as in its events.
    `another_donors`: what it worked on turned out to be of another donor than the bench session was open for.
    """

    __tablename__ = "processing"
    __table_args__ = (
        UniqueConstraint("id", "donor_code", name="processing_is_named_by_id_and_donor"),
        ForeignKeyConstraint(
            ["lot_code", "donor_code"],
            ["lot.code", "lot.donor_code"],
            name="processing_is_of_its_lots_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["bench_session", "bench_donor"],
            ["bench_session.code", "bench_session.donor_code"],
            name="run_is_of_its_benchs_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        UniqueConstraint("lot_code", name="a_lot_is_of_one_run"),
        CheckConstraint("used >= 0 AND made >= 0 AND loss >= 0", name="run_amounts_are_not_negative"),
        Index("ix_processing_started", "started_at", "id"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    process: str = Field(sa_column=_words())
    procedure_version: str = Field(sa_column=_words())
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    lot_code: str | None = Field(default=None, sa_column=Column(Text))
    site_code: str = Field(sa_column=_site())
    operator: str = Field(sa_column=_words())
    equipment: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    reagent_lots: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    bench_session: str | None = Field(default=None, sa_column=Column(Text))
    another_donors: bool = Field(default=False, sa_column=not_another_donors())
    bench_donor: str | None = Field(default=None, sa_column=donor_unless_anothers())
    used: int | None = Field(default=None, sa_column=Column(BigInteger))
    used_unit: str | None = Field(default=None, sa_column=_words(nullable=True))
    made: int | None = Field(default=None, sa_column=Column(BigInteger))
    made_unit: str | None = Field(default=None, sa_column=_words(nullable=True))
    loss: int | None = Field(default=None, sa_column=Column(BigInteger))
    parameters: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    started_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words())


class ProcessingInput(SQLModel, table=True):
    """A specimen that went into a run, or through it: never another donor's, unless it turned out so later (`another_donors`)."""

    __tablename__ = "processing_input"
    __table_args__ = (
        ForeignKeyConstraint(
            ["processing_id", "donor_code"],
            ["processing.id", "processing.donor_code"],
            name="input_is_of_its_runs_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="input_is_of_the_specimens_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        Index("ix_processing_input_specimen", "specimen_code"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    processing_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=_words())
    another_donors: bool = Field(default=False, sa_column=not_another_donors())
    specimen_donor: str | None = Field(default=None, sa_column=donor_unless_anothers())
    amount: int | None = Field(default=None, sa_column=Column(BigInteger))
    consumed: bool = Field(sa_column=Column(Boolean, nullable=False))


class LotTest(SQLModel, table=True):
    """A test of a lot, as reported. A result that comes later is a row of its own which `completes` the pending one."""

    __tablename__ = "lot_test"
    __table_args__ = (
        CheckConstraint("kind IN ('sterility','endotoxin','mycoplasma','viability','identity')", name="lot_test_is_known"),
        CheckConstraint("result IN ('pending','passed','failed')", name="lot_test_result_is_known"),
        CheckConstraint("result <> 'pending' OR completes IS NULL", name="a_completion_has_a_result"),
        CheckConstraint(
            "result <> 'pending' OR (organism IS NULL AND endotoxin_milli_eu_per_ml IS NULL AND viable_bp IS NULL)",
            name="what_waits_has_found_nothing",
        ),
        CheckConstraint("result <> 'pending' OR due_at IS NOT NULL", name="what_waits_is_due"),
        UniqueConstraint("completes", name="a_pending_test_is_completed_once"),
        Index("ix_lot_test_lot", "lot_code", "recorded_at"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    lot_code: str = Field(sa_column=Column(Text, ForeignKey("lot.code"), nullable=False))
    kind: str = Field(sa_column=_words())
    sampled_at: datetime = Field(sa_column=when())
    due_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    result: str = Field(sa_column=_words())
    method: str = Field(sa_column=_words())
    laboratory: str = Field(sa_column=_words())
    endotoxin_milli_eu_per_ml: int | None = Field(default=None, sa_column=Column(Integer))
    below_detection: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    viable_bp: int | None = Field(default=None, sa_column=Column(Integer))
    organism: str | None = Field(default=None, sa_column=_words(nullable=True))
    report_sha256: str | None = Field(default=None, sa_column=_words(nullable=True))
    completes: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("lot_test.id")))
    hold_id: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("hold.id")))
    event_hash: bytes = Field(sa_column=_event())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words())


class ViabilityAssay(SQLModel, table=True):
    """One count of living and dead. The percentage and its interval are computed when asked for, never stored."""

    __tablename__ = "viability_assay"
    __table_args__ = (
        CheckConstraint("live >= 0 AND dead >= 0 AND live + dead > 0", name="something_was_counted"),
        CheckConstraint("volume_nl IS NULL OR dilution_milli IS NOT NULL", name="a_volume_has_its_dilution"),
        Index("ix_viability_assay_specimen", "specimen_code", "measured_at"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False))
    method: str = Field(sa_column=_words())
    live: int = Field(sa_column=Column(BigInteger, nullable=False))
    dead: int = Field(sa_column=Column(BigInteger, nullable=False))
    dilution_milli: int | None = Field(default=None, sa_column=Column(Integer))
    volume_nl: int | None = Field(default=None, sa_column=Column(BigInteger))
    suspension_ul: int | None = Field(default=None, sa_column=Column(BigInteger))
    minutes_after_thaw: int | None = Field(default=None, sa_column=Column(Integer))
    instrument: str | None = Field(default=None, sa_column=_words(nullable=True))
    operator: str = Field(sa_column=_words())
    measured_at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=_event())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=_words())


class CultureRecord(SQLModel, table=True):
    """New medium, a look, or vessels discarded, of a culture. `finding`: what was seen, or why vessels were discarded."""

    __tablename__ = "culture_record"
    __table_args__ = (
        CheckConstraint("what IN ('medium_changed','looked_at','vessels_discarded')", name="culture_record_is_known"),
        CheckConstraint("vessels > 0 AND amount > 0 AND confluence_percent BETWEEN 0 AND 100", name="vessels_are_counted"),
        Index("ix_culture_record_specimen", "specimen_code", "at"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False))
    what: str = Field(sa_column=_words())
    vessels: int = Field(sa_column=Column(Integer, nullable=False))
    amount: int | None = Field(default=None, sa_column=Column(BigInteger))
    medium_lots: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    incubator: str | None = Field(default=None, sa_column=_words(nullable=True))
    confluence_percent: int | None = Field(default=None, sa_column=Column(Integer))
    finding: str | None = Field(default=None, sa_column=_words(nullable=True))
    at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    by: str = Field(sa_column=_words())
    event_hash: bytes = Field(sa_column=_event())


culture_record = table_of(CultureRecord)
kit = table_of(Kit)
kit_label = table_of(KitLabel)
harvest = table_of(Harvest)
lot = table_of(Lot)
specimen = table_of(Specimen)
specimen_parent = table_of(SpecimenParent)
processing = table_of(Processing)
processing_input = table_of(ProcessingInput)
lot_test = table_of(LotTest)
viability_assay = table_of(ViabilityAssay)
