"""Notices: who must know what, by name, and when they said that they do.

Whoever holds units of what failed or is recalled, received them, asked for them or gave them is told: who treats first.
A notice stands on its reader's Today until they acknowledge it; quality sees who has not. Whoever waits for a withdrawal is told
in the same way how it goes on (`withdrawals/telling.py`): that leaves by itself once it is no news any more.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_that_may
from biobank.custody.entry import parse_entry
from biobank.custody.ledger import Appended
from biobank.custody.models import custody
from biobank.custody.performer_confirmations import named_performer
from biobank.custody.recording import NOW, Circumstances, acknowledge
from biobank.custody.states import PerformerAnswer
from biobank.donors.models import donor
from biobank.donors.visibility import now_or_before
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.messages.outbox import tell
from biobank.quality.incident_events import NoticeAcknowledged, NoticesGiven
from biobank.quality.models import notice
from biobank.quality.schemas import NoticeList, NoticePublic
from biobank.quality.streams import digest_of, record_on_stream
from biobank.transparency.models import event

TREATS, RECEIVED, HOLDS = 1, 2, 3
"""Who is told first: who asked for units or gave them, who received them, who holds them now."""

_HANDED = {"specimen.administered": TREATS, "specimen.delivered": RECEIVED, "specimen.handover_accepted": RECEIVED}


class NoticeAcknowledgedAlready(Conflict):
    """They said so before."""

    code = "notice_acknowledged"
    title = "Acknowledged already"


@dataclass(frozen=True)
class Told:
    """Somebody to be told: in what rank (see above), about how many units, and whether one of them was given to a patient."""

    login: str
    rank: int
    units: frozenset[str]


class Acknowledge(Circumstances):
    """I have read it and do what it asks of me."""


class NoticeDone(NoticePublic):
    """It is acknowledged; our signature under it."""

    receipt: str


def concerned(session: Session, units: Collection[str], donors: Collection[str]) -> list[Told]:
    """Return who holds these units or had to do with giving them, the treating first: a few statements however many.

    For a login that was ended stands in whoever treats at the clinic of the donors now; where nobody does, it stays named.
    """
    known = [
        (login, unit, rank) for login, unit, rank in _concerned(session, frozenset(units), donors) if login.startswith("US-")
    ]
    present = standing_in(session, {login for login, _, _ in known}, donors)
    found: dict[str, tuple[int, set[str]]] = {}
    for ended, unit, rank in known:
        for login in present.get(ended, {ended}):
            before, own = found.get(login, (rank, set()))
            found[login] = (min(before, rank), own | {unit})
    people = [Told(login, rank, frozenset(own)) for login, (rank, own) in found.items()]
    return sorted(people, key=lambda one: (one.rank, one.login))


def standing_in(session: Session, logins: Collection[str], donors: Collection[str]) -> dict[str, frozenset[str]]:
    """Return for each of these logins that was ended who is told instead."""
    ended = session.execute(select(user.c.code).where(user.c.code.in_(sorted(logins)), ~user.c.active)).scalars().all()
    if not ended:
        return {}
    clinics = session.execute(select(donor.c.clinic_site_code).where(donor.c.code.in_(sorted(donors))).distinct()).scalars().all()
    there = frozenset().union(*logins_that_may(session, Permission.WITHDRAWAL_ADMINISTER, clinics).values())
    return dict.fromkeys(ended, there) if there else {}


def _hands(session: Session, rows: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], str]]:
    """Yield each event with whoever recorded it, and with the colleagues that it names who did not deny it."""
    denied = named_performer.c.answer == PerformerAnswer.DISPUTED.value
    these = named_performer.c.leaf_hash.in_([row.leaf_hash for row in rows])
    disputed = {
        (bytes(row.leaf_hash), row.user_code)
        for row in session.execute(select(named_performer.c.leaf_hash, named_performer.c.user_code).where(these, denied))
    }
    for row in rows:
        named = {str(one["user"]) for one in parse_entry(bytes(row.entry)).get("performed") or ()}
        for login in sorted({row.recorded_by, *named}):
            if (bytes(row.leaf_hash), login) not in disputed:
                yield row, login


def _concerned(session: Session, units: frozenset[str], donors: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Yield a login, a unit and the rank: who asked for it, who gave or received it, who holds it now."""
    columns = (event.c.leaf_hash, event.c.recorded_by, event.c.entry, event.c.stream_id, event.c.kind)
    of_them = now_or_before(event.c.donor_code, donors)
    asked = select(*columns).where(event.c.kind == "withdrawal.requested", of_them)
    for row, login in _hands(session, session.execute(asked).all()):
        for unit in units.intersection(parse_entry(bytes(row.entry))["body"]["specimens"]):
            yield login, unit, TREATS
    handed = select(*columns).where(
        event.c.stream_kind == "specimen", event.c.stream_id.in_(sorted(units)), event.c.kind.in_(sorted(_HANDED))
    )
    for row, login in _hands(session, session.execute(handed).all()):
        yield login, row.stream_id, _HANDED[row.kind]
    held = select(custody.c.custodian_id, custody.c.code).where(
        custody.c.code.in_(sorted(units)), custody.c.custodian_kind == "user"
    )
    for row in session.execute(held):
        yield row.custodian_id, row.code, HOLDS


