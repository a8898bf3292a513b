"""Whoever processed, tested or requested a unit neither releases nor approves it: one rule for every act that frees material.

A person counts, not a login: what was done with one login of a person bars every other of theirs (`app_user.person_code`), in
whatever role. The log says who did what: by the login that recorded it, and by the hands that an entry names.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.queries import every_login
from biobank.custody.arriving import FOUND_ON_ARRIVAL, INSPECTION
from biobank.custody.entry import parse_entry
from biobank.custody.legality import Snapshot
from biobank.custody.material_limits import CONTACT, FROZEN_TOO_OLD, MISSING_FOR_A_TIME, TO_THE_TANK, WARM_TIME_BUDGET
from biobank.custody.models import hold
from biobank.custody.performer_confirmations import named_performer
from biobank.custody.states import HoldScope, PerformerAnswer, StreamKind
from biobank.donors.visibility import now_or_before
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.quality.models import adverse_event
from biobank.quality.models import deviation_subject as subject_table
from biobank.specimens.assays import TOO_FEW_ALIVE
from biobank.specimens.events import FROZEN_AGAIN, HELD_BEFORE, TOO_OLD_A_PASSAGE
from biobank.specimens.lineage import kin_of
from biobank.specimens.models import specimen, specimen_parent
from biobank.transparency.models import event


class Capacity(StrEnum):
    """In what a person had to do with a unit."""

    PROCESSED = "processed"
    TESTED = "tested"
    REQUESTED = "requested"
    INSPECTED = "inspected"
    READ = "read"
    HANDLED = "handled"
    GAVE = "gave"
    CHECKED = "checked at the bedside"
    RECORDED = "recorded"
    JUDGED = "judged"


CAPACITIES: Mapping[str, Capacity] = {
    "specimen.derived": Capacity.PROCESSED,
    "specimen.process_started": Capacity.PROCESSED,
    "specimen.part_used": Capacity.PROCESSED,
    "specimen.frozen": Capacity.PROCESSED,
    "specimen.thawed": Capacity.PROCESSED,
    "lot.made": Capacity.PROCESSED,
    "specimen.viability_measured": Capacity.TESTED,
    "lot.tested": Capacity.TESTED,
    "withdrawal.requested": Capacity.REQUESTED,
    "specimen.imported": Capacity.RECORDED,
}
"""What each kind of event makes of those who did it."""


class NotIndependent(NotPermitted):
    """They had a hand in it, with this login or another of theirs; somebody else decides."""

    code = "not_independent"
    title = "Somebody else decides"


class OwnRequest(NotIndependent):
    """Whoever asks does not also decide."""

    code = "own_request"
    title = "Your own request"


@dataclass(frozen=True)
class Touch:
    """Somebody had to do with a unit. `subject`: the unit, its lot or the request; `logins`: every login of the person."""

    capacity: Capacity
    subject: str
    user: str
    logins: frozenset[str]
    at: datetime


def independence_refusals(actor: Actor, unit: str, touches: Iterable[Touch]) -> list[Refusal]:
    """Return why the actor may not release or approve the unit, one for each capacity they had, the earliest touch. Pure."""
    found: dict[Capacity, Touch] = {}
    for touch in sorted(touches, key=lambda one: one.at):
        if actor.code in touch.logins:
            found.setdefault(touch.capacity, touch)
    return [_refusal(actor, unit, touch) for touch in found.values()]


def _refusal(actor: Actor, unit: str, touch: Touch) -> Refusal:
    day = f"{touch.at.day} {touch.at:%B %Y}"
    login = "" if touch.user == actor.code else f" with your login {touch.user}"
    what = f"{unit} ({touch.subject})" if touch.subject != unit else unit
    kind = OwnRequest if touch.capacity is Capacity.REQUESTED else NotIndependent
    return kind(
        f"You {touch.capacity.value} {what} on {day}{login}; someone else must decide about it.",
        subject=unit,
        capacity=touch.capacity.value,
    )


_hand = user.alias("hand")
_ENTRY = cast(func.convert_from(event.c.entry, "UTF8"), JSONB)
_DENIED = (
    select(named_performer.c.id)
    .where(
        named_performer.c.leaf_hash == event.c.leaf_hash,
        named_performer.c.user_code == _hand.c.code,
        named_performer.c.answer == PerformerAnswer.DISPUTED.value,
    )
    .correlate(event, _hand)
)
_HANDS = (
    select(func.jsonb_object_agg(_hand.c.code, every_login(_hand)))
    .where(
        or_(
            _hand.c.code == event.c.recorded_by,
            func.jsonb_path_query_array(_ENTRY, cast("$.performed[*].user", JSONPATH)).op("?")(_hand.c.code),
        ),
        ~_DENIED.exists(),
    )
    .correlate(event)
    .scalar_subquery()
)
"""Whoever recorded an event, and the colleagues it names who did not deny it, each with every login of the person."""


MADE = frozenset({"specimen.derived", "specimen.frozen", "specimen.thawed", "lot.made"})
"""What counts of an ancestor: whoever made, froze or thawed it. A part that went into another lot is none of this one's."""
MEASURED = frozenset({"specimen.viability_measured"})
"""What counts of a sibling: the unit that was thawed and counted speaks for its lot."""


