"""Bench sessions and what was handled in them. The database refuses a second open session and another person's material."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from biobank.foundation.db import MOVES_WITH_ITS_DONOR, donor_unless_anothers, not_another_donors, table_of, when


class BenchSession(SQLModel, table=True):
    """A workstation that was cleared and opened for one person's material, until it was cleared and closed again."""

    __tablename__ = "bench_session"
    __table_args__ = (
        UniqueConstraint("code", "donor_code", name="bench_session_is_named_by_code_and_donor"),
        CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="a_bench_is_closed_by_somebody"),
        CheckConstraint("closed_at >= opened_at", name="a_bench_closes_after_it_opened"),
        CheckConstraint(
            "coalesce(opened_second <> opened_by, true) AND coalesce(closed_second <> closed_by, true)",
            name="two_people_clear_a_line",
        ),
        Index("one_session_is_open_at_a_workstation", "workstation", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_bench_session_workstation", "workstation", "opened_at"),
        Index("ix_bench_session_opened", "opened_at", "code"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    workstation: str = Field(sa_column=Column(Text, ForeignKey("register_entry.key"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    donor_code: str = Field(sa_column=Column(Text, ForeignKey("donor.code"), nullable=False, index=True))
    opened_at: datetime = Field(sa_column=when())
    opened_by: str = Field(sa_column=Column(Text, nullable=False))
    opened_second: str | None = Field(default=None, sa_column=Column(Text))
    opened_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    closed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    closed_by: str | None = Field(default=None, sa_column=Column(Text))
    closed_second: str | None = Field(default=None, sa_column=Column(Text))
    closed_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class BenchHandling(SQLModel, table=True):
    """That a specimen was handled in a session. `used_in`: the run that did it, where one did.

    `another_donors`: it turned out later to be of another donor than the session's.
    """

    __tablename__ = "bench_handling"
    __table_args__ = (
        ForeignKeyConstraint(
            ["session_code", "donor_code"],
            ["bench_session.code", "bench_session.donor_code"],
            name="handled_for_the_sessions_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        ForeignKeyConstraint(
            ["specimen_code", "specimen_donor"],
            ["specimen.code", "specimen.donor_code"],
            name="handled_is_of_the_specimens_donor",
            **MOVES_WITH_ITS_DONOR,
        ),
        Index("ix_bench_handling_specimen", "specimen_code", "at"),
        Index("ix_bench_handling_session", "session_code", "at"),
        {"info": {"append_only": True, "moves_with_its_donor": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    session_code: str = Field(sa_column=Column(Text, nullable=False))
    specimen_code: str = Field(sa_column=Column(Text, nullable=False))
    donor_code: str = Field(sa_column=Column(Text, nullable=False))
    another_donors: bool = Field(default=False, sa_column=not_another_donors())
    specimen_donor: str | None = Field(default=None, sa_column=donor_unless_anothers())
    what: str = Field(sa_column=Column(Text, nullable=False))
    used_in: str | None = Field(default=None, sa_column=Column(Text))
    at: datetime = Field(sa_column=when())
    by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


# The tables, by the names under which everybody imports them.
bench_session = table_of(BenchSession)
bench_handling = table_of(BenchHandling)
