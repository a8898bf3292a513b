"""Events that bring specimens into being and change what they are, and those of the kits and lots around them."""

from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.body_shape import COMMITS
from biobank.custody.effects import Effect, body, entry, increment, minus, set_to
from biobank.custody.event import Event
from biobank.custody.events import BY_USER, CODE, INTO_THE_COLD, NO_OFFER, NOT_KNOWN, OUT
from biobank.custody.states import Condition, HoldAct, State, StreamKind
from biobank.foundation.errors import MalformedRequest, Refusal
from biobank.foundation.kept_files import FileHash
from biobank.specimens.materials import MaterialName
from biobank.specimens.taking import HarvestMethod, taking_refusal

AMOUNT = Field(ge=0, le=10**15, description="In the specimen's unit: cells, µL or follicles.")
INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
COUNT = Field(default=None, ge=0, le=1_000_000)
PLATELETS = Field(default=None, ge=1000, le=20_000_000)
TERM = r"^[a-z0-9_]{2,40}$"
MEDIUM = r"^(RG-[0-9A-Z]{7}|[a-z0-9_]{2,40})$"
"""A medium of the registers; older events name one in words."""
"""A coded word."""
NAMED = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()-]*$")
"""The name and version of a procedure, programme or solution, as the bank's documents write it."""
UUID_TEXT = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
SHA256 = r"^[0-9a-f]{64}$"
CODES = Field(default=(), max_length=50)


class _Begins(Event):
    """What every first event says: what it is and whose."""

    version: ClassVar[int] = 2
    starts: ClassVar[bool] = True
    from_states: ClassVar[frozenset[State]] = frozenset()

    donor: str | None = Field(default=None, pattern=r"^DN-[0-9A-Z]{7}$")
    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    unit: str = Field(pattern=r"^[a-z_]{1,20}$")
    amount: int = AMOUNT
    site: str = CODE
    purpose: Literal["therapeutic", "qc", "retained"] = "therapeutic"
    expires_at: str | None = Field(default=None, pattern=INSTANT)
    use_by: str | None = Field(default=None, pattern=INSTANT, description="When it is too old for use as it is now.")


class Collected(_Begins):
    """Material was taken from the donor and is in this labelled container."""

    kind: Literal["specimen.collected"] = "specimen.collected"
    version: ClassVar[int] = 4
    permission: ClassVar[Permission] = Permission.HARVEST_RECORD
    call: ClassVar[str] = "/harvests"
    to_state: ClassVar[State] = State.COLLECTED
    effect: ClassVar[Effect] = BY_USER | {"amount": body("amount"), "site_code": body("site"), "use_by": body("use_by")}
    amendable: ClassVar[frozenset[str]] = frozenset({"method", "anatomical_site", "transport_medium", "markers_tested"})
    label: ClassVar[str] = "Collect"

    harvest: str = CODE
    kit: str | None = Field(default=None, pattern=r"^KT-[0-9A-Z]{7}$")
    home_site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$", description="The bank that will keep it.")
    identification: str | None = Field(default=None, pattern=UUID_TEXT, description="The act that bound kit and donor.")
    method: str = Field(pattern=TERM)
    anatomical_site: str = Field(pattern=TERM)
    side: Literal["left", "right", "both", "midline"] | None = None
    transport_medium: str | None = Field(default=None, pattern=MEDIUM)
    started_at: str = Field(pattern=INSTANT, description="When the material left the body: the clock of what follows.")
    follicular_units: int | None = COUNT
    follicles: int | None = COUNT
    transected: int | None = COUNT
    markers_tested: bool = Field(default=False, description="What the clinic said; lifts no statement.")
    prepared_with: str | None = Field(default=None, pattern=r"^EQ-[0-9A-Z]{7}$", description="Of PRP and PRF: the device.")
    spin_forces_g: tuple[int, ...] = Field(default=(), max_length=4)
    spin_minutes: tuple[int, ...] = Field(default=(), max_length=4)
    blood_platelets_per_ul: int | None = PLATELETS
    product_platelets_per_ul: int | None = PLATELETS
    not_counted: str | None = Field(default=None, pattern=TERM, description="Why a count of the platelets is missing.")

    def amendment_refusal(self) -> Refusal | None:
        """A corrected method or place is one by which the material is taken."""
        if self.method not in set(HarvestMethod):
            return MalformedRequest("This is no method of harvest.")
        return taking_refusal(MaterialName(self.material), HarvestMethod(self.method), self.anatomical_site)


