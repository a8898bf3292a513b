"""Wire shapes of donors. Requests may carry personal data; answers carry codes only, except the one that shows identity."""

from datetime import date, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import Badge, Circumstances
from biobank.custody.schemas import EventReceipt
from biobank.donors.events import AtEndOfTerm, ConsentKind, OnDeath, Tissue
from biobank.donors.names import normalise, tidy
from biobank.foundation import clock
from biobank.foundation.kept_files import FileHash
from biobank.foundation.paging import Listed

OLDEST_BIRTH = date(1880, 1, 1)
OLDEST_PAPER_YEAR = 1950
"""No consent, agreement or report of a person of this bank is older."""
LAST_YEAR = 2200

SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
Sex = Literal["female", "male", "other", "unknown"]


def _with_letters(text: str) -> str:
    if not normalise(text):
        raise ValueError("holds no letter and no digit")
    return text


def _birth(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("is no day of the calendar") from None
    # A day's grace: it may already be tomorrow where the patient was born.
    if not OLDEST_BIRTH <= day <= clock.now().date() + timedelta(days=1):
        raise ValueError("lies in the future or before 1880")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(tidy), AfterValidator(_with_letters)]
Words = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(tidy)]
BirthDate = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", json_schema_extra={"format": "date"}), AfterValidator(_birth)]


class StrictModel(BaseModel):
    """A part of a request: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class FormerName(StrictModel):
    """A name the person bore before."""

    family_name: Name
    given_names: Name | None = None


class ExternalId(StrictModel):
    """An identifier that someone else gave: a hospital's record number, a national number."""

    issuer: str = Field(pattern=r"^[A-Z0-9][A-Z0-9_.-]{0,39}$", description="Who gave it, e.g. `CITY-HOSPITAL`.")
    value: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(tidy), AfterValidator(_with_letters)]


class Contact(StrictModel):
    """How to reach the person. Kept apart from identity, because it may go first."""

    phone: str | None = Field(default=None, pattern=r"^\+?[0-9][0-9 ()/.-]{2,38}$")
    email: Annotated[str, Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,190}$"), AfterValidator(tidy)] | None = None
    address: Words | None = None


class RegisterDonor(Circumstances):
    """A person who becomes a donor."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "clinic_site": "CLINIC",
                    "family_name": "Example",
                    "given_names": "Ada",
                    "date_of_birth": "1980-02-29",
                    "external_ids": [{"issuer": "CITY-HOSPITAL", "value": "MRN 12345"}],
                    "contact": {"phone": "+44 20 7946 0000"},
                }
            ]
        }
    )

    clinic_site: SiteCode
    family_name: Name
    given_names: Name | None = Field(default=None, description="Leave out for a person with one name.")
    date_of_birth: BirthDate
    sex: Sex = "unknown"
    former_names: list[FormerName] = Field(default_factory=list, max_length=10)
    external_ids: list[ExternalId] = Field(default_factory=list, max_length=10)
    contact: Contact | None = None


class NewIdentity(Circumstances):
    """What is new of who a person is; members left out stay."""

    family_name: Name | None = None
    given_names: Name | None = None
    date_of_birth: BirthDate | None = None
    sex: Sex | None = None
    external_ids: list[ExternalId] | None = Field(default=None, max_length=10)
    reason: Literal["marriage", "divorce", "legal_change", "correction", "other"] = Field(
        default="other", description="Why the identity changes. After anything but a correction the old name stays searchable."
    )


class ChangeDonor(NewIdentity):
    """What to change; members left out stay. `contact: null` deletes the contact."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"family_name": "Beispiel", "reason": "marriage"}]})

    contact: Contact | None = None
    status: Literal["living", "unreachable"] | None = Field(
        default=None, description="A death is entered with its date and source, by itself."
    )

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        given = self.model_fields_set & CHANGEABLE
        if not given:
            raise ValueError("nothing to change")
        for name in given - {"given_names", "contact"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name.replace('_', ' ')} cannot be taken away, only changed")
        return self


CHANGEABLE = frozenset({"family_name", "given_names", "date_of_birth", "sex", "external_ids", "contact", "status"})


class LookAlikePublic(BaseModel):
    """Another donor who could be taken for this one: the code and why, never a name."""

    donor: str
    reasons: list[str]


class Recorded(BaseModel):
    """What every act on a donor answers: the events that now stand and our signature under them."""

    donor: str
    events: list[EventReceipt]
    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) naming every event above.")


class DonorRecorded(Recorded):
    """The answer to a registration or a change. Read `look_alikes` before going on."""

    status: str
    look_alikes: list[LookAlikePublic] = Field(description="Donors you may see who could be taken for this one.")
    look_alikes_elsewhere: int = Field(description="How many more there are at sites you have no part in.")


class ConsentPublic(BaseModel):
    """A consent of a donor."""

    id: UUID
    kind: ConsentKind
    form_version: str
    document_sha256: str
    given_at: AwareDatetime
    witnessed_by: str
    tissues: list[Tissue] | None
    valid_until: AwareDatetime | None
    on_death: OnDeath | None
    at_end_of_term: AtEndOfTerm | None
    revoked_at: AwareDatetime | None
    taken_back_at: AwareDatetime | None = Field(
        description="Revoked itself, or with another consent of its kind that was revoked after this one was given."
    )
    in_force: bool


