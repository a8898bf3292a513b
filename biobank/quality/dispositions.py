"""What becomes of the units of a deviation, a recall's too: which units it asks about, which answer fits which, who may give it.

Whatever somebody says went wrong with tubes ends with a word on each of them. The word frees nothing by itself: a hold is lifted
where holds are lifted, a rejection is quality's decision, and this says that the one or the other is meant to stay.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, FromClause, Subquery, Text, TextualSelect, and_, or_, select, text, union
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.queries import logins_of_persons
from biobank.custody.hold_coverage import covered_by_those
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import hold
from biobank.custody.recording import Circumstances
from biobank.custody.snapshots import load, may_know
from biobank.custody.states import HoldScope, Quality, State
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.foundation.kept_files import FileHash
from biobank.quality.incident_events import UnitsDisposed
from biobank.quality.independence import NotIndependent, Touch, harm_behind, independence_refusals, judged_by, read_touches
from biobank.quality.models import adverse_event, deviation_unit, notice, paper_form, unit_disposition
from biobank.quality.models import deviation as deviation_table
from biobank.quality.models import deviation_subject as subject
from biobank.quality.notices import TREATS, standing_in
from biobank.quality.releases import given_members, givings_of_releases
from biobank.quality.schemas import Code, JudgedUnit, Reason, Token
from biobank.quality.stored_files import require_stored
from biobank.quality.streams import digest_of, record_on_stream
from biobank.specimens.models import specimen, specimen_parent

units_of_withdrawals: FromAbove[FromClause] = FromAbove("withdrawals")
"""A table with withdrawal_code and specimen_code: every unit that a withdrawal ever named."""

ADVERSE = "adverse_event"
"""Why a lot is held whose unit may have done harm."""

Disposition = Literal["cleared", "kept_held", "rejected", "followed_up"]


class DispositionDoesNotFit(Conflict):
    """What is decided of a unit has to fit where it is and what quality says of it."""

    code = "disposition_does_not_fit"
    title = "Does not fit this unit"


class UnitsUndecided(Conflict):
    """A deviation is closed when somebody said of every unit that it reaches what becomes of it."""

    code = "units_undecided"
    title = "Not every unit is decided"


class NoticeUnread(Conflict):
    """What was given is followed up when those who treat know of it."""

    code = "notice_unread"
    title = "Not acknowledged yet"


class AcknowledgementMissing(Conflict):
    """What another bank has is settled when that bank knows."""

    code = "acknowledgement_missing"
    title = "The other bank's acknowledgement is missing"


class DisposeRequest(Circumstances):
    """What becomes of units: those named, or with none named all that nobody decided yet."""

    specimens: list[Code] | None = Field(default=None, min_length=1, max_length=5000)
    disposition: Disposition = Field(
        description="Cleared: not affected. Kept held: a hold on it stays. Rejected: quality rejected it, and it may be "
        "destroyed afterwards. Followed up: it was given to its donor and who treats them was told, or another bank has it and "
        "acknowledged."
    )
    evidence: FileHash | None = Field(
        default=None,
        description="SHA-256 of the other bank's acknowledgement, of what it has; keep the file with POST /attachments.",
    )
    reason: Reason
    signature: Token = None


UNCAUSED = ("unrelated", "unlikely")
"""How likely it is that the material caused it, where its units are not held for that."""


def _holds_of(*where: ColumnElement[bool]) -> Subquery:
    """SELECT deviation_code, hold id: the holds on what deviations name, and those that an adverse event placed on the lots or
    harvests of its units and of what those were made of, on their donor, and on the units of its withdrawal; `where` is about the
    holds and the deviations."""
    pairs = (subject.c.deviation_code, hold.c.id)
    named = select(*pairs).join(hold, and_(hold.c.scope_kind == subject.c.subject_kind, hold.c.scope_id == subject.c.subject_id))
    harmful = select(subject.c.subject_id.label("unit"), subject.c.subject_id.label("code"))
    harmful = harmful.join(adverse_event, adverse_event.c.deviation_code == subject.c.deviation_code)
    line = harmful.where(subject.c.subject_kind == "specimen").cte("line", recursive=True)
    line = line.union(
        select(line.c.unit, specimen_parent.c.parent_code).join(specimen_parent, specimen_parent.c.child_code == line.c.code)
    )
    unit = and_(subject.c.subject_kind == "specimen", line.c.unit == subject.c.subject_id)
    shared = or_(
        and_(hold.c.scope_kind == HoldScope.DONOR.value, hold.c.scope_id == specimen.c.donor_code),
        and_(hold.c.scope_kind == HoldScope.LOT.value, hold.c.scope_id == specimen.c.lot_code),
        and_(hold.c.scope_kind == HoldScope.HARVEST.value, hold.c.scope_id == specimen.c.harvest_code),
    )
    caused = (
        select(*pairs)
        .join(adverse_event, adverse_event.c.deviation_code == subject.c.deviation_code)
        .join(line, unit)
        .join(specimen, specimen.c.code == line.c.code)
        .join(hold, and_(hold.c.reason == ADVERSE, shared))
    )
    items = units_of_withdrawals.get()
    with_it = (
        select(*pairs)
        .join(adverse_event, adverse_event.c.deviation_code == subject.c.deviation_code)
        .join(items, and_(subject.c.subject_kind == "withdrawal", items.c.withdrawal_code == subject.c.subject_id))
        .join(hold, and_(hold.c.reason == ADVERSE, hold.c.scope_kind == "specimen", hold.c.scope_id == items.c.specimen_code))
    )
    whole = (one.join(deviation_table, deviation_table.c.code == pairs[0]) for one in (named, caused, with_it))
    return union(*(one.where(*where) for one in whole)).subquery()


def of_standing_harm(session: Session, holds: Collection[UUID]) -> frozenset[UUID]:
    """Return which of these holds an adverse event placed that nobody has judged yet, or whose cause may lie in the material by
    what was judged, while its deviation is open: that ends with a word on every unit.
    """
    unjudged = adverse_event.c.causality == "not_assessed"
    in_the_lot = and_(adverse_event.c.in_lot, adverse_event.c.causality.not_in(UNCAUSED), deviation_table.c.closed_at.is_(None))
    standing = (
        select(adverse_event.c.deviation_code)
        .join(deviation_table, deviation_table.c.code == adverse_event.c.deviation_code)
        .where(or_(unjudged, in_the_lot))
    )
    these = (hold.c.id.in_(list(holds)), hold.c.reason == ADVERSE)
    return frozenset(session.execute(select(_holds_of(*these, deviation_table.c.code.in_(standing)).c.id)).scalars())


def harm_of_holds(session: Session, holds: Collection[UUID]) -> dict[UUID, list[Touch]]:
    """Return, by hold that an adverse event placed, who gave, checked or recorded what it is about, and who judged it.

    They do not lift it; who judged it not even after its deviation is closed: one of quality alone frees nothing.
    """
    found = _holds_of(hold.c.id.in_(list(holds)), hold.c.reason == ADVERSE, deviation_table.c.closed_at.is_(None))
    of_each = session.execute(select(found.c.id, found.c.deviation_code)).all()
    behind = harm_behind(session, {row.deviation_code for row in of_each}) if of_each else {}
    whole = _holds_of(hold.c.id.in_(list(holds)), hold.c.reason == ADVERSE)
    judged = session.execute(select(whole.c.id, whole.c.deviation_code)).all()
    judges = judged_by(session, {row.deviation_code for row in judged}) if judged else {}
    touches: dict[UUID, list[Touch]] = {row.id: [] for row in judged}
    for found_in, seen in ((of_each, behind), (judged, judges)):
        for row in found_in:
            touches[row.id] += seen.get(row.deviation_code, ())
    return touches


@cache
def _covered() -> TextualSelect:
    return text(covered_by_those("id = ANY(:holds)", "scope.target AS code")).columns(code=Text)


def reached_units(session: Session, deviation: str) -> list[str]:
    """Return the units that a deviation asks about, by code: named, of a lot or withdrawal named, or under a hold, now or kept.

    The holds are read first: one that is lifted meanwhile has kept its units before (`keep_covered`), so none is missed.
    """
    of_it = subject.c.deviation_code == deviation
    holds = list(session.execute(select(_holds_of(of_it, hold.c.lifted_at.is_(None)).c.id)).scalars())
    covered = session.execute(_covered(), {"holds": holds}).scalars() if holds else ()
    of_lots = select(specimen.c.code).join(subject, subject.c.subject_id == specimen.c.lot_code)
    items = units_of_withdrawals.get()
    parts = union(
        select(deviation_unit.c.specimen_code).where(deviation_unit.c.deviation_code == deviation),
        of_lots.where(of_it, subject.c.subject_kind == "lot"),
        select(items.c.specimen_code)
        .join(subject, subject.c.subject_id == items.c.withdrawal_code)
        .where(of_it, subject.c.subject_kind == "withdrawal"),
    )
    return sorted({*covered, *session.execute(parts).scalars()})


def keep_covered(session: Session, hold_id: UUID) -> None:
    """Keep what a hold covers that is about to be lifted: open deviations about it ask for a word on those units all the same."""
    about = _holds_of(hold.c.id == hold_id, deviation_table.c.closed_at.is_(None))
    deviations = session.execute(select(about.c.deviation_code)).scalars().all()
    covered = session.execute(_covered(), {"holds": [hold_id]}).scalars().all() if deviations else ()
    for one in deviations:
        keep_named(session, one, covered)


def keep_named(session: Session, deviation: str, specimens: Collection[str]) -> None:
    """Keep the units that a deviation names, or decides about."""
    rows = [{"deviation_code": deviation, "specimen_code": code} for code in sorted(set(specimens))]
    if rows:
        session.execute(insert(deviation_unit).on_conflict_do_nothing(), rows)


def read_units(session: Session, deviation: str) -> list[tuple[Snapshot, JudgedUnit]]:
    """Return every unit that a deviation asks about, as it is now, by code."""
    snapshots = load(session, reached_units(session, deviation), holds=True)
    decided = select(unit_disposition).where(unit_disposition.c.deviation_code == deviation)
    said = {row.specimen_code: row.disposition for row in session.execute(decided)}
    under = {one.code: UUID(one.projection.administered_under) for one in snapshots.values() if one.projection.administered_under}
    given = givings_of_releases.get()(session, set(under.values())) if under else {}
    return [
        (
            one,
            JudgedUnit(
                specimen=one.code,
                donor=one.donor_code,
                state=str(one.projection.state),
                quality=one.projection.quality,
                site=one.projection.site_code,
                **given_members(given.get(under[one.code]) if one.code in under else None),
                held=bool(one.holds),
                disposition=said.get(one.code),
            ),
        )
        for one in snapshots.values()
    ]


def known_to(actor: Actor, units: Iterable[tuple[Snapshot, JudgedUnit]]) -> list[JudgedUnit]:
    """Return the units that the actor may know of."""
    return [unit for snapshot, unit in units if may_know(actor, snapshot)]


GONE = frozenset({State.CONSUMED, State.DISCARDED})
"""Nothing is left of these to harm anybody. What is lost can be found, and what another bank has can be given there."""
HANDED_ON = frozenset({State.ADMINISTERED, State.TRANSFERRED_OUT})
"""It is out of the bank's hands: who has it is told, and that is followed up."""


