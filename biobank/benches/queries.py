"""Questions about bench sessions: who and what is at a workstation, and everything of one session."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Row, Text, func, literal_column, select, text, union
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.benches.at_bench import AnotherPersonsMaterial
from biobank.benches.models import bench_handling, bench_session
from biobank.benches.schemas import (
    BenchBatch,
    BenchHold,
    BenchSessionList,
    BenchSessionPublic,
    BenchSessionSummary,
    BenchStop,
    HandledPublic,
    WorkstationPublic,
)
from biobank.custody.hold_coverage import covered_by_those
from biobank.custody.models import custody, hold
from biobank.custody.states import HoldScope
from biobank.foundation.errors import NotFound
from biobank.foundation.from_above import FromAbove
from biobank.foundation.paging import Paging, read_page
from biobank.registers.fitness import Problem, answer_to
from biobank.registers.models import register_entry, register_rule

labels_of: FromAbove[Callable[[Session, str], list[tuple[int, bool]]]] = FromAbove("labels")
"""The batches of labels that were printed for a session: each number, and whether two people said what became of it."""

timed_out_at: FromAbove[Any] = FromAbove("unfinished")
"""A scalar subquery of when the session `bench_session.code` was put on record as not closed in its time."""

_ID = literal_column("{id}", Text)
SITES_OF_SESSION = str(
    union(
        select(bench_session.c.donor_code, bench_session.c.site_code.label("site")).where(bench_session.c.code == _ID),
        select(bench_handling.c.donor_code, custody.c.site_code)
        .join(custody, custody.c.code == bench_handling.c.specimen_code)
        .where(bench_handling.c.session_code == _ID),
    )
)
"""SQL: SELECT donor_code, site: where the workstation of the session `{id}` is, and what was handled there."""

MOST = 1000
ORDERS = {"opened_at": bench_session.c.opened_at, "workstation": bench_session.c.workstation}


def _sessions() -> Any:
    handled = select(func.count()).where(bench_handling.c.session_code == bench_session.c.code).correlate(bench_session)
    return select(
        bench_session,
        register_entry.c.name,
        handled.scalar_subquery().label("handled"),
        timed_out_at.get().label("timed_out_at"),
    ).join(register_entry, register_entry.c.key == bench_session.c.workstation)


def summary_of(_session: Session, row: "Row[Any]") -> BenchSessionSummary:
    """Return a session as it travels."""
    state = "closed" if row.closed_at is not None else "open" if row.timed_out_at is None else "timed_out"
    names = set(BenchSessionSummary.model_fields) - {"site", "donor", "state"}
    return BenchSessionSummary(
        **{name: getattr(row, name) for name in names}, site=row.site_code, donor=row.donor_code, state=state
    )


def row_of_session(session: Session, actor: Actor, code: str) -> "Row[Any]":
    """Return a session that the actor may know of; raise NotFound."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    row: Row[Any] | None = session.execute(_sessions().where(bench_session.c.code == code)).first()
    if row is None or not actor.may(Permission.SPECIMEN_READ, at=row.site_code):
        raise NotFound(f"There is no bench session {code} that you may see.", subject=code)
    return row


def open_session_at(session: Session, actor: Actor, workstation: str) -> "Row[Any]":
    """Return the session that is open at a workstation where the actor works. Raises NotFound, NotPermitted."""
    here = (bench_session.c.workstation == workstation, bench_session.c.closed_at.is_(None))
    row: Row[Any] | None = session.execute(_sessions().where(*here)).first()
    if row is None or not actor.may(Permission.SPECIMEN_READ, at=row.site_code):
        raise NotFound(f"{workstation} is not open. Clear it and open it on its page, then scan.", subject=workstation)
    actor.require(Permission.PROCESSING_RECORD, at=row.site_code, subject=workstation)
    return row


