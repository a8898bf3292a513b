"""What packages below ask of donors: a donor's lock, and the clinic that cares for a donor."""

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.answers_and_attempts import site_of
from biobank.custody.reversal import donor_lock
from biobank.donors.models import donor, wristband
from biobank.donors.visibility import lock_donor
from biobank.exports.bundling import clinic_of_donor
from biobank.exports.selection import codes_of_donor

donor_lock.give(lock_donor)


@clinic_of_donor.give
def _clinic(session: Session, code: str) -> tuple[str | None] | None:
    row = session.execute(select(donor.c.clinic_site_code).where(donor.c.code == code)).first()
    return None if row is None else (row.clinic_site_code,)


codes_of_donor.give(
    "SELECT {donor} UNION SELECT code FROM donor WHERE merged_into = {donor}"
    " UNION SELECT merged_into FROM donor WHERE code = {donor} AND merged_into IS NOT NULL"
)


@site_of("DN")
def _clinic_site(session: Session, code: str, _path: str) -> str | None:
    at: str | None = session.execute(select(donor.c.clinic_site_code).where(donor.c.code == code)).scalar()
    return at


@site_of("WB")
def _band_site(session: Session, code: str, _path: str) -> str | None:
    at: str | None = session.execute(select(wristband.c.site_code).where(wristband.c.code == code)).scalar()
    return at
