"""Tables of the log. Rows are inserted once and never changed; only `pending` is drained, by the sealer alone.

`log_report` is no part of the record: what the sealer says about itself, its register and its witnesses, for the health page.

`event` is the source of truth. Its guards are declarative, so that no code path can forget them:

- `history_is_gapless_and_linked`: an event names the event before it in its stream by sequence, leaf hash *and* state;
- `leaf_hash` is computed by PostgreSQL from the stored bytes, so a wrong hash cannot be stored;
- append-only triggers (migration `guards`) refuse UPDATE, DELETE and TRUNCATE even under `session_replication_role`.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from biobank.foundation import db as _db
from biobank.foundation.db import table_of, when

_ = _db.metadata


class Event(SQLModel, table=True):
    """One fact: its final bytes and the columns derived from them for questions."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("stream_kind", "stream_id", "seq", "leaf_hash", "state", name="event_is_named_by_hash_and_state"),
        ForeignKeyConstraint(
            ["stream_kind", "stream_id", "prev_seq", "prev_hash", "state_before"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="history_is_gapless_and_linked",
        ),
        CheckConstraint("seq >= 1", name="sequence_starts_at_one"),
        CheckConstraint("(seq = 1) = (prev_hash IS NULL)", name="only_the_first_event_has_no_predecessor"),
        CheckConstraint("octet_length(entry) BETWEEN 2 AND 65535", name="entry_fits_a_tile"),
        Index("ix_event_recorded_at", "recorded_at"),
        Index("ix_event_kind", "kind", "recorded_at"),
        Index("ix_event_recorded_by", "recorded_by", "recorded_at"),
        Index("ix_event_donor", "donor_code", "recorded_at"),
        # Where a container stood and what it might read, among the many readings of its stream (`storage/answers.py`).
        Index(
            "ix_event_place",
            "stream_id",
            "seq",
            postgresql_where=text("kind IN ('container.added', 'container.moved', 'container.limits_set')"),
        ),
        # Which specimen an unidentified item was (`specimens/answers.py`).
        Index("ix_event_same_as", "stream_id", postgresql_where=text("kind IN ('specimen.identified', 'specimen.recognised')")),
        # What came from paper, and what came long after its time: few of very many (`exports/selection.py`).
        Index(
            "ix_event_paper",
            "recorded_at",
            postgresql_where=text('position(\'"source":"paper"\'::bytea in entry) > 0'),
        ),
        Index("ix_event_late", "recorded_at", postgresql_where=text("recorded_at - occurred_at > interval '15 minutes'")),
        {"info": {"append_only": True}},
    )

    stream_kind: str = Field(sa_column=Column(Text, primary_key=True))
    stream_id: str = Field(sa_column=Column(Text, primary_key=True))
    seq: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    entry: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_hash: bytes = Field(
        sa_column=Column(LargeBinary, Computed("sha256('\\x00'::bytea || entry)", persisted=True), nullable=False, unique=True)
    )
    prev_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    prev_seq: int | None = Field(default=None, sa_column=Column(Integer, Computed("NULLIF(seq - 1, 0)", persisted=True)))
    state: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    state_before: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    occurred_at: datetime = Field(sa_column=when())
    recorded_at: datetime = Field(sa_column=when())
    recorded_by: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text))
    donor_code: str | None = Field(default=None, sa_column=Column(Text))


class StreamHead(SQLModel, table=True):
    """The last event of every stream that is not a specimen; the custody row is the head of a specimen's stream."""

    __tablename__ = "stream_head"
    __table_args__ = (
        ForeignKeyConstraint(
            ["stream_kind", "stream_id", "seq", "head_hash", "state"],
            ["event.stream_kind", "event.stream_id", "event.seq", "event.leaf_hash", "event.state"],
            name="stream_head_follows_log",
            deferrable=True,
            initially="DEFERRED",
        ),
        CheckConstraint("stream_kind <> 'specimen'", name="custody_is_the_head_of_a_specimen"),
        {"info": {"never_deleted": True}},
    )

    stream_kind: str = Field(sa_column=Column(Text, primary_key=True))
    stream_id: str = Field(sa_column=Column(Text, primary_key=True))
    seq: int = Field(sa_column=Column(Integer, nullable=False))
    head_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))