def give_notices(
    session: Session, act: Act, people: Iterable[Told], *, reason: str, about: str, deviation: str, site: str, relies_on: bytes
) -> list[Appended]:
    """Tell each of these people, in one event on the deviation's stream. Returns it, or nothing when nobody is concerned."""
    told = list(people)
    if not told:
        return []
    units = frozenset().union(*(one.units for one in told))
    given = NoticesGiven(
        reason=reason,
        about=about,
        told=tuple(one.login for one in told),
        subjects=len(units),
        subjects_sha256=digest_of(units),
    )
    appended = record_on_stream(session, act, deviation, given, NOW, site=site, relies_on=(relies_on,))
    keep_notices(session, act, told, reason=reason, about=about, deviation=deviation, site=site, made=appended.leaf_hash)
    return [appended]


def keep_notices(
    session: Session,
    act: Act,
    told: Iterable[Told],
    *,
    reason: str,
    about: str,
    deviation: str | None,
    site: str,
    made: bytes,
) -> None:
    """Write a notice to each; `made`: the leaf hash of the event that says so; without a deviation it is about a withdrawal."""
    same = {
        "reason": reason,
        "about": about,
        "about_kind": "withdrawal" if deviation is None else "deviation",
        "deviation_code": deviation,
        "site_code": site,
        "made_at": act.at,
        "made_event": made,
    }
    rows = [same | {"id": uuid4(), "user_code": one.login, "rank": one.rank, "units": len(one.units)} for one in told]
    if rows:
        session.execute(insert(notice), rows)
        tell(session, act, "notice", site, [str(row["user_code"]) for row in rows])


_OPEN = and_(notice.c.acknowledged_at.is_(None), notice.c.ended_at.is_(None))


def end_notices(session: Session, act: Act, withdrawal: str, by: bytes, *, to: str | None = None) -> None:
    """End what waits to be read about a withdrawal, because of the event `by`; `to`: one reader's only."""
    stands = update(notice).where(notice.c.about == withdrawal, notice.c.about_kind == "withdrawal", _OPEN)
    if to is not None:
        stands = stands.where(notice.c.user_code == to)
    session.execute(stands.values(ended_at=act.at, ended_event=by))


ORDERS = {"made_at": notice.c.made_at, "about": notice.c.about}


def list_notices(
    session: Session,
    actor: Actor,
    *,
    open_only: bool = False,
    mine: bool = False,
    about: str | None = None,
    paging: Paging = Paging(),
) -> NoticeList:
    """List the notices to the actor, and for whoever decides on deviations those of deviations at their sites."""
    known = notice.c.user_code == actor.code
    if not mine:
        decides = actor.scope(Permission.DEVIATION_DECIDE).of(notice.c.site_code)
        known = or_(known, and_(notice.c.about_kind == "deviation", decides))
    statement = select(notice).where(known)
    if open_only:
        statement = statement.where(_OPEN)
    if about is not None:
        statement = statement.where(or_(notice.c.about == about, notice.c.deviation_code == about))
    page = read_page(session, statement, paging, key=notice.c.id, orders=ORDERS, default="-made_at")
    return NoticeList(items=[_public(row) for row in page.rows], **page.ends)


def read_own_notice(session: Session, actor: Actor, notice_id: UUID, *, lock: bool = False) -> NoticePublic:
    """Return a notice to the actor; raise NotFound for anybody else."""
    statement = select(notice).where(notice.c.id == notice_id, notice.c.user_code == actor.code)
    row = session.execute(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise NotFound("There is no such notice to you.")
    return _public(row)


def acknowledge_notice(session: Session, act: Act, notice_id: UUID, request: Acknowledge) -> NoticeDone:
    """Say that one has read a notice to oneself. Raises NotFound, NoticeAcknowledgedAlready."""
    one = read_own_notice(session, act.actor, notice_id, lock=True)
    if one.acknowledged_at is not None:
        raise NoticeAcknowledgedAlready(f"You acknowledged the notice about {one.about} before.", subject=one.about)
    read = NoticeAcknowledged(notice=str(notice_id), about=one.about)
    appended = record_on_stream(session, act, one.deviation or one.about, read, request, site=one.site)
    session.execute(
        update(notice).where(notice.c.id == notice_id).values(acknowledged_at=act.at, acknowledged_event=appended.leaf_hash)
    )
    return NoticeDone(**one.model_dump() | {"acknowledged_at": act.at}, receipt=acknowledge(act, [appended]))


def _public(row: "Row[Any]") -> NoticePublic:
    return NoticePublic(
        id=row.id,
        reason=row.reason,
        about=row.about,
        about_kind=row.about_kind,
        deviation=row.deviation_code,
        told=row.user_code,
        treats=row.rank == TREATS,
        units=row.units,
        site=row.site_code,
        made_at=row.made_at,
        acknowledged_at=row.acknowledged_at,
        ended_at=row.ended_at,
    )
