"""Whom an excursion reached, and how far it went, held against reckonings that are slow and plain."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session

from biobank.foundation import clock
from biobank.monitoring.presence import inside_during
from biobank.monitoring.spans import Span, Standing, Worst, spans_of
from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN, a_tank, check_out, frozen, move, put, read
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later


@dataclass
class Slow:
    """Who was where when, kept one instant at a time."""

    parent: dict[str, str] = field(default_factory=dict)
    place: dict[str, str | None] = field(default_factory=dict)
    past: list[tuple[datetime, dict[str, str], dict[str, str | None]]] = field(default_factory=list)

    def note(self, at: datetime) -> None:
        self.past.append((at, dict(self.parent), dict(self.place)))

    def inside(self, tank: str, since: datetime, until: datetime) -> set[str]:
        found: set[str] = set()
        for (at, parent, place), after in zip(self.past, [*[one[0] for one in self.past[1:]], None], strict=True):
            if at > until or (after is not None and after < since):
                continue
            for tube, box in place.items():
                outer = box
                while outer is not None and outer != tank:
                    outer = parent.get(outer)
                found |= {tube} if outer == tank else set()
        return found


def test_the_set_is_what_a_slow_reckoning_of_who_was_where_when_says(api: Api) -> None:
    chance = random.Random(20261129)
    tanks = [a_tank(api, f"Tank {n}") for n in range(3)]
    slow = Slow()
    racks = [a_box(api, kind="rack", name=f"R{n}", parent=tanks[n], **OPEN) for n in range(3)]
    boxes = [a_box(api, name=f"B{n}", parent=racks[n], rows=5, cols=5) for n in range(3)]
    slow.parent = dict(zip(racks, tanks, strict=True)) | dict(zip(boxes, racks, strict=True))
    tubes = frozen(api, 6)
    slow.place = dict.fromkeys(tubes)
    slow.note(clock.now())
    times = [clock.now()]
    for _ in range(40):
        later(api, minutes=1)
        what = chance.choice(["put", "put", "out", "rack", "box", "lift"])
        tube = chance.choice(tubes)
        if what == "put":
            box = chance.choice(boxes)
            if slow.place[tube] == box:
                continue
            put(api, tube, box)
            slow.place[tube] = box
        elif what == "out":
            if slow.place[tube] is None:
                continue
            check_out(api, tube)
            slow.place[tube] = None
        elif what == "lift":
            # Out of its place for a while is still of that tank: what the tank read may have reached it.
            thing, way = chance.choice([*racks, *boxes]), chance.choice(["lift", "put-back"])
            assert api.lab_tech.post(f"/storage-containers/{thing}/{way}", json={}).status_code in (200, 409)
        else:
            thing, into = (chance.choice(racks), tanks) if what == "rack" else (chance.choice(boxes), racks)
            to = chance.choice([one for one in into if one != slow.parent[thing]])
            move(api, thing, to)
            slow.parent[thing] = to
        slow.note(clock.now())
        times.append(clock.now() + timedelta(seconds=30))

    def asked(session: Session) -> None:
        for _ in range(60):
            tank, (since, until) = chance.choice([*tanks, *racks]), sorted(chance.sample(times, 2))
            found = inside_during(session, tank, since, until)
            assert set(found) == slow.inside(tank, since, until), (tank, since, until)

    api.test_bank.write(asked)
    for at in chance.sample(times[1:], 5):
        tank = chance.choice(tanks)
        for good in (at - timedelta(seconds=20), at + timedelta(seconds=20)):
            read(api, tank, -180_000, min(good, clock.now()))
        found = read(api, tank, -50_000, at)
        inside = slow.inside(tank, at, at)
        assert set(found["held"]) == inside, (tank, at)
        (code,) = found["excursions"]
        assert {item["specimen"] for item in api.quality.get(f"/excursions/{code}").json()["items"]} == inside


def test_a_span_goes_from_the_first_to_the_last_reading_outside() -> None:
    start = datetime(2026, 11, 29, tzinfo=clock.now().tzinfo)

    def at(
        minute: int, outside: str | None, measure: str = "temperature_mc", value: int = 0, source: str | None = None
    ) -> Standing:
        return Standing(start + timedelta(minutes=minute), measure, value, outside, source)

    warm = [
        at(0, None),
        at(1, "too_warm", value=-90),
        at(2, "level_too_low", "level_ppm", 5),
        at(3, None),
        at(4, None, "level_ppm"),
    ]
    minute = [start + timedelta(minutes=n) for n in range(10)]
    worst = (Worst("temperature_mc", "too_warm", -90), Worst("level_ppm", "level_too_low", 5))
    assert spans_of(warm) == [Span(minute[1], minute[2], minute[4], worst)]
    assert spans_of([at(0, None)]) == []
    assert spans_of([at(0, "too_warm"), at(1, None), at(2, "too_warm")])[1].ended is None
    top, bottom = "SN-TOP", "SN-BOTTOM"
    warm_above = [
        at(0, "too_warm", source=top),
        at(1, None, source=bottom),
        at(2, "too_warm", source=top),
        at(3, None, source=bottom),
    ]
    assert [(one.began, one.ended) for one in spans_of(warm_above)] == [(minute[0], None)], "one probe speaks for itself"
    assert spans_of([*warm_above, at(4, None, source=top)])[0].ended == minute[4]
    assert spans_of([*warm_above, at(4, None)])[0].ended == minute[4], "a person who looked speaks for the tank"
    assert spans_of([at(0, "too_warm"), at(1, None, source=top)])[0].ended == minute[1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["too_warm", "too_cold", "level_too_low"]), st.integers(-200_000, 60_000)),
        min_size=1,
        max_size=12,
    )
)
def test_a_span_keeps_the_worst_of_every_way_in_which_it_was_outside(read_outside: list[tuple[str, int]]) -> None:
    start = datetime(2026, 11, 29, tzinfo=clock.now().tzinfo)
    of = {"too_warm": "temperature_mc", "too_cold": "temperature_mc", "level_too_low": "level_ppm"}
    readings = [Standing(start + timedelta(minutes=n), of[way], value, way) for n, (way, value) in enumerate(read_outside)]

    (span,) = spans_of(readings)

    values = {way: [value for other, value in read_outside if other == way] for way, _ in read_outside}
    expected = {way: max(all_of) if way == "too_warm" else min(all_of) for way, all_of in values.items()}
    assert {one.outside: one.peak for one in span.worst} == expected
    assert span.gravest.outside == min(values, key=["too_warm", "too_cold", "level_too_low"].index)
