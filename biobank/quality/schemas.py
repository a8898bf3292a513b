"""Wire shapes of quality."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import Circumstances, FreeText, Instant
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.paging import Listed
from biobank.quality.events import Decision, DiscardMethod, DiscardReason, RegulatoryBasis, TransferReason, Use

Code = Annotated[str, Field(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
Reason = Annotated[str, CODED, FromList("quality")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Token = Annotated[str | None, Field(max_length=200, description="From POST /signatures, for this very request.")]


class Recorded(BaseModel):
    """What every act of quality answers with."""

    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) naming every event.")


class DecisionRequest(Circumstances):
    """Quality's decision about a specimen or a whole lot."""

    decision: Decision
    reason: Reason
    notification_plan: FreeText | None = Field(
        default=None, description="Whom to tell, and how, if a late result is bad. Needed to release conditionally."
    )
    physician: Annotated[str, Field(pattern=r"^US-[0-9A-Z]{7}$")] | None = Field(
        default=None, description="Badge of the physician who will treat and accepted it. Needed to release conditionally."
    )
    physician_accepted_at: Instant | None = Field(default=None, description="When the physician signed.")
    physician_acceptance: FileHash | None = Field(default=None, description="SHA-256 of what they signed; see POST /attachments.")
    patient_accepted_at: Instant | None = Field(default=None, description="When the patient signed.")
    patient_acceptance: FileHash | None = Field(
        default=None,
        description="SHA-256 of what the patient signed, kept with the donor's code.",
    )
    signature: Token = None


class DecisionOfSeveral(DecisionRequest):
    """The same for several specimens at once."""

    specimens: list[Code] = Field(min_length=1, max_length=500)


class NotificationPlanPublic(BaseModel):
    """Whom to tell, and how, when a late result of a specimen is bad."""

    specimen: str
    notification_plan: str


class BasisRequest(Circumstances):
    """Under which law the product may be used."""

    basis: RegulatoryBasis
    authorisation: str | None = Field(default=None, pattern=r"^[A-Za-z0-9 ./:()-]{2,60}$", description="Number or statute.")
    reason: Reason
    signature: Token = None


class BasisOfSeveral(BasisRequest):
    """The same for several specimens at once."""

    specimens: list[Code] = Field(min_length=1, max_length=500)


Evidence = Annotated[FileHash | None, Field(description="SHA-256 of the donor's written request; POST /attachments first.")]


class EndingRequest(Circumstances):
    """What every act that ends material carries; the second person sends the same with `pending_act`."""

    expected_seq: int | None = Field(default=None, ge=0, le=2**31 - 1)
    signature: Token = None
    pending_act: UUID | None = None


class DiscardRequest(EndingRequest):
    """A specimen is destroyed."""

    reason: DiscardReason
    method: DiscardMethod
    evidence: Evidence = None


class AnnounceRequest(Circumstances):
    """What is kept frozen for treatment is to be destroyed, or used up for what, and why."""

    reason: DiscardReason | Use
    evidence: Evidence = None
    expected_seq: int | None = Field(default=None, ge=0, le=2**31 - 1)
    signature: Token = None


class WithdrawEndRequest(Circumstances):
    """It is not to be destroyed or used up."""

    reason: Reason
    expected_seq: int | None = Field(default=None, ge=0, le=2**31 - 1)


class UseUpRequest(EndingRequest):
    """What a specimen may be used up for. For a day it may be thawed, sampled or worked up with nothing of it left."""

    use: Use


