"""Events that bring specimens into being and change what they are: collection, derivation, import, processing, freezing."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, body, entry, increment, set_to
from biobank.custody.event import Event
from biobank.custody.events import BY_USER, CODE, NO_OFFER
from biobank.custody.states import Condition, HoldAct, State

AMOUNT = Field(ge=0, le=10**15, description="In the specimen's unit: cells, µL or follicles.")


class _Begins(Event):
    """What every first event says: what it is and whose."""

    starts: ClassVar[bool] = True
    from_states: ClassVar[frozenset[State]] = frozenset()

    donor: str | None = Field(default=None, pattern=r"^DN-[0-9A-Z]{7}$")
    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    unit: str = Field(pattern=r"^[a-z_]{1,20}$")
    amount: int = AMOUNT
    site: str = CODE


class Collected(_Begins):
    """Material was taken from the donor and is in this labelled container."""

    kind: Literal["specimen.collected"] = "specimen.collected"
    permission: ClassVar[Permission] = Permission.HARVEST_RECORD
    to_state: ClassVar[State] = State.COLLECTED
    effect: ClassVar[Effect] = BY_USER | {"amount": body("amount"), "site_code": body("site")}
    label: ClassVar[str] = "Collect"

    harvest: str = CODE
    kit: str | None = Field(default=None, pattern=r"^KT-[0-9A-Z]{7}$")
    home_site: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{1,7}$")


class Derived(_Begins):
    """An output of a processing run; `parents` are its inputs, all of one donor."""

    kind: Literal["specimen.derived"] = "specimen.derived"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    to_state: ClassVar[State] = State.IN_PROCESS
    effect: ClassVar[Effect] = BY_USER | {
        "amount": body("amount"),
        "site_code": body("site"),
        "condition": body("condition"),
        "freeze_count": body("freeze_count"),
    }
    label: ClassVar[str] = "Derive"

    parents: tuple[str, ...] = Field(min_length=1, max_length=100)
    parent_heads: tuple[str, ...] = Field(min_length=1, max_length=100, description="Head leaf hash of each parent, hex.")
    lot: str = CODE
    process: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    passage: int | None = Field(default=None, ge=0, le=50)
    vessel_count: int | None = Field(default=None, ge=1, le=10_000)
    condition: Condition = Condition.FRESH
    freeze_count: int = Field(default=0, ge=0, le=20, description="Freezes its parents have been through.")


class Imported(_Begins):
    """A specimen that was banked before this system; where it stood is said by the `stored` event that follows."""

    kind: Literal["specimen.imported"] = "specimen.imported"
    permission: ClassVar[Permission] = Permission.STORAGE_MANAGE
    to_state: ClassVar[State] = State.RECEIVED
    effect: ClassVar[Effect] = {
        "amount": body("amount"),
        "site_code": body("site"),
        "condition": body("condition"),
        "freeze_count": body("freeze_count"),
        "banked_at": body("banked_at"),
        "custodian_kind": set_to("site"),
        "custodian_id": body("site"),
    }

    condition: Condition
    freeze_count: int = Field(default=0, ge=0, le=20)
    banked_at: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    evidence: str = Field(min_length=1, max_length=100, description="Name and line of the source, e.g. `inventory.xlsx:17`.")


class UnidentifiedFound(_Begins):
    """An item nobody can name. It has no donor, goes to quarantine and is never issued unless two people resolve it."""

    kind: Literal["specimen.unidentified_found"] = "specimen.unidentified_found"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    to_state: ClassVar[State] = State.RECEIVED
    effect: ClassVar[Effect] = BY_USER | {
        "amount": body("amount"), "site_code": body("site"), "condition": body("condition")
    }  # fmt: skip
    label: ClassVar[str] = "Register unidentified item"

    condition: Condition
    photo_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    place: str | None = Field(default=None, pattern=r"^[A-Z0-9-]{3,40}$")


class ProcessStarted(Event):
    """The specimen went into a processing run."""

    kind: Literal["specimen.process_started"] = "specimen.process_started"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.RECEIVED, State.CHECKED_OUT, State.COLLECTED})
    to_state: ClassVar[State] = State.IN_PROCESS
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    effect: ClassVar[Effect] = BY_USER | NO_OFFER
    label: ClassVar[str] = "Process"

    lot: str = CODE
    process: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    procedure_version: str = Field(min_length=1, max_length=40)


class Frozen(Event):
    """The freezing run ended: the specimen is frozen and, from this instant, banked."""

    kind: Literal["specimen.frozen"] = "specimen.frozen"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_PROCESS, State.RECEIVED, State.CHECKED_OUT})
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FRESH, Condition.IN_CULTURE, Condition.FREEZING})
    effect: ClassVar[Effect] = {
        "condition": set_to(Condition.FROZEN.value),
        "freeze_count": increment(),
        "banked_at": entry("occurred_at"),
    }
    label: ClassVar[str] = "Freeze"

    programme: str = Field(min_length=1, max_length=60, description="Name and version of the cooling programme.")
    cryoprotectant: str = Field(min_length=1, max_length=60)
    cryoprotectant_contact_s: int = Field(ge=0, le=86_400, description="From adding it to the start of cooling, seconds.")
    curve_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    equipment: str | None = Field(default=None, pattern=r"^EQ-[0-9A-Z]{7}$")


class Thawed(Event):
    """The specimen was thawed. It never goes back to the tank for use."""

    kind: Literal["specimen.thawed"] = "specimen.thawed"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset(
        {State.IN_PROCESS, State.CHECKED_OUT, State.ISSUED, State.DELIVERED, State.RECEIVED}
    )
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FROZEN})
    effect: ClassVar[Effect] = {"condition": set_to(Condition.THAWED.value)}
    label: ClassVar[str] = "Thaw"

    method: str = Field(min_length=1, max_length=60)
    bath_temperature_mc: int | None = Field(default=None, ge=0, le=60_000, description="Millidegrees Celsius.")
    duration_s: int | None = Field(default=None, ge=0, le=7200)


class Consumed(Event):
    """Nothing is left: it went into a process or a test."""

    kind: Literal["specimen.consumed"] = "specimen.consumed"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_PROCESS})
    to_state: ClassVar[State] = State.CONSUMED
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    effect: ClassVar[Effect] = {"amount": set_to(0), "custodian_kind": set_to("nobody"), "custodian_id": set_to(None)}
    label: ClassVar[str] = "Consume"

    lot: str | None = Field(default=None, pattern=r"^LT-[0-9A-Z]{7}$")


class ViabilityMeasured(Event):
    """A count of living and dead cells; the numbers as read, the percentage is derived."""

    kind: Literal["specimen.viability_measured"] = "specimen.viability_measured"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    annotates: ClassVar[bool] = True
    label: ClassVar[str] = "Record viability"

    assay: str = CODE
    method: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    live: int = Field(ge=0, le=10**9)
    dead: int = Field(ge=0, le=10**9)
    dilution_milli: int = Field(ge=1, le=10**9, description="Dilution factor in thousandths.")
    minutes_after_thaw: int | None = Field(default=None, ge=0, le=100_000)
