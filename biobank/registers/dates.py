"""Which dates the registers take: nothing happens to a thing before its record begins, no term ends where nobody means it.

What is stated for now or later than now is bounded where every stated time is (`custody/recording.py: plausible_time`).
"""

from datetime import date, datetime, timedelta
from typing import Final

from sqlmodel import Session

from biobank.custody.chronology import require_existed
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict

FARTHEST: Final = timedelta(days=3660)
"""How far ahead a calibration may be due, and how far ahead and back a person may be authorised: ten years, ours."""
KEEPS: Final = timedelta(days=100 * 366)
"""How far from now an expiry may lie, either way: a hundred years, ours."""


class RegisterDate(Conflict):
    """The date cannot be: a term that is over before it begins, or so far away that nobody can mean it."""

    code = "register_date"
    title = "That date cannot be"


def require_begun(session: Session, key: str, stated: datetime | None) -> None:
    """Raise BeforeItExisted for what is said to have happened to an entry before its record begins."""
    require_existed(session, stated, [(StreamKind.SYSTEM.value, key)])


def term_refusal(name: str, until: date | None, begins: date, *, farthest: timedelta = FARTHEST) -> RegisterDate | None:
    """Return why a term of something called `name` may not end on a day, or None. Pure. `begins`: the day from which it runs."""
    if until is None:
        return None
    if until < begins:
        return RegisterDate(f"{name}: {until} lies before {begins}, when it begins. Check the day.")
    if until - begins > farthest:
        return RegisterDate(f"{name}: {until} lies over {farthest.days // 365} years ahead. Check the year.")
    return None


def since_refusal(name: str, since: date, today: date) -> RegisterDate | None:
    """Return why nobody is said to work by something called `name` since a day, or None. Pure."""
    if today - since <= FARTHEST:
        return None
    return RegisterDate(f"{name}: {since} lies over {FARTHEST.days // 365} years back. Check the year.")


def expiry_refusal(name: str, expires: date | None, today: date) -> RegisterDate | None:
    """Return why something may not expire on a day, or None. Pure. What has expired may be entered: it is warned of."""
    if expires is None or abs(expires - today) <= KEEPS:
        return None
    return RegisterDate(f"{name}: nothing expires on {expires}. Check the year.")
