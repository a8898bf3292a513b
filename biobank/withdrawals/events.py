"""Events of treatment withdrawals: on the withdrawal's own stream what people decided and did, on each specimen what it met.

A withdrawal's state is the fold of its stream: every class says where it leads (`leads_to`; None leaves it, except for the two
steps whose end depends on the other tubes, which say it in their payload).
"""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.body_shape import COMMITS
from biobank.custody.effects import Effect, body, set_to
from biobank.custody.event import Event
from biobank.custody.events import BY_USER, CODE, HASH, NO_OFFER, OUT, REASON
from biobank.custody.states import LIVE, Condition, CustodianKind, HoldAct, State, StreamKind
from biobank.foundation.codes import MOST_PRINTS
from biobank.foundation.kept_files import FileHash
from biobank.withdrawals.workflow import Route, WithdrawalState

AMOUNT = Field(ge=0, le=10**15, description="In the specimen's unit.")
COMMIT = Field(
    default=None, pattern=r"^[0-9a-f]{64}$", description="Commitment to words in the vault.", json_schema_extra=COMMITS
)
ID = Field(pattern=r"^[0-9a-f-]{36}$")
WITHDRAWAL = Field(pattern=r"^WD\d\d-[0-9A-Z]{7}$")
DONOR = Field(pattern=r"^DN-[0-9A-Z]{7}$")
MOST_VOLUME_UL = 1_000_000
"""One litre: a bound against a slip of the hand, no figure of a source."""
WHEN = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


class Reserved(Event):
    """Kept for this withdrawal: no other may take it. Nothing moves."""

    kind: Literal["specimen.reserved"] = "specimen.reserved"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_APPROVE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/withdrawals/{withdrawal}/approve"
    label: ClassVar[str] = "Reserve"
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED, State.CHECKED_OUT, State.IN_PROCESS})
    act: ClassVar[HoldAct] = HoldAct.ISSUE
    toward_use: ClassVar[bool] = True
    effect: ClassVar[Effect] = {"reserved_for": body("withdrawal")}

    withdrawal: str = WITHDRAWAL


class Unreserved(Event):
    """Free for other withdrawals again. The use case knows who may cancel."""

    kind: Literal["specimen.unreserved"] = "specimen.unreserved"
    from_states: ClassVar[frozenset[State]] = LIVE
    effect: ClassVar[Effect] = {"reserved_for": set_to(None)}

    withdrawal: str = WITHDRAWAL
    reason: str = REASON


class FinalLabelApplied(Event):
    """The label that was printed after the thaw is on the tube: it was scanned there, and is of that print."""

    kind: Literal["specimen.final_label_applied"] = "specimen.final_label_applied"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/withdrawals/{withdrawal}/final-label"
    label: ClassVar[str] = "Put the final label on"
    from_states: ClassVar[frozenset[State]] = frozenset({State.CHECKED_OUT, State.IN_PROCESS})
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.THAWED})
    act: ClassVar[HoldAct] = HoldAct.ISSUE
    verb: ClassVar[str] = "given its final label"

    withdrawal: str = WITHDRAWAL
    print_number: int = Field(ge=1, le=MOST_PRINTS, description="What the symbol of the label says after the code.")
    template: str = Field(pattern=r"^[a-z0-9-]{2,60}$")


class Issued(Event):
    """It left the bank for its donor, into the hands of a person or, on recorded evidence, of a courier."""

    kind: Literal["specimen.issued"] = "specimen.issued"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ISSUE
    call: ClassVar[str] = "/withdrawals/{withdrawal}/issue"
    label: ClassVar[str] = "Issue"
    from_states: ClassVar[frozenset[State]] = frozenset({State.CHECKED_OUT, State.IN_PROCESS})
    to_state: ClassVar[State] = State.ISSUED
    act: ClassVar[HoldAct] = HoldAct.ISSUE
    toward_use: ClassVar[bool] = True
    undone_by: ClassVar[str] = "Quality takes it back at the page of the withdrawal, or its clinic receives it."
    effect: ClassVar[Effect] = NO_OFFER | {"custodian_kind": body("custodian_kind"), "custodian_id": body("custodian_id")}

    withdrawal: str = WITHDRAWAL
    custodian_kind: Literal["user", "courier"]
    custodian_id: str = CODE
    evidence: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9 ./:_-]{2,80}$", description="Reference of a courier's acceptance."
    )