def _touches(row: Any, capacity: Capacity, subject: str) -> list[Touch]:
    """Return whose hands are behind an entry, each with every login of the person. `row`: with `hands` and `occurred_at`."""
    return [
        Touch(capacity, subject, login, frozenset(logins), row.occurred_at) for login, logins in sorted((row.hands or {}).items())
    ]


def read_touches(session: Session, units: Collection[Snapshot], of: Actor | None = None) -> dict[str, Sequence[Touch]]:
    """Return who had to do with each unit, by its code: two statements however many. `of`: only what a person did.

    With the unit itself, its lot and what was asked of it; with what it was made from and the lots of that; and with the units of
    its own lot that were counted.
    """
    streams: dict[tuple[str, str], set[tuple[str, frozenset[str]]]] = {}

    def reach(kind: StreamKind, stream: str | None, unit: str, counts: Collection[str] = CAPACITIES) -> None:
        if stream is not None:
            streams.setdefault((kind.value, stream), set()).add((unit, frozenset(counts)))

    for one in units:
        reach(StreamKind.SPECIMEN, one.code, one.code)
        reach(StreamKind.LOT, one.lot_code, one.code)
    for kin in kin_of(session, [one.code for one in units]):
        reach(StreamKind.SPECIMEN, kin.code, kin.unit, MEASURED if kin.sibling else MADE)
        reach(StreamKind.LOT, kin.lot, kin.unit, MADE)
    e = event.c
    donors = {one.donor_code for one in units if one.donor_code is not None}
    body = _ENTRY["body"]
    of_request = body["specimens"].label("named"), body["instead_of"].astext.label("instead_of")
    rows = session.execute(
        select(e.stream_kind, e.stream_id, e.kind, e.occurred_at, *of_request, _HANDS.label("hands")).where(
            e.kind.in_(sorted(CAPACITIES)),
            true() if of is None else _by(session, of),
            or_(
                *(
                    and_(e.stream_kind == kind.value, e.stream_id.in_(sorted(one for of, one in streams if of == kind.value)))
                    for kind in (StreamKind.SPECIMEN, StreamKind.LOT)
                ),
                and_(
                    e.stream_kind == StreamKind.WITHDRAWAL.value,
                    now_or_before(e.donor_code, donors),
                ),
            ),
        )
    )
    found: dict[str, list[Touch]] = {one.code: [] for one in units}
    read = rows.all()
    asked = {row.stream_id: row for row in read if row.stream_kind == StreamKind.WITHDRAWAL.value}
    for row in read:
        touches = _touches(row, CAPACITIES[row.kind], row.stream_id)
        if row.stream_kind == StreamKind.WITHDRAWAL.value:
            concerned = _asked_for(row.stream_id, asked)
        else:
            concerned = {unit for unit, counts in streams[row.stream_kind, row.stream_id] if row.kind in counts}
        for unit in concerned.intersection(found):
            found[unit] += touches
    return dict(found)


