"""The outcome protocol: what is measured after each unit was given, on which day, and what came of it.

A clinician plans measures once the withdrawal is approved: a name, a unit, the two ends of the scale, a day after the giving and
for how many days from it on it may be taken. A measure that nobody took in that time is "not done": it is never a zero. What a
figure means for a patient is not said here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW, Circumstances, acknowledge
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.paging import Paging, read_page
from biobank.people.queries import zone_of
from biobank.quality.adverse import reads_words
from biobank.quality.deviations import words_kept
from biobank.quality.stored_files import context
from biobank.vault import Keystore, put_document
from biobank.withdrawals.case import STANDS, Case, administration, find_row, moment_of, open_case, record_on_case, visible
from biobank.withdrawals.models import outcome_measure, outcome_result, withdrawal
from biobank.withdrawals.outcome_events import MeasurePlanned, MeasureRecorded, MeasureTakenBack
from biobank.withdrawals.outcome_schemas import (
    OutcomeProtocol,
    OutcomeProtocolAnswer,
    PlanMeasure,
    PlannedMeasure,
    PlannedMeasureList,
    RecordMeasure,
    TakeBackMeasure,
)
from biobank.withdrawals.workflow import APPROVED_STATES

PICTURES = frozenset({"image/png", "image/jpeg"})


class NotApprovedYet(Conflict):
    """What is measured afterwards is planned when quality has approved the giving."""

    code = "not_approved_yet"
    title = "Not approved yet"


class MeasurePlannedAlready(Conflict):
    """The same measure is planned for the same day."""

    code = "measure_planned"
    title = "Planned already"


class UnitNotGiven(Conflict):
    """A result is of a unit that was given under this withdrawal."""

    code = "unit_not_given"
    title = "This unit was not given"


class NotItsDay(Conflict):
    """A measure is taken on its day, or within the days that the plan leaves."""

    code = "not_its_day"
    title = "Not the day of this measure"


class OutsideScale(Conflict):
    """The figure lies outside the scale that was planned."""

    code = "outside_scale"
    title = "Outside the scale"


class PhotographMissing(Conflict):
    """The plan asks for a photograph with this measure, kept as a file under the patient's key."""

    code = "photograph_missing"
    title = "The photograph is missing"


class ResultRecorded(Conflict):
    """There is a result; another one says why the first was wrong."""

    code = "result_recorded"
    title = "Recorded already"


class MeasureGone(Conflict):
    """It was taken back, and nothing is recorded of it any more."""

    code = "measure_taken_back"
    title = "Taken back"


def planning_refusals(actor: Actor, row: Any) -> list[Refusal]:
    """Return why the actor may not plan a measure for this withdrawal. Pure."""
    code = row["code"]
    may = actor.refusal(Permission.WITHDRAWAL_REQUEST, at=row["clinic_site_code"], subject=code)
    found: list[Refusal] = [] if may is None else [may]
    if row["state"] not in APPROVED_STATES:
        found.append(NotApprovedYet(f"{code} is {row['state']}. What is measured is planned once it is approved.", subject=code))
    return found


def result_refusals(actor: Actor, clinic: str, code: str) -> list[Refusal]:
    """Return why the actor may not record results at this clinic. Pure."""
    may = actor.refusal(Permission.WITHDRAWAL_ADMINISTER, at=clinic, subject=code)
    return [] if may is None else [may]


def gone(plan: PlannedMeasure) -> list[Refusal]:
    """Return that the measure was taken back, if it was. Pure."""
    if plan.taken_back_because is None:
        return []
    what = plan.measure.replace("_", " ")
    return [MeasureGone(f"{what} on day {plan.due_days} was taken back. Plan it anew.", subject=plan.withdrawal)]


def taking_back_refusals(actor: Actor, row: Any, units: Sequence[PlannedMeasure]) -> list[Refusal]:
    """Return why the actor may not take back a measure of this withdrawal, by how it stands for each unit given. Pure.

    What has a result stands by it, and what nobody took in its days is not done: it is not wiped off the plan.
    """
    found = [*planning_refusals(actor, row), *gone(units[0])]
    for one in units:
        what = f"{one.measure.replace('_', ' ')} of {one.specimen}"
        if one.status == "measured" or one.not_done is not None:
            found.append(ResultRecorded(f"{what}: there is a result, so it stays on the plan.", subject=one.withdrawal))
        elif one.missed:
            found.append(
                NotItsDay(f"{what} was of {one.due_on} to {one.until}. Say why it was not done.", subject=one.withdrawal)
            )
    return found


