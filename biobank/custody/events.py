"""Events that custody itself owns: observations anyone at the bench may record, corrections, hand-overs and holds.

A hand-over has two sides: the giver offers, the receiver accepts with their own login. Until then the giver is custodian.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, body, body_or_keep, elapsed, elapsed_until_known, entry, minus, restore, set_to
from biobank.custody.event import Event, Mode
from biobank.custody.states import LIVE, CustodianKind, HoldAct, HoldKind, HoldScope, State, StreamKind
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import MarkedOnly

CODE = Field(min_length=1, max_length=40, pattern=r"^[A-Z0-9_-]+$")
REASON = Field(min_length=2, max_length=40, pattern=r"^[a-z0-9_]+$", description="A coded reason, e.g. `not_in_its_slot`.")
HASH = Field(pattern=r"^[0-9a-f]{64}$", description="A leaf hash in hex.")

BY_USER: Effect = {"custodian_kind": set_to(CustodianKind.USER.value), "custodian_id": entry("by")}
OUT: Effect = {"exposure_s": elapsed("out_since"), "out_since": entry("occurred_at")}
"""In no cold place from now on; what it was out of the cold before that counts."""
INTO_THE_COLD: Effect = {"exposure_s": elapsed_until_known("out_since"), "out_since": set_to(None)}
"""In a place that keeps it: the clock stops, and what has run counts."""
NOT_KNOWN: Effect = {"exposure_unknown": set_to(True)}  # For a time nobody knows whether it was in the cold.
NO_OFFER: Effect = {"offered_kind": set_to(None), "offered_id": set_to(None)}


class Received(Event):
    """A specimen arrived and was inspected; the one who received it holds it now."""

    kind: Literal["specimen.received"] = "specimen.received"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.COLLECTED, State.IN_TRANSIT})
    to_state: ClassVar[State] = State.RECEIVED
    arrives: ClassVar[bool] = True
    effect: ClassVar[Effect] = BY_USER | NO_OFFER | OUT | {"site_code": body("site"), "shipment_code": set_to(None)}
    amendable: ClassVar[frozenset[str]] = frozenset({"container_intact", "label_legible", "manifest_matches", "temperature_mc"})
    label: ClassVar[str] = "Receive"

    site: str = CODE
    container_intact: bool | None = Field(default=None, description="Left open: nobody said.")
    label_legible: bool | None = Field(default=None, description="Left open: nobody said.")
    manifest_matches: bool | None = None
    temperature_mc: int | None = Field(default=None, ge=-273_150, le=100_000, description="Arrival temperature, m°C.")
    confirmed: bool = Field(default=False, description="The temperature can hardly be right; it was read again and is so.")


class CheckedOut(Event):
    """A specimen left its position in someone's hands; its slot stays reserved for it."""

    kind: Literal["specimen.checked_out"] = "specimen.checked_out"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED})
    to_state: ClassVar[State] = State.CHECKED_OUT
    effect: ClassVar[Effect] = BY_USER | OUT
    label: ClassVar[str] = "Check out"

    purpose: Literal["processing", "testing", "move", "inspection", "withdrawal"]


class Sampled(Event):
    """An amount was taken for a test; what is left is still the specimen."""

    kind: Literal["specimen.sampled"] = "specimen.sampled"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.COLLECTED, State.RECEIVED, State.IN_PROCESS, State.CHECKED_OUT})
    effect: ClassVar[Effect] = {"amount": minus("amount")}
    may_end: ClassVar[bool] = True
    amendable: ClassVar[frozenset[str]] = frozenset({"purpose"})
    label: ClassVar[str] = "Sample"

    amount: int = Field(ge=1, le=10**15, description="In the specimen's unit.")
    purpose: Literal["viability", "sterility", "endotoxin", "mycoplasma", "identity", "count", "other"]


class Inspected(Event):
    """Someone looked at it: container, label, contents."""

    kind: Literal["specimen.inspected"] = "specimen.inspected"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    annotates: ClassVar[bool] = True
    amendable: ClassVar[frozenset[str]] = frozenset({"container_intact", "label_legible", "contents_as_expected"})
    label: ClassVar[str] = "Inspect"

    container_intact: bool
    label_legible: bool
    contents_as_expected: bool


