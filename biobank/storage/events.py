"""Events of places: a tube goes into a slot, moves, or its box moves."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, body, body_or_keep, elapsed, plus, set_to
from biobank.custody.event import Event
from biobank.custody.events import CODE, HASH, INTO_THE_COLD, NO_OFFER, REASON
from biobank.custody.states import LIVE, CustodianKind, State, StreamKind
from biobank.specimens.events import INSTANT

PLACED: Effect = {
    "container_code": body("container"),
    "position_code": body("position"),
    "site_code": body("site"),
    "custodian_kind": set_to(CustodianKind.SITE.value),
    "custodian_id": body("site"),
}
KEPT_OR_RUNNING: Effect = INTO_THE_COLD | {"out_since": body("out_since")}
"""The clock of time out of the cold stops, or runs on where the place does not keep the specimen."""
PLACE = Field(min_length=3, max_length=20, pattern=r"^[A-Z0-9-]+$")


class Stored(Event):
    """The specimen was put into a place; the site holds it."""

    kind: Literal["specimen.stored"] = "specimen.stored"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/specimens/{specimen}/store"
    from_states: ClassVar[frozenset[State]] = frozenset({State.RECEIVED, State.IN_PROCESS, State.CHECKED_OUT})
    to_state: ClassVar[State] = State.STORED
    taken_from_its_site: ClassVar[bool] = True
    effect: ClassVar[Effect] = PLACED | NO_OFFER | KEPT_OR_RUNNING
    label: ClassVar[str] = "Store"

    container: str = PLACE
    position: str | None = Field(default=None, pattern=r"^PS-[0-9A-Z]{7}$")
    site: str = CODE
    exposure_s: int | None = Field(default=None, ge=0, le=86_400, description="Seconds outside the cold, as a person says.")
    out_since: str | None = Field(default=None, pattern=INSTANT, description="The place does not keep it cold: since when.")


class Moved(Event):
    """From one slot to another; both are known, so a swap is two of these in one transaction."""

    kind: Literal["specimen.moved"] = "specimen.moved"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/store"
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED})
    to_state: ClassVar[State] = State.STORED
    taken_from_its_site: ClassVar[bool] = True
    effect: ClassVar[Effect] = PLACED | KEPT_OR_RUNNING
    label: ClassVar[str] = "Move"

    from_position: str | None = Field(default=None, pattern=r"^PS-[0-9A-Z]{7}$")
    container: str = PLACE
    position: str | None = Field(default=None, pattern=r"^PS-[0-9A-Z]{7}$")
    site: str = CODE
    exposure_s: int | None = Field(default=None, ge=0, le=86_400, description="Seconds outside the cold, as a person says.")
    out_since: str | None = Field(default=None, pattern=INSTANT, description="The place does not keep it cold: since when.")


class Safeguarded(Event):
    """Cold first: the specimen was put into a quarantine or evacuation place, whatever its state, holds or papers.

    Never refused while the place is of that purpose. Terminal specimens keep their state in words: what was recorded as
    gone and turns up in a hand is `found` first.
    """

    kind: Literal["specimen.safeguarded"] = "specimen.safeguarded"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    call: ClassVar[str] = "/specimens/{specimen}/store"
    from_states: ClassVar[frozenset[State]] = LIVE
    to_state: ClassVar[State] = State.STORED
    cold_first: ClassVar[bool] = True
    effect: ClassVar[Effect] = PLACED | NO_OFFER | KEPT_OR_RUNNING | {"shipment_code": set_to(None)}
    label: ClassVar[str] = "Put into quarantine"

    container: str = PLACE
    position: str | None = Field(default=None, pattern=r"^PS-[0-9A-Z]{7}$")
    site: str = CODE
    reason: str = Field(default="cold_first", pattern=r"^[a-z0-9_]{2,40}$")
    exposure_s: int | None = Field(default=None, ge=0, le=86_400, description="Seconds outside the cold, as a person says.")
    out_since: str | None = Field(default=None, pattern=INSTANT, description="The place does not keep it cold: since when.")


class ContainerAdded(Event):
    """A room, tank, rack or box came into use. Limits of its own are set afterwards, signed (`ContainerLimitsSet`)."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.added"] = "container.added"
    version: ClassVar[int] = 3
    permission: ClassVar[Permission] = Permission.STORAGE_MANAGE

    container_kind: str = Field(pattern=r"^[a-z]{3,20}$")
    parent: str | None = Field(default=None, max_length=20)
    site: str = CODE
    purpose: str = Field(pattern=r"^[a-z]{3,20}$")
    rows: int | None = Field(default=None, ge=1, le=100)
    cols: int | None = Field(default=None, ge=1, le=100)
    temperature_class: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{3,20}$", description="As it was said; null: not said."
    )
    isolated: bool | None = Field(default=None, description="For material that is kept apart; null: not said.")
    slots_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of its slots, one a line in order of rows: code, row, column and label, with a space between.",
    )

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Versions 1 and 2 said nothing of how cold it is, of what is kept apart, nor of its slots."""
        return {"temperature_class": None, "isolated": None, "slots_sha256": None} | payload


OF_ITS_PLACE: frozenset[str] = frozenset({"container.moved", "container.lifted", "container.put_back"})
"""What changes where a container stands: each follows the one before."""


class ContainerMoved(Event):
    """A box, cane or rack went into another; every tube in it went along (their own events name this one)."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.moved"] = "container.moved"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    never_before: ClassVar[frozenset[str]] = OF_ITS_PLACE

    from_parent: str | None = Field(default=None, max_length=20)
    to_parent: str = PLACE
    site: str = CODE
    tubes: int = Field(ge=0, le=100_000)


