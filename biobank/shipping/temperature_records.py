"""What was read of the cold on the way of a shipment: the file of its logger, and any temperature on arrival."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.states import Condition, StreamKind
from biobank.shipping.shipment_queries import item, kinds_inside
from biobank.transparency.models import event


def has_no_record(session: Session, row: Any) -> bool:
    """Say whether a logger travelled with a shipment of which no file has been read."""
    if row.logger is None:
        return False
    return not _is_said(session, row, "logger_sha256")


def nobody_read_it(session: Session, row: Any) -> bool:
    """Say whether frozen material travelled in a shipment of which nobody has read any temperature."""
    if not any(condition == Condition.FROZEN for _, condition in kinds_inside(session, row.code)):
        return False
    if _is_said(session, row, "logger_sha256") or _is_said(session, row, "temperature_mc"):
        return False
    said = func.convert_from(event.c.entry, "UTF8").cast(JSONB)["body"]["temperature_mc"].astext
    tubes = select(item.c.specimen_code).where(item.c.shipment_code == row.code)
    read = select(event.c.seq).where(
        event.c.stream_kind == StreamKind.SPECIMEN.value,
        event.c.stream_id.in_(tubes),
        event.c.kind.in_(_ARRIVING),
        event.c.occurred_at >= row.dispatched_at,
        said.is_not(None),
    )
    return session.execute(read.limit(1)).first() is None


_ARRIVING = ("specimen.received", "specimen.delivered", "specimen.refused")


def _is_said(session: Session, row: Any, member: str) -> bool:
    """Say whether an event of a shipment (its row) states a member of its body."""
    said = func.convert_from(event.c.entry, "UTF8").cast(JSONB)["body"][member].astext
    read = select(event.c.seq).where(
        event.c.stream_kind == StreamKind.SHIPMENT.value, event.c.stream_id == row.code, said.is_not(None)
    )
    return session.execute(read.limit(1)).first() is not None
