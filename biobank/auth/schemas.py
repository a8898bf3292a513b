"""Wire shapes of signing in."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from biobank.auth.passwords import MAXIMUM_LENGTH

SECRET = Field(min_length=1, max_length=MAXIMUM_LENGTH)
SECOND = Field(
    default=None,
    max_length=8000,
    description="Where the login has one: the six digits of its app, or a passkey's answer, as the JSON that a browser gives.",
)


class PasswordGrant(BaseModel):
    """The OAuth2 password form (RFC 6749 §4.3.2). `scope` and the client's name are accepted and mean nothing here."""

    model_config = ConfigDict(extra="forbid")

    grant_type: Literal["password"] = "password"
    username: str = Field(min_length=1, max_length=100)
    password: str = SECRET
    second_factor: str | None = SECOND
    scope: str = Field(default="", max_length=500)
    client_id: str | None = Field(default=None, max_length=200)
    client_secret: str | None = Field(default=None, max_length=200)


class RefreshRequest(BaseModel):
    """A refresh token to be exchanged."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str = Field(min_length=20, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")


class TokenAnswer(BaseModel):
    """An access token, and a refresh token that works once."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a word of RFC 6749, no secret
    expires_in: int = Field(description="Life of the access token, seconds.")
    refresh_token: str
    refresh_expires_in: int = Field(description="What is left of the session, seconds; then sign in again.")
    must_change_password: bool = Field(description="Nothing but POST /auth/password works until the first password is changed.")


class PasswordChange(BaseModel):
    """The present password and the one that replaces it."""

    model_config = ConfigDict(extra="forbid")

    password: str = SECRET
    second_factor: str | None = SECOND
    new_password: str = SECRET


class OwnProof(BaseModel):
    """Who changes what their login rests on proves again who they are."""

    model_config = ConfigDict(extra="forbid")

    password: str = SECRET
    second_factor: str | None = SECOND


class FactorCode(BaseModel):
    """A code of the app that is being set up."""

    model_config = ConfigDict(extra="forbid")

    second_factor: str = Field(min_length=1, max_length=20)


class FactorBegun(BaseModel):
    """What an authenticator app needs, shown this once. It counts when a code of it was sent to `/auth/second-factor/confirm`."""

    secret: str
    address: str = Field(description="`otpauth://…`, for a QR code.")


class PasskeyQuestion(BaseModel):
    """What a passkey is asked: it answers once, within five minutes."""

    challenge: str = Field(description="Base64url.")
    site: str = Field(description="The site that passkeys are made for (`rpId`).")


class NewPasskey(OwnProof):
    """A passkey to be added: what the browser made of it, as JSON text."""

    credential: str = Field(min_length=2, max_length=20_000)


class PasskeyPublic(BaseModel):
    """A passkey of yours."""

    id: UUID
    created_at: datetime
    last_used_at: datetime | None = None


class PasskeyList(BaseModel):
    """Your passkeys, the oldest first."""

    items: list[PasskeyPublic]


class SessionPublic(BaseModel):
    """One sign-in of yours that is still open."""

    id: UUID
    kind: Literal["page", "token"] = Field(description="`page`: a browser; `token`: a program.")
    this_one: bool
    station: str | None = Field(default=None, description="The workstation, of a sign-in by badge and PIN.")
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionList(BaseModel):
    """Your open sign-ins, the last used first."""

    items: list[SessionPublic]


class SessionsEnded(BaseModel):
    """How many sign-ins were ended."""

    ended: int
