"""What packages below ask of withdrawals: that releases end, whose they were, and where a withdrawal is known."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.models import custody
from biobank.donors.consents import treatment_revoked
from biobank.quality import releases as asked_by_quality
from biobank.quality.deviations import sites_of_withdrawal
from biobank.quality.dispositions import units_of_withdrawals
from biobank.shipping.shipments import clinics_of_withdrawals
from biobank.specimens.models import specimen
from biobank.withdrawals.models import bedside_release as _release
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as _item
from biobank.withdrawals.releases import end_held_releases, end_releases, end_revoked_releases

asked_by_quality.end_releases.give(end_releases)
asked_by_quality.end_held_releases.give(end_held_releases)
treatment_revoked.give(end_revoked_releases)


@asked_by_quality.withdrawals_of_releases.give
def _of_releases(session: Session, releases: Collection[UUID]) -> dict[UUID, str]:
    rows = session.execute(select(_release.c.id, _release.c.withdrawal_code).where(_release.c.id.in_(releases)))
    return {row.id: row.withdrawal_code for row in rows}


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


@clinics_of_withdrawals.give
def _clinics(session: Session, codes: Collection[str]) -> dict[str, str]:
    rows = session.execute(select(withdrawal.c.code, withdrawal.c.clinic_site_code).where(withdrawal.c.code.in_(codes)))
    return {row.code: row.clinic_site_code for row in rows}
