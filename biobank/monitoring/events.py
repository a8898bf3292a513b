"""Events of watching: what was read, and what was taken back."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.events import CODE, HASH, REASON
from biobank.custody.states import StreamKind
from biobank.foundation.kept_files import FileHash
from biobank.monitoring.judging import Doubt, Measure, Outside, SensorDoubt
from biobank.people.events import TwoPeople
from biobank.specimens.events import INSTANT


class ReadingRecorded(Event):
    """A temperature or a level of a place was read.

    `value`: m°C, or millionths of full. `doubt`: why it was asked back before it was recorded; whoever sent it said that
    it is so.
    """

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.reading_recorded"] = "container.reading_recorded"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    reading: Measure
    value: int = Field(ge=-273_150, le=1_000_000)
    outside: Outside | None = None
    doubt: Doubt | None = None

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew warmth only, and counted the specimens that it held."""
        return {name: payload[name] for name in ("reading", "value")} | {"outside": "too_warm" if payload["excursion"] else None}


class LoggerFileRecorded(Event):
    """Every value of a logger's file is a reading of the container. The file is kept; its hash is their evidence."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.logger_file_recorded"] = "container.logger_file_recorded"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    logger_sha256: FileHash
    serial: str | None = Field(default=None, max_length=40)
    zone: str = Field(max_length=60, description="As the file or the person said it.")
    values: int = Field(ge=1, le=10**6)
    outside: int = Field(ge=0, le=10**6)
    doubtful: int = Field(ge=0, le=10**6, description="Values that were asked back and confirmed.")
    gaps: int = Field(ge=0, le=10**6)
    first_at: str = Field(pattern=INSTANT)
    last_at: str = Field(pattern=INSTANT)


class ReadingWithdrawn(Event):
    """A reading was wrong: it counts for nothing from now on, and stays on record.

    `reading` and `at` say which one, where the event that recorded it was a whole file.
    """

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.reading_withdrawn"] = "container.reading_withdrawn"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    recorded: str = HASH
    reason: str = REASON
    reading: Measure | None = None
    at: str | None = Field(default=None, pattern=INSTANT)


class _OfExcursion(Event):
    """What happened to an excursion; its set is a count and a hash, because it can be larger than an entry."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER

    excursion: str = Field(pattern=r"^EX-[0-9A-Z]{7}$")
    specimens: int = Field(ge=0, le=10**9)
    specimens_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the sorted codes, one a line.")


class _HowFar(_OfExcursion):
    """How far outside a place was: in which ways, and of what was read outside the warmest, the coldest and the lowest level."""

    outside_in: tuple[Outside, ...] = Field(default=(), max_length=5)
    warmest_mc: int | None = None
    coldest_mc: int | None = None
    lowest_level_ppm: int | None = None


class ExcursionOpened(_HowFar):
    """A place was outside its limits; everything that was inside then is held. `outside`, `peak`: the gravest of it.

    `by_limit`: nothing outside was read when it began: a limit was set then, and what was read last (`peak`) lies outside it.
    """

    kind: Literal["container.excursion_opened"] = "container.excursion_opened"

    measure: Measure
    outside: Outside
    peak: int
    began_at: str = Field(pattern=INSTANT)
    last_at: str = Field(pattern=INSTANT)
    by_limit: bool = False


class ExcursionChanged(_HowFar):
    """A reading that came, came late or was withdrawn changed when it was, in which way the place was outside, or whom it
    reached. `annulled`: nothing is left. `by_limit`: as of `ExcursionOpened`.
    """

    kind: Literal["container.excursion_changed"] = "container.excursion_changed"
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.HOLD_LIFT})

    began_at: str = Field(pattern=INSTANT)
    last_at: str = Field(pattern=INSTANT)
    ended_at: str | None = Field(default=None, pattern=INSTANT)
    added: int = Field(ge=0, le=10**9)
    removed: int = Field(ge=0, le=10**9)
    annulled: bool
    by_limit: bool = False
    because: str = HASH
    signature: str | None = Field(default=None, pattern=r"^[0-9a-f-]{36}$", description="Quality's, where it freed specimens.")


class ExcursionAssessed(_OfExcursion):
    """Quality assessed a group of the set, signed: released from the excursion's hold, or rejected for a cause."""

    kind: Literal["container.excursion_assessed"] = "container.excursion_assessed"
    permission: ClassVar[Permission] = Permission.HOLD_LIFT

    decision: Literal["released", "rejected"]
    reason: str = REASON
    left: int = Field(ge=0, le=10**9, description="Of the set, not assessed yet.")
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$")


SENSOR = r"^SE-[0-9A-Z]{7}$"
_READS = Field(min_length=1, max_length=20, description="Codes of the containers that it reads.")
_MEASURES = Field(min_length=1, max_length=2)
_MINUTES = Field(ge=1, le=10_080, description="Without a value for this long, it is an alarm.")


class SensorMade(Event):
    """An instrument got an account. It has no key, so nothing can be sent under it yet. Streams of sensors: their code."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.sensor_made"] = "system.sensor_made"
    permission: ClassVar[Permission] = Permission.SENSOR_MANAGE

    sensor: str = Field(pattern=SENSOR)
    site: str = CODE
    containers: tuple[str, ...] = _READS
    measures: tuple[Measure, ...] = _MEASURES
    silent_after_min: int = _MINUTES


class _SensorByTwo(TwoPeople):
    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    permission: ClassVar[Permission] = Permission.SENSOR_MANAGE

    sensor: str = Field(pattern=SENSOR)


class SensorChanged(_SensorByTwo):
    """Two people changed what a sensor reads, or after how long its silence is an alarm."""

    kind: Literal["system.sensor_changed"] = "system.sensor_changed"

    containers: tuple[str, ...] = _READS
    measures: tuple[Measure, ...] = _MEASURES
    silent_after_min: int = _MINUTES


class SensorKeyGranted(_SensorByTwo):
    """Two people agreed that a new key is drawn; the one before works until then."""

    kind: Literal["system.sensor_key_granted"] = "system.sensor_key_granted"


class SensorKeyDrawn(Event):
    """The new key was shown, once, and is the only one that works."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.sensor_key_drawn"] = "system.sensor_key_drawn"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.SENSOR_MANAGE

    sensor: str = Field(pattern=SENSOR)
    key_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="What is kept of the key.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 did not say what is kept of the key."""
        return {"key_sha256": None} | payload


class SensorWithdrawn(_SensorByTwo):
    """Two people ended the account: its key opens nothing any more, and nobody waits for its values."""

    kind: Literal["system.sensor_withdrawn"] = "system.sensor_withdrawn"

    reason: str = REASON


class SensorValueDoubted(Event):
    """A sensor sent a value that can hardly be right, or would free specimens. It acts on nothing; an alarm asks a person."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.sensor_value_doubted"] = "container.sensor_value_doubted"

    sensor: str = Field(pattern=SENSOR)
    reading: Measure
    value: int = Field(ge=-(2**31), le=2**31 - 1)
    doubt: SensorDoubt


class SensorValuesAnswered(Event):
    """A person looked and said of doubtful values of a sensor whether they are so. Those that are so are readings of theirs."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.sensor_values_answered"] = "system.sensor_values_answered"
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    sensor: str = Field(pattern=SENSOR)
    answer: Literal["right", "wrong"]
    values: int = Field(ge=1, le=10**6)
    first_at: str = Field(pattern=INSTANT)
    last_at: str = Field(pattern=INSTANT)