class Annotated(Event):
    """A remark that changes nothing; the words themselves are in the vault."""

    kind: Literal["specimen.annotated"] = "specimen.annotated"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    annotates: ClassVar[bool] = True
    label: ClassVar[str] = "Add a remark"

    topic: Literal["handling", "label", "residue", "late_result", "outcome", "other"]


class Missing(Event):
    """It is not where it should be. Its slot is free again; it may be found.

    How long it is out of the cold nobody knows: the clock stops, and the sum says from then on that it is not the whole. It is
    out of its shipment. Whoever held it last answers for it until it turns up or is given up. What was kept for treatment opens
    a deviation and is told (`quality/missing.py`); it comes back held (`missing.py`, `material_limits.py`).
    """

    kind: Literal["specimen.missing"] = "specimen.missing"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    open_to_all: ClassVar[bool] = True
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    to_state: ClassVar[State] = State.MISSING
    effect: ClassVar[Effect] = NO_OFFER | INTO_THE_COLD | NOT_KNOWN | {"shipment_code": set_to(None)}
    amendable: ClassVar[frozenset[str]] = frozenset({"reason"})
    undone_by: ClassVar[str] = "Whoever has it in hand reports that it was found, and says where."
    label: ClassVar[str] = "Report missing"

    reason: MarkedOnly = REASON


class Found(Event):
    """It turned up, and the finder holds it now; an identity hold is placed: nobody knows yet that it is what its label says."""

    kind: Literal["specimen.found"] = "specimen.found"
    mode: ClassVar[Mode] = Mode.DIRECT
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    open_to_all: ClassVar[bool] = True
    from_states: ClassVar[frozenset[State]] = frozenset({State.MISSING, State.LOST})
    annotates: ClassVar[bool] = False
    to_state: ClassVar[State] = State.RECEIVED
    places_hold: ClassVar[HoldKind] = HoldKind.IDENTITY
    sees: ClassVar[str] = "place"
    effect: ClassVar[Effect] = BY_USER | OUT | {"site_code": body("site")}
    label: ClassVar[str] = "Report found"

    site: str = CODE
    place: str | None = Field(default=None, pattern=r"^[A-Z0-9-]{3,40}$", description="Code of the place, if it has one.")


class Lost(Event):
    """Quality gave up the search."""

    kind: Literal["specimen.lost"] = "specimen.lost"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/lost"
    label: ClassVar[str] = "Give up the search"
    from_states: ClassVar[frozenset[State]] = frozenset({State.MISSING})
    to_state: ClassVar[State] = State.LOST
    effect: ClassVar[Effect] = {"custodian_kind": set_to("nobody"), "custodian_id": set_to(None), "reserved_for": set_to(None)}

    reason: str = REASON
    signatures: tuple[str, ...] = Field(default=(), max_length=2, description="Of the two people, in the order of signing.")


class HandoverOffered(Event):
    """The custodian offers the specimen to a person, a site or a courier and keeps custody until they accept."""

    kind: Literal["specimen.handover_offered"] = "specimen.handover_offered"
    permission: ClassVar[Permission] = Permission.HANDOVER_TAKE
    in_person: ClassVar[bool] = True
    call: ClassVar[str] = "/handovers"
    label: ClassVar[str] = "Offer to somebody"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    effect: ClassVar[Effect] = {"offered_kind": body("to_kind"), "offered_id": body("to_id")}

    handover: str = Field(pattern=r"^[0-9a-f-]{36}$")
    to_kind: CustodianKind
    to_id: str = CODE
    expires_at: str = Field(max_length=32)


class HandoverAccepted(Event):
    """The receiver took it, with their own login or with recorded evidence of a courier's acceptance."""

    kind: Literal["specimen.handover_accepted"] = "specimen.handover_accepted"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.HANDOVER_TAKE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/handovers/{handover}/accept"
    label: ClassVar[str] = "Accept a hand-over"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    effect: ClassVar[Effect] = NO_OFFER | {
        "custodian_kind": body("to_kind"),
        "custodian_id": body("to_id"),
        "out_since": body_or_keep("out_since"),
    }

    handover: str = Field(pattern=r"^[0-9a-f-]{36}$")
    to_kind: CustodianKind
    to_id: str = CODE
    evidence: str | None = Field(default=None, max_length=80, description="Reference of a courier's recorded acceptance.")
    out_since: str | None = Field(default=None, max_length=32, description="In nobody's place and in no cold one: since when.")


