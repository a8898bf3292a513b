"""The copies that were taken: each is two events of the log, and one that only began is still being written or broke off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, true
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.custody.entry import parse_entry
from biobank.exports.service import STREAM
from biobank.transparency.models import event

SHOWN = 100


@dataclass(frozen=True)
class PastExport:
    """An export: `state` is running, complete or broken_off; `rows` and `size_bytes` are known at its end.

    `log_size`: it holds nothing but the first so many entries of the log; None where it is no part of the sealed log.
    """

    id: str
    format: str
    filters: Mapping[str, str]
    started_at: datetime
    by: str
    state: str
    log_size: int | None = None
    finished_at: datetime | None = None
    rows: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None


def list_exports(session: Session, actor: Actor) -> list[PastExport]:
    """Return the latest exports, newest first. Raises NotPermitted without log:read."""
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    # An export has no site, and its filter may name a person: a reader of some sites sees their own.
    mine = true() if actor.may(Permission.LOG_READ, at=EVERYWHERE) else event.c.recorded_by == actor.code
    rows = session.execute(
        select(event.c.entry)
        .where(event.c.stream_kind == "system", event.c.stream_id == STREAM, mine)
        .order_by(event.c.seq.desc())
        .limit(2 * SHOWN)
    )
    return pair([parse_entry(bytes(row.entry)) for row in rows])


def pair(entries: Sequence[Mapping[str, Any]]) -> list[PastExport]:
    """Match starts and ends, given newest first. Pure. A start without its end is running as far as the log knows."""
    ends: dict[str, Mapping[str, Any]] = {}
    found: list[PastExport] = []
    for entry in entries:
        body = entry["body"]
        if entry["kind"] == "system.export_finished":
            ends[body["export"]] = entry
        elif entry["kind"] == "system.export_started":
            found.append(_one(entry, ends.get(body["export"])))
    return found[:SHOWN]


def _one(start: Mapping[str, Any], end: Mapping[str, Any] | None) -> PastExport:
    body = start["body"]
    begun = {
        "id": body["export"],
        "format": body["format"],
        "filters": body["filters"],
        "by": start["by"],
        "log_size": body.get("size"),
        "started_at": datetime.fromisoformat(start["recorded_at"]),
    }
    if end is None:
        return PastExport(**begun, state="running")
    told = end["body"]
    return PastExport(
        **begun,
        state="complete" if told["complete"] else "broken_off",
        finished_at=datetime.fromisoformat(end["recorded_at"]),
        rows=told["rows"],
        size_bytes=told["size_bytes"],
        sha256=told["sha256"],
    )
