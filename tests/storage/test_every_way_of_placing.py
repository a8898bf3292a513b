"""Every way of placing a tube × every rule about places: what a tube may not do, its box may not do either."""

from collections.abc import Callable
from typing import Any

import pytest

from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.foundation.errors import Refusal
from biobank.scanning.commands import Action
from biobank.scanning.committing import SeenTube, commit_list
from biobank.scanning.lists import Wanted
from biobank.specimens.events import Frozen, Thawed
from tests.conftest import Api
from tests.factories import fresh_code, make_donor, make_received
from tests.quality.test_cultures import grown
from tests.storage.test_storing import a_box, everyone
from tests.withdrawals.stories import by_two

FOLLICLES = {"material": "intact_follicles", "unit": "follicles"}
CELLS = {"material": "adsc", "unit": "cells"}


def a_tube(
    api: Api, *, frozen: bool = True, thawed: bool = False, cultured: bool = False, donor: str | None = None, **fields: Any
) -> str:
    """A received tube, frozen unless said otherwise, or frozen and thawed; or vessels of a culture."""
    if cultured:
        return str(grown(api, donor)["code"])
    act = everyone(api.test_bank)

    def work(session: Any) -> str:
        code = fresh_code("HF" if fields.get("material") == "intact_follicles" else "AD", 26)
        made = make_received(session, act, donor=donor or make_donor(session), code=code, **(CELLS | fields))
        if frozen:
            event = Frozen(programme="slow", cryoprotectant="dmso", cryoprotectant_contact_s=300)
            record(session, act, [Move(made, event, site="LAB")], NOW)
        if thawed:
            record(session, act, [Move(load(session, [made.code])[made.code], Thawed(method="bath"), site="LAB")], NOW)
        return made.code

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def seq_of(api: Api, code: str) -> int:
    return api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"]  # type: ignore[no-any-return]


def donor_of(api: Api, code: str) -> str:
    return api.lab_tech.get(f"/specimens/{code}").json()["donor"]  # type: ignore[no-any-return]


def keep_apart(api: Api, code: str) -> None:
    body = {"kept_apart": True, "reason": "reactive_result"}
    assert api.quality.post(f"/donors/{donor_of(api, code)}/isolation", json=body).status_code == 200


def _nothing() -> None:
    """Nothing happens before the tube is placed."""


def _apart(api: Api, tube: str) -> Callable[[], None]:
    return lambda: keep_apart(api, tube)


# Each way takes a tube, makes it ready, and places it in a tank or in the box in it: (status, code of refusal).
Way = Callable[[Api, str, str, str, Callable[[], None]], tuple[int, str | None]]


def _said(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def stored(api: Api, tube: str, _tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    first()
    return _said(api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)}))