def _asked_for(code: str, asked: Mapping[str, Any]) -> set[str]:
    """Return the units of a request and of those that took its place: whoever asked for the first asked for what replaces it."""
    later = [one for one, row in asked.items() if row.instead_of == code]
    return set(asked[code].named).union(*(_asked_for(one, asked) for one in later))


def _by(session: Session, actor: Actor) -> ColumnElement[bool]:
    """What the person behind a login recorded, or is named for as the hands of it."""
    logins = session.execute(select(every_login(_hand)).where(_hand.c.code == actor.code)).scalar() or [actor.code]
    named = func.jsonb_path_query_array(_ENTRY, cast("$.performed[*].user", JSONPATH))
    return or_(event.c.recorded_by.in_(logins), *(named.op("?")(login) for login in logins))


def touches_of_entries(session: Session, leaves: Collection[bytes], capacity: Capacity, subject: str) -> list[Touch]:
    """Return whose hands are behind these entries, as a capacity that they had in `subject`. One statement."""
    rows = session.execute(select(event.c.occurred_at, _HANDS.label("hands")).where(event.c.leaf_hash.in_(sorted(leaves)))).all()
    return [touch for row in rows for touch in _touches(row, capacity, subject)]


HARM: Mapping[str, Capacity] = {
    "specimen.administered": Capacity.GAVE,
    "withdrawal.bedside_check_opened": Capacity.CHECKED,
    "withdrawal.bedside_check_passed": Capacity.CHECKED,
}
"""What bars from judging a reaction and from lifting its hold, as having recorded it does: who gave the cells or checked them."""


def harm_behind(session: Session, deviations: Collection[str]) -> dict[str, list[Touch]]:
    """Return, by the deviation of an adverse event, who gave its units, checked them at the bedside or recorded it."""
    a, e = adverse_event.c, event.c
    rows = session.execute(
        select(a.deviation_code, e.stream_id, e.kind, e.occurred_at, _HANDS.label("hands"))
        .select_from(adverse_event)
        .join(subject_table, subject_table.c.deviation_code == a.deviation_code, isouter=True)
        .join(
            event,
            or_(
                e.leaf_hash == a.event_hash,
                and_(e.stream_kind == StreamKind.WITHDRAWAL.value, e.stream_id == a.withdrawal_code, e.kind.in_(sorted(HARM))),
                and_(
                    e.stream_kind == StreamKind.SPECIMEN.value,
                    subject_table.c.subject_kind == "specimen",
                    e.stream_id == subject_table.c.subject_id,
                    e.kind.in_(sorted(HARM)),
                ),
            ),
        )
        .where(a.deviation_code.in_(sorted(deviations)))
        .distinct()
    )
    found: dict[str, list[Touch]] = {}
    for row in rows:
        capacity = HARM.get(row.kind, Capacity.RECORDED)
        found.setdefault(row.deviation_code, []).extend(_touches(row, capacity, row.stream_id))
    return found


def judged_by(session: Session, deviations: Collection[str]) -> dict[str, list[Touch]]:
    """Return, by the deviation of an adverse event, who ever judged it; of one that two judged last, nobody: it was freed by two.

    One statement.
    """
    e = event.c
    rows = session.execute(
        select(e.stream_id, e.occurred_at, e.entry, _HANDS.label("hands"))
        .where(
            e.stream_kind == StreamKind.SYSTEM.value,
            e.stream_id.in_(sorted(deviations)),
            e.kind == "system.adverse_assessed",
        )
        .order_by(e.stream_id, e.seq)
    ).all()
    last = {row.stream_id: parse_entry(bytes(row.entry))["body"]["signatures"] for row in rows}
    found: dict[str, list[Touch]] = {}
    for row in rows:
        if len(last[row.stream_id]) > 1:
            continue
        found.setdefault(row.stream_id, []).extend(_touches(row, Capacity.JUDGED, row.stream_id))
    return found


