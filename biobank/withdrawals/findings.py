"""What the record tells of a tube beside its custody row, as far as it decides whether the tube may go to a patient.

Three findings, each until quality decides: it left for a patient and came back; somebody looked at it and said no (container,
label, contents); its latest count does not show what quality demands of its material. And what the tests of its lot say, which
nothing but another result changes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.legality import Snapshot
from biobank.custody.states import State
from biobank.quality.lot_tests import NO_TESTS, LotTests, read_lot_tests
from biobank.transparency.models import event
from biobank.viability.queries import Count, counts_not_shown

_OURS = frozenset({State.RECEIVED, State.IN_PROCESS, State.STORED, State.CHECKED_OUT})
_LOOKED = frozenset({"specimen.inspected", "specimen.received"})
_DECIDED = frozenset({"specimen.quality_decided", "specimen.returned"})
_KINDS = sorted(_LOOKED | _DECIDED | {"specimen.issued", "specimen.amended"})
_ANSWERS = ("container_intact", "label_legible", "contents_as_expected")


@dataclass(frozen=True)
class Findings:
    """What was found.

    - `tests`: of its lot; `came_back`: without quality's decision about its return;
    - `wrong`: what an inspection said no to since quality's last decision; `decided_at`: when that was;
    - `count`: the latest one, when it does not show what the criterion demands.
    """

    came_back: bool = False
    wrong: tuple[str, ...] = ()
    count: Count | None = None
    decided_at: datetime | None = None
    tests: LotTests = NO_TESTS


NOTHING_FOUND = Findings()


def read_findings(session: Session, tubes: Mapping[str, Snapshot], at: datetime) -> dict[str, Findings]:
    """Return the findings of each tube at an instant: the same statements however many tubes."""
    rows = session.execute(
        select(event.c.stream_id, event.c.kind, event.c.recorded_at, event.c.leaf_hash, event.c.entry)
        .where(event.c.stream_kind == "specimen", event.c.stream_id.in_(sorted(tubes)), event.c.kind.in_(_KINDS))
        .order_by(event.c.stream_id, event.c.seq)
    ).all()
    events = {code: list(own) for code, own in groupby(rows, key=lambda row: row.stream_id)}
    counts = counts_not_shown(session, tubes.values())
    tests = read_lot_tests(session, {tube.lot_code for tube in tubes.values()}, at)
    return {
        code: _of(events.get(code, ()), counts.get(code), tests[tube.lot_code], ours=tube.state in _OURS)
        for code, tube in tubes.items()
    }


def _of(rows: Iterable[Any], count: Count | None, tests: LotTests, *, ours: bool) -> Findings:
    """Fold the events of one tube, oldest first."""
    left, decided_at, said = False, None, dict[str, dict[str, Any]]()
    for row in rows:
        if row.kind == "specimen.issued":
            left = True
        elif row.kind in _DECIDED:
            left = left and row.kind != "specimen.returned"
            decided_at, said = row.recorded_at, {}
        elif row.kind == "specimen.amended":
            body = parse_entry(bytes(row.entry))["body"]
            if body["corrects"] in said:
                said[body["corrects"]][body["field"]] = body["value"]
        else:
            said[bytes(row.leaf_hash).hex()] = dict(parse_entry(bytes(row.entry))["body"])
    return Findings(left and ours, _denied(said.values()), count, decided_at, tests)


def _denied(said: Collection[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for name in _ANSWERS if any(one.get(name) is False for one in said))
