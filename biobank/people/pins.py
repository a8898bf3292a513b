"""The PIN of one's badge: set and cleared by its owner at a full sign-in, and cleared with what else opens a login."""

from typing import Literal

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth import pins
from biobank.auth.passwords import Hashed
from biobank.auth.second_factor import SECRET
from biobank.auth.stations import end_badge_sessions_of
from biobank.custody.ledger import Appended
from biobank.people.badge_events import UserPinCleared, UserPinSet
from biobank.people.credentials import record_about, record_credentials
from biobank.people.queries import get_user

Because = Literal["owner", "password_reset"]


def set_pin(session: Session, act: Act, hashed: Hashed) -> None:
    """Keep the PIN of the actor, whose password and second factor were just proved; who is signed in by badge is signed out."""
    code = act.actor.code
    get_user(session, act.actor, code, lock=True)
    pins.keep_pin(session, act.bank.secrets_of(SECRET), code, hashed.stored, act.at)
    end_badge_sessions_of(session, code, act.at, because="pin_set")
    record_about(session, act, code, UserPinSet())
    record_credentials(session, act, code)


def clear_pin(session: Session, act: Act) -> None:
    """Take the actor's PIN away. Raises NoPin."""
    code = act.actor.code
    get_user(session, act.actor, code, lock=True)
    if not drop_pin(session, act, code, because="owner"):
        raise pins.NoPin("Your badge has no PIN.")
    record_credentials(session, act, code)


def drop_pin(session: Session, act: Act, code: str, *, because: Because) -> list[Appended]:
    """Take the PIN of a locked login away, if it has one, and end who is signed in with it; return what was appended.

    What opens the login has changed then: the caller records it (`record_credentials`).
    """
    if not pins.remove_pin(session, code):
        return []
    end_badge_sessions_of(session, code, act.at, because="pin_cleared")
    return record_about(session, act, code, UserPinCleared(because=because))
