"""Four answers to one question agree on random histories: the projection, the replayed log, the as-of answer and the export.

`BIOBANK_HISTORIES` says how many histories (default 2); `BIOBANK_HISTORY_SEED` where they begin. A failure names its seed.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session

from biobank.custody.event import rules
from biobank.custody.legality import Snapshot
from biobank.custody.projection import PROJECTED
from biobank.custody.rebuild import Rebuilt, projection_of
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.transparency.verify import Record, Table
from tests.conftest import Api
from tests.exports.taking import take_log
from tests.factories import make_donor
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import LN2, OPEN
from tests.quality.test_look_back import derive
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post

HISTORIES = int(os.environ.get("BIOBANK_HISTORIES", "2"))
SEED = int(os.environ.get("BIOBANK_HISTORY_SEED", "20261130"))
STEPS = 30
ASKED = 6
"""How many moments of a history are asked for again at its end."""


@dataclass
class World:
    """A bank of a few tubes that things happen to, and what it answered at each moment."""

    api: Api
    chance: random.Random
    tubes: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    racks: list[str] = field(default_factory=list)
    tanks: list[str] = field(default_factory=list)
    quarantine: str = ""
    holds: list[str] = field(default_factory=list)
    answered: list[tuple[datetime, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)

    def build(self) -> None:
        """Two tanks, racks and boxes, one place of quarantine; four tubes, of which one was made from another."""
        api = self.api
        self.tanks = [a_box(api, kind="tank", name=f"T{n}", **OPEN, **LN2) for n in range(2)]
        self.racks = [a_box(api, kind="rack", name=f"R{n}", parent=self.tanks[n], **OPEN) for n in range(2)]
        self.boxes = [a_box(api, name=f"B{n}", parent=self.racks[n]) for n in range(2)]
        self.quarantine = a_box(api, name="Q", purpose="quarantine", rows=2, cols=2)
        donor = api.test_bank.write(make_donor)
        self.tubes = [a_tube(api, donor=donor) for _ in range(4)]
        derive(api, donor, self.tubes[0], self.tubes[1])

    def seq(self, tube: str) -> int:
        return int(self.api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"])

    def event(self, tube: str, **body: Any) -> Any:
        return self.api.lab_tech.post(f"/specimens/{tube}/events", json={"expected_seq": self.seq(tube)} | body)

    def step(self) -> None:
        """Let one thing happen, or be refused."""
        tube, act = self.chance.choice(self.tubes), self.chance.choice(ACTS)
        answer = act(self, tube)
        assert answer.status_code < 500, (act.__name__, answer.text)
        if answer.status_code < 300:
            self.happened[act.__name__] = self.happened.get(act.__name__, 0) + 1

    def note(self) -> None:
        """Ask for everything as it is now, and keep the answers."""
        at = clock.now()
        tubes = {tube: told_of_tube(self.api.auditor.get(f"/specimens/{tube}").json()) for tube in self.tubes}
        maps = {box: told_of_map(self._map(box)) for box in [*self.boxes, self.quarantine]}
        self.answered.append((at, tubes, maps))

    def _map(self, box: str, **asked: str) -> Any:
        return self.api.auditor.get(f"/storage-containers/{box}/map", params=asked).json()

    def asks_again(self) -> None:
        """The answer as of a moment, as known then, is the answer that was given then."""
        for at, tubes, maps in self.chance.sample(self.answered, min(ASKED, len(self.answered))):
            then = {"at": rfc3339(at), "as_known_at": rfc3339(at)}
            for tube, said in tubes.items():
                assert told_of_tube(self.api.auditor.get(f"/specimens/{tube}", params=then).json()) == said, (tube, then)
            for box, said in maps.items():
                assert told_of_map(self._map(box, **then)) == said, (box, then)

    def compares(self) -> None:
        """The row of custody, the folded log, the answer as of now and the exported log interpreted by the verifier agree."""
        exported = replayed(take_log(self.api).content)
        for tube in self.tubes:
            row = self.api.test_bank.write(partial(one_loaded, code=tube))
            rebuilt = self.api.test_bank.write(partial(projection_of, code=tube))
            assert rebuilt == Rebuilt(row.projection, row.seq, row.state_seq), tube
            assert exported[tube] == row.projection.columns(), tube
            as_of = self.api.auditor.get(f"/specimens/{tube}", params={"at": rfc3339(clock.now())}).json()
            assert told_of_tube(as_of) == told_of_tube(self.api.auditor.get(f"/specimens/{tube}").json()), tube


def one_loaded(session: Session, code: str) -> Snapshot:
    """The row of custody of a tube, read."""
    return load(session, [code])[code]


def told_of_tube(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of a tube that time changes; seconds that run are not compared to the second."""
    held = sorted((hold["kind"], hold["scope_kind"], hold["scope_id"]) for hold in answer["holds"])
    exposure = answer["exposure"] | {"total_s": round(answer["exposure"]["total_s"] / 30)}
    return {"custody": answer["custody"], "holds": held, "exposure": exposure, "basis": answer["regulatory_basis"]}


