"""When the way of a withdrawal's tubes began, whose temperature record is judged on arrival and when they come back."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.custody.states import StreamKind
from biobank.transparency.models import event
from biobank.withdrawals.events import Issued


def left_the_bank(session: Session, tubes: Collection[str]) -> dict[str, datetime]:
    """Return when each tube was last issued: its way began there, whoever carried it."""
    issued = (event.c.stream_kind == StreamKind.SPECIMEN.value, event.c.kind == Issued.model_fields["kind"].default)
    rows = session.execute(
        select(event.c.stream_id, func.max(event.c.occurred_at).label("left"))
        .where(event.c.stream_id.in_(sorted(tubes)), *issued)
        .group_by(event.c.stream_id)
    )
    return {row.stream_id: row.left for row in rows}
