"""May a release that two people made at the bedside be used at a time? Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal


class NoRelease(Conflict):
    """There is no such release for this specimen."""

    code = "no_release"
    title = "No bedside release"


class ReleaseUsed(Conflict):
    """A release is used once."""

    code = "release_used"
    title = "Release already used"


class ReleaseExpired(Conflict):
    """A release lasts 15 minutes."""

    code = "release_expired"
    title = "Release expired"


class ReleaseEnded(Conflict):
    """Something happened after the check that ended the release."""

    code = "release_ended"
    title = "Release ended"


CHECKED_AGAIN = "checked_again"
"""A release that another check of the same tube ended: it was not given under the first."""


def release_refusal(row: Any, code: str, at: datetime, *, then: bool = False) -> Refusal | None:
    """Return why this release may not be used up for the tube at `at`, or None. `row`: of the table, if there is one; `then`:
    what ended it after that time does not count. Pure.
    """
    if row is None or row["specimen_code"] != code:
        return NoRelease(f"There is no such bedside release for {code}. Two people scan band and product first.", subject=code)
    if row["consumed_at"] is not None:
        return ReleaseUsed(f"This release of {code} was used already.", subject=code)
    if row.get("one_person"):
        return ReleaseEnded(
            f"The two logins that checked {code} are one person's. Two people check again.", subject=code, because="one_person"
        )
    ended = row["ended_at"]
    if ended is not None and not (then and at < ended and row["ended_because"] != CHECKED_AGAIN):
        because = row["ended_because"]
        return ReleaseEnded(
            f"This release of {code} was ended ({because.replace('_', ' ')}). Stop, and check again.",
            subject=code,
            because=because,
        )
    if at < row["made_at"]:
        return NoRelease(
            f"{code} was released at {rfc3339(row['made_at'])}, after the stated time {rfc3339(at)}. Check the time.",
            subject=code,
        )
    if row["expires_at"] < at:
        return ReleaseExpired(
            f"This release of {code} was good until {rfc3339(row['expires_at'])}. Two people check again.", subject=code
        )
    return None


def way_refusal(row: Any, code: str, paper: str | None) -> Refusal | None:
    """Return why a giving that is entered live, or from the form `paper`, may not use this release, or None. Pure.

    `row`: the release, with its check's `paper`. What two people did live has its times from our clock, what they did on paper
    from them: the two are not mixed.
    """
    if (row["paper"] is None) == (paper is None):
        return None
    checked, given = ("live", "from paper") if row["paper"] is None else ("from paper", "live")
    return NoRelease(
        f"The bedside check of {code} was entered {checked}; a giving that is entered {given} needs a check that was too. "
        "If it was given already, tell quality.",
        subject=code,
    )


@dataclass(frozen=True)
class ReleaseBand:
    """The band that a release was made with, and when it was taken out of force."""

    code: str
    voided_at: datetime | None


def band_refusal(row: Any, at: datetime) -> Refusal | None:
    """Return why the band that a release was made with does not stand for the person at `at`, or None. Pure."""
    if row is None or row.voided_at is None or at < row.voided_at:
        return None
    return ReleaseEnded(
        f"The wristband {row.code} was taken out of force at {rfc3339(row.voided_at)}. Put a new one on, and check again.",
        subject=row.code,
        because="band_voided",
    )
