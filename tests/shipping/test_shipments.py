"""Shipments over HTTP: packed, underway, compared with the manifest, refused, closed."""

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from biobank.acts.timers import TIMERS
from biobank.custody.queries import stream_history
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.today import read_tasks
from biobank.shipping.arrivals import close_settled_shipments
from tests import seed
from tests.conftest import Api
from tests.factories import fresh_code
from tests.shipping.stories import EVERYONE, kinds_of, now_of, offer, offered, refused, ship, shipped, stage, tubes
from tests.storage.test_storing import a_box
from tests.withdrawals import stories as withdrawals
from tests.withdrawals.test_races import at_once


def receive(api: Api, code: str, scanned: list[str], **more: Any) -> Any:
    body = {"scanned": [{"specimen": s} for s in scanned], "seal_intact": True, "temperature_mc": -150_000} | more
    return api.north_tech.post(f"/shipments/{code}/receive", json=body)


def close_settled(api: Api) -> int:
    return api.test_bank.write(lambda s: close_settled_shipments(s, stage(api.test_bank)))  # type: ignore[no-any-return]


def test_a_shipment_takes_specimens_from_one_site_to_another(api: Api) -> None:
    pair = tubes(api, 2)
    refused(api.north_tech.get(f"/specimens/{pair[0]}/custody"), 404, "not_found")

    answer = ship(api, api.lab_tech, pair, temperature_class="fridge")

    assert answer.status_code == 201, answer.text
    code = answer.json()["code"]
    assert (answer.json()["status"], answer.json()["underway"], answer.json()["shipper"]) == ("in_transit", 2, seed.SHIPPER)
    assert kinds_of(api, "shipment", code) == ["shipment.created", "shipment.packed"]
    for tube in pair:
        now = now_of(api, tube)
        assert (now["state"], now["custodian_kind"], now["custodian_id"]) == ("in_transit", "courier", "CRYOGO")
        assert (now["shipment_code"], now["site_code"]) == (code, "NORTH")
    # The people of the destination may know of it from now on.
    assert api.north_tech.get(f"/specimens/{pair[0]}/custody").status_code == 200
    assert [s["code"] for s in api.north_tech.get("/shipments", params={"status": "in_transit"}).json()["items"]] == [code]

    arrival = receive(api, code, pair, temperature_mc=5_000).json()

    assert (arrival["received"], arrival["missing"], arrival["extra"], arrival["unknown"]) == (pair, [], [], 0)
    assert (arrival["status"], arrival["underway"]) == ("closed", 0)
    for tube in pair:
        now = now_of(api, tube)
        assert (now["state"], now["custodian_id"], now["shipment_code"]) == ("received", EVERYONE["north_tech"], None)
    assert kinds_of(api, "shipment", code)[2:] == ["shipment.received", "shipment.closed"]
    refused(receive(api, code, pair), 409, "shipment_closed")


def test_a_missing_tube_keeps_the_shipment_open_until_it_is_found_or_given_up(api: Api) -> None:
    first, second, third = tubes(api, 3)
    code = shipped(api, [first, second, third])

    arrival = receive(api, code, [first]).json()

    assert (arrival["received"], arrival["missing"], arrival["status"]) == ([first], sorted([second, third]), "in_transit")
    assert now_of(api, second)["state"] == "in_transit"
    later = receive(api, code, [first, second]).json()
    assert (later["received"], later["missing"], later["status"]) == ([second], [third], "in_transit")
    lost = {"kind": "specimen.missing", "reason": "not_in_the_shipper", "expected_seq": now_of(api, third)["seq"]}
    assert api.north_tech.post(f"/specimens/{third}/events", json=lost).status_code == 201
    assert api.lab_tech.get(f"/shipments/{code}").json()["status"] == "nothing_underway"

    assert close_settled(api) == 1
    assert close_settled(api) == 0

    assert api.lab_tech.get(f"/shipments/{code}").json()["status"] == "closed"
    last = api.test_bank.write(lambda s: _last_body(s, code))
    assert last == {"unaccounted": [third]}
    # It is in nobody's shipment now; the courier answers for it until somebody finds it or quality gives it up.
    gone = now_of(api, third)
    assert (gone["state"], gone["shipment_code"], gone["custodian_kind"]) == ("missing", None, "courier")
    turned_up = {"kind": "specimen.found", "site": "LAB", "expected_seq": gone["seq"]}
    assert api.lab_tech.post(f"/specimens/{third}/events", json=turned_up).status_code == 201
    found = now_of(api, third)
    assert (found["state"], found["site_code"], found["shipment_code"]) == ("received", "LAB", None)
    assert (found["custodian_kind"], found["custodian_id"]) == ("user", EVERYONE["lab_tech"])
    assert api.lab_tech.get(f"/shipments/{code}").json()["status"] == "closed"
    assert "close_settled_shipments" in TIMERS


