"""Questions about custody. Each takes the actor; what the actor may not know of is not found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.models import custody
from biobank.custody.performer_confirmations import answers_to
from biobank.custody.schemas import AttemptList, AttemptPublic, CustodyHistory, EventPublic
from biobank.custody.snapshots import get_visible
from biobank.custody.states import StreamKind
from biobank.foundation.paging import Paging, read_page
from biobank.transparency.models import event, leaf

_last = (
    select(event.c.occurred_at)
    .where(event.c.stream_kind == bindparam("stream"), event.c.stream_id == bindparam("id"))
    .order_by(event.c.seq.desc())
    .limit(1)
)


def last_event_at(session: Session, stream: StreamKind, stream_id: str) -> datetime | None:
    """Return when the stream's last event occurred, or None when it has none."""
    at: datetime | None = session.execute(_last, {"stream": stream.value, "id": stream_id}).scalar()
    return at


def history_of(session: Session, actor: Actor, code: str, after: int = 0, limit: int = 200) -> CustodyHistory:
    """Return the events of a specimen after sequence `after`, oldest first, with their log index once sealed."""
    get_visible(session, actor, code)
    return stream_history(session, "specimen", code, after, limit)


def stream_history(session: Session, stream: str, stream_id: str, after: int = 0, limit: int = 200) -> CustodyHistory:
    """Return the events of any stream; the caller has checked that the actor may see it."""
    rows = session.execute(
        select(event.c.seq, event.c.kind, event.c.entry, event.c.leaf_hash, leaf.c.log_index)
        .select_from(event.outerjoin(leaf, leaf.c.leaf_hash == event.c.leaf_hash))
        .where(event.c.stream_kind == stream, event.c.stream_id == stream_id, event.c.seq > after)
        .order_by(event.c.seq)
        .limit(limit + 1)
    ).all()
    items = events_public(session, rows[:limit])
    return CustodyHistory(items=items, next=str(items[-1].seq) if len(rows) > limit else None)


def events_public(session: Session, rows: Sequence[Any]) -> list[EventPublic]:
    """Turn rows with `entry`, `leaf_hash` and `log_index` into events, with what the colleagues they name have said since."""
    entries = [parse_entry(bytes(r.entry)) for r in rows]
    hashes = [bytes(r.leaf_hash) for r in rows]
    said = answers_to(session, [h for h, entry in zip(hashes, entries, strict=True) if entry["performed"]])
    return [
        EventPublic.from_entry(entry, h.hex(), r.log_index, said.get(h.hex()))
        for r, h, entry in zip(rows, hashes, entries, strict=True)
    ]


def known_attempts(actor: Actor) -> ColumnElement[bool]:
    """Return the condition under which the actor, who reads the log somewhere, may know of a row of `attempt`.

    An attempt without a site belongs to the site of what it was about; one about nothing of ours, to no single site.
    """
    scope = actor.scope(Permission.LOG_READ)
    stands_there = select(custody.c.code).where(custody.c.code == attempt.c.subject, scope.of(custody.c.site_code))
    stands_there = stands_there.correlate(attempt)  # a statement around it may read custody too
    return or_(scope.of(attempt.c.site_code), stands_there.exists(), attempt.c.actor_code == actor.code)


def attempts(
    session: Session,
    actor: Actor,
    *,
    subject: str | None = None,
    code: str | None = None,
    evidence: bool | None = None,
    paging: Paging = Paging(),
) -> AttemptList:
    """Return kept refusals, newest first: the near misses."""
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    statement = select(attempt)
    if subject is not None:
        statement = statement.where(attempt.c.subject == subject)
    if code is not None:
        statement = statement.where(attempt.c.code == code)
    if evidence is not None:
        statement = statement.where(attempt.c.evidence.is_(evidence))
    statement = statement.where(known_attempts(actor))
    page = read_page(session, statement, paging, key=attempt.c.id, orders={"id": attempt.c.id}, default="-id")
    return AttemptList(items=[AttemptPublic.model_validate(dict(row._mapping)) for row in page.rows], **page.ends)