def fit_refusals(plan: PlannedMeasure, request: RecordMeasure, day: date) -> list[Refusal]:
    """Return why this result does not fit its plan. `day`: the clinic's, on which it was taken, or said not to be done. Pure."""
    what = plan.measure.replace("_", " ")
    found = gone(plan)
    assert plan.due_on is not None, "nothing was given"
    early, late = day < plan.due_on, day > plan.due_on + timedelta(days=plan.window_days)
    if early or (late and request.value is not None):
        days = f"{plan.due_on}" + ("" if plan.until == plan.due_on else f" to {plan.until}")
        found.append(NotItsDay(f"{what} is of {days}. What was not taken then is not done.", subject=plan.withdrawal))
    if request.value is not None and not plan.low <= request.value <= plan.high:
        found.append(
            OutsideScale(f"{what} is between {plan.low} and {plan.high} {plan.unit.replace('_', ' ')}.", subject=plan.withdrawal)
        )
    if request.value is not None and plan.photograph and request.photograph_sha256 is None:
        found.append(PhotographMissing(f"The plan of {what} asks for a photograph.", subject=plan.withdrawal))
    done = plan.status == "measured" or plan.not_done is not None
    if done != (request.corrects is not None):
        said = "There is a result. Say why it is wrong." if done else "There is no result to correct yet."
        found.append(ResultRecorded(f"{what}: {said}", subject=plan.withdrawal))
    return found


_RESULT = outcome_result.c
LATEST = (
    select(outcome_result)
    .ext(distinct_on(_RESULT.measure_id, _RESULT.release_id))
    .order_by(_RESULT.measure_id, _RESULT.release_id, _RESULT.recorded_at.desc())
    .subquery("latest")
)
_PLAN, _GIVEN = outcome_measure.c, administration.c
_DUE_ON = cast(func.timezone(site.c.timezone, _GIVEN.ended_at), Date) + _PLAN.due_days
_UNTIL = _DUE_ON + _PLAN.window_days
_DUE_AT = func.timezone(site.c.timezone, cast(_DUE_ON, DateTime), type_=DateTime(timezone=True))
_KEY = func.md5(func.concat(_PLAN.id, _GIVEN.release_id), type_=Text)
ORDERS = {"due_at": _DUE_AT}


def _status(at: datetime) -> tuple[ColumnElement[str], ColumnElement[bool]]:
    """Return how a measure of a unit stands at an instant, and whether it was missed without a word."""
    today = cast(func.timezone(site.c.timezone, literal(at, DateTime(timezone=True))), Date)
    gone, unsaid = _PLAN.taken_back_at.is_not(None), LATEST.c.event_hash.is_(None)
    missed = and_(~gone, unsaid, _GIVEN.release_id.is_not(None), today > _UNTIL)
    status = case(
        (gone, "taken_back"),
        (LATEST.c.value_commit.is_not(None), "measured"),
        (or_(LATEST.c.not_done.is_not(None), missed), "not_done"),
        (and_(_GIVEN.release_id.is_not(None), today >= _DUE_ON), "due"),
        else_="planned",
    )
    return status, missed


def _measures(at: datetime, *, given_only: bool) -> Select[Any]:
    status, missed = _status(at)
    columns = (
        *(one for one in outcome_measure.c if not one.name.endswith(("event_hash", "_event"))),
        _GIVEN.specimen_code,
        _GIVEN.came_after,
        _GIVEN.release_id,
    )
    said = [LATEST.c[name] for name in ("value_commit", "not_done", "photograph_sha256", "measured_at", "recorded_by")]
    of_it = and_(_GIVEN.withdrawal_code == _PLAN.withdrawal_code, STANDS)
    return select(
        *columns,
        *said,
        _DUE_ON.label("due_on"),
        _UNTIL.label("until"),
        status.label("status"),
        func.coalesce(missed, False).label("missed"),
    ).select_from(
        outcome_measure.join(withdrawal, withdrawal.c.code == _PLAN.withdrawal_code)
        .join(site, site.c.code == withdrawal.c.clinic_site_code)
        .join(administration, of_it, isouter=not given_only)
        .outerjoin(LATEST, and_(LATEST.c.measure_id == _PLAN.id, LATEST.c.release_id == _GIVEN.release_id))
    )