class Delivered(Event):
    """It arrived at the clinic and somebody there holds it now."""

    kind: Literal["specimen.delivered"] = "specimen.delivered"
    version: ClassVar[int] = 3
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_RECEIVE
    call: ClassVar[str] = "/withdrawals/{withdrawal}/receive"
    label: ClassVar[str] = "Receive for its withdrawal"
    from_states: ClassVar[frozenset[State]] = frozenset({State.ISSUED, State.IN_TRANSIT})
    to_state: ClassVar[State] = State.DELIVERED
    arrives: ClassVar[bool] = True
    undone_by: ClassVar[str] = "If it is not there, report it missing; else quality takes it back at the page of the withdrawal."
    effect: ClassVar[Effect] = BY_USER | NO_OFFER | OUT | {"site_code": body("site"), "shipment_code": set_to(None)}

    withdrawal: str = WITHDRAWAL
    site: str = CODE
    container_intact: bool
    label_legible: bool
    temperature_mc: int | None = Field(default=None, ge=-273_150, le=100_000, description="Arrival temperature, m°C.")
    logger_sha256: FileHash | None = Field(default=None, description="Of the stored temperature record; null: none was given.")
    logged_lowest_mc: int | None = Field(default=None, description="The coldest that its logger read on the way, m°C.")
    logged_highest_mc: int | None = Field(default=None, description="The warmest, m°C.")
    unread_s: int | None = Field(default=None, ge=0, description="Seconds of the way of which its logger's file says nothing.")
    unread: tuple[str, ...] = Field(default=(), max_length=20, description="The longest parts of them, each from/to.")


class Administered(Event):
    """It was given to its donor under a release made by two people at the bedside."""

    kind: Literal["specimen.administered"] = "specimen.administered"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER
    call: ClassVar[str] = "/withdrawals/{withdrawal}/administer"
    label: ClassVar[str] = "Administer"
    from_states: ClassVar[frozenset[State]] = frozenset({State.DELIVERED, State.ISSUED})
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FRESH, Condition.IN_CULTURE, Condition.THAWED})
    to_state: ClassVar[State] = State.ADMINISTERED
    act: ClassVar[HoldAct] = HoldAct.ADMINISTER
    toward_use: ClassVar[bool] = True
    effect: ClassVar[Effect] = NO_OFFER | {
        "administered_under": body("release"),
        "custodian_kind": set_to(CustodianKind.RECIPIENT.value),
        "custodian_id": body("recipient"),
        "reserved_for": set_to(None),
        "shipment_code": set_to(None),
        "amount": body("residue"),
    }

    withdrawal: str = WITHDRAWAL
    release: str = ID
    recipient: str = DONOR
    wristband: str = Field(pattern=r"^WB-[0-9A-Z]{7}$")
    given: int = Field(ge=1, le=10**15, description="In the specimen's unit.")
    residue: int = AMOUNT
    loss: int = AMOUNT
    residue_went: Literal["discarded", "retained_sample"] | None = None
    volume_ul: int = Field(ge=1, le=MOST_VOLUME_UL, description="Volume given, µL.")
    anatomical_site: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    started_at: str = WHEN
    reaction: bool = Field(description="Something was seen that should not be; `outcome` says more.")
    came_after: tuple[str, ...] = Field(
        default=(), max_length=20, description="Codes of what stood against it when it was entered, and came after it was given."
    )


class Returned(Event):
    """It came back frozen, on quality's signed decision and, to be banked again, the temperature record of its journey. What was
    thawed never comes back.

    Also for a tube that is in our hands again without this decision (a refused shipment, a safety move into quarantine): until
    it is made, the tube is used for nothing.
    """

    kind: Literal["specimen.returned"] = "specimen.returned"
    version: ClassVar[int] = 3
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/withdrawals/{withdrawal}/return"
    label: ClassVar[str] = "Return to the bank"
    from_states: ClassVar[frozenset[State]] = frozenset(
        {State.ISSUED, State.IN_TRANSIT, State.DELIVERED, State.RECEIVED, State.CHECKED_OUT}
    )
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FROZEN})
    to_state: ClassVar[State] = State.RECEIVED
    undone_by: ClassVar[str] = "If it is not back, report it missing. Quality decides about it anew at its own page."
    effect: ClassVar[Effect] = (
        BY_USER
        | NO_OFFER
        | OUT
        | {
            "site_code": body("site"),
            "shipment_code": set_to(None),
            "reserved_for": set_to(None),
            "quality": body("quality"),
        }
    )

    withdrawal: str = WITHDRAWAL
    site: str = CODE
    reason: str = REASON
    quality: Literal["quarantined", "released_to_bank", "rejected"]
    logger_sha256: FileHash | None = Field(
        default=None,
        description="Of the stored temperature record of the journey; null: there is none.",
    )
    logged_lowest_mc: int | None = Field(default=None, description="The coldest that its logger read on the way, m°C.")
    logged_highest_mc: int | None = Field(default=None, description="The warmest, m°C.")
    unread_s: int | None = Field(default=None, ge=0, description="Seconds of the way of which its logger's file says nothing.")
    unread: tuple[str, ...] = Field(default=(), max_length=20, description="The longest parts of them, each from/to.")
    signature: str = ID