class Pending(SQLModel, table=True):
    """Events waiting to be sealed. Written in the event's own transaction; deleted by the sealer alone."""

    __tablename__ = "pending"

    qid: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False, unique=True))
    recorded_at: datetime = Field(sa_column=when())


class Quarantined(SQLModel, table=True):
    """A pending row the sealer could not seal: its bytes and its hash disagree. Every row is an alarm."""

    __tablename__ = "log_quarantine"
    __table_args__ = {"info": {"append_only": True, "sealer_only": True}}

    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    qid: int = Field(sa_column=Column(BigInteger, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    at: datetime = Field(sa_column=when())


class LogLock(SQLModel, table=True):
    """One row; `SELECT … FOR UPDATE` on it is the fence between sealers."""

    __tablename__ = "log_lock"
    __table_args__ = {"info": {"sealer_only": True}}

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))


class Leaf(SQLModel, table=True):
    """The log itself: index → leaf hash."""

    __tablename__ = "leaf"
    __table_args__ = {"info": {"append_only": True, "sealer_only": True}}

    log_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))


class Tile(SQLModel, table=True):
    """Full tiles only (256 hashes of 32 bytes); partial tiles are derived from leaves and from roots one level down."""

    __tablename__ = "tile"
    __table_args__ = (
        CheckConstraint("octet_length(hashes) = 8192", name="only_full_tiles_are_rows"),
        {"info": {"append_only": True, "sealer_only": True}},
    )

    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    n: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    hashes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class TreeHead(SQLModel, table=True):
    """A durable size of the log with its root and the compact range that continues it."""

    __tablename__ = "tree_head"
    __table_args__ = {"info": {"append_only": True, "sealer_only": True}}

    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    range: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sealed_at: datetime = Field(sa_column=when())


class Checkpoint(SQLModel, table=True):
    """A signed note over a tree head that is durable."""

    __tablename__ = "checkpoint"
    __table_args__ = {"info": {"append_only": True, "sealer_only": True}}

    size: int = Field(sa_column=Column(BigInteger, ForeignKey("tree_head.size"), primary_key=True, autoincrement=False))
    note: str = Field(sa_column=Column(Text, nullable=False))


class Cosignature(SQLModel, table=True):
    """A witness's signature line under a checkpoint."""

    __tablename__ = "cosignature"
    __table_args__ = {"info": {"append_only": True, "sealer_only": True}}

    size: int = Field(sa_column=Column(BigInteger, ForeignKey("checkpoint.size"), primary_key=True, autoincrement=False))
    key_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    line: str = Field(sa_column=Column(Text, nullable=False))


class RootSignature(SQLModel, table=True):
    """The log's own signature under the root of a checkpoint in another form: what COSE receipts carry (`cose`)."""

    __tablename__ = "root_signature"
    __table_args__ = (
        CheckConstraint("octet_length(signature) = 64", name="a_root_signature_is_ed25519"),
        {"info": {"append_only": True, "sealer_only": True}},
    )

    size: int = Field(sa_column=Column(BigInteger, ForeignKey("checkpoint.size"), primary_key=True, autoincrement=False))
    key_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LogReport(SQLModel, table=True):
    """The latest word of the sealer about one part of the log, for web processes that see neither register nor witness."""

    __tablename__ = "log_report"
    __table_args__ = {"info": {"sealer_only": True}}

    part: str = Field(sa_column=Column(Text, primary_key=True))
    """`sealer`, `register`, `audit`, or `witness <name>`."""
    state: str = Field(sa_column=Column(Text, nullable=False))
    size: int | None = Field(default=None, sa_column=Column(BigInteger))
    """Of the register: the registered size. Of a witness: the last cosigned size. Of the audit: events found in no place."""
    since: datetime | None = Field(default=None, sa_column=when(nullable=True))
    """Of a witness: when it cosigned that size, by its own clock."""
    reported_at: datetime = Field(sa_column=when())


# The tables, by the names under which everybody imports them.
event = table_of(Event)
stream_head = table_of(StreamHead)
leaf = table_of(Leaf)
tree_head = table_of(TreeHead)
checkpoint = table_of(Checkpoint)
pending = table_of(Pending)
