"""Custody: where each specimen is, who holds it, in which state. A projection of the log that the database guards.

What PostgreSQL refuses, whatever the code does:

- `custody_follows_log`: a state, sequence or head hash that no event of this specimen's stream has;
- `one_specimen_per_position` (deferrable, so that swaps work in one transaction);
- `position_is_in_that_container`, `stored_has_a_place`, `only_placed_specimens_hold_a_position`;
- `custody_is_of_the_specimens_donor`: another donor than the specimen's;
- `reserved_for_a_withdrawal_it_is_an_item_of`: a reservation for a withdrawal that never asked for it;
- `administered_under_a_consumed_release`: an administration without a consumed bedside release of the same specimen and donor.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
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

from biobank.custody.states import (
    HOLDS_A_POSITION,
    TERMINAL,
    Condition,
    CustodianKind,
    HoldKind,
    HoldScope,
    PerformerAnswer,
    Quality,
    State,
)
from biobank.foundation.db import MOVES_WITH_ITS_DONOR, table_of, when


def _one_of(
    column: str,
    values: "type[State] | type[Condition] | type[Quality] | type[CustodianKind] | type[HoldKind] | type[HoldScope]"
    " | type[PerformerAnswer]",
) -> str:
    return f"{column} IN ({', '.join(repr(v.value) for v in values)})"


_NOBODYS = ", ".join(sorted(repr(s.value) for s in TERMINAL - {State.ADMINISTERED}))
"""Nobody holds these; what was administered is the recipient's."""
_PLACED = ", ".join(sorted(repr(s.value) for s in HOLDS_A_POSITION))


class Custody(SQLModel, table=True):
    """The present projection of one specimen's stream. Only `ledger.append` writes it."""

    __tablename__ = "custody"
    __table_args__ = (
        ForeignKeyConstraint(
            ["code", "donor_key"],
            ["specimen.code", "specimen.donor_key"],
            name="custody_is_of_the_specimens_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["stream_kind", "code", "seq", "head_hash", "state"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="custody_follows_log",
            deferrable=True,
            initially="DEFERRED",
        ),
        ForeignKeyConstraint(
            ["position_code", "container_code"],
            ["storage_position.code", "storage_position.container_code"],
            name="position_is_in_that_container",
        ),
        ForeignKeyConstraint(
            ["administered_under", "code", "donor_code", "release_consumed"],
            [
                "bedside_release.id",
                "bedside_release.specimen_code",
                "bedside_release.donor_code",
                "bedside_release.consumed",
            ],
            name="administered_under_a_consumed_release",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["reserved_for", "code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code"],
            name="reserved_for_a_withdrawal_it_is_an_item_of",
        ),
        UniqueConstraint("position_code", name="one_specimen_per_position", deferrable=True, initially="IMMEDIATE"),
        UniqueConstraint("code", "donor_code", name="custody_is_named_by_code_and_donor"),
        CheckConstraint(_one_of("state", State), name="custody_state_is_known"),
        CheckConstraint(_one_of("condition", Condition), name="condition_is_known"),
        CheckConstraint(_one_of("quality", Quality), name="quality_is_known"),
        CheckConstraint(_one_of("custodian_kind", CustodianKind), name="custodian_kind_is_known"),
        CheckConstraint("state <> 'stored' OR container_code IS NOT NULL", name="stored_has_a_place"),
        CheckConstraint(
            f"state IN ({_PLACED}) OR (position_code IS NULL AND container_code IS NULL)",
            name="only_placed_specimens_hold_a_position",
        ),
        CheckConstraint("(state = 'administered') = (administered_under IS NOT NULL)", name="administered_iff_under_a_release"),
        CheckConstraint("state <> 'administered' OR donor_code IS NOT NULL", name="nobody_receives_the_unidentified"),
        CheckConstraint("(custodian_kind = 'nobody') = (custodian_id IS NULL)", name="a_custodian_has_a_name"),
        CheckConstraint("shipment_code IS NULL OR state = 'in_transit'", name="only_what_is_underway_names_a_shipment"),
        CheckConstraint(f"(custodian_kind = 'nobody') = (state IN ({_NOBODYS}))", name="somebody_answers_for_what_is_alive"),
        CheckConstraint("amount >= 0", name="amount_is_not_negative"),
        Index("ix_custody_container", "container_code"),
        Index("ix_custody_donor", "donor_code"),
        Index("ix_custody_site_state", "site_code", "state"),
        Index("ix_custody_reserved_for", "reserved_for"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    stream_kind: str = Field(default="specimen", sa_column=Column(Text, Computed("'specimen'", persisted=True), nullable=False))
    donor_code: str | None = Field(default=None, sa_column=Column(Text))
    # A foreign key skips rows with a NULL in them; this column never is, so that losing the donor is refused too.
    donor_key: str = Field(
        default="", sa_column=Column(Text, Computed("COALESCE(donor_code, '')", persisted=True), nullable=False)
    )
    seq: int = Field(sa_column=Column(Integer, nullable=False))
    head_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    condition: str = Field(sa_column=Column(Text, nullable=False))
    quality: str = Field(sa_column=Column(Text, nullable=False))
    custodian_kind: str = Field(sa_column=Column(Text, nullable=False))
    custodian_id: str | None = Field(default=None, sa_column=Column(Text))
    offered_kind: str | None = Field(default=None, sa_column=Column(Text))
    offered_id: str | None = Field(default=None, sa_column=Column(Text))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    container_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("storage_container.code")))
    position_code: str | None = Field(default=None, sa_column=Column(Text))
    shipment_code: str | None = Field(default=None, sa_column=Column(Text))
    reserved_for: str | None = Field(default=None, sa_column=Column(Text))
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))
    freeze_count: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    exposure_s: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    exposure_unknown: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    out_since: str | None = Field(default=None, sa_column=Column(Text))
    use_by: str | None = Field(default=None, sa_column=Column(Text))
    banked_at: str | None = Field(default=None, sa_column=Column(Text))
    administered_under: UUID | None = Field(default=None, sa_column=Column(Uuid))
    release_consumed: bool | None = Field(
        default=None,
        sa_column=Column(Boolean, Computed("CASE WHEN state = 'administered' THEN true END", persisted=True)),
    )
    marked: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    last_occurred_at: datetime = Field(sa_column=when())
    state_seq: int = Field(sa_column=Column(Integer, nullable=False))


