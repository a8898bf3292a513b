"""Looking back from what was seen in a patient to what may have caused it, and forward from a cause to what was seen.

From a reaction or event: the lots of its units and of what they were made of, the siblings, the register entries and people of
the runs and visits they come from, and what else those entries touched, with the recipients of it. From a lot or an entry of
the registers: every reaction, event and outcome of what it reached.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.errors import NotFound
from biobank.quality.adverse import units_of_adverse
from biobank.quality.look_back import reached
from biobank.quality.models import adverse_event, deviation_subject
from biobank.quality.schemas import Criteria, ReachedSpecimen
from biobank.registers.queries import row_of
from biobank.specimens.models import harvest, kit, lot, processing, processing_input, specimen, specimen_parent
from biobank.transparency.models import event
from biobank.withdrawals.case import STANDS, administration
from biobank.withdrawals.models import outcome_measure, outcome_result, withdrawal_outcome


class EntryReach(BaseModel):
    """An entry of the registers that touched the units, what else it touched, and what of that was given."""

    entry: str
    others: int = Field(description="Units that it touched beside these and their siblings.")
    given: list[ReachedSpecimen] = Field(description="Those of them that were given to their donors.")


class EventReach(BaseModel):
    """What an adverse event's cause can lie in, and what that can have reached."""

    deviation: str
    units: list[str]
    made_of: list[str] = Field(description="What the units were made of, at any remove.")
    lots: list[str]
    siblings: list[ReachedSpecimen] = Field(
        description="Everything of these lots and harvests, and made of it, beside the units."
    )
    people: list[str] = Field(description="Badges of those who recorded or did something with them.")
    entries: list[EntryReach] = Field(description="Reagent lots, media, devices and other entries of the registers.")


class AdverseSeen(BaseModel):
    """A reaction or event with something of the set."""

    deviation: str
    kind: str
    seriousness: str
    causality: str
    withdrawal: str
    known_at: datetime


class OutcomeSeen(BaseModel):
    """An outcome after something of the set was given: what was told, or how many planned measures were taken. No figures."""

    withdrawal: str
    specimen: str
    results: list[str]
    measured: int
    not_done: int


class Consequences(BaseModel):
    """What was seen after what a cause reached was given."""

    cause: str
    units: int
    given: list[ReachedSpecimen]
    adverse: list[AdverseSeen]
    outcomes: list[OutcomeSeen]


def event_reach(session: Session, actor: Actor, code: str) -> EventReach:
    """Look back from an adverse event: who may know all of the log, as for any look-back. Raises NotFound, NotPermitted."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    units = units_of_adverse(session, actor, code)
    line = _made_of(session, units)
    rows = session.execute(
        select(specimen.c.code, specimen.c.lot_code, specimen.c.harvest_code).where(specimen.c.code.in_(sorted(line)))
    ).all()
    lots = sorted({row.lot_code for row in rows if row.lot_code is not None})
    visits = sorted({row.harvest_code for row in rows if row.harvest_code is not None})
    of_visits = session.execute(select(specimen.c.code).where(specimen.c.harvest_code.in_(visits))).scalars()
    starts = [Criteria(lot=one) for one in lots] + [Criteria(specimen=one) for one in of_visits]
    found = {one.specimen: one for start in starts for one in reached(session, start)}
    siblings = [found[one] for one in sorted(found) if one not in line]
    entries = []
    for entry in _entries(session, line, lots, visits):
        beside = [
            one for one in reached(session, Criteria(entry=entry)) if one.specimen not in line and one.specimen not in found
        ]
        given = [one for one in beside if one.withdrawal is not None]
        entries.append(EntryReach(entry=entry, others=len(beside), given=given))
    return EventReach(
        deviation=code,
        units=units,
        made_of=sorted(line - set(units)),
        lots=lots,
        siblings=siblings,
        people=_people(session, line, lots),
        entries=entries,
    )


def _made_of(session: Session, units: Collection[str]) -> set[str]:
    """Return the units and all that they were made of."""
    parents = select(specimen_parent.c.parent_code.label("code")).where(specimen_parent.c.child_code.in_(sorted(units)))
    line = parents.cte("line", recursive=True)
    line = line.union(select(specimen_parent.c.parent_code).join(line, specimen_parent.c.child_code == line.c.code))
    return set(units) | set(session.execute(select(line.c.code)).scalars())


def _entries(session: Session, line: Collection[str], lots: Collection[str], visits: Collection[str]) -> list[str]:
    """Return the register entries that the runs and kits of these units name by code."""
    through = select(processing_input.c.processing_id).where(processing_input.c.specimen_code.in_(sorted(line)))
    its_own = or_(
        processing.c.lot_code.in_(sorted(lots)),
        processing.c.lot_code.is_(None) & processing.c.id.in_(through),
    )
    runs = session.execute(select(processing.c.equipment, processing.c.reagent_lots).where(its_own)).all()
    media = session.execute(
        select(kit.c.media_lots).join(harvest, harvest.c.kit_code == kit.c.code).where(harvest.c.code.in_(sorted(visits)))
    ).scalars()
    named = {one for run in runs for one in (*run.equipment, *run.reagent_lots)} | {one for lots_ in media for one in lots_}
    return [one for one in sorted(named) if one.startswith(("RG-", "EQ-"))]


def _people(session: Session, line: Iterable[str], lots: Iterable[str]) -> list[str]:
    told = select(event.c.recorded_by).where(
        or_(
            (event.c.stream_kind == "specimen") & event.c.stream_id.in_(sorted(line)),
            (event.c.stream_kind == "lot") & event.c.stream_id.in_(sorted(lots)),
        )
    )
    return [one for one in sorted(set(session.execute(told.distinct()).scalars())) if one.startswith("US-")]


def consequences_of_lot(session: Session, actor: Actor, code: str) -> Consequences:
    """Return what was seen of everything of a lot and made of it. Raises NotFound, NotPermitted, LookBackTooWide."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    if session.execute(select(lot.c.code).where(lot.c.code == code)).first() is None:
        raise NotFound(f"There is no lot {code}. Check the code.", subject=code)
    return _consequences(session, code, reached(session, Criteria(lot=code)))