def needs_decision(unit: JudgedUnit) -> bool:
    """Say whether somebody has to say what becomes of the unit: it is still somewhere, or was given to a patient. Pure."""
    return State(unit.state) not in GONE


def undecided(units: Iterable[JudgedUnit]) -> list[str]:
    """Return the units of which nobody said yet what becomes of them. Pure."""
    return [unit.specimen for unit in units if needs_decision(unit) and unit.disposition is None]


def misfit(unit: JudgedUnit, disposition: str) -> Refusal | None:
    """Return why the disposition does not fit the unit as it is now, or None. Pure."""
    given = State(unit.state) in HANDED_ON
    if not needs_decision(unit):
        return DispositionDoesNotFit(f"{unit.specimen} is {unit.state}: there is nothing to decide of it.", subject=unit.specimen)
    if given != (disposition == "followed_up"):
        where = "is with another bank" if unit.state == State.TRANSFERRED_OUT.value else "was given to its donor"
        said = f"{where}: it is followed up" if given else "was not given: nobody is to be followed up"
        return DispositionDoesNotFit(f"{unit.specimen} {said}.", subject=unit.specimen)
    if disposition == "rejected" and unit.quality != Quality.REJECTED.value:
        return DispositionDoesNotFit(f"Quality has not rejected {unit.specimen} yet. Reject it first.", subject=unit.specimen)
    if disposition == "kept_held" and not unit.held:
        return DispositionDoesNotFit(f"No hold is on {unit.specimen}. Hold it first, or clear it.", subject=unit.specimen)
    return None


