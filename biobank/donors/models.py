"""Donors: pseudonymous rows. Everything that names a person is ciphertext in the vault under that person's own key.

What PostgreSQL refuses, whatever the code does: one person confirming their own identification, two bands in force on one
donor, a kit bound to two donors, a revocation without its event.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from biobank.foundation.db import MOVES_WITH_ITS_DONOR, table_of, when


def _hash_of_event(nullable: bool = False) -> "Column[Any]":
    return Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=nullable)


class Donor(SQLModel, table=True):
    """A person whose own cells are kept. Donor and recipient are the same person, always.

    `merged_into`: the record that the person goes on under; this code leads there.
    """

    __tablename__ = "donor"
    __table_args__ = (
        CheckConstraint("status IN ('living','deceased','unreachable','erased')", name="donor_status_is_known"),
        CheckConstraint("merged_into <> code", name="a_donor_is_merged_into_another"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    clinic_site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    status: str = Field(default="living", sa_column=Column(Text, nullable=False, server_default="living"))
    kept_apart: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    identity_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    contact_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    safety_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    death_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    merged_into: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("donor.code"), index=True))
    created_at: datetime = Field(sa_column=when())
    created_by: str = Field(sa_column=Column(Text, nullable=False))


class DonorMove(SQLModel, table=True):
    """That rows of one donor became rows of another: a duplicate was merged, or a harvest was another person's.

    The database lets the donor of a row that is written once change only along such a move.
    """

    __tablename__ = "donor_move"
    __table_args__ = (
        CheckConstraint("from_donor <> to_donor", name="a_move_leads_elsewhere"),
        Index("ix_donor_move", "from_donor", "to_donor"),
        {"info": {"append_only": True}},
    )

    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), primary_key=True))
    from_donor: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    to_donor: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    harvest_code: str | None = Field(default=None, sa_column=Column(Text, index=True))
    recorded_at: datetime = Field(sa_column=when())


class DonorAgreement(SQLModel, table=True):
    """An agreement about keeping a donor's cells, as signed. The latest end counts; a new one is another row."""

    __tablename__ = "donor_agreement"
    __table_args__ = (
        CheckConstraint("ends_on > begins_on", name="an_agreement_ends_after_it_begins"),
        Index("ix_donor_agreement_donor", "donor_code", "ends_on"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    terms: str = Field(sa_column=Column(Text, nullable=False))
    document_sha256: str = Field(sa_column=Column(Text, nullable=False))
    begins_on: date = Field(sa_column=Column(Date, nullable=False))
    ends_on: date = Field(sa_column=Column(Date, nullable=False))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=_hash_of_event())


class DonorDocument(SQLModel, table=True):
    """A vault document that a partial erasure keeps, because a duty of retention covers it. All other documents of the
    donor (contact, remarks) go as soon as the donor asks.
    """

    __tablename__ = "donor_document"
    __table_args__ = {"info": {"app_may_delete": True}}

    commit: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))


class DonorIndex(SQLModel, table=True):
    """The blind index: keyed hashes of what a person can be searched by. Rows go when the person is erased."""

    __tablename__ = "donor_index"
    __table_args__ = (
        CheckConstraint("octet_length(token) = 32", name="index_token_is_a_whole_hash"),
        Index("an_identifier_is_one_persons", "token", unique=True, postgresql_where=text("kind = 'external'")),
        Index("ix_donor_index_token", "token"),
        {"info": {"app_may_delete": True}},
    )

    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), primary_key=True))
    token: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))


