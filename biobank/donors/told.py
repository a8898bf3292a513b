"""What the bank was told of a donor that decides about giving cells back: results of markers, and allergies, in one reading."""

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.donors.allergies import Substance
from biobank.donors.markers import MarkerName, Told
from biobank.donors.models import donor, donor_allergy, donor_marker

_ALLERGIES = select(func.array_agg(donor_allergy.c.substance)).where(donor_allergy.c.donor_code == donor.c.code).scalar_subquery()


def told_of(session: Session, code: str) -> tuple[list[Told], frozenset[Substance]]:
    """Return a donor's results, the oldest sample first, and recorded allergies: one statement."""
    m = donor_marker.c
    rows = session.execute(
        select(m.marker, m.result, m.state, m.sampled_at, _ALLERGIES.label("allergies"))
        .select_from(donor.outerjoin(donor_marker, m.donor_code == donor.c.code))
        .where(donor.c.code == code)
        .order_by(m.sampled_at, m.id)
    ).all()
    results = [Told(MarkerName(row.marker), row.result, row.state, row.sampled_at) for row in rows if row.marker is not None]
    return results, frozenset(Substance(one) for row in rows[:1] for one in row.allergies or ())
