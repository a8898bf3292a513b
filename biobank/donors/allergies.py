"""What a donor must not be given: allergies to residues of processing, recorded before cells are harvested or cultured.

2006/17/EC Annex IV (read): for autologous cell cultures the medicinal allergies of the recipient, such as antibiotics, are
recorded. What is in a lot is `specimens/residues.py`; the two meet when cells are requested and approved.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.recording import Circumstances
from biobank.donors import events
from biobank.donors.identity import keep_document
from biobank.donors.models import donor_allergy as allergy
from biobank.donors.recording import record_on_donor, recorded
from biobank.donors.schemas import Recorded
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.errors import Conflict
from biobank.foundation.from_above import FromAbove

allergy_recorded: FromAbove[Callable[[Session, Act, str, bytes], None]] = FromAbove("withdrawals")
"""Tell those who treat a donor, or decide for them, of an allergy that was recorded while cells are on their way (its event)."""


class Substance(StrEnum):
    """A residue that a person can be allergic to. Names are stored; they never change."""

    DMSO = "dmso"
    BOVINE_SERUM = "bovine_serum"
    HUMAN_ALBUMIN = "human_albumin"
    PENICILLIN = "penicillin"
    STREPTOMYCIN = "streptomycin"
    GENTAMICIN = "gentamicin"
    AMPHOTERICIN_B = "amphotericin_b"
    COLLAGENASE = "collagenase"
    TRYPSIN = "trypsin"
    HEPARIN = "heparin"
    DEXTRAN = "dextran"
    HYDROXYETHYL_STARCH = "hydroxyethyl_starch"


class AllergyKnown(Conflict):
    """The record says that already."""

    code = "allergy_known"
    title = "Nothing changes"


class RecordAllergy(Circumstances):
    """An allergy that the person has, or (with `stands` false) was found not to have."""

    substance: Substance
    stands: bool = True


class AllergyPublic(BaseModel):
    """One allergy and since when the bank knows."""

    substance: Substance
    recorded_at: datetime
    recorded_by: str


class AllergyList(BaseModel):
    """The allergies of a donor. An empty list says that none was recorded, not that there is none."""

    donor: str
    items: list[AllergyPublic]


class AllergyRecorded(Recorded):
    """What stands now."""

    status: Literal["done"] = "done"
    substances: list[Substance]


def record_allergy(session: Session, act: Act, code: str, request: RecordAllergy) -> AllergyRecorded:
    """Record an allergy, or take one back. Raises NotFound, NotPermitted, DonorErased, AllergyKnown."""
    row = get_visible_donor(session, act.actor, code, lock=True)
    act.require(Permission.CONSENT_RECORD, at=row.clinic_site_code)
    require_not_erased(row)
    known = allergies_of(session, [code])[code]
    if (request.substance in known) == request.stands:
        raise AllergyKnown(f"The record of {code} already says that.", subject=code)
    identity: UUID = uuid4()
    told = keep_document(session, act, code, "allergy", {"substance": request.substance.value, "stands": request.stands})
    event = events.AllergyRecorded(told=told.hex())
    appended = record_on_donor(session, act, code, [event], request, site=row.clinic_site_code)
    if request.stands:
        values = {"id": identity, "donor_code": code, "substance": request.substance.value}
        marks = {"recorded_at": act.at, "recorded_by": act.actor.code, "event_hash": appended[0].leaf_hash}
        session.execute(allergy.insert().values(**values, **marks))
        allergy_recorded.get()(session, act, code, appended[0].leaf_hash)
    else:
        session.execute(delete(allergy).where(allergy.c.donor_code == code, allergy.c.substance == request.substance.value))
    left = sorted(allergies_of(session, [code])[code])
    return AllergyRecorded(**recorded(act, code, appended), substances=left)


def list_allergies(session: Session, actor: Actor, code: str) -> AllergyList:
    """Answer GET /donors/{code}/allergies. Raises NotFound."""
    get_visible_donor(session, actor, code)
    rows = session.execute(select(allergy).where(allergy.c.donor_code == code).order_by(allergy.c.substance))
    names = AllergyPublic.model_fields
    return AllergyList(donor=code, items=[AllergyPublic(**{name: getattr(row, name) for name in names}) for row in rows])


def allergies_of(session: Session, donors: Collection[str]) -> dict[str, frozenset[Substance]]:
    """Return the recorded allergies of donors; one statement."""
    return {code: frozenset(known) for code, known in allergies_since(session, donors).items()}


def allergies_since(session: Session, donors: Collection[str]) -> dict[str, dict[Substance, datetime]]:
    """Return the recorded allergies of donors, each with when the bank was told; one statement."""
    found: dict[str, dict[Substance, datetime]] = {code: {} for code in donors}
    columns = (allergy.c.donor_code, allergy.c.substance, allergy.c.recorded_at)
    for row in session.execute(select(*columns).where(allergy.c.donor_code.in_(sorted(donors)))):
        found[row.donor_code][Substance(row.substance)] = row.recorded_at
    return found


def forget_allergies(session: Session, code: str) -> None:
    """Delete the allergies of a person who is forgotten."""
    session.execute(delete(allergy).where(allergy.c.donor_code == code))
