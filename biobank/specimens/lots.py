"""Lots and their tests. A failed test holds the lot at once, and those that share inputs or reagents; quality lifts that."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Row, and_, cast, func, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody import holds
from biobank.custody.chronology import BeforeItExisted
from biobank.custody.entry import Head
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.models import custody
from biobank.custody.recording import AHEAD, ImplausibleTime, acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import HoldKind, HoldScope, StreamKind
from biobank.donors.models import donor
from biobank.donors.visibility import lock_donor
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.from_above import FromAbove
from biobank.foundation.paging import Paging, read_page
from biobank.registers.fitness import Finding
from biobank.registers.queries import result_due
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import Use, findings_of, keep_warnings
from biobank.specimens.events import LotTested
from biobank.specimens.models import lot, lot_test, processing, processing_input, specimen, specimen_parent
from biobank.specimens.processes import ProcessName
from biobank.specimens.processing_schemas import (
    Found,
    LotList,
    LotPublic,
    LotSummary,
    LotTestPublic,
    LotTestRecorded,
    RecordLotTest,
)
from biobank.specimens.scoping import lots_at_sites_of
from biobank.specimens.test_results import ResultDueTooLate, ResultDueUnsaid, ResultIncomplete, refusal_of_result
from biobank.transparency.models import event as _event

ORDERS = {"started_at": lot.c.started_at, "lot": lot.c.code, "material": lot.c.material, "donor": lot.c.donor_code}


failed_test: FromAbove[Callable[[Session, Act, "Row[Any]", RecordLotTest, bytes, tuple[str, ...]], list[Appended]]] = FromAbove(
    "quality"
)
"""What follows from a failed test (its row, the result, its leaf hash, other lots held): rejection, a deviation, notices."""


MAY_TAKE = timedelta(days=366)
"""The longest that a result is waited for where the register does not say how long its method takes: the register's own bound."""


reports_stored: FromAbove[Callable[[Session, Collection[str]], None]] = FromAbove("quality")
"""Raises unless a file with each of these hashes is stored: a hash of nothing is no report."""


class TestNotPending(Conflict):
    """The result belongs to no pending test of this lot, or to one that has its result."""

    __test__ = False
    code = "test_not_pending"
    title = "No such pending test"


class ReportMissing(Conflict):
    """A result rests on a report."""

    code = "report_missing"
    title = "Report missing"


