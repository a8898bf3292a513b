"""Wire shapes of a visit: identification by two people, and the wristband that stands for it."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from biobank.custody.recording import Circumstances, scans_alone
from biobank.donors.events import DocumentKind, IdentifierKind, Purpose
from biobank.donors.schemas import BirthDate, ExternalId, FormerName, Recorded, SiteCode, StrictModel

KitCode = Annotated[str, Field(pattern=r"^KT-[0-9A-Z]{7}$")]


class Stated(StrictModel):
    """What the patient says when asked openly ("what is your name?", never "are you …?"). Two or more of them."""

    name: FormerName | None = None
    date_of_birth: BirthDate | None = None
    external_id: ExternalId | None = None

    @property
    def kinds(self) -> tuple[IdentifierKind, ...]:
        """The kinds of identifiers that were stated."""
        kinds: tuple[IdentifierKind, ...] = ("name", "date_of_birth", "external_id")
        return tuple(kind for kind in kinds if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _two(self) -> Self:
        if len(self.kinds) < 2:
            raise ValueError("the patient states two identifiers")
        return self


class Identify(Circumstances):
    """One person's half of an identification. The second sends the same with `pending`, from a login of their own."""

    purpose: Purpose
    kit: KitCode | None = None
    site: SiteCode | None = Field(default=None, description="Where; default the donor's clinic.")
    stated: Stated
    document_kind: DocumentKind
    pending: UUID | None = Field(default=None, description="The first person's identification.")
    checked: bool = Field(
        default=False,
        description="What was typed differed, was checked with the patient, and is what they say. Only then a difference holds.",
    )

    @model_validator(mode="after")
    def _for_oneself(self) -> Self:
        scans_alone(self)
        return self

    @model_validator(mode="after")
    def _kit_for_harvest(self) -> Self:
        if (self.purpose == "harvest") != (self.kit is not None):
            raise ValueError("a kit is bound at harvest, and only there")
        return self


class IdentificationRecorded(Recorded):
    """Half or all of an identification."""

    identification: UUID
    state: Literal["pending", "completed"]
    purpose: Purpose
    identifiers: list[IdentifierKind]
    expires_at: AwareDatetime = Field(description="Pending: the second person's time. Completed: the end of this visit.")


class IssueWristband(Circumstances):
    """Put a band on the patient who was just identified."""

    identification: UUID


class VoidWristband(Circumstances):
    """Take a band out of force."""

    reason: Literal["damaged", "removed", "discharged"]


class WristbandRecorded(Recorded):
    """The answer to issuing or voiding a band."""

    wristband: str
    replaced: str | None = None
    expires_at: AwareDatetime
