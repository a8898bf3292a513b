"""Tables of signing in by badge and PIN: browsers that were enrolled as stations, PINs, and wrong ones that were entered."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Text, Uuid
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class Station(SQLModel, table=True):
    """A browser that stands at a workstation. It is known by a cookie, of which a hash is kept (`auth/stations.py`).

    `secret_hash` is of the cookie that the browser has shown, `next_hash` of the one that it was given since, `prior_hash` of the
    one before, which shown again means that two have it. `name`: what the register called the workstation.
    """

    __tablename__ = "station"
    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (ended_event IS NULL)", name="a_station_ends_by_an_event"),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    workstation: str = Field(sa_column=Column(Text, ForeignKey("register_entry.key"), nullable=False))
    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    next_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, unique=True))
    prior_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, unique=True))
    enrolled_at: datetime = Field(sa_column=when())
    enrolled_by: str = Field(sa_column=Column(Text, nullable=False))
    enrolled_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    ended_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class BadgePin(SQLModel, table=True):
    """The PIN of a login: its Argon2id hash, encrypted under the bank's secret `second-factor`."""

    __tablename__ = "badge_pin"
    __table_args__ = {"info": {"app_may_delete": True}}

    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    pin: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    set_at: datetime = Field(sa_column=when())


class BadgeFailure(SQLModel, table=True):
    """How many wrong PINs were entered for a badge at a station since its last right one, or its owner's last full sign-in."""

    __tablename__ = "badge_failure"
    __table_args__ = {"info": {"app_may_delete": True}}

    user_code: str = Field(sa_column=Column(Text, ForeignKey("app_user.code"), primary_key=True))
    station_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("station.id"), primary_key=True))
    failures: int = Field(sa_column=Column(Integer, nullable=False))


# The tables, by the names under which everybody imports them.
station = table_of(Station)
badge_pin = table_of(BadgePin)
badge_failure = table_of(BadgeFailure)
