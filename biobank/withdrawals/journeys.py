"""The temperature record of the way of a withdrawal's tubes: in their shipment, carried by hand, or back to the bank."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.states import StreamKind
from biobank.monitoring.loggers import Dates
from biobank.shipping.journey_logs import Journey, Logged, read_journey
from biobank.transparency.models import event
from biobank.withdrawals.events import Issued


class NamesItsRecord(Protocol):
    """A request that names the stored file of a logger, or none, and what the file itself leaves open."""

    logger_sha256: str | None
    zone: str | None
    dates: Dates | None


def read_record(session: Session, act: Act, journey: Journey, request: NamesItsRecord) -> Logged | None:
    """Return what the logger read on the way, None without a file; raises what `read_journey` raises."""
    return read_journey(session, act, journey, request.logger_sha256, zone=request.zone, dates=request.dates)


def left_the_bank(session: Session, tubes: Collection[str]) -> dict[str, datetime]:
    """Return when each tube was last issued: its way began there, whoever carried it."""
    issued = (event.c.stream_kind == StreamKind.SPECIMEN.value, event.c.kind == Issued.model_fields["kind"].default)
    rows = session.execute(
        select(event.c.stream_id, func.max(event.c.occurred_at).label("left"))
        .where(event.c.stream_id.in_(sorted(tubes)), *issued)
        .group_by(event.c.stream_id)
    )
    return {row.stream_id: row.left for row in rows}


def logged_members(logged: Logged | None) -> dict[str, int | None]:
    """Return the members in which an event carries what a logger read."""
    return {
        "logged_lowest_mc": None if logged is None else logged.lowest_mc,
        "logged_highest_mc": None if logged is None else logged.highest_mc,
    }
