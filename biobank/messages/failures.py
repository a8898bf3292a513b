"""What could not be sent: seen by administrators, sent again by them. They read who, of which kind and why; no address."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.messages.models import message


class MessageFailed(BaseModel):
    """A message that failed at least once. `due_at`: when it is tried again; null: it was given up."""

    id: UUID
    to: str
    kind: str
    site: str
    made_at: datetime
    tries: int
    fault: str
    due_at: datetime | None


class MessageFailedList(Listed[MessageFailed]):
    """What could not be sent so far."""


class SendAgain(BaseModel):
    """Try it again now."""

    model_config = ConfigDict(extra="forbid")


def list_failed(session: Session, actor: Actor, *, paging: Paging = Paging()) -> MessageFailedList:
    """List what failed and was neither sent since nor is wanted no more, newest first. Raises NotPermitted."""
    actor.require(Permission.USER_MANAGE, at=ANYWHERE)
    known = actor.scope(Permission.USER_MANAGE).of(message.c.site_code)
    statement = select(message).where(message.c.fault.is_not(None), message.c.ended.is_distinct_from("sent"), known)
    statement = statement.where(message.c.ended.is_distinct_from("not_wanted"))
    page = read_page(session, statement, paging, key=message.c.id, orders={"made_at": message.c.made_at}, default="-made_at")
    return MessageFailedList(items=[_public(row) for row in page.rows], **page.ends)


def send_again(session: Session, act: Act, identity: UUID, _request: SendAgain) -> MessageFailed:
    """Let a message that was given up, or waits, be tried now. Raises NotFound, NotPermitted."""
    row = session.execute(select(message).where(message.c.id == identity).with_for_update()).first()
    if row is None or row.fault is None or row.ended in ("sent", "not_wanted"):
        raise NotFound("There is no message like this that failed.")
    act.actor.require(Permission.USER_MANAGE, at=row.site_code)
    anew = update(message).where(message.c.id == identity).values(due_at=act.at, ended=None, ended_at=None, tries=0)
    return _public(session.execute(anew.returning(message)).one())


def _public(row: "Row[Any]") -> MessageFailed:
    return MessageFailed.model_validate(
        {name: getattr(row, name) for name in ("id", "kind", "made_at", "tries", "fault", "due_at")}
        | {"to": row.user_code, "site": row.site_code}
    )
