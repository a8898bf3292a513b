"""Which specimens an entry of the registers touched between two times: the set that a look-back and a recall start from.

What was made, treated, counted, collected, tested, carried or judged with it. What has no table of its own here (a courier and a
shipper of journeys, a way to thaw, a reason) is read from the log, which names it. A reason also reaches what was decided about
as a whole: a lot, a donor, a withdrawal, a shipment, and whatever was held for it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.event import rules
from biobank.custody.hold_coverage import held_for
from biobank.custody.states import StreamKind
from biobank.donors.models import donor_marker
from biobank.donors.visibility import current_code
from biobank.registers.queries import row_of
from biobank.registers.using import DEVICES
from biobank.specimens.models import specimen
from biobank.transparency.models import event

_TOUCHED = text(
    """
    WITH runs AS (
        SELECT id, lot_code FROM processing
        WHERE least(started_at, recorded_at) <= :until AND greatest(started_at, recorded_at) >= :since
          AND coalesce(:site, site_code) = site_code
          AND (:entry = ANY(equipment) OR :entry = ANY(reagent_lots)
               OR (:kind = 'procedure' AND procedure_version = :name)
               OR (:kind = 'cooling_programme' AND parameters ->> 'programme' = :name)
               OR (:kind = 'cryoprotectant' AND parameters ->> 'cryoprotectant' = :name)))
    SELECT s.code FROM runs JOIN specimen s ON s.lot_code = runs.lot_code
    UNION
    SELECT i.specimen_code FROM runs JOIN processing_input i ON i.processing_id = runs.id WHERE runs.lot_code IS NULL
    UNION
    SELECT specimen_code FROM culture_record
    WHERE (:entry = incubator OR :entry = ANY(medium_lots))
          AND least(at, recorded_at) <= :until AND greatest(at, recorded_at) >= :since
    UNION
    SELECT specimen_code FROM viability_assay WHERE instrument = :entry
          AND least(measured_at, recorded_at) <= :until AND greatest(measured_at, recorded_at) >= :since
    UNION
    SELECT s.code FROM kit k JOIN harvest h ON h.kit_code = k.code JOIN specimen s ON s.harvest_code = h.code
    WHERE :entry = ANY(k.media_lots) AND s.lot_code IS NULL
          AND least(h.started_at, h.recorded_at) <= :until AND greatest(h.started_at, h.recorded_at) >= :since
    UNION
    SELECT s.code FROM harvest h JOIN specimen s ON s.harvest_code = h.code
    WHERE h.transport_medium = :entry AND s.lot_code IS NULL
          AND least(h.started_at, h.recorded_at) <= :until AND greatest(h.started_at, h.recorded_at) >= :since
    """
)
_LOT_TESTED = text(
    """
    SELECT s.code FROM lot_test t JOIN specimen s ON s.lot_code = t.lot_code
    WHERE least(t.sampled_at, t.recorded_at) <= :until AND greatest(t.sampled_at, t.recorded_at) >= :since
      AND :name = CASE :kind WHEN 'laboratory' THEN t.laboratory ELSE t.method END
    """
)
_TAKEN_OVER = ("specimen.dispatched", "specimen.handover_accepted", "specimen.issued")
"""Kinds of event by which a courier takes something over."""
_BODY = cast(func.convert_from(event.c.entry, "UTF8"), JSONB)["body"]


def _tested(session: Session, named: dict[str, Any]) -> set[str]:
    """What of a lot, or of a donor's sample, was sent to a laboratory or tested by a method."""
    m = donor_marker.c
    column = m.laboratory if named["kind"] == "laboratory" else m.kit
    of_donors = (
        select(specimen.c.code)
        .join(donor_marker, m.donor_code == specimen.c.donor_code)
        .where(column == named["name"], _within(m.sampled_at, m.entered_at, named))
    )
    of_lots = session.execute(_LOT_TESTED, {name: named[name] for name in ("since", "until", "name", "kind")}).scalars()
    return set(of_lots) | set(session.execute(of_donors).scalars())


def carried(named: dict[str, Any]) -> Select[Any]:
    """Select what a courier took over, by a shipment, a hand-over or an issue, or what travelled in a shipper.

    They had it until its state changed: a window in the middle of the journey finds it too.
    """
    courier = or_(
        _BODY["courier"].astext == named["name"],
        *(
            and_(_BODY[f"{who}_kind"].astext == "courier", _BODY[f"{who}_id"].astext == named["name"])
            for who in ("to", "custodian")
        ),
    )
    in_it = select(event.c.stream_id).where(event.c.kind == "shipment.created", _BODY["shipper"].astext == named["entry"])
    way = courier if named["kind"] == "courier" else _BODY["shipment"].astext.in_(in_it)
    after = event.alias("after")
    over = (
        select(func.min(func.greatest(after.c.occurred_at, after.c.recorded_at)))
        .where(after.c.stream_kind == "specimen", after.c.stream_id == event.c.stream_id)
        .where(after.c.seq > event.c.seq, after.c.state != event.c.state)
        .scalar_subquery()
    )
    left = event.c.kind.in_(_TAKEN_OVER), func.least(event.c.occurred_at, event.c.recorded_at) <= named["until"]
    return select(event.c.stream_id).where(*left, way, or_(over.is_(None), over >= named["since"]))


