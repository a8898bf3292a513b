"""The hot path: one observation of one specimen in one read and one atomic write.

A technician at the tank must not wait for the screen, and a scan is what the bank does all day. The same rules as
`service.record_event`, asked of the same functions; only the number of statements and the way to the database differ:

1. one SELECT: the actor, an earlier answer under the same key, the specimen;
2. one statement that compares the sequence and writes custody, event, pending and the kept answer, or nothing at all.

No lock is needed between them: an observation is judged by the custody row alone, and the write happens only if that row is
still at the sequence that was judged. It is a lane (`acts/lane.py`): observations that need more (free text for the vault, a
hold to place) and every refusal are the ordinary route's.
"""

from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import bindparam
from sqlalchemy import select as sql_select

from biobank.acts import kept
from biobank.acts.act import Act
from biobank.acts.lane import Call
from biobank.acts.web import require_own_password
from biobank.auth.identity import IDENTITY_COLUMNS, actor_of, identity_from
from biobank.auth.models import LoginSession, User
from biobank.clock import rfc3339
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Composed, Fact, compose
from biobank.custody.legality import refusal_of
from biobank.custody.recording import acknowledge, require_expected, require_permission, wordless_head
from biobank.custody.schemas import EventRequest, event_of, request_union
from biobank.custody.snapshots import custody, may_know, snapshot_columns, snapshot_of, unknown_specimen
from biobank.custody.states import StreamKind
from biobank.db import FixedSelect, metadata, table_of


@cache
def _read() -> FixedSelect:
    """The combined read, built when the tables of every package are known."""
    user, session = table_of(User), table_of(LoginSession)
    specimen, donor = metadata.tables["specimen"], metadata.tables["donor"]
    idem = kept.idempotency
    whole = (
        identity_from.outerjoin(custody, custody.c.code == bindparam("code"))
        .outerjoin(specimen, specimen.c.code == custody.c.code)
        .outerjoin(donor, donor.c.code == custody.c.donor_code)
        .outerjoin(idem, (idem.c.actor_code == user.c.code) & (idem.c.key == bindparam("key")))
    )
    answers = (idem.c.request_hash, idem.c.status, idem.c.answer)
    return FixedSelect(
        sql_select(*IDENTITY_COLUMNS, *answers, *snapshot_columns())
        .select_from(whole)
        .where(session.c.id == bindparam("session_id"))
    )


@cache
def _requests() -> "TypeAdapter[EventRequest]":
    """Every direct request, known when every package has registered its events."""
    return TypeAdapter(request_union(EventRequest))


def suits(request: EventRequest, event: type[Event]) -> bool:
    """Say whether this observation can take the hot path."""
    return (
        event.places_hold is None
        and event.act is None
        and not event.toward_use
        and request.comment is None
        and request.reason_text is None
    )


async def observe(call: Call) -> str | None:
    """Record one observation and return the answer as it was kept; None or an exception leaves it to the ordinary route."""
    request = _requests().validate_python(call.body)
    event = event_of(request)
    if not suits(request, type(event)):
        return None
    code = call.path["code"]
    async with call.bank.database.direct.cursor() as cursor:
        row = await _read().one(cursor, session_id=call.claims.session_id, code=code, key=call.key)
        act = call.by(actor_of(row))
        require_own_password(act.actor)
        if row.status is not None:
            return None
        composed, text = judge(act, row, code, event, request)
        await cursor.execute(composed.text, composed.parameters)
        written = await cursor.fetchone()
    return text if written == (1,) else None


def judge(act: Act, row: Any, code: str, event: Event, request: EventRequest) -> tuple[Composed, str]:
    """Return the write of an observation that may happen, and its answer; raise the refusal of one that may not. Pure."""
    specimen = None if row.code is None else snapshot_of(row)
    if specimen is None or not may_know(act.actor, specimen):
        raise unknown_specimen(code)
    site = getattr(request, "site", None) or specimen.projection["site_code"]
    require_permission(act, type(event), specimen, site)
    require_expected(specimen, request.expected_seq)
    refusal = refusal_of(type(event), specimen)
    if refusal is not None:
        raise refusal
    head = wordless_head(act, request, site=site, last=specimen.last_occurred_at)
    fact = Fact(StreamKind.SPECIMEN, code, event, head, specimen, specimen.donor_code)
    text = ""

    def answer(appended: list[Appended]) -> dict[str, Any]:
        nonlocal text
        text = answer_text(act, code, appended)
        return kept.answer_row(act, 201, text)

    return compose(fact, answer), text


def answer_text(act: Act, code: str, appended: list[Appended]) -> str:
    """Write `schemas.EventAnswer` for one event, without the detour over model objects."""
    return orjson.dumps(
        {
            "specimen": code,
            "state": (appended[-1].projection or {})["state"],
            "seq": appended[-1].seq,
            "events": [
                {
                    "stream": a.stream,
                    "id": a.stream_id,
                    "seq": a.seq,
                    "kind": a.kind,
                    "leaf_hash": a.leaf_hash.hex(),
                    "recorded_at": rfc3339(a.recorded_at),
                }
                for a in appended
            ],
            "receipt": acknowledge(act, appended),
        }
    ).decode()