def consequences_of_entry(session: Session, actor: Actor, key: str) -> Consequences:
    """Return what was seen of all that an entry of the registers touched. Raises NotFound, NotPermitted, LookBackTooWide."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    row_of(session, key)
    return _consequences(session, key, reached(session, Criteria(entry=key)))


def _consequences(session: Session, cause: str, items: Sequence[ReachedSpecimen]) -> Consequences:
    codes = [one.specimen for one in items]
    named = select(deviation_subject.c.deviation_code).where(
        deviation_subject.c.subject_kind == "specimen", deviation_subject.c.subject_id.in_(codes)
    )
    seen = session.execute(
        select(adverse_event).where(adverse_event.c.deviation_code.in_(named)).order_by(adverse_event.c.known_at)
    ).all()
    given = [one for one in items if one.withdrawal is not None]
    return Consequences(
        cause=cause,
        units=len(items),
        given=given,
        adverse=[
            AdverseSeen(
                deviation=one.deviation_code,
                withdrawal=one.withdrawal_code,
                **{name: getattr(one, name) for name in ("kind", "seriousness", "causality", "known_at")},
            )
            for one in seen
        ],
        outcomes=_outcomes(session, given),
    )


def _outcomes(session: Session, given: Sequence[ReachedSpecimen]) -> list[OutcomeSeen]:
    under = sorted({one.withdrawal for one in given if one.withdrawal is not None})
    told: dict[str, list[str]] = {code: [] for code in under}
    statement = select(withdrawal_outcome.c.withdrawal_code, withdrawal_outcome.c.result)
    for row in session.execute(
        statement.where(withdrawal_outcome.c.withdrawal_code.in_(under)).order_by(withdrawal_outcome.c.id)
    ):
        told[row.withdrawal_code].append(row.result)
    latest = (
        select(outcome_result.c.measure_id, administration.c.specimen_code, outcome_result.c.value_commit)
        .ext(distinct_on(outcome_result.c.measure_id, outcome_result.c.release_id))
        .join(administration, administration.c.release_id == outcome_result.c.release_id)
        .join(outcome_measure, outcome_measure.c.id == outcome_result.c.measure_id)
        .where(outcome_measure.c.withdrawal_code.in_(under), STANDS)
        .order_by(outcome_result.c.measure_id, outcome_result.c.release_id, outcome_result.c.recorded_at.desc())
    )
    results = session.execute(latest).all()
    return [
        OutcomeSeen(
            withdrawal=str(one.withdrawal),
            specimen=one.specimen,
            results=told[str(one.withdrawal)],
            measured=sum(row.specimen_code == one.specimen and row.value_commit is not None for row in results),
            not_done=sum(row.specimen_code == one.specimen and row.value_commit is None for row in results),
        )
        for one in given
    ]
