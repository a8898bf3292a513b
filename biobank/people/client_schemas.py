"""Wire shapes of API clients."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from biobank.auth.permissions import ClientScope
from biobank.foundation.paging import Listed
from biobank.people.schemas import Reason, SiteCode, Token


def _each_once(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("names one twice")
    return values


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MakeClient(_Body):
    """A program that is to call the bank. It has no key before two people grant one. What it may do never changes."""

    name: Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    scopes: Annotated[list[ClientScope], AfterValidator(_each_once), Field(min_length=1, description="What it may do.")]
    sites: Annotated[
        list[SiteCode],
        AfterValidator(_each_once),
        Field(default_factory=list, max_length=50, description="Where; none: at every site."),
    ]
    valid_days: int = Field(ge=1, le=366, description="How long a key of it counts, from when it is drawn.")


class GrantClientKey(_Body):
    """Administration proposes, quality completes with `pending_act`; both sign `decided`."""

    signature: Token | None = None
    pending_act: UUID | None = None


class RevokeClient(_Body):
    """Why nothing is to open any more."""

    reason: Reason


class ClientPublic(BaseModel):
    """An API client. `key_start`: the first characters of its key, to tell it by."""

    code: str
    name: str
    state: Literal["without_key", "in_use", "expired", "revoked"]
    scopes: list[ClientScope]
    sites: list[str]
    valid_days: int
    made_by: str
    made_at: AwareDatetime
    key_start: str | None
    keyed_at: AwareDatetime | None
    expires_at: AwareDatetime | None
    key_for: str | None = Field(description="Who may draw a key that was granted.")
    key_until: AwareDatetime | None
    last_used_at: AwareDatetime | None = Field(description="To the minute.")
    calls: int = Field(description="Calls with its keys, written down once a minute.")
    revoked_at: AwareDatetime | None


class ClientList(Listed[ClientPublic]):
    """API clients, the latest first."""


class ClientAnswer(ClientPublic):
    """A client as it stands now, with our signature under what was recorded."""

    status: Literal["done"] = "done"
    receipt: str


class DrawnClientKey(BaseModel):
    """A key, shown this once."""

    code: str
    name: str
    key: str
    expires_at: AwareDatetime
    receipt: str
