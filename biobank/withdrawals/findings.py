"""What the record tells of a tube beside its custody row, as far as it decides whether the tube may go to a patient.

Three findings, each until quality decides: it left for a patient and came back; somebody looked at it and said no (container,
label, contents); its latest count does not show what quality demands of its material. And what the tests of its lot say, which
nothing but another result changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.quality.independence import Touch, read_touches
from biobank.quality.inspections import read_seen
from biobank.quality.lot_tests import NO_TESTS, LotTests, read_lot_tests
from biobank.quality.reserves import IN_THE_BANK
from biobank.specimens.assays import latest_counts
from biobank.viability.queries import Count, counts_not_shown


@dataclass(frozen=True)
class Findings:
    """What was found.

    - `tests`: of its lot; `came_back`: without quality's decision about its return;
    - `wrong`: what an inspection said no to since quality's last decision; `decided_at`: when that was;
    - `count`: the latest one, when it does not show what the criterion demands; `measured`: the row of the latest one;
    - `touches`: who processed, tested or asked for it.
    """

    came_back: bool = False
    wrong: tuple[str, ...] = ()
    count: Count | None = None
    decided_at: datetime | None = None
    tests: LotTests = NO_TESTS
    measured: Any = None
    touches: Sequence[Touch] = ()


NOTHING_FOUND = Findings()


def read_findings(session: Session, tubes: Mapping[str, Snapshot], at: datetime) -> dict[str, Findings]:
    """Return the findings of each tube at an instant: the same statements however many tubes."""
    seen = read_seen(session, tubes)
    counted = latest_counts(session, tubes)
    counts = counts_not_shown(session, tubes.values(), counted)
    tests = read_lot_tests(session, {tube.lot_code for tube in tubes.values()}, at)
    touches = read_touches(session, tubes.values())
    return {
        code: Findings(
            seen[code].left and tube.state in IN_THE_BANK,
            seen[code].wrong,
            counts.get(code),
            seen[code].decided_at,
            tests[tube.lot_code],
            counted.get(code),
            touches[code],
        )
        for code, tube in tubes.items()
    }