class Consent(SQLModel, table=True):
    """One consent of a person. It is given once and revoked at most once; both are events on the donor's stream."""

    __tablename__ = "consent"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('banking','treatment','research','testing','sharing','death_and_end_of_term','representative')",
            name="consent_kind_is_known",
        ),
        CheckConstraint(
            "(revoked_at IS NULL) = (revoked_event IS NULL) AND (revoked_at IS NULL) = (revoked_by IS NULL)",
            name="a_revocation_has_its_event",
        ),
        Index("ix_consent_donor_kind", "donor_code", "kind"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    form_version: str = Field(sa_column=Column(Text, nullable=False))
    document_sha256: str = Field(sa_column=Column(Text, nullable=False))
    given_at: datetime = Field(sa_column=when())
    witnessed_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    tissues: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    valid_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    on_death: str | None = Field(default=None, sa_column=Column(Text))
    at_end_of_term: str | None = Field(default=None, sa_column=Column(Text))
    representative_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    given_event: bytes = Field(sa_column=_hash_of_event())
    revoked_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    revoked_by: str | None = Field(default=None, sa_column=Column(Text))
    revoked_event: bytes | None = Field(default=None, sa_column=_hash_of_event(nullable=True))


class Identification(SQLModel, table=True):
    """Two people comparing what the patient states with what the vault holds. Good for one visit."""

    __tablename__ = "identification"
    __table_args__ = (
        CheckConstraint("purpose IN ('harvest','wristband','bedside')", name="identification_purpose_is_known"),
        CheckConstraint("(purpose = 'harvest') = (kit_code IS NOT NULL)", name="a_harvest_identification_names_its_kit"),
        CheckConstraint("second_by <> first_by", name="identification_has_two_people"),
        CheckConstraint(
            "(completed_at IS NULL) = (second_by IS NULL) AND (completed_at IS NULL) = (completed_event IS NULL)"
            " AND (completed_at IS NULL) = (valid_until IS NULL)",
            name="a_completed_identification_is_whole",
        ),
        CheckConstraint("completed_at IS NULL OR failed_at IS NULL", name="an_identification_has_one_outcome"),
        CheckConstraint("cardinality(identifier_kinds) >= 2", name="a_patient_states_two_identifiers"),
        UniqueConstraint("id", "donor_code", name="identification_is_named_by_id_and_donor"),
        Index("ix_identification_donor", "donor_code", "first_at"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    purpose: str = Field(sa_column=Column(Text, nullable=False))
    kit_code: str | None = Field(default=None, sa_column=Column(Text))
    identifier_kinds: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    document_kind: str = Field(sa_column=Column(Text, nullable=False))
    first_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    first_at: datetime = Field(sa_column=when())
    first_event: bytes = Field(sa_column=_hash_of_event())
    expires_at: datetime = Field(sa_column=when())
    second_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    completed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    completed_event: bytes | None = Field(default=None, sa_column=_hash_of_event(nullable=True))
    valid_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    failed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class KitBinding(SQLModel, table=True):
    """A kit belongs to the first donor it was bound to at the patient, for ever."""

    __tablename__ = "kit_binding"
    __table_args__ = (
        ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="kit_is_bound_by_an_identification_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        {"info": {"never_deleted": True}},
    )

    kit_code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    identification_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    bound_at: datetime = Field(sa_column=when())


class DonorMarker(SQLModel, table=True):
    """One result of a marker of infection, as the vault's document of it says; rows go when the person is erased."""

    __tablename__ = "donor_marker"
    __table_args__ = (
        CheckConstraint("result IN ('negative','reactive','indeterminate')", name="marker_result_is_known"),
        CheckConstraint("state IN ('entered','confirmed','rejected')", name="marker_state_is_known"),
        CheckConstraint("(state = 'entered') = (decided_by IS NULL)", name="a_decision_on_a_marker_has_its_person"),
        CheckConstraint("decided_by <> entered_by", name="a_marker_is_confirmed_by_another"),
        Index("ix_donor_marker_donor", "donor_code", "sampled_at"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    marker: str = Field(sa_column=Column(Text, nullable=False))
    result: str = Field(sa_column=Column(Text, nullable=False))
    state: str = Field(default="entered", sa_column=Column(Text, nullable=False, server_default="entered"))
    sampled_at: datetime = Field(sa_column=when())
    laboratory: str = Field(sa_column=Column(Text, nullable=False))
    kit: str = Field(sa_column=Column(Text, nullable=False))
    told_commit: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    report_sha256: str = Field(sa_column=Column(Text, nullable=False))
    entered_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    entered_at: datetime = Field(sa_column=when())
    entered_event: bytes = Field(sa_column=_hash_of_event())
    decided_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    decided_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    decided_event: bytes | None = Field(default=None, sa_column=_hash_of_event(nullable=True))


class DonorAllergy(SQLModel, table=True):
    """A residue of processing that a donor is allergic to. Rows go when it is taken back, or the person erased."""

    __tablename__ = "donor_allergy"
    __table_args__ = (
        UniqueConstraint("donor_code", "substance", name="an_allergy_stands_once"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    substance: str = Field(sa_column=Column(Text, nullable=False))
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=_hash_of_event())


class Wristband(SQLModel, table=True):
    """A band on a patient's wrist: it stands for the donor during one visit."""

    __tablename__ = "wristband"
    __table_args__ = (
        ForeignKeyConstraint(
            ["identification_id", "donor_code"],
            ["identification.id", "identification.donor_code"],
            name="band_is_issued_after_an_identification_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        UniqueConstraint("identification_id", name="one_band_per_identification"),
        CheckConstraint("(voided_at IS NULL) = (voided_event IS NULL)", name="a_void_band_has_its_event"),
        Index("one_band_in_force_per_donor", "donor_code", unique=True, postgresql_where=text("voided_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    identification_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    issued_at: datetime = Field(sa_column=when())
    issued_by: str = Field(sa_column=Column(Text, nullable=False))
    issued_event: bytes = Field(sa_column=_hash_of_event())
    expires_at: datetime = Field(sa_column=when())
    voided_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    void_reason: str | None = Field(default=None, sa_column=Column(Text))
    voided_event: bytes | None = Field(default=None, sa_column=_hash_of_event(nullable=True))


# The tables, by the names under which everybody imports them.
consent = table_of(Consent)
donor = table_of(Donor)
donor_agreement = table_of(DonorAgreement)
donor_move = table_of(DonorMove)
donor_allergy = table_of(DonorAllergy)
donor_document = table_of(DonorDocument)
donor_marker = table_of(DonorMarker)
identification = table_of(Identification)
kit_binding = table_of(KitBinding)
wristband = table_of(Wristband)