def misfits(units: Iterable[JudgedUnit]) -> list[Refusal]:
    """Return why what was decided of a unit does not fit any more: it went on since. Pure."""
    return [why for unit in units if unit.disposition and needs_decision(unit) and (why := misfit(unit, unit.disposition))]


def some(codes: Sequence[str]) -> str:
    """Return the first five codes, and how many more there are. Pure."""
    return ", ".join(codes[:5]) + (f" and {len(codes) - 5} more" if len(codes) > 5 else "")


def undecided_refusals(deviation: str, units: Sequence[JudgedUnit]) -> list[Refusal]:
    """Return why the units keep a deviation or a recall open: without a word, or with one that fits no more. Pure."""
    left = undecided(units)
    found: list[Refusal] = []
    if left:
        found.append(UnitsUndecided(f"Nobody decided yet what becomes of {some(left)}.", subject=deviation, specimens=left[:100]))
    return found + misfits(units)


def cause_refusals(session: Session, actor: Actor, deviation: str, units: Collection[Snapshot] = ()) -> list[Refusal]:
    """Return why the actor is not the one to judge: they processed, tested or asked for a unit, stand on the paper form, or gave,
    checked or recorded what it is about.

    A person counts, not a login.
    """
    form = select(paper_form.c.did_by, paper_form.c.second).where(paper_form.c.deviation_code == deviation)
    people = [code for row in session.execute(form) for code in row]
    theirs = {login for logins in logins_of_persons(session, people).values() for login in logins} if people else set()
    harm = harm_behind(session, [deviation]).get(deviation, ())
    found: list[Refusal] = [*independence_refusals(actor, deviation, harm)]
    if actor.code in theirs:
        found.append(NotIndependent(f"You did what {deviation} is about. Somebody else decides.", subject=deviation))
    touches = read_touches(session, units) if units else {}
    return found + [why for code, seen in sorted(touches.items()) for why in independence_refusals(actor, code, seen)]


