"""Acts that were not finished in their time are put on record as timed out; quality sets how long each kind may take."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import Table, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.timers import timer
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import Event
from biobank.custody.ledger import Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, Circumstances, Move, acknowledge, head_of, record
from biobank.custody.snapshots import load
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.people.queries import get_site
from biobank.reconciliation.tables import repeated
from biobank.reconciliation.written import Said, Written, is_written
from biobank.storage.models import storage_container
from biobank.unfinished.events import BenchTimedOut, ContainerTimedOut, OpenActLimitSet, SpecimenTimedOut, WithdrawalTimedOut
from biobank.unfinished.kinds import KINDS, OpenAct, open_acts
from biobank.unfinished.models import act_timed_out, open_act_limit
from biobank.withdrawals.models import withdrawal

AT_ONCE = 200
_EVENTS: dict[StreamKind, type[Any]] = {
    StreamKind.SPECIMEN: SpecimenTimedOut,
    StreamKind.WITHDRAWAL: WithdrawalTimedOut,
    StreamKind.CONTAINER: ContainerTimedOut,
    StreamKind.SYSTEM: BenchTimedOut,
}
TIMED = tuple(name for name, kind in KINDS.items() if kind.usual_min is not None)


@timer(every=timedelta(minutes=1))
def time_out_open_acts(session: Session, act: Act) -> int:
    """Put on record what was begun and not finished in its time, and return how many acts. A timer's work.

    What they are about is locked first and the question is asked again: what was finished meanwhile is not timed out, and what
    somebody finishes at this moment is asked about again in a minute. No specimen has two open acts at once: its kinds are told
    apart by its state and condition. A withdrawal may have several of a kind, one for each tube: those that began at one time are
    one on the record.
    """
    due = open_acts(session, timed_out=False, due_by=act.at, limit=AT_ONCE)
    if not due:
        return 0
    about = {kind: {one.stream_id for one in due if one.kind.stream is kind} for kind in _EVENTS}
    still = about[StreamKind.SYSTEM] | _in_nobodys_hand(session, withdrawal, about[StreamKind.WITHDRAWAL])
    tubes = load(session, sorted(about[StreamKind.SPECIMEN]), lock=True)
    still |= tubes.keys() | _in_nobodys_hand(session, storage_container, about[StreamKind.CONTAINER])
    due = open_acts(session, timed_out=False, due_by=act.at, streams=still, limit=AT_ONCE)
    at_once = {(one.act, one.stream_id, one.since): one for one in due}
    for one in at_once.values():
        event: Event = _EVENTS[one.kind.stream](begun=one.act, since=rfc3339(one.since), minutes=one.minutes)
        if one.kind.stream is StreamKind.SPECIMEN:
            done = record(session, act, [Move(tubes[one.stream_id], event)], NOW)
        else:
            head = head_of(session, act, NOW, subject=None, site=one.site)
            done = append(session, [Fact(one.kind.stream, one.stream_id, event, head)])
        row = {"act": one.act, "stream_id": one.stream_id, "since": one.since, "at": act.at, "event_hash": done[0].leaf_hash}
        session.execute(insert(act_timed_out).values(**row))
    return len(at_once)


def _in_nobodys_hand(session: Session, table: Table, codes: Collection[str]) -> set[str]:
    """Lock those of these rows that nobody works on at this moment, and return their codes."""
    its = select(table.c.code).where(table.c.code.in_(sorted(codes))).order_by(table.c.code)
    return set(session.execute(locked(its, table, skip_locked=True)).scalars()) if codes else set()


def _timed(name: str) -> str:
    if name not in TIMED:
        raise ValueError("is no kind of act with a time that a site sets")
    return name


class SetOpenActLimit(Circumstances):
    """How many minutes an act of a kind may stay open at a site."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    act: Annotated[str, Field(pattern=r"^[a-z_]{3,40}$"), AfterValidator(_timed)]
    minutes: Annotated[int, Field(ge=1, le=400 * 24 * 60)]
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class OpenActLimitPublic(BaseModel):
    """How long an act of a kind may stay open: of a site, or usually (no site) as a starting value of the registry."""

    site: str | None = None
    act: str
    minutes: int


class OpenActLimitList(BaseModel):
    """Every limit there is."""

    items: list[OpenActLimitPublic]


class OpenActLimitRecorded(OpenActLimitPublic):
    """What stands now, and our signature."""

    receipt: str


class OpenActPublic(BaseModel):
    """What was begun and is not finished."""

    act: str
    subject: str
    site: str | None
    since: datetime
    due: datetime
    timed_out_at: datetime | None
    page: str


class OpenActList(BaseModel):
    """What is open, the longest due first."""

    items: list[OpenActPublic]


is_written(
    Written(
        open_act_limit,
        (
            Said(
                "event_hash",
                ("system.open_act_limit_set",),
                {"site_code": "body.site", "act": "body.begun", "set_by": "by", **repeated("minutes")},
            ),
        ),
        site="site_code",
        by_key=("site_code", "act"),
    )
)


def set_open_act_limit(session: Session, act: Act, request: SetOpenActLimit) -> OpenActLimitRecorded:
    """Set a site's limit, signed. Raises NotPermitted, NotFound, and what `use_signature` raises."""
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    get_site(session, request.site)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    said = {"site": request.site, "act": request.act, "minutes": request.minutes}
    head = head_of(session, act, request, subject=None, site=request.site)
    event = OpenActLimitSet(site=request.site, begun=request.act, minutes=request.minutes, signature=str(signature.id))
    done = append(session, [Fact(StreamKind.SYSTEM, request.site, event, head)])
    names = {"site_code": request.site, "act": request.act}
    row = {"minutes": request.minutes, "set_by": act.actor.code, "event_hash": done[0].leaf_hash}
    statement = upsert(open_act_limit).values(**names, **row)
    session.execute(statement.on_conflict_do_update(index_elements=list(names), set_=row))
    return OpenActLimitRecorded(**said, receipt=acknowledge(act, done))


def list_open_act_limits(session: Session, actor: Actor) -> OpenActLimitList:
    """Answer GET /open-act-limits: the usual ones, then the sites' own."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    found = [OpenActLimitPublic(act=name, minutes=KINDS[name].usual_min) for name in TIMED]
    rows = session.execute(select(open_act_limit).order_by(open_act_limit.c.site_code, open_act_limit.c.act))
    found += [OpenActLimitPublic(site=row.site_code, act=row.act, minutes=row.minutes) for row in rows]
    return OpenActLimitList(items=found)


def public_of(one: OpenAct) -> OpenActPublic:
    """Return it as it travels."""
    names = ("act", "subject", "site", "since", "due", "timed_out_at")
    return OpenActPublic(**{name: getattr(one, name) for name in names}, page=one.href)


def list_open_acts(session: Session, actor: Actor, timed_out: bool | None = None) -> OpenActList:
    """Answer GET /open-acts: what the actor could finish."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    return OpenActList(items=[public_of(one) for one in open_acts(session, actor=actor, timed_out=timed_out)])