class HandoverDeclined(Event):
    """The receiver said no; the giver still holds it."""

    kind: Literal["specimen.handover_declined"] = "specimen.handover_declined"
    permission: ClassVar[Permission] = Permission.HANDOVER_TAKE
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/handovers/{handover}/decline"
    label: ClassVar[str] = "Decline a hand-over"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.MISSING}
    effect: ClassVar[Effect] = NO_OFFER

    handover: str = Field(pattern=r"^[0-9a-f-]{36}$")
    reason: str = REASON


class HandoverExpired(Event):
    """Nobody accepted in time; the giver still holds it."""

    kind: Literal["specimen.handover_expired"] = "specimen.handover_expired"
    annotates: ClassVar[bool] = True
    effect: ClassVar[Effect] = NO_OFFER

    handover: str = Field(pattern=r"^[0-9a-f-]{36}$")


class Amended(Event):
    """A correction of a field that is no state, naming the event it corrects. The earlier event stays as it was."""

    kind: Literal["specimen.amended"] = "specimen.amended"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/amend"
    label: ClassVar[str] = "Correct an entry"
    annotates: ClassVar[bool] = True

    corrects: str = HASH
    field: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    value: str | int | bool | None
    reason: str = REASON


class Reversed(Event):
    """The latest change of state is undone: it should not have been recorded. `restores` is what stood before it.

    Undoing the end of a specimen takes two signatures and evidence, and marks it for ever.
    """

    kind: Literal["specimen.reversed"] = "specimen.reversed"
    permission: ClassVar[Permission] = Permission.REVERSAL_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/reverse"
    label: ClassVar[str] = "Undo the latest change of state"
    from_states: ClassVar[frozenset[State]] = frozenset(State)
    annotates: ClassVar[bool] = True
    effect: ClassVar[Effect] = {
        name: restore()
        for name in (
            "state",
            "condition",
            "custodian_kind",
            "custodian_id",
            "site_code",
            "container_code",
            "position_code",
            "shipment_code",
            "amount",
            "freeze_count",
            "exposure_s",
            "exposure_unknown",
            "out_since",
            "use_by",
            "banked_at",
            "administered_under",
            "marked",
        )
    }

    reverses: str = HASH
    restores: dict[str, str | int | bool | None]
    reason: str = REASON
    evidence_sha256: FileHash | None = Field(default=None, description="What shows that it never happened.")
    signatures: tuple[str, ...] = Field(default=(), max_length=2, description="Ids of the signatures, when it took two.")


class _PerformerAnswered(Event):
    stream: ClassVar[StreamKind] = StreamKind.USER

    events: tuple[str, ...] = Field(min_length=1, max_length=200, description="Leaf hashes of the entries that name the user.")
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")


class PerformerConfirmed(_PerformerAnswered):
    """A colleague whom entries name says, signed, that it was their work. Entries name them in `performed`."""

    kind: Literal["user.hands_confirmed"] = "user.hands_confirmed"


class PerformerDisputed(_PerformerAnswered):
    """A colleague whom entries name says, signed, that it was not their work. Entries name them in `performed`."""

    kind: Literal["user.hands_disputed"] = "user.hands_disputed"


class _Held(BaseModel):
    hold: str = Field(pattern=r"^[0-9a-f-]{36}$")
    hold_kind: HoldKind
    scope_kind: HoldScope
    scope_id: str = CODE
    blocks: tuple[HoldAct, ...]
    reason: str = REASON


class HoldPlaced(_Held, Event):
    """A hold on this specimen and on everything derived from it."""

    kind: Literal["specimen.hold_placed"] = "specimen.hold_placed"
    permission: ClassVar[Permission] = Permission.HOLD_PLACE
    call: ClassVar[str] = "/holds"
    label: ClassVar[str] = "Place a hold"
    annotates: ClassVar[bool] = True