def list_sessions(
    session: Session,
    actor: Actor,
    *,
    workstation: str | None = None,
    of_donor: str | None = None,
    open_only: bool | None = None,
    paging: Paging = Paging(),
) -> BenchSessionList:
    """Answer GET /bench-sessions: newest first."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    statement = _sessions().where(actor.scope(Permission.SPECIMEN_READ).of(bench_session.c.site_code))
    for column, value in ((bench_session.c.workstation, workstation), (bench_session.c.donor_code, of_donor)):
        if value is not None:
            statement = statement.where(column == value)
    if open_only is not None:
        ended = bench_session.c.closed_at
        statement = statement.where(ended.is_(None) if open_only else ended.is_not(None))
    page = read_page(session, statement, paging, key=bench_session.c.code, orders=ORDERS, default="-opened_at")
    return BenchSessionList(items=[summary_of(session, row) for row in page.rows], **page.ends)


def describe_session(session: Session, actor: Actor, code: str) -> BenchSessionPublic:
    """Answer GET /bench-sessions/{code}. Raises NotFound."""
    row = row_of_session(session, actor, code)
    h, a = bench_handling.c, attempt.c
    items = session.execute(select(bench_handling).where(h.session_code == code).order_by(h.at, h.specimen_code).limit(MOST))
    stops = session.execute(
        select(a.at, a.actor_code, a.detail)
        .where(a.subject == code, a.code == AnotherPersonsMaterial.code)
        .order_by(a.at)
        .limit(MOST)
    )
    return BenchSessionPublic(
        **summary_of(session, row).model_dump(),
        items=[
            HandledPublic(specimen=one.specimen_code, what=one.what, used_in=one.used_in, at=one.at, by=one.by) for one in items
        ],
        stops=[BenchStop(at=one.at, by=one.actor_code, sentence=one.detail) for one in stops],
        labels=[BenchBatch(batch=batch, reconciled=reconciled) for batch, reconciled in labels_of.get()(session, code)],
        holds=_holds(session, code),
        held=held_by(session, code),
    )


def _holds(session: Session, code: str) -> list[BenchHold]:
    on_it = (hold.c.scope_kind == HoldScope.BENCH_SESSION.value, hold.c.scope_id == code)
    rows = session.execute(select(hold).where(*on_it).order_by(hold.c.placed_at, hold.c.id))
    return [BenchHold(**{name: getattr(row, name) for name in BenchHold.model_fields}) for row in rows]


def held_by(session: Session, code: str) -> list[str]:
    """Return what the active holds on a session cover now, in order."""
    which = "scope_kind = 'bench_session' AND scope_id = :code AND lifted_at IS NULL"
    rows = session.execute(text(covered_by_those(which, "scope.target AS code")), {"code": code})
    return sorted(rows.scalars())


def describe_workstation(session: Session, actor: Actor, code: str) -> WorkstationPublic:
    """Answer GET /workstations/{code}. Raises NotFound."""
    found = read_workstations(session, actor, [code])
    if not found:
        raise NotFound(f"{code} is no workstation that you may see. Scan its label again.", subject=code)
    return found[0]


def read_workstations(session: Session, actor: Actor, codes: Collection[str] | None = None) -> list[WorkstationPublic]:
    """Return workstations in use with the sessions open at them, by name; all, or these. Four statements."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    e, s = register_entry.c, bench_session.c
    statement = select(register_entry).where(e.kind == "workstation")
    statement = statement.where(e.retired_at.is_(None)) if codes is None else statement.where(e.key.in_(sorted(codes)))
    rows = [
        row
        for row in session.execute(statement.order_by(e.name, e.key).limit(MOST))
        if actor.may(Permission.SPECIMEN_READ, at=row.site_code if row.site_code is not None else ANYWHERE)
    ]
    keys = [row.key for row in rows]
    open_now = session.execute(_sessions().where(s.workstation.in_(keys), s.closed_at.is_(None)))
    now_open = {row.workstation: summary_of(session, row) for row in open_now}
    cleared = func.max(func.coalesce(s.closed_at, s.opened_at))
    cleared_at = session.execute(select(s.workstation, cleared).where(s.workstation.in_(keys)).group_by(s.workstation))
    last = {row[0]: row[1] for row in cleared_at}
    r = register_rule.c
    rules = {
        row.site_code: row.answer
        for row in session.execute(select(r.site_code, r.answer).where(r.problem == Problem.CLEARED_ALONE.value))
    }
    return [
        WorkstationPublic(
            workstation=row.key,
            name=row.name,
            site=row.site_code,
            open=now_open.get(row.key),
            two_people=answer_to(Problem.CLEARED_ALONE, {Problem.CLEARED_ALONE.value: rules.get(row.site_code, "")}) == "refuse",
            last_cleared_at=last.get(row.key),
        )
        for row in rows
    ]
