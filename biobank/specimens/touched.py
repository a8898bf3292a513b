"""Which specimens an entry of the registers touched between two times: the set that a look-back and a recall start from.

What was made, treated, counted, collected, tested, carried or judged with it. What has no table of its own here (a courier and a
shipper of journeys, a way to thaw, a reason) is read from the log, which names it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.donors.models import donor_marker
from biobank.registers.queries import row_of
from biobank.specimens.models import specimen
from biobank.transparency.models import event

_TOUCHED = text(
    """
    WITH runs AS (
        SELECT id, lot_code FROM processing
        WHERE started_at BETWEEN :since AND :until AND coalesce(:site, site_code) = site_code
          AND (:entry = ANY(equipment) OR :entry = ANY(reagent_lots)
               OR (:kind = 'procedure' AND procedure_version = :name)
               OR (:kind = 'cooling_programme' AND parameters ->> 'programme' = :name)
               OR (:kind = 'cryoprotectant' AND parameters ->> 'cryoprotectant' = :name)))
    SELECT s.code FROM runs JOIN specimen s ON s.lot_code = runs.lot_code
    UNION
    SELECT i.specimen_code FROM runs JOIN processing_input i ON i.processing_id = runs.id WHERE runs.lot_code IS NULL
    UNION
    SELECT specimen_code FROM culture_record
    WHERE (:entry = incubator OR :entry = ANY(medium_lots)) AND at BETWEEN :since AND :until
    UNION
    SELECT specimen_code FROM viability_assay WHERE instrument = :entry AND measured_at BETWEEN :since AND :until
    UNION
    SELECT s.code FROM kit k JOIN harvest h ON h.kit_code = k.code JOIN specimen s ON s.harvest_code = h.code
    WHERE :entry = ANY(k.media_lots) AND h.started_at BETWEEN :since AND :until AND s.lot_code IS NULL
    UNION
    SELECT s.code FROM harvest h JOIN specimen s ON s.harvest_code = h.code
    WHERE h.transport_medium = :entry AND h.started_at BETWEEN :since AND :until AND s.lot_code IS NULL
    """
)
_LOT_TESTED = text(
    """
    SELECT s.code FROM lot_test t JOIN specimen s ON s.lot_code = t.lot_code
    WHERE t.sampled_at BETWEEN :since AND :until AND :name = CASE :kind WHEN 'laboratory' THEN t.laboratory ELSE t.method END
    """
)
_BODY = cast(func.convert_from(event.c.entry, "UTF8"), JSONB)["body"]


def _tested(session: Session, named: dict[str, Any]) -> set[str]:
    """What of a lot, or of a donor's sample, was sent to a laboratory or tested by a method."""
    m = donor_marker.c
    column = m.laboratory if named["kind"] == "laboratory" else m.kit
    of_donors = (
        select(specimen.c.code)
        .join(donor_marker, m.donor_code == specimen.c.donor_code)
        .where(column == named["name"], m.sampled_at.between(named["since"], named["until"]))
    )
    of_lots = session.execute(_LOT_TESTED, {name: named[name] for name in ("since", "until", "name", "kind")}).scalars()
    return set(of_lots) | set(session.execute(of_donors).scalars())


def _carried(session: Session, named: dict[str, Any]) -> set[str]:
    """What left with a courier, or in a shipment that names the courier or the shipper."""
    journeys = select(event.c.stream_id).where(
        event.c.stream_kind == "shipment",
        or_(_BODY["courier"].astext == named["name"], _BODY["shipper"].astext == named["entry"]),
    )
    way = or_(_BODY["courier"].astext == named["name"], _BODY["shipment"].astext.in_(journeys))
    return set(session.execute(_of_specimens(named).where(way)).scalars())


def _said(session: Session, named: dict[str, Any]) -> set[str]:
    """What an event says was thawed in this way, or done for this reason."""
    asked = _of_specimens(named)
    if named["kind"] == "reason":
        return set(session.execute(asked.where(_BODY["reason"].astext == named["name"])).scalars())
    thawed = asked.where(event.c.kind == "specimen.thawed", _BODY["method"].astext == named["name"])
    return set(session.execute(thawed).scalars())


def _of_specimens(named: dict[str, Any]) -> Select[Any]:
    happened = event.c.occurred_at.between(named["since"], named["until"])
    return select(event.c.stream_id).where(event.c.stream_kind == "specimen", happened)


_BY_KIND: dict[str, Callable[[Session, dict[str, Any]], set[str]]] = {
    "laboratory": _tested,
    "test_method": _tested,
    "courier": _carried,
    "shipper": _carried,
    "thawing_method": _said,
    "reason": _said,
}


def touched_by(session: Session, entry: str, since: datetime, until: datetime) -> set[str]:
    """Return what was made, treated, collected, tested, carried or judged with the entry. Raises NotFound."""
    row = row_of(session, entry)
    named = {"entry": entry, "kind": row.kind, "name": row.name, "site": row.site_code, "since": since, "until": until}
    if row.kind in _BY_KIND:
        return _BY_KIND[row.kind](session, named)
    return set(session.execute(_TOUCHED, named).scalars())