class HoldLifted(Event):
    """Quality lifted a hold, signed."""

    kind: Literal["specimen.hold_lifted"] = "specimen.hold_lifted"
    permission: ClassVar[Permission] = Permission.HOLD_LIFT
    call: ClassVar[str] = "/holds/{hold}/lift"
    label: ClassVar[str] = "Lift a hold"
    annotates: ClassVar[bool] = True

    hold: str = Field(pattern=r"^[0-9a-f-]{36}$")
    placed: str = HASH
    reason: str = REASON
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")


class _ScopeHold(_Held, Event):
    """A hold on a scope that has a stream of its own (harvests are on their donor's)."""

    permission: ClassVar[Permission] = Permission.HOLD_PLACE


class _ScopeHoldLifted(Event):
    permission: ClassVar[Permission] = Permission.HOLD_LIFT

    hold: str = Field(pattern=r"^[0-9a-f-]{36}$")
    placed: str = HASH
    reason: str = REASON
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$")


class DonorHoldPlaced(_ScopeHold):
    """A hold on everything of a donor, or of one harvest."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.hold_placed"] = "donor.hold_placed"


class DonorHoldLifted(_ScopeHoldLifted):
    """Quality lifted the hold."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.hold_lifted"] = "donor.hold_lifted"


class LotHoldPlaced(_ScopeHold):
    """A hold on a lot."""

    stream: ClassVar[StreamKind] = StreamKind.LOT
    kind: Literal["lot.hold_placed"] = "lot.hold_placed"


class LotHoldLifted(_ScopeHoldLifted):
    """Quality lifted the hold."""

    stream: ClassVar[StreamKind] = StreamKind.LOT
    kind: Literal["lot.hold_lifted"] = "lot.hold_lifted"


class ContainerHoldPlaced(_ScopeHold):
    """A hold on everything in a container, or on everything that an excursion of it reached."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.hold_placed"] = "container.hold_placed"


class ContainerHoldLifted(_ScopeHoldLifted):
    """Quality lifted the hold."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.hold_lifted"] = "container.hold_lifted"


class ShipmentHoldPlaced(_ScopeHold):
    """A hold on everything in a shipment."""

    stream: ClassVar[StreamKind] = StreamKind.SHIPMENT
    kind: Literal["shipment.hold_placed"] = "shipment.hold_placed"


class ShipmentHoldLifted(_ScopeHoldLifted):
    """Quality lifted the hold."""

    stream: ClassVar[StreamKind] = StreamKind.SHIPMENT
    kind: Literal["shipment.hold_lifted"] = "shipment.hold_lifted"


class BenchHoldPlaced(_ScopeHold):
    """A hold on everything that was handled at a workstation between two line clearances."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.hold_placed"] = "system.hold_placed"


class BenchHoldLifted(_ScopeHoldLifted):
    """Quality lifted the hold."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.hold_lifted"] = "system.hold_lifted"


HOLD_EVENTS: dict[HoldScope, tuple[StreamKind, type[Any], type[Any]]] = {
    HoldScope.SPECIMEN: (StreamKind.SPECIMEN, HoldPlaced, HoldLifted),
    HoldScope.LOT: (StreamKind.LOT, LotHoldPlaced, LotHoldLifted),
    HoldScope.HARVEST: (StreamKind.DONOR, DonorHoldPlaced, DonorHoldLifted),
    HoldScope.DONOR: (StreamKind.DONOR, DonorHoldPlaced, DonorHoldLifted),
    HoldScope.CONTAINER: (StreamKind.CONTAINER, ContainerHoldPlaced, ContainerHoldLifted),
    HoldScope.SHIPMENT: (StreamKind.SHIPMENT, ShipmentHoldPlaced, ShipmentHoldLifted),
    HoldScope.EXCURSION: (StreamKind.CONTAINER, ContainerHoldPlaced, ContainerHoldLifted),
    HoldScope.BENCH_SESSION: (StreamKind.SYSTEM, BenchHoldPlaced, BenchHoldLifted),
}
"""Scope → its stream and its two events. An excursion's stand with the container that it happened in."""


class RulesAdopted(Event):
    """From here on entries are written under this rule table. Every version a log uses is adopted in it before its first use."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.rules_adopted"] = "system.rules_adopted"

    table: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the rule table's canonical JSON.")
    kinds: int = Field(ge=1, description="Kinds of events in it.")
    software: str = Field(pattern=r"^[0-9A-Za-z.+-]{1,40}$", description="Version of the software that brought it.")