class WithdrawalEvent(Event):
    """Base of what stands on a withdrawal's stream."""

    stream: ClassVar[StreamKind] = StreamKind.WITHDRAWAL
    leads_to: ClassVar[WithdrawalState | None] = None


class Requested(WithdrawalEvent):
    """A clinician asked for a person's own cells back, for that person."""

    kind: Literal["withdrawal.requested"] = "withdrawal.requested"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_REQUEST
    starts: ClassVar[bool] = True
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.REQUESTED

    donor: str = DONOR
    recipient: str = DONOR
    clinic_site: str = CODE
    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    route: Route
    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)
    amount: int | None = Field(
        default=None, ge=1, le=10**15, description="The least that the tubes together must hold, in their unit; null: not said."
    )
    needed_at: str | None = Field(default=None, max_length=32)
    indication: str | None = COMMIT
    instead_of: str | None = Field(default=None, pattern=r"^WD\d\d-[0-9A-Z]{7}$", description="The withdrawal it replaces.")


class OverAPicture(WithdrawalEvent):
    """Base of what quality signs over everything that an approval rests on."""

    permission: ClassVar[Permission] = Permission.WITHDRAWAL_APPROVE

    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)
    heads: tuple[str, ...] = Field(min_length=1, max_length=20, description="Head leaf hash of each specimen as approved, hex.")
    picture: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the canonical JSON of the picture that was signed over: as it was at the signature.",
    )
    picture_seen_at: str | None = Field(
        default=None, max_length=32, description="When the signer read that picture; null when the request named none."
    )
    picture_kept: str | None = COMMIT
    signature: str = ID


class Approved(OverAPicture):
    """Quality checked everything again, signed, and the tubes were reserved. It rests on the consent and the releases."""

    kind: Literal["withdrawal.approved"] = "withdrawal.approved"
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.APPROVED


class Rejected(WithdrawalEvent):
    """Quality said no, signed."""

    kind: Literal["withdrawal.rejected"] = "withdrawal.rejected"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_APPROVE
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.REJECTED

    reason: str = REASON
    signature: str = ID


class Cancelled(WithdrawalEvent):
    """The clinic or quality called it off before anything left."""

    kind: Literal["withdrawal.cancelled"] = "withdrawal.cancelled"
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.CANCELLED

    reason: str = REASON


class Picked(WithdrawalEvent):
    """A tube was taken from its place; place and tube were scanned and were the right ones.

    `by_label`: nothing read its code; what was read on it by eye fits it and nothing else in its box.
    """

    kind: Literal["withdrawal.picked"] = "withdrawal.picked"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_PICK
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.PICKING

    specimen: str = CODE
    container: str | None = Field(default=None, max_length=20)
    position: str | None = Field(default=None, max_length=20)
    by_label: bool = False


class PickConfirmed(WithdrawalEvent):
    """A second person, shown nothing, scanned the same tube, or read the same on it. `by_label`: read."""

    kind: Literal["withdrawal.pick_confirmed"] = "withdrawal.pick_confirmed"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_PICK

    specimen: str = CODE
    picked_by: str = CODE
    picked: str = HASH
    by_label: bool = False


class Expanded(WithdrawalEvent):
    """Every tube of it went into a run that grows the cells. Nothing left the bank; what came out is asked for anew."""

    kind: Literal["withdrawal.expanded"] = "withdrawal.expanded"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.EXPANDED

    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)
    processing: str = ID
    lot: str = Field(pattern=r"^LT-[0-9A-Z]{7}$")


