"""Events of quality: decisions about specimens and their disposal. What went wrong: `incident_events.py`.

Lifting a hold is an event of custody (`custody/events.py`); only the use case that signs it lives here.
"""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.body_shape import COMMITS
from biobank.custody.effects import Effect, body, plus, set_to
from biobank.custody.event import Event
from biobank.custody.events import CODE, HASH, NO_OFFER, NOT_KNOWN, REASON
from biobank.custody.states import LIVE, HoldAct, Quality, State, StreamKind
from biobank.foundation.kept_files import FileHash

SIGNATURE = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")
SIGNATURES = Field(default=(), max_length=2, description="Of the two people, in the order of signing.")
COUNT = Field(ge=0, le=10**9)
WHEN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"

DiscardReason = Literal[
    "rejected",
    "expired",
    "donor_request",
    "consent_revoked",
    "end_of_term",
    "donor_deceased",
    "failed_test",
    "damaged",
    "surplus",
    "left_over",
    "thawed_unused",
]
Use = Literal["quality_control", "further_processing"]
"""What a unit kept for treatment may be used up for otherwise than by its donor."""
TransferReason = Literal["donor_request", "donor_moved", "bank_closes"]
DiscardMethod = Literal["incineration", "autoclave", "chemical", "clinical_waste"]


class IsolationDecided(Event):
    """Everything of a donor is kept apart for infection from now on, or no longer. Nothing here says what was found."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.isolation_decided"] = "donor.isolation_decided"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    kept_apart: bool
    reason: str = REASON


class ReserveSet(Event):
    """Quality set how much of a donor's material stays: units, an amount, both, or nothing any more. Two sign what lowers it."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.reserve_set"] = "donor.reserve_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    units: int | None = Field(default=None, ge=1, le=10_000)
    amount: int | None = Field(default=None, ge=1, le=10**15)
    unit: str | None = Field(default=None, pattern=r"^[a-z_]{1,20}$")
    signatures: tuple[str, ...] = SIGNATURES


class MarkerEntered(Event):
    """A result of a marker of infection was entered from its report. What it says is in the vault; its commitment stands here."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.marker_entered"] = "donor.marker_entered"
    permission: ClassVar[Permission] = Permission.HARVEST_RECORD

    marker: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The result's id.")
    told: str = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to the result.", json_schema_extra=COMMITS)
    report_sha256: FileHash


class MarkerDecided(Event):
    """Another person compared a result with its report: it is what the report says, or it was entered wrongly."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.marker_decided"] = "donor.marker_decided"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    marker: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The result's id.")
    entered: str = HASH
    confirmed: bool
    reason: str | None = Field(default=None, pattern=r"^[a-z0-9_]{2,40}$")
    signature: str = SIGNATURE


class Decision(StrEnum):
    """What quality can decide. `quarantined` is where everything begins and where only a return leads back to."""

    RELEASED_TO_BANK = "released_to_bank"
    RELEASED_CONDITIONALLY = "released_conditionally"
    REJECTED = "rejected"


class RegulatoryBasis(StrEnum):
    """Under which law the product may be used; what each can carry: `quality/legal_bases.py`.

    `undetermined` may be stored and is never released.
    """

    US_361 = "us_361"
    US_351_IND = "us_351_ind"
    US_351_BLA = "us_351_bla"
    US_SAME_SURGICAL_PROCEDURE = "us_same_surgical_procedure"
    US_STATE_EXCEPTION = "us_state_exception"
    EU_TISSUE_CELL = "eu_tissue_cell"
    EU_SOHO = "eu_soho"
    EU_ATMP_TRIAL = "eu_atmp_trial"
    EU_ATMP_HOSPITAL_EXEMPTION = "eu_atmp_hospital_exemption"
    US_BLOOD_PREPARATION = "us_blood_preparation"
    NAMED_PATIENT = "named_patient"
    RESEARCH_ONLY = "research_only"
    UNDETERMINED = "undetermined"