class EndingRuleRequest(Circumstances):
    """A site's rule of ending."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    cooling_off_days: int = Field(ge=1, le=365, description="How long an announced end waits.")
    usable_rest_percent: int = Field(ge=1, le=100, description="How much of a unit is still a usable rest.")
    signature: Token = None
    pending_act: UUID | None = None


class EndingRulePublic(BaseModel):
    """What stands at a site, and our signature."""

    status: Literal["done"] = "done"
    site: str
    cooling_off_days: int
    usable_rest_percent: int
    receipt: str


class TransferRequest(EndingRequest):
    """Another establishment has taken the specimen over."""

    to: str = Field(min_length=2, max_length=40, pattern=r"^[A-Z0-9_-]+$", description="The other establishment's code.")
    reason: TransferReason
    donors_request: Evidence = Field(default=None, description="SHA-256 of the donor's written request, when the donor asked.")
    evidence: FileHash = Field(description="SHA-256 of its receipt; keep the file with POST /attachments.")


class ResolveRequest(Circumstances):
    """Which specimen an unidentified item is. The second person sends the same with `pending_act`."""

    same_as: Annotated[str, Field(pattern=r"^(HF|AD)[0-9]{2}-[0-9A-Z]{7}$", description="A specimen that is missing or lost.")]
    evidence_sha256: FileHash = Field(description="SHA-256 of what shows it; keep the file with POST /attachments.")
    expected_seq: int | None = Field(default=None, ge=0, le=2**31 - 1)
    signature: Token = None
    pending_act: UUID | None = None


class LostRequest(EndingRequest):
    """Quality gives up the search for a missing specimen."""

    reason: Reason


class DecidedSpecimen(BaseModel):
    """Where a specimen stands after an act of quality."""

    specimen: str
    state: str
    quality: str
    seq: int


class DecisionAnswer(Recorded):
    """Every specimen an act of quality touched."""

    items: list[DecidedSpecimen]


class Ended(DecisionAnswer):
    """It took two people, and both have signed."""

    status: Literal["done"] = "done"


class AnnouncedEnd(DecisionAnswer):
    """From when on it may be destroyed, and what remains for the donor then."""

    not_before: datetime
    remains: str


class Resolved(DecisionAnswer):
    """Both records after it: the item's, which ended, and the specimen's, which goes on under an identity hold."""

    status: Literal["done"] = "done"
    where_now: str


class ReachedSpecimen(BaseModel):
    """A specimen a cause can have reached, where it is now, and under which withdrawal its donor got it, if so."""

    specimen: str
    donor: str | None
    state: str
    quality: str
    site: str | None
    withdrawal: str | None
    came_after: list[str] = Field(
        default=[], description="Given, and entered after this was recorded, which would have stood against it."
    )


class JudgedUnit(ReachedSpecimen):
    """A unit of a deviation or a recall as it is now, and what was last decided of it. `held`: a hold still stops it; of a
    recall's unit only the recall's own counts."""

    held: bool
    disposition: str | None = Field(description="cleared, kept_held, rejected or followed_up; null while nobody decided.")


class DeviationSubjectPublic(BaseModel):
    """One thing a deviation affects."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["specimen", "lot", "donor", "container", "shipment", "withdrawal"]
    id: Code


class DeviationRequest(Circumstances):
    """Something did not go as it should."""

    severity: Literal["minor", "major", "critical"]
    topic: Annotated[str, CODED, FromList("deviation")]
    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    description: FreeText
    affected: list[DeviationSubjectPublic] = Field(default_factory=list, max_length=500)
    attachments: list[FileHash] = Field(default_factory=list, max_length=20)


class CloseRequest(Circumstances):
    """Its cause is known and something was decided."""

    cause: Annotated[str, CODED, FromList("cause")]
    decision: Annotated[str, CODED, FromList("decision")]
    corrective_action: FreeText
    attachments: list[FileHash] = Field(default_factory=list, max_length=20)
    signature: Token = None


class DeviationPublic(BaseModel):
    """A deviation without its words."""

    code: str
    severity: str
    topic: str
    site: str
    opened_at: datetime
    opened_by: str
    cause: str | None
    decision: str | None
    closed_at: datetime | None
    closed_by: str | None


class DeviationAnswer(DeviationPublic, Recorded):
    """A deviation that was just opened or closed."""


class DeviationDetail(DeviationPublic):
    """A deviation with what it affects and, while they are not erased, its words.

    `units`: those of the specimens, lots and withdrawals it names, and those that holds on what it names cover or covered, as
    far as you may know of them; `undecided`: of how many of all of them nobody decided yet what becomes of them.
    """

    affected: list[DeviationSubjectPublic]
    units: list[JudgedUnit]
    undecided: int
    attachments: list[str]
    description: str | None
    corrective_action: str | None


class DeviationList(Listed[DeviationPublic]):
    """Deviations, newest first."""


MEDIA_TYPES = ("application/pdf", "image/png", "image/jpeg", "text/csv", "text/plain")
ATTACHMENT_MIB = 10
ATTACHMENT_BYTES = ATTACHMENT_MIB * 1024 * 1024


