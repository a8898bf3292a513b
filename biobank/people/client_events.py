"""What happens to API clients. Streams: their code. Of a key the log knows only that it was drawn, and until when it counts."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import ClientScope, Permission
from biobank.custody.event import Event
from biobank.custody.events import REASON
from biobank.custody.states import StreamKind
from biobank.people.events import TwoPeople

CLIENT = Field(pattern=r"^AC-[0-9A-Z]{7}$")
VALID_DAYS = Field(ge=1, le=366)


class ClientMade(Event):
    """A program got an account. It has no key, so nothing opens yet. `sites` empty: everywhere."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.client_made"] = "system.client_made"
    permission: ClassVar[Permission] = Permission.USER_MANAGE

    client: str = CLIENT
    scopes: tuple[ClientScope, ...]
    sites: tuple[str, ...]
    valid_days: int = VALID_DAYS


class ClientKeyGranted(TwoPeople):
    """Administration and quality agreed that a new key is drawn, with which the client may do this.

    The one before works until then.
    """

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.client_key_granted"] = "system.client_key_granted"
    permission: ClassVar[Permission] = Permission.ROLE_COSIGN

    client: str = CLIENT
    scopes: tuple[ClientScope, ...]
    sites: tuple[str, ...]
    valid_days: int = VALID_DAYS


class ClientKeyDrawn(Event):
    """The new key was shown, once, and is the only one of this client that works, until its end."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.client_key_drawn"] = "system.client_key_drawn"
    permission: ClassVar[Permission] = Permission.ROLE_COSIGN

    client: str = CLIENT
    scopes: tuple[ClientScope, ...]
    sites: tuple[str, ...]
    valid_days: int = VALID_DAYS
    expires_at: str


class ClientRevoked(Event):
    """The account is over: its key opens nothing any more, from the next call on."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.client_revoked"] = "system.client_revoked"

    client: str = CLIENT
    reason: str = REASON
