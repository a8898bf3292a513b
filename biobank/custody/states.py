"""The axes of custody. Each answers one question; none hides in another."""

from enum import StrEnum


class State(StrEnum):
    """Where the specimen is in its life."""

    COLLECTED = "collected"
    IN_TRANSIT = "in_transit"
    RECEIVED = "received"
    IN_PROCESS = "in_process"
    STORED = "stored"
    CHECKED_OUT = "checked_out"
    ISSUED = "issued"
    DELIVERED = "delivered"
    MISSING = "missing"
    ADMINISTERED = "administered"
    CONSUMED = "consumed"
    DISCARDED = "discarded"
    TRANSFERRED_OUT = "transferred_out"
    LOST = "lost"


TERMINAL = frozenset({State.ADMINISTERED, State.CONSUMED, State.DISCARDED, State.TRANSFERRED_OUT, State.LOST})
"""No event changes a terminal state, except a reversal signed by two; annotations stay possible."""

LIVE = frozenset(State) - TERMINAL
HOLDS_A_POSITION = frozenset({State.STORED, State.CHECKED_OUT})
"""A checked-out tube keeps its slot, so that it can go back where it came from."""


class Condition(StrEnum):
    """The physical condition of the material."""

    FRESH = "fresh"
    IN_CULTURE = "in_culture"
    FREEZING = "freezing"
    FROZEN = "frozen"
    THAWED = "thawed"


class Quality(StrEnum):
    """What quality decided."""

    QUARANTINED = "quarantined"
    RELEASED_TO_BANK = "released_to_bank"
    RELEASED_CONDITIONALLY = "released_conditionally"
    REJECTED = "rejected"


class CustodianKind(StrEnum):
    """Who can hold a specimen. Exactly one custodian at every instant; the giver keeps custody until acceptance."""

    USER = "user"
    SITE = "site"
    COURIER = "courier"
    RECIPIENT = "recipient"
    NOBODY = "nobody"


class HoldAct(StrEnum):
    """The acts a hold can block."""

    ISSUE = "issue"
    ADMINISTER = "administer"
    PROCESS = "process"
    DESTROY = "destroy"


class HoldScope(StrEnum):
    """What a hold covers. Derivatives inherit, future ones too."""

    SPECIMEN = "specimen"
    LOT = "lot"
    HARVEST = "harvest"
    DONOR = "donor"
    CONTAINER = "container"
    SHIPMENT = "shipment"
    EXCURSION = "excursion"
    BENCH_SESSION = "bench_session"


class HoldKind(StrEnum):
    """Why a hold was placed; `HOLD_BLOCKS` says what each stops."""

    IDENTITY = "identity"
    TEMPERATURE = "temperature"
    QUALITY = "quality"
    CONSENT = "consent"
    RECALL = "recall"
    LEGAL = "legal"
    DONOR_DECEASED = "donor_deceased"
    DONOR_UNREACHABLE = "donor_unreachable"
    SPILL = "spill"
    INVESTIGATION = "investigation"


_ALL = frozenset(HoldAct)
_USE = frozenset({HoldAct.ISSUE, HoldAct.ADMINISTER})

HOLD_BLOCKS: dict[HoldKind, frozenset[HoldAct]] = {
    HoldKind.IDENTITY: _ALL,
    HoldKind.TEMPERATURE: _USE | {HoldAct.PROCESS},
    HoldKind.QUALITY: _USE | {HoldAct.PROCESS},
    HoldKind.CONSENT: _USE | {HoldAct.PROCESS},
    HoldKind.RECALL: _ALL,
    HoldKind.LEGAL: frozenset({HoldAct.DESTROY}),
    HoldKind.DONOR_DECEASED: _USE,
    HoldKind.DONOR_UNREACHABLE: frozenset({HoldAct.DESTROY}),
    HoldKind.SPILL: _USE | {HoldAct.PROCESS},
    HoldKind.INVESTIGATION: _USE | {HoldAct.DESTROY},
}


class StreamKind(StrEnum):
    """What a stream of events is about."""

    SPECIMEN = "specimen"
    DONOR = "donor"
    WITHDRAWAL = "withdrawal"
    SHIPMENT = "shipment"
    CONTAINER = "container"
    LOT = "lot"
    USER = "user"
    SYSTEM = "system"


class PerformerAnswer(StrEnum):
    """What a colleague named in `performed_by` says about an entry."""

    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