def stored_with_the_slot_unknown(api: Api, tube: str, _tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    first()
    body = {"container": box, "slot_unknown": True, "expected_seq": seq_of(api, tube)}
    return _said(api.lab_tech.post(f"/specimens/{tube}/store", json=body))


def placed_in_a_batch(api: Api, tube: str, _tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    first()
    body = {"placements": [{"specimen": tube, "expected_seq": seq_of(api, tube)}]}
    return _said(api.lab_tech.post(f"/storage-containers/{box}/placements", json=body))


def moved(api: Api, tube: str, tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    start = a_box(api)
    assert stored(api, tube, "", start, _nothing)[0] == 201
    return stored(api, tube, tank, box, first)


def put_back_after_a_check_out(api: Api, tube: str, tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    start = a_box(api)
    assert stored(api, tube, "", start, _nothing)[0] == 201
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=out).status_code == 201
    return stored(api, tube, tank, box, first)


def recorded_from_a_scan_list(api: Api, tube: str, _tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    first()
    bank = api.test_bank
    act, seen = bank.act("lab_tech"), SeenTube(text=tube, seq=seq_of(api, tube))
    try:
        bank.write(lambda s: commit_list(s, act, Wanted(Action.STORE, place=box), [seen], bank.bank.settings))
    except Refusal as refusal:
        return refusal.status, refusal.code
    return 201, None


def its_box_moved(api: Api, tube: str, tank: str, _box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    start = a_box(api)
    assert stored(api, tube, "", start, _nothing)[0] == 201
    first()
    return _said(api.lab_tech.post(f"/storage-containers/{start}/move", json={"to": tank}))


def its_rack_moved(api: Api, tube: str, tank: str, _box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    rack = a_box(api, kind="rack", name="Rack", rows=None, cols=None)
    assert stored(api, tube, "", a_box(api, parent=rack), _nothing)[0] == 201
    first()
    return _said(api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": tank}))


def swapped_in_its_box(api: Api, tube: str, tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    """Two tubes of one box change places. What may not come in is not there to be swapped: how it comes in is the answer."""
    other = a_tube(api)
    for one in (tube, other):
        there = stored(api, one, tank, box, _nothing)
        if there[0] != 201:
            return there
    first()
    slots = {one["specimen"]: one["label"] for one in api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]}
    swap = [
        {"specimen": one, "position": slots[of], "expected_seq": seq_of(api, one)} for one, of in ((tube, other), (other, tube))
    ]
    return _said(api.lab_tech.post(f"/storage-containers/{box}/placements", json={"placements": swap}))


def put_back_by_undoing(api: Api, tube: str, tank: str, _box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    """A tube is moved out of a box, the empty box goes elsewhere, and the move is undone."""
    start, other = a_box(api, name="Start"), a_box(api, name="Other")
    for box in (start, other):
        assert stored(api, tube, "", box, _nothing)[0] == 201
    assert api.lab_tech.post(f"/storage-containers/{start}/move", json={"to": tank}).status_code == 200
    first()
    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    body = {"reverses": last["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": last["seq"]}
    return _said(api.lab_tech.post(f"/specimens/{tube}/reverse", json=body))


def recognised_in_an_item(api: Api, tube: str, _tank: str, box: str, first: Callable[[], None]) -> tuple[int, str | None]:
    """What stands there without a name is said, by two of quality, to be the tube that is missing."""
    frozen = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["condition"] == "frozen"
    for condition in ("fresh", "frozen") if frozen else ("frozen", "fresh"):
        found = api.lab_tech.post("/specimens/unidentified", json={"site": "LAB", "condition": condition})
        item = str(found.json()["specimen"])
        there = stored(api, item, "", box, _nothing)
        if there[0] == 201:
            break
    else:
        return there
    gone = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=gone).status_code == 201
    first()
    file = {"media_type": "text/plain", "content": "cHJvb2Y=", "site": "LAB"}
    evidence = api.quality.post("/attachments", json=file).json()["sha256"]
    path = f"/specimens/{item}/resolve"
    body = {"same_as": tube, "evidence_sha256": evidence, "expected_seq": seq_of(api, item)}
    return _said(by_two(api.quality, api.quality2, path, body))


TUBES: tuple[Way, ...] = (
    stored,
    stored_with_the_slot_unknown,
    placed_in_a_batch,
    moved,
    put_back_after_a_check_out,
    recorded_from_a_scan_list,
)
WAYS: tuple[Way, ...] = (
    *TUBES,
    its_box_moved,
    its_rack_moved,
    swapped_in_its_box,
    put_back_by_undoing,
    recognised_in_an_item,
)

# The rule: the tube, the tank it should not come into, whether its donor is kept apart, and the refusal.
RULES: dict[str, tuple[dict[str, Any], dict[str, Any], bool, str]] = {
    "a frozen vial into a fridge": ({}, {"temperature_class": "fridge"}, False, "wrong_temperature_class"),
    "a frozen vial at room temperature": ({}, {"temperature_class": "ambient"}, False, "wrong_temperature_class"),
    "thawed cells into nitrogen": ({"thawed": True}, {"temperature_class": "ln2_vapour"}, False, "wrong_temperature_class"),
    "fresh cells into what nobody gave a class": ({"frozen": False}, {}, False, "wrong_temperature_class"),
    "fresh cells into nitrogen": ({"frozen": False}, {"temperature_class": "ln2_vapour"}, False, "wrong_temperature_class"),
    "frozen follicles at -80": (FOLLICLES, {"temperature_class": "minus_80"}, False, "material_not_kept_there"),
    "culture vessels into a fridge": ({"cultured": True}, {"temperature_class": "fridge"}, False, "wrong_temperature_class"),
    "culture vessels into nitrogen": ({"cultured": True}, {"temperature_class": "ln2_vapour"}, False, "wrong_temperature_class"),
    "infectious among others": ({}, {"temperature_class": "ln2_vapour"}, True, "kept_apart"),
    "others among the infectious": ({}, {"temperature_class": "ln2_vapour", "isolated": True}, False, "kept_apart"),
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_place_refuses_by_every_way_what_may_not_stand_there(api: Api, way: Way) -> None:
    for rule, (fields, place, apart, code) in RULES.items():
        tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **place)
        box, tube = a_box(api, parent=tank), a_tube(api, **fields)

        answer = way(api, tube, tank, box, _apart(api, tube) if apart else _nothing)

        assert answer == (409, code), rule
        apart_from_others = way is not swapped_in_its_box or not apart
        inside = [one["code"] for one in api.lab_tech.get(f"/specimens?container={tank}").json()["items"]]
        assert (tube in inside) != apart_from_others, rule


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_quarantine_or_evacuation_place_takes_it_by_every_way(api: Api, way: Way) -> None:
    for rule, (fields, place, apart, _code) in RULES.items():
        tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, purpose="evacuation", **place)
        box, tube = a_box(api, parent=tank), a_tube(api, **fields)

        status, code = way(api, tube, tank, box, _apart(api, tube) if apart else _nothing)

        assert (status in (200, 201), code) == (True, None), rule
        inside = [one["code"] for one in api.lab_tech.get(f"/specimens?container={tank}").json()["items"]]
        assert tube in inside and len(inside) == (2 if way is swapped_in_its_box else 1), rule


def test_bringing_to_safety_refuses_nothing_and_says_what_is_wrong(api: Api) -> None:
    for rule, (fields, place, apart, _code) in RULES.items():
        tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, purpose="evacuation", **place)
        loose, boxed, box = a_tube(api, **fields), a_tube(api, **fields), a_box(api)
        assert stored(api, boxed, "", box, _nothing)[0] == 201
        for tube in (loose, boxed) if apart else ():
            keep_apart(api, tube)

        answer = api.lab_tech.post(f"/storage-containers/{tank}/evacuate", json={"scanned": [loose, box]})

        assert answer.status_code == 200, answer.text
        (item,), (container,) = answer.json()["items"], answer.json()["containers"]
        assert (item["specimen"], item["unidentified"], len(item["warnings"])) == (loose, False, 1), rule
        assert (container["container"], container["tubes"], len(container["warnings"])) == (box, 1, 1), rule
        assert boxed in container["warnings"][0]


def _mark(api: Api, box: str, **body: Any) -> Any:
    return api.lab_tech.post(f"/storage-containers/{box}/slots", json=body)


def _blocked(api: Api, box: str) -> None:
    body = {"positions": ["A1"], "mark": "blocked", "reason": "damaged"}
    assert _mark(api, box, **body).status_code == 200


def _kept(api: Api, box: str) -> None:
    other = donor_of(api, a_tube(api))
    assert _mark(api, box, positions=["A1"], mark="kept", kept_for=other).status_code == 200


def _taken(api: Api, box: str) -> None:
    assert stored(api, a_tube(api), "", box, _nothing)[0] == 201


SLOTS = {"blocked": (_blocked, "position_blocked"), "kept": (_kept, "position_kept"), "taken": (_taken, "position_occupied")}


def by_scan_list(api: Api, tube: str, box: str) -> tuple[int, str | None]:
    bank = api.test_bank
    seen = SeenTube(text=tube, well="A1", seq=seq_of(api, tube))
    try:
        bank.write(lambda s: commit_list(s, bank.act("lab_tech"), Wanted(Action.STORE, place=box), [seen], bank.bank.settings))
    except Refusal as refusal:
        return refusal.status, refusal.code
    return 201, None


@pytest.mark.parametrize("rule", SLOTS)
def test_a_slot_refuses_by_every_way_that_names_it(api: Api, rule: str) -> None:
    set_up, code = SLOTS[rule]
    box, tube, other = a_box(api, rows=1, cols=4), a_tube(api), a_tube(api)
    set_up(api, box)
    named = {"specimen": tube, "position": "A1", "expected_seq": seq_of(api, tube)}
    body = {"container": box, "position": "A1", "expected_seq": seq_of(api, tube)}
    assert _said(api.lab_tech.post(f"/specimens/{tube}/store", json=body)) == (409, code)
    assert _said(api.lab_tech.post(f"/storage-containers/{box}/placements", json={"placements": [named]})) == (409, code)
    assert by_scan_list(api, tube, box) == (409, code)
    for one in (tube, other):
        assert stored(api, one, "", box, _nothing)[0] == 201
    swap = [
        {"specimen": tube, "position": "A1", "expected_seq": seq_of(api, tube)},
        {"specimen": other, "position": "A2", "expected_seq": seq_of(api, other)},
    ]
    assert _said(api.lab_tech.post(f"/storage-containers/{box}/placements", json={"placements": swap})) == (409, code)


@pytest.mark.parametrize("way", TUBES, ids=lambda way: way.__name__)
def test_a_full_box_refuses_by_every_way_and_counts_those_whose_slot_is_unknown(api: Api, way: Way) -> None:
    box, tube = a_box(api, rows=1, cols=2), a_tube(api)
    assert stored_with_the_slot_unknown(api, a_tube(api), "", box, _nothing)[0] == 201
    _blocked(api, box)

    assert way(api, tube, "", box, _nothing) == (409, "container_full")


def test_a_slot_that_is_kept_goes_to_its_donors_tube_by_itself(api: Api) -> None:
    box, tube = a_box(api, rows=1, cols=3), a_tube(api)
    _mark(api, box, positions=["A3"], mark="kept", kept_for=donor_of(api, tube))

    mine = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)})
    other = a_tube(api)
    theirs = api.lab_tech.post(f"/specimens/{other}/store", json={"container": box, "expected_seq": seq_of(api, other)})

    assert mine.json()["items"][0]["label"] == "A3"
    assert theirs.json()["items"][0]["label"] == "A1"


def test_a_tube_whose_slot_is_unknown_gets_none_and_the_map_says_so(api: Api) -> None:
    box, tube = a_box(api), a_tube(api)

    answer = api.lab_tech.post(
        f"/specimens/{tube}/store", json={"container": box, "slot_unknown": True, "expected_seq": seq_of(api, tube)}
    )

    assert answer.status_code == 201, answer.text
    assert (answer.json()["items"][0]["position"], answer.json()["items"][0]["label"]) == (None, None)
    seen = api.lab_tech.get(f"/storage-containers/{box}/map").json()
    assert (seen["loose"], [slot["specimen"] for slot in seen["slots"]]) == ([tube], [None] * 9)
    custody = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]
    assert (custody["container"], custody["position"], custody["slot_unknown"]) == (box, None, True)
    both = {"container": box, "position": "A1", "slot_unknown": True, "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/store", json=both).status_code == 422


def test_a_slot_with_a_tube_is_not_blocked_and_an_opened_one_takes_tubes_again(api: Api) -> None:
    box, tube = a_box(api, rows=1, cols=1), a_tube(api)
    _blocked(api, box)
    assert _said(_mark(api, box, positions=["A1"], mark="blocked", reason="damaged")) == (409, "already_marked")
    assert _mark(api, box, positions=["A1"], mark="open").status_code == 200
    assert stored(api, tube, "", box, _nothing)[0] == 201

    answer = _mark(api, box, positions=["A1"], mark="blocked", reason="iced_up")

    assert _said(answer) == (409, "position_occupied")


def test_a_rack_and_a_tank_are_brought_to_safety_for_what_they_are(api: Api) -> None:
    safe = a_box(api, kind="tank", name="Evacuation", rows=None, cols=None, purpose="evacuation", temperature_class="ln2_vapour")
    tank = a_box(api, kind="tank", name="Failing", rows=None, cols=None, temperature_class="ln2_vapour")
    racks = [a_box(api, kind="rack", name=f"Rack {n}", rows=None, cols=None, parent=tank) for n in (1, 2, 3)]
    tubes = [a_tube(api) for _ in racks]
    for rack, tube in zip(racks, tubes, strict=True):
        assert stored(api, tube, "", a_box(api, parent=rack), _nothing)[0] == 201
    spilt = a_tube(api)
    assert stored_with_the_slot_unknown(api, spilt, "", tank, _nothing)[0] == 201

    one = api.lab_tech.post(
        f"/storage-containers/{safe}/evacuate", json={"scanned": [racks[0], f"HTTPS://BANK.EXAMPLE/S/{racks[0]}"]}
    )
    rest = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [tank, safe]})

    assert [(c["moved"], c["tubes"]) for c in one.json()["containers"]] == [([racks[0]], 1)]
    assert one.json()["items"] == []
    whole, itself = rest.json()["containers"]
    assert (whole["container"], sorted(whole["moved"]), whole["tubes"]) == (tank, sorted(racks[1:]), 3)
    assert (itself["container"], itself["tubes"]) == (safe, 0)
    held = api.lab_tech.get(f"/specimens?container={safe}").json()["items"]
    assert sorted(item["code"] for item in held) == sorted([*tubes, spilt])
    assert not [item for item in held if item["code"].startswith("UN")]


