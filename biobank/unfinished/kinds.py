"""The one table of open acts: how each kind is found, how long it may take, who can finish it and where.

`open_acts` is the one question; the timer, the list and Today ask it. The usual times are starting values of this registry,
without a published source; quality sets a site's own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
    values,
)
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.benches.models import bench_session
from biobank.custody.models import custody
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.shipping.handover_queries import handover, item
from biobank.storage.models import stock_count, storage_container
from biobank.transparency.models import event
from biobank.unfinished.models import act_timed_out, open_act_limit
from biobank.withdrawals.case import pick_table as withdrawal_pick
from biobank.withdrawals.models import bedside_release, withdrawal, withdrawal_item
from biobank.withdrawals.paper_checks import ENTERED_WITHIN
from biobank.withdrawals.releases import check_table as bedside_check

P = Permission


@dataclass(frozen=True)
class OpenKind:
    """A kind of open act.

    `found` selects what is open: stream_id, subject (what its page names), site, since; due (when the act itself says how long it
    stands) and ended (when its own event ended it). `usual_min`: minutes, None where the act says it. `may`: who finishes it.
    """

    stream: StreamKind
    found: Select[Any]
    usual_min: int | None
    may: Permission
    what: str
    page: str


def _found(stream_id: Any, subject: Any, place: Any, since: Any, due: Any = None, ended: Any = None) -> Select[Any]:
    """Select what is open, in the columns of `_ANSWERED` after the first."""
    never = cast(null(), DateTime(timezone=True))
    return select(stream_id, subject, place, since, never if due is None else due, never if ended is None else ended)


def _event_of_state() -> Any:
    """When the last change of a specimen's state occurred."""
    return (
        select(event.c.occurred_at)
        .where(event.c.stream_kind == "specimen", event.c.stream_id == custody.c.code, event.c.seq == custody.c.state_seq)
        .scalar_subquery()
    )


def _specimens(since: Any, *where: Any) -> Select[Any]:
    """Specimens at any site, by the index of sites and states."""
    whole = site.join(custody, custody.c.site_code == site.c.code)
    return _found(custody.c.code, custody.c.code, custody.c.site_code, since).select_from(whole).where(*where)


_THAWED_AT = (
    select(func.max(event.c.occurred_at))
    .where(
        event.c.stream_kind == "specimen",
        event.c.stream_id == custody.c.code,
        # What was made of thawed material, or came thawed, has been so from its beginning.
        or_(event.c.kind == "specimen.thawed", event.c.seq == 1),
    )
    .scalar_subquery()
)
_THAWED_STATES = ("in_process", "checked_out", "issued", "delivered", "received", "in_transit", "stored")
_PICKING = exists().where(withdrawal.c.code == custody.c.reserved_for, withdrawal.c.state == "picking")
_IN_HAND = (custody.c.offered_id.is_(None), ~_PICKING)
_RECEIVED = (custody.c.state == "received", *_IN_HAND)
_ISSUED_AT = (
    select(func.max(event.c.occurred_at))
    .where(event.c.stream_kind == "withdrawal", event.c.stream_id == withdrawal.c.code, event.c.kind == "withdrawal.issued")
    .scalar_subquery()
)
# A check counts while its release may be used, and when it was: what lapsed or was ended verified nothing.
_NOW = bindparam("now", callable_=clock.now, type_=DateTime(timezone=True))
_CHECKED = exists().where(
    bedside_release.c.check_id == bedside_check.c.id,
    or_(
        bedside_release.c.consumed_at.is_not(None),
        and_(bedside_release.c.ended_at.is_(None), bedside_release.c.expires_at >= _NOW),
    ),
    bedside_check.c.withdrawal_code == withdrawal_item.c.withdrawal_code,
    bedside_check.c.specimen_code == withdrawal_item.c.specimen_code,
)
# What was read on paper is entered by both within the day, long after it lapsed as a check at the bedside would.
CHECK_DUE = case(
    (bedside_check.c.paper.is_not(None), bedside_check.c.opened_at + ENTERED_WITHIN), else_=bedside_check.c.expires_at
)
_UNVERIFIED = exists().where(
    withdrawal_item.c.withdrawal_code == withdrawal.c.code,
    custody.c.code == withdrawal_item.c.specimen_code,
    custody.c.state.in_(["issued", "in_transit", "delivered"]),
    # What came back may be out for another withdrawal by now: that one is called for it.
    custody.c.reserved_for == withdrawal.c.code,
    ~_CHECKED,
)
_LATER, _LATER_ITEM = handover.alias("later"), item.alias("later_item")
_OFFERED_AGAIN = exists().where(
    _LATER_ITEM.c.specimen_code == item.c.specimen_code,
    _LATER.c.id == _LATER_ITEM.c.handover_id,
    _LATER.c.offered_at > handover.c.offered_at,
)


