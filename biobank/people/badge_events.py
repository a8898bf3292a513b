"""Events of signing in by badge: stations on the stream of their workstation, PINs on their owner's. No secret is in them."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind
from biobank.people.events import SITE

STATION = Field(pattern=r"^[0-9a-f-]{36}$", description="The browser that was enrolled.")


class StationEnrolled(Event):
    """A browser was enrolled at a workstation: people sign in there by badge and PIN."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.station_enrolled"] = "system.station_enrolled"
    permission: ClassVar[Permission] = Permission.SITE_MANAGE

    station: str = STATION
    site: str = SITE


class StationEnded(Event):
    """Nobody signs in by badge there any more. `copied`: its cookie was shown by two browsers, which ended it by itself."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.station_ended"] = "system.station_ended"

    station: str = STATION
    site: str = SITE
    because: Literal["retired", "copied"]


class UserPinSet(Event):
    """The owner chose a PIN for their badge."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.pin_set"] = "user.pin_set"


class UserPinCleared(Event):
    """The PIN of the badge is gone, and whoever was signed in with it."""

    stream: ClassVar[StreamKind] = StreamKind.USER
    kind: Literal["user.pin_cleared"] = "user.pin_cleared"

    because: Literal["owner", "password_reset"]