def told_of_map(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of a box that time changes."""
    named = ("site", "parent", "name", "path", "occupied", "lifted_at")
    slots = [
        {name: slot[name] for name in ("label", "specimen", "state", "held", "blocked", "kept_for")} for slot in answer["slots"]
    ]
    return {"slots": slots, "loose": answer["loose"], "free": answer["free"]} | {n: answer["container"][n] for n in named}


def replayed(exported: bytes) -> dict[str, dict[str, Any]]:
    """Read an exported log as the verifier does, which shares no rule with the bank; return each specimen's columns."""
    table = Table(rules.id, json.loads(rules.document))
    table.adopted_at = 0  # The banks of tests begin without an adoption.
    record = Record({rules.id: table}, skew_s=120)
    lines = exported.splitlines()
    entries = [(line[line.index(b'"entry":') + 8 : -1], json.loads(line)) for line in lines]
    entries.sort(key=lambda one: (one[1]["entry"]["stream"] != "system", one[1]["entry"]["recorded_at"], one[1]["entry"]["seq"]))
    blob = b"".join(len(entry).to_bytes(2, "big") + entry for entry, _ in entries)
    hashes = b"".join(bytes.fromhex(line["leaf_hash"]) for _, line in entries)
    record.read(0, len(entries), blob, hashes)
    return {
        json.loads(code): {name: json.loads(stream[record.columns[name]]) for name in PROJECTED}
        for code, stream in record.streams["specimen"].items()
    }


def put_away(world: World, tube: str) -> Any:
    place = world.chance.choice([*world.boxes, world.quarantine])
    more = world.chance.choice([{}, {}, {"slot_unknown": True}])
    body = {"container": place, "expected_seq": world.seq(tube)} | more
    return world.api.lab_tech.post(f"/specimens/{tube}/store", json=body)


def checked_out(world: World, tube: str) -> Any:
    return world.event(tube, kind="specimen.checked_out", purpose="inspection")


def checked_out_late(world: World, tube: str) -> Any:
    at = rfc3339(clock.now() - timedelta(minutes=world.chance.choice([1, 3, 9])))
    late = {"occurred_at": at, "late_entry": True, "reason_text": "Entered from the notebook"}
    return world.event(tube, kind="specimen.checked_out", purpose="inspection", **late)


def sampled(world: World, tube: str) -> Any:
    return world.event(tube, kind="specimen.sampled", amount=1, purpose="count")


def inspected(world: World, tube: str) -> Any:
    return world.event(tube, kind="specimen.inspected", container_intact=True, label_legible=True, contents_as_expected=True)


def missed(world: World, tube: str) -> Any:
    return world.event(tube, kind="specimen.missing", reason="not_in_its_slot")


def found(world: World, tube: str) -> Any:
    return world.event(tube, kind="specimen.found", site="LAB")


def undone(world: World, tube: str) -> Any:
    items = world.api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"]
    body = {
        "reverses": world.chance.choice(items[-2:])["leaf_hash"],
        "reason": "wrong_tube_scanned",
        "expected_seq": world.seq(tube),
    }
    return world.api.lab_tech.post(f"/specimens/{tube}/reverse", json=body)


def lifted(world: World, _tube: str) -> Any:
    thing = world.chance.choice([*world.racks, *world.boxes])
    return world.api.lab_tech.post(f"/storage-containers/{thing}/{world.chance.choice(['lift', 'put-back'])}", json={})


def carried(world: World, _tube: str) -> Any:
    thing, into = world.chance.choice([(world.racks, world.tanks), (world.boxes, world.racks)])
    return world.api.lab_tech.post(
        f"/storage-containers/{world.chance.choice(thing)}/move", json={"to": world.chance.choice(into)}
    )


def held(world: World, tube: str) -> Any:
    scope = world.chance.choice([("specimen", tube), ("container", world.chance.choice([*world.boxes, *world.tanks]))])
    body = {"scope_kind": scope[0], "scope_id": scope[1], "kind": "quality", "reason": "inspection"}
    answer = world.api.quality.post("/holds", json=body)
    world.holds.append(answer.json().get("id", ""))
    return answer


def freed(world: World, _tube: str) -> Any:
    hold = world.chance.choice(world.holds or ["00000000-0000-4000-8000-000000000000"])
    return sign_and_post(world.api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "looked_at"})


