"""Does an approval still stand for what is there? Asked until the tubes leave: at the pick, the thaw, the final label, the issue.

Consent, tests, expiry, holds and the condition of the tubes are asked at every step anew. Of the picture that quality signed over
four more things count: what remains (the rest may be lost, or the reserve raised, since), an allergy that was recorded since, and
that it is not too long ago. Then quality looks at it anew, over the picture as it is now, and two sign where it takes two
(docs/adr/0041). What others have reserved counts as there until it leaves: whoever comes last is asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, tuple_
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.custody.entry import parse_entry
from biobank.custody.legality import Snapshot
from biobank.donors.allergies import allergies_since
from biobank.foundation.errors import Conflict
from biobank.quality.findings import Findings
from biobank.quality.reserves import NO_RESERVE, Remaining, remaining, reserves_of
from biobank.specimens.models import specimen
from biobank.transparency.models import event
from biobank.withdrawals.workflow import WithdrawalState

STANDING = frozenset({WithdrawalState.APPROVED, WithdrawalState.PICKING})
"""Approved, and nothing has left."""


class ApprovalOutdated(Conflict):
    """What the approval was given over has changed since: quality looks at it again before anything goes on."""

    code = "approval_outdated"
    title = "Quality looks at it again"


@dataclass(frozen=True)
class ApprovalNow:
    """What is there now of what an approval was given over. `accepted`: units that two of quality accepted to remain, if two did;
    `allergy`: one of the recipient's was recorded since.
    """

    approved_at: datetime
    remains: Remaining
    accepted: int | None
    allergy: bool


def lasts_of(bank: Bank) -> timedelta:
    """How long an approval is good until the tubes leave."""
    return timedelta(days=bank.settings.approval_days)


def changes_since(now: ApprovalNow | None, at: datetime, lasts: timedelta) -> list[str]:
    """Say what an approval does not stand for any more at `at`, one part of a sentence each; nothing without one. Pure."""
    found: list[str] = []
    if now is None:
        return found
    left = now.remains
    if (left.takes_the_last or left.below_reserve) and (now.accepted is None or left.units < now.accepted):
        found.append("it takes the last usable unit now" if left.takes_the_last else "it goes below the reserve now")
    if now.allergy:
        found.append("an allergy of the recipient was recorded")
    if at - now.approved_at > lasts:
        found.append(f"it is more than {lasts.days} days ago")
    return found


def outdated(code: str, changes: Sequence[str]) -> list[ApprovalOutdated]:
    """The refusal of going on with withdrawal `code` on an approval that these changes stand against. Pure."""
    said = "; ".join(changes)
    if not said:
        return []
    return [ApprovalOutdated(f"{code} was approved on other grounds: {said}. Quality looks at it again and signs.", subject=code)]


def units_beside(session: Session, rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Return every unit of the material and donor of those withdrawals (rows) from which nothing has left: what may remain."""
    named = {(row["donor_code"], row["material"]) for row in rows if row["state"] in STANDING}
    of_them = tuple_(specimen.c.donor_code, specimen.c.material).in_(sorted(named))
    return list(session.execute(select(specimen.c.code).where(of_them)).scalars()) if named else []


def read_approvals(
    session: Session,
    rows: Sequence[Mapping[Any, Any]],
    tubes: Mapping[str, Collection[str]],
    units: Mapping[str, Snapshot],
    findings: Mapping[str, Findings],
    at: datetime,
) -> dict[str, ApprovalNow]:
    """Read it for those of several withdrawals (their rows, their tubes by code) from which nothing has left: the same statements
    however many there are. `units`: what `units_beside` named, with its holds and findings. Whoever acts holds the donors' locks.
    """
    standing = [row for row in rows if row["state"] in STANDING]
    if not standing:
        return {}
    donors = {row["donor_code"] for row in standing}
    reserves, accepted = reserves_of(session, donors), _accepted(session, [row["code"] for row in standing])
    allergies = allergies_since(session, donors)
    answer: dict[str, ApprovalNow] = {}
    for row in standing:
        code, donor, material = row["code"], row["donor_code"], row["material"]
        left = remaining(
            donor,
            material,
            [one for one in units.values() if (one.donor_code, one.material) == (donor, material)],
            findings,
            tubes[code],
            at,
            reserves.get((donor, material), NO_RESERVE),
            reserved_too=True,
        )
        new = any(told > row["approved_at"] for told in allergies[donor].values())
        answer[code] = ApprovalNow(row["approved_at"], left, accepted.get(code), new)
    return answer


def _accepted(session: Session, codes: Collection[str]) -> dict[str, int]:
    """How many units two of quality accepted to remain, by withdrawal: the latest time."""
    its = (event.c.stream_kind == "withdrawal", event.c.stream_id.in_(sorted(codes)))
    of_kind = event.c.kind == "withdrawal.remainder_accepted"
    rows = session.execute(select(event.c.stream_id, event.c.entry).where(*its, of_kind).order_by(event.c.seq))
    return {row.stream_id: int(parse_entry(bytes(row.entry))["body"]["remains"]) for row in rows}
