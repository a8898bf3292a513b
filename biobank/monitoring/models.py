"""Tables of what was read in places."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class StorageReading(SQLModel, table=True):
    """A temperature or level as an instrument or a person read it. Its event on the container's stream is the evidence.

    `outside`: in what it lies outside the limits that stood when it was recorded; where it is a pace, as it is reckoned from what
    counts before it now (`paces.py`). One that was withdrawn counts for nothing.
    `sensor_code`: the sensor that sent it; None: a person or a logger's file.
    """

    __tablename__ = "storage_reading"
    __table_args__ = (
        CheckConstraint("kind IN ('temperature_mc','level_ppm')", name="reading_kind_is_known"),
        Index("ix_reading_container_at", "container_code", "at"),
        # What makes frozen cells doubtful (`viability/history_queries.py`): few rows of very many.
        Index(
            "ix_reading_warm",
            *("container_code", "at"),
            postgresql_where=text("kind = 'temperature_mc' AND value > -130000 AND withdrawn_at IS NULL"),
        ),
        # A sensor says a value of an instant once, however often it sends it; a withdrawn one included.
        Index(
            "a_sensor_reads_once_an_instant",
            *("sensor_code", "container_code", "kind", "at"),
            unique=True,
            postgresql_where=text("sensor_code IS NOT NULL"),
        ),
        {"info": {"never_deleted": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False, index=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    value: int = Field(sa_column=Column(Integer, nullable=False))
    at: datetime = Field(sa_column=when())
    outside: str | None = Field(default=None, sa_column=Column(Text))
    confirmed: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    sensor_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("sensor.code")))
    withdrawn_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    withdrawn_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class LoggerFile(SQLModel, table=True):
    """A logger's file whose values are readings of a container; the file itself is kept as an attachment, by its hash."""

    __tablename__ = "logger_file"
    __table_args__ = (
        CheckConstraint("last_at >= first_at AND value_count > 0 AND outside_count >= 0", name="a_logger_file_has_readings"),
        Index("ix_logger_file_container", "container_code", "recorded_at"),
        {"info": {"append_only": True}},
    )

    sha256: str = Field(sa_column=Column(Text, primary_key=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    serial: str | None = Field(default=None, sa_column=Column(Text))
    zone: str = Field(sa_column=Column(Text, nullable=False))
    value_count: int = Field(sa_column=Column(Integer, nullable=False))
    outside_count: int = Field(sa_column=Column(Integer, nullable=False))
    first_at: datetime = Field(sa_column=when())
    last_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())


class Excursion(SQLModel, table=True):
    """A container was outside its limits from `began_at` to `last_at`, the first and the last reading that say so.

    `ended_at`: the first reading after them in which everything was within limits again. `hold_id`: the one hold over its set.
    `worst`: of each measure, in each way in which it was outside, the value furthest out (`spans.Worst`).
    `annulled_at`: every reading that made it was withdrawn. `by_limit`: it began when a limit was set (`limits_met.py`).
    """

    __tablename__ = "excursion"
    __table_args__ = (
        CheckConstraint("last_at >= began_at AND ended_at >= last_at", name="an_excursion_runs_forwards"),
        Index("ix_excursion_container", "container_code", "began_at"),
        Index("ix_excursion_began", "began_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    began_at: datetime = Field(sa_column=when())
    last_at: datetime = Field(sa_column=when())
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    worst: list[dict[str, object]] = Field(sa_column=Column(JSONB, nullable=False))
    by_limit: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    opened_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    hold_id: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("hold.id")))
    annulled_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class ExcursionItem(SQLModel, table=True):
    """A specimen that was inside, or was made afterwards from one that was; `since` when it was affected.

    While it is neither removed nor assessed, the excursion's hold covers it.
    """

    __tablename__ = "excursion_item"
    __table_args__ = (
        CheckConstraint("decision IN ('released','rejected')", name="assessment_is_known"),
        CheckConstraint(
            "(decision IS NULL) = (assessed_at IS NULL) AND (decision IS NULL) = (assessed_event IS NULL)",
            name="an_assessment_has_its_event",
        ),
        Index("ix_excursion_item_specimen", "specimen_code"),
        {"info": {"never_deleted": True}},
    )

    excursion_code: str = Field(sa_column=Column(Text, ForeignKey("excursion.code"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    since: datetime = Field(sa_column=when())
    included_at: datetime = Field(sa_column=when())
    removed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    decision: str | None = Field(default=None, sa_column=Column(Text))
    assessed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    assessed_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class ExcursionItemPast(SQLModel, table=True):
    """How a line of an excursion stood until `replaced_at`, when the excursion took it in again or from another time.

    Only answers about the past read it: the line itself says how it stands now.
    """

    __tablename__ = "excursion_item_past"
    __table_args__ = (
        Index("ix_excursion_item_past_specimen", "specimen_code"),
        {"info": {"append_only": True}},
    )

    excursion_code: str = Field(sa_column=Column(Text, ForeignKey("excursion.code"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    replaced_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    included_at: datetime = Field(sa_column=when())
    since: datetime = Field(sa_column=when())
    removed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    assessed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class Sensor(SQLModel, table=True):
    """An instrument with an account of its own: it posts readings of its places and nothing else.

    Only the SHA-256 of its key is kept. `key_for` may draw a new key, once, until `key_until`; the one before works until then.
    """

    __tablename__ = "sensor"
    __table_args__ = (
        CheckConstraint("silent_after_min BETWEEN 1 AND 10080", name="a_sensor_is_missed_within_a_week"),
        CheckConstraint("(key_sha256 IS NULL) = (keyed_at IS NULL)", name="a_key_has_its_time"),
        CheckConstraint("(key_for IS NULL) = (key_until IS NULL)", name="a_key_to_draw_has_its_end"),
        CheckConstraint("withdrawn_at IS NULL OR key_sha256 IS NULL", name="a_withdrawn_sensor_has_no_key"),
        Index("ix_sensor_made", "made_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    name_key: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    silent_after_min: int = Field(sa_column=Column(Integer, nullable=False))
    made_at: datetime = Field(sa_column=when())
    key_sha256: bytes | None = Field(default=None, sa_column=Column(LargeBinary, unique=True))
    keyed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    key_for: str | None = Field(default=None, sa_column=Column(Text))
    key_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    last_post_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    withdrawn_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class SensorPlace(SQLModel, table=True):
    """What a sensor reads of a container; `since` when it is to, `last_at` the time of its latest value."""

    __tablename__ = "sensor_place"
    __table_args__ = (
        CheckConstraint("measure IN ('temperature_mc','level_ppm')", name="a_sensor_reads_what_is_known"),
        Index("ix_sensor_place_container", "container_code"),
        {"info": {"app_may_delete": True}},
    )

    sensor_code: str = Field(sa_column=Column(Text, ForeignKey("sensor.code"), primary_key=True))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), primary_key=True))
    measure: str = Field(sa_column=Column(Text, primary_key=True))
    since: datetime = Field(sa_column=when())
    last_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class SensorDoubt(SQLModel, table=True):
    """A value of a sensor that can hardly be right. It acts on nothing until a person answers: it is so, or it was wrong."""

    __tablename__ = "sensor_doubt"
    __table_args__ = (
        CheckConstraint("answer IN ('right','wrong')", name="an_answer_is_known"),
        CheckConstraint("(answer IS NULL) = (answered_event IS NULL)", name="an_answer_has_its_event"),
        Index("a_doubt_of_an_instant", "sensor_code", "container_code", "measure", "at", unique=True),
        Index("ix_sensor_doubt_open", "sensor_code", "at", postgresql_where=text("answer IS NULL")),
        {"info": {"never_deleted": True}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    sensor_code: str = Field(sa_column=Column(Text, ForeignKey("sensor.code"), nullable=False))
    container_code: str = Field(sa_column=Column(Text, ForeignKey("storage_container.code"), nullable=False))
    measure: str = Field(sa_column=Column(Text, nullable=False))
    value: int = Field(sa_column=Column(Integer, nullable=False))
    at: datetime = Field(sa_column=when())
    doubt: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    answer: str | None = Field(default=None, sa_column=Column(Text))
    answered_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


# The tables, by the names under which everybody imports them.
reading = table_of(StorageReading)
logger_file = table_of(LoggerFile)
excursion = table_of(Excursion)
excursion_item = table_of(ExcursionItem)
sensor = table_of(Sensor)
sensor_place = table_of(SensorPlace)
sensor_doubt = table_of(SensorDoubt)