def test_a_misread_code_of_a_box_makes_no_tube(api: Api) -> None:
    box = a_box(api)
    tube = a_tube(api)
    safe = a_box(api, kind="tank", name="Safe", rows=None, cols=None, purpose="evacuation", temperature_class="ln2_vapour")
    misread = [code[:-1] + ("0" if code[-1] != "0" else "1") for code in (box, tube)]

    answer = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": misread}).json()

    assert [one["scanned"] for one in answer["not_taken"]] == misread[:1], "scanned again, the box comes"
    assert [(one["scanned"], one["unidentified"]) for one in answer["items"]] == [(misread[1], True)], "a tube is in the hand"


def test_the_slot_of_a_tube_is_taken_for_the_tube(api: Api) -> None:
    safe, box, tube = a_box(api, purpose="quarantine"), a_box(api), a_tube(api)
    assert stored(api, tube, "", box, _nothing)[0] == 201
    slot = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["position"]

    answer = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [slot]})

    assert [item["specimen"] for item in answer.json()["items"]] == [tube]


def test_a_box_is_as_cold_as_what_it_stands_in_and_holds_no_container(api: Api) -> None:
    fridge = a_box(api, kind="freezer", name="Fridge", rows=None, cols=None, temperature_class="fridge")
    box = a_box(api, temperature_class="ln2_vapour")
    tube = a_tube(api)
    assert stored(api, tube, "", box, _nothing)[0] == 201

    into = api.lab_tech.post(f"/storage-containers/{box}/move", json={"to": fridge})
    plan = {"site": "LAB", "kind": "box", "name": "Box", "parent": fridge, "temperature_class": "ln2_vapour"}
    added = api.admin.post("/storage-containers", json=plan)
    inside = api.lab_tech.post(f"/storage-containers/{fridge}/move", json={"to": box})

    assert _said(into) == (409, "wrong_temperature_class")
    assert tube in into.json()["detail"]
    assert _said(added) == (409, "wrong_temperature_class")
    assert _said(inside) == (409, "holds_tubes_only")


def test_only_quality_decides_who_is_kept_apart(api: Api) -> None:
    donor = donor_of(api, a_tube(api))
    body = {"kept_apart": True, "reason": "reactive_result"}

    assert _said(api.lab_tech.post(f"/donors/{donor}/isolation", json=body)) == (403, "not_permitted")
    assert api.quality.post(f"/donors/{donor}/isolation", json=body).status_code == 200
    assert _said(api.quality.post(f"/donors/{donor}/isolation", json=body)) == (409, "isolation_stands")