def _last_body(session: Any, code: str) -> Any:
    return stream_history(session, "shipment", code).items[-1].body


def test_what_is_not_on_the_manifest_is_named_and_not_received(api: Api) -> None:
    sent, stray = tubes(api, 2)
    code = shipped(api, [sent])

    arrival = receive(api, code, [sent, stray, "Jane Doe's tube", fresh_code("BX")]).json()

    assert (arrival["received"], arrival["extra"], arrival["unknown"]) == ([sent], [stray], 2)
    assert now_of(api, stray)["state"] == "received"
    assert now_of(api, stray)["site_code"] == "LAB"
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        (entries,) = connection.execute(
            "SELECT string_agg(convert_from(entry, 'UTF8'), ' ') FROM event WHERE stream_kind = 'shipment'"
        ).fetchone() or ("",)
    assert "Jane" not in entries


def test_what_arrives_damaged_or_unreadable_is_held_with_its_receipt(api: Api) -> None:
    broken, torn, sound = tubes(api, 3)
    code = shipped(api, [broken, torn, sound])
    scanned = [
        {"specimen": broken, "container_intact": False},
        {"specimen": torn, "label_legible": False},
        {"specimen": sound},
    ]

    arrival = api.north_tech.post(f"/shipments/{code}/receive", json={"scanned": scanned}).json()

    assert arrival["held"] == sorted([broken, torn])
    for tube in (broken, torn):
        assert kinds_of(api, "specimen", tube)[-2:] == ["specimen.received", "specimen.hold_placed"]
    assert kinds_of(api, "specimen", sound)[-1] == "specimen.received"


def test_frozen_tubes_travel_cold_only(api: Api) -> None:
    (vial,) = tubes(api, frozen=True)

    document = refused(ship(api, api.lab_tech, [vial], temperature_class="ambient"), 409, "wrong_temperature_class")

    assert document["subject"] == vial
    assert now_of(api, vial)["state"] == "received"
    code = shipped(api, [vial], temperature_class="ln2_vapour")
    assert receive(api, code, [vial]).json()["received"] == [vial]
    assert now_of(api, vial)["condition"] == "frozen"


def test_only_the_one_who_holds_it_ships_it(api: Api) -> None:
    (code,) = tubes(api)

    refused(ship(api, api.lab_tech2, [code]), 403, "not_the_custodian")
    name = offered(api, [code])
    assert api.lab_tech2.post(f"/handovers/{name}/accept", json={}).status_code == 200
    refused(ship(api, api.lab_tech, [code]), 403, "not_the_custodian")
    assert ship(api, api.lab_tech2, [code]).status_code == 201


def test_a_courier_holds_nothing_without_evidence_unless_it_holds_it_already(api: Api) -> None:
    one, two = tubes(api, 2)
    refused(ship(api, api.lab_tech, [one], evidence=None), 409, "courier_evidence_required")
    name = offer(api, api.lab_tech, [two], "courier", "CRYOGO").json()["id"]
    assert api.lab_tech.post(f"/handovers/{name}/accept", json={"evidence": "CG 1"}).status_code == 200

    refused(ship(api, api.lab_tech, [two], courier="OTHERS"), 403, "not_the_custodian")
    assert ship(api, api.lab_tech, [two], evidence=None).status_code == 201


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to_site": "LAB"}, 409, "wrong_destination"),
        ({"to_site": "MOON"}, 404, "not_found"),
        ({"from_site": "NORTH", "to_site": "LAB"}, 403, "not_permitted"),
        ({"colour": "red"}, 422, "malformed_request"),
    ],
)
def test_a_journey_that_cannot_be_is_refused(api: Api, changes: dict[str, Any], status: int, code: str) -> None:
    refused(ship(api, api.lab_tech, tubes(api), **changes), status, code)


def test_a_specimen_somewhere_else_or_in_its_box_is_not_shipped(api: Api) -> None:
    (elsewhere,) = tubes(api, holder="clinician", site="CLINIC")
    refused(ship(api, api.lab_tech, [elsewhere]), 409, "not_at_that_site")
    (stored,) = tubes(api)
    withdrawals.put_away(api, stored)

    document = refused(ship(api, api.lab_tech, [stored]), 409, "illegal_transition")

    assert document["where_now"]