class HoldPublic(BaseModel):
    """An active hold on everything of a donor."""

    id: UUID
    kind: str
    blocks: list[str]
    reason: str
    placed_at: AwareDatetime


class BandPublic(BaseModel):
    """A wristband."""

    wristband: str
    donor: str
    site: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    voided_at: AwareDatetime | None
    void_reason: str | None
    in_force: bool


class DonorSummary(BaseModel):
    """A donor in a list: pseudonymous."""

    donor: str
    clinic_site: str
    status: str
    kept_apart: bool = Field(default=False, description="Everything of the donor stands in isolated places only.")
    created_at: AwareDatetime


class DonorList(Listed[DonorSummary]):
    """Donors by code."""


class HarvestLeftPublic(BaseModel):
    """A harvest that was on this record and turned out to be another person's."""

    harvest: str
    at: AwareDatetime


class DonorPublic(DonorSummary):
    """A donor without identity: consents, holds, band in force, look-alikes."""

    consents: list[ConsentPublic]
    holds: list[HoldPublic]
    wristband: BandPublic | None
    look_alikes: list[LookAlikePublic]
    look_alikes_elsewhere: int
    safety_contact: bool = Field(description="How to reach a person who asked to be forgotten is kept, for safety alone.")
    also: list[str] = Field(description="Codes of records that were merged into this one. They lead here.")
    left: list[HarvestLeftPublic]


class IdentityPublic(BaseModel):
    """Who the donor is. Asking is recorded on the donor's stream."""

    donor: str
    family_name: str
    given_names: str | None
    date_of_birth: str
    sex: str
    former_names: list[FormerName]
    external_ids: list[ExternalId]
    contact: Contact | None


class SearchDonors(StrictModel):
    """What is known of a person. Everything given must match. In a body, because addresses end up in logs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada Example", "date_of_birth": "1980-02-29"}]})

    name: Name | None = Field(default=None, description="Any of the person's names, in any order, present or former.")
    date_of_birth: BirthDate | None = None
    external_id: ExternalId | None = None

    @model_validator(mode="after")
    def _something_to_find(self) -> Self:
        if self.name is None and self.date_of_birth is None and self.external_id is None:
            raise ValueError("give a name, a date of birth or an external identifier")
        return self


class Match(BaseModel):
    """A donor found; `exact` is false when only the beginning or the sound of a name agrees."""

    donor: str
    clinic_site: str
    status: str
    exact: bool


class MatchList(BaseModel):
    """Donors found, exact matches first."""

    items: list[Match]
    next: None = None
    more: bool = Field(description="There are more than are shown: say more about the person.")


class GiveConsent(Circumstances):
    """A consent on a signed form. The form itself is kept elsewhere; its hash ties it to the record."""

    kind: ConsentKind
    form_version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")
    document_sha256: FileHash
    given_at: AwareDatetime
    witnessed_by: Badge
    tissues: list[Tissue] | None = Field(default=None, min_length=1, max_length=3, description="What it covers; default all.")
    valid_until: AwareDatetime | None = None
    on_death: OnDeath | None = None
    at_end_of_term: AtEndOfTerm | None = None
    representative: Words | None = Field(default=None, description="Who may speak for the person. Kept in the vault.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        end_of_life = self.on_death is not None and self.at_end_of_term is not None
        if (self.kind == "death_and_end_of_term") != end_of_life or (self.on_death is None) != (self.at_end_of_term is None):
            raise ValueError(
                "what happens after death and at the end of the term is said in a consent for death and end of term, both of them"
            )
        if (self.kind == "representative") != (self.representative is not None):
            raise ValueError("representative belongs to the kind representative")
        if not OLDEST_PAPER_YEAR <= self.given_at.year < LAST_YEAR:
            raise ValueError("the day on which it was given cannot be right")
        if self.valid_until is not None and not (self.given_at < self.valid_until and self.valid_until.year < LAST_YEAR):
            raise ValueError("it ends before it was given, or on a day that cannot be right")
        return self


class RevokeConsent(Circumstances):
    """The person takes a consent back."""


class ConsentRecorded(Recorded):
    """The answer to a consent or its revocation."""

    consent: UUID
    kind: ConsentKind


class EraseDonor(StrictModel):
    """Forget the person. Two people of quality sign the same request; the second adds `pending_act`."""

    reason: Literal["asked_by_donor", "end_of_retention", "registered_in_error"]
    signature: str | None = Field(default=None, min_length=1, max_length=200)
    pending_act: UUID | None = None


class ErasureOutlook(BaseModel):
    """What an erasure would do today."""

    donor: str
    everything_goes: bool
    earliest_on: date | None = Field(description="First day on which everything may go; null: cannot be known yet, or today.")
    because: list[str] = Field(description="Coded reasons why the rest must stay.")
    sentence: str
