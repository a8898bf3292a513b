"""Routes of donors. Personal data comes in bodies only, and leaves through one route, which records that it did."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query

from biobank.acts.web import KEY_LIMIT, Disclosing, Performing, Reading
from biobank.donors import (
    allergies,
    banding,
    consents,
    erasure,
    identifying,
    identity_reads,
    life,
    queries,
    safety_contact,
    service,
    wristbands,
)
from biobank.donors.allergies import AllergyList, AllergyRecorded, RecordAllergy
from biobank.donors.blind_index import INDEX_SECRET
from biobank.donors.erasure import ErasureDone, ErasureProposed
from biobank.donors.identity_reads import IdentityReadingList
from biobank.donors.life import AgreementList, AgreementRecorded, DeathAnswer, DeathPublic, MakeAgreement, RecordDeath
from biobank.donors.safety_contact import SafetyContact
from biobank.donors.schemas import (
    BandPublic,
    ChangeDonor,
    ConsentRecorded,
    DonorList,
    DonorPublic,
    DonorRecorded,
    EraseDonor,
    ErasureOutlook,
    GiveConsent,
    IdentityPublic,
    MatchList,
    RegisterDonor,
    RevokeConsent,
    SearchDonors,
    SiteCode,
)
from biobank.donors.visit_schemas import IdentificationRecorded, Identify, IssueWristband, VoidWristband, WristbandRecorded
from biobank.foundation.paging import Cursor, Paging

router = APIRouter(prefix="/api/v1", tags=["donors"])

DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$", examples=["DN-SQF5SS9"])]
BandCode = Annotated[str, Path(pattern=r"^WB-[0-9A-Z]{7}$")]


@router.post("/donors", status_code=201)
async def register_donor(body: RegisterDonor, performing: Performing) -> DonorRecorded:
    """Register a person. The answer warns of donors they could be taken for, by code."""
    return await performing(service.register_donor, body)


@router.get("/donors")
async def list_donors(
    reading: Reading,
    site: Annotated[SiteCode | None, Query(description="The donor's clinic.")] = None,
    status: Literal["living", "deceased", "unreachable", "erased"] | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> DonorList:
    """Donors you may know of, by code. To find a person by name use POST /donors/search."""
    return await reading(queries.list_donors, site=site, status=status, paging=Paging(after, limit))


@router.post("/donors/search")
async def search_donors(
    body: SearchDonors,
    reading: Reading,
    idempotency_key: Annotated[str | None, Header(max_length=KEY_LIMIT, description="Accepted and not needed.")] = None,
) -> MatchList:
    """Find donors by name, birth date or external identifier. A POST, because addresses end up in logs; it changes nothing."""
    _ = idempotency_key
    return await reading(queries.search_donors, body, reading.bank.secret(INDEX_SECRET))


@router.get("/donors/{code}")
async def read_donor(code: DonorCode, reading: Reading) -> DonorPublic:
    """A donor without identity: consents, holds, band, look-alikes."""
    return await reading(queries.describe_donor, code)


@router.patch("/donors/{code}")
async def change_donor(code: DonorCode, body: ChangeDonor, performing: Performing) -> DonorRecorded:
    """Change name, contact or status. Former names stay searchable; a death places a hold on use."""
    return await performing(service.change_donor, code, body)


@router.get("/identity-readings")
async def list_identity_readings(
    reading: Reading,
    by: Annotated[str | None, Query(pattern=r"^US-[0-9A-Z]{7}$", description="One login's.")] = None,
    days: Annotated[int, Query(ge=1, le=366, description="How far back.")] = 31,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> IdentityReadingList:
    """Who read how many identities, by day."""
    return await reading(identity_reads.list_identity_readings, by=by, days=days, paging=Paging(after, limit))


@router.get("/donors/{code}/identity")
async def read_identity(code: DonorCode, performing: Disclosing) -> IdentityPublic:
    """Who the donor is. That you asked is recorded."""
    return await performing(service.read_identity, code)


@router.post("/donors/{code}/consents", status_code=201)
async def give_consent(code: DonorCode, body: GiveConsent, performing: Performing) -> ConsentRecorded:
    """Record a consent given on a signed form."""
    return await performing(consents.give_consent, code, body)


@router.post("/donors/{code}/consents/{consent}/revoke")
async def revoke_consent(code: DonorCode, consent: UUID, body: RevokeConsent, performing: Performing) -> ConsentRecorded:
    """The person takes a consent back. It counts at once."""
    return await performing(consents.revoke_consent, code, consent, body)


@router.post("/donors/{code}/identifications", status_code=201)
async def identify(code: DonorCode, body: Identify, performing: Performing) -> IdentificationRecorded:
    """One of two people records what the patient states. The second sends the same with `pending` within 15 minutes."""
    # A mismatch leaves as its refusal; what returns here is an answer.
    return await performing(identifying.identify, code, body)


@router.get("/donors/{code}/erasure")
async def read_erasure(code: DonorCode, reading: Reading) -> ErasureOutlook:
    """What an erasure would do today, and when everything may go."""
    return await reading.agreeing(erasure.describe_erasure, code)


@router.post("/donors/{code}/erase")
async def erase_donor(code: DonorCode, body: EraseDonor, performing: Performing) -> ErasureProposed | ErasureDone:
    """Forget the person. Two people sign; while records must be kept only contact and free text go."""
    return await performing(erasure.erase_donor, code, body)


@router.post("/donors/{code}/death", status_code=201)
async def record_death(code: DonorCode, body: RecordDeath, performing: Performing) -> DeathAnswer:
    """The donor died. Every use is held; the answer says what the person instructed for that case."""
    return await performing(life.record_death, code, body)


@router.get("/donors/{code}/death")
async def read_death(code: DonorCode, performing: Disclosing) -> DeathPublic:
    """When the donor died and from whom the bank knows it. That you asked is recorded."""
    return await performing(life.read_death, code)


@router.post("/donors/{code}/agreements", status_code=201)
async def make_agreement(code: DonorCode, body: MakeAgreement, performing: Performing) -> AgreementRecorded:
    """Record a signed agreement about keeping: its terms and its end."""
    return await performing(life.make_agreement, code, body)


@router.get("/donors/{code}/agreements")
async def list_agreements(code: DonorCode, reading: Reading) -> AgreementList:
    """The agreements of a donor."""
    return await reading(life.list_agreements, code)


@router.get("/donors/{code}/safety-contact")
async def read_safety_contact(code: DonorCode, performing: Disclosing) -> SafetyContact:
    """How a person who asked to be forgotten is reached about a recall or a late result. That you asked is recorded."""
    return await performing(safety_contact.read_safety_contact, code)


@router.post("/donors/{code}/allergies", status_code=201)
async def record_allergy(code: DonorCode, body: RecordAllergy, performing: Performing) -> AllergyRecorded:
    """Record that a donor is allergic to a residue of processing, or was found not to be."""
    return await performing(allergies.record_allergy, code, body)


@router.get("/donors/{code}/allergies")
async def list_allergies(code: DonorCode, reading: Reading) -> AllergyList:
    """The recorded allergies of a donor."""
    return await reading(allergies.list_allergies, code)


@router.post("/wristbands", status_code=201)
async def issue_wristband(body: IssueWristband, performing: Performing) -> WristbandRecorded:
    """Issue a band after an identification of this visit. The band before it is void."""
    return await performing(banding.issue_wristband, body)


@router.get("/wristbands/{code}")
async def read_wristband(code: BandCode, reading: Reading) -> BandPublic:
    """Whose band it is and whether it is in force."""
    return await reading(wristbands.describe_band, code)


@router.post("/wristbands/{code}/void")
async def void_wristband(code: BandCode, body: VoidWristband, performing: Performing) -> WristbandRecorded:
    """Take a band out of force: damaged, removed, or the patient goes home."""
    return await performing(banding.void_wristband, code, body)
