"""Treatment withdrawals. "Withdrawn" is never said of consent here: consent is *revoked*.

Donor = recipient is a fact of the schema (docs/adr/0011): both columns stand in every row, both are foreign keys, and a CHECK
compares them. What PostgreSQL refuses, whatever the code does:

- `recipient_is_the_donor`, `item_goes_back_to_its_donor`: cells for another person than they came from;
- `item_is_of_its_donor`, `item_is_for_its_recipient`: an item whose specimen or withdrawal is someone else's;
- `reserved_for_a_withdrawal_it_is_an_item_of` (on custody): a reservation for a withdrawal that never asked for it;
- `check_is_of_an_item`, `release_comes_from_a_passed_check`: a release of what is not an item, or without two people's scans;
- `bedside_check_has_two_people`, `picking_has_two_people`, `requester_does_not_approve`: one person where it takes two;
- `administered_under_a_consumed_release` (on custody) with the trigger `release_is_used_once`: an administration without a
  release, with a used, expired or ended one, or with another specimen's or another donor's. A release that was ended after the
  giving began is used by one that says what came after (`came_after`), which quality confirmed: `what_came_after_is_confirmed`.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import MOVES_WITH_ITS_DONOR, donor_unless_anothers, not_another_donors, table_of, when
from biobank.withdrawals.release_rules import CHECKED_AGAIN
from biobank.withdrawals.workflow import APPROVED_STATES, Route, WithdrawalState

_STATES = ", ".join(f"'{s.value}'" for s in WithdrawalState)
_APPROVED = ", ".join(f"'{s.value}'" for s in WithdrawalState if s in APPROVED_STATES)
_ROUTES = ", ".join(f"'{r.value}'" for r in Route)


class Withdrawal(SQLModel, table=True):
    """A request to give a person's own cells back to them, and where it stands."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("donor_code = recipient_code", name="recipient_is_the_donor"),
        CheckConstraint(f"state IN ({_STATES})", name="withdrawal_state_is_known"),
        CheckConstraint(f"route IN ({_ROUTES})", name="withdrawal_route_is_known"),
        CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL) = (approval_signature IS NULL)"
            f" AND (state NOT IN ({_APPROVED}) OR approved_by IS NOT NULL)",
            name="what_goes_on_was_approved_and_signed",
        ),
        CheckConstraint("approved_by <> requested_by", name="requester_does_not_approve"),
        UniqueConstraint("code", "recipient_code", name="withdrawal_is_named_by_code_and_recipient"),
        Index("ix_withdrawal_state", "state"),
        Index("ix_withdrawal_requested", "requested_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    recipient_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    clinic_site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    material: str = Field(sa_column=Column(Text, nullable=False))
    route: str = Field(sa_column=Column(Text, nullable=False))
    amount_asked: int | None = Field(default=None, sa_column=Column(BigInteger))
    indication_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    needed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    requested_at: datetime = Field(sa_column=when())
    requested_by: str = Field(sa_column=Column(Text, nullable=False))
    approved_by: str | None = Field(default=None, sa_column=Column(Text))
    approved_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    approval_signature: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("signature.id")))
    approval_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    approvers: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'")))
    """Logins of all who ever signed its approval: first, second, and when it was looked at again."""


class WithdrawalItem(SQLModel, table=True):
    """A specimen asked for by a withdrawal. The database refuses another person's.

    `another_donors`: the withdrawal is over, and the specimen turned out later to be of another donor.
    """

    __tablename__ = "withdrawal_item"
    __table_args__ = (
        ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="item_is_of_its_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["withdrawal_code", "recipient_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="item_is_for_its_recipient",
            **MOVES_WITH_ITS_DONOR,
        ),
        CheckConstraint("donor_code = recipient_code", name="item_goes_back_to_its_donor"),
        UniqueConstraint("withdrawal_code", "specimen_code", "donor_code", name="item_is_named_with_its_donor"),
        Index("ix_withdrawal_item_specimen", "specimen_code"),
        {"info": {"never_deleted": True}},
    )

    withdrawal_code: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    recipient_code: str = Field(sa_column=Column(Text, nullable=False))
    another_donors: bool = Field(default=False, sa_column=not_another_donors())
    specimen_donor: str | None = Field(default=None, sa_column=donor_unless_anothers())
    added_at: datetime = Field(sa_column=when())