KINDS: Final[Mapping[str, OpenKind]] = {
    "run": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_event_of_state(), custody.c.state == "in_process", custody.c.condition.not_in(["in_culture", "thawed"])),
        24 * 60,
        P.PROCESSING_RECORD,
        "Finish a run",
        "/specimens/{}",
    ),
    "culture": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_event_of_state(), custody.c.state == "in_process", custody.c.condition == "in_culture"),
        30 * 24 * 60,
        P.PROCESSING_RECORD,
        "Finish a culture",
        "/specimens/{}",
    ),
    "thaw": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_THAWED_AT, custody.c.condition == "thawed", custody.c.state.in_(_THAWED_STATES)),
        60,
        P.CUSTODY_RECORD,
        "Thawed and not used: finish it",
        "/specimens/{}",
    ),
    "taken_out": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_event_of_state(), custody.c.state == "checked_out", custody.c.condition != "thawed", ~_PICKING),
        30,
        P.STORAGE_RECORD,
        "Taken out and not put back",
        "/specimens/{}",
    ),
    # What an offer waits for is the hand-over's; what is picked, the pick's.
    "not_put_away": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_event_of_state(), *_RECEIVED, custody.c.condition.in_(["frozen", "freezing"])),
        30,
        P.STORAGE_RECORD,
        "Received frozen and not put away",
        "/specimens/{}",
    ),
    "not_taken_up": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(
            _event_of_state(),
            *(custody.c.state.in_(["received", "collected"]), *_IN_HAND),
            custody.c.condition.in_(["fresh", "in_culture"]),
        ),
        24 * 60,
        P.CUSTODY_RECORD,
        "Collected or received, and neither sent, processed nor put away",
        "/specimens/{}",
    ),
    # Whoever looks for it finds it; only quality gives it up, so that it waits for them until one of the two.
    "missing": OpenKind(
        StreamKind.SPECIMEN,
        _specimens(_event_of_state(), custody.c.state == "missing"),
        24 * 60,
        P.QUALITY_DECIDE,
        "Missing: have it looked for, or give it up by two",
        "/specimens/{}",
    ),
    "pick": OpenKind(
        StreamKind.WITHDRAWAL,
        _found(
            withdrawal.c.code,
            withdrawal.c.code,
            func.min(custody.c.site_code),
            func.max(func.greatest(withdrawal_pick.c.picked_at, withdrawal_pick.c.confirmed_at)),
        )
        .where(
            withdrawal_pick.c.withdrawal_code == withdrawal.c.code,
            custody.c.code == withdrawal_pick.c.specimen_code,
            withdrawal.c.state == "picking",
        )
        .group_by(withdrawal.c.code),
        60,
        P.WITHDRAWAL_PICK,
        "Finish a pick",
        "/withdrawals/{}",
    ),
    "bedside_check": OpenKind(
        StreamKind.WITHDRAWAL,
        _found(
            withdrawal.c.code,
            withdrawal.c.code,
            withdrawal.c.clinic_site_code,
            bedside_check.c.opened_at,
            due=CHECK_DUE,
        ).where(
            withdrawal.c.code == bedside_check.c.withdrawal_code,
            bedside_check.c.ended_at.is_(None),
            bedside_check.c.superseded_at.is_(None),
            withdrawal.c.state.in_(["issued", "delivered"]),
        ),
        None,
        P.WITHDRAWAL_ADMINISTER,
        "Finish a bedside check",
        "/withdrawals/{}",
    ),
    # The watchdog over what left for a person: it counts from the issue, so a clinic that is far away sets its own time.
    "unverified": OpenKind(
        StreamKind.WITHDRAWAL,
        _found(withdrawal.c.code, withdrawal.c.code, withdrawal.c.clinic_site_code, _ISSUED_AT).where(
            withdrawal.c.state.in_(["issued", "delivered"]), _UNVERIFIED
        ),
        60,
        P.WITHDRAWAL_ADMINISTER,
        "Issued and not verified at the bedside",
        "/withdrawals/{}",
    ),
    "lift": OpenKind(
        StreamKind.CONTAINER,
        _found(
            storage_container.c.code, storage_container.c.code, storage_container.c.site_code, storage_container.c.lifted_at
        ).where(storage_container.c.lifted_at.is_not(None)),
        15,
        P.STORAGE_RECORD,
        "Put a rack or box back",
        "/storage/{}",
    ),
    "count": OpenKind(
        StreamKind.CONTAINER,
        _found(
            stock_count.c.container_code, stock_count.c.container_code, stock_count.c.site_code, stock_count.c.counted_at
        ).where(stock_count.c.open, stock_count.c.recounted_at.is_(None)),
        24 * 60,
        P.STORAGE_RECORD,
        "Count a place a second time",
        "/storage/{}/count",
    ),
    "count_resolution": OpenKind(
        StreamKind.CONTAINER,
        _found(
            stock_count.c.container_code, stock_count.c.container_code, stock_count.c.site_code, stock_count.c.recounted_at
        ).where(stock_count.c.open, stock_count.c.recounted_at.is_not(None)),
        3 * 24 * 60,
        P.QUALITY_DECIDE,
        "Resolve a count that differs",
        "/storage/{}/count/resolve",
    ),
    "bench_session": OpenKind(
        StreamKind.SYSTEM,
        _found(bench_session.c.code, bench_session.c.code, bench_session.c.site_code, bench_session.c.opened_at).where(
            bench_session.c.closed_at.is_(None)
        ),
        12 * 60,
        P.PROCESSING_RECORD,
        "Clear and close a workstation",
        "/bench-sessions/{}",
    ),
    # Its own event ended it: the giver still holds what nobody took, and offers it again or puts it away.
    "hand_over": OpenKind(
        StreamKind.SPECIMEN,
        _found(
            cast(handover.c.id, Text),
            func.min(item.c.specimen_code),
            func.min(custody.c.site_code),
            handover.c.offered_at,
            due=handover.c.expires_at,
            ended=handover.c.expired_at,
        )
        .where(
            item.c.handover_id == handover.c.id,
            custody.c.code == item.c.specimen_code,
            handover.c.expired_at.is_not(None),
            custody.c.state_seq == item.c.state_seq,
            custody.c.state != "stored",
            custody.c.custodian_kind == handover.c.from_kind,
            custody.c.custodian_id == handover.c.from_id,
            ~_OFFERED_AGAIN,
        )
        .group_by(handover.c.id),
        None,
        P.HANDOVER_TAKE,
        "Nobody took a hand-over: offer it again or put it away",
        "/handovers/{}",
    ),
}