class SentOut(WithdrawalEvent):
    """Everything of the withdrawal left the bank."""

    kind: Literal["withdrawal.issued"] = "withdrawal.issued"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ISSUE
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.ISSUED

    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)


class Arrived(WithdrawalEvent):
    """Tubes arrived at the clinic."""

    kind: Literal["withdrawal.received"] = "withdrawal.received"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_RECEIVE
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.DELIVERED

    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)
    site: str = CODE


class PaperCheckFetched(WithdrawalEvent):
    """A sheet for the bedside was made, for when there is no network. The receipt of this entry is printed on it."""

    kind: Literal["withdrawal.paper_check_fetched"] = "withdrawal.paper_check_fetched"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    sheet: str = ID
    specimens: tuple[str, ...] = Field(min_length=1, max_length=20)
    good_until: str = WHEN
    content: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the canonical JSON of what the sheet says.")


class CheckOpened(WithdrawalEvent):
    """The first of two people scanned the band and the final product; they belong to the same person."""

    kind: Literal["withdrawal.bedside_check_opened"] = "withdrawal.bedside_check_opened"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    check: str = ID
    specimen: str = CODE
    wristband: str = Field(pattern=r"^WB-[0-9A-Z]{7}$")


class CheckPassed(WithdrawalEvent):
    """The second person scanned both again, independently; a release of single use was made."""

    kind: Literal["withdrawal.bedside_check_passed"] = "withdrawal.bedside_check_passed"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    check: str = ID
    opened: str = HASH
    specimen: str = CODE
    wristband: str = Field(pattern=r"^WB-[0-9A-Z]{7}$")
    first_checker: str = CODE
    release: str = ID
    expires_at: str = WHEN


class CheckFailed(WithdrawalEvent):
    """Band, product and withdrawal do not belong together. Nothing is given; what was scanned is held."""

    kind: Literal["withdrawal.bedside_check_failed"] = "withdrawal.bedside_check_failed"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    differing: tuple[Literal["wristband", "product", "withdrawal"], ...] = Field(min_length=1)
    wristband: str | None = Field(default=None, max_length=40, pattern=r"^[A-Z0-9-]+$", description="As scanned, if it was.")
    product: str = Field(max_length=40, pattern=r"^[A-Z0-9-]+$", description="As scanned.")
    held: tuple[str, ...] = Field(max_length=20, description="Specimens put on identity hold.")
    releases_killed: int = Field(ge=0, le=1000)


class Given(WithdrawalEvent):
    """Something was administered."""

    kind: Literal["withdrawal.administered"] = "withdrawal.administered"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    specimen: str = CODE
    release: str = ID
    state: WithdrawalState = Field(description="Where the withdrawal stands now, with its other tubes.")


class GivenBeforeConfirmed(WithdrawalEvent):
    """Somebody of quality compared it with the record: it was given before something came that stands against it now."""

    kind: Literal["withdrawal.given_before_confirmed"] = "withdrawal.given_before_confirmed"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    specimen: str = CODE
    release: str = ID
    came_after: tuple[str, ...] = Field(min_length=1, max_length=20, description="Codes of what stands against it.")
    first_by: str = Field(pattern=r"^US-[0-9A-Z]{7}$", description="Who says that it was given; the entry is by the second.")
    first_signature: str = ID
    second_signature: str = ID


class TakenBack(WithdrawalEvent):
    """A tube came back to the bank."""

    kind: Literal["withdrawal.returned"] = "withdrawal.returned"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    specimen: str = CODE
    state: WithdrawalState = Field(description="Where the withdrawal stands now, with its other tubes.")


class OutcomeRecorded(WithdrawalEvent):
    """What the clinic saw afterwards."""

    kind: Literal["withdrawal.outcome_recorded"] = "withdrawal.outcome_recorded"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    result: Literal["as_expected", "no_effect", "adverse_event", "serious_adverse_event", "not_administered", "lost_to_follow_up"]
    observed_at: str = WHEN
    words: str | None = COMMIT


class Closed(WithdrawalEvent):
    """Nothing more is expected. What comes up later is still recorded, as another outcome."""

    kind: Literal["withdrawal.closed"] = "withdrawal.closed"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER
    leads_to: ClassVar[WithdrawalState | None] = WithdrawalState.CLOSED
