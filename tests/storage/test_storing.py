"""Tubes and places, over HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.foundation.codes import format_code
from tests import seed
from tests.conftest import Api, TestBank
from tests.factories import make_box, make_donor, make_received
from tests.shipping.stories import now_of, tubes


def everyone(bank: TestBank) -> Act:
    """An act that may do everything, for setting the stage."""
    return Act.of(SYSTEM, bank.bank, path="test")


def a_box(api: Api, **fields: Any) -> str:
    act = api.test_bank.act("admin")
    return api.test_bank.write(lambda s: make_box(s, act, **fields).code)  # type: ignore[no-any-return]


def received(api: Api, count: int = 1, **fields: Any) -> list[str]:
    act = everyone(api.test_bank)

    def work(session: Any) -> list[str]:
        donor = make_donor(session)
        return [make_received(session, act, donor=donor, **fields).code for _ in range(count)]

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def test_a_tube_is_stored_in_the_next_free_place_and_the_map_shows_it(api: Api) -> None:
    box, (code,) = a_box(api), received(api)

    answer = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2})

    assert answer.status_code == 201, answer.text
    item = answer.json()["items"][0]
    assert (item["label"], item["state"], item["seq"]) == ("A1", "stored", 3)
    slots = api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]
    assert [s["specimen"] for s in slots] == [code] + [None] * 8


def test_an_occupied_position_is_refused_and_says_where_to_put_the_tube(api: Api) -> None:
    box, (first, second) = a_box(api), received(api, 2)
    api.lab_tech.post(f"/specimens/{first}/store", json={"container": box, "position": "B2", "expected_seq": 2})

    answer = api.lab_tech.post(f"/specimens/{second}/store", json={"container": box, "position": "b2", "expected_seq": 2})

    assert (answer.status_code, answer.json()["code"]) == (409, "position_occupied")
    assert "quarantine" in answer.json()["where_now"]
    attempts = api.auditor.get("/attempts", params={"subject": second}).json()["items"]
    assert [a["code"] for a in attempts] == ["position_occupied"]


def test_two_tubes_change_places_in_one_request(api: Api) -> None:
    box, (a, b) = a_box(api), received(api, 2)
    for code, slot in ((a, "A1"), (b, "C3")):
        api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "position": slot, "expected_seq": 2})

    answer = api.lab_tech.post(
        f"/storage-containers/{box}/placements",
        json={
            "placements": [
                {"specimen": a, "position": "C3", "expected_seq": 3},
                {"specimen": b, "position": "A1", "expected_seq": 3},
            ]
        },
    )

    assert answer.status_code == 201, answer.text
    slots = {s["label"]: s["specimen"] for s in api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]}
    assert (slots["A1"], slots["C3"]) == (b, a)


def test_a_checked_out_tube_finds_its_own_slot_again(api: Api) -> None:
    box, (a, b) = a_box(api, rows=1, cols=2), received(api, 2)
    api.lab_tech.post(f"/specimens/{a}/store", json={"container": box, "position": "A2", "expected_seq": 2})
    api.lab_tech.post(f"/specimens/{a}/events", json={"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": 3})

    stored = api.lab_tech.post(f"/specimens/{b}/store", json={"container": box, "expected_seq": 2})
    back = api.lab_tech.post(f"/specimens/{a}/store", json={"container": box, "expected_seq": 4})

    assert stored.json()["items"][0]["label"] == "A1"
    assert back.json()["items"][0]["label"] == "A2"


def test_a_full_box_refuses_the_next_tube(api: Api) -> None:
    box, (a, b) = a_box(api, rows=1, cols=1), received(api, 2)
    api.lab_tech.post(f"/specimens/{a}/store", json={"container": box, "expected_seq": 2})

    answer = api.lab_tech.post(f"/specimens/{b}/store", json={"container": box, "expected_seq": 2})

    assert (answer.status_code, answer.json()["code"], answer.json()["free"]) == (409, "container_full", 0)


def test_a_place_of_the_wrong_temperature_is_refused(api: Api) -> None:
    box, (code,) = a_box(api, temperature_class="ln2_vapour"), received(api)

    answer = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2})

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_temperature_class")


def test_a_quarantine_place_takes_known_unknown_and_foreign_tubes_even_when_full(api: Api) -> None:
    box = a_box(api, purpose="quarantine", rows=1, cols=1, temperature_class="ln2_vapour")
    (code,) = received(api)

    answer = api.lab_tech.post(
        f"/storage-containers/{box}/evacuate", json={"scanned": [code, "NOT OURS 17", "HTTPS://OTHER.EXAMPLE/S/X"]}
    )

    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [i["unidentified"] for i in items] == [False, True, True]
    assert items[0]["specimen"] == code
    assert [i["label"] for i in items] == ["A1", None, None]
    loose = api.lab_tech.get(f"/storage-containers/{box}/map").json()["loose"]
    assert sorted(loose) == sorted(i["specimen"] for i in items[1:])


def test_moving_a_box_moves_what_is_in_it_on_the_record(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank 2", rows=None, cols=None, temperature_class="fridge")
    box, (code,) = a_box(api), received(api)
    api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2})

    answer = api.lab_tech.post(f"/storage-containers/{box}/move", json={"to": tank})

    assert (answer.status_code, answer.json()["tubes"]) == (200, 1), answer.text
    history = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]
    assert history[-1]["kind"] == "specimen.carried_along"
    path = api.lab_tech.get(f"/storage-containers/{box}").json()["path"]
    assert path == ["LAB", "Tank 2", "Box"]


def test_a_box_cannot_be_put_into_itself(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None)
    box = a_box(api, parent=tank)

    answer = api.lab_tech.post(f"/storage-containers/{tank}/move", json={"to": box})

    assert (answer.status_code, answer.json()["code"]) == (409, "container_inside_itself")


def test_a_warm_reading_holds_everything_inside(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None)
    box, (code,) = a_box(api, parent=tank), tubes(api, 1, frozen=True)
    stored = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": now_of(api, code)["seq"]})
    assert stored.status_code == 201, stored.text

    fine = api.lab_tech.post(f"/storage-containers/{tank}/readings", json={"reading": "temperature_mc", "value": -185_000})
    warm = api.lab_tech.post(
        f"/storage-containers/{tank}/readings", json={"reading": "temperature_mc", "value": -120_000, "confirmed": True}
    )

    assert (fine.json()["excursion"], fine.json()["held"]) == (False, [])
    assert (warm.json()["excursion"], warm.json()["held"]) == (True, [code])
    assert [hold["scope_kind"] for hold in api.lab_tech.get(f"/specimens/{code}").json()["holds"]] == ["excursion"]


def test_a_count_names_what_is_missing_misplaced_and_unknown(api: Api) -> None:
    box, other, (a, b, c) = a_box(api), a_box(api), received(api, 3)
    for code, where in ((a, box), (b, box), (c, other)):
        api.lab_tech.post(f"/specimens/{code}/store", json={"container": where, "expected_seq": 2})

    answer = api.lab_tech.post("/counts", json={"container": box, "scanned": [a.lower(), c, "scribble"]})

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["missing"], body["misplaced"], body["extra"]) == ([b], [c], ["scribble"])


def test_a_technician_of_another_site_does_not_learn_that_the_box_exists(api: Api) -> None:
    box = a_box(api)

    assert api.north_tech.get(f"/storage-containers/{box}").status_code == 404
    assert api.north_tech.post("/counts", json={"container": box, "scanned": []}).status_code == 404


def test_of_64_concurrent_stores_into_9_free_places_9_succeed_in_9_places(
    bank: TestBank, workers: Callable[[int], list[str]], api: Api
) -> None:
    box, codes = a_box(api, rows=3, cols=3), received(api, 64)
    urls = workers(2)
    tokens = [bank.token(name) for name in ("lab_tech", "lab_tech2")]

    def store(number: int) -> httpx.Response:
        return httpx.post(
            f"{urls[number % 2]}/api/v1/specimens/{codes[number]}/store",
            json={"container": box, "expected_seq": 2},
            headers={"Authorization": f"Bearer {tokens[number // 2 % 2]}", "Idempotency-Key": uuid4().hex},
            timeout=60,
        )

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(store, range(64)))

    stored = [a for a in answers if a.status_code == 201]
    refused = [a for a in answers if a.status_code == 409]
    assert (len(stored), len(refused)) == (9, 55), [a.text for a in answers if a.status_code not in (201, 409)]
    assert len({a.json()["items"][0]["position"] for a in stored}) == 9
    assert {a.json()["code"] for a in refused} == {"container_full"}
    slots = api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]
    assert sorted(s["specimen"] for s in slots) == sorted(a.json()["items"][0]["specimen"] for a in stored)


def test_no_tube_is_made_of_a_code_that_stands_on_none(api: Api) -> None:
    box = a_box(api, purpose="quarantine", temperature_class="ln2_vapour")
    north, (code,) = a_box(api, site="NORTH"), received(api)
    ours = a_box(api)
    slot = api.lab_tech.get(f"/storage-containers/{ours}/map").json()["slots"][0]["position"]
    badge, shipment = seed.USERS["lab_tech"].code, format_code("SH", None, 77)
    command = format_code("CM", None, 3)
    scanned = [badge, command, shipment, slot, north, code]

    answer = api.lab_tech.post(f"/storage-containers/{box}/evacuate", json={"scanned": scanned})

    assert answer.status_code == 200, answer.text
    assert [one["specimen"] for one in answer.json()["items"]] == [code]
    said = {one["scanned"]: one["warning"] for one in answer.json()["not_taken"]}
    assert list(said) == scanned[:-1]
    assert "no tube is recorded" in said[slot] and "no place that you may record" in said[north]
    assert len(api.lab_tech.get("/specimens", params={"container": box}).json()["items"]) == 1
    nothing = api.lab_tech.post(f"/storage-containers/{box}/evacuate", json={"scanned": [badge]})
    assert (nothing.status_code, len(nothing.json()["not_taken"])) == (200, 1), nothing.text
