"""What outlives an answer: the committed answer under its idempotency key, and the attempt that was refused.

A kept answer names its request by a keyed hash. The body may hold a name and a birth date, and a bare hash of those is a puzzle
that a laptop solves; the key is not in the database.
"""

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Row, bindparam, delete, insert, select, text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.models import attempt, idempotency
from biobank.acts.timers import timer
from biobank.foundation.connections import DURABLE
from biobank.foundation.errors import IdempotencyKeyReused, Refusal

ANSWERS_KEPT = timedelta(days=90)


_find = select(idempotency.c.request_hash, idempotency.c.status, idempotency.c.answer).where(
    idempotency.c.actor_code == bindparam("actor"), idempotency.c.key == bindparam("key")
)
_keep = insert(idempotency)
_keep_attempt = insert(attempt)
SITE_OF: dict[str, Callable[[Session, str, str], str | None]] = {}
"""By the letters of a code, where the thing stands now that a refused attempt was about: given the code and the path of the call.

The owner of each kind of thing says it (`site_of`)."""

SiteOf = TypeVar("SiteOf", bound=Callable[[Session, str, str], str | None])


def site_of(*prefixes: str) -> Callable[[SiteOf], SiteOf]:
    """Declare that the function says where things with codes of these letters stand."""

    def declare(function: SiteOf) -> SiteOf:
        for prefix in prefixes:
            assert prefix not in SITE_OF, f"two say where {prefix} stands"
            SITE_OF[prefix] = function
        return function

    return declare


class Replayed(Exception):
    """The request was answered before; here is that answer."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(status)
        self.status = status
        self.answer = answer


def find_replay(session: Session, act: Act) -> Replayed | None:
    """Return the earlier answer to this very request; raise IdempotencyKeyReused when the key named another one.

    COMMIT before sending it. The row may be one that this server has and its standby has not (the first answer never left for
    that reason); a failover would undo what the repeated answer promises. So this transaction leaves a mark (`DURABLE`).
    """
    if act.idempotency_key is None:
        return None
    row = session.execute(_find, {"actor": act.actor.code, "key": act.idempotency_key}).first()
    if row is None:
        return None
    replay = replay_of(row, act)
    session.execute(text(DURABLE))
    return replay


def answered_before(session: Session, act: Act, key: str) -> str | None:
    """Return what the one who acts was answered under another key, when that went through; COMMIT before using it."""
    row = session.execute(_find, {"actor": act.actor.code, "key": key}).first()
    if row is None or row.status >= 400:
        return None
    session.execute(text(DURABLE))
    return str(row.answer)


def replay_of(row: "Row[Any]", act: Act) -> Replayed:
    """Compare a kept row with this request."""
    if bytes(row.request_hash) not in _keyed_hashes(act):
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another request. Send a new key with a new request.",
        )
    return Replayed(row.status, row.answer)


REQUEST_DOMAIN = b"biobank/request/v1\0"


def keyed_hash(act: Act) -> bytes:
    """Return HMAC-SHA256(secret "digests", "biobank/request/v1\\0" || act hash): what is stored of a request."""
    return _keyed_hashes(act)[0]


def _keyed_hashes(act: Act) -> list[bytes]:
    """Return it under today's secret and, while that is being changed, under the one before."""
    return [hmac.digest(key, REQUEST_DOMAIN + act.request_hash, "sha256") for key in act.bank.secrets_of("digests")]


def keep_answer(session: Session, act: Act, status: int, answer: str) -> None:
    """Keep the answer in the act's own transaction. A racing duplicate fails here and is answered with the winner's."""
    if act.idempotency_key is not None:
        session.execute(_keep, answer_row(act, status, answer))


def answer_row(act: Act, status: int, answer: str) -> dict[str, Any]:
    """Return the idempotency row of an act."""
    return {
        "actor_code": act.actor.code,
        "key": act.idempotency_key,
        "request_hash": keyed_hash(act),
        "status": status,
        "answer": answer,
        "at": act.at,
    }


def keep_attempt(session: Session, act: Act, refusal: Refusal, *, evidence: bool, at: datetime | None = None) -> None:
    """Write down a refused attempt, at its site, or the one where what it was about stood then.

    `detail` is one of our own sentences and holds codes only.
    """
    subject, site = refusal.members.get("subject"), refusal.members.get("site")
    if site is None and subject is not None and (says := SITE_OF.get(subject[:2])) is not None:
        site = says(session, subject, act.path)
    session.execute(
        _keep_attempt,
        {
            "at": at or act.at,
            "actor_code": act.actor.code,
            "method": act.method,
            "path": act.path,
            "subject": subject,
            "site_code": site,
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.detail,
            "evidence": evidence,
        },
    )


@timer(every=timedelta(hours=1))
def forget_answers(session: Session, act: Act) -> int:
    """Drop kept answers older than 90 days; a retry that late is a new request."""
    gone = session.execute(delete(idempotency).where(idempotency.c.at < act.at - ANSWERS_KEPT))
    return int(getattr(gone, "rowcount", 0))
