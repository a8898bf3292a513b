"""Hand-overs and shipments. Both are agreements about specimens; who holds a specimen stands in custody alone."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class Handover(SQLModel, table=True):
    """An offer of custody. It ends once: accepted, declined (by the receiver, or taken back by the giver) or expired."""

    __tablename__ = "handover"
    __table_args__ = (
        CheckConstraint("from_kind IN ('user','site')", name="giver_is_a_user_or_a_site"),
        CheckConstraint("to_kind IN ('user','site','courier')", name="receiver_is_a_user_a_site_or_a_courier"),
        CheckConstraint("(from_kind, from_id) <> (to_kind, to_id)", name="nobody_hands_over_to_themselves"),
        CheckConstraint("num_nonnulls(accepted_at, declined_at, expired_at) <= 1", name="handover_ends_in_one_way"),
        CheckConstraint("(accepted_at IS NULL) = (accepted_by IS NULL)", name="an_accepted_handover_has_a_taker"),
        CheckConstraint("(declined_at IS NULL) = (declined_by IS NULL)", name="a_declined_handover_says_who"),
        CheckConstraint("to_kind <> 'user' OR accepted_by IS NULL OR accepted_by = to_id", name="a_user_accepts_in_person"),
        CheckConstraint("to_kind = 'courier' OR accepted_by <> offered_by", name="giving_and_taking_are_two_people"),
        CheckConstraint("expires_at > offered_at", name="an_offer_lasts"),
        Index("ix_handover_open", "to_kind", "to_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_handover_due", "expires_at", postgresql_where=text("ended_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    from_kind: str = Field(sa_column=Column(Text, nullable=False))
    from_id: str = Field(sa_column=Column(Text, nullable=False))
    to_kind: str = Field(sa_column=Column(Text, nullable=False))
    to_id: str = Field(sa_column=Column(Text, nullable=False))
    offered_at: datetime = Field(sa_column=when())
    offered_by: str = Field(sa_column=Column(Text, nullable=False))
    expires_at: datetime = Field(sa_column=when())
    accepted_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    accepted_by: str | None = Field(default=None, sa_column=Column(Text))
    evidence: str | None = Field(default=None, sa_column=Column(Text))
    declined_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    declined_by: str | None = Field(default=None, sa_column=Column(Text))
    decline_reason: str | None = Field(default=None, sa_column=Column(Text))
    expired_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=when(nullable=True))


class HandoverItem(SQLModel, table=True):
    """One specimen of a hand-over. `open` is true while the offer of this specimen stands; one offer at a time."""

    __tablename__ = "handover_item"
    __table_args__ = (
        Index("one_open_offer_per_specimen", "specimen_code", unique=True, postgresql_where=text("open")),
        Index("ix_handover_item_specimen", "specimen_code"),
        {"info": {"never_deleted": True}},
    )

    handover_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("handover.id"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    state_seq: int = Field(sa_column=Column(Integer, nullable=False))
    offered_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))
    open: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))


class Shipment(SQLModel, table=True):
    """A journey between two sites with a courier. It is closed when none of its specimens is underway any more."""

    __tablename__ = "shipment"
    __table_args__ = (
        CheckConstraint("from_site <> to_site", name="a_shipment_goes_elsewhere"),
        CheckConstraint("(closed_at IS NULL) = (closed_event IS NULL)", name="a_closed_shipment_has_its_event"),
        CheckConstraint("expected_by > dispatched_at AND cold_until > dispatched_at", name="a_shipment_arrives_after_it_left"),
        Index("ix_shipment_open", "code", postgresql_where=text("closed_at IS NULL")),
        {"info": {"never_deleted": True}},
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    from_site: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    to_site: str = Field(sa_column=Column(Text, ForeignKey("site.code"), nullable=False, index=True))
    courier: str = Field(sa_column=Column(Text, nullable=False))
    evidence: str | None = Field(default=None, sa_column=Column(Text))
    temperature_class: str | None = Field(default=None, sa_column=Column(Text))
    shipper: str | None = Field(default=None, sa_column=Column(Text))
    logger: str | None = Field(default=None, sa_column=Column(Text))
    seal: str | None = Field(default=None, sa_column=Column(Text))
    waybill: str | None = Field(default=None, sa_column=Column(Text))
    qualification: str | None = Field(default=None, sa_column=Column(Text))
    charge_g: int | None = Field(default=None, sa_column=Column(Integer))
    cold_until: datetime | None = Field(default=None, sa_column=when(nullable=True))
    expected_by: datetime | None = Field(default=None, sa_column=when(nullable=True))
    dispatched_at: datetime = Field(sa_column=when())
    dispatched_by: str = Field(sa_column=Column(Text, nullable=False))
    closed_at: datetime | None = Field(default=None, sa_column=when(nullable=True))
    closed_event: bytes | None = Field(default=None, sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash")))


class ShipmentBox(SQLModel, table=True):
    """A box of a shipment and the seal it left under."""

    __tablename__ = "shipment_box"
    __table_args__ = (CheckConstraint("box ~ '^[A-Z0-9-]{1,12}$'", name="a_box_has_a_number"), {"info": {"append_only": True}})

    shipment_code: str = Field(sa_column=Column(Text, ForeignKey("shipment.code"), primary_key=True))
    box: str = Field(sa_column=Column(Text, primary_key=True))
    seal: str = Field(sa_column=Column(Text, nullable=False))


class ShipmentItem(SQLModel, table=True):
    """A line of the manifest. `issued_for`: the withdrawal a specimen had been issued for when it left; `box`: its box."""

    __tablename__ = "shipment_item"
    __table_args__ = (
        Index("ix_shipment_item_specimen", "specimen_code"),
        ForeignKeyConstraint(
            ["shipment_code", "box"],
            ["shipment_box.shipment_code", "shipment_box.box"],
            name="a_tube_is_in_a_box_of_its_shipment",
        ),
        {"info": {"append_only": True}},
    )

    shipment_code: str = Field(sa_column=Column(Text, ForeignKey("shipment.code"), primary_key=True))
    specimen_code: str = Field(sa_column=Column(Text, ForeignKey("specimen.code"), primary_key=True))
    issued_for: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("withdrawal.code")))
    box: str | None = Field(default=None, sa_column=Column(Text))
    dispatched_event: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


# Two modules ask this table: the lines of a manifest, and the boxes they lie in.
shipment_item = table_of(ShipmentItem)
