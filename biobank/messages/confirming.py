"""A person's own address is confirmed by a code that is mailed to it, before anything else is.

The code is kept nowhere: it follows from a secret of the bank, the address and when it was asked for. Whoever types an address
that is not theirs sends one mail there, a few a day at most, and learns nothing.
"""

import hmac
from datetime import datetime, timedelta
from typing import ClassVar, Final
from uuid import uuid4

from sqlalchemy import func, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.models import site, user_role
from biobank.foundation.errors import Conflict, TooManyAttempts
from biobank.messages.kinds import CONFIRM
from biobank.messages.models import message

GOOD_FOR: Final = timedelta(hours=24)
MOST_WRONG: Final = 5
ANEW_AFTER: Final = timedelta(minutes=10)
MOST_A_DAY: Final = 5
"""Mails with a code that one person has sent in a day, to whatever addresses. These numbers are ours, not from a source."""


class AddressCodeWrong(Conflict):
    """The code is not the one that was mailed to the address, or it is too old."""

    code: ClassVar[str] = "address_code_wrong"
    title: ClassVar[str] = "Not the code of this address"


class TooManyAddressCodes(TooManyAttempts):
    """Several codes were mailed for this person within a day."""

    code: ClassVar[str] = "too_many_address_codes"
    title: ClassVar[str] = "Enough codes for today"


def code_for(bank: Bank, user: str, address: bytes, asked_at: datetime) -> str:
    """Return the eight digits that confirm an address (its commitment) of a person, asked for at an instant."""
    said = f"biobank address {user} {address.hex()} {asked_at.timestamp():.6f}"
    made = hmac.digest(bank.secret("digests"), said.encode(), "sha256")
    return f"{int.from_bytes(made[:8]) % 10**8:08d}"


def is_code(bank: Bank, user: str, address: bytes, asked_at: datetime, typed: str) -> bool:
    """Say whether what was typed is the code, with blanks in it or not."""
    return hmac.compare_digest(code_for(bank, user, address, asked_at).encode(), typed.replace(" ", "").encode())


def mail_code(session: Session, act: Act) -> None:
    """Write down the message that carries a code made now. Raises TooManyAddressCodes."""
    if act.bank.settings.smtp_server is None:
        return
    mine = message.c.user_code == act.actor.code, message.c.kind == CONFIRM, message.c.made_at > act.at - timedelta(days=1)
    if session.execute(select(func.count()).select_from(message).where(*mine)).scalar_one() >= MOST_A_DAY:
        raise TooManyAddressCodes(
            f"{MOST_A_DAY} codes were mailed for you within a day. Look into that mailbox, or try again tomorrow."
        )
    works_at = select(func.min(user_role.c.site_code)).where(user_role.c.user_code == act.actor.code)
    where = session.execute(select(func.coalesce(works_at.scalar_subquery(), func.min(site.c.code)))).scalar_one()
    said = {"id": uuid4(), "user_code": act.actor.code, "kind": CONFIRM, "site_code": where, "daily": False}
    session.execute(insert(message).values(**said, made_at=act.at, due_at=act.at))
