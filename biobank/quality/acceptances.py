"""Who accepted that cells are released before every result of their lot is there: the physician who treats, and the patient.

Both put it in writing; the files are stored first. The patient's is a file about the patient. 21 CFR 610.12: results can
post-date use, so those who bear the risk say that they do.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_of_user
from biobank.custody.chronology import require_existed
from biobank.custody.legality import Snapshot
from biobank.custody.recording import AHEAD, ImplausibleTime
from biobank.custody.states import StreamKind
from biobank.donors.models import donor
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.quality.schemas import DecisionRequest
from biobank.quality.stored_files import is_about, require_stored

NAMES = (
    "physician",
    "physician_accepted_at",
    "physician_acceptance",
    "patient_accepted_at",
    "patient_acceptance",
)
"""The members of a decision that say who accepted it, when, and by which file."""


class AcceptanceMissing(Conflict):
    """A conditional release is accepted by the physician who treats and by the patient."""

    code = "acceptance_required"
    title = "Acceptance required"


def is_accepted(request: DecisionRequest) -> bool:
    """Say whether the decision names both acceptances. Pure."""
    return all(getattr(request, name) is not None for name in NAMES)


def read_acceptance(session: Session, act: Act, request: DecisionRequest, units: Collection[Snapshot]) -> dict[str, Any]:
    """Return what the event of a conditional release says of its acceptances; `units`: what is released.

    Raises AcceptanceMissing (not one patient's cells, a physician who treats nobody there or who decides, a file about somebody
    else), AttachmentUnknown, ImplausibleTime, BeforeItExisted (signed before there was anything to accept).
    """
    said = {name: getattr(request, name) for name in NAMES}
    donors = {unit.donor_code for unit in units}
    codes = {one for one in donors if one is not None}
    if len(codes) != 1 or None in donors:
        raise AcceptanceMissing("Cells of several people are released conditionally one person at a time.")
    (patient,) = codes
    require_stored(session, [said["physician_acceptance"], said["patient_acceptance"]])
    if not is_about(session, said["patient_acceptance"], patient):
        raise AcceptanceMissing(
            f"The file of the patient's acceptance is not kept with {patient}. Store it with the donor's code first.",
            subject=patient,
        )
    clinic = session.execute(donor.select().with_only_columns(donor.c.clinic_site_code).where(donor.c.code == patient)).scalar()
    physician = actor_of_user(session, said["physician"])
    if said["physician"] == act.actor.code or physician is None or not physician.may(Permission.WITHDRAWAL_REQUEST, at=clinic):
        raise AcceptanceMissing(
            f"{said['physician']} does not treat at {clinic}. Name the physician who will treat, by their badge; whoever decides "
            "is not the one who accepts.",
            subject=patient,
        )
    for name in ("physician_accepted_at", "patient_accepted_at"):
        if said[name] - act.at > AHEAD:
            raise ImplausibleTime(
                "An acceptance cannot have been given later than now. Check when it was signed.", subject=patient
            )
        require_existed(session, said[name], [(StreamKind.SPECIMEN.value, unit.code) for unit in units], to_the_minute=True)
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in said.items()}
