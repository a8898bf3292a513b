"""Which specimens an entry of the registers touched between two times: the set that a look-back and a recall start from."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from biobank.registers.queries import row_of

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
    SELECT specimen_code FROM viability_assay WHERE instrument = :entry AND measured_at BETWEEN :since AND :until
    UNION
    SELECT s.code FROM kit k JOIN harvest h ON h.kit_code = k.code JOIN specimen s ON s.harvest_code = h.code
    WHERE :entry = ANY(k.media_lots) AND h.started_at BETWEEN :since AND :until AND s.lot_code IS NULL
    """
)


def touched_by(session: Session, entry: str, since: datetime, until: datetime) -> set[str]:
    """Return what was made in a run that named the entry, or treated, counted or collected with it. Raises NotFound."""
    row = row_of(session, entry)
    named = {"entry": entry, "kind": row.kind, "name": row.name, "site": row.site_code}
    return set(session.execute(_TOUCHED, named | {"since": since, "until": until}).scalars())
