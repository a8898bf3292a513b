"""On random histories, with times that are stated, acts undone, tubes missing and found, two measures, and files of loggers, the
sets of excursions are what a slow and separate reckoning of who was where when says."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.monitoring.presence import inside_during
from tests.conftest import Api
from tests.monitoring.test_excursions import LN2, OPEN, a_tank, frozen, read
from tests.monitoring.test_logger_files import a_file, keep, send
from tests.storage.test_every_way_of_placing import seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later

ACTS = 60
GOOD = {"temperature_mc": -180_000, "level_ppm": 700_000}
BAD = {"temperature_mc": -50_000, "level_ppm": 10_000}


@dataclass
class Stay:
    """Something stood in something, from one time to another; None: still."""

    where: str
    since: datetime
    until: datetime | None = None

    def at(self, instant: datetime) -> bool:
        return self.since <= instant and (self.until is None or instant <= self.until)


@dataclass
class Slow:
    """Who was where when, as plain lists of stays, asked one instant after another."""

    stays: dict[str, list[Stay]] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    before: dict[str, str | None] = field(default_factory=dict)
    """Of a tube whose latest change of state can be undone: where it stood before."""

    def of(self, thing: str) -> str | None:
        last = self.stays.get(thing, [])
        return last[-1].where if last and last[-1].until is None else None

    def leaves(self, thing: str, at: datetime) -> None:
        self.before[thing], self.changed[thing] = self.of(thing), at
        if self.of(thing) is not None:
            self.stays[thing][-1].until = at

    def goes(self, thing: str, where: str, now: datetime, stated: datetime | None = None) -> None:
        self.leaves(thing, now)
        self.changed[thing] = stated or now
        self.stays.setdefault(thing, []).append(Stay(where, stated or now))

    def undone(self, tube: str, now: datetime) -> None:
        """What the undone act left goes on from when it had been left; where it had gone it was until now."""
        since, back = self.changed[tube], self.before.pop(tube)
        if self.of(tube) is not None:
            self.stays[tube][-1].until = now
        if back is not None:
            self.stays[tube].append(Stay(back, since))
        self.changed[tube] = now

    def inside(self, place: str, since: datetime, until: datetime) -> set[str]:
        times = {since, until}
        times |= {one for of in self.stays.values() for stay in of for one in (stay.since, stay.until) if one is not None}
        return {
            thing
            for thing in self.stays
            if thing.startswith("AD") and any(self._within(thing, place, at) for at in times if since <= at <= until)
        }

    def _within(self, thing: str, place: str, at: datetime) -> bool:
        outer = {stay.where for stay in self.stays.get(thing, []) if stay.at(at)}
        return place in outer or any(self._within(one, place, at) for one in outer)


class Night:
    """A laboratory in which anything happens, and the slow reckoning of it."""

    def __init__(self, api: Api, chance: random.Random) -> None:
        self.api, self.chance, self.slow = api, chance, Slow()
        self.tanks = [a_tank(api, f"Tank {n}") for n in range(2)]
        self.safe = a_box(api, kind="tank", name="Safe", purpose="evacuation", **OPEN, **LN2)
        self.racks = [a_box(api, kind="rack", name=f"R{n}", parent=self.tanks[n], **OPEN) for n in range(2)]
        self.boxes = [a_box(api, name=f"B{n}", parent=self.racks[n % 2], rows=6, cols=6) for n in range(3)]
        now = clock.now()
        for n, rack in enumerate(self.racks):
            self.slow.goes(rack, self.tanks[n], now)
        for n, box in enumerate(self.boxes):
            self.slow.goes(box, self.racks[n % 2], now)
        self.tubes = frozen(api, 5)
        self.missing: set[str] = set()
        self.out: dict[tuple[str, str], bool] = {}
        """Tank and measure that read outside last."""
        for tank in self.tanks:
            for measure, value in GOOD.items():
                later(api, minutes=1)
                read(api, tank, value, reading=measure)

    def observed(self, tube: str, kind: str, **body: Any) -> None:
        whole = {"kind": kind, "expected_seq": seq_of(self.api, tube)} | body
        answer = self.api.lab_tech.post(f"/specimens/{tube}/events", json=whole)
        assert answer.status_code == 201, answer.text

    def put(self, tube: str, *, stated: bool = False) -> None:
        box = self.chance.choice([one for one in self.boxes if one != self.slow.of(tube)])
        body: dict[str, Any] = {"container": box, "slot_unknown": True, "expected_seq": seq_of(self.api, tube)}
        at = datetime.fromisoformat(rfc3339(clock.now() - timedelta(seconds=25)))
        if stated:
            body |= {"occurred_at": rfc3339(at), "reason_text": "no hand free", "late_entry": True}
        answer = self.api.lab_tech.post(f"/specimens/{tube}/store", json=body)
        assert answer.status_code == 201, answer.text
        self.slow.goes(tube, box, clock.now(), at if stated else None)

    def put_then(self, tube: str) -> None:
        self.put(tube, stated=True)

    def check_out(self, tube: str) -> None:
        if self.slow.of(tube) in self.boxes:
            self.observed(tube, "specimen.checked_out", purpose="inspection")
            self.slow.leaves(tube, clock.now())

    def evacuate(self, tube: str) -> None:
        if self.slow.of(tube) != self.safe:
            answer = self.api.lab_tech.post(f"/storage-containers/{self.safe}/evacuate", json={"scanned": [tube]})
            assert answer.status_code == 200, answer.text
            self.slow.goes(tube, self.safe, clock.now())

    def undo(self, tube: str) -> None:
        if tube not in self.slow.before:
            return
        history = self.api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"]
        placed = ("specimen.stored", "specimen.moved", "specimen.safeguarded", "specimen.checked_out")
        done = [one for one in history if one["kind"] in placed]
        body = {"reverses": done[-1]["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": history[-1]["seq"]}
        answer = self.api.lab_tech.post(f"/specimens/{tube}/reverse", json=body)
        assert answer.status_code in (200, 201), answer.text
        self.slow.undone(tube, clock.now())

    def lose(self, tube: str) -> None:
        if self.slow.of(tube) is not None:
            self.observed(tube, "specimen.missing", reason="not_in_its_slot")
            self.slow.leaves(tube, clock.now())
            self.missing.add(tube)

    def find(self, tube: str) -> None:
        """What was found in a box was there since it was reported missing."""
        box = self.chance.choice(self.boxes)
        self.observed(tube, "specimen.found", site="LAB", place=box)
        self.slow.stays[tube].append(Stay(box, self.slow.changed[tube], clock.now()))
        self.missing.discard(tube)

    def move(self, _tube: str) -> None:
        moves = [(self.racks, self.tanks), (self.boxes, self.racks)]
        things, into = self.chance.choice(moves)
        thing = self.chance.choice(things)
        to = next(one for one in into if one != self.slow.of(thing))
        body: dict[str, Any] = {"to": to}
        at = datetime.fromisoformat(rfc3339(clock.now() - timedelta(seconds=25)))
        stated = self.chance.random() < 0.4
        if stated:
            body |= {"occurred_at": rfc3339(at), "reason_text": "no hand free", "late_entry": True}
        answer = self.api.lab_tech.post(f"/storage-containers/{thing}/move", json=body)
        assert answer.status_code == 200, answer.text
        self.slow.goes(thing, to, clock.now(), at if stated else None)

    def warm(self, _tube: str) -> None:
        tank, measure = self.chance.choice(self.tanks), self.chance.choice(list(BAD))
        read(self.api, tank, BAD[measure], reading=measure)
        self.out[tank, measure] = True

    def cool(self, _tube: str) -> None:
        tank, measure = self.chance.choice(self.tanks), self.chance.choice(list(GOOD))
        read(self.api, tank, GOOD[measure], reading=measure)
        self.out.pop((tank, measure), None)

    def late(self, _tube: str) -> None:
        """A value outside of half a minute ago."""
        tank, measure = self.chance.choice(self.tanks), self.chance.choice(list(BAD))
        read(self.api, tank, BAD[measure], clock.now() - timedelta(seconds=27), reading=measure)
        self.out[tank, measure] = True

    def logger(self, _tube: str) -> None:
        tank = self.chance.choice(self.tanks)
        if not any(one == tank for one, _ in self.out):
            now = clock.now().replace(microsecond=0)
            rows = [(now - timedelta(seconds=back), value) for back, value in ((50, "-181,0"), (40, "-50,0"), (15, "-182,0"))]
            done = send(self.api, tank, keep(self.api, a_file(rows)), confirmed=True)
            assert done.status_code == 201, done.text

    def one_act(self) -> None:
        later(self.api, minutes=1)
        tube = self.chance.choice(self.tubes)
        if tube in self.missing:
            self.find(tube)
            self.slow.before.pop(tube, None)
            return
        acts = [self.put, self.put, self.put_then, self.check_out, self.evacuate, self.undo, self.undo, self.lose]
        act = self.chance.choice([*acts, self.move, self.move, self.warm, self.cool, self.cool, self.late, self.logger])
        act(tube)
        if act == self.lose:
            self.slow.before.pop(tube, None)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_sets_are_those_of_a_slow_reckoning_whatever_was_stated_undone_lost_read_or_sent(api: Api, number: int) -> None:
    night = Night(api, random.Random(20261130 + number))
    times = []
    for _ in range(ACTS):
        night.one_act()
        # The second lies between a time that the next act may state and when it is recorded.
        times += [clock.now() + timedelta(seconds=30), clock.now() + timedelta(seconds=50)]
    for tank in night.tanks:
        for measure, value in GOOD.items():
            later(api, minutes=1)
            read(api, tank, value, reading=measure)

    places = [*night.tanks, *night.racks, *night.boxes, night.safe]
    spans = [(at, at) for at in times]
    spans += [(min(pair), max(pair)) for pair in (night.chance.sample(times, 2) for _ in range(30))]

    def asked(session: Session) -> None:
        for since, until in spans:
            for place in places:
                assert set(inside_during(session, place, since, until)) == night.slow.inside(place, since, until), place

    api.test_bank.write(asked)
    excursions = api.quality.get("/excursions", params={"limit": 100}).json()["items"]
    assert excursions
    for one in excursions:
        whole = api.quality.get(f"/excursions/{one['code']}").json()
        began, ended = (datetime.fromisoformat(whole[name]) for name in ("began_at", "ended_at"))
        inside = night.slow.inside(whole["container"], began, ended - timedelta(microseconds=1))
        assert {item["specimen"] for item in whole["items"]} == inside, whole
