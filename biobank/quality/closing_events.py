"""Events of a bank that closes: announced, accepted by the bank that takes everything over, carried out or taken back."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, set_to
from biobank.custody.event import Event
from biobank.custody.events import CODE, NO_OFFER, REASON
from biobank.custody.states import LIVE, HoldAct, State, StreamKind
from biobank.foundation.kept_files import FileHash

ID = Field(pattern=r"^[0-9a-f-]{36}$")
UNITS = Field(ge=1, le=10**6, description="How many specimens.")
DIGEST = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of their codes, sorted, one a line.")
AT_HAND = LIVE - {State.MISSING, State.ISSUED, State.DELIVERED}


class _Closing(Event):
    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    closing: str = ID


class ClosingAnnounced(_Closing):
    """Quality announced that everything a bank keeps goes to another one. The set is named by its digest."""

    kind: Literal["system.closing_announced"] = "system.closing_announced"

    site: str = CODE
    to: str = CODE
    units: int = UNITS
    units_sha256: str = DIGEST
    not_before: str = Field(max_length=32, description="RFC 3339: until then whom it concerns can object.")
    signature: str = ID


class ClosingAccepted(_Closing):
    """The other bank accepted the set, by its own paper."""

    kind: Literal["system.closing_accepted"] = "system.closing_accepted"

    units_sha256: str = DIGEST
    evidence: FileHash = Field(description="SHA-256 of what the other bank signed.")
    signature: str = ID


class ClosingCarriedOut(_Closing):
    """Two of quality handed over what was announced and accepted; every specimen's own record says so too."""

    kind: Literal["system.closing_carried_out"] = "system.closing_carried_out"

    to: str = CODE
    units: int = UNITS
    units_sha256: str = DIGEST
    receipt: FileHash = Field(description="SHA-256 of the other bank's receipt.")
    signatures: tuple[str, str] = Field(description="Of the two people, in the order in which they signed.")


class ClosingWithdrawn(_Closing):
    """Quality took the announcement back: the bank keeps what it has."""

    kind: Literal["system.closing_withdrawn"] = "system.closing_withdrawn"

    reason: str = REASON


class HandedOverAtClosing(Event):
    """Its bank closed, and another establishment took it over for good with everything else; its records go with it."""

    kind: Literal["specimen.handed_over_at_closing"] = "specimen.handed_over_at_closing"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    of_the_keeper: ClassVar[bool] = True
    open_to_all: ClassVar[bool] = True
    from_states: ClassVar[frozenset[State]] = AT_HAND
    to_state: ClassVar[State] = State.TRANSFERRED_OUT
    call: ClassVar[str] = "/closings/{closing}/transfer"
    label: ClassVar[str] = "Hand everything over"
    act: ClassVar[HoldAct] = HoldAct.ISSUE
    effect: ClassVar[Effect] = NO_OFFER | {
        "custodian_kind": set_to("nobody"),
        "custodian_id": set_to(None),
        "shipment_code": set_to(None),
    }

    closing: str = ID
    to: str = CODE
