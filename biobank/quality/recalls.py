"""Recalls as they stand: what each froze, where its units are now, what its cause reached since, and who was told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.custody.models import custody, hold
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.quality.look_back import reached
from biobank.quality.models import recall as recall_table
from biobank.quality.models import recall_closing, recall_item, unit_disposition
from biobank.quality.notices import list_notices
from biobank.quality.schemas import Criteria, JudgedUnit, RecallDetail, RecallList, RecallPublic

ORDERS = {"started_at": recall_table.c.started_at, "deviation": recall_table.c.deviation_code}


_RECALLS = select(recall_table, recall_closing.c.closed_at, recall_closing.c.closed_by).outerjoin(
    recall_closing, recall_closing.c.recall_id == recall_table.c.id
)


def list_recalls(session: Session, actor: Actor, *, paging: Paging = Paging()) -> RecallList:
    """List recalls, the newest first. A recall knows no sites: whoever reads them must be allowed to know all of the log."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    page = read_page(session, _RECALLS, paging, key=recall_table.c.id, orders=ORDERS, default="-started_at")
    return RecallList(items=[RecallPublic(**_public(row)) for row in page.rows], **page.ends)


def row_of_recall(session: Session, actor: Actor, recall: UUID | str) -> "Row[Any]":
    """Return the row of a recall by its id or its deviation's code, with its closing; raise NotFound, NotPermitted."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    key = recall_table.c.id if isinstance(recall, UUID) else recall_table.c.deviation_code
    row = session.execute(_RECALLS.where(key == recall)).first()
    if row is None:
        raise NotFound("There is no such recall.")
    return row


def recall_of(session: Session, actor: Actor, deviation: str) -> UUID | None:
    """Return the recall that a deviation is about, for whoever may read recalls."""
    if not actor.may(Permission.LOG_READ, at=EVERYWHERE):
        return None
    return session.scalar(select(recall_table.c.id).where(recall_table.c.deviation_code == deviation))


def read_recall(session: Session, actor: Actor, recall: UUID) -> RecallDetail:
    """Return a recall with the set that it froze, as it is now; raise NotFound, NotPermitted."""
    row = row_of_recall(session, actor, recall)
    items = session.execute(
        select(
            recall_item.c.specimen_code.label("specimen"),
            recall_item.c.withdrawal_code.label("withdrawal"),
            custody.c.donor_code.label("donor"),
            custody.c.state,
            custody.c.quality,
            custody.c.site_code.label("site"),
            hold.c.lifted_at.is_(None).label("held"),
            unit_disposition.c.disposition,
        )
        .join(custody, custody.c.code == recall_item.c.specimen_code)
        .join(hold, hold.c.id == recall_item.c.hold_id)
        .outerjoin(
            unit_disposition,
            and_(
                unit_disposition.c.deviation_code == row.deviation_code,
                unit_disposition.c.specimen_code == recall_item.c.specimen_code,
            ),
        )
        .where(recall_item.c.recall_id == recall)
        .order_by(recall_item.c.specimen_code)
    ).mappings()
    units = [JudgedUnit.model_validate(dict(one)) for one in items]
    frozen = _frozen_from(session, row.started_at)
    since = [one.specimen for one in reached(session, Criteria.model_validate(row.criteria)) if one.specimen not in frozen]
    told = list_notices(session, actor, about=row.deviation_code, paging=Paging(limit=1000)).items
    return RecallDetail(**_public(row), items=units, reached_since=since, notices=told)


def _frozen_from(session: Session, at: datetime) -> frozenset[str]:
    """Return what was frozen by recalls that started then or later: an earlier one's verdict says nothing of a newer cause."""
    frozen = select(recall_item.c.specimen_code).join(recall_table, recall_table.c.id == recall_item.c.recall_id)
    return frozenset(session.execute(frozen.where(recall_table.c.started_at >= at)).scalars())


def _public(row: "Row[Any]") -> dict[str, Any]:
    return {
        "id": row.id,
        "deviation": row.deviation_code,
        "criteria": row.criteria,
        "reason": row.reason,
        "specimens": row.specimens,
        "started_at": row.started_at,
        "started_by": row.started_by,
        "closed_at": row.closed_at,
        "closed_by": row.closed_by,
    }
