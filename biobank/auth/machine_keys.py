"""Keys of accounts that are no person's: sensors and API clients. Two people grant one; the second of them draws it, once.

The table of such an account has `key_for` and `key_until`: who may draw a key that was granted, and until when.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from biobank.auth.actor import Actor
from biobank.foundation.errors import Conflict

KEY_BYTES: Final = 32
DRAWN_WITHIN: Final = timedelta(days=3)
"""As long as a one-time code of a login lives. Ours, not from a source."""
DRAWN: Final[dict[str, Any]] = {"key_for": None, "key_until": None}
"""What the row of an account holds once its key was drawn, or never will be."""


class NoKeyToDraw(Conflict):
    """There is no key that this person may draw: two people grant one, and the second draws it within three days."""

    code = "no_key_to_draw"
    title = "No key to draw"


def new_key(begins: str) -> str:
    """Return a fresh key of 256 random bits behind `begins`."""
    return begins + secrets.token_urlsafe(KEY_BYTES)


def granted_to(actor: Actor, at: datetime) -> dict[str, Any]:
    """Return what the row of an account holds once two people granted it a key: who completed that draws it."""
    return {"key_for": actor.code, "key_until": at + DRAWN_WITHIN}


def nothing_to_draw(actor: Actor, row: Any, at: datetime) -> list[NoKeyToDraw]:
    """Return why the actor does not draw the key of this account at `at`: none waits for them."""
    if row.key_for == actor.code and row.key_until > at:
        return []
    return [
        NoKeyToDraw(
            "No key waits for you here. Two people grant one; the second of them draws it, once, within three days.",
            subject=row.code,
        )
    ]