def said(named: dict[str, Any], stream: StreamKind = StreamKind.SPECIMEN) -> Select[Any]:
    """Select what an event of a kind of stream says was thawed in this way, or done for this reason."""
    member, these = ("reason", _kinds_with_reasons(stream)) if named["kind"] == "reason" else ("method", ["specimen.thawed"])
    asked = select(event.c.stream_id).where(event.c.kind.in_(these), _BODY[member].astext == named["name"])
    return asked.where(_within(event.c.occurred_at, event.c.recorded_at, named))


def _kinds_with_reasons(stream: StreamKind) -> list[str]:
    """Return the kinds of event that say why. A hold on a lot or a donor may be on a part of it: the table of holds knows."""
    kinds = _kinds_with(stream, "reason")
    return [kind for kind in kinds if stream is StreamKind.SPECIMEN or not kind.endswith((".hold_placed", ".hold_lifted"))]


def _judged(session: Session, named: dict[str, Any]) -> set[str]:
    """What was done or held for a reason: specimens, lots, donors, withdrawals, shipments with all of them, what a hold names."""
    lots = select(specimen.c.code).where(specimen.c.lot_code.in_(said(named, StreamKind.LOT)))
    people = {current_code(session, code) for code in session.execute(said(named, StreamKind.DONOR).distinct()).scalars()}
    of_people = select(specimen.c.code).where(specimen.c.donor_code.in_(sorted(people)))
    asked_for = (
        select(func.jsonb_array_elements_text(_BODY["specimens"]))
        .where(event.c.kind.in_(_kinds_with(StreamKind.WITHDRAWAL, "specimens")))
        .where(event.c.stream_id.in_(said(named, StreamKind.WITHDRAWAL)), func.jsonb_typeof(_BODY["specimens"]) == "array")
    )
    sent = select(event.c.stream_id).where(
        event.c.kind == "specimen.dispatched", _BODY["shipment"].astext.in_(said(named, StreamKind.SHIPMENT))
    )
    found = {code for asked in (said(named), lots, of_people, asked_for, sent) for code in session.execute(asked).scalars()}
    return found | held_for(session, named["name"], named["since"], named["until"])


def _kinds_with(stream: StreamKind, member: str) -> list[str]:
    return [kind for kind, of in rules.by_kind.items() if of.stream is stream and member in of.model_fields]


def _within(stated: Any, recorded: Any, named: dict[str, Any]) -> ColumnElement[bool]:
    """Select what can have been in the window: a stated time takes nothing out of it."""
    return and_(func.least(stated, recorded) <= named["until"], func.greatest(stated, recorded) >= named["since"])


BY_KIND: dict[str, Callable[[Session, dict[str, Any]], set[str]]] = {
    "laboratory": _tested,
    "test_method": _tested,
    "reason": _judged,
}
IN_THE_LOG: dict[str, Callable[[dict[str, Any]], Select[Any]]] = {
    "courier": carried,
    "shipper": carried,
    "thawing_method": said,
}
"""Kinds of entry that the log alone names: found by the kinds of event that say them, which are indexed."""


def touched_by(session: Session, entry: str, since: datetime, until: datetime) -> set[str]:
    """Return what was made, treated, collected, tested, carried or judged with the entry. Raises NotFound."""
    row = row_of(session, entry)
    named = {"entry": entry, "kind": row.kind, "name": row.name, "site": row.site_code, "since": since, "until": until}
    if row.kind in BY_KIND:
        return BY_KIND[row.kind](session, named)
    if row.kind in IN_THE_LOG:
        return set(session.execute(IN_THE_LOG[row.kind](named)).scalars())
    found = set(session.execute(_TOUCHED, named).scalars())
    return found | set(session.execute(_prepared(named)).scalars()) if row.kind in DEVICES else found


def _prepared(named: dict[str, Any]) -> Select[Any]:
    """Select the PRP and PRF that were prepared with a device."""
    asked = select(event.c.stream_id).where(event.c.kind == "specimen.collected", _BODY["prepared_with"].astext == named["entry"])
    return asked.where(_within(event.c.occurred_at, event.c.recorded_at, named))
