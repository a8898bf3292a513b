"""What the bank was told of a donor that decides about giving cells back: results of markers, allergies, and whether who they
are was changed. One reading.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.donors.allergies import Substance
from biobank.donors.identification import identity_changed
from biobank.donors.markers import MarkerName, Told
from biobank.donors.models import donor, donor_allergy, donor_marker

_ALLERGIES = select(func.array_agg(donor_allergy.c.substance)).where(donor_allergy.c.donor_code == donor.c.code).scalar_subquery()


class DonorTold(NamedTuple):
    """Results, the oldest sample first; recorded allergies; when who the donor is was last changed, if ever."""

    results: list[Told]
    allergies: frozenset[Substance]
    identity_changed_at: datetime | None


def told_of(session: Session, code: str) -> DonorTold:
    """Return what was told of a donor: one statement."""
    m = donor_marker.c
    changed = identity_changed(code).scalar_subquery().label("changed")
    rows = session.execute(
        select(m.marker, m.result, m.state, m.sampled_at, _ALLERGIES.label("allergies"), changed)
        .select_from(donor.outerjoin(donor_marker, m.donor_code == donor.c.code))
        .where(donor.c.code == code)
        .order_by(m.sampled_at, m.id)
    ).all()
    results = [Told(MarkerName(row.marker), row.result, row.state, row.sampled_at) for row in rows if row.marker is not None]
    allergies = frozenset(Substance(one) for row in rows[:1] for one in row.allergies or ())
    return DonorTold(results, allergies, rows[0].changed if rows else None)
