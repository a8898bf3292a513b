"""What packages below ask of specimens: the facts beside a custody row, the holds by descent, what a donor's cells became."""

from sqlalchemy import ColumnElement, FromClause, delete, func, select
from sqlmodel import Session

from biobank.acts.answers_and_attempts import site_of
from biobank.auth.queries import jurisdiction_of
from biobank.auth.scope import Scope
from biobank.custody.hold_coverage import HoldReach, specimens_reach, with_heirs
from biobank.custody.models import custody
from biobank.custody.snapshots import SpecimenFacts, specimen_facts
from biobank.custody.states import State
from biobank.donors.erasure import DonorsCells, donors_cells
from biobank.donors.models import donor
from biobank.donors.retention import SpecimenEnd
from biobank.donors.visibility import MERGED, keeps_cells_of
from biobank.specimens.models import harvest, kit, specimen
from biobank.specimens.resolving import alias
from biobank.transparency.in_sql import donor_told, member_told, streams_told
from biobank.transparency.models import event


def _joined(base: FromClause, outer: bool) -> FromClause:
    with_specimen = base.join(specimen, specimen.c.code == custody.c.code, isouter=outer)
    return with_specimen.outerjoin(donor, donor.c.code == custody.c.donor_code)


specimen_facts.give(
    SpecimenFacts(
        columns=(
            specimen.c.material,
            specimen.c.unit,
            specimen.c.purpose,
            specimen.c.passage,
            specimen.c.lot_code,
            specimen.c.harvest_code,
            specimen.c.regulatory_basis,
            specimen.c.home_site_code,
            specimen.c.expires_at,
            donor.c.clinic_site_code,
            donor.c.kept_apart,
            jurisdiction_of(func.coalesce(specimen.c.home_site_code, custody.c.site_code)).label("kept_under"),
            jurisdiction_of(donor.c.clinic_site_code).label("cared_under"),
        ),
        joined=_joined,
    )
)

# What an unidentified item turned out to be stands under the item's holds, as if it had been made from it.
_KNOWN = "told.recorded_at <= :known"
_MERGED_THEN = f"""
        SELECT code, "into" AS merged_into FROM ({streams_told("donor", "donor.merged_into", "into")} AND {_KNOWN}) AS merged"""  # noqa: S608
_DONORS_THEN = f"SELECT code, {donor_told('specimen.code', _KNOWN)} AS donor_code FROM specimen"  # noqa: S608 - our own constants


def _line(told: str = "true") -> str:
    return f"""
    line AS (
        SELECT code AS target, code AS member FROM specimen WHERE code = ANY(:codes)
        UNION
        SELECT line.target, up.member FROM line, LATERAL (
            SELECT p.parent_code AS member FROM specimen_parent p WHERE p.child_code = line.member
            UNION ALL {member_told("line.member", "specimen.recognised", "item")} AND {told}
        ) AS up
    )"""  # noqa: S608 - our own constants


def _scopes(donors: str = "specimen", merged: str = MERGED) -> str:
    return f"""
    SELECT target, 'specimen', member, CAST(NULL AS timestamptz) FROM line
    UNION
    SELECT line.target, 'lot', s.lot_code, NULL FROM line JOIN specimen s ON s.code = line.member
    WHERE s.lot_code IS NOT NULL
    UNION
    SELECT line.target, 'harvest', s.harvest_code, NULL FROM line JOIN specimen s ON s.code = line.member
    WHERE s.harvest_code IS NOT NULL
    UNION
    SELECT s.code, 'donor', s.donor_code, NULL FROM {donors} s WHERE s.code = ANY(:codes) AND s.donor_code IS NOT NULL
    UNION
    SELECT s.code, 'donor', m.code, NULL FROM {donors} s JOIN ({merged}) m ON m.merged_into = s.donor_code
    WHERE s.code = ANY(:codes)"""  # noqa: S608 - constants of ours


specimens_reach.give(
    HoldReach(
        tables=_line(),
        scopes=_scopes(),
        held=f"""
    SELECT s.code FROM active a JOIN specimen s ON s.code = a.scope_id WHERE a.scope_kind = 'specimen'
    UNION
    SELECT s.code FROM active a JOIN specimen s ON s.lot_code = a.scope_id WHERE a.scope_kind = 'lot'
    UNION
    SELECT s.code FROM active a JOIN specimen s ON s.harvest_code = a.scope_id WHERE a.scope_kind = 'harvest'
    UNION
    SELECT s.code FROM active a JOIN specimen s ON s.donor_code = a.scope_id WHERE a.scope_kind = 'donor'
    UNION
    SELECT s.code FROM active a JOIN ({MERGED}) m ON m.code = a.scope_id
    JOIN specimen s ON s.donor_code = m.merged_into WHERE a.scope_kind = 'donor'""",  # noqa: S608 - constants of ours
        tables_then=_line(_KNOWN),
        scopes_then=_scopes(f"({_DONORS_THEN})", _MERGED_THEN),
    )
)
with_heirs.give(f"""
    SELECT code FROM held
    UNION
    SELECT down.code FROM candidate, LATERAL (
        SELECT p.child_code AS code FROM specimen_parent p WHERE p.parent_code = candidate.code
        UNION ALL {member_told("candidate.code", "specimen.identified", "same_as")}
    ) AS down""")  # noqa: S608 - our own constants


@keeps_cells_of.give
def _kept_at(donor_code: ColumnElement[str], scope: Scope) -> ColumnElement[bool]:
    kept = (
        select(specimen.c.code)
        .join(custody, custody.c.code == specimen.c.code)
        .where(specimen.c.donor_code == donor_code, scope.of(specimen.c.home_site_code, custody.c.site_code))
    )
    return kept.exists()


def _ends(session: Session, donor_code: str) -> list[SpecimenEnd]:
    began = (event.c.stream_kind == "specimen") & (event.c.stream_id == specimen.c.code) & (event.c.seq == custody.c.state_seq)
    rows = session.execute(
        select(specimen.c.code, custody.c.state, specimen.c.expires_at, event.c.occurred_at)
        .select_from(specimen.outerjoin(custody, custody.c.code == specimen.c.code).outerjoin(event, began))
        .where(specimen.c.donor_code == donor_code)
    )
    return [SpecimenEnd(r.code, None if r.state is None else State(r.state), r.occurred_at, r.expires_at) for r in rows]


def _forget_aliases(session: Session, donor_code: str) -> None:
    of_donor = select(specimen.c.code).where(specimen.c.donor_code == donor_code)
    session.execute(delete(alias).where(alias.c.specimen_code.in_(of_donor)))


donors_cells.give(
    DonorsCells(
        ends=_ends,
        harvested=lambda session, code: list(
            session.execute(select(harvest.c.recorded_at).where(harvest.c.donor_code == code)).scalars()
        ),
        forget_aliases=_forget_aliases,
    )
)


@site_of("KT")
def _kit_site(session: Session, code: str, _path: str) -> str | None:
    at: str | None = session.execute(select(kit.c.site_code).where(kit.c.code == code)).scalar()
    return at
