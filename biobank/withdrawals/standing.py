"""How a withdrawal stands for one person: the case, what a step rests on, and why each step would be refused now.

The pages read this once and ask it; the use cases raise from the same lists (`step_rules`) under lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import RowMapping
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.withdrawals.case import Case, find_row, read_cases
from biobank.withdrawals.queries import releases_of
from biobank.withdrawals.release_rules import ReleaseBand
from biobank.withdrawals.step_rules import Grounds, changed_since, offered, read_grounds, step_refusals, tube_refusals


@dataclass(frozen=True)
class Standing:
    """A withdrawal as one person finds it. `releases`: every bedside release, the oldest first."""

    actor: Actor
    case: Case
    grounds: Grounds
    releases: Sequence[RowMapping]
    giving_entered_within_minutes: int
    """How long after its release ran out one person may still enter a giving."""

    def refusals(self, step: str) -> list[Refusal]:
        """Return every reason why the step would be refused now; empty when it would be accepted for one tube at least."""
        return step_refusals(self.actor, self.case, self.grounds, step)

    def refusals_of(self, step: str, tube: str) -> list[Refusal]:
        """Return every reason why the step would be refused now for one tube."""
        return tube_refusals(self.actor, self.case, self.grounds, step, tube)

    @property
    def changed(self) -> list[str]:
        """What its approval does not stand for any more, while nothing has left: quality looks at it again."""
        return changed_since(self.case, self.grounds)

    @property
    def offered(self) -> frozenset[str]:
        """The names of the steps that would be accepted now."""
        return offered(self.actor, self.case, self.grounds)


def read_standing(session: Session, actor: Actor, code: str, bank: Bank) -> Standing:
    """Read it without locks; raise NotFound for those who may not know of the withdrawal."""
    return read_standings(session, actor, [find_row(session, actor, code)], bank)[0]


def read_standings(session: Session, actor: Actor, rows: Sequence[RowMapping], bank: Bank) -> list[Standing]:
    """Read several without locks, by rows of `case_rows`: the same statements however many there are."""
    at = clock.now()
    cases, _ = read_cases(session, rows, at)
    releases = releases_of(session, [case.code for case in cases])
    grounds = read_grounds(session, bank, {case.donor for case in cases}, at)
    answer: list[Standing] = []
    for case in cases:
        newest = {one["specimen_code"]: one for one in releases[case.code]}
        bands = {tube: ReleaseBand(one["wristband_code"], one["band_voided_at"]) for tube, one in newest.items()}
        rests_on = replace(grounds[case.donor], releases=newest, bands=bands)
        answer.append(Standing(actor, case, rests_on, releases[case.code], bank.settings.giving_entered_within_minutes))
    return answer
