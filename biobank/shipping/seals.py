"""Which seals of a shipment were looked at: its own, and those of its boxes. One that nobody looked at proves nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.states import StreamKind
from biobank.shipping.boxes import boxes_of
from biobank.shipping.schemas import ArrivedBox
from biobank.transparency.models import event


def was_looked_at(seen: Any) -> bool:
    """Say whether somebody said anything of a seal on arrival. Pure. `seen`: a shipment or a box as it was found."""
    return seen.seal is not None or seen.seal_intact is not None


def own_seal_unseen(session: Session, row: Any) -> bool:
    """Say whether a shipment (its row) left under a seal that nobody has looked at on arrival."""
    return row.seal is not None and None not in _looked_at(session, row.code)


def boxes_unseen(
    session: Session, row: Any, arrived: Sequence[ArrivedBox] = (), received: Sequence[str] | None = None
) -> list[str]:
    """Return the boxes of a shipment (its row) under whose seal something lay and of which nobody has looked at that seal.

    `arrived`: boxes as they are found now; `received`: only boxes in which one of these tubes lay, None: all.
    """
    looked: set[str | None] = {one.box for one in arrived if was_looked_at(one)}
    boxes = [one for one in boxes_of(session, row.code) if received is None or set(one.specimens) & set(received)]
    if boxes:
        looked |= _looked_at(session, row.code)
    return [one.box for one in boxes if one.box not in looked]


def _looked_at(session: Session, code: str) -> set[str | None]:
    """Return the boxes of a shipment whose seal was looked at, None among them for the seal of the whole."""
    body = func.convert_from(event.c.entry, "UTF8").cast(JSONB)["body"]
    rows = session.execute(
        select(body["box"].astext).where(
            event.c.stream_kind == StreamKind.SHIPMENT.value,
            event.c.stream_id == code,
            event.c.kind.in_(["shipment.received", "shipment.box_compared"]),
            func.coalesce(body["seal"].astext, body["seal_intact"].astext).is_not(None),
        )
    )
    return set(rows.scalars())
