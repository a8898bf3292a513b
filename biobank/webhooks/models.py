"""Subscriptions of other systems, the secrets that sign for them, and what is being sent to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when
from biobank.foundation.names import key_column


class Webhook(SQLModel, table=True):
    """A subscription: which events go to which address.

    `log_place`: how many entries of the log it has gone through; null before it was opened. `owner`: who completed its opening,
    and whose rights bound it. `turn` is the fence of the worker that has it until `busy_until`.
    """

    __tablename__ = "webhook"
    __table_args__ = (
        CheckConstraint("state IN ('not_opened','open','stopped','withdrawn')", name="webhook_state_is_known"),
        CheckConstraint("stopped_because IN ('person','gone','owner')", name="why_a_webhook_stopped_is_known"),
        CheckConstraint("(state = 'stopped') = (stopped_because IS NOT NULL)", name="a_stopped_webhook_says_why"),
        CheckConstraint("state <> 'open' OR (owner IS NOT NULL AND log_place IS NOT NULL)", name="an_open_webhook_has_an_owner"),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    name_key: str = Field(sa_column=key_column())
    url: str = Field(sa_column=Column(Text, nullable=False))
    kinds: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    sites: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("site.code")))
    from_beginning: bool = Field(sa_column=Column(Boolean, nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    stopped_because: str | None = Field(default=None, sa_column=Column(Text))
    made_by: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), nullable=False))
    made_at: datetime = Field(sa_column=when())
    owner: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("app_user.code")))
    opened_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    log_place: int | None = Field(default=None, sa_column=Column(BigInteger))
    failures: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    quiet_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    busy_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    turn: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    turn_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class WebhookSecret(SQLModel, table=True):
    """A secret under which a subscription's messages are signed; it follows from its salt and a key of the key database."""

    __tablename__ = "webhook_secret"
    __table_args__ = (
        CheckConstraint("octet_length(salt) = 32", name="a_salt_has_32_bytes"),
        {"info": {"never_deleted": True}},
    )

    webhook_code: str = Field(sa_column=Column(Text, ForeignKey("webhook.code"), primary_key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    made_at: datetime = Field(sa_column=when())
    ends_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one subscription; of a trial there is no event. Delivered ones are forgotten after some days."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting','delivered','undeliverable','left_out','withheld','failed')",
            name="webhook_delivery_state_is_known",
        ),
        CheckConstraint("(log_index IS NULL) = (leaf_hash IS NULL)", name="a_delivery_is_of_an_entry_or_a_trial"),
        Index("ix_webhook_delivery_once", "webhook_code", "log_index", unique=True),
        Index(
            "ix_webhook_delivery_open",
            "webhook_code",
            "stream",
            "log_index",
            postgresql_where=text("state IN ('waiting','undeliverable')"),
        ),
        Index("ix_webhook_delivery_made", "webhook_code", "made_at"),
        {"info": {"app_may_delete": True}},
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    webhook_code: str = Field(sa_column=Column(Text, ForeignKey("webhook.code"), nullable=False))
    log_index: int | None = Field(default=None, sa_column=Column(BigInteger))
    leaf_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    stream: str = Field(sa_column=Column(Text, nullable=False))
    site_code: str | None = Field(default=None, sa_column=Column(Text))
    state: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=when())
    attempts: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    next_at: datetime = Field(sa_column=when())
    last_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    outcome: str | None = Field(default=None, sa_column=Column(Text))
    status: int | None = Field(default=None, sa_column=Column(SmallInteger))


# The tables, by the names under which everybody imports them.
webhook = table_of(Webhook)
webhook_secret = table_of(WebhookSecret)
webhook_delivery = table_of(WebhookDelivery)