class ContainerRenamed(Event):
    """A container got another name; both are in the vault, because a name is free text."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.renamed"] = "container.renamed"
    permission: ClassVar[Permission] = Permission.STORAGE_MANAGE

    names_commit: str = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to the old and the new name.")
    site: str = CODE


class SlotsMarked(Event):
    """Slots were blocked, kept for the tubes of one donor, or opened again."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.slots_marked"] = "container.slots_marked"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    positions: tuple[str, ...] = Field(min_length=1, max_length=200)
    mark: Literal["blocked", "kept", "open"]
    reason: str | None = Field(default=None, pattern=r"^[a-z0-9_]{2,40}$")
    kept_for: str | None = Field(default=None, pattern=r"^DN-[0-9A-Z]{7}$")


class ContainerCounted(Event):
    """Someone scanned what is really there. It moves nothing.

    `count`: the first or second count of what is in it, blind; null: a comparison with the record.
    """

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.counted"] = "container.counted"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    count: Literal["first", "second"] | None = None

    expected: int = Field(ge=0, le=100_000)
    found: int = Field(ge=0, le=100_000)
    missing: tuple[str, ...] = Field(max_length=1000)
    misplaced: tuple[str, ...] = Field(max_length=1000)
    extra: tuple[str, ...] = Field(max_length=1000)


class CountResolved(Event):
    """Quality resolved what two people counted, signed. It moves nothing."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.count_resolved"] = "container.count_resolved"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    first: str = HASH
    second: str = HASH
    missing: tuple[str, ...] = Field(max_length=1000)
    elsewhere: tuple[str, ...] = Field(max_length=1000)
    reason: str = REASON
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")


class Sighted(Event):
    """A count saw the specimen in a place that is not the one on record. It moves nothing; only a move does."""

    kind: Literal["specimen.sighted"] = "specimen.sighted"
    call: ClassVar[str] = "/storage-containers/{container}/counts"
    label: ClassVar[str] = "Count what is in a place"
    annotates: ClassVar[bool] = True
    sees: ClassVar[str] = "container"

    container: str = PLACE
    recorded: str | None = Field(default=None, max_length=20, description="Where the record has it; null: in no place.")


class _LimitsSet(Event):
    """m°C, millionths of full, m°C a minute, millionths an hour; null: no limit of its own."""

    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    lowest_mc: int | None = Field(default=None, ge=-273_150, le=60_000)
    highest_mc: int | None = Field(default=None, ge=-273_150, le=60_000)
    lowest_level_ppm: int | None = Field(default=None, ge=0, le=1_000_000)
    rise_mc_per_min: int | None = Field(default=None, ge=1, le=1_000_000)
    fall_ppm_per_h: int | None = Field(default=None, ge=1, le=1_000_000)
    signatures: tuple[str, ...] = Field(min_length=1, max_length=2, description="Of one, or of both where it loosened a limit.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 was signed by one person, whatever it did."""
        return {name: value for name, value in payload.items() if name != "signature"} | {"signatures": [payload["signature"]]}


