"""The hot path: one observation of one specimen in one read and one atomic write.

A technician at the tank must not wait for the screen, and a scan is what the bank does all day. The same rules as
`service.record_event`, asked of the same functions; only the number of statements and the way to the database differ:

1. one SELECT: the actor, an earlier answer under the same key, the specimen;
2. one statement that compares the sequence and writes custody, event, pending and the kept answer, or nothing at all.

Scans that wait at the same time share these statements (`foundation/batching.py`, docs/adr/0016); each is judged and written by
itself. When the database refuses a shared write, all of it is undone, and each of its scans goes the ordinary route.

No lock is needed between them: an observation is judged by the custody row alone, and the write happens only if that row is
still at the sequence that was judged. It is offered each request by
`middleware.py`: observations that need more (free text for the vault, a hold to place, a colleague to name) and every refusal
are the ordinary route's.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import JSON, FromClause, Integer, Text, Uuid, bindparam, cast, column, func
from sqlalchemy import select as sql_select

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act
from biobank.acts.models import idempotency
from biobank.acts.web import require_own_password
from biobank.auth.identity import IDENTITY_COLUMNS, actor_of
from biobank.auth.models import login_session
from biobank.auth.models import user as user_table
from biobank.custody.arriving import SEEN
from biobank.custody.event import Event
from biobank.custody.models import custody
from biobank.custody.recording import acknowledge, refusals_of_recording, require_expected, takes_it_there, wordless_head
from biobank.custody.scan_path.middleware import Call
from biobank.custody.schemas import EventRequest, event_of, request_union
from biobank.custody.snapshots import may_know, snapshot_columns, snapshot_of, specimen_facts, unknown_specimen
from biobank.custody.statement import Appended, Composed, Fact, compose, compose_each
from biobank.custody.states import State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import Direct, FixedSelect
from biobank.foundation.errors import raise_first
from biobank.foundation.listed import words_in

_ASKED = (column("n", Integer), column("session_id", Uuid), column("code", Text), column("key", Text))


@cache
def _read_one() -> FixedSelect:
    """The combined read for one request: bind `n`, `session_id`, `code`, `key`."""
    return _read(sql_select(*(bindparam(c.name, type_=c.type).label(c.name) for c in _ASKED)).subquery("asked"))


@cache
def _read_several() -> FixedSelect:
    """The combined read for several: bind `asked`, a JSON list of such objects."""
    several = func.json_to_recordset(cast(bindparam("asked"), JSON)).table_valued(*_ASKED)
    return _read(several.render_derived(name="asked", with_types=True))


def _read(asked: FromClause) -> FixedSelect:
    """Actor, earlier answer and specimen of each request in `asked`; built when the tables of every package are known."""
    user, session = user_table, login_session
    idem = idempotency
    known = (
        asked.join(session, session.c.id == asked.c.session_id)
        .join(user, user.c.code == session.c.user_code)
        .outerjoin(custody, custody.c.code == asked.c.code)
        .outerjoin(idem, (idem.c.actor_code == user.c.code) & (idem.c.key == asked.c.key))
    )
    whole = specimen_facts.get().joined(known, True)
    answers = (idem.c.request_hash, idem.c.status, idem.c.answer)
    return FixedSelect(sql_select(asked.c.n, *IDENTITY_COLUMNS, *answers, *snapshot_columns()).select_from(whole))


async def _read_all(direct: Direct, calls: Sequence[Call]) -> list[Any]:
    """Read actor, earlier answer and specimen of each call; None for a sign-in that is not known."""
    asked: list[dict[str, Any]] = [
        {"n": n, "session_id": call.claims.session_id, "code": call.path["code"], "key": call.key} for n, call in enumerate(calls)
    ]
    rows: list[Any] = [None] * len(calls)
    async with direct.cursor() as cursor:
        if len(asked) == 1:
            found = await _read_one().rows(cursor, **asked[0])
        else:
            found = await _read_several().rows(cursor, asked=orjson.dumps(asked).decode())
        for row in found:
            rows[row.n] = row
    return rows


async def _write_all(direct: Direct, several: Sequence[Composed]) -> list[bool]:
    """Append each; say which were written."""
    async with direct.cursor() as cursor:
        if len(several) == 1:
            await cursor.execute(several[0].text, several[0].parameters)
            return [await cursor.fetchone() == (1,)]
        text, parameters = compose_each(several)
        await cursor.execute(text, parameters)
        written = {code for (code,) in await cursor.fetchall()}
    answers = []
    for one in several:
        answers.append(one.appended.stream_id in written)
        written.discard(one.appended.stream_id)
    return answers


async def observe(call: Call) -> str | None:
    """Record one observation and return the answer as it was kept; None or an exception leaves it to the ordinary route."""
    request = _requests().validate_python(call.body)
    event = event_of(request)
    if not suits(request, type(event)):
        return None
    direct = call.bank.database.direct
    row = await direct.batched(_read_all).ask(call)
    act = call.by(actor_of(row))
    require_own_password(act.actor)
    if row.status is not None or (type(event).arrives and row.shipment_code is not None):
        return None
    came = row.state == State.IN_TRANSIT.value or getattr(event, "site", None) != row.site_code
    if takes_it_there(type(event)) and came:  # Another site may allow less.
        return None
    composed, text = check_and_compose(act, row, call.path["code"], event, request)
    return text if await direct.batched(_write_all).ask(composed) else None


@cache
def _requests() -> "TypeAdapter[EventRequest]":
    """Every direct request, known when every package has registered its events."""
    return TypeAdapter(request_union(EventRequest))


def suits(request: EventRequest, event: type[Event]) -> bool:
    """Say whether this observation can take the hot path."""
    return (
        event.places_hold is None
        and event.to_state is not State.MISSING
        and not event.may_end
        and event.act is None
        and not any(getattr(request, name, None) is False for name in SEEN)
        and getattr(request, "temperature_mc", None) is None
        and not event.toward_use
        and request.comment is None
        and request.reason_text is None
        and not request.performed_by
        and request.paper is None
        # A stated time that ends a clock is judged against what the scans say.
        and (request.occurred_at is None or event.effect.get("exposure_s", {}).get("elapsed_until_known") is None)
        and next(words_in(request), None) is None
    )


def check_and_compose(act: Act, row: Any, code: str, event: Event, request: EventRequest) -> tuple[Composed, str]:
    """Return the write of an observation that may happen, and its answer; raise the refusal of one that may not. Pure."""
    specimen = None if row.code is None else snapshot_of(row)
    if specimen is None or not may_know(act.actor, specimen):
        raise unknown_specimen(code)
    site = getattr(request, "site", None) or specimen.projection.site_code
    require_expected(specimen, request.expected_seq)
    raise_first(refusals_of_recording(act.actor, type(event), specimen, site=site))
    head = wordless_head(act, request, site=site, last=specimen.last_occurred_at)
    fact = Fact(StreamKind.SPECIMEN, code, event, head, specimen, specimen.donor_code)
    text = ""

    def answer(appended: Appended) -> dict[str, Any]:
        nonlocal text
        text = answer_text(act, code, appended)
        return answers_and_attempts.answer_row(act, 201, text)

    return compose(fact, answer), text


def answer_text(act: Act, code: str, appended: Appended) -> str:
    """Write `schemas.EventAnswer` for one event, without the detour over model objects."""
    return orjson.dumps(
        {
            "specimen": code,
            "state": appended.after.state,
            "seq": appended.seq,
            "events": [
                {
                    "stream": appended.stream,
                    "id": appended.stream_id,
                    "seq": appended.seq,
                    "kind": appended.kind,
                    "leaf_hash": appended.leaf_hash.hex(),
                    "recorded_at": rfc3339(appended.recorded_at),
                }
            ],
            "receipt": acknowledge(act, [appended]),
        }
    ).decode()
