"""How many people's identities one person reads: bounded by the hour, listed by the day.

What is counted are the log's own events of reading, so that no way of reading escapes it. All logins of a person count together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import Select, String, and_, cast, func, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_of_persons, person_of
from biobank.auth.scope import ANYWHERE
from biobank.custody.recording import NOW
from biobank.donors.events import IdentityRead
from biobank.donors.models import identification
from biobank.donors.recording import record_on_donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import TooManyAttempts
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.transparency.models import event

WITHIN: Final = timedelta(hours=1)
NEAR_PERCENT: Final = 80
"""From which part of the limit on quality is called. Ours, not from a source."""
_KIND: Final = IdentityRead.model_fields["kind"].default


class TooManyIdentities(TooManyAttempts):
    """One person has read as many people's identities within an hour as one may; `goes_on_at` says when it goes on."""

    code = "too_many_identities"
    title = "Too many identities in an hour"


class IdentityReadings(BaseModel):
    """What one login read of identities in one day (of UTC; of a page, its reader's) at one clinic: of how many people."""

    day: str
    user: str
    site: str
    people: int
    readings: int
    last_at: AwareDatetime


class IdentityReadingList(Listed[IdentityReadings]):
    """Who read how many identities, the latest day first."""


def record_identity_read(session: Session, act: Act, row: Any, commits: Sequence[bytes]) -> None:
    """Record that the actor reads who the donor of `row` is, before it is shown. Raises TooManyIdentities."""
    _require_room(session, act, row.code)
    read = [IdentityRead(identity=commit.hex()) for commit in commits]
    record_on_donor(session, act, row.code, read, NOW, site=row.clinic_site_code)


def _require_room(session: Session, act: Act, code: str) -> None:
    """Raise TooManyIdentities unless one more person's may be read: one read within the hour, or who was just identified, may."""
    logins = logins_of_persons(session, [act.actor.code]).get(act.actor.code, {act.actor.code})
    # Several requests at once of one person count one after another.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"identities read by {min(logins)}", 0))))
    rows = session.execute(
        select(event.c.stream_id, func.max(event.c.recorded_at).label("at"))
        .where(event.c.kind == _KIND, event.c.recorded_by.in_(sorted(logins)), event.c.recorded_at > act.at - WITHIN)
        .group_by(event.c.stream_id)
    )
    last: dict[str, datetime] = {row.stream_id: row.at for row in rows}
    most = act.bank.settings.identity_reads_per_hour
    if len(last) < most or code in last or _is_case_at_hand(session, code, act.at):
        return
    goes_on = sorted(last.values())[len(last) - most] + WITHIN
    raise TooManyIdentities(
        f"You have read who {len(last)} people are within an hour; more than {most} nobody may. It goes on at "
        f"{goes_on:%H:%M} UTC. Whoever is identified for this visit can be read at any time.",
        subject=code,
        goes_on_at=rfc3339(goes_on),
        retry_after_s=max(1, ceil((goes_on - act.at).total_seconds())),
    )


def _is_case_at_hand(session: Session, code: str, at: datetime) -> bool:
    """Say whether the donor is being identified, or was for this visit."""
    of = identification.c
    begun = and_(of.completed_at.is_(None), of.expires_at > at)
    found = select(of.id).where(of.donor_code == code, of.failed_at.is_(None), or_(begun, of.valid_until > at))
    return session.execute(found).first() is not None


@dataclass(frozen=True)
class ManyRead:
    """A person (by their first login) who comes near the limit or is at it: at which clinic, since when."""

    person: str
    site: str
    since: datetime


def many_read(session: Session, at: datetime, most: int) -> list[ManyRead]:
    """Return who read so many identities within the last hour that quality is called."""
    person = person_of(user)
    rows = session.execute(
        select(person.label("person"), func.min(event.c.site_code).label("site"), func.min(event.c.recorded_at).label("since"))
        .join_from(event, user, user.c.code == event.c.recorded_by)
        .where(event.c.kind == _KIND, event.c.recorded_at > at - WITHIN, event.c.recorded_at <= at)
        .group_by(person)
        .having(func.count(event.c.stream_id.distinct()) >= max(1, ceil(most * NEAR_PERCENT / 100)))
    )
    return [ManyRead(row.person, row.site, row.since) for row in rows]


def list_identity_readings(
    session: Session, actor: Actor, *, by: str | None = None, days: int = 31, zone: str = "UTC", paging: Paging = Paging()
) -> IdentityReadingList:
    """List who read how many identities in the last `days` days, at the clinics whose log the actor reads.

    `by`: only the logins of the person who has this one. `zone`: whose days.
    """
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    rows = _by_day(clock.now() - timedelta(days=days), zone).where(actor.scope(Permission.LOG_READ).of(event.c.site_code))
    if by is not None:
        rows = rows.where(event.c.recorded_by.in_(sorted(logins_of_persons(session, [by]).get(by, ()))))
    of = rows.subquery().c
    statement = select(of.day, of.user, of.site, of.people, of.readings, of.last_at)
    orders = {"day": of.day, "people": of.people, "user": of.user}
    page = read_page(session, statement, paging, key=of.key, orders=orders, default="-day")
    return IdentityReadingList(items=[IdentityReadings.model_validate(dict(row._mapping)) for row in page.rows], **page.ends)


def _by_day(since: datetime, zone: str) -> "Select[Any]":
    day = func.to_char(func.timezone(zone, event.c.recorded_at), "YYYY-MM-DD", type_=String)
    return (
        select(
            day.label("day"),
            event.c.recorded_by.label("user"),
            event.c.site_code.label("site"),
            func.count(event.c.stream_id.distinct()).label("people"),
            func.count().label("readings"),
            func.max(event.c.recorded_at).label("last_at"),
            cast(func.concat(day, "|", event.c.recorded_by, "|", event.c.site_code), String).label("key"),
        )
        .where(event.c.kind == _KIND, event.c.recorded_at > since)
        .group_by(day, event.c.recorded_by, event.c.site_code)
    )
