"""Use cases of wristbands: put one on after an identification of this visit, take one out of force."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.permissions import Permission
from biobank.donors import events
from biobank.donors.identification import donor_of_identification, identification_by_id
from biobank.donors.recording import record_on_donor, recorded
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.donors.visit_schemas import IssueWristband, VoidWristband, WristbandRecorded
from biobank.donors.wristbands import (
    WristbandVoid,
    band_used_by,
    find_band,
    insert_band,
    unknown_band,
    void_band,
    void_band_in_force,
)
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound


class IdentificationForAnotherPurpose(Conflict):
    """An identification is for what it was asked for."""

    code = "identification_for_another_purpose"
    title = "Identification for another purpose"


class IdentificationUsed(Conflict):
    """One identification, one band."""

    code = "identification_used"
    title = "Identification already used"


def issue_wristband(session: Session, act: Act, request: IssueWristband) -> WristbandRecorded:
    """Issue a band after a completed identification of this visit; the band before it is void from now.

    Raises NotFound, IdentificationMissing, IdentificationExpired, IdentificationForAnotherPurpose, IdentificationUsed.
    """
    code = donor_of_identification(session, request.identification)
    unknown = NotFound(f"There is no identification {request.identification} that you may see.")
    if code is None:
        raise unknown
    try:
        row = get_visible_donor(session, act.actor, code, lock=True)
    except NotFound:
        raise unknown from None
    require_not_erased(row)
    identification = identification_by_id(session, request.identification, code, act.at)
    site = identification.site_code
    act.require(Permission.DONOR_IDENTIFY, at=site)
    if identification.purpose != "wristband":
        raise IdentificationForAnotherPurpose(
            f"{code} was identified for {identification.purpose}, not for a wristband. Identify again.", subject=code
        )
    used = band_used_by(session, identification.id)
    if used is not None:
        raise IdentificationUsed(
            f"{used} was issued after this identification. For another band identify the patient again.", subject=code
        )
    replaced = void_band_in_force(session, act, code, "replaced", site=site)
    band = new_code(session, "WB")
    event = events.WristbandIssued(
        wristband=band, identification=str(identification.id), expires_at=rfc3339(identification.valid_until)
    )
    appended = record_on_donor(session, act, code, [event], request, site=site, relies_on=(identification.leaf_hash,))
    insert_band(
        session,
        act,
        code=band,
        donor=code,
        identification=identification.id,
        site=site,
        expires_at=identification.valid_until,
        issued=appended[0],
    )
    all_events = ([] if replaced is None else [replaced[1]]) + appended
    return WristbandRecorded(
        **recorded(act, code, all_events),
        wristband=band,
        replaced=None if replaced is None else replaced[0],
        expires_at=identification.valid_until,
    )


def void_wristband(session: Session, act: Act, band: str, request: VoidWristband) -> WristbandRecorded:
    """Take a band out of force. Raises NotFound, WristbandVoid when it was already."""
    row = find_band(session, band)
    if row is None:
        raise unknown_band(band)
    try:
        get_visible_donor(session, act.actor, row.donor_code, lock=True)
    except NotFound:
        raise unknown_band(band) from None
    act.require(Permission.DONOR_IDENTIFY, at=row.site_code)
    row = find_band(session, band)
    assert row is not None
    if row.voided_at is not None:
        raise WristbandVoid(f"{band} is void already.", subject=band)
    appended = void_band(session, act, row, request.reason, request, site=row.site_code)
    return WristbandRecorded(**recorded(act, row.donor_code, [appended]), wristband=band, expires_at=row.expires_at)