def _unread(session: Session, deviation: str, donors: Collection[str]) -> list[str]:
    """Return who treats, was told of it, and did not acknowledge that yet.

    For a login that was ended it is enough that one of those acknowledged who treat at the clinic now.
    """
    told = select(notice.c.user_code, notice.c.acknowledged_at).where(notice.c.deviation_code == deviation)
    rows = session.execute(told.where(notice.c.rank == TREATS)).all()
    read = {row.user_code for row in rows if row.acknowledged_at is not None}
    # Who received or holds a unit and treats too has acknowledged the same.
    others = told.where(notice.c.rank != TREATS, notice.c.acknowledged_at.is_not(None))
    known = read | set(session.execute(others).scalars()) if rows else read
    waiting = {row.user_code for row in rows if row.acknowledged_at is None}
    standing = standing_in(session, waiting, donors) if waiting else {}
    unread: set[str] = set()
    for one in waiting:
        if one not in standing:
            unread.add(one)
        elif known.isdisjoint(standing[one]):
            unread |= standing[one]
    return sorted(unread)


def record_dispositions(
    session: Session,
    act: Act,
    deviation: str,
    units: Sequence[tuple[Snapshot, JudgedUnit]],
    request: DisposeRequest,
    *,
    site: str | None,
    relies_on: bytes,
) -> tuple[Appended, int]:
    """Write what becomes of units of a deviation. The caller locked it and checked the right. Returns the event, and of how many.

    Raises UnitsUndecided, DispositionDoesNotFit, NotIndependent, NoticeUnread, AcknowledgementMissing, AttachmentUnknown,
    and what `use_signature` raises.
    """
    reached = {unit.specimen: (snapshot, unit) for snapshot, unit in units}
    asked = request.specimens if request.specimens is not None else undecided(unit for _, unit in units)
    if not asked:
        raise UnitsUndecided("Every unit of it is decided. Name those that are to be decided anew.", subject=deviation)
    for code in dict.fromkeys(asked):
        if code not in reached:
            raise DispositionDoesNotFit(f"{code} is no unit that {deviation} reaches.", subject=code)
        if (why := misfit(reached[code][1], request.disposition)) is not None:
            raise why
    raise_first(cause_refusals(session, act.actor, deviation, [reached[code][0] for code in set(asked)]))
    given = [code for code in asked if reached[code][1].state == State.ADMINISTERED.value]
    patients = {str(reached[code][0].donor_code) for code in given}
    if given and (unread := _unread(session, deviation, patients)):
        raise NoticeUnread(
            f"{some(unread)} treated with what {deviation} reaches and has not acknowledged the notice yet. Call them first.",
            subject=deviation,
        )
    elsewhere = sorted({code for code in asked if reached[code][1].state == State.TRANSFERRED_OUT.value})
    if elsewhere and request.evidence is None:
        raise AcknowledgementMissing(
            f"Another bank has {some(elsewhere)}. Tell it, and attach what it answered.",
            subject=deviation,
        )
    if request.evidence is not None:
        require_stored(session, [request.evidence])
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = UnitsDisposed(
        disposition=request.disposition,
        reason=request.reason,
        evidence=request.evidence,
        subjects=len(set(asked)),
        subjects_sha256=digest_of(set(asked)),
        signature=str(signature.id),
    )
    appended = record_on_stream(session, act, deviation, event, request, site=site, relies_on=(relies_on,))
    keep_named(session, deviation, asked)
    said = {"disposition": request.disposition, "reason": request.reason, "event_hash": appended.leaf_hash}
    rows = [{"deviation_code": deviation, "specimen_code": code} | said for code in sorted(set(asked))]
    statement = insert(unit_disposition)
    keys = [unit_disposition.c.deviation_code, unit_disposition.c.specimen_code]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_={k: statement.excluded[k] for k in said}), rows)
    return appended, len(rows)