def test_all_or_none_of_a_shipment_leaves_and_each_line_says_what_was_seen(api: Api) -> None:
    one, two = tubes(api, 2)
    lines = [{"specimen": one, "expected_seq": now_of(api, one)["seq"]}, {"specimen": two, "expected_seq": 1}]

    refused(ship(api, api.lab_tech, [one], specimens=lines), 409, "stale_sequence")
    refused(ship(api, api.lab_tech, [one], specimens=[{"specimen": one}]), 428, "expected_seq_required")

    assert now_of(api, one)["state"] == "received"
    assert api.lab_tech.get("/shipments").json()["items"] == []


def test_two_shipments_of_one_tube_at_once_are_one_success_and_one_conflict(api: Api) -> None:
    (code,) = tubes(api)
    client, seq = api.lab_tech, now_of(api, code)["seq"]
    lines = [{"specimen": code, "expected_seq": seq}]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: ship(api, client, [code], specimens=lines), range(2)))

    assert sorted(a.status_code for a in answers) == [201, 409]
    assert kinds_of(api, "specimen", code).count("specimen.dispatched") == 1


def test_a_refused_shipment_is_back_in_the_senders_hands(api: Api) -> None:
    pair = tubes(api, 2)
    code = shipped(api, pair)
    refused(api.north_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm"}), 403, "not_permitted")

    part = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", "specimens": pair[:1]})
    assert (part.status_code, part.json()["status"], part.json()["underway"]) == (200, "in_transit", 1), part.text
    refused(
        api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", "specimens": pair[:1]}), 409, "not_underway"
    )
    rest = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", "container_intact": False})

    assert (rest.status_code, rest.json()["status"]) == (200, "closed"), rest.text
    for tube in pair:
        now = now_of(api, tube)
        assert (now["state"], now["site_code"], now["custodian_id"]) == ("received", "LAB", EVERYONE["lab_tech"])
        assert now["shipment_code"] is None
    assert kinds_of(api, "specimen", pair[1])[-2:] == ["specimen.refused", "specimen.hold_placed"]


def test_a_single_tube_may_be_received_by_itself(api: Api) -> None:
    (tube,) = tubes(api)
    code = shipped(api, [tube])
    body = {"kind": "specimen.received", "site": "NORTH", "expected_seq": now_of(api, tube)["seq"]}

    assert api.north_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201

    assert close_settled(api) == 1
    assert api.north_tech.get(f"/shipments/{code}").json()["status"] == "closed"


def test_strangers_do_not_know_of_a_shipment(api: Api) -> None:
    code = shipped(api, tubes(api))

    refused(api.other_clinician.get(f"/shipments/{code}"), 404, "not_found")
    refused(api.other_clinician.post(f"/shipments/{code}/receive", json={"scanned": []}), 404, "not_found")
    refused(api.lab_tech.post(f"/shipments/{code}/receive", json={"scanned": []}), 403, "not_permitted")
    assert api.other_clinician.get("/shipments").json()["items"] == []
    assert api.auditor.get(f"/shipments/{code}").status_code == 200
    refused(api.auditor.post(f"/shipments/{code}/receive", json={"scanned": []}), 403, "not_permitted")


def test_issued_tubes_travel_and_arrive_through_their_withdrawal(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    vial = story.vials[0]
    refused(ship(api, api.lab_tech, [vial]), 409, "wrong_destination")
    code = shipped(api, [vial], to_site="CLINIC", temperature_class="ln2_vapour")
    assert api.clinician.get(f"/withdrawals/{story.code}").json()["state"] == "in_transit"
    line = api.clinic_staff.get(f"/shipments/{code}").json()["manifest"][0]
    assert (line["underway"], line["issued_for"]) == (True, story.code)

    scanned = {"scanned": [{"specimen": vial}]}
    document = refused(api.clinic_staff.post(f"/shipments/{code}/receive", json=scanned), 409, "arrives_with_its_withdrawal")
    assert document["withdrawal"] == story.code
    answer = story.receive()

    assert answer.status_code == 200, answer.text
    assert (now_of(api, vial)["state"], now_of(api, vial)["shipment_code"]) == ("delivered", None)
    assert close_settled(api) == 1
    assert api.clinic_staff.get(f"/shipments/{code}").json()["status"] == "closed"


def test_a_tube_held_after_its_issue_does_not_leave(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    vial = story.vials[0]
    hold = {"kind": "identity", "scope_kind": "specimen", "scope_id": vial, "reason": "label_unclear"}
    placed = api.lab_tech.post("/holds", json=hold)
    assert placed.status_code == 201, placed.text

    refused(ship(api, api.lab_tech, [vial], to_site="CLINIC"), 409, "on_hold")
    assert now_of(api, vial)["state"] == "issued"


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE handover SET to_id = 'US-0000000'", "offered once"),
        ("UPDATE handover SET accepted_by = offered_by, accepted_at = now(), ended_at = now()", "user_accepts_in_person"),
        ("DELETE FROM handover", "refused"),
        ("UPDATE shipment SET to_site = 'OTHER'", "leaves once"),
        ("UPDATE shipment_item SET issued_for = NULL", "refused"),
        ("DELETE FROM shipment_item", "refused"),
    ],
)
def test_the_database_keeps_what_was_agreed(api: Api, statement: str, rule: str) -> None:
    one, two = tubes(api, 2)
    offered(api, [one])
    shipped(api, [two])

    with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.Error) as error:
        connection.execute(statement)

    assert rule in str(error.value)


