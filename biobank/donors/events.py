"""Events on a donor's stream: who they are by commitment, what they agreed to, how they were identified, and their end.

Nothing here names a person. Identity, contact and what a patient stated stand as salted commitments to vault documents.
"""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.body_shape import COMMITS
from biobank.custody.event import Event
from biobank.custody.events import CODE, HASH, REASON
from biobank.custody.states import StreamKind
from biobank.foundation.kept_files import FileHash

COMMIT = Field(pattern=r"^[0-9a-f]{64}$", description="Commitment to a vault document, in hex.", json_schema_extra=COMMITS)
MAYBE_COMMIT = Field(
    default=None, pattern=r"^[0-9a-f]{64}$", description="Commitment to a vault document, in hex.", json_schema_extra=COMMITS
)
ID = Field(pattern=r"^[0-9a-f-]{36}$")
WHEN = Field(max_length=32, description="RFC 3339.")
MAYBE_WHEN = Field(default=None, max_length=32, description="RFC 3339.")

ConsentKind = Literal["banking", "treatment", "research", "testing", "sharing", "death_and_end_of_term", "representative"]
Tissue = Literal["hair_follicle", "adipose", "blood"]
OnDeath = Literal["destroy", "keep_until_end_of_term", "donate_to_research", "ask_representative"]
AtEndOfTerm = Literal["destroy", "ask_first", "donate_to_research"]
Purpose = Literal["harvest", "wristband", "bedside"]
IdentifierKind = Literal["name", "date_of_birth", "external_id"]
DocumentKind = Literal[
    "passport", "identity_card", "driving_licence", "residence_permit", "health_card", "other_photo_id", "none"
]
DeathSource = Literal["death_certificate", "hospital", "treating_physician", "registry", "family"]
DonorStatus = Literal["living", "deceased", "unreachable"]
IdentityField = Literal["family_name", "given_names", "former_names", "date_of_birth", "sex", "external_ids"]


class _DonorEvent(Event):
    stream: ClassVar[StreamKind] = StreamKind.DONOR


class Registered(_DonorEvent):
    """A person became a donor. `look_alikes` are the codes of others they could be taken for."""

    kind: Literal["donor.registered"] = "donor.registered"
    permission: ClassVar[Permission] = Permission.DONOR_REGISTER
    starts: ClassVar[bool] = True

    clinic_site: str = CODE
    identity: str = COMMIT
    contact: str | None = MAYBE_COMMIT
    look_alikes: tuple[str, ...] = ()


class IdentityChanged(_DonorEvent):
    """A name changed or a mistake was put right. The document before stays in the vault.

    `signatures`: of the
    two people, in the order of signing, where material of the donor was kept."""

    kind: Literal["donor.identity_changed"] = "donor.identity_changed"
    permission: ClassVar[Permission] = Permission.DONOR_REGISTER
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.QUALITY_DECIDE})

    identity: str = COMMIT
    supersedes: str | None = MAYBE_COMMIT
    changed: tuple[IdentityField, ...]
    reason: str = REASON
    look_alikes: tuple[str, ...] = ()
    evidence_sha256: FileHash | None = None
    signatures: tuple[str, str] | None = None


class ContactChanged(_DonorEvent):
    """Telephone, mail or address changed. The document before is deleted: nobody needs an old address."""

    kind: Literal["donor.contact_changed"] = "donor.contact_changed"
    permission: ClassVar[Permission] = Permission.DONOR_REGISTER

    contact: str | None = MAYBE_COMMIT


class StatusChanged(_DonorEvent):
    """Living, deceased or unreachable. Death places a hold on use with it."""

    kind: Literal["donor.status_changed"] = "donor.status_changed"
    permission: ClassVar[Permission] = Permission.DONOR_REGISTER

    status: DonorStatus
    before: DonorStatus


class DeathRecorded(_DonorEvent):
    """The donor died. When and from whom the bank knows it is in the vault; `instruction`: what the person wanted then."""

    kind: Literal["donor.death_recorded"] = "donor.death_recorded"
    permission: ClassVar[Permission] = Permission.DONOR_REGISTER

    told: str = COMMIT
    document_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    instruction: OnDeath | None = None


class AgreementMade(_DonorEvent):
    """The donor signed an agreement about keeping their cells, between two days."""

    kind: Literal["donor.agreement_made"] = "donor.agreement_made"
    permission: ClassVar[Permission] = Permission.CONSENT_RECORD

    agreement: str = ID
    terms: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")
    document_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    begins_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    ends_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


class SafetyContactDeleted(_DonorEvent):
    """Nothing is left that could need to reach the person for safety: how to do so was deleted."""

    kind: Literal["donor.safety_contact_deleted"] = "donor.safety_contact_deleted"


class AllergyRecorded(_DonorEvent):
    """An allergy to a residue of processing was recorded, or taken back. What it says is in the vault."""

    kind: Literal["donor.allergy_recorded"] = "donor.allergy_recorded"
    permission: ClassVar[Permission] = Permission.CONSENT_RECORD

    told: str = COMMIT


class IdentityRead(_DonorEvent):
    """Somebody looked at who the donor is."""

    kind: Literal["donor.identity_read"] = "donor.identity_read"
    permission: ClassVar[Permission] = Permission.IDENTITY_READ

    identity: str = COMMIT