def _public(row: "Row[Any]", value: int | None = None, *, reads: bool = False) -> PlannedMeasure:
    given = {"withdrawal": row.withdrawal_code, "specimen": row.specimen_code, "came_after": row.came_after or [], "value": value}
    named = {name: getattr(row, name) for name in PlannedMeasure.model_fields if name not in given} | given
    return PlannedMeasure(**(named if reads else named | {"photograph_sha256": None}))


def read_protocol(session: Session, actor: Actor, keystore: Keystore, code: str) -> OutcomeProtocol:
    """Return the plan of a withdrawal and its results; figures and photographs for who treats there or decides."""
    row = find_row(session, actor, code)
    reads = reads_words(actor, row["clinic_site_code"])
    rows = session.execute(
        _measures(clock.now(), given_only=False)
        .where(_PLAN.withdrawal_code == code)
        .order_by(_PLAN.due_days, _PLAN.measure, _GIVEN.specimen_code)
    ).all()
    return OutcomeProtocol(
        withdrawal=code,
        donor=row["donor_code"],
        reads=reads,
        items=[_public(one, _value(session, keystore, one.value_commit) if reads else None, reads=reads) for one in rows],
    )


def _value(session: Session, keystore: Keystore, commit: bytes | None) -> int | None:
    kept = words_kept(session, keystore, commit, "value")
    return None if kept is None else int(kept)


def list_measures(session: Session, actor: Actor, *, status: str | None = None, paging: Paging = Paging()) -> PlannedMeasureList:
    """List the measures of what was given, of withdrawals that the actor may know of, the earliest day first."""
    actor.require(Permission.WITHDRAWAL_READ, at=ANYWHERE)
    at = clock.now()
    statement = _measures(at, given_only=True).where(visible(actor))
    if status is not None:
        statement = statement.where(_status(at)[0] == status)
    page = read_page(session, statement, paging, key=_KEY, orders=ORDERS, default="due_at")
    return PlannedMeasureList(items=[_public(row) for row in page.rows], **page.ends)


def measures_to_do(session: Session, actor: Actor, most: int) -> list[PlannedMeasure]:
    """Return what the actor has to measure now, or to say why it was not done, the earliest day first."""
    scope = actor.scope(Permission.WITHDRAWAL_ADMINISTER)
    if not scope:
        return []
    status, missed = _status(clock.now())
    waits = or_(status == "due", missed)
    statement = _measures(clock.now(), given_only=True).where(scope.of(withdrawal.c.clinic_site_code), waits)
    return [_public(row) for row in session.execute(statement.order_by(_DUE_ON, _KEY).limit(most))]


def plan_measure(session: Session, act: Act, code: str, request: PlanMeasure) -> OutcomeProtocolAnswer:
    """Plan one measure: who may ask for cells at the clinic, once the withdrawal is approved.

    Raises NotFound, what `planning_refusals` returns, MeasurePlannedAlready, StaleSequence.
    """
    opened, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(planning_refusals(act.actor, opened.row))
    same = select(outcome_measure.c.id).where(
        _PLAN.withdrawal_code == code,
        _PLAN.measure == request.measure,
        _PLAN.due_days == request.due_days,
        _PLAN.taken_back_at.is_(None),
    )
    if session.execute(same).first() is not None:
        raise MeasurePlannedAlready(f"{request.measure} is planned for day {request.due_days} already.", subject=code)
    members = request.model_dump(include=set(MEMBERS))
    appended = _plan(session, act, opened, request.measure, members, request)
    return _answer(session, act, code, appended)


def _answer(session: Session, act: Act, code: str, appended: Appended) -> OutcomeProtocolAnswer:
    """Return how it stands after an act. An answer may be kept for whoever sends the same again, so no figure stands in it."""
    read = read_protocol(session, act.actor, act.keystore, code)
    items = [one.model_copy(update={"value": None}) for one in read.items]
    return OutcomeProtocolAnswer(**dict(read) | {"items": items}, receipt=acknowledge(act, [appended]))


MEMBERS = ("unit", "low", "high", "due_days", "window_days", "photograph")


def _plan(session: Session, act: Act, opened: Case, what: str, members: Mapping[str, Any], given: Circumstances) -> Appended:
    measure = uuid4()
    appended = record_on_case(session, act, opened, MeasurePlanned(measure=str(measure), what=what, **members), given)
    session.execute(
        insert(outcome_measure).values(
            id=measure,
            withdrawal_code=opened.code,
            measure=what,
            planned_at=act.at,
            planned_by=act.actor.code,
            event_hash=appended.leaf_hash,
            **members,
        )
    )
    return appended