def holds_of(api: Api, shipment: str) -> list[str]:
    items = api.quality.get("/holds", params={"scope": shipment}).json()["items"]
    return sorted(one["reason"] for one in items)


def test_what_is_wrong_on_arrival_holds_everything_that_travelled_once(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    due = rfc3339(clock.now() + timedelta(hours=10))
    sent = ship(
        api, api.lab_tech, pair, temperature_class="ln2_vapour", seal="S-1", cold_until=due, expected_by=due, charge_g=4500
    )
    code = sent.json()["code"]
    withdrawals.later(api, hours=11)
    quarantine = a_box(api, site="NORTH", purpose="quarantine")
    body = {
        "scanned": [{"specimen": pair[0], "label_legible": False}, {"specimen": pair[1]}],
        "seal": "S-2",
        "temperature_mc": -60_000,
    }

    arrival = api.north_tech.post(f"/shipments/{code}/receive", json=body).json()

    assert arrival["findings"] == [
        "seal_broken",
        "arrived_too_warm",
        "arrived_after_the_hold_time",
        "travelled_with_an_unlabelled_tube",
    ]
    assert arrival["quarantine"] == [quarantine]
    assert holds_of(api, code) == sorted(arrival["findings"])
    companion = api.lab_tech.get(f"/specimens/{pair[1]}").json()["holds"]
    assert {one["kind"] for one in companion} == {"quality", "temperature", "identity"}


def test_a_tube_received_by_itself_or_sent_back_says_as_much_of_what_travelled_with_it(api: Api) -> None:
    due = rfc3339(clock.now() + timedelta(hours=10))
    first, second = tubes(api, 2, frozen=True), tubes(api, 2, frozen=True)
    there = ship(api, api.lab_tech, first, temperature_class="ln2_vapour", cold_until=due).json()["code"]
    back = ship(api, api.lab_tech, second, temperature_class="ln2_vapour").json()["code"]
    withdrawals.later(api, hours=11)
    seen = {"temperature_mc": -60_000, "label_legible": False}
    body = {"kind": "specimen.received", "site": "NORTH", "expected_seq": now_of(api, first[0])["seq"]} | seen

    assert api.north_tech.post(f"/specimens/{first[0]}/events", json=body).status_code == 201
    for _ in range(2):
        returned = {"reason": "too_warm", "specimens": [second.pop()]} | seen
        assert api.lab_tech.post(f"/shipments/{back}/refuse", json=returned).status_code == 200

    warm_and_nameless = ["arrived_too_warm", "travelled_with_an_unlabelled_tube"]
    assert holds_of(api, there) == sorted(["arrived_after_the_hold_time", *warm_and_nameless])
    assert holds_of(api, back) == warm_and_nameless
    assert kinds_of(api, "specimen", first[0])[-2:] == ["specimen.received", "specimen.hold_placed"]


def test_two_receipts_of_one_shipment_at_one_moment_place_each_hold_once(api: Api) -> None:
    for _ in range(4):
        pair = tubes(api, 2, frozen=True)
        code = shipped(api, pair, temperature_class="ln2_vapour")
        seen = {"kind": "specimen.received", "site": "NORTH", "temperature_mc": -60_000, "label_legible": False}
        bodies = {one: seen | {"expected_seq": now_of(api, one)["seq"]} for one in pair}
        client = api.north_tech
        calls = [partial(client.post, f"/specimens/{one}/events", json=body) for one, body in bodies.items()]

        assert [answer.status_code for answer in at_once(*calls)] == [201, 201]

        assert holds_of(api, code) == ["arrived_too_warm", "travelled_with_an_unlabelled_tube"]


def test_issued_tubes_are_judged_on_their_arrival_and_compared_with_their_manifest(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    code = shipped(api, [story.vials[0]], to_site="CLINIC", temperature_class="ln2_vapour", seal="S-1")

    answer = story.receive(seal="S-2", temperature_mc=-60_000)

    assert answer.status_code == 200, answer.text
    assert holds_of(api, code) == ["arrived_too_warm", "seal_broken"]
    body = api.test_bank.write(lambda s: _last_body(s, code))
    assert (body["received"], body["missing"], body["seal"]) == (story.vials[:1], [], "S-2")
    assert body["findings"] == ["seal_broken", "arrived_too_warm"]


def test_a_sound_arrival_holds_nothing_and_one_that_is_overdue_is_a_task_at_both_ends(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    due = rfc3339(clock.now() + timedelta(hours=10))
    sent = ship(api, api.lab_tech, pair, temperature_class="ln2_vapour", seal="S-1", expected_by=due)
    code = sent.json()["code"]

    def tasks(who: str) -> list[tuple[str, str]]:
        actor, bank = api.test_bank.actor(who), api.test_bank.bank
        return api.test_bank.write(lambda s: [(t.urgency, t.what) for t in read_tasks(s, actor, bank) if t.subject == code])  # type: ignore[no-any-return]

    assert (tasks("north_tech"), tasks("lab_tech")) == ([("expected", "Receive a shipment")], [])
    withdrawals.later(api, hours=11)
    assert tasks("north_tech") == [("overdue", "Receive a shipment")]
    assert tasks("lab_tech") == [("overdue", "A shipment is overdue: ask the courier")]
    arrival = receive(api, code, pair, seal="S-1", seal_intact=True, temperature_mc=-180_000).json()
    assert (arrival["findings"], arrival["held"], holds_of(api, code)) == ([], [], [])


def test_a_shipment_is_not_due_before_it_leaves(api: Api) -> None:
    due = rfc3339(clock.now() - timedelta(hours=1))
    refused(ship(api, api.lab_tech, tubes(api, 1), expected_by=due), 409, "arrives_before_it_leaves")


@pytest.mark.parametrize("member", ["expected_by", "cold_until"])
def test_no_slip_in_a_date_keeps_a_shipment_from_being_overdue(api: Api, member: str) -> None:
    far = {member: rfc3339(clock.now() + timedelta(days=15))}
    refused(ship(api, api.lab_tech, tubes(api, 1), **far), 409, "too_long_underway")


def test_the_loggers_file_is_kept_read_and_judged_on_arrival_and_a_hash_of_no_file_is_refused(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour")
    left = clock.now()
    withdrawals.later(api, hours=3)

    def file(start: datetime, *values: str) -> str:
        rows = [f"{start + timedelta(minutes=30 * n):%d.%m.%Y;%H:%M:%S};{value}" for n, value in enumerate(values)]
        text = "\n".join(["Time zone;UTC+00:00", "Date;Time;Temp °C", *rows])
        body = {"media_type": "text/csv", "content": b64encode(text.encode()).decode(), "site": "NORTH"}
        return str(api.north_tech.post("/attachments", json=body).json()["sha256"])

    def arrive(sha256: str, **more: Any) -> Any:
        return receive(api, code, pair, logger_sha256=sha256, **more)

    refused(arrive("00" * 32), 409, "attachment_unknown")
    refused(arrive(file(left - timedelta(days=9), "-190", "-189")), 409, "logger_of_another_time")
    assert now_of(api, pair[0])["state"] == "in_transit"

    # It was cold when it was opened, and was not on the way. What the logger read before it left says nothing.
    whole = ["+21,5", "-185,0", "-90,0", "-186,5", "-186,0", "-186,0", "-186,0"]
    answer = arrive(file(left - timedelta(minutes=20), *whole))

    assert answer.status_code == 200, answer.text
    assert answer.json()["findings"] == ["arrived_too_warm"]
    assert {one["kind"] for one in api.lab_tech.get(f"/specimens/{pair[1]}").json()["holds"]} == {"temperature"}
    events = api.test_bank.write(lambda s: stream_history(s, "shipment", code).items)
    (body,) = [one.body for one in events if one.kind == "shipment.received"]
    assert (body["logged_lowest_mc"], body["logged_highest_mc"]) == (-186_500, -90_000)