class AttachmentRequest(BaseModel):
    """A file. It travels as base64 inside the JSON, so that the request's hash, and a signature, cover it."""

    model_config = ConfigDict(extra="forbid")

    media_type: Literal["application/pdf", "image/png", "image/jpeg", "text/csv", "text/plain"]
    content: str = Field(min_length=4, max_length=-(-ATTACHMENT_BYTES // 3) * 4, pattern=r"^[A-Za-z0-9+/]+={0,2}$")
    donor: Code | None = Field(default=None, description="Whose key encrypts it; default the bank's own.")
    site: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{1,7}$")


class AttachmentPublic(BaseModel):
    """A stored file."""

    sha256: str
    size_bytes: int
    media_type: str
    stored_at: datetime
    stored_by: str


STARTS = ("donor", "lot", "specimen", "container", "operator", "shipment", "entry")


class Criteria(BaseModel):
    """Where a look-back starts: exactly one of the named starting points; a place and a person need a time."""

    model_config = ConfigDict(extra="forbid")

    donor: Code | None = None
    lot: Code | None = None
    specimen: Code | None = None
    container: Code | None = None
    operator: Code | None = None
    shipment: Code | None = None
    entry: Annotated[str, Field(pattern=r"^((RG|EQ)-[0-9A-Z]{7}|[0-9a-f-]{36})$")] | None = Field(
        default=None, description="An entry of the registers: a reagent lot, a device, a procedure …"
    )
    since: Instant | None = Field(default=None, description="Start of the time in question: of a place, a person or an entry.")
    until: Instant | None = None
    derivatives: bool = Field(default=True, description="Include everything derived from what is found.")

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        starts = [n for n in STARTS if getattr(self, n) is not None]
        if len(starts) != 1:
            raise ValueError(f"name exactly one of {', '.join(STARTS)}")
        timed = starts[0] in ("container", "operator")
        if timed and (self.since is None or self.until is None or self.until <= self.since):
            raise ValueError("for a container or an operator say since when, and until when, which is later")
        if starts[0] == "entry" and self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("until when is later than since when")
        if not timed and starts[0] != "entry" and (self.since is not None or self.until is not None):
            raise ValueError("a time since and until goes with a container, an operator or an entry only")
        return self


class LookBackAnswer(Recorded):
    """The set, at this instant; `id` names the event that recorded it."""

    id: UUID
    items: list[ReachedSpecimen]
    specimens: int
    recipients: int
    keep_their_own_cold: list[str] = Field(
        default_factory=list, description="Containers inside the place that it did not reach: look at their own readings."
    )


class RecallRequest(Circumstances):
    """Freeze the set."""

    criteria: Criteria
    reason: Reason
    severity: Literal["major", "critical"] = "critical"
    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    description: FreeText


class RecallAnswer(Recorded):
    """A recall that started."""

    id: UUID
    deviation: str
    items: list[ReachedSpecimen]
    specimens: int
    recipients: int
    releases_killed: int


class NoticePublic(BaseModel):
    """A notice. `about`: what failed, is recalled, or moved on; `units`: how many of it concern its reader.

    `deviation`: to which it belongs, null for a withdrawal's; `ended_at`: when it was no news any more.
    """

    id: UUID
    reason: str
    about: str
    about_kind: Literal["deviation", "withdrawal"]
    deviation: str | None
    told: str
    treats: bool
    units: int
    site: str
    made_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it still waits for its reader."""
        return self.acknowledged_at is None and self.ended_at is None


class NoticeList(Listed[NoticePublic]):
    """Notices, the newest first."""


class RecallPublic(BaseModel):
    """A recall: what it started from, how many units it froze, and when two of quality closed it."""

    id: UUID
    deviation: str
    criteria: dict[str, Any]
    reason: str
    specimens: int
    started_at: datetime
    started_by: str
    closed_at: datetime | None
    closed_by: str | None


class RecallList(Listed[RecallPublic]):
    """Recalls, the newest first."""


class RecallDetail(RecallPublic):
    """A recall with its frozen set, what its cause reached since and no recall froze from then on, and who was told."""

    items: list[JudgedUnit]
    reached_since: list[str]
    notices: list[NoticePublic]
