"""Boxes of a shipment, each under a seal of its own: recorded when it leaves, compared when it arrives.

A box whose seal is broken or another is held by one hold, for everything in it and what is made of that, as a shipment is.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.custody.entry import Head
from biobank.custody.ledger import Fact
from biobank.custody.states import StreamKind
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, MalformedRequest
from biobank.shipping.events import BoxCompared, BoxSealed
from biobank.shipping.models import ShipmentBox, shipment_item
from biobank.shipping.schemas import ArrivedBox, BoxPublic, PackedBox

shipment_box = table_of(ShipmentBox)


class NoSuchBox(Conflict):
    """The shipment has no box of that number."""

    code = "no_such_box"
    title = "No such box"


def scope_of(shipment: str, box: str) -> str:
    """Return what a hold on one box of a shipment is about."""
    return f"{shipment}_{box}"


def boxes_of_tubes(boxes: Sequence[PackedBox], packed: Collection[str]) -> dict[str, str]:
    """Return the box of each tube that is in one; raise MalformedRequest where that cannot be. Pure."""
    found: dict[str, str] = {}
    numbers = [one.box for one in boxes]
    twice = next((one for one in numbers if numbers.count(one) > 1), None)
    if twice is not None:
        raise MalformedRequest(f"Box {twice} stands twice. Give each box its number and its seal once.")
    for one in boxes:
        for tube in one.specimens:
            if tube not in packed:
                raise MalformedRequest(f"{tube} is in box {one.box} and is not among what is sent. Scan it there too.")
            if tube in found:
                raise MalformedRequest(f"{tube} is in box {found[tube]} and in box {one.box}. It lies in one of them.")
            found[tube] = one.box
    return found


def seal_boxes(session: Session, shipment: str, boxes: Sequence[PackedBox], head: Head) -> list[Fact]:
    """Keep the boxes of a shipment that leaves; return what is to be recorded of them."""
    if boxes:
        session.execute(insert(shipment_box), [{"shipment_code": shipment, "box": one.box, "seal": one.seal} for one in boxes])
    return [
        Fact(StreamKind.SHIPMENT, shipment, BoxSealed(box=one.box, seal=one.seal, specimens=tuple(sorted(one.specimens))), head)
        for one in boxes
    ]


def boxes_of(session: Session, shipment: str) -> list[BoxPublic]:
    """Return the boxes of a shipment with what is in each."""
    rows = session.execute(
        select(shipment_box.c.box, shipment_box.c.seal, shipment_item.c.specimen_code)
        .select_from(
            shipment_box.outerjoin(
                shipment_item,
                (shipment_item.c.shipment_code == shipment_box.c.shipment_code) & (shipment_item.c.box == shipment_box.c.box),
            )
        )
        .where(shipment_box.c.shipment_code == shipment)
        .order_by(shipment_box.c.box, shipment_item.c.specimen_code)
    )
    found: dict[str, BoxPublic] = {}
    for row in rows:
        one = found.setdefault(row.box, BoxPublic(box=row.box, seal=row.seal, specimens=[]))
        if row.specimen_code is not None:
            one.specimens.append(row.specimen_code)
    return list(found.values())


def require_boxes(session: Session, shipments: Collection[str], named: Collection[str]) -> None:
    """Raise NoSuchBox for a box that is in none of these shipments."""
    if not named:
        return
    known = {one.box for shipment in shipments for one in boxes_of(session, shipment)}
    for box in sorted(set(named) - known):
        where = " or ".join(sorted(shipments)) or "what was carried by hand"
        raise NoSuchBox(f"There is no box {box} in {where}. Look at the number on it; the manifest names the boxes.")


def is_broken(sent: str, arrived: ArrivedBox) -> bool:
    """Say whether a box did not arrive as it was sealed: broken, or under another seal than `sent`. Pure."""
    return arrived.seal_intact is False or (arrived.seal is not None and arrived.seal != sent)


def compare_boxes(session: Session, shipment: str, arrived: Sequence[ArrivedBox]) -> list[BoxCompared]:
    """Return what is to be recorded of the boxes that were looked at on arrival.

    Raises NoSuchBox, MalformedRequest (a box stands twice).
    """
    require_boxes(session, [shipment], [one.box for one in arrived])
    sent = {one.box: one.seal for one in boxes_of(session, shipment)} if arrived else {}
    seen: set[str] = set()
    for one in arrived:
        if one.box in seen:
            raise MalformedRequest(f"Box {one.box} stands twice. Say of each box once how it arrived.")
        seen.add(one.box)
    return [
        BoxCompared(box=one.box, seal=one.seal, seal_intact=one.seal_intact, broken=is_broken(sent[one.box], one))
        for one in arrived
    ]