def carry_plan(session: Session, act: Act, before: str, opened: Case) -> list[Appended]:
    """Plan for a withdrawal what was planned for the one whose place it takes, as far as it was not taken back."""
    stands = (_PLAN.withdrawal_code == before, _PLAN.taken_back_at.is_(None))
    rows = session.execute(select(outcome_measure).where(*stands).order_by(_PLAN.due_days, _PLAN.measure)).all()
    return [_plan(session, act, opened, one.measure, {name: getattr(one, name) for name in MEMBERS}, NOW) for one in rows]


def take_back_measure(session: Session, act: Act, code: str, measure: UUID, request: TakeBackMeasure) -> OutcomeProtocolAnswer:
    """Take a planned measure off the plan, with why: whoever may plan it. It stays on record.

    Raises NotFound, what `taking_back_refusals` returns, StaleSequence.
    """
    opened, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    units = planned_for(session, code, measure)
    raise_first(taking_back_refusals(act.actor, opened.row, units))
    event = MeasureTakenBack(measure=str(measure), reason=request.reason)
    appended = record_on_case(session, act, opened, event, request)
    said = {"taken_back_because": request.reason, "taken_back_at": act.at, "taken_back_event": appended.leaf_hash}
    session.execute(update(outcome_measure).where(_PLAN.id == measure).values(**said))
    return _answer(session, act, code, appended)


def planned_for(session: Session, code: str, measure: UUID) -> list[PlannedMeasure]:
    """Return how a measure stands for each unit that was given, or once while nothing was; raise NotFound. No figure."""
    return [_public(row) for row in _rows_of(session, code, measure)]


def _rows_of(session: Session, code: str, measure: UUID) -> "Sequence[Row[Any]]":
    of_it = (_PLAN.withdrawal_code == code, _PLAN.id == measure)
    rows = session.execute(_measures(clock.now(), given_only=False).where(*of_it).order_by(_GIVEN.specimen_code)).all()
    if not rows:
        raise NotFound(f"{code} has no such planned measure.", subject=code)
    return rows


def planned(session: Session, code: str, measure: UUID, unit: str) -> tuple[PlannedMeasure, UUID]:
    """Return a measure for a unit that was given, and the release it was given under; raise NotFound, UnitNotGiven."""
    row = next((one for one in _rows_of(session, code, measure) if one.specimen_code == unit), None)
    if row is None:
        raise UnitNotGiven(f"{unit} was not given under {code}.", subject=unit)
    return _public(row), row.release_id


def record_measure(session: Session, act: Act, code: str, request: RecordMeasure) -> OutcomeProtocolAnswer:
    """Record what was measured on its day, or why it was not done. The last word counts.

    Raises NotFound, NotPermitted, UnitNotGiven, what `fit_refusals` returns, PhotographMissing, ImplausibleTime, StaleSequence.
    """
    opened, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(result_refusals(act.actor, opened.clinic, code))
    plan, release = planned(session, code, request.measure, request.specimen)
    taken = moment_of(act, request, request.measured_at)
    raise_first(fit_refusals(plan, request, taken.astimezone(zone_of(session, opened.clinic)).date()))
    if request.photograph_sha256 is not None:
        _require_of_donor(session, opened, request.photograph_sha256)
    require_not_erased(get_visible_donor(session, act.actor, opened.donor))
    value = None
    if request.value is not None:
        value = put_document(session, act.keystore, opened.donor, {"value": request.value})
    event = MeasureRecorded(
        measure=str(request.measure),
        specimen=request.specimen,
        value=None if value is None else value.hex(),
        not_done=request.not_done,
        photograph_sha256=request.photograph_sha256,
        measured_at=rfc3339(taken),
        corrects=request.corrects,
    )
    appended = record_on_case(session, act, opened, event, request)
    session.execute(
        insert(outcome_result).values(
            event_hash=appended.leaf_hash,
            measure_id=request.measure,
            release_id=release,
            value_commit=value,
            not_done=request.not_done,
            photograph_sha256=request.photograph_sha256,
            measured_at=taken,
            recorded_at=act.at,
            recorded_by=act.actor.code,
        )
    )
    return _answer(session, act, code, appended)


def _require_of_donor(session: Session, opened: Case, sha256: str) -> None:
    kept = select(context.c.sha256).where(
        context.c.sha256 == sha256, context.c.subject == opened.donor, context.c.media_type.in_(sorted(PICTURES))
    )
    if session.execute(kept).first() is None:
        raise PhotographMissing("That picture is not kept under the patient's key. Attach it first.", subject=opened.code)
