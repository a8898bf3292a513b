"""Quality's own tables: deviations with what they concern, attachments by hash, recalls with the set they froze.

What is decided about specimens stands in their streams; these rows are what has no stream of its own to live in.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class Deviation(SQLModel, table=True):
    """A departure from what was meant to happen. Words are in the vault; `description_commit` names them."""

    __tablename__ = "deviation"
    __table_args__ = (
        CheckConstraint("severity IN ('minor','major','critical')", name="deviation_severity_is_known"),
        CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_event IS NULL)"
            " AND (closed_at IS NULL) = (closed_signature IS NULL) AND (closed_at IS NULL) = (decision IS NULL)"
            " AND (closed_at IS NULL) = (cause IS NULL)",
            name="a_closed_deviation_is_whole",
        ),
        Index("ix_deviation_opened", "opened_at"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    severity: str = Field(sa_column=Column(Text, nullable=False))
    topic: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    description_commit: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    opened_at: datetime = Field(sa_column=when())
    opened_by: str = Field(sa_column=Column(Text, nullable=False))
    opened_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    cause: str | None = Field(default=None, sa_column=Column(Text))
    decision: str | None = Field(default=None, sa_column=Column(Text))
    closing_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    closed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    closed_by: str | None = Field(default=None, sa_column=Column(Text))
    closed_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    closed_signature: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("signature.id")))


class PaperForm(SQLModel, table=True):
    """A form that was filled in by hand; its deviation names it. Nothing on it is older than `began_at`."""

    __tablename__ = "paper_form"
    __table_args__ = (
        CheckConstraint("did_by <> second", name="a_form_has_two_people"),
        CheckConstraint("began_at <= filed_at", name="a_form_begins_before_it_is_filed"),
        {"info": {"append_only": True}},
    )

    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), primary_key=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    form_sha256: str = Field(sa_column=Column(Text, ForeignKey("attachment.sha256"), nullable=False))
    did_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    second: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    began_at: datetime = Field(sa_column=when())
    filed_at: datetime = Field(sa_column=when())
    filed_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class DeviationSubject(SQLModel, table=True):
    """One thing a deviation affects."""

    __tablename__ = "deviation_subject"
    __table_args__ = (
        CheckConstraint(
            "subject_kind IN ('specimen','lot','donor','container','shipment','withdrawal')",
            name="deviation_subject_kind_is_known",
        ),
        Index("ix_deviation_subject_id", "subject_id"),
        {"info": {"append_only": True}},
    )

    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), primary_key=True))
    subject_kind: str = Field(sa_column=Column(Text, primary_key=True))
    subject_id: str = Field(sa_column=Column(Text, primary_key=True))


class Attachment(SQLModel, table=True):
    """A file by its SHA-256. Where it was given, and so under whose key it is kept, its contexts say."""

    __tablename__ = "attachment"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="attachment_is_named_by_its_hash"),
        {"info": {"append_only": True}},
    )

    sha256: str = Field(sa_column=Column(Text, primary_key=True))
    size_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))


class AttachmentContext(SQLModel, table=True):
    """That a file was given about a person (`subject`, or the bank's own), at a site, by somebody.

    Each subject has a copy of its own in `state_dir`/attachments under its own key, which goes with the key.
    """

    __tablename__ = "attachment_context"
    __table_args__ = (
        UniqueConstraint(
            "sha256",
            "subject",
            "site_code",
            "stored_by",
            name="a_file_is_given_once_in_a_context",
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_attachment_context_giver", "stored_by", "stored_at"),
        Index("ix_attachment_context_subject", "subject", "stored_at"),
        {"info": {"append_only": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    sha256: str = Field(sa_column=Column(Text, ForeignKey("attachment.sha256"), nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    media_type: str = Field(sa_column=Column(Text, nullable=False))
    stored_at: datetime = Field(sa_column=when())
    stored_by: str = Field(sa_column=Column(Text, nullable=False))


class DeviationAttachment(SQLModel, table=True):
    """An attachment of a deviation."""

    __tablename__ = "deviation_attachment"
    __table_args__ = {"info": {"append_only": True}}

    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), primary_key=True))
    sha256: str = Field(sa_column=Column(Text, ForeignKey("attachment.sha256"), primary_key=True))


class DonorReserve(SQLModel, table=True):
    """What is to stay of a donor's material, as quality set it last: units, an amount in `unit`, both, or (no longer) nothing."""

    __tablename__ = "donor_reserve"
    __table_args__ = (
        CheckConstraint("units > 0 AND amount > 0", name="a_reserve_is_something"),
        CheckConstraint("(amount IS NULL) = (unit IS NULL)", name="an_amount_kept_has_a_unit"),
    )

    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), primary_key=True))
    material: str = Field(sa_column=Column(Text, primary_key=True))
    units: int | None = Field(default=None, sa_column=Column(Integer))
    amount: int | None = Field(default=None, sa_column=Column(BigInteger))
    unit: str | None = Field(default=None, sa_column=Column(Text))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class BankClosing(SQLModel, table=True):
    """A bank that closes: which one takes everything over, and how far that is (`quality/closing_queries.py: step_of`)."""

    __tablename__ = "bank_closing"
    __table_args__ = (
        CheckConstraint("not_before >= announced_at", name="an_announced_closing_waits"),
        CheckConstraint("(accepted_at IS NULL) = (acceptance_sha256 IS NULL)", name="an_acceptance_has_its_paper"),
        CheckConstraint(
            "receipt_sha256 IS NULL OR (over_at IS NOT NULL AND accepted_at IS NOT NULL)", name="a_handover_was_accepted"
        ),
        Index("one_closing_is_open_per_site", "site_code", unique=True, postgresql_where=text("over_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    to_code: str = Field(sa_column=Column(Text, nullable=False))
    units: int = Field(sa_column=Column(Integer, nullable=False))
    units_sha256: str = Field(sa_column=Column(Text, nullable=False))
    announced_at: datetime = Field(sa_column=when())
    announced_by: str = Field(sa_column=Column(Text, nullable=False))
    announced_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    not_before: datetime = Field(sa_column=when())
    acceptance_sha256: str | None = Field(default=None, sa_column=Column(Text))
    accepted_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    accepted_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    receipt_sha256: str | None = Field(default=None, sa_column=Column(Text))
    over_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    over_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class BankClosingUnit(SQLModel, table=True):
    """A specimen that a closing named when it was announced."""

    __tablename__ = "bank_closing_unit"
    __table_args__ = {"info": {"append_only": True}}

    closing_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("bank_closing.id"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))


class EndingNotice(SQLModel, table=True):
    """The latest announcement that a specimen is to be destroyed or used up, until it is or the announcement is taken back."""

    __tablename__ = "ending_notice"
    __table_args__ = (CheckConstraint("not_before > announced_at", name="an_announced_end_waits"),)

    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    announced_by: str = Field(sa_column=Column(Text, nullable=False))
    announced_at: datetime = Field(sa_column=when())
    not_before: datetime = Field(sa_column=when())
    withdrawn_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class UseUpAllowance(SQLModel, table=True):
    """Two people allowed that a specimen is used up, until an instant."""

    __tablename__ = "use_up_allowed"

    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    use: str = Field(sa_column=Column(Text, nullable=False))
    until: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class EndingRule(SQLModel, table=True):
    """How long an announced end waits at a site, days, and how much of a unit is a usable rest, percent."""

    __tablename__ = "ending_rule"
    __table_args__ = (
        CheckConstraint("cooling_off_days > 0 AND usable_rest_percent BETWEEN 1 AND 100", name="a_rule_of_ending_is_one"),
    )

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    cooling_off_days: int = Field(sa_column=Column(Integer, nullable=False))
    usable_rest_percent: int = Field(sa_column=Column(Integer, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class Recall(SQLModel, table=True):
    """A frozen set of specimens and the criteria that made it."""

    __tablename__ = "recall"
    __table_args__ = {"info": {"append_only": True}}

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), nullable=False, index=True))
    criteria: dict[str, object] = Field(sa_column=Column(JSONB, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    specimens: int = Field(sa_column=Column(Integer, nullable=False))
    started_at: datetime = Field(sa_column=when())
    started_by: str = Field(sa_column=Column(Text, nullable=False))
    started_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class RecallItem(SQLModel, table=True):
    """One specimen of a recall and the hold that freezes it. `withdrawal_code`: its recipient was given it under that one."""

    __tablename__ = "recall_item"
    __table_args__ = {"info": {"append_only": True}}

    recall_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("recall.id"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    hold_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("hold.id"), nullable=False))
    withdrawal_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("withdrawal.code")))


