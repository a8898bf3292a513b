"""Counts of what is in a place: blind, by two people where they differ from the record, resolved by signature; nothing moves.

Whoever counts is told neither what is expected nor whether somebody counted before (`blindness.py`). A first count that agrees
with the record ends it. One that differs is counted again by another person, and what both people saw is resolved by quality,
who counted neither time. A tube seen in another place than recorded is recorded as seen there; only a move moves it.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import and_, insert, or_, select, tuple_, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.badges import not_by_badge
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_of
from biobank.custody.chronology import OutOfOrder
from biobank.custody.entry import Head
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.recording import Move, acknowledge, head_of, record
from biobank.custody.snapshots import load
from biobank.custody.states import State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import is_code
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.foundation.scanned_text import tidy
from biobank.specimens.resolving import codes_named
from biobank.specimens.scanned_labels import note_outdated
from biobank.storage import queries
from biobank.storage.events import OF_ITS_PLACE, ContainerCounted, CountResolved, Sighted
from biobank.storage.models import stock_count, stock_count_line
from biobank.storage.schemas import CountAnswer, CountBlind, CountRequest, CountTaken, ResolveCount
from biobank.transparency.models import event as event_table

Status = Literal["agreed", "to_recount", "to_resolve", "resolved"]


class SameCounter(Conflict):
    """The second count is another person's, and neither of the two resolves it."""

    code = "same_counter"
    title = "Another person counts again"


class CountToResolve(Conflict):
    """Two people counted it; quality resolves that first."""

    code = "count_to_resolve"
    title = "Two people counted it already"


class NothingToResolve(Conflict):
    """No count of this place waits for quality."""

    code = "nothing_to_resolve"
    title = "No count waits"


class CountOpen(Conflict):
    """A place is not compared with its record while two people count it."""

    code = "count_open"
    title = "A count is open"


@dataclass(frozen=True)
class Compared:
    """What was scanned in a place beside what the record expects there: how many, and the codes of what differs, sorted.

    `elsewhere`: tubes of ours that belong in another place; `unknown`: what is no tube of ours.
    """

    expected: int
    found: int
    missing: list[str]
    elsewhere: list[str]
    unknown: list[str]

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.missing or self.elsewhere or self.unknown)

    def event(self, which: Literal["first", "second"] | None) -> ContainerCounted:
        """Return what the log gets of it; `which` count, None for a comparison with the record."""
        return ContainerCounted(
            count=which,
            expected=self.expected,
            found=self.found,
            missing=tuple(self.missing[:1000]),
            misplaced=tuple(self.elsewhere[:1000]),
            # What is no code of ours may be anything, a name included: the log gets the number of such scans only.
            extra=tuple(one for one in self.unknown[:1000] if is_code(one)),
        )


def compare(expected: Set[str], scanned: Set[str], ours: Collection[str]) -> Compared:
    """Compare what was scanned with what is expected; `ours`: the codes among them that are specimens. Pure."""
    more = scanned - expected
    return Compared(
        expected=len(expected),
        found=len(expected & scanned),
        missing=sorted(expected - scanned),
        elsewhere=sorted(one for one in more if one in ours),
        unknown=sorted(one for one in more if one not in ours),
    )


def open_count(session: Session, container: str) -> Any:
    """Return the row of a place's open count, or None."""
    return session.execute(select(stock_count).where(stock_count.c.container_code == container, stock_count.c.open)).first()


def counting_refusals(actor: Actor, row: Any, found: Any, people: Collection[str]) -> list[Refusal]:
    """Return why these people may not count a place now. Pure.

    `row`: the place; `found`: its open count or None; `people`: every login of whoever counts, and of the hands they name.
    """
    refusals: list[Refusal | None] = [actor.refusal(Permission.STORAGE_RECORD, at=row.site_code)]
    if found is not None and actor.badge_at is not None:
        refusals.append(not_by_badge("count a place again", subject=row.code))
    if found is not None and found.recounted_at is not None:
        refusals.append(CountToResolve(f"{row.code} was counted by two people. Quality resolves that first.", subject=row.code))
    elif found is not None and not set(people).isdisjoint(found.counted_by):
        said = f"{row.code} waits to be counted by somebody else than before. Ask a colleague."
        refusals.append(SameCounter(said, subject=row.code))
    return [one for one in refusals if one is not None]


