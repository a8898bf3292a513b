"""Tables around every act: replays of committed answers, refused attempts, and acts that wait for a second person."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class Idempotency(SQLModel, table=True):
    """A committed answer, kept 90 days under the caller's key, free of personal data."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_at", "at"), {"info": {"app_may_delete": True}})

    actor_code: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    request_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    answer: str = Field(sa_column=Column(Text, nullable=False))
    at: datetime = Field(sa_column=when())


class Attempt(SQLModel, table=True):
    """A refusal that was kept: who tried what, on which codes, and why the bank said no. Append-only."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_subject", "subject", "at"), Index("ix_attempt_at", "at"), {"info": {"append_only": True}})

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    at: datetime = Field(sa_column=when())
    actor_code: str = Field(sa_column=Column(Text, nullable=False))
    method: str = Field(sa_column=Column(Text, nullable=False))
    path: str = Field(sa_column=Column(Text, nullable=False))
    subject: str | None = Field(default=None, sa_column=Column(Text))
    site_code: str | None = Field(default=None, sa_column=Column(Text))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    code: str = Field(sa_column=Column(Text, nullable=False))
    detail: str = Field(sa_column=Column(Text, nullable=False))
    evidence: bool = Field(sa_column=Column(Boolean, nullable=False))


class PendingAct(SQLModel, table=True):
    """An act of two people, proposed and signed by the first; `needs` is what the second must be allowed at `site_code`.

    `first_signed`: the first signature as the act's entries will bear it; `first_hands`: whose hands the first person named.
    """

    __tablename__ = "pending_act"
    __table_args__ = (
        CheckConstraint(
            "completed_by IS NULL OR (completed_by <> proposed_by AND completed_by <> ALL (first_hands))",
            name="two_person_act_has_two_people",
        ),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    act: str = Field(sa_column=Column(Text, nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False, index=True))
    body: dict[str, object] = Field(sa_column=Column(JSONB, nullable=False))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    needs: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    proposed_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    first_hands: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))
    )
    proposed_at: datetime = Field(sa_column=when())
    first_signature: UUID = Field(sa_column=Column(Uuid, ForeignKey("signature.id"), nullable=False))
    first_signed: dict[str, object] = Field(sa_column=Column(JSONB, nullable=False))
    expires_at: datetime = Field(sa_column=when())
    completed_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    completed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    second_signature: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("signature.id")))
    cancelled_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


# The tables, by the names under which everybody imports them.
idempotency = table_of(Idempotency)
attempt = table_of(Attempt)
pending_act = table_of(PendingAct)