class Derived(_Begins):
    """It came out of a processing run. `parents` are the run's inputs, all of one donor."""

    kind: Literal["specimen.derived"] = "specimen.derived"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/processings"
    to_state: ClassVar[State] = State.IN_PROCESS
    effect: ClassVar[Effect] = BY_USER | {
        "amount": body("amount"),
        "site_code": body("site"),
        "condition": body("condition"),
        "freeze_count": body("freeze_count"),
        "use_by": body("use_by"),
    }
    label: ClassVar[str] = "Derive"

    parents: tuple[str, ...] = Field(min_length=1, max_length=100)
    parent_heads: tuple[str, ...] = Field(min_length=1, max_length=100, description="Head leaf hash of each parent, hex.")
    lot: str = CODE
    process: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    home_site: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    passage: int | None = Field(default=None, ge=0, le=50)
    vessel_count: int | None = Field(default=None, ge=1, le=10_000)
    condition: Condition = Condition.FRESH
    freeze_count: int = Field(default=0, ge=0, le=20, description="Freezes its parents have been through.")


class Imported(_Begins):
    """A specimen that was banked before this system was taken over. Where it stood is said by the `stored` event that follows."""

    kind: Literal["specimen.imported"] = "specimen.imported"
    permission: ClassVar[Permission] = Permission.STORAGE_MANAGE
    label: ClassVar[str] = "Import"
    to_state: ClassVar[State] = State.RECEIVED
    effect: ClassVar[Effect] = {
        "amount": body("amount"),
        "site_code": body("site"),
        "condition": body("condition"),
        "freeze_count": body("freeze_count"),
        "banked_at": body("banked_at"),
        "use_by": body("use_by"),
        "custodian_kind": set_to("site"),
        "custodian_id": body("site"),
    }

    condition: Condition
    freeze_count: int = Field(default=0, ge=0, le=20)
    banked_at: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    evidence: str = Field(min_length=1, max_length=100, description="Name and line of the source, e.g. `inventory.xlsx:17`.")


HELD_BEFORE: Final = "held_before_import"
"""Why an imported specimen is held: by the old record something stands against it."""
FROZEN_AGAIN: Final = "frozen_more_than_once"
"""Why an imported specimen is held: by the old record it was thawed and frozen again, which nobody does here."""
TOO_OLD_A_PASSAGE: Final = "passage_beyond_limit"
"""Why an imported specimen is held: it was grown further than its site grows the material for treatment."""


class UnidentifiedFound(_Begins):
    """An item nobody can name. It has no donor, goes to quarantine and is never issued unless two people resolve it."""

    kind: Literal["specimen.unidentified_found"] = "specimen.unidentified_found"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/specimens/unidentified"
    to_state: ClassVar[State] = State.RECEIVED
    effect: ClassVar[Effect] = (
        BY_USER | OUT | NOT_KNOWN | {"amount": body("amount"), "site_code": body("site"), "condition": body("condition")}
    )
    label: ClassVar[str] = "Register unidentified item"

    purpose: Literal["therapeutic", "qc", "retained"] = "retained"
    condition: Condition
    assumed: bool = Field(default=False, description="Nobody said the condition: the place suggests it.")
    photo_sha256: FileHash | None = None
    place: str | None = Field(default=None, pattern=r"^[A-Z0-9-]{3,40}$")


