"""What was given since a time: nothing comes of cells before they were given, and what came before a giving and is recorded after
it is told.

The mirror of `given_then.py`: there something came after the giving and was recorded before it; here consent had been taken back,
or the donor had died, before the giving, and nobody had written it down. The giving stays as it was recorded. A critical
deviation names it, and quality, and those who treat, are told by name.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_that_may
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW, ImplausibleTime
from biobank.donors.consents import came_to_light, consents_given
from biobank.foundation.clock import rfc3339
from biobank.quality.deviations import add_deviation
from biobank.quality.notices import HOLDS, Told, concerned, give_notices
from biobank.specimens.models import specimen
from biobank.withdrawals.case import STANDS, Case, administration
from biobank.withdrawals.consents import treatment_consents
from biobank.withdrawals.models import withdrawal


def require_since_giving(session: Session, case: Case, seen_at: datetime) -> None:
    """Raise ImplausibleTime for what is said to have come of cells before the first of them was given."""
    first = select(func.min(administration.c.started_at)).where(administration.c.withdrawal_code == case.code, STANDS)
    began = session.execute(first).scalar()
    if began is not None and seen_at < began:
        raise ImplausibleTime(
            f"Nothing of {case.code} had been given by {rfc3339(seen_at)}; the giving began at {rfc3339(began)}. Check the "
            "time, or record what was seen before as an event."
        )


@came_to_light.give
def tell_of_givings(session: Session, act: Act, donor: str, since: datetime, because: str, by: bytes) -> list[Appended]:
    """Open a deviation for each withdrawal of the donor of which something was given at `since` or later, and ought not to be.

    `because`: `consent_revoked` (asked of each giving by the consents as known now) or `donor_deceased`; `by`: the event.
    """
    given = administration.c
    rows = session.execute(
        select(given.withdrawal_code, given.specimen_code, given.started_at, withdrawal.c.material, withdrawal.c.clinic_site_code)
        .join(withdrawal, withdrawal.c.code == given.withdrawal_code)
        .where(given.donor_code == donor, given.started_at >= since, STANDS)
        .order_by(given.withdrawal_code, given.specimen_code)
    ).all()
    found: dict[str, list[str]] = {}
    clinics = {row.withdrawal_code: row.clinic_site_code for row in rows}
    for row in rows:
        if because != "consent_revoked" or _without_consent(session, donor, row.material, row.specimen_code, row.started_at):
            found.setdefault(row.withdrawal_code, []).append(row.specimen_code)
    appended: list[Appended] = []
    for code, units in found.items():
        words = because.replace("_", " ")
        deviation, opened = add_deviation(
            session,
            act,
            NOW,
            severity="critical",
            topic="given_before_it_was_known",
            site=clinics[code],
            description=f"{', '.join(units)} of {code} was given. What had come before and came to light since: {words}.",
            affected=[*(("specimen", one) for one in units), ("withdrawal", code)],
        )
        appended.append(opened)
        homes = select(specimen.c.home_site_code).where(specimen.c.code.in_(units), specimen.c.home_site_code.is_not(None))
        sites = {clinics[code], *session.execute(homes).scalars()}
        people = {one.login: one for one in concerned(session, units, [donor])}
        for login in frozenset().union(*logins_that_may(session, Permission.QUALITY_DECIDE, sites).values()):
            people.setdefault(login, Told(login, HOLDS, frozenset(units)))
        told = sorted((one for one in people.values() if one.login != act.actor.code), key=lambda one: (one.rank, one.login))
        appended += give_notices(
            session, act, told, reason="given_unknowing", about=code, deviation=deviation, site=clinics[code], relies_on=by
        )
    return appended


def _without_consent(session: Session, donor: str, material: str, unit: str, at: datetime) -> bool:
    given = consents_given(session, [donor], "treatment", at)[donor]
    return bool(treatment_consents(donor, "living", given, material, [unit], at, timedelta(0))[1])