def resolving_refusals(actor: Actor, row: Any, found: Any, people: Collection[str]) -> list[Refusal]:
    """Return why the actor may not resolve the count of a place now. Pure. `people`: as for a count."""
    refusals: list[Refusal | None] = [actor.refusal(Permission.QUALITY_DECIDE, at=row.site_code)]
    if found is None or found.recounted_at is None:
        refusals.append(NothingToResolve(f"No count of {row.code} waits to be resolved.", subject=row.code))
    elif not set(people).isdisjoint((*found.counted_by, *found.recounted_by)):
        said = f"You counted {row.code}. Somebody else of quality resolves it."
        refusals.append(SameCounter(said, subject=row.code))
    return [one for one in refusals if one is not None]


def count(session: Session, act: Act, code: str, request: CountBlind) -> CountTaken:
    """Count what is in a place, the first or the second time. Raises what `counting_refusals` returns, and NotFound."""
    inside = queries.specimens_inside(session, code)
    scanned = _said_by(session, act, request.scanned)
    tubes = load(session, sorted({*inside, *(one for one in scanned if is_code(one))}), lock=True)
    row = queries.get_container(session, act.actor, code, lock=True)
    found = open_count(session, code)
    head = head_of(session, act, request, subject=None, site=row.site_code)
    people = _hands(head)
    raise_first(counting_refusals(act.actor, row, found, logins_of(session, people)))
    _require_as_it_stood(session, head, code, tubes)
    compared = compare(_expected(queries.specimens_inside(session, code), tubes), scanned, tubes)
    event = compared.event("first" if found is None else "second")
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    done += record(session, act, _sightings(tubes, compared.elsewhere, code, row.site_code, done[0].leaf_hash), request)
    status = _keep(session, act, row, found, people, done[0].leaf_hash, compared.differs)
    if status == "to_resolve":
        _keep_lines(session, found.id, tubes, compared.missing, compared.elsewhere, code)
    return CountTaken(container=code, scanned=len(scanned), status=status, receipt=acknowledge(act, done))


def _expected(inside: Collection[str], tubes: Mapping[str, Snapshot]) -> set[str]:
    """What should be found in a place: not what somebody took out of it and has in hand."""
    return {one for one in inside if one in tubes and tubes[one].state is State.STORED}


def _hands(head: Head) -> list[str]:
    """Whose count it is: of the login, and of everybody whom the entry names, the two people of a form among them."""
    return sorted({head.by, *(one.user for one in head.performed)})


def _require_as_it_stood(session: Session, head: Head, code: str, tubes: Mapping[str, Snapshot]) -> None:
    """Raise OutOfOrder for a count of a time since which one of these tubes went elsewhere, or the place, or a container in it or
    around one of the tubes: it is compared with how they stand now.
    """
    if head.occurred_at >= head.recorded_at:
        return
    e = event_table.c
    changed = [("specimen", one.code, one.state_seq) for one in tubes.values()]
    of_tubes = and_(tuple_(e.stream_kind, e.stream_id, e.seq).in_(changed))
    boxes = {one.projection.container_code for one in tubes.values()} - {None}
    places = sorted({code, *queries.containers_below(session, code), *map(str, boxes)})
    of_place = and_(e.stream_kind == "container", e.stream_id.in_(places), e.kind.in_(sorted(OF_ITS_PLACE)))
    later = select(e.stream_id).where(or_(of_tubes, of_place), e.occurred_at > head.occurred_at).order_by(e.stream_id).limit(1)
    moved = session.execute(later).scalar()
    if moved is not None:
        raise OutOfOrder(
            f"{moved} was moved after {rfc3339(head.occurred_at)}: what was counted then cannot be compared with the record of "
            "now. Count again.",
            subject=moved,
        )