def _named(found: Select[Any]) -> list[ColumnElement[Any]]:
    names = ("stream_id", "subject", "site", "since", "own_due", "own_end")
    columns = found.subquery().c
    return [one.label(name) for one, name in zip(columns, names, strict=True)]


_FOUND = union_all(*(select(literal(name).label("act"), *_named(kind.found)) for name, kind in KINDS.items())).subquery("found")
_USUAL = values(column("act", Text), column("minutes", Integer), name="usual").data(
    [(name, kind.usual_min) for name, kind in KINDS.items() if kind.usual_min is not None]
)


@dataclass(frozen=True)
class OpenAct:
    """What was begun at `since` and is not finished; `due`: by when it should be; `timed_out_at`: when that was recorded."""

    act: str
    stream_id: str
    subject: str
    site: str | None
    since: datetime
    due: datetime
    minutes: int
    timed_out_at: datetime | None

    @property
    def kind(self) -> OpenKind:
        """Its row of the table."""
        return KINDS[self.act]

    @property
    def href(self) -> str:
        """The page on which it is finished."""
        return self.kind.page.format(self.stream_id)


def open_acts(
    session: Session,
    *,
    actor: Actor | None = None,
    timed_out: bool | None = None,
    due_by: datetime | None = None,
    streams: Collection[str] | None = None,
    limit: int = 500,
) -> list[OpenAct]:
    """Return what is open, the longest due first: for an actor what they could finish. One statement.

    `timed_out`: only what was, or was not yet, put on record as timed out; `due_by`: only what should have been finished by then.
    """
    found, own = _FOUND.c, open_act_limit.c
    minutes = func.coalesce(own.minutes, _USUAL.c.minutes)
    due = func.coalesce(found.own_due, found.since + func.make_interval(0, 0, 0, 0, 0, minutes))
    ended = func.coalesce(found.own_end, act_timed_out.c.at)
    statement = (
        select(found.act, found.stream_id, found.subject, found.site, found.since, due.label("due"), ended.label("timed_out_at"))
        .select_from(
            _FOUND.outerjoin(_USUAL, _USUAL.c.act == found.act)
            .outerjoin(open_act_limit, and_(own.act == found.act, own.site_code == found.site))
            .outerjoin(
                act_timed_out,
                and_(
                    act_timed_out.c.act == found.act,
                    act_timed_out.c.stream_id == found.stream_id,
                    act_timed_out.c.since == found.since,
                ),
            )
        )
        .order_by(due, found.stream_id, found.act)
        .limit(limit)
    )
    if actor is not None:
        statement = statement.where(_finishable_by(actor))
    if timed_out is not None:
        statement = statement.where(ended.is_not(None) if timed_out else ended.is_(None))
    if due_by is not None:
        statement = statement.where(due <= due_by)
    if streams is not None:
        statement = statement.where(found.stream_id.in_(sorted(streams)))
    return [
        OpenAct(**row._mapping, minutes=max(1, round((row.due - row.since).total_seconds() / 60)))
        for row in session.execute(statement)
    ]


def _finishable_by(actor: Actor) -> ColumnElement[bool]:
    """Bound what is open to what the actor's role can finish where it is."""
    return or_(false(), *(and_(_FOUND.c.act == name, actor.scope(kind.may).of(_FOUND.c.site)) for name, kind in KINDS.items()))
