"""Events of the registers, on the system's streams: one stream an entry. No personal data: badges, codes and names of things."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind

DAY = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$")
WORDS = Field(default=None, max_length=60)
WORD = r"^[a-z_]{3,40}$"
BADGE = r"^US-[0-9A-Z]{7}$"
SITE = r"^[A-Z][A-Z0-9]{1,7}$"


class RegisterEntered(Event):
    """Something came into use: a reagent lot, a device, a version of a procedure."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_entered"] = "system.register_entered"
    version: ClassVar[int] = 4
    permission: ClassVar[Permission] = Permission.KIT_MANAGE

    entry_kind: str = Field(pattern=WORD, description="Kind of entry.")
    name: str = Field(min_length=1, max_length=60)
    site: str | None = Field(default=None, pattern=SITE)
    supplier: str | None = WORDS
    supplier_lot: str | None = WORDS
    gtin: str | None = Field(default=None, pattern=r"^[0-9]{8,14}$")
    contains: tuple[str, ...] = Field(default=(), max_length=20)
    leaves_nothing: bool = Field(default=False, description="None of the substances that are asked about.")
    expires_on: str | None = DAY
    use_within_days: int | None = Field(default=None, ge=1, le=3660, description="How long it may be used after opening.")
    result_within_days: int | None = Field(default=None, ge=1, le=366, description="How long a test method's result takes.")
    calibration_due_on: str | None = DAY
    holds_h: int | None = Field(default=None, ge=1, le=1000, description="Hours that a charged shipper stays cold.")
    least_charge_g: int | None = Field(default=None, ge=1, le=1_000_000, description="Nitrogen it leaves with at least, grams.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew no test methods, version 2 no shippers; version 3 could not say that nothing is left."""
        return {"result_within_days": None, "holds_h": None, "least_charge_g": None, "leaves_nothing": False} | payload


class RegisterChanged(Event):
    """It was opened, qualified, calibrated, recalled or taken out of use."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_changed"] = "system.register_changed"
    permission: ClassVar[Permission] = Permission.KIT_MANAGE

    change: Literal["opened", "qualified", "calibrated", "recalled", "retired"]
    calibration_due_on: str | None = DAY
    reason: str | None = Field(default=None, pattern=r"^[a-z0-9_]{2,40}$")


class RegisterAuthorised(Event):
    """A person may work by a procedure from one day to another; a day gone by as the end takes it away."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_authorised"] = "system.register_authorised"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    person: str = Field(pattern=BADGE)
    since: str | None = DAY
    until: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 said no first day: it held from the day of its entry."""
        return {"since": None} | payload


class RegisterRuleSet(Event):
    """A site decided whether a problem of what is used is refused or warned of."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.register_rule_set"] = "system.register_rule_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = Field(pattern=SITE)
    problem: str = Field(pattern=WORD)
    answer: Literal["accept", "warn", "refuse"]


class UsedDespiteWarning(Event):
    """Something was used although a problem stood against it, and the person was told."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.used_despite_warning"] = "system.used_despite_warning"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    problem: str = Field(pattern=WORD)
    person: str | None = Field(default=None, pattern=BADGE, description="Whose authorisation was missing.")
    used_in: str = Field(pattern=r"^[0-9A-Za-z-]{3,40}$", description="The run, kit or count that used it.")