class DeviationUnit(SQLModel, table=True):
    """A unit of which a deviation asks what becomes of it: named when it was opened, covered by a hold that was lifted since,
    or decided about. What a hold covers now, and what is of a lot named, is asked as it is now."""

    __tablename__ = "deviation_unit"
    __table_args__ = {"info": {"append_only": True}}

    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))


class UnitDisposition(SQLModel, table=True):
    """What was last decided of a unit of a deviation, a recall's too; every word on it is in the log."""

    __tablename__ = "unit_disposition"
    __table_args__ = (
        ForeignKeyConstraint(
            ["deviation_code", "specimen_code"],
            ["deviation_unit.deviation_code", "deviation_unit.specimen_code"],
            name="a_disposition_is_of_a_unit_reached",
        ),
        CheckConstraint("disposition IN ('cleared','kept_held','rejected','followed_up')", name="disposition_is_known"),
        {"info": {"never_deleted": True}},
    )

    deviation_code: str = Field(sa_column=Column(Text, primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, primary_key=True))
    disposition: str = Field(sa_column=Column(Text, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class RecallClosing(SQLModel, table=True):
    """Two of quality closed a recall: the first proposed it, the second signed it."""

    __tablename__ = "recall_closing"
    __table_args__ = (
        CheckConstraint("first_by <> closed_by", name="two_close_a_recall"),
        {"info": {"append_only": True}},
    )

    recall_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("recall.id"), primary_key=True))
    first_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    closed_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    closed_at: datetime = Field(sa_column=when())
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class AdverseEvent(SQLModel, table=True):
    """An adverse reaction or event with a withdrawal, by the code of its deviation; its words are in the vault."""

    __tablename__ = "adverse_event"
    __table_args__ = (
        CheckConstraint("kind IN ('reaction','event')", name="adverse_kind_is_known"),
        CheckConstraint("seriousness IN ('serious','not_serious','not_assessed')", name="seriousness_is_known"),
        CheckConstraint(
            "causality IN ('unrelated','unlikely','possible','probable','certain','not_assessed')", name="causality_is_known"
        ),
        CheckConstraint(
            "(reported_at IS NULL) = (reported_to IS NULL) AND (reported_at IS NULL) = (reference IS NULL)",
            name="a_report_went_to_somebody",
        ),
        Index("ix_adverse_event_known", "known_at", "deviation_code"),
        {"info": {"never_deleted": True}},
    )

    deviation_code: str = Field(sa_column=Column(Text, ForeignKey("deviation.code"), primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    withdrawal_code: str = Field(sa_column=Column(Text, ForeignKey("withdrawal.code"), nullable=False, index=True))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    seriousness: str = Field(sa_column=Column(Text, nullable=False))
    causality: str = Field(sa_column=Column(Text, nullable=False))
    in_lot: bool | None = Field(default=None, sa_column=Column(Boolean))
    seen_at: datetime = Field(sa_column=when())
    known_at: datetime = Field(sa_column=when())
    words_commit: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    reported_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    reported_to: str | None = Field(default=None, sa_column=Column(Text))
    reference: str | None = Field(default=None, sa_column=Column(Text))


class ReportingRule(SQLModel, table=True):
    """How many days a site has to report an adverse event of a seriousness, to whom; as the site set it."""

    __tablename__ = "reporting_rule"
    __table_args__ = (
        CheckConstraint("seriousness IN ('serious','not_serious') AND days > 0", name="a_rule_of_reporting_is_one"),
    )

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    seriousness: str = Field(sa_column=Column(Text, primary_key=True))
    days: int = Field(sa_column=Column(Integer, nullable=False))
    authority: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


class Notice(SQLModel, table=True):
    """Somebody was told by name, about what, and when they acknowledged it. `rank`: 1 treats, 2 received, 3 holds.

    `about_kind`: what it belongs to. What a deviation tells stands until its reader acknowledges it; what a withdrawal tells ends
    also by itself (`ended_at`), by the event that made it no news any more.
    """

    __tablename__ = "notice"
    __table_args__ = (
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_event IS NULL)", name="an_acknowledgement_has_its_event"),
        CheckConstraint("rank BETWEEN 1 AND 3 AND units > 0", name="a_notice_concerns_its_reader"),
        CheckConstraint(
            "about_kind IN ('deviation', 'withdrawal') AND (about_kind = 'deviation') = (deviation_code IS NOT NULL)",
            name="a_notice_belongs_to_a_deviation_or_a_withdrawal",
        ),
        CheckConstraint(
            "(ended_at IS NULL) = (ended_event IS NULL) AND (ended_at IS NULL OR about_kind = 'withdrawal')",
            name="only_what_a_withdrawal_tells_ends_by_itself",
        ),
        Index("ix_notice_user", "user_code", "made_at"),
        Index("ix_notice_made", "made_at", "id"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    about: str = Field(sa_column=Column(Text, nullable=False, index=True))
    about_kind: str = Field(sa_column=Column(Text, nullable=False))
    deviation_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("deviation.code"), index=True))
    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    rank: int = Field(sa_column=Column(Integer, nullable=False))
    units: int = Field(sa_column=Column(Integer, nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    made_at: datetime = Field(sa_column=when())
    made_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    acknowledged_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    acknowledged_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    ended_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


# Tables by the names under which everybody imports them.
deviation = table_of(Deviation)
deviation_subject = table_of(DeviationSubject)
reserve = table_of(DonorReserve)
bank_closing = table_of(BankClosing)
bank_closing_unit = table_of(BankClosingUnit)
ending_notice = table_of(EndingNotice)
use_up_allowed = table_of(UseUpAllowance)
ending_rule = table_of(EndingRule)
paper_form = table_of(PaperForm)
notice = table_of(Notice)
adverse_event = table_of(AdverseEvent)
reporting_rule = table_of(ReportingRule)
recall = table_of(Recall)
recall_item = table_of(RecallItem)
deviation_unit = table_of(DeviationUnit)
unit_disposition = table_of(UnitDisposition)
recall_closing = table_of(RecallClosing)