class ProcessStarted(Event):
    """The specimen went into a processing run."""

    kind: Literal["specimen.process_started"] = "specimen.process_started"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/processings"
    from_states: ClassVar[frozenset[State]] = frozenset({State.RECEIVED, State.CHECKED_OUT, State.COLLECTED})
    to_state: ClassVar[State] = State.IN_PROCESS
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    effect: ClassVar[Effect] = BY_USER | NO_OFFER
    label: ClassVar[str] = "Process"

    lot: str = CODE
    process: str = Field(pattern=TERM)
    procedure_version: str = NAMED


class PartUsed(Event):
    """A part of the specimen went into a run; what is left is still the specimen."""

    kind: Literal["specimen.part_used"] = "specimen.part_used"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/processings"
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_PROCESS})
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    effect: ClassVar[Effect] = {"amount": minus("amount")}
    label: ClassVar[str] = "Use a part"

    lot: str = CODE
    process: str = Field(pattern=TERM)
    amount: int = AMOUNT


class Frozen(Event):
    """The freezing run ended: the specimen is frozen and, from this instant, banked.

    No hold stops it: freezing is how living material under a hold is kept for the decision.
    """

    kind: Literal["specimen.frozen"] = "specimen.frozen"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/processings"
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_PROCESS, State.RECEIVED, State.CHECKED_OUT})
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FRESH, Condition.IN_CULTURE, Condition.FREEZING})
    effect: ClassVar[Effect] = {
        "condition": set_to(Condition.FROZEN.value),
        "freeze_count": increment(),
        "banked_at": entry("occurred_at"),
        "out_since": entry("occurred_at"),
        "exposure_unknown": set_to(False),
        "use_by": body("use_by"),
    }
    label: ClassVar[str] = "Freeze"

    amendable: ClassVar[frozenset[str]] = frozenset({"programme", "cryoprotectant", "cryoprotectant_contact_s", "curve_sha256"})

    processing: str | None = Field(default=None, pattern=UUID_TEXT, description="The run.")
    procedure_version: str | None = Field(default=None, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()-]*$")
    programme: str = NAMED
    cryoprotectant: str = NAMED
    cryoprotectant_contact_s: int = Field(ge=0, le=86_400, description="From adding it to the start of cooling, seconds.")
    curve_sha256: FileHash | None = Field(default=None, description="Hash of the recorded cooling curve.")
    equipment: tuple[str, ...] = CODES
    reagent_lots: tuple[str, ...] = CODES
    use_by: str | None = Field(default=None, pattern=INSTANT, description="When it is too old for use, frozen.")
    no_reagents: bool = Field(default=False, description="It was said that none was used.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 could not say that no reagent was used."""
        return {"no_reagents": False} | payload


class Thawed(Event):
    """The specimen was thawed. It never goes back to the tank for use.

    At the bench or at the chair: whoever may record custody may thaw, the run at the bench has a permission of its own.
    """

    kind: Literal["specimen.thawed"] = "specimen.thawed"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/withdrawals/{withdrawal}/thaw"
    from_states: ClassVar[frozenset[State]] = frozenset(
        {State.IN_PROCESS, State.CHECKED_OUT, State.ISSUED, State.DELIVERED, State.RECEIVED}
    )
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.FROZEN})
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    may_end: ClassVar[bool] = True
    effect: ClassVar[Effect] = INTO_THE_COLD | {"condition": set_to(Condition.THAWED.value), "use_by": body("use_by")}
    amendable: ClassVar[frozenset[str]] = frozenset({"method", "bath_temperature_mc", "duration_s"})
    label: ClassVar[str] = "Thaw"

    processing: str | None = Field(default=None, pattern=UUID_TEXT, description="The run, at the bench.")
    method: str = NAMED
    bath_temperature_mc: int | None = Field(default=None, ge=0, le=60_000, description="Millidegrees Celsius.")
    duration_s: int | None = Field(default=None, ge=0, le=7200)
    use_by: str | None = Field(default=None, pattern=INSTANT, description="When it is too old for use.")