def record_test(session: Session, act: Act, code: str, request: RecordLotTest) -> LotTestRecorded:
    """Record that a lot was sampled for a test, or its result. A failed test places a quality hold on the lot.

    Raises NotFound, NotPermitted, TestNotPending, ReportMissing, ResultIncomplete, NotOfThisTest, ResultDueUnsaid,
    ResultDueTooLate, NotInRegister, AttachmentUnknown, ImplausibleTime.
    """
    # The donors first, as everywhere: an approval that reads the holds of one of them is finished, or sees these.
    row = _get(session, act.actor, code)
    beside = sharing_with(session, row) if request.result == "failed" else []
    for one in sorted({row.donor_code, *(other.donor_code for other in beside)}):
        lock_donor(session, one)
    row = _get(session, act.actor, code, lock=True)
    act.require(Permission.PROCESSING_RECORD, at=row.site_code)
    if request.sampled_at - act.at > AHEAD:
        raise ImplausibleTime("The sample cannot have been taken later than now. Check when it was taken.", subject=code)
    if (request.result == "pending") == (request.report_sha256 is not None):
        raise ReportMissing(
            "A result comes with its report, and a test that waits has none yet. Attach the report.", subject=code
        )
    if request.report_sha256 is not None:
        reports_stored.get()(session, [request.report_sha256])
    found = request.model_dump(include=set(Found.model_fields))
    if refusal := refusal_of_result(request.test, request.result, found):
        raise refusal
    waited = None if request.completes is None else _pending(session, code, request)
    relies_on = () if waited is None else (bytes(waited.event_hash),)
    sent, warned = _sent(session, act, row, request, waited)
    test_id = uuid4()
    event = LotTested(
        test=str(test_id),
        test_kind=request.test,
        sampled_at=rfc3339(request.sampled_at),
        due_at=None if sent.due_at is None else rfc3339(sent.due_at),
        result=request.result,
        method=sent.method,
        laboratory=sent.laboratory,
        **found,
        report_sha256=request.report_sha256,
        completes=None if request.completes is None else str(request.completes),
    )
    last = last_event_of_lot(session, code)
    head = head_of(
        session,
        act,
        request,
        subject=row.donor_code,
        site=row.site_code,
        last=last,
        relies_on=relies_on,
    )
    appended = append(session, [Fact(StreamKind.LOT, code, event, head, donor_code=row.donor_code)])
    hold = hold_lot(session, row, "failed_test", head, appended) if request.result == "failed" else None
    session.execute(
        insert(lot_test).values(
            id=test_id,
            lot_code=code,
            kind=request.test,
            sampled_at=request.sampled_at,
            due_at=sent.due_at,
            result=request.result,
            method=sent.method,
            laboratory=sent.laboratory,
            **found,
            report_sha256=request.report_sha256,
            completes=request.completes,
            hold_id=hold,
            event_hash=appended[0].leaf_hash,
            recorded_at=act.at,
            recorded_by=act.actor.code,
        )
    )
    keep_warnings(session, act, warned, request, used_in=code, site=row.site_code)
    if hold is not None:
        for other in beside:
            own = replace(head, late=False, relies_on=(appended[0].leaf_hash,))
            hold_lot(session, other, "shares_with_failed_lot", own, appended)
        held = tuple(other.code for other in beside)
        appended += failed_test.get()(session, act, row, request, appended[0].leaf_hash, held)
    kept = session.execute(select(lot_test).where(lot_test.c.id == test_id)).one()
    return LotTestRecorded(
        lot=code,
        test=_test(kept),
        hold=hold,
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


class Sent(NamedTuple):
    """Where a sample went, what is done with it there, and when the result is late."""

    method: str
    laboratory: str
    due_at: datetime | None


def _sent(
    session: Session, act: Act, row: "Row[Any]", request: RecordLotTest, waited: "Row[Any] | None"
) -> tuple[Sent, list[Finding]]:
    """Return where the sample went, by the request or the test that waited, and what to warn of.

    Nothing but a name that is in no register is refused: a result that came must be recorded, whatever became of the laboratory.
    """
    method, laboratory = request.method or (waited and waited.method), request.laboratory or (waited and waited.laboratory)
    if method is None or laboratory is None:
        raise ResultIncomplete("Say which laboratory tests it and by which method, from the registers.", subject=row.code)
    named: dict[RegisterKind, str] = {"test_method": method, "laboratory": laboratory}
    began = _began(session, row.code)
    # A form's times are to the minute.
    if began is not None and request.sampled_at < began.replace(second=0, microsecond=0):
        raise BeforeItExisted(
            f"{row.code}: a sample of {rfc3339(request.sampled_at)} cannot be: the oldest record of what it was made from is of "
            f"{rfc3339(began)}. Check the date and the time.",
            subject=row.code,
        )
    use = Use(site=row.site_code, used_at=request.sampled_at, people=(), named=named, keeping=True)
    warned = findings_of(session, use, now=act.at)
    due_at = request.due_at
    if due_at is None and waited is not None and waited.due_at >= request.sampled_at:
        due_at = waited.due_at
    by_register = result_due(session, row.site_code, method, request.sampled_at)
    due_at = due_at or by_register
    latest = by_register or request.sampled_at + MAY_TAKE
    if request.result == "pending" and due_at is not None and due_at > latest:
        raise ResultDueTooLate(
            f"By {method} the result is due by {rfc3339(latest)} at the latest. Say an earlier time.",
            subject=row.code,
        )
    if due_at is None and request.result == "pending":
        raise ResultDueUnsaid(f"Say when the result is due: the register does not say how long {method} takes.", subject=row.code)
    if due_at is not None and due_at < request.sampled_at:
        raise ImplausibleTime("A result cannot be due before its sample was taken. Check both days.", subject=row.code)
    return Sent(method, laboratory, due_at), warned


def _began(session: Session, lot_code: str) -> datetime | None:
    """Return when the record of a lot's oldest material begins: a culture is sampled before its lot is closed, never before."""
    line = select(specimen.c.code).where(specimen.c.lot_code == lot_code).cte("line", recursive=True)
    line = line.union(select(specimen_parent.c.parent_code).where(specimen_parent.c.child_code == line.c.code))
    codes = select(line.c.code)
    first = (_event.c.stream_kind == StreamKind.SPECIMEN.value, _event.c.seq == 1, _event.c.stream_id.in_(codes))
    banked = select(func.min(cast(custody.c.banked_at, DateTime(timezone=True)))).where(custody.c.code.in_(codes))
    known = session.execute(
        select(select(func.min(_event.c.occurred_at)).where(*first).scalar_subquery(), banked.scalar_subquery())
    ).one()
    return min((at for at in known if at is not None), default=None)


def _pending(session: Session, code: str, request: RecordLotTest) -> "Row[Any]":
    """Return the pending test that this result completes."""
    done = select(lot_test.c.id).where(lot_test.c.completes == request.completes)
    row = session.execute(
        select(lot_test).where(
            lot_test.c.id == request.completes,
            lot_test.c.lot_code == code,
            lot_test.c.kind == request.test,
            lot_test.c.result == "pending",
            ~done.exists(),
        )
    ).first()
    if row is None or request.result == "pending":
        raise TestNotPending(f"{code} has no such {request.test} test that waits. Look at the tests of the lot.", subject=code)
    return row


def hold_lot(session: Session, of: "Row[Any]", reason: str, head: Head, appended: list[Appended]) -> UUID:
    """Place a quality hold on a lot and add its event to `appended`."""
    hold_id, placed = holds.place(
        session,
        kind=HoldKind.QUALITY,
        scope_kind=HoldScope.LOT,
        scope_id=of.code,
        reason=reason,
        head=head,
        donor_code=of.donor_code,
    )
    appended.append(placed)
    return hold_id


def sharing_with(session: Session, of: "Row[Any]") -> Sequence["Row[Any]"]:
    """Return the other lots that quality judges when this one fails: made of the same inputs, or with one of its reagent lots."""
    own, other = processing.alias("own"), processing.alias("other")
    its, theirs = processing_input.alias("its"), processing_input.alias("theirs")
    same_input = (
        select(its.c.specimen_code)
        .join(theirs, theirs.c.specimen_code == its.c.specimen_code)
        .where(its.c.processing_id == own.c.id, theirs.c.processing_id == other.c.id)
    )
    return session.execute(
        select(lot.c.code, lot.c.donor_code)
        .join(other, other.c.lot_code == lot.c.code)
        .join(own, own.c.lot_code == of.code)
        .where(other.c.id != own.c.id, or_(other.c.reagent_lots.overlap(own.c.reagent_lots), same_input.exists()))
        .order_by(lot.c.code)
    ).all()


def lots_spoken_for(session: Session, code: str) -> list[str]:
    """Return the lots that a test of a unit says something of: none for one that is kept for treatment.

    A vial that was kept for testing speaks for its own lot; a sample that was taken for a test, for the lot it was taken from.
    """
    own, source = specimen.alias("own"), specimen.alias("source")
    its = select(func.coalesce(source.c.lot_code, own.c.lot_code)).select_from(
        own.join(lot, lot.c.code == own.c.lot_code)
        .outerjoin(specimen_parent, and_(specimen_parent.c.child_code == own.c.code, lot.c.process == ProcessName.QC_SAMPLING))
        .outerjoin(source, source.c.code == specimen_parent.c.parent_code)
    )
    return sorted(session.execute(its.where(own.c.code == code, own.c.purpose != "therapeutic").distinct()).scalars())


def last_event_of_lot(session: Session, code: str) -> datetime | None:
    """Return when the last event of a lot's own stream occurred, or None."""
    at: datetime | None = session.execute(
        select(func.max(_event.c.occurred_at)).where(_event.c.stream_kind == StreamKind.LOT.value, _event.c.stream_id == code)
    ).scalar()
    return at


def list_lots(
    session: Session,
    actor: Actor,
    *,
    of_donor: str | None = None,
    material: str | None = None,
    process: str | None = None,
    paging: Paging = Paging(),
) -> LotList:
    """Answer GET /lots: newest first."""
    statement = _select(actor)
    for column, value in ((lot.c.donor_code, of_donor), (lot.c.material, material), (lot.c.process, process)):
        if value is not None:
            statement = statement.where(column == value)
    page = read_page(session, statement, paging, key=lot.c.code, orders=ORDERS, default="-started_at")
    return LotList(items=[LotSummary(**_summary(row)) for row in page.rows], **page.ends)


def describe_lot(session: Session, actor: Actor, code: str) -> LotPublic:
    """Answer GET /lots/{code}: its specimens and its tests, oldest first; a completed pending test is left out."""
    row = _get(session, actor, code)
    codes = session.execute(select(specimen.c.code).where(specimen.c.lot_code == code).order_by(specimen.c.unit_number))
    return LotPublic(**_summary(row), codes=list(codes.scalars()), tests=tests_of(session, code))


def tests_of(session: Session, code: str) -> list[LotTestPublic]:
    """Return the standing tests of a lot: results, and pending ones without a result yet."""
    rows: Sequence[Row[Any]] = session.execute(
        select(lot_test).where(lot_test.c.lot_code == code).order_by(lot_test.c.recorded_at, lot_test.c.id)
    ).all()
    completed = {row.completes for row in rows}
    return [_test(row) for row in rows if row.id not in completed]


def _select(actor: Actor) -> Any:
    count = select(func.count()).select_from(specimen).where(specimen.c.lot_code == lot.c.code).scalar_subquery()
    return (
        select(lot, count.label("specimens"))
        .join(donor, donor.c.code == lot.c.donor_code)
        .where(lots_at_sites_of(actor, lot.c.code, lot.c.site_code, donor.c.clinic_site_code))
    )


def _get(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    statement = _select(actor).where(lot.c.code == code)
    if lock:
        statement = statement.with_for_update(of=lot)
    row: Row[Any] | None = session.execute(statement).first()
    if row is None:
        raise NotFound(f"There is no lot {code} that you may see.", subject=code)
    return row


def _summary(row: "Row[Any]") -> dict[str, Any]:
    return {
        "lot": row.code,
        "donor": row.donor_code,
        "material": row.material,
        "process": row.process,
        "procedure_version": row.procedure_version,
        "site": row.site_code,
        "started_at": row.started_at,
        "recorded_at": row.recorded_at,
        "recorded_by": row.recorded_by,
        "specimens": row.specimens,
    }


def _test(row: "Row[Any]") -> LotTestPublic:
    return LotTestPublic(
        id=row.id,
        test=row.kind,
        sampled_at=row.sampled_at,
        due_at=row.due_at,
        result=row.result,
        method=row.method,
        laboratory=row.laboratory,
        **{name: getattr(row, name) for name in Found.model_fields},
        report_sha256=row.report_sha256,
        completes=row.completes,
        hold=row.hold_id,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        leaf_hash=bytes(row.event_hash).hex(),
    )
