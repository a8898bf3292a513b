"""Events of what went wrong: deviations, forms on paper, notices, look-backs, recalls, adverse reactions and events."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.body_shape import COMMITS
from biobank.custody.event import Event
from biobank.custody.events import CODE, HASH, REASON
from biobank.custody.states import StreamKind
from biobank.foundation.kept_files import FileHash
from biobank.quality.events import COUNT, SIGNATURE, SIGNATURES


class Affected(Event):
    """What a deviation or recall concerns: counts and a hash, because a set can be larger than an entry."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM

    subjects: int = COUNT
    subjects_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the sorted codes, one a line.")


class DeviationOpened(Affected):
    """Something did not go as it should."""

    kind: Literal["system.deviation_opened"] = "system.deviation_opened"
    permission: ClassVar[Permission] = Permission.DEVIATION_OPEN

    severity: Literal["minor", "major", "critical"]
    topic: str = REASON
    site: str = CODE
    description: str = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to the words.", json_schema_extra=COMMITS)
    attachments: tuple[str, ...] = Field(default=(), max_length=20)


class PaperFormFiled(Event):
    """What was done on paper is entered: the form, and the two people who stand for it."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.paper_form_filed"] = "system.paper_form_filed"
    permission: ClassVar[Permission] = Permission.DEVIATION_OPEN

    deviation: str = CODE
    form_sha256: FileHash = Field(description="SHA-256 of the file as it is kept.")
    did_by: str = Field(pattern=r"^US-[0-9A-Z]{7}$")
    second: str = Field(pattern=r"^US-[0-9A-Z]{7}$")
    form_from: str = Field(max_length=32, description="When the form begins; nothing on it happened before.")
    reason: str = REASON


class DeviationClosed(Event):
    """Quality closed it, signed, with its cause and what was decided."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.deviation_closed"] = "system.deviation_closed"
    permission: ClassVar[Permission] = Permission.DEVIATION_DECIDE

    opened: str = HASH
    cause: str = REASON
    decision: str = REASON
    corrective_action: str = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to the words.", json_schema_extra=COMMITS)
    attachments: tuple[str, ...] = Field(default=(), max_length=20)
    signature: str = SIGNATURE


class NoticesGiven(Affected):
    """Those whom something concerns were told by name, the treating first. The subjects are the units it is about."""

    kind: Literal["system.notices_given"] = "system.notices_given"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    reason: str = REASON
    about: str = CODE
    told: tuple[str, ...] = Field(min_length=1, max_length=1000)


class NoticeAcknowledged(Event):
    """Somebody said that they know what they were told."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.notice_acknowledged"] = "system.notice_acknowledged"

    notice: str = Field(pattern=r"^[0-9a-f-]{36}$")
    about: str = CODE


class LookBackMade(Affected):
    """Someone asked which specimens and recipients a cause can have reached, and this is the set they were shown."""

    kind: Literal["system.look_back_made"] = "system.look_back_made"
    permission: ClassVar[Permission] = Permission.LOG_READ

    criteria: dict[str, str | bool | None]
    recipients: int = COUNT


class RecallStarted(Affected):
    """The set was frozen; every specimen of it got a recall hold in the same transaction."""

    kind: Literal["system.recall_started"] = "system.recall_started"
    permission: ClassVar[Permission] = Permission.RECALL_START

    recall: str = Field(pattern=r"^[0-9a-f-]{36}$")
    criteria: dict[str, str | bool | None]
    reason: str = REASON
    recipients: int = COUNT
    releases_killed: int = COUNT


class UnitsDisposed(Affected):
    """Quality said what becomes of units of a deviation, a recall's too. Signed; the last word on a unit counts."""

    kind: Literal["system.units_disposed"] = "system.units_disposed"
    permission: ClassVar[Permission] = Permission.DEVIATION_DECIDE

    disposition: Literal["cleared", "kept_held", "rejected", "followed_up"]
    reason: str = REASON
    evidence: FileHash | None = Field(default=None, description="SHA-256 of another bank's acknowledgement.")
    signature: str = SIGNATURE


class RecallClosed(Affected):
    """Two of quality closed a recall of which every unit was decided; its holds ended. The set is "CODE what", one a line."""

    kind: Literal["system.recall_closed"] = "system.recall_closed"
    permission: ClassVar[Permission] = Permission.RECALL_START

    recall: str = Field(pattern=r"^[0-9a-f-]{36}$")
    reason: str = REASON
    cleared: int = COUNT
    rejected: int = COUNT
    followed_up: int = COUNT
    gone: int = COUNT
    notices_unread: int = COUNT
    signatures: tuple[str, ...] = SIGNATURES


class AdverseRecorded(Event):
    """The clinic saw an adverse reaction or event. `in_lot` null: nobody was asked whether the cause may be in the material."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.adverse_recorded"] = "system.adverse_recorded"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    withdrawal: str = CODE
    what: Literal["reaction", "event"]
    seriousness: Literal["serious", "not_serious", "not_assessed"]
    in_lot: bool | None
    seen_at: str = Field(max_length=32)
    words: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", json_schema_extra=COMMITS)


class AdverseAssessed(Event):
    """Quality judged how serious it is and what may have caused it; two sign what lets go. The latest counts."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.adverse_assessed"] = "system.adverse_assessed"
    permission: ClassVar[Permission] = Permission.DEVIATION_DECIDE

    seriousness: Literal["serious", "not_serious"]
    causality: Literal["unrelated", "unlikely", "possible", "probable", "certain"]
    in_lot: bool
    reason: str = REASON
    signatures: tuple[str, ...] = SIGNATURES


class AdverseReported(Event):
    """It was reported to an authority. `days_allowed`: what the site's rule gave then; null without one."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.adverse_reported"] = "system.adverse_reported"
    permission: ClassVar[Permission] = Permission.DEVIATION_DECIDE

    authority: str = Field(max_length=40)
    reference: str = Field(max_length=80)
    reported_at: str = Field(max_length=32)
    days_allowed: int | None = Field(default=None, ge=1, le=365)
    signature: str = SIGNATURE


class ReportingRuleSet(Event):
    """Quality set how many days a site has to report what is this serious, and to whom."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.reporting_rule_set"] = "system.reporting_rule_set"
    permission: ClassVar[Permission] = Permission.DEVIATION_DECIDE

    site: str = CODE
    seriousness: Literal["serious", "not_serious"]
    days: int = Field(ge=1, le=365)
    authority: str = Field(max_length=40)
    signature: str = SIGNATURE
