"""How a login comes to its personal key: an enrolment that two people open, and the password that its owner chooses."""

from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.personal_signature import vouch
from biobank.auth import personal_keys
from biobank.auth.passwords import Hashed
from biobank.auth.second_factor import SECRET
from biobank.people.events import UserEnrolmentOpened, UserPersonalKeySet


def open_enrolment(session: Session, act: Act, code: str, people: dict[str, str]) -> UserEnrolmentOpened:
    """End the personal key of a login, make what vouches for the next one, and return its event, by the same `people`."""
    personal_keys.end_key(session, code, act.at)
    pair = personal_keys.new_key()
    personal_keys.keep_enrolment(session, code, pair, act.bank.secrets_of(SECRET))
    return UserEnrolmentOpened(enrolment=personal_keys.public_of(pair).hex(), **people)


def key_after(session: Session, act: Act, row: Any, fresh: Hashed, present: bytes | None) -> UserPersonalKeySet | None:
    """Let the password that the owner of a locked row chose unlock their key, and no other; return the event of a new key.

    `present`: what the password before unlocks with. A login that nobody enrolled since there are keys has none.
    """
    if not row.must_change_password:
        if present is not None:
            personal_keys.rewrap(session, row.code, present, fresh.unlocks)
        return None
    if row.enrolment is None:
        return None
    enrolment = personal_keys.take_enrolment(session, row.code, bytes(row.enrolment), act.bank.secrets_of(SECRET))
    key = personal_keys.new_key()
    personal_keys.keep_key(session, row.code, key, fresh.unlocks, act.at)
    return UserPersonalKeySet(**vouch(enrolment, row.code, personal_keys.public_of(key)))