class NamedPerformer(SQLModel, table=True):
    """A colleague whom an entry names in `performed` without their own credentials, and what they said about it since.

    `ledger.append` writes the row with the event; `custody/performer_confirmations.py` fills in the answer, once.
    """

    __tablename__ = "named_performer"
    __table_args__ = (
        UniqueConstraint("leaf_hash", "user_code", name="an_entry_names_a_colleague_once"),
        CheckConstraint(_one_of("answer", PerformerAnswer), name="performer_answer_is_known"),
        CheckConstraint(
            "(answer IS NULL) = (answered_at IS NULL) AND (answer IS NULL) = (answered_event IS NULL)",
            name="answered_hands_have_an_event",
        ),
        Index("ix_named_performer_user", "user_code", "id"),
        Index("ix_named_performer_open", "id", postgresql_where=text("answer IS NULL")),
        {"info": {"never_deleted": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    answer: str | None = Field(default=None, sa_column=Column(Text))
    answered_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    answered_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class Hold(SQLModel, table=True):
    """A hold on a scope. Placed by anyone, lifted by quality with a signature; both are events on the scope's stream."""

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint(_one_of("kind", HoldKind), name="hold_kind_is_known"),
        CheckConstraint(_one_of("scope_kind", HoldScope), name="hold_scope_is_known"),
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="a_lifted_hold_has_a_lifter"),
        Index("ix_hold_placed", "placed_at", "id"),
        Index("ix_hold_active", "scope_id", "scope_kind", postgresql_where=text("lifted_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    scope_kind: str = Field(sa_column=Column(Text, nullable=False))
    scope_id: str = Field(sa_column=Column(Text, nullable=False))
    blocks: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    placed_at: datetime = Field(sa_column=when())
    placed_by: str = Field(sa_column=Column(Text, nullable=False))
    placed_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    lifted_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    lifted_by: str | None = Field(default=None, sa_column=Column(Text))
    lifted_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class RuleTable(SQLModel, table=True):
    """One version of the rule table: its canonical JSON, named by its SHA-256. `system.rules_adopted` says since when."""

    __tablename__ = "rule_table"
    __table_args__ = (
        CheckConstraint("id = sha256(document)", name="a_rule_table_is_named_by_its_hash"),
        {"info": {"append_only": True}},
    )

    id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    document: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


# The tables, by the names under which everybody imports them.
custody = table_of(Custody)
hold = table_of(Hold)