def _sightings(tubes: dict[str, Snapshot], seen: Sequence[str], code: str, site: str, counted: bytes) -> list[Move]:
    """What is recorded of tubes that were seen here and belong elsewhere; of what is over too: it should not be anywhere."""
    return [
        Move(tubes[one], Sighted(container=code, recorded=tubes[one].projection.container_code), site=site, relies_on=(counted,))
        for one in seen
    ]


def _keep(session: Session, act: Act, row: Any, found: Any, people: Sequence[str], event: bytes, differs: bool) -> Status:
    if found is None:
        first = {"id": uuid4(), "container_code": row.code, "site_code": row.site_code, "counted_by": people}
        session.execute(insert(stock_count).values(**first, counted_at=act.at, counted_event=event, open=differs))
        return "to_recount" if differs else "agreed"
    session.execute(
        update(stock_count)
        .where(stock_count.c.id == found.id)
        .values(recounted_at=act.at, recounted_by=people, recounted_event=event, open=differs)
    )
    return "to_resolve" if differs else "agreed"


def _keep_lines(
    session: Session, count_id: UUID, tubes: dict[str, Snapshot], missing: Sequence[str], elsewhere: Sequence[str], code: str
) -> None:
    lines = [(one, "missing", None) for one in missing] + [(one, "elsewhere", code) for one in elsewhere]
    if lines:
        session.execute(
            insert(stock_count_line),
            [
                {
                    "count_id": count_id,
                    "specimen_code": one,
                    "finding": finding,
                    "seen_in": seen,
                    "state_seq": tubes[one].state_seq,
                }
                for one, finding, seen in lines
            ],
        )


def resolve_count(session: Session, act: Act, code: str, request: ResolveCount) -> CountTaken:
    """Resolve what two people counted, signed. It moves nothing: what is to be moved or looked for becomes a task.

    Raises what `resolving_refusals` returns, NotFound, and what `use_signature` raises.
    """
    row = queries.get_container(session, act.actor, code, lock=True)
    found = open_count(session, code)
    relies_on = () if found is None else (bytes(found.counted_event), bytes(found.recounted_event or found.counted_event))
    head = head_of(session, act, request, subject=None, site=row.site_code, relies_on=relies_on)
    raise_first(resolving_refusals(act.actor, row, found, logins_of(session, _hands(head))))
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    lines = findings_of(session, found.id)
    event = CountResolved(
        first=bytes(found.counted_event).hex(),
        second=bytes(found.recounted_event).hex(),
        missing=tuple(line.specimen_code for line in lines if line.finding == "missing")[:1000],
        elsewhere=tuple(line.specimen_code for line in lines if line.finding == "elsewhere")[:1000],
        reason=request.reason,
        signature=str(signature.id),
    )
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    session.execute(
        update(stock_count)
        .where(stock_count.c.id == found.id)
        .values(open=False, resolved_at=act.at, resolved_by=act.actor.code, resolved_event=done[0].leaf_hash)
    )
    return CountTaken(container=code, scanned=None, status="resolved", receipt=acknowledge(act, done))


def findings_of(session: Session, count_id: UUID) -> Sequence[Any]:
    """Return the lines of a count: what two people did not find, and what they saw that belongs elsewhere."""
    statement = select(stock_count_line).where(stock_count_line.c.count_id == count_id)
    return session.execute(statement.order_by(stock_count_line.c.finding, stock_count_line.c.specimen_code)).all()