class Consumed(Event):
    """Nothing is left: it went into a process or a test."""

    kind: Literal["specimen.consumed"] = "specimen.consumed"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/processings"
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_PROCESS})
    to_state: ClassVar[State] = State.CONSUMED
    act: ClassVar[HoldAct] = HoldAct.PROCESS
    effect: ClassVar[Effect] = {
        "amount": set_to(0),
        "custodian_kind": set_to("nobody"),
        "custodian_id": set_to(None),
        "reserved_for": set_to(None),
    }
    label: ClassVar[str] = "Consume"

    lot: str | None = Field(default=None, pattern=r"^LT-[0-9A-Z]{7}$")
    process: str | None = Field(default=None, pattern=TERM)
    amount: int | None = Field(default=None, ge=0, le=10**15, description="How much went in.")


class ViabilityMeasured(Event):
    """A count of living and dead cells; the numbers as read, the percentage is derived."""

    kind: Literal["specimen.viability_measured"] = "specimen.viability_measured"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/viability-assays"
    annotates: ClassVar[bool] = True
    label: ClassVar[str] = "Record viability"

    assay: str = Field(pattern=UUID_TEXT)
    method: str = Field(pattern=TERM)
    live: int = Field(ge=0, le=10**9)
    dead: int = Field(ge=0, le=10**9)
    dilution_milli: int | None = Field(default=None, ge=1, le=10**9, description="Dilution factor in thousandths.")
    volume_nl: int | None = Field(default=None, ge=1, le=10**9, description="Volume looked at, nL.")
    suspension_ul: int | None = Field(default=None, ge=1, le=10**9, description="Volume of the suspension in the vial, µL.")
    minutes_after_thaw: int | None = Field(default=None, ge=0, le=100_000)
    instrument: str | None = Field(default=None, pattern=r"^EQ-[0-9A-Z]{7}$")


class Aliased(Event):
    """Another issuer's identifier stands for this specimen. It may say who the person is, so a commitment stands here.

    Not once it is chosen for a patient or on its way: whatever is scanned then is compared with what was known before.
    """

    kind: Literal["specimen.aliased"] = "specimen.aliased"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/aliases"
    from_states: ClassVar[frozenset[State]] = frozenset({State.COLLECTED, State.RECEIVED, State.IN_PROCESS, State.STORED})
    unreserved: ClassVar[bool] = True
    open_to_all: ClassVar[bool] = True
    label: ClassVar[str] = "Add another identifier"

    issuer: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    value_commit: str = Field(pattern=SHA256, json_schema_extra=COMMITS)


class KitPrepared(Event):
    """A kit was put together: its labels, media and expiry."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.kit_prepared"] = "system.kit_prepared"
    permission: ClassVar[Permission] = Permission.KIT_MANAGE

    site: str = CODE
    home_site: str = CODE
    specimens: tuple[str, ...] = Field(max_length=200)
    media_lots: tuple[str, ...] = CODES
    expires_at: str = Field(pattern=INSTANT)


class KitBound(Event):
    """A kit was used for one donor's harvest; every label of it is accounted for."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.kit_bound"] = "system.kit_bound"
    permission: ClassVar[Permission] = Permission.HARVEST_RECORD

    donor: str = Field(pattern=r"^DN-[0-9A-Z]{7}$")
    harvest: str = CODE
    identification: str | None = Field(default=None, pattern=UUID_TEXT)
    used: tuple[str, ...] = Field(max_length=200)
    unused: tuple[str, ...] = Field(max_length=200)


