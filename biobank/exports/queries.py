"""Searching the log, a page at a time."""

from datetime import UTC, datetime

from sqlalchemy import Boolean, and_, literal_column, or_, select, text, tuple_
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.queries import events_public
from biobank.exports.schemas import LogPage
from biobank.exports.selection import ENTERED, Selection, codes_of_donor, within
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import MalformedRequest
from biobank.transparency.models import event, leaf


def search_log(
    session: Session, actor: Actor, selection: Selection, after: str | None = None, limit: int = 100, *, newest: bool = False
) -> LogPage:
    """Return a page of the log in the order of recording (or newest first), filtered.

    `after` is the `next` of the page before. Raises NotPermitted without log:read, MalformedRequest for a foreign cursor.
    """
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    key = (event.c.recorded_at, event.c.stream_kind, event.c.stream_id, event.c.seq)
    order = [c.desc() for c in key] if newest else list(key)
    statement = (
        select(event.c.entry, event.c.leaf_hash, leaf.c.log_index, *key)
        .select_from(event.outerjoin(leaf, leaf.c.leaf_hash == event.c.leaf_hash))
        .order_by(*order)
        .limit(limit + 1)
    )
    conditions = [within(actor.scope(Permission.LOG_READ), event.c.site_code)]
    if selection.since is not None:
        conditions.append(event.c.recorded_at >= selection.since)
    if selection.until is not None:
        conditions.append(event.c.recorded_at < selection.until)
    if selection.specimen is not None:
        conditions.append(and_(event.c.stream_kind == "specimen", event.c.stream_id == selection.specimen.upper()))
    if selection.donor is not None:
        code = selection.donor.upper()
        codes = list(session.execute(text(codes_of_donor.get().format(donor=":donor")), {"donor": code}).scalars())
        conditions.append(or_(event.c.donor_code.in_(codes), and_(event.c.stream_kind == "donor", event.c.stream_id.in_(codes))))
    for column, value in (("kind", selection.kind), ("recorded_by", selection.actor), ("site_code", selection.site)):
        if value is not None:
            conditions.append(event.c[column] == (value if column == "kind" else value.upper()))
    if selection.entered is not None:
        conditions.append(literal_column(ENTERED[selection.entered].format(event="event"), Boolean()))
    if after is not None:
        cursor = _cursor(after)
        conditions.append(tuple_(*key) < cursor if newest else tuple_(*key) > cursor)
    rows = session.execute(statement.where(*conditions)).all()
    items = events_public(session, rows[:limit])
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = None if last is None else "|".join((rfc3339(last.recorded_at), last.stream_kind, last.stream_id, str(last.seq)))
    return LogPage(items=items, next=next_cursor)


def _cursor(said: str) -> tuple[datetime, str, str, int]:
    try:
        at, stream, stream_id, seq = said.split("|")
        return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC), stream, stream_id, int(seq)
    except ValueError:
        raise MalformedRequest("This is no next page of this list. Begin at its first page.") from None