class QualityDecided(Event):
    """Quality decided about a specimen, signed. Allowed after its end too: late results change the verdict, not the past."""

    kind: Literal["specimen.quality_decided"] = "specimen.quality_decided"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    of_the_keeper: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/decision"
    annotates: ClassVar[bool] = True
    effect: ClassVar[Effect] = {"quality": body("decision")}
    label: ClassVar[str] = "Decide on quality"

    decision: Decision
    reason: str = REASON
    basis: RegulatoryBasis = Field(description="The regulatory basis it was decided under.")
    lot: str | None = Field(default=None, pattern=r"^LT-[0-9A-Z]{7}$", description="Set when the whole lot was decided.")
    pending_tests: tuple[str, ...] = Field(default=(), max_length=20, description="Tests without a result at the time.")
    notification_plan: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Commitment to the plan of whom to tell when a late result is bad.",
        json_schema_extra=COMMITS,
    )
    physician: str | None = Field(
        default=None, pattern=r"^US-[0-9A-Z]{7}$", description="Who treats, and accepted a conditional release."
    )
    physician_accepted_at: str | None = Field(default=None, pattern=WHEN)
    physician_acceptance: FileHash | None = Field(default=None, description="SHA-256 of what they signed.")
    patient_accepted_at: str | None = Field(default=None, pattern=WHEN)
    patient_acceptance: FileHash | None = Field(default=None, description="SHA-256 of what the patient signed.")
    signature: str = SIGNATURE


class RejectedByTest(Event):
    """A test of its lot failed, and with the result the unit was rejected. Allowed after its end too."""

    kind: Literal["specimen.rejected_by_test"] = "specimen.rejected_by_test"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    annotates: ClassVar[bool] = True
    effect: ClassVar[Effect] = {"quality": set_to(Quality.REJECTED.value)}

    lot: str = Field(pattern=r"^LT-[0-9A-Z]{7}$")
    test: str = REASON
    deviation: str = Field(pattern=r"^DV-[0-9A-Z]{7}$")


class Reopened(Event):
    """Two of quality reopened its rejection over a closed investigation: it is in quarantine again, and is decided about anew."""

    kind: Literal["specimen.reopened"] = "specimen.reopened"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    call: ClassVar[str] = "/specimens/{code}/reopen"
    label: ClassVar[str] = "Reopen a rejection"
    annotates: ClassVar[bool] = True
    effect: ClassVar[Effect] = {"quality": set_to(Quality.QUARANTINED.value)}

    deviation: str = Field(pattern=r"^DV-[0-9A-Z]{7}$")
    reason: str = REASON
    signatures: tuple[str, ...] = SIGNATURES


class BasisDecided(Event):
    """Quality determined under which law the specimen may be used, signed."""

    kind: Literal["specimen.basis_decided"] = "specimen.basis_decided"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    of_the_keeper: ClassVar[bool] = True
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/basis"
    label: ClassVar[str] = "Determine regulatory basis"

    basis: RegulatoryBasis
    before: RegulatoryBasis
    authorisation: str | None = Field(default=None, pattern=r"^[A-Za-z0-9 ./:()-]{2,60}$", description="Number or statute.")
    reason: str = REASON
    signature: str = SIGNATURE


class Identified(Event):
    """Two people of quality established which specimen an unidentified item is. Its record ends; the specimen's goes on."""

    kind: Literal["specimen.identified"] = "specimen.identified"
    permission: ClassVar[Permission] = Permission.SPECIMEN_RESOLVE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/resolve"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    to_state: ClassVar[State] = State.CONSUMED
    effect: ClassVar[Effect] = NO_OFFER | {
        "custodian_kind": set_to("nobody"),
        "custodian_id": set_to(None),
        "shipment_code": set_to(None),
        "amount": set_to(0),
    }
    label: ClassVar[str] = "Say what it is"

    same_as: str = Field(pattern=r"^(HF|AD)[0-9]{2}-[0-9A-Z]{7}$", description="The specimen that it is.")
    evidence_sha256: FileHash
    signatures: tuple[str, str] = Field(description="Of the two people, in the order in which they signed.")


