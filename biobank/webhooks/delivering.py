"""The worker's part: going on through the log for each subscription, trying, writing down what became of it.

One worker at a time has a subscription, for `LEASE` at most; of what it did, everything is committed before and after each try. A
worker that is killed leaves rows that another one takes up: what was being sent is sent again under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, insert, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.timers import timer
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_of_user
from biobank.auth.scope import Scope
from biobank.custody.entry import parse_entry
from biobank.custody.locks import locked
from biobank.exports.as_cloud_event import Published, cloud_event, written
from biobank.exports.feed import read_stretch, size_now
from biobank.foundation import clock
from biobank.foundation.tracing import span
from biobank.transparency.models import event
from biobank.webhooks.models import webhook, webhook_delivery
from biobank.webhooks.posting import Outcome, Sent, post
from biobank.webhooks.service import TRIAL, stop_by_itself
from biobank.webhooks.signing import headers_of, signing_now

log = structlog.get_logger("biobank.webhooks")

LEASE: Final = timedelta(seconds=60)
PAUSES: Final = (
    *(timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30)),
    *(timedelta(hours=1), timedelta(hours=3), timedelta(hours=8), timedelta(hours=16), timedelta(hours=24)),
)
"""How long until an event is tried again, after each try; together a little more than two days. After the last it is given up."""
LONGEST_QUIET: Final = timedelta(hours=1)
"""An address that keeps failing is left alone for this long at most, whatever waits for it."""
MOST_OPEN: Final = 500
"""Events of one subscription that wait or were given up: with more it goes no further in the log."""
READ_AT_ONCE: Final = 100
SENT_AT_ONCE: Final = 50
KEPT: Final = timedelta(days=14)
PATH: Final = "worker/webhooks"

_of = webhook_delivery.c
UNDECIDED: Final = ("waiting", "undeliverable")
"""States of what holds up its stream: it was neither delivered nor left out."""
_undecided = _of.state.in_(UNDECIDED)


@dataclass(frozen=True)
class Attempt:
    """One try: of which delivery, the how-manieth, and what is sent."""

    delivery: UUID
    number: int
    url: str
    headers: dict[str, str]
    body: bytes
    is_trial: bool


def deliver_next(bank: Bank) -> bool:
    """Take the subscription whose turn was longest ago, and send what is due to it. Return False when none has anything."""
    taken = bank.database.write_now(_take)
    if taken is None:
        return False
    code, turn = taken
    for _ in range(SENT_AT_ONCE):
        attempt = bank.database.write_now(lambda session: _prepare(session, bank, code, turn))
        if attempt is None:
            break
        with span("webhook", {"webhook.attempt": attempt.number}, codes={"webhook": code}) as followed:
            sent = post(bank.settings, attempt.url, attempt.headers, attempt.body)
            followed.say("webhook.outcome", sent.outcome.value)
        log.info("webhook", webhook=code, delivery=str(attempt.delivery), outcome=sent.outcome, status=sent.status)
        if not bank.database.write_now(lambda session, a=attempt, s=sent: _write_down(session, bank, code, a, s)):  # type: ignore[misc]
            break
    bank.database.write_now(lambda session: _give_back(session, code, turn))
    return True


def _due(now: datetime) -> ColumnElement[bool]:
    """What is tried now: its time has come, and nothing of its stream before it is open. A trial waits for no state."""
    before = webhook_delivery.alias()
    held = exists().where(
        before.c.webhook_code == _of.webhook_code,
        before.c.stream == _of.stream,
        before.c.log_index < _of.log_index,
        before.c.state.in_(UNDECIDED),
    )
    sent_in = or_(webhook.c.state == "open", and_(webhook.c.state != "withdrawn", _of.kind == TRIAL))
    return and_(_of.webhook_code == webhook.c.code, _of.state == "waiting", _of.next_at <= now, sent_in, ~held)


def _open_ones() -> ColumnElement[int]:
    found = select(func.count()).select_from(webhook_delivery).where(_of.webhook_code == webhook.c.code, _undecided)
    return found.correlate(webhook).scalar_subquery()


def _take(session: Session) -> tuple[str, int] | None:
    now = clock.now()
    of = webhook.c
    more = and_(of.state == "open", of.log_place < size_now(session), _open_ones() < MOST_OPEN)
    due = exists().where(_due(now)).correlate(webhook)
    statement = (
        select(of.code)
        .where(or_(of.busy_until.is_(None), of.busy_until <= now), or_(of.quiet_until.is_(None), of.quiet_until <= now))
        .where(or_(more, due))
        .order_by(of.turn_at.asc().nulls_first(), of.code)
        .limit(1)
    )
    row = session.execute(locked(statement, webhook, skip_locked=True)).first()
    if row is None:
        return None
    values = {"busy_until": now + LEASE, "turn": of.turn + 1, "turn_at": now}
    turn = session.execute(update(webhook).where(of.code == row.code).values(values).returning(of.turn)).scalar_one()
    return row.code, turn


def _prepare(session: Session, bank: Bank, code: str, turn: int) -> Attempt | None:
    """Go on in the log, choose what is tried now and write the try down. None: nothing is due, or another worker has it."""
    row = session.execute(locked(select(webhook).where(webhook.c.code == code), webhook)).one()
    now = clock.now()
    if row.turn != turn or (row.quiet_until is not None and row.quiet_until > now):
        return None
    scope = Scope(False, frozenset())
    if row.state == "open":
        scope = _scope_of(session, row)
        if not scope:
            stop_by_itself(session, Act.system(bank, path=PATH), row, "owner")
            row = session.execute(select(webhook).where(webhook.c.code == code)).one()
        else:
            _go_on(session, row, scope, now)
    chosen = _choose(session, row, scope, now)
    return None if chosen is None else _begin(session, bank, row, chosen, now)


def _scope_of(session: Session, row: "Row[Any]") -> Scope:
    """What its owner may export now, as far as the subscription goes."""
    owner = actor_of_user(session, row.owner)
    return Scope(False, frozenset()) if owner is None else owner.scope(Permission.LOG_EXPORT).narrowed(row.sites)


def _go_on(session: Session, row: "Row[Any]", scope: Scope, now: datetime) -> None:
    """Write a row for every further event that is for this subscription, and how far that was."""
    mine = (_of.webhook_code == row.code, _undecided)
    if session.execute(select(func.count()).select_from(webhook_delivery).where(*mine)).scalar_one() >= MOST_OPEN:
        return
    if row.log_place > size_now(session):
        return  # a log that was begun anew is sealed again first (docs/adr/0020)
    stretch = read_stretch(session, scope, row.kinds, row.log_place, READ_AT_ONCE)
    if stretch.events:
        session.execute(insert(webhook_delivery), [_row(row.code, one, now) for one in stretch.events])
    if stretch.next != row.log_place:
        session.execute(update(webhook).where(webhook.c.code == row.code).values(log_place=stretch.next))


def _row(code: str, one: Published, now: datetime) -> dict[str, Any]:
    said = parse_entry(one.entry)
    return {
        "id": uuid4(),
        "webhook_code": code,
        "log_index": one.index,
        "leaf_hash": one.leaf_hash,
        "kind": said["kind"],
        "stream": f"{said['stream']}/{said['id']}",
        "site_code": said["site"],
        "state": "waiting",
        "made_at": now,
        "next_at": now,
    }


def _choose(session: Session, row: "Row[Any]", scope: Scope, now: datetime) -> "Row[Any] | None":
    """Return what is tried now. What its owner may not export any more is withheld, whenever it was put here."""
    while True:
        due = (
            select(webhook_delivery)
            .join(webhook, webhook.c.code == _of.webhook_code)
            .where(webhook.c.code == row.code, _due(now))
        )
        chosen = session.execute(due.order_by(_of.log_index.asc().nulls_first()).limit(1)).first()
        if chosen is None or chosen.kind == TRIAL or scope.covers(chosen.site_code):
            return chosen
        session.execute(update(webhook_delivery).where(_of.id == chosen.id).values(state="withheld"))


def _begin(session: Session, bank: Bank, row: "Row[Any]", chosen: "Row[Any]", now: datetime) -> Attempt:
    number = chosen.attempts + 1
    pause = PAUSES[min(number, len(PAUSES)) - 1]
    session.execute(update(webhook_delivery).where(_of.id == chosen.id).values(attempts=number, last_at=now, next_at=now + pause))
    session.execute(update(webhook).where(webhook.c.code == row.code).values(busy_until=now + LEASE))
    identity, body = _message(session, bank, row.code, chosen)
    signers = signing_now(session, bank.keystore_sync, row.code, now)
    headers = headers_of(signers, identity, now, body)
    return Attempt(chosen.id, number, row.url, headers, body, chosen.kind == TRIAL)


def _message(session: Session, bank: Bank, code: str, chosen: "Row[Any]") -> tuple[str, bytes]:
    origin = bank.settings.log_origin
    if chosen.leaf_hash is None:
        identity = f"trial-{chosen.id}"
        said = {"id": identity, "source": origin, "type": TRIAL, "subject": code, "time": chosen.made_at}
        return identity, written(said, {"webhook": code})
    entry = session.execute(select(event.c.entry).where(event.c.leaf_hash == chosen.leaf_hash)).scalar_one()
    one = Published(chosen.log_index, bytes(chosen.leaf_hash), bytes(entry))
    return one.id, cloud_event(origin, one)


def _write_down(session: Session, bank: Bank, code: str, attempt: Attempt, sent: Sent) -> bool:
    """Write down what became of a try; return whether the next may follow at once."""
    row = session.execute(locked(select(webhook).where(webhook.c.code == code), webhook)).one()
    now = clock.now()
    known = {"outcome": sent.outcome.value, "status": sent.status}
    if sent.outcome is Outcome.DELIVERED:
        # However late the answer is written down: it was delivered.
        session.execute(
            update(webhook_delivery).where(_of.id == attempt.delivery, _undecided).values(known | {"state": "delivered"})
        )
        if row.failures:  # it is well again: what waits because it was not has waited long enough
            waiting = (_of.webhook_code == code, _of.state == "waiting", _of.outcome != Outcome.REFUSED.value)
            session.execute(update(webhook_delivery).where(*waiting).values(next_at=now))
        session.execute(update(webhook).where(webhook.c.code == code).values(failures=0, quiet_until=None))
        return True
    mine = (_of.id == attempt.delivery, _of.attempts == attempt.number, _of.state == "waiting")
    if attempt.is_trial:
        session.execute(update(webhook_delivery).where(*mine).values(known | {"state": "failed"}))
        return True
    if sent.outcome is Outcome.GONE:
        session.execute(update(webhook_delivery).where(*mine).values(known | {"next_at": now}))
        if row.state == "open":
            stop_by_itself(session, Act.system(bank, path=PATH), row, "gone")
        return False
    over = {"state": "undeliverable"} if attempt.number > len(PAUSES) else {}
    session.execute(update(webhook_delivery).where(*mine).values(known | over))
    if sent.outcome is Outcome.REFUSED:
        return True  # it is well, and does not want this one
    pause = min(LONGEST_QUIET, PAUSES[min(row.failures, len(PAUSES) - 1)])
    quiet = {"failures": row.failures + 1, "quiet_until": now + pause}
    session.execute(update(webhook).where(webhook.c.code == code).values(quiet))
    return False


def _give_back(session: Session, code: str, turn: int) -> None:
    of = webhook.c
    session.execute(update(webhook).where(of.code == code, of.turn == turn).values(busy_until=None))


@timer(every=timedelta(hours=1))
def forget_deliveries(session: Session, act: Act) -> int:
    """Drop what was delivered, left out or withheld two weeks ago; the log keeps the events, and that something was left out."""
    over: Sequence[str] = ("delivered", "left_out", "withheld", "failed")
    gone = session.execute(delete(webhook_delivery).where(_of.state.in_(over), _of.made_at < act.at - KEPT))
    return int(getattr(gone, "rowcount", 0))
