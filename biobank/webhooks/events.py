"""What happens to subscriptions of other systems. Streams: their code. Of an address the log knows the host and a hash."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind
from biobank.people.events import TwoPeople

WEBHOOK = Field(pattern=r"^WH-[0-9A-Z]{7}$")
HASH = Field(pattern=r"^[0-9a-f]{64}$")


class WebhookMade(Event):
    """Somebody asked that events go to another system. Nothing is sent before two people open it."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_made"] = "system.webhook_made"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK
    host: str = Field(min_length=1, max_length=260)
    address_sha256: str = HASH
    kinds: tuple[str, ...]
    sites: tuple[str, ...]
    from_beginning: bool


class WebhookOpened(TwoPeople):
    """Two people agreed that these events go to this system. Whoever completed it owns it: their rights bound what is sent."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_opened"] = "system.webhook_opened"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK
    log_place: int = Field(ge=0)


class WebhookSecretMade(Event):
    """A new secret was shown, once; it signs from now on. The one before signs too for a day, unless it was ended at once."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_secret_made"] = "system.webhook_secret_made"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK
    number: int = Field(ge=1)
    former_ended: bool
    salt_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Of the salt that the secret follows from."
    )

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 did not name the salt."""
        return {"salt_sha256": None} | payload


class WebhookStopped(Event):
    """Nothing is sent until it goes on: a person stopped it, the address said that it is gone, or its owner has no right left."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_stopped"] = "system.webhook_stopped"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK
    because: Literal["person", "gone", "owner"]


class WebhookResumed(Event):
    """It goes on where it stopped."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_resumed"] = "system.webhook_resumed"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK


class WebhookWithdrawn(Event):
    """It is over: nothing is sent to it any more."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_withdrawn"] = "system.webhook_withdrawn"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK


class WebhookLeftOut(Event):
    """What could not be delivered is given up: the other system will not have this entry, and its stream goes on without it."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.webhook_left_out"] = "system.webhook_left_out"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    webhook: str = WEBHOOK
    entry: str = HASH
