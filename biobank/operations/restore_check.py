"""What is done after a restore and before serving: replay erasures, and see that the record still agrees with itself.

A dump of the bank may be older than an erasure. The store of donor keys knows (it is never restored to an older state unless
it was itself lost), so whoever was forgotten is forgotten again here. Then the custody of every specimen is folded from its
events, without looking at the stored row, and compared with it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.donors.erasure import replay_erasures
from biobank.reconciliation.comparing import compare_custody
from biobank.transparency.queries import unaccounted_events

AT_ONCE = 500
"""Specimens folded together: a few thousand events in memory, whatever the size of the bank."""

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass
class Found:
    """What a look at a restored bank found."""

    erased_again: list[str] = field(default_factory=list)
    specimens: int = 0
    events: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)
    """Specimen code to the columns in which its row is not what its events say."""
    unaccounted: list[str] = field(default_factory=list)
    """Leaf hashes of events that are neither sealed nor waiting for it: somebody reached past the application."""

    @property
    def sound(self) -> bool:
        """Whether the record agrees with itself."""
        return not self.differing and not self.unaccounted


def look_after_restore(bank: Bank) -> Found:
    """Replay erasures in one transaction, then look for lost events and compare every custody row with its events."""
    act = Act.system(bank, path="cli/after-restore")
    found = Found(erased_again=bank.database.write_now(lambda s: replay_erasures(s, act)))
    agree_with_events(bank, found)
    return found


def agree_with_events(bank: Bank, found: Found) -> None:
    """Look for lost events and compare every custody row with its events; nothing is written."""
    found.unaccounted = bank.database.write_now(lambda s: [h.hex() for h in unaccounted_events(s, BEGINNING)])
    after: str | None = ""
    while after is not None:
        after = bank.database.write_now(partial(_compare_some, after=after, found=found))


def _compare_some(session: Session, *, after: str, found: Found) -> str | None:
    """Compare the next specimens behind the code `after`; return the last one's code, None when there are no more."""
    compared = compare_custody(session, after, AT_ONCE)
    found.specimens += compared.looked_at
    found.events += compared.events
    found.differing |= {code: [one.what for one in told] for code, told in compared.differing.items()}
    return compared.last
