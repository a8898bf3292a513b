"""Wire shapes of logins, roles and sites."""

import unicodedata
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from biobank.auth.permissions import Role
from biobank.auth.schemas import SECRET
from biobank.custody.schemas import EventReceipt
from biobank.foundation.paging import Listed

UserCode = Annotated[str, Field(pattern=r"^US-[0-9A-Z]{7}$")]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
Reason = Annotated[str, Field(pattern=r"^[a-z0-9_]{2,40}$", description="A coded reason, e.g. `left_the_bank`.")]
Token = Annotated[str, Field(min_length=1, max_length=200, description="A signature from POST /signatures.")]
TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$", description="IANA name, e.g. `Europe/London`.")]


def _one_line(value: str) -> str:
    """Bring a name to NFC without control characters or spaces at its ends; what remains must not be empty."""
    plain = unicodedata.normalize("NFC", value).strip()
    if not plain or any(unicodedata.category(c) in {"Cc", "Cn", "Cs", "Co", "Zl", "Zp"} for c in plain):
        raise ValueError("must be one line of visible characters")
    return plain


Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserCreate(_Body):
    """A new login. The first password is sent by the administrator, handed over in person and changed at the first sign-in."""

    username: str = Field(pattern=r"^[a-z][a-z0-9._-]{1,39}$")
    printed_name: Name = Field(description="As it is printed under signatures. Kept in the vault.")
    password: str = SECRET


class UserChange(_Body):
    """One change of a login: its printed name, or whether it is open (then say why in `reason`).

    Opening one that co-signs roles takes two people: then `signature`, and `pending_act` the second time.
    """

    printed_name: Name | None = None
    active: bool | None = None
    reason: Reason | None = None
    signature: Token | None = None
    pending_act: UUID | None = None


class PasswordReset(_Body):
    """A new first password. For a login that co-signs roles it takes two people; the second one's password is the one set."""

    password: str = SECRET
    signature: Token | None = None
    pending_act: UUID | None = None


class RoleChange(_Body):
    """A role to give or to take. An administrator proposes, quality completes with `pending_act`; both sign `role_change`."""

    role: Role
    site: SiteCode | None = Field(default=None, description="Null: everywhere.")
    signature: Token | None = None
    pending_act: UUID | None = None


class Done(BaseModel):
    """What was recorded about a login, with our signature under it."""

    status: Literal["done"] = "done"
    code: str
    events: list[EventReceipt]
    receipt: str


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
    name: Name
    kind: Literal["bank", "clinic"]
    timezone: TimeZone


class SiteChange(_Body):
    """Changes of a site; what is absent stays."""

    name: Name | None = None
    timezone: TimeZone | None = None
    active: bool | None = None


class SitePublic(BaseModel):
    """A place of work."""

    code: str
    name: str
    kind: Literal["bank", "clinic"]
    timezone: str
    active: bool


class SiteList(Listed[SitePublic]):
    """Sites by code."""


class SiteRecorded(BaseModel):
    """A site as it stands now, and what was recorded."""

    site: SitePublic
    events: list[EventReceipt]
    receipt: str
