"""What packages below ask of withdrawals: that releases end, whose they were, and where a withdrawal is known."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.answers_and_attempts import site_of
from biobank.acts.bank import Bank
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.reversal import giving_undone
from biobank.donors.consents import treatment_revoked
from biobank.donors.models import donor
from biobank.foundation.errors import Refusal
from biobank.quality import releases as asked_by_quality
from biobank.quality.attachments import photographs_of_patients
from biobank.quality.deviations import sites_of_withdrawal
from biobank.quality.dispositions import units_of_withdrawals
from biobank.quality.releases import GivenUnder
from biobank.shipping.onward import refusals_after_issue
from biobank.shipping.shipments import clinics_of_withdrawals
from biobank.specimens.models import specimen
from biobank.withdrawals.case import administration, read_case
from biobank.withdrawals.case_columns import CASE_COLUMNS
from biobank.withdrawals.models import bedside_release as _release
from biobank.withdrawals.models import outcome_result, withdrawal
from biobank.withdrawals.models import withdrawal_item as _item
from biobank.withdrawals.releases import end_held_releases, end_releases, end_revoked_releases
from biobank.withdrawals.step_rules import onward_refusals, read_grounds
from biobank.withdrawals.undone import lead_back
from biobank.withdrawals.workflow import OVER

asked_by_quality.end_releases.give(end_releases)
asked_by_quality.end_held_releases.give(end_held_releases)
treatment_revoked.give(end_revoked_releases)
giving_undone.give(lead_back)


@asked_by_quality.givings_of_releases.give
def _of_releases(session: Session, releases: Collection[UUID]) -> dict[UUID, GivenUnder]:
    rows = session.execute(
        select(_release.c.id, _release.c.withdrawal_code, administration.c.came_after)
        .outerjoin(administration, administration.c.release_id == _release.c.id)
        .where(_release.c.id.in_(releases))
    )
    return {row.id: GivenUnder(row.withdrawal_code, row.came_after or ()) for row in rows}


_open = select(withdrawal.c.code).where(withdrawal.c.state.not_in(sorted(OVER))).order_by(withdrawal.c.code)


@asked_by_quality.open_withdrawals_of.give
def _open_of(session: Session, donors: Collection[str]) -> list[str]:
    return list(session.execute(_open.where(withdrawal.c.donor_code.in_(sorted(donors)))).scalars())


@asked_by_quality.open_withdrawals_with.give
def _open_with(session: Session, specimens: Collection[str]) -> list[str]:
    asking = select(_item.c.withdrawal_code).where(_item.c.specimen_code.in_(sorted(specimens)))
    return list(session.execute(_open.where(withdrawal.c.code.in_(asking))).scalars())


@sites_of_withdrawal.give
def _sites(session: Session, code: str) -> list[str]:
    clinic = session.execute(select(withdrawal.c.clinic_site_code).where(withdrawal.c.code == code)).scalars().all()
    tubes = session.execute(
        select(custody.c.site_code, specimen.c.home_site_code)
        .select_from(
            _item.join(custody, custody.c.code == _item.c.specimen_code).join(specimen, specimen.c.code == custody.c.code)
        )
        .where(_item.c.withdrawal_code == code)
    ).all()
    return sorted({site for site in (*clinic, *(site for tube in tubes for site in tube)) if site is not None})


units_of_withdrawals.give(_item)


@photographs_of_patients.give
def _photographs(session: Session, hashes: Collection[str]) -> frozenset[str]:
    taken = select(outcome_result.c.photograph_sha256).where(outcome_result.c.photograph_sha256.in_(list(hashes)))
    return frozenset(session.execute(taken).scalars()) if hashes else frozenset()


@clinics_of_withdrawals.give
def _clinics(session: Session, codes: Collection[str]) -> dict[str, str]:
    rows = session.execute(select(withdrawal.c.code, withdrawal.c.clinic_site_code).where(withdrawal.c.code.in_(codes)))
    return {row.code: row.clinic_site_code for row in rows}


@refusals_after_issue.give
def _after_issue(
    session: Session, bank: Bank, at: datetime, issued: Collection[Snapshot], stated: datetime | None
) -> list[Refusal]:
    codes = {one.projection.reserved_for for one in issued} - {None}
    if not codes:
        return []
    rows = session.execute(
        select(*CASE_COLUMNS).join(donor, donor.c.code == withdrawal.c.donor_code).where(withdrawal.c.code.in_(sorted(codes)))
    ).mappings()
    found: list[Refusal] = []
    for case in [read_case(session, row) for row in rows.all()]:
        grounds = read_grounds(session, bank, [case.donor], at, of=stated, decided=True)[case.donor]
        its = [one.code for one in issued if one.projection.reserved_for == case.code and one.code in case.tubes]
        found += [refusal for code in sorted(its) for refusal in onward_refusals(case, grounds, code)]
    return found


_AT_THE_TUBES = frozenset({"approve", "reject", "picks", "pick", "confirm", "issue", "thaw", "expand"})
"""The steps of a withdrawal that are taken where its tubes stand; the others are the clinic's."""


@site_of("WD")
def _of_step(session: Session, code: str, path: str) -> str | None:
    row = session.execute(select(withdrawal.c.clinic_site_code).where(withdrawal.c.code == code)).first()
    if row is None or path.rpartition("/")[2] not in _AT_THE_TUBES:
        return None if row is None else str(row.clinic_site_code)
    tubes = _item.join(custody, custody.c.code == _item.c.specimen_code)
    stand = (
        select(custody.c.site_code).select_from(tubes).where(_item.c.withdrawal_code == code, custody.c.site_code.is_not(None))
    )
    at: str | None = session.execute(stand.order_by(custody.c.code).limit(1)).scalar()
    return at or str(row.clinic_site_code)
