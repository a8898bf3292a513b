"""What the record tells of a tube beside its custody row, as far as it decides whether the tube may go to a patient.

Three findings, each until quality decides: it left for a patient and came back; somebody looked at it and said no (container,
label, contents); its latest count does not show what quality demands of its material. And what the tests of its lot say, which
nothing but another result changes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.custody.states import State
from biobank.foundation.from_above import FromAbove
from biobank.quality.independence import Touch, read_touches
from biobank.quality.inspections import Seen, read_seen
from biobank.quality.lot_tests import NO_TESTS, LotTests, read_lot_tests
from biobank.specimens.assays import counts_of
from biobank.specimens.warm_time import warm_reds

IN_THE_BANK = frozenset({State.RECEIVED, State.IN_PROCESS, State.STORED, State.CHECKED_OUT})


@dataclass(frozen=True)
class Count:
    """A count that was asked to show something, and whether it did."""

    live: int
    counted: int
    minimum_bp: int
    recorded_at: datetime
    shown: bool


Judged = Callable[[Session, Iterable[Snapshot], Mapping[str, Sequence[Any]]], Mapping[UUID, Count]]
counts_judged: FromAbove[Judged] = FromAbove("viability")
"""By their ids, the ones of these counts (rows, by specimen) to which a criterion applied, judged."""


@dataclass(frozen=True)
class Findings:
    """What was found.

    - `tests`: of its lot; `left_for`: the withdrawal it left for, until quality decides about its return; `came_back`: it is in
      the bank's hands without that decision;
    - `wrong`: what an inspection said no to since quality's last decision; `decided_at`: when that was;
    - `count`: the latest one as judged, None when nothing was demanded of it; `measured`: the row of the latest one;
      `counted_since_thaw`: it was made and recorded after the last thaw; `failed`: the rows of the earlier ones that did not show
      what was demanded of them, the newest first. The latest is the one recorded last, whatever time it states;
    - `printed_since_thaw`: of the labels that were printed since then, by the number that their symbol says, the template;
      `final_label`: the template of the one that is on it and was not replaced;
    - `left_the_hand`: when it was last put into a place, or missed, by the bank's clock;
    - `warm_red_s`: of what is frozen and out of the cold, for how many seconds it may be, unless quality lifted the hold for that
      time already; None: no limit is set, or it is in the cold;
    - `authorisation`: what the latest determination of its legal basis named, where it named one;
    - `touches`: who processed, tested or asked for it, where they were read.
    """

    came_back: bool = False
    wrong: tuple[str, ...] = ()
    count: Count | None = None
    decided_at: datetime | None = None
    tests: LotTests = NO_TESTS
    measured: Any = None
    touches: Sequence[Touch] = ()
    left_for: str | None = None
    counted_since_thaw: bool = False
    failed: Sequence[Any] = ()
    printed_since_thaw: Mapping[int, str] = field(default_factory=dict)
    final_label: str | None = None
    left_the_hand: datetime | None = None
    warm_red_s: int | None = None
    authorisation: str | None = None


NOTHING_FOUND = Findings()


def read_findings(session: Session, tubes: Mapping[str, Snapshot], at: datetime, *, touches: bool = True) -> dict[str, Findings]:
    """Return the findings of each tube at an instant: the same statements however many tubes. `touches`: read those too."""
    seen = read_seen(session, tubes)
    every = counts_of(session, tubes)
    counted = {code: rows[0] for code, rows in every.items()}
    counts = counts_judged.get()(session, tubes.values(), every)
    tests = read_lot_tests(session, {tube.lot_code for tube in tubes.values()}, at)
    reds = warm_reds(session, tubes.values())
    hands = read_touches(session, tubes.values()) if touches else {}
    return {
        code: Findings(
            came_back=seen[code].left_for is not None and tube.state in IN_THE_BANK,
            wrong=seen[code].wrong,
            count=counts.get(counted[code].id) if code in counted else None,
            decided_at=seen[code].decided_at,
            tests=tests[tube.lot_code],
            measured=counted.get(code),
            touches=hands.get(code, ()),
            left_for=seen[code].left_for,
            counted_since_thaw=_since_thaw(seen[code], counted.get(code)),
            printed_since_thaw=seen[code].printed_since,
            final_label=seen[code].final,
            left_the_hand=seen[code].left_the_hand,
            warm_red_s=reds.get(code),
            authorisation=seen[code].authorisation,
            failed=[row for row in every.get(code, ())[1:] if row.id in counts and not counts[row.id].shown],
        )
        for code, tube in tubes.items()
    }


def _since_thaw(seen: Seen, count: Any) -> bool:
    """Say whether a count was made after the tube was last thawed: by its own word, the time it states and the bank's clock."""
    if seen.thawed is None or count is None or count.minutes_after_thaw is None:
        return False
    occurred, recorded = seen.thawed
    return bool(count.measured_at >= occurred and count.recorded_at >= recorded)