class ContainerLimitsSet(_LimitsSet):
    """Quality set what this container, and all that stands in it, may read."""

    version: ClassVar[int] = 2
    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.limits_set"] = "container.limits_set"


class ClassLimitsSet(_LimitsSet):
    """Quality set what places of a temperature class may read at a site."""

    version: ClassVar[int] = 2
    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.class_limits_set"] = "system.class_limits_set"

    site: str = CODE
    temperature_class: str = Field(pattern=r"^[a-z0-9_]{3,20}$")


class SplitStorageSet(Event):
    """Quality set whether automatic placing at a site spreads each donor's units over tanks."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.split_storage_set"] = "system.split_storage_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = CODE
    spread: bool
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")


class ContainerLifted(Event):
    """A rack or box was lifted out of its place; everything in it is out of the cold until it is put back."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.lifted"] = "container.lifted"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    never_before: ClassVar[frozenset[str]] = OF_ITS_PLACE

    tubes: int = Field(ge=0, le=100_000)


class ContainerPutBack(Event):
    """A lifted rack or box is where it was, or in another place that is cold."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.put_back"] = "container.put_back"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    never_before: ClassVar[frozenset[str]] = OF_ITS_PLACE

    lifted_at: str = Field(pattern=INSTANT)
    tubes: int = Field(ge=0, le=100_000)


class LeftCold(Event):
    """The container around this frozen specimen was lifted out, or went to a place that does not keep it: the clock runs."""

    kind: Literal["specimen.left_cold"] = "specimen.left_cold"
    call: ClassVar[str] = "/storage-containers/{container}/lift"
    label: ClassVar[str] = "Lift its rack or box out"
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED})
    effect: ClassVar[Effect] = {"exposure_s": elapsed("out_since"), "out_since": body("since")}

    container: str = PLACE
    since: str = Field(pattern=INSTANT, description="Later than the lift for what came into it afterwards.")


class Exposed(Event):
    """The container around this frozen specimen is in the cold again; how long it was out with it, computed by the bank."""

    kind: Literal["specimen.exposed"] = "specimen.exposed"
    call: ClassVar[str] = "/storage-containers/{container}/put-back"
    label: ClassVar[str] = "Put its rack or box back"
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED, State.CHECKED_OUT})
    effect: ClassVar[Effect] = {"exposure_s": plus("seconds"), "out_since": body("out_since")}

    container: str = PLACE
    since: str = Field(pattern=INSTANT)
    seconds: int = Field(ge=0, le=2**31 - 1)
    out_since: str | None = Field(
        default=None,
        pattern=INSTANT,
        description="Of one that left before the lift was entered and is out of the cold elsewhere.",
    )


class CarriedAlong(Event):
    """The container this specimen is in was moved; its own slot did not change. What a site held, the site it came to holds."""

    kind: Literal["specimen.carried_along"] = "specimen.carried_along"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD
    open_to_all: ClassVar[bool] = True
    call: ClassVar[str] = "/storage-containers/{container}/move"
    label: ClassVar[str] = "Move with its container"
    from_states: ClassVar[frozenset[State]] = frozenset({State.STORED, State.CHECKED_OUT})
    effect: ClassVar[Effect] = {"site_code": body("site"), "custodian_id": body_or_keep("custodian")}

    container: str = PLACE
    container_event: str = Field(pattern=r"^[0-9a-f]{64}$")
    site: str = CODE
    custodian: str | None = Field(default=None, pattern=r"^[A-Z0-9_-]{1,40}$", description="The site that holds it now.")