class WordsRead(_DonorEvent):
    """Somebody read words about the donor that the vault keeps. `what` they say."""

    kind: Literal["donor.words_read"] = "donor.words_read"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_READ

    what: Literal["indication", "notification_plan", "death", "safety_contact", "representative", "remark", "figure"]
    about: str = CODE
    words: str = COMMIT


class ConsentGiven(_DonorEvent):
    """The person agreed to something, on a form that is kept."""

    kind: Literal["donor.consent_given"] = "donor.consent_given"
    permission: ClassVar[Permission] = Permission.CONSENT_RECORD

    consent: str = ID
    consent_kind: ConsentKind
    form_version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")
    document_sha256: FileHash
    given_at: str = WHEN
    witnessed_by: str = CODE
    tissues: tuple[Tissue, ...] | None = None
    valid_until: str | None = MAYBE_WHEN
    on_death: OnDeath | None = None
    at_end_of_term: AtEndOfTerm | None = None
    representative: str | None = MAYBE_COMMIT


class ConsentRevoked(_DonorEvent):
    """The person took a consent back. It counts from now; what happened before stays lawful."""

    kind: Literal["donor.consent_revoked"] = "donor.consent_revoked"
    permission: ClassVar[Permission] = Permission.CONSENT_RECORD

    consent: str = ID
    consent_kind: ConsentKind
    given: str = HASH
    revoked_at: str = WHEN


class IdentificationStarted(_DonorEvent):
    """The first of two people recorded what the patient stated; it agreed with the vault."""

    kind: Literal["donor.identification_started"] = "donor.identification_started"
    permission: ClassVar[Permission] = Permission.DONOR_IDENTIFY

    identification: str = ID
    purpose: Purpose
    kit: str | None = Field(default=None, pattern=r"^KT-[0-9A-Z]{7}$")
    identifiers: tuple[IdentifierKind, ...]
    stated: str = COMMIT
    document_kind: DocumentKind


class Identified(_DonorEvent):
    """The second person asked the patient again and recorded the same; the identification is good for this visit."""

    kind: Literal["donor.identified"] = "donor.identified"
    permission: ClassVar[Permission] = Permission.DONOR_IDENTIFY

    identification: str = ID
    purpose: Purpose
    kit: str | None = Field(default=None, pattern=r"^KT-[0-9A-Z]{7}$")
    identifiers: tuple[IdentifierKind, ...]
    stated: str = COMMIT
    document_kind: DocumentKind
    first_by: str = CODE
    valid_until: str = WHEN


class IdentityMismatched(_DonorEvent):
    """What the patient stated is not what the vault holds. An identity hold comes with it."""

    kind: Literal["donor.identity_mismatched"] = "donor.identity_mismatched"
    permission: ClassVar[Permission] = Permission.DONOR_IDENTIFY

    identification: str = ID
    step: Literal["first", "second"]
    purpose: Purpose
    differing: tuple[IdentifierKind, ...]
    stated: str = COMMIT


class WristbandIssued(_DonorEvent):
    """A band was put on the patient's wrist."""

    kind: Literal["donor.wristband_issued"] = "donor.wristband_issued"
    permission: ClassVar[Permission] = Permission.DONOR_IDENTIFY

    wristband: str = Field(pattern=r"^WB-[0-9A-Z]{7}$")
    identification: str = ID
    expires_at: str = WHEN


class WristbandVoided(_DonorEvent):
    """A band counts no more."""

    kind: Literal["donor.wristband_voided"] = "donor.wristband_voided"
    permission: ClassVar[Permission] = Permission.DONOR_IDENTIFY

    wristband: str = Field(pattern=r"^WB-[0-9A-Z]{7}$")
    reason: Literal["replaced", "expired", "damaged", "removed", "discharged", "identity_mismatch", "identity_changed", "erased"]


class ContactErased(_DonorEvent):
    """The person asked to be erased; contact and free text went at once, the rest must stay for now."""

    kind: Literal["donor.contact_erased"] = "donor.contact_erased"
    permission: ClassVar[Permission] = Permission.DONOR_ERASE

    documents: int = Field(ge=0, le=10**6, description="Vault documents deleted.")
    safety_contact: bool = Field(default=False, description="How to reach the person for safety stays, for that alone.")
    because: tuple[str, ...] = Field(description="Coded reasons why the rest stays.")
    earliest_on: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")


class Erased(_DonorEvent):
    """The person is forgotten: key destroyed, documents and index rows deleted. The traceability set stays, nameless."""

    kind: Literal["donor.erased"] = "donor.erased"
    permission: ClassVar[Permission] = Permission.DONOR_ERASE

    documents: int = Field(ge=0, le=10**6, description="Vault documents deleted.")
    reason: str = REASON
    first_by: str = CODE
    signatures: tuple[str, str]


class ErasureReplayed(_DonorEvent):
    """The bank was restored from before an erasure; it was done again, because the key is gone for good."""

    kind: Literal["donor.erasure_replayed"] = "donor.erasure_replayed"

    documents: int = Field(ge=0, le=10**6, description="Vault documents deleted.")
    destroyed_at: str = WHEN
