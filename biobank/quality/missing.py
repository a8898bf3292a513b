"""What follows when units that are kept for treatment are reported missing: a deviation, and notices to those whom it concerns.

Quality of the bank that keeps them is told, and whoever asked for them, gave, received or holds them. When the last usable unit
of the donor's material is missing, or less is left than its reserve, or a withdrawal waits for it, those who treat at the donor's
clinic are told too, and the deviation is critical. What was told about the withdrawal before is no news any more. Looking for it,
or giving it up by two, stays an open act (`unfinished/kinds.py`).
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_that_may
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.missing import went_missing
from biobank.custody.recording import NOW
from biobank.custody.snapshots import load
from biobank.quality.deviations import add_deviation
from biobank.quality.notices import HOLDS, TREATS, Told, concerned, end_notices, give_notices
from biobank.quality.reserves import remaining_after

MISSING = "unit_missing"
"""The topic of the deviation and the reason of its notices."""


@went_missing.give
def follow_missing(session: Session, act: Act, gone: Mapping[str, bytes]) -> list[Appended]:
    """Open a deviation for each donor, material and keeper of the units that went missing. `gone`: by code, the report's hash."""
    found: dict[tuple[str, str, str], list[Snapshot]] = {}
    for one in load(session, gone).values():
        if one.purpose == "therapeutic" and one.donor_code is not None and one.keeper is not None:
            found.setdefault((one.donor_code, one.material, one.keeper), []).append(one)
    # Of the last two, reported by two at once, the second knows of the first: one of a donor's reports after the other.
    for donor in sorted({donor for donor, _, _ in found}):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"missing of {donor}", 0))))
    appended: list[Appended] = []
    for (donor, material, keeper), units in sorted(found.items()):
        appended += _follow(session, act, donor, material, keeper, units, gone)
    return appended


def _follow(
    session: Session, act: Act, donor: str, material: str, keeper: str, units: Collection[Snapshot], gone: Mapping[str, bytes]
) -> list[Appended]:
    codes = sorted(unit.code for unit in units)
    left = remaining_after(session, donor, material, codes, act.at, were_there=True)
    waiting = sorted({code for unit in units if (code := unit.projection.reserved_for) is not None})
    grave = left.takes_the_last or left.below_reserve or bool(waiting)
    deviation, opened = add_deviation(
        session,
        act,
        NOW,
        severity="critical" if grave else "major",
        topic=MISSING,
        site=keeper,
        description=f"Reported missing: {', '.join(codes)}. {left.sentence}",
        affected=[*(("specimen", code) for code in codes), *(("withdrawal", code) for code in waiting)],
    )
    by = gone[codes[0]]
    for code in waiting:
        end_notices(session, act, code, by)
    clinics = {unit.clinic_site_code for unit in units if unit.clinic_site_code is not None} if grave else set()
    people = _to_tell(session, codes, donor, keeper, clinics, but=act.actor.code)
    about = codes[0] if len(codes) == 1 else deviation
    told = give_notices(session, act, people, reason=MISSING, about=about, deviation=deviation, site=keeper, relies_on=by)
    return [opened, *told]


def _to_tell(
    session: Session, codes: Collection[str], donor: str, keeper: str, clinics: Collection[str], but: str
) -> Iterable[Told]:
    """Whom it concerns, the treating first; not whoever reported it."""
    every = frozenset(codes)
    found = {one.login: one for one in concerned(session, codes, [donor])}
    for permission, sites, rank in (
        (Permission.WITHDRAWAL_ADMINISTER, clinics, TREATS),
        (Permission.QUALITY_DECIDE, [keeper], HOLDS),
    ):
        for login in frozenset().union(*logins_that_may(session, permission, sites).values()):
            found.setdefault(login, Told(login, rank, every))
    return sorted((one for login, one in found.items() if login != but), key=lambda one: (one.rank, one.login))