def decided(world: World, tube: str) -> Any:
    basis = world.chance.choice(["us_351_ind", "us_361", "undetermined"])
    body = {"basis": basis, "reason": "review", "expected_seq": world.seq(tube)}
    return sign_and_post(world.api.quality, "decided", f"/specimens/{tube}/basis", body)


def made_of_it(world: World, tube: str) -> Any:
    """Another tube of the same donor, made of this one now: what holds that one from now on may hold it too."""
    if len(world.tubes) < 6:
        donor = world.api.auditor.get(f"/specimens/{tube}").json()["donor"]
        world.tubes.append(a_tube(world.api, donor=donor))
        derive(world.api, donor, tube, world.tubes[-1])
    return world.api.auditor.get(f"/specimens/{tube}")


def warmed(world: World, _tube: str) -> Any:
    value = world.chance.choice([-50_000, -180_000, -180_000])
    body = {"reading": "temperature_mc", "value": value, "confirmed": True}
    return world.api.lab_tech.post(f"/storage-containers/{world.chance.choice(world.tanks)}/readings", json=body)


def assessed(world: World, _tube: str) -> Any:
    """Everything of an excursion is released, once it is over; what warms again afterwards is held again."""
    items = world.api.quality.get("/excursions").json()["items"]
    if not items:
        return world.api.quality.get("/excursions")
    return assess(world.api.quality, world.chance.choice(items)["code"])


ACTS: list[Callable[[World, str], Any]] = [
    *(put_away, put_away, put_away, put_away, checked_out, checked_out, checked_out_late, sampled, inspected, missed, found),
    *(undone, lifted, lifted, carried, held, freed, warmed, warmed, assessed, assessed, decided, made_of_it),
]


@pytest.mark.parametrize("seed", [SEED + n for n in range(HISTORIES)])
def test_projection_log_past_and_export_agree_on_a_random_history(api: Api, seed: int) -> None:
    world = World(api, random.Random(seed))
    world.build()
    for _ in range(STEPS):
        later(api, minutes=world.chance.choice([1, 2, 5]))
        world.step()
        if world.chance.random() < 0.4:
            world.note()
    later(api, minutes=1)
    world.note()

    world.compares()
    world.asks_again()

    assert sum(world.happened.values()) >= STEPS // 3, world.happened
