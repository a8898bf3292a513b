"""How often each step was refused, and how often a rule was set aside in the way it provides for: by step, place and time.

A near miss is a refusal that was kept. An override is an act that a rule allows only by exception, and that the log names.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import ColumnElement, func, literal_column, select
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.queries import known_attempts
from biobank.foundation import clock
from biobank.foundation.errors import MalformedRequest
from biobank.transparency.models import event


class Span(StrEnum):
    """What is counted together in time, in UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


OVERRIDES = (
    "specimen.reopened",
    "specimen.reversed",
    "specimen.use_up_allowed",
    "system.used_despite_warning",
    "withdrawal.given_before_confirmed",
    "withdrawal.remainder_accepted",
)
"""Kinds of event by which a rule was set aside."""

NO_MISS = frozenset({"not_signed_in", "too_many_attempts", "not_found", "idempotency_key_reused", "malformed_request"})
"""Refusals that tell of a sign-in or of a client, not of a step with material."""

LONGEST_BY_DAY = 366
"""Days."""
MOST_COUNTS = 5000
"""Of so many different counts an answer is made; a part of them would be read as the whole."""

_CODE_OR_ID = r"/([^/]*[A-Z][^/]*|[0-9]+|[0-9a-f-]{32,})(?=/|$)"
"""A part of an address that names one thing, as `step_of` leaves it out: here so that the database counts steps, not things."""

_ONE_STEP = {"picks": "pick", "confirm": "pick", "bedside-checks": "check", "check-from-paper": "check"}
_ONE_STEP |= {"administer-from-paper": "administer", "adverse-events": "adverse", "paper-checks": "paper"}
"""A step has an address for people and one for programs."""


class MissCount(BaseModel):
    """How often one thing was refused, or set aside, at one step and place in one span of time."""

    what: str
    step: str
    why: str
    site: str | None
    begins: AwareDatetime
    times: int


class MissCounts(BaseModel):
    """The counts since a day, the newest span first, then the most frequent."""

    since: AwareDatetime
    each: Span
    items: list[MissCount]


def step_of(path: str) -> str:
    """Return the step that an address is about: its words without codes and ids, one word for the page's and the API's. Pure."""
    parts = [part for part in path.removeprefix("/api/v1").split("/") if part and part == part.lower() and not _is_id(part)]
    if not parts:
        return "home"
    last = _ONE_STEP.get(parts[-1], parts[-1])
    return last if len(parts) == 1 else f"{parts[0]}: {last}"


def _is_id(part: str) -> bool:
    return part.isdigit() or (len(part) >= 32 and all(character in "0123456789abcdef-" for character in part))


def miss_counts(session: Session, actor: Actor, since: datetime, each: Span = Span.WEEK, zone: str = "UTC") -> MissCounts:
    """Count what was kept since then at the places whose log the actor reads; spans begin as they do in `zone`.

    Raises NotPermitted, and MalformedRequest for more than is counted at once.
    """
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    if each == Span.DAY and (clock.now() - since).days > LONGEST_BY_DAY:
        raise MalformedRequest(f"By day, up to {LONGEST_BY_DAY} days are counted. Ask for fewer, or count by week or month.")
    counts: Counter[tuple[str, str, str, str | None, datetime]] = Counter()
    for row in _bounded(session, _misses(actor, since, each, zone)):
        counts["near_miss", step_of(row.path), row.code, row.site, row.begins] += row.times
    for row in _bounded(session, _overrides(actor, since, each, zone)):
        stream, done = row.kind.split(".", 1)
        counts["override", f"{stream}: {done}", row.kind, row.site, row.begins] += row.times
    items = [
        MissCount(what=what, step=step, why=why, site=site, begins=begins, times=times)
        for (what, step, why, site, begins), times in counts.items()
    ]
    items.sort(key=lambda one: (-one.begins.timestamp(), -one.times, one.what, one.step, one.why, one.site or ""))
    return MissCounts(since=since, each=each, items=items)


def _bounded(session: Session, statement: Any) -> Sequence[Any]:
    rows: Sequence[Any] = session.execute(statement.limit(MOST_COUNTS + 1)).all()
    if len(rows) > MOST_COUNTS:
        raise MalformedRequest(f"There are more than {MOST_COUNTS} counts. Ask for fewer days, or count by week or month.")
    return rows


def _begins(each: Span, at: ColumnElement[Any], zone: str) -> ColumnElement[Any]:
    return func.date_trunc(each.value, at, zone)


def _misses(actor: Actor, since: datetime, each: Span, zone: str) -> Any:
    """The kept refusals, each at the site that was kept with it: where the thing stands now says nothing of then."""
    site, begins = attempt.c.site_code, _begins(each, attempt.c.at, zone)
    path = func.regexp_replace(attempt.c.path, literal_column(f"'{_CODE_OR_ID}'"), literal_column("''"), literal_column("'g'"))
    return (
        select(path.label("path"), attempt.c.code, site.label("site"), begins.label("begins"), func.count().label("times"))
        .where(attempt.c.at >= since, attempt.c.code.not_in(NO_MISS), known_attempts(actor))
        .group_by(path, attempt.c.code, site, begins)
    )


def _overrides(actor: Actor, since: datetime, each: Span, zone: str) -> Any:
    begins = _begins(each, event.c.recorded_at, zone)
    return (
        select(event.c.kind, event.c.site_code.label("site"), begins.label("begins"), func.count().label("times"))
        .where(event.c.kind.in_(OVERRIDES), event.c.recorded_at >= since)
        .where(actor.scope(Permission.LOG_READ).of(event.c.site_code))
        .group_by(event.c.kind, event.c.site_code, begins)
    )
