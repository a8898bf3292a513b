"""The hot path: one observation of one specimen in one read and one atomic write.

A technician at the tank must not wait for the screen, and a scan is what the bank does all day. The same rules as
`service.record_event`, asked of the same functions; only the number of statements differs:

1. one SELECT (AUTOCOMMIT): the actor, the earlier answer under the same key, the specimen;
2. one statement that compares the sequence and writes custody, event, pending and the kept answer, or nothing at all.

No lock is needed between them: an observation is judged by the custody row alone, and the write happens only if that row is
still at the sequence that was judged. Observations that need more (free text for the vault, a hold to place) take the
general path.
"""

from dataclasses import replace
from typing import Any

import orjson
from fastapi import Response
from sqlalchemy import bindparam
from sqlalchemy import select as sql_select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from biobank.acts import kept
from biobank.acts.act import Act
from biobank.acts.web import Performer, conflict_of, require_own_password
from biobank.auth.identity import IDENTITY_COLUMNS, actor_of, identity_from
from biobank.auth.models import LoginSession, User
from biobank.clock import rfc3339
from biobank.custody import service
from biobank.custody.event import Event
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import refusal_of
from biobank.custody.recording import acknowledge, head_of, require_expected, require_permission, stale
from biobank.custody.schemas import EventRequest, event_of
from biobank.custody.snapshots import custody, may_know, snapshot_columns, snapshot_of, unknown_specimen
from biobank.custody.states import StreamKind
from biobank.db import metadata, table_of
from biobank.errors import Refusal, StaleSequence


def _statement() -> Any:
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
    return (
        sql_select(*IDENTITY_COLUMNS, *answers, *snapshot_columns())
        .select_from(whole)
        .where(session.c.id == bindparam("session_id"))
    )


class _Read:
    """The combined read, built when the tables of every package are known."""

    statement: Any = None


def suits(request: EventRequest, event: type[Event]) -> bool:
    """Say whether this observation can take the hot path."""
    return (
        event.places_hold is None
        and event.act is None
        and not event.toward_use
        and request.comment is None
        and request.reason_text is None
    )


async def observe(performer: Performer, code: str, request: EventRequest) -> Response:
    """Record one observation and return the answer as it was kept."""
    event = event_of(request)
    if not suits(request, type(event)):
        answer = await performer(service.record_event, code, request)
        return Response(answer.model_dump_json(), 201, media_type="application/json")
    bound = performer.unbound_act

    def unit(session: Session) -> str:
        nonlocal bound
        bound, text = _observe(session, bound, performer, code, event, request)
        return text

    try:
        return Response(await performer.bank.database.read(unit), 201, media_type="application/json")
    except IntegrityError as error:
        # The same key came twice at once on different specimens, or a rule no use case stated: the answer says which.
        refusal = conflict_of(error)
        await performer.refuse(bound, refusal)
        raise refusal from error
    except _Judged as judged:
        await performer.refuse(judged.act, judged.refusal)
        raise judged.refusal from None


class _Judged(Exception):
    def __init__(self, act: Act, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.act = act
        self.refusal = refusal


def _observe(
    session: Session, unbound: Act, performer: Performer, code: str, event: Event, request: EventRequest
) -> tuple[Act, str]:
    if _Read.statement is None:
        _Read.statement = _statement()
    row = session.execute(
        _Read.statement, {"session_id": performer.claims.session_id, "code": code, "key": unbound.idempotency_key}
    ).first()
    act = replace(unbound, actor=actor_of(row))
    assert row is not None
    try:
        require_own_password(act.actor)
        if row.status is not None:
            raise kept.replay_of(row, act)
        return act, _write(session, act, row, code, event, request)
    except Refusal as refusal:
        raise _Judged(act, refusal) from refusal


def _write(session: Session, act: Act, row: Any, code: str, event: Event, request: EventRequest) -> str:
    specimen = None if row.code is None else snapshot_of(row)
    if specimen is None or not may_know(act.actor, specimen):
        raise unknown_specimen(code)
    site = getattr(request, "site", None) or specimen.projection["site_code"]
    require_permission(act, type(event), specimen, site)
    require_expected(specimen, request.expected_seq)
    refusal = refusal_of(type(event), specimen)
    if refusal is not None:
        raise refusal
    head = head_of(session, act, request, subject=specimen.donor_code, site=site, last=specimen.last_occurred_at)
    fact = Fact(StreamKind.SPECIMEN, code, event, head, specimen, specimen.donor_code)
    text = ""

    def answer(appended: Any) -> dict[str, Any]:
        nonlocal text
        text = answer_text(act, code, appended)
        return kept.answer_row(act, 201, text)

    try:
        append(session, [fact], idempotency=answer)
    except StaleSequence:
        replay = kept.find_replay(session, act)
        raise replay if replay is not None else stale(specimen) from None
    return text


def answer_text(act: Act, code: str, appended: Any) -> str:
    """Write `schemas.EventAnswer` for one event, without the detour over model objects."""
    return orjson.dumps(
        {
            "specimen": code,
            "state": appended[-1].projection["state"],
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
