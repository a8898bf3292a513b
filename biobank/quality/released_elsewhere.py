"""What stands released under a law that does not reach where it is kept, or where its donor is treated.

It comes about when it is said anew under whose law a site works, or when material or a donor moves. Nothing of it can be used:
the same table stops every use. Quality reads here what to decide anew.
"""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.queries import jurisdiction_of
from biobank.custody.models import custody
from biobank.custody.states import LIVE
from biobank.donors.models import donor
from biobank.foundation.jurisdictions import Jurisdiction
from biobank.quality.events import RegulatoryBasis
from biobank.quality.legal_bases import reaches
from biobank.quality.usable import RELEASED
from biobank.specimens.models import specimen


def released_elsewhere(session: Session, actor: Actor, limit: int) -> tuple[Sequence[str], int]:
    """Return the first codes of such units at the banks where the actor decides about quality, and how many there are."""
    keeper = func.coalesce(specimen.c.home_site_code, custody.c.site_code)
    places = (jurisdiction_of(keeper), jurisdiction_of(donor.c.clinic_site_code))
    beyond = {law: [basis.value for basis in RegulatoryBasis if not reaches(basis, law)] for law in Jurisdiction}
    rows = session.execute(
        select(specimen.c.code, func.count().over().label("total"))
        .join(custody, custody.c.code == specimen.c.code)
        .outerjoin(donor, donor.c.code == specimen.c.donor_code)
        .where(
            custody.c.quality.in_(sorted(RELEASED)),
            custody.c.state.in_(sorted(LIVE)),
            actor.scope(Permission.QUALITY_DECIDE).of(keeper),
            or_(
                *((place == law.value) & specimen.c.regulatory_basis.in_(beyond[law]) for place in places for law in Jurisdiction)
            ),
        )
        .order_by(specimen.c.code)
        .limit(limit)
    ).all()
    return [row.code for row in rows], rows[0].total if rows else 0
