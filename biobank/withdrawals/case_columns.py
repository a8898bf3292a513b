"""What a row of a case holds."""

from biobank.auth.queries import jurisdiction_of
from biobank.donors.models import donor
from biobank.withdrawals.models import withdrawal

CASE_COLUMNS = (
    withdrawal,
    donor.c.status.label("donor_status"),
    jurisdiction_of(withdrawal.c.clinic_site_code).label("clinic_under"),
)
"""From `withdrawal` ⋈ `donor`: the withdrawal, its donor's status, and under whose law its clinic works (null: not said)."""