class Recognised(Event):
    """It is what was found as an unidentified item, whose time out of the cold is its own and whose holds cover it."""

    kind: Literal["specimen.recognised"] = "specimen.recognised"
    call: ClassVar[str] = "/specimens/{item}/resolve"
    from_states: ClassVar[frozenset[State]] = frozenset({State.RECEIVED, State.STORED})
    effect: ClassVar[Effect] = NOT_KNOWN | {"exposure_s": plus("seconds")}
    label: ClassVar[str] = "Say what it is"

    item: str = Field(pattern=r"^UN[0-9]{2}-[0-9A-Z]{7}$", description="The unidentified item.")
    seconds: int = Field(ge=0, le=2**31 - 1, description="How long the item was out of the cold, as the bank computed it.")


class Discarded(Event):
    """The specimen was destroyed. What nobody can find is `lost`, not discarded.

    Who destroys it is the rule of ending: its holders, or the bank's people where it was kept for treatment.
    """

    kind: Literal["specimen.discarded"] = "specimen.discarded"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/discard"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    to_state: ClassVar[State] = State.DISCARDED
    act: ClassVar[HoldAct] = HoldAct.DESTROY
    effect: ClassVar[Effect] = NO_OFFER | {
        "custodian_kind": set_to("nobody"),
        "custodian_id": set_to(None),
        "shipment_code": set_to(None),
        "reserved_for": set_to(None),
        "amount": set_to(0),
    }
    label: ClassVar[str] = "Discard"

    reason: DiscardReason
    method: DiscardMethod
    evidence: FileHash | None = Field(default=None, description="SHA-256 of the donor's written request.")
    signatures: tuple[str, ...] = SIGNATURES


class TransferredOut(Event):
    """Another establishment took the specimen over for good; its records go with it."""

    kind: Literal["specimen.transferred_out"] = "specimen.transferred_out"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/transfer-out"
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_TRANSIT})
    to_state: ClassVar[State] = State.TRANSFERRED_OUT
    act: ClassVar[HoldAct] = HoldAct.ISSUE
    toward_use: ClassVar[bool] = True
    effect: ClassVar[Effect] = NO_OFFER | {
        "custodian_kind": set_to("nobody"),
        "custodian_id": set_to(None),
        "shipment_code": set_to(None),
    }
    label: ClassVar[str] = "Transfer out"

    to: str = CODE
    reason: str = REASON
    donors_request: FileHash | None = Field(default=None, description="SHA-256 of the donor's written request.")
    evidence: FileHash = Field(description="SHA-256 of the receiving establishment's receipt.")
    signatures: tuple[str, ...] = SIGNATURES


class EndAnnounced(Event):
    """Quality announced that the specimen is to be destroyed or used up, and from when on. Whom it concerns can speak up."""

    kind: Literal["specimen.end_announced"] = "specimen.end_announced"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/end"
    label: ClassVar[str] = "Announce its end"

    reason: DiscardReason | Use
    not_before: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    signature: str = SIGNATURE


class EndWithdrawn(Event):
    """Quality took the announcement back: the specimen stays."""

    kind: Literal["specimen.end_withdrawn"] = "specimen.end_withdrawn"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/end/withdraw"
    label: ClassVar[str] = "Take back that it ends"

    reason: str = REASON


class UseUpAllowed(Event):
    """Two people allowed that the specimen is used up: thawed, sampled or worked up with nothing of it left for its donor."""

    kind: Literal["specimen.use_up_allowed"] = "specimen.use_up_allowed"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/use-up"
    label: ClassVar[str] = "Allow to use it up"

    use: Use
    until: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    remains: int = Field(ge=0, le=10**6, description="Usable units of the material that stay for its donor.")
    signatures: tuple[str, str] = Field(description="Of the two people, in the order of signing.")


class EndingRuleSet(Event):
    """Quality set a site's rule of ending: how long an announced end waits, what is a usable rest. Two sign what loosens it."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.ending_rule_set"] = "system.ending_rule_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = CODE
    cooling_off_days: int = Field(ge=1, le=365)
    usable_rest_percent: int = Field(ge=1, le=100)
    signatures: tuple[str, ...] = SIGNATURES