_OF_A_LOOK = {INSPECTION, TOO_FEW_ALIVE}
MISMATCH: Final = "bedside_mismatch"
"""Band, product and withdrawal at a bedside are not one person's."""
SWAPPED: Final = "another_tubes_final_label"
"""The final label that was scanned on what was thawed for one person is another tube's."""
IN_HAND: Final = "another_tube_in_hand"
"""A tube was scanned at a thaw, or in a box that arrived, that is none of the withdrawal's."""
AGAINST_A_STOP: Final = "done_on_paper_against_a_stop"
"""By a form two people used at a bedside what the bank had stopped by then."""
_OF_A_SCAN = {MISMATCH, SWAPPED, IN_HAND, AGAINST_A_STOP, "identity_mismatch"}
_OF_HANDLING = {
    WARM_TIME_BUDGET,
    MISSING_FOR_A_TIME,
    FROZEN_TOO_OLD,
    CONTACT,
    TO_THE_TANK,
    *FOUND_ON_ARRIVAL,
    HELD_BEFORE,
    FROZEN_AGAIN,
    TOO_OLD_A_PASSAGE,
}
HANDLED: Mapping[str, Capacity] = {"specimen.checked_out": Capacity.HANDLED, "specimen.frozen": Capacity.HANDLED}
"""What bars from lifting the hold of a time out of the cold, beside the entry that placed it: it may be the bank's own timer."""
LOOKS: Mapping[str, Capacity] = {
    "specimen.inspected": Capacity.INSPECTED,
    "specimen.amended": Capacity.INSPECTED,
    "specimen.viability_measured": Capacity.TESTED,
}
"""What bars from lifting the hold of a failed inspection or count. An inspection alone bars from no release."""


def looks_behind(session: Session, holds: Collection[UUID]) -> dict[UUID, list[Touch]]:
    """Return, by hold, who looked at or counted what a failed inspection or count holds, who had in hand what was out of the cold
    or recorded the arrival that holds it, and whose scans put an identity in doubt: they are not who lifts it.

    Whoever corrected an entry of the unit is among them: a correction towards "fine" lifts nothing. Three statements at most.
    """
    of_these = select(hold.c.id, hold.c.reason, hold.c.scope_kind, hold.c.scope_id, hold.c.placed_event).where(
        hold.c.id.in_(list(holds)), hold.c.reason.in_(_OF_A_LOOK | _OF_HANDLING | _OF_A_SCAN)
    )
    rows = session.execute(of_these).all()
    if not rows:
        return {}
    member, parent = specimen.alias("member"), specimen.alias("parent")
    lots = [row.scope_id for row in rows if row.scope_kind == HoldScope.LOT.value]
    samples = (
        select(parent.c.lot_code, member.c.code)
        .join(specimen_parent, specimen_parent.c.parent_code == parent.c.code)
        .join(member, member.c.code == specimen_parent.c.child_code)
        .where(parent.c.lot_code.in_(lots), member.c.purpose != "therapeutic")
    )
    own = select(member.c.lot_code, member.c.code).where(member.c.lot_code.in_(lots))
    units: dict[str, set[str]] = {row.scope_id: {row.scope_id} for row in rows}
    for lot, code in session.execute(own.union(samples)) if lots else ():
        units[lot].add(code)
    streams = sorted({code for every in units.values() for code in every})
    e, kinds = event.c, sorted({*LOOKS, *HANDLED})
    seen = session.execute(
        select(e.leaf_hash, e.stream_id, e.kind, e.occurred_at, _HANDS.label("hands")).where(
            or_(
                and_(e.stream_kind == StreamKind.SPECIMEN.value, e.stream_id.in_(streams), e.kind.in_(kinds)),
                e.leaf_hash.in_([row.placed_event for row in rows]),
            )
        )
    ).all()

    def touches(row: Any) -> Iterator[Touch]:
        counts, other = (LOOKS, Capacity.INSPECTED) if row.reason in _OF_A_LOOK else (HANDLED, Capacity.HANDLED)
        counts = {} if row.reason in _OF_A_SCAN else counts
        for one in seen:
            if (one.stream_id in units[row.scope_id] and one.kind in counts) or one.leaf_hash == row.placed_event:
                yield from _touches(one, counts.get(one.kind, other), one.stream_id)

    return {row.id: list(touches(row)) for row in rows}
