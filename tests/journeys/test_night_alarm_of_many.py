"""The same night with a full tank: what one act, one reading and one decision cost does not grow with the tubes.

Twenty thousand in one act are measured by `python -m bench.evacuating` (`bench/README.md`).
"""

from collections.abc import Callable
from typing import Any

from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.storage.events import Stored
from tests.conftest import Api
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import OPEN, a_tank, held, read
from tests.quality.test_closing import kept
from tests.statements import count_statements
from tests.storage.test_storing import a_box, everyone
from tests.withdrawals.stories import a_donor, later

FEW, MANY = 4, 1600


def a_tank_of(api: Api, count: int) -> tuple[str, list[str]]:
    """A tank with two racks, a box in each, and so many frozen tubes of two donors, which an old bank handed over."""
    tank = a_tank(api, f"Tank of {count}")
    boxes = [
        a_box(api, parent=a_box(api, kind="rack", name=f"Rack {number} of {count}", parent=tank, **OPEN), name=f"Box {number}")
        for number in range(2)
    ]
    codes = [code for number in range(2) for code in kept(api, a_donor(api, family_name=f"D{count}{number}"), count // 2)]

    def stand(session: Any) -> None:
        there = load(session, codes, lock=True)
        moves = [
            Move(there[code], Stored(container=boxes[number % 2], position=None, site="LAB"), site="LAB")
            for number, code in enumerate(codes)
        ]
        record(session, everyone(api.test_bank), moves, NOW)

    api.test_bank.write(stand)
    return tank, codes


def counting(api: Api, took: dict[str, int], what: str, work: Callable[[], Any]) -> Any:
    """Do it, and note how many statements it took."""
    seen: list[str] = []
    stop = count_statements(api.test_bank.bank.database.writer.sync_engine, seen)
    answer = work()
    stop()
    took[what] = len(seen)
    return answer


def a_night(api: Api, count: int) -> dict[str, int]:
    """The tank warms, one person scans it at the evacuation tank, quality releases what was in it; the statements of each."""
    tank, tubes = a_tank_of(api, count)
    safe = a_box(api, kind="tank", name=f"Safe for {count}", purpose="evacuation", temperature_class="ln2_vapour", **OPEN)
    took: dict[str, int] = {}
    later(api, minutes=10)
    (excursion,) = counting(api, took, "reading", lambda: read(api, tank, -50_000))["excursions"]
    later(api, minutes=10)
    address, body = f"/storage-containers/{safe}/evacuate", {"scanned": [tank]}
    brought = counting(api, took, "evacuation", lambda: api.lab_tech.post(address, json=body))
    assert brought.status_code == 200, brought.text
    assert sum(one["tubes"] for one in brought.json()["containers"]) == count
    later(api, minutes=10)
    read(api, tank, -190_000)
    one = api.quality.get(f"/excursions/{excursion}").json()
    assert (one["specimens"], one["donors"]) == (count, 2)
    assert sorted(donor["specimens"] for donor in one["by_donor"]) == [count // 2] * 2
    done = counting(api, took, "assessment", lambda: assess(api.quality, excursion))
    assert (done.status_code, done.json()["assessed"], done.json()["to_assess"]) == (200, count, 0), done.text
    assert [held(api, tube) for tube in (tubes[0], tubes[-1])] == [[], []]
    assert api.lab_tech.get(f"/storage-containers/{safe}").json()["occupied"] == count
    return took


def test_one_act_one_reading_and_one_decision_take_as_many_statements_for_a_full_tank_as_for_a_few_tubes(api: Api) -> None:
    few, many = a_night(api, FEW), a_night(api, MANY)

    assert {what: number for what, number in many.items() if number > few[what]} == {}, (few, many)