def count_container(session: Session, act: Act, request: CountRequest) -> CountAnswer:
    """Compare what was scanned in a container with what should be there. Changes nothing; the differences are kept.

    Raises NotFound, NotPermitted, CountOpen.
    """
    code = request.container.upper()
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    require_no_open_count(session, code)
    inside = queries.specimens_inside(session, code)
    scanned = _said_by(session, act, request.scanned)
    tubes = load(session, sorted({*inside, *(one for one in scanned if is_code(one))}), lock=True)
    compared = compare(_expected(inside, tubes), scanned, tubes)
    head = head_of(session, act, request, subject=None, site=row.site_code)
    _require_as_it_stood(session, head, code, tubes)
    done = append(session, [Fact(StreamKind.CONTAINER, code, compared.event(None), head)])
    done += record(session, act, _sightings(tubes, compared.elsewhere, code, row.site_code, done[0].leaf_hash), request)
    return CountAnswer(
        container=code,
        expected=compared.expected,
        found=compared.found,
        missing=compared.missing,
        misplaced=compared.elsewhere,
        extra=compared.unknown,
        receipt=acknowledge(act, done),
    )


def _said_by(session: Session, act: Act, scanned: Sequence[str]) -> set[str]:
    """The codes that were scanned, and of what names nothing here the text itself."""
    note_outdated(session, act, scanned)
    named = codes_named(session, act.actor, scanned, act.bank.settings)
    return {named.get(text) or tidy(text) or text for text in scanned}


def require_no_open_count(session: Session, container: str) -> None:
    """Raise CountOpen while a count of a place is open: comparing it would tell a counter what the first one found amiss."""
    if open_count(session, container) is not None:
        raise CountOpen(f"A count of {container} is open. Compare it when that is over.", subject=container)


class CountPublic(BaseModel):
    """A count of a place and how it stands."""

    container: str
    site: str
    status: Status
    counted_at: AwareDatetime
    counted_by: list[str]
    recounted_at: AwareDatetime | None
    recounted_by: list[str] | None
    resolved_at: AwareDatetime | None
    resolved_by: str | None


class CountList(Listed[CountPublic]):
    """Counts."""


def status_of(row: Any) -> Status:
    """Say how a count stands."""
    if row.open:
        return "to_recount" if row.recounted_at is None else "to_resolve"
    return "agreed" if row.resolved_at is None else "resolved"


def list_counts(
    session: Session, actor: Actor, *, open_only: bool = False, container: str | None = None, paging: Paging = Paging()
) -> CountList:
    """Return counts of places the actor may know of, newest first."""
    statement = select(stock_count).where(queries.places_seen(actor).of(stock_count.c.site_code))
    if open_only:
        statement = statement.where(stock_count.c.open)
    if container is not None:
        statement = statement.where(stock_count.c.container_code == container)
    orders = {"counted_at": stock_count.c.counted_at}
    page = read_page(session, statement, paging, key=stock_count.c.id, orders=orders, default="-counted_at")
    names = ("counted_at", "counted_by", "recounted_at", "recounted_by", "resolved_at", "resolved_by")
    items = [
        CountPublic(
            container=row.container_code,
            site=row.site_code,
            status=status_of(row),
            **{name: getattr(row, name) for name in names},
        )
        for row in page.rows
    ]
    return CountList(items=items, **page.ends)


def findings_to_settle(session: Session, actor: Actor, limit: int) -> list[Any]:
    """Return what resolved counts left to do for the actor: (specimen, finding, seen_in, since), while nothing changed since."""
    line, scope = stock_count_line.c, actor.scope(Permission.STORAGE_RECORD)
    statement = (
        select(line.specimen_code, line.finding, line.seen_in, stock_count.c.resolved_at)
        .join(stock_count, stock_count.c.id == line.count_id)
        .join(custody, and_(custody.c.code == line.specimen_code, custody.c.state_seq == line.state_seq))
        .where(stock_count.c.resolved_at.is_not(None), scope.of(stock_count.c.site_code))
        .order_by(stock_count.c.resolved_at, line.specimen_code)
        .limit(limit)
    )
    return list(session.execute(statement))