class WithdrawalPick(SQLModel, table=True):
    """A tube taken for a withdrawal: scanned with its place by one person, scanned again by another who was shown nothing."""

    __tablename__ = "withdrawal_pick"
    __table_args__ = (
        ForeignKeyConstraint(
            ["withdrawal_code", "specimen_code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code"],
            name="pick_is_of_an_item",
        ),
        CheckConstraint("confirmed_by <> picked_by", name="picking_has_two_people"),
        CheckConstraint("(confirmed_by IS NULL) = (confirmed_at IS NULL)", name="a_confirmed_pick_has_a_confirmer"),
        {"info": {"never_deleted": True}},
    )

    withdrawal_code: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    container_code: str | None = Field(default=None, sa_column=Column(Text))
    position_code: str | None = Field(default=None, sa_column=Column(Text))
    picked_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    picked_at: datetime = Field(sa_column=when())
    picked_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    confirmed_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    confirmed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class PaperCheck(SQLModel, table=True):
    """A sheet for the bedside, fetched for when there is no network: what it says, signed by the log."""

    __tablename__ = "paper_check"
    __table_args__ = (
        CheckConstraint("good_until > fetched_at", name="a_paper_check_lasts"),
        {"info": {"append_only": True}},
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False, index=True))
    specimens: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    fetched_at: datetime = Field(sa_column=when())
    good_until: datetime = Field(sa_column=when())
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    receipt: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class BedsideCheck(SQLModel, table=True):
    """Two people at the bedside, each scanning the band and the final product. `passed` is set by the second, once."""

    __tablename__ = "bedside_check"
    __table_args__ = (
        ForeignKeyConstraint(
            ["withdrawal_code", "specimen_code", "donor_code"],
            ["withdrawal_item.withdrawal_code", "withdrawal_item.specimen_code", "withdrawal_item.donor_code"],
            name="check_is_of_an_item",
            **MOVES_WITH_ITS_DONOR,
        ),
        CheckConstraint("first_checker <> second_checker", name="bedside_check_has_two_people"),
        CheckConstraint(
            "paper IS NOT NULL OR (first_device IS NOT NULL AND (second_checker IS NULL OR second_device IS NOT NULL))",
            name="each_at_the_bedside_names_a_device",
        ),
        CheckConstraint("lower(first_device) <> lower(second_device)", name="bedside_check_has_two_devices"),
        CheckConstraint(
            "(second_checker IS NULL) = (ended_at IS NULL) AND (passed IS NULL) = (ended_at IS NULL)",
            name="an_ended_check_is_whole",
        ),
        UniqueConstraint(
            "id",
            "withdrawal_code",
            "specimen_code",
            "donor_code",
            "wristband_code",
            "first_checker",
            "second_checker",
            "passed",
            name="check_is_named_whole",
        ),
        Index(
            "one_open_check_per_specimen",
            "withdrawal_code",
            "specimen_code",
            unique=True,
            postgresql_where=text("ended_at IS NULL AND superseded_at IS NULL"),
        ),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, nullable=False))
    specimen_code: str = Field(sa_column=Column(Text, nullable=False))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    wristband_code: str = Field(sa_column=Column(Text, ForeignKey("wristband.code"), nullable=False))
    first_checker: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    opened_at: datetime = Field(sa_column=when())
    opened_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    expires_at: datetime = Field(sa_column=when())
    first_device: str | None = Field(default=None, sa_column=Column(Text))
    first_browser: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))
    )
    second_device: str | None = Field(default=None, sa_column=Column(Text))
    paper: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("paper_form.deviation_code")))
    second_checker: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    passed: bool | None = Field(default=None, sa_column=Column(Boolean))
    superseded_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class BedsideRelease(SQLModel, table=True):
    """A single-use permission to administer one specimen to its donor, made by two people at the bedside; valid for minutes."""

    __tablename__ = "bedside_release"
    __table_args__ = (
        ForeignKeyConstraint(
            ["withdrawal_code", "donor_code"],
            ["withdrawal.code", "withdrawal.recipient_code"],
            name="release_is_for_the_recipient",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["specimen_code", "donor_code"],
            ["specimen.code", "specimen.donor_code"],
            name="release_is_of_the_donors_cells",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            [
                "check_id",
                "withdrawal_code",
                "specimen_code",
                "donor_code",
                "wristband_code",
                "first_checker",
                "second_checker",
                "check_passed",
            ],
            [
                "bedside_check.id",
                "bedside_check.withdrawal_code",
                "bedside_check.specimen_code",
                "bedside_check.donor_code",
                "bedside_check.wristband_code",
                "bedside_check.first_checker",
                "bedside_check.second_checker",
                "bedside_check.passed",
            ],
            name="release_comes_from_a_passed_check",
            **MOVES_WITH_ITS_DONOR,
        ),
        UniqueConstraint("check_id", name="a_check_gives_one_release"),
        UniqueConstraint("id", "specimen_code", "donor_code", "consumed", name="release_is_named_whole"),
        CheckConstraint("first_checker <> second_checker", name="bedside_release_has_two_people"),
        CheckConstraint("expires_at > made_at AND expires_at <= made_at + interval '15 minutes'", name="a_release_lasts_minutes"),
        CheckConstraint("consumed_at BETWEEN made_at AND expires_at", name="a_release_is_used_while_it_lasts"),
        CheckConstraint(
            "consumed_at IS NULL OR ended_at IS NULL"
            f" OR (came_after AND consumed_at < ended_at AND ended_because <> '{CHECKED_AGAIN}')",
            name="an_ended_release_is_not_used",
        ),
        CheckConstraint("NOT came_after OR consumed_at IS NOT NULL", name="only_a_used_release_is_marked"),
        UniqueConstraint("id", "came_after", name="release_is_named_with_its_mark"),
        CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", name="an_ended_release_says_why"),
        Index("ix_bedside_release_specimen", "specimen_code"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    check_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    check_passed: bool | None = Field(default=None, sa_column=Column(Boolean, Computed("true", persisted=True), nullable=False))
    withdrawal_code: str = Field(sa_column=Column(Text, nullable=False))
    specimen_code: str = Field(sa_column=Column(Text, nullable=False))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    wristband_code: str = Field(sa_column=Column(Text, nullable=False))
    first_checker: str = Field(sa_column=Column(Text, nullable=False))
    second_checker: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=when())
    made_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    expires_at: datetime = Field(sa_column=when())
    consumed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    consumed: bool | None = Field(
        default=None,
        sa_column=Column(Boolean, Computed("CASE WHEN consumed_at IS NOT NULL THEN true END", persisted=True)),
    )
    came_after: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    ended_because: str | None = Field(default=None, sa_column=Column(Text))


class Administration(SQLModel, table=True):
    """What was given of one specimen and where the rest went: given + residue + loss is what was in the tube."""

    __tablename__ = "administration"
    __table_args__ = (
        ForeignKeyConstraint(
            ["release_id", "specimen_code", "donor_code", "release_consumed"],
            ["bedside_release.id", "bedside_release.specimen_code", "bedside_release.donor_code", "bedside_release.consumed"],
            name="administration_uses_a_consumed_release",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["release_id", "marked"],
            ["bedside_release.id", "bedside_release.came_after"],
            name="a_marked_giving_used_a_marked_release",
        ),
        CheckConstraint("(cardinality(came_after) = 0) = (confirmed_by IS NULL)", name="what_came_after_is_confirmed"),
        CheckConstraint("confirmed_by <> by", name="a_giving_of_before_has_two_people"),
        CheckConstraint(
            "given > 0 AND residue >= 0 AND loss >= 0 AND volume_ul > 0", name="administered_amounts_are_not_negative"
        ),
        CheckConstraint("given + residue + loss = amount", name="every_cell_is_accounted_for"),
        CheckConstraint("(residue = 0) = (residue_went IS NULL)", name="residue_went_somewhere"),
        CheckConstraint("started_at <= ended_at", name="an_administration_starts_before_it_ends"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    release_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), nullable=False, index=True))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False, index=True))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    release_consumed: bool | None = Field(
        default=None, sa_column=Column(Boolean, Computed("true", persisted=True), nullable=False)
    )
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))
    given: int = Field(sa_column=Column(BigInteger, nullable=False))
    residue: int = Field(sa_column=Column(BigInteger, nullable=False))
    loss: int = Field(sa_column=Column(BigInteger, nullable=False))
    volume_ul: int = Field(sa_column=Column(Integer, nullable=False))
    residue_went: str | None = Field(default=None, sa_column=Column(Text))
    by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    came_after: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))
    )
    marked: bool | None = Field(
        default=None, sa_column=Column(Boolean, Computed("cardinality(came_after) > 0", persisted=True), nullable=False)
    )
    confirmed_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    started_at: datetime = Field(sa_column=when())
    ended_at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class WithdrawalOutcome(SQLModel, table=True):
    """What became of it, as the clinic saw it; words are in the vault. More may follow after the withdrawal is closed."""

    __tablename__ = "withdrawal_outcome"
    __table_args__ = {"info": {"append_only": True}}

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False, index=True))
    result: str = Field(sa_column=Column(Text, nullable=False))
    words_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    observed_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class OutcomeMeasure(SQLModel, table=True):
    """A planned measure of a withdrawal: what, in which unit, between which bounds, how many days after each unit was given.

    One that was taken back stays on record with why, and the same may be planned for that day again.
    """

    __tablename__ = "outcome_measure"
    __table_args__ = (
        CheckConstraint("low < high", name="a_scale_has_two_ends"),
        CheckConstraint("due_days > 0 AND window_days >= 0", name="a_measure_is_due_after_the_giving"),
        CheckConstraint(
            "(taken_back_at IS NULL) = (taken_back_event IS NULL) AND (taken_back_at IS NULL) = (taken_back_because IS NULL)",
            name="what_was_taken_back_says_why",
        ),
        Index(
            "a_measure_is_planned_once_for_a_day",
            "withdrawal_code",
            "measure",
            "due_days",
            unique=True,
            postgresql_where=text("taken_back_at IS NULL"),
        ),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False))
    measure: str = Field(sa_column=Column(Text, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    low: int = Field(sa_column=Column(BigInteger, nullable=False))
    high: int = Field(sa_column=Column(BigInteger, nullable=False))
    due_days: int = Field(sa_column=Column(Integer, nullable=False))
    window_days: int = Field(sa_column=Column(Integer, nullable=False))
    photograph: bool = Field(sa_column=Column(Boolean, nullable=False))
    planned_at: datetime = Field(sa_column=when())
    planned_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    taken_back_because: str | None = Field(default=None, sa_column=Column(Text))
    taken_back_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    taken_back_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class OutcomeResult(SQLModel, table=True):
    """What was measured of a planned measure after one unit was given, or why it was not done; the latest row counts."""

    __tablename__ = "outcome_result"
    __table_args__ = (
        CheckConstraint("(value_commit IS NULL) <> (not_done IS NULL)", name="a_result_is_measured_or_not_done"),
        CheckConstraint("photograph_sha256 IS NULL OR not_done IS NULL", name="what_was_not_done_has_no_photograph"),
        Index("ix_outcome_result_of", "measure_id", "release_id", "recorded_at"),
        Index("ix_outcome_result_photograph", "photograph_sha256"),
        {"info": {"append_only": True}},
    )

    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), primary_key=True))
    measure_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("outcome_measure.id"), nullable=False))
    release_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("administration.release_id"), nullable=False))
    value_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    not_done: str | None = Field(default=None, sa_column=Column(Text))
    photograph_sha256: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("attachment.sha256")))
    measured_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))


# The tables, by the names under which everybody imports them.
withdrawal = table_of(Withdrawal)
withdrawal_item = table_of(WithdrawalItem)
bedside_release = table_of(BedsideRelease)
withdrawal_outcome = table_of(WithdrawalOutcome)
outcome_measure = table_of(OutcomeMeasure)
outcome_result = table_of(OutcomeResult)