class LotMade(Event):
    """A run made this lot: how, with what, from what, and how much."""

    stream: ClassVar[StreamKind] = StreamKind.LOT
    kind: Literal["lot.made"] = "lot.made"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    donor: str = Field(pattern=r"^DN-[0-9A-Z]{7}$")
    processing: str = Field(pattern=UUID_TEXT)
    process: str = Field(pattern=TERM)
    procedure_version: str = NAMED
    site: str = CODE
    equipment: tuple[str, ...] = CODES
    reagent_lots: tuple[str, ...] = CODES
    no_reagents: bool = Field(default=False, description="It was said that none was used.")
    inputs: tuple[str, ...] = Field(min_length=1, max_length=100)
    used: int = Field(ge=0, le=2**53 - 1)
    used_unit: str = Field(pattern=r"^[a-z_]{1,20}$")
    made: int = Field(ge=0, le=2**53 - 1)
    made_unit: str = Field(pattern=r"^[a-z_]{1,20}$")
    loss: int = Field(ge=0, le=2**53 - 1)
    specimens: int = Field(ge=1, le=1000, description="How many containers came out.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 could not say that no reagent was used."""
        return {"no_reagents": False} | payload


class LotTested(Event):
    """A test of the lot: sampled, reported, or both."""

    stream: ClassVar[StreamKind] = StreamKind.LOT
    kind: Literal["lot.tested"] = "lot.tested"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    test: str = Field(pattern=UUID_TEXT)
    test_kind: Literal["sterility", "endotoxin", "mycoplasma", "viability", "identity"]
    sampled_at: str = Field(pattern=INSTANT)
    due_at: str | None = Field(default=None, pattern=INSTANT)
    result: Literal["pending", "passed", "failed"]
    method: str | None = Field(default=None, max_length=60, description="By the name in the registers.")
    laboratory: str | None = Field(default=None, max_length=60, description="By the name in the registers.")
    endotoxin_milli_eu_per_ml: int | None = Field(default=None, ge=0, le=10**9)
    below_detection: bool = Field(default=False, description="The report says less than this.")
    viable_bp: int | None = Field(default=None, ge=0, le=10_000)
    organism: str | None = Field(default=None, max_length=60, description="What grew.")
    report_sha256: FileHash | None = None
    completes: str | None = Field(default=None, pattern=UUID_TEXT)

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 asked for no more than passed or failed."""
        unknown = dict.fromkeys(("method", "laboratory", "endotoxin_milli_eu_per_ml", "viable_bp", "organism"))
        return payload | unknown | {"below_detection": False}


SOURCE = r"^[A-Za-z0-9][A-Za-z0-9 .,:;/()&_-]{3,119}$"
"""A citation: a validation report, a procedure, a DOI. No name of a person."""


class LimitsSet(Event):
    """A site set how long a material in one condition is fit for use and may be out of the cold.

    In seconds; null: no own limit. `source`: where the budget comes from; null where there is none, and in version 1, which
    did not ask.
    """

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.limits_set"] = "system.limits_set"
    version: ClassVar[int] = 3
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = CODE
    material: str = Field(pattern=TERM)
    condition: Condition
    use_by_s: int | None = Field(default=None, ge=1, le=2**31 - 1)
    warm_amber_s: int | None = Field(default=None, ge=1, le=2**31 - 1)
    warm_red_s: int | None = Field(default=None, ge=1, le=2**31 - 1)
    contact_s: int | None = Field(default=None, ge=1, le=2**31 - 1, description="In the cryoprotectant, seconds.")
    to_tank_s: int | None = Field(default=None, ge=1, le=2**31 - 1, description="From the end of freezing into the tank.")
    highest_passage: int | None = Field(default=None, ge=0, le=50)
    source: str | None = Field(default=None, pattern=SOURCE)
    signature: str = Field(pattern=UUID_TEXT, description="The signature's id.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 asked for no source, version 2 for no limits of contact, of the way to the tank and of passages."""
        unasked = dict.fromkeys(("source", "contact_s", "to_tank_s", "highest_passage"))
        return unasked | payload
