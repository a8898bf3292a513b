"""Wire shapes of logins, roles and sites."""

import unicodedata
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from biobank.auth.passwords import MAXIMUM_LENGTH
from biobank.auth.permissions import Role
from biobank.custody.recording import Circumstances
from biobank.custody.schemas import EventReceipt
from biobank.foundation.jurisdictions import Jurisdiction
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.names import AsSeen
from biobank.foundation.paging import Listed
from biobank.foundation.zones import TimeZone

UserCode = Annotated[str, Field(pattern=r"^US-[0-9A-Z]{7}$")]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
Reason = Annotated[str, CODED, FromList("people")]
Token = Annotated[str, Field(min_length=1, max_length=200, description="A signature from POST /signatures.")]


PASSWORD_OF_ANOTHER = Field(
    default=None,
    max_length=MAXIMUM_LENGTH,
    json_schema_extra={"deprecated": True},
    description="Refused: nobody sets another's password. The bank makes a one-time code.",
)


def _one_line(value: str) -> str:
    """Bring a name to NFC without control characters or spaces at its ends; what remains must not be empty."""
    plain = unicodedata.normalize("NFC", value).strip()
    if not plain or any(unicodedata.category(c) in {"Cc", "Cn", "Cs", "Co", "Zl", "Zp"} for c in plain):
        raise ValueError("must be one line of visible characters")
    return plain


Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]

SiteName = Annotated[Name, AsSeen]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserCreate(_Body):
    """A new login. Nothing opens it until its first role is signed by two people, which brings a one-time code."""

    username: str = Field(pattern=r"^[a-z][a-z0-9._-]{1,39}$")
    printed_name: Name = Field(description="As it is printed under signatures. Kept in the vault.")
    same_person_as: UserCode | None = Field(
        default=None, description="Another login of the same person: what was done with one counts for the other."
    )
    another_person: bool = Field(default=False, description="They bear the name of somebody who has a login already.")
    password: str | None = PASSWORD_OF_ANOTHER


class UserChange(_Body):
    """One change of a login: its printed name, whose it is, or whether it is open (then say why in `reason`).

    Opening one that co-signs roles takes two people, and so does taking a login from a person (`same_person_as` is its own
    code): then `signature`, and `pending_act` the second time.
    """

    printed_name: Name | None = None
    same_person_as: UserCode | None = Field(default=None, description="Another login of its owner, or itself: nobody else's.")
    active: bool | None = None
    reason: Reason | None = None
    signature: Token | None = None
    pending_act: UUID | None = None


class PasswordReset(_Body):
    """A one-time code for someone who lost their password: an administrator proposes, quality completes; both sign `approved`."""

    password: str | None = PASSWORD_OF_ANOTHER
    signature: Token | None = None
    pending_act: UUID | None = None


class RoleChange(_Body):
    """A role to give or to take. An administrator proposes, quality completes with `pending_act`; both sign `role_change`."""

    role: Role
    site: SiteCode | None = Field(default=None, description="Left out: everywhere.")
    signature: Token | None = None
    pending_act: UUID | None = None


class Slip(BaseModel):
    """A one-time code in two halves, each to be drawn once: `POST /slips/{id}/draw`."""

    id: UUID
    drawn_by: list[str] = Field(description="Who draws a half each: who proposed the act, and who completed it.")
    expires_at: datetime = Field(description="Drawn or not, the code opens nothing from then on.")


class Done(BaseModel):
    """What was recorded about a login, with our signature under it. `slip`: the act brought a one-time code."""

    status: Literal["done"] = "done"
    code: str
    events: list[EventReceipt]
    receipt: str
    slip: Slip | None = None


class DrawnSlip(BaseModel):
    """One half of a one-time code, shown this once. It goes to its owner in a sealed envelope, unread."""

    code: str
    username: str
    printed_name: str | None
    half: str
    other_half_by: str = Field(description="Whose half the owner needs beside this one.")
    expires_at: datetime


class GrantPublic(BaseModel):
    """A role at a site, or everywhere when `site` is null."""

    role: Role
    site: str | None


class UserPublic(BaseModel):
    """A login. `printed_name` is null after the person's data was erased."""

    code: str
    username: str
    printed_name: str | None
    active: bool
    must_change_password: bool
    person: str = Field(description="The first login of its owner: its own code when they have no other.")
    slip: UUID | None = Field(description="A half of a one-time code for its owner waits for you to draw it.")
    created_at: datetime
    roles: list[GrantPublic]


class UserList(Listed[UserPublic]):
    """Logins by badge code."""


class Me(BaseModel):
    """The one who is signed in."""

    code: str
    username: str
    printed_name: str | None
    must_change_password: bool
    roles: list[GrantPublic]
    permissions: list[str]


class SiteCreate(_Body):
    """A new place of work."""

    code: SiteCode
    name: SiteName
    kind: Literal["bank", "clinic"]
    timezone: TimeZone


class SiteChange(_Body):
    """Changes of a site; what is absent stays."""

    name: SiteName | None = None
    timezone: TimeZone | None = None
    active: bool | None = None


class SitePublic(BaseModel):
    """A place of work."""

    code: str
    name: str
    kind: Literal["bank", "clinic"]
    timezone: str
    active: bool
    jurisdiction: Jurisdiction | None = Field(description="Under whose law it works; null: nobody has said.")


class SiteList(Listed[SitePublic]):
    """Sites by code."""


class SiteRecorded(BaseModel):
    """A site as it stands now, and what was recorded."""

    site: SitePublic
    events: list[EventReceipt]
    receipt: str


class JurisdictionRequest(Circumstances):
    """Under whose law a site works. The second person sends the same with `pending_act`, where it was said otherwise before."""

    site: SiteCode
    jurisdiction: Jurisdiction
    signature: Annotated[str | None, Field(max_length=200, description="From POST /signatures, for this very request.")] = None
    pending_act: UUID | None = None


class JurisdictionStated(BaseModel):
    """Under whose law a site works, and our signature."""

    status: Literal["done"] = "done"
    site: str
    jurisdiction: Jurisdiction
    receipt: str
