"""What a seal that nobody looked at, a late arrival and a class of cold mean for what travelled."""

from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.shipping.stories import now_of, refused, ship, shipped, tubes
from tests.shipping.test_journey_records import boxed
from tests.shipping.test_shipments import close_settled, holds_of, receive
from tests.storage.test_storing import a_box
from tests.withdrawals import stories as withdrawals


def test_what_lay_in_a_shipment_without_being_sent_is_held_once(api: Api) -> None:
    pair, stray = tubes(api, 2, frozen=True), tubes(api, 1, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour")

    for tube in pair:
        answer = receive(api, code, [tube, *stray])
        assert (answer.status_code, answer.json()["extra"]) == (200, stray), answer.text

    holds = api.quality.get(f"/specimens/{stray[0]}").json()["holds"]
    assert [(one["kind"], one["scope_id"]) for one in holds] == [("identity", stray[0])]
    assert [api.lab_tech.get(f"/specimens/{one}").json()["holds"] for one in pair] == [[], []]


@pytest.mark.parametrize("typed", [-150, 77_000, -250_000])
def test_a_temperature_that_can_hardly_be_right_is_asked_back_on_every_way_of_receiving(api: Api, typed: int) -> None:
    pair, back = tubes(api, 2, frozen=True), tubes(api, 1, frozen=True)
    code, other = (shipped(api, one, temperature_class="ln2_vapour") for one in (pair, back))
    by_hand = withdrawals.a_story(api).up_to("issue")
    returned: dict[str, Any] = {"reason": "too_warm", "temperature_mc": typed}

    refused(receive(api, code, pair, temperature_mc=typed), 409, "implausible_reading")
    refused(api.lab_tech.post(f"/shipments/{other}/refuse", json=returned), 409, "implausible_reading")
    refused(by_hand.receive(temperature_mc=typed), 409, "implausible_reading")

    assert now_of(api, pair[0])["state"] == now_of(api, back[0])["state"] == "in_transit"
    assert receive(api, code, pair, temperature_mc=typed, confirmed=True).status_code == 200
    assert api.lab_tech.post(f"/shipments/{other}/refuse", json=returned | {"confirmed": True}).status_code == 200
    assert by_hand.receive(temperature_mc=typed, confirmed=True).status_code == 200
    assert holds_of(api, code) == holds_of(api, other) == (["arrived_too_warm"] if typed > -200_000 else [])


def test_nobody_arrives_within_the_hold_time_by_stating_a_time(api: Api) -> None:
    compared, singly, back = (tubes(api, 1, frozen=True) for _ in range(3))
    due = rfc3339(clock.now() + timedelta(hours=2))
    codes = [shipped(api, one, temperature_class="ln2_vapour", cold_until=due) for one in (compared, singly, back)]
    withdrawals.later(api, hours=9)
    said = {"occurred_at": rfc3339(clock.now() - timedelta(hours=8)), "late_entry": True, "reason_text": "Written down later."}

    assert receive(api, codes[0], compared, **said).status_code == 200
    body = {
        "kind": "specimen.received",
        "site": "NORTH",
        "temperature_mc": -150_000,
        "expected_seq": now_of(api, singly[0])["seq"],
    } | said
    assert api.north_tech.post(f"/specimens/{singly[0]}/events", json=body).status_code == 201
    assert (
        api.lab_tech.post(
            f"/shipments/{codes[2]}/refuse", json={"reason": "not_home", "temperature_mc": -150_000} | said
        ).status_code
        == 200
    )

    assert [holds_of(api, code) for code in codes] == [["arrived_after_the_hold_time"]] * 3


def test_a_seal_that_nobody_looked_at_holds_what_travelled_until_quality_lifts_it(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", seal="S-1")

    answer = receive(api, code, pair, seal_intact=None)

    assert answer.status_code == 200, answer.text
    assert answer.json()["findings"] == ["seal_not_checked"] == holds_of(api, code)
    (hold,) = api.lab_tech.get(f"/specimens/{pair[1]}").json()["holds"]
    assert (hold["scope_id"], "issue" in hold["blocks"]) == (code, True)
    lifted = withdrawals.sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "looked_at"})
    assert lifted.status_code == 200, lifted.text
    assert [api.lab_tech.get(f"/specimens/{one}").json()["holds"] for one in pair] == [[], []]


def test_a_seal_that_was_looked_at_once_is_not_asked_for_again_and_no_receipt_goes_round_it(api: Api) -> None:
    twice, singly, back, bare = tubes(api, 2, frozen=True), *(tubes(api, 1, frozen=True) for _ in range(3))
    codes = [shipped(api, one, temperature_class="ln2_vapour", seal="S-1") for one in (twice, singly, back)]
    unsealed = shipped(api, bare, temperature_class="ln2_vapour")

    assert receive(api, codes[0], twice[:1]).json()["findings"] == []
    assert receive(api, codes[0], twice[1:], seal_intact=None).json()["findings"] == []
    assert receive(api, unsealed, bare, seal_intact=None).json()["findings"] == []
    body = {
        "kind": "specimen.received",
        "site": "NORTH",
        "temperature_mc": -150_000,
        "expected_seq": now_of(api, singly[0])["seq"],
    }
    assert api.north_tech.post(f"/specimens/{singly[0]}/events", json=body).status_code == 201
    assert (
        api.lab_tech.post(f"/shipments/{codes[2]}/refuse", json={"reason": "too_warm", "temperature_mc": -150_000}).status_code
        == 200
    )
    close_settled(api)

    assert [holds_of(api, code) for code in codes] == [[], ["seal_not_checked"], ["seal_not_checked"]]


def test_a_box_whose_seal_nobody_looked_at_holds_what_lies_in_it_once_it_arrived(api: Api) -> None:
    three = tubes(api, 3, frozen=True)
    code = boxed(api, three).json()["code"]

    first = receive(api, code, three[:1] + three[2:], boxes=[{"box": "1", "seal_intact": True}]).json()
    last = receive(api, code, three[1:2], boxes=[{"box": "2"}]).json()

    assert (first["unchecked_boxes"], first["broken_boxes"], last["unchecked_boxes"]) == ([], [], ["2"])
    assert (holds_of(api, code), holds_of(api, f"{code}_1"), holds_of(api, f"{code}_2")) == ([], [], ["seal_not_checked"])
    held = [[hold["scope_id"] for hold in api.lab_tech.get(f"/specimens/{one}").json()["holds"]] for one in three]
    assert held == [[], [f"{code}_2"], []]


def test_what_is_received_singly_is_held_at_once_where_nobody_looked_at_its_seal(api: Api) -> None:
    whole, three = tubes(api, 2, frozen=True), tubes(api, 3, frozen=True)
    sealed = shipped(api, whole, temperature_class="ln2_vapour", seal="S-1")
    boxes = boxed(api, three).json()["code"]

    for one in (whole[0], three[0]):
        body = {"kind": "specimen.received", "site": "NORTH", "temperature_mc": -150_000, "expected_seq": now_of(api, one)["seq"]}
        assert api.north_tech.post(f"/specimens/{one}/events", json=body).status_code == 201

    assert [holds_of(api, one) for one in (sealed, f"{boxes}_1", f"{boxes}_2")] == [
        ["seal_not_checked"],
        ["seal_not_checked"],
        [],
    ]
    # Who receives the rest says what the seal was; that lifts nothing.
    assert receive(api, sealed, whole[1:], seal="S-1", seal_intact=True).json()["findings"] == []
    assert holds_of(api, sealed) == ["seal_not_checked"]


def test_a_patients_unit_under_a_seal_that_nobody_looked_at_is_not_thawed(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    code = shipped(api, [story.vials[0]], to_site="CLINIC", temperature_class="ln2_vapour", seal="S-1")

    assert story.receive().status_code == 200

    assert holds_of(api, code) == ["seal_not_checked"]
    refused(story.thaw(), 409, "on_hold")


def test_frozen_material_travels_in_no_class_that_its_material_is_not_kept_in(api: Api) -> None:
    follicles = tubes(api, 1, frozen=True, material="intact_follicles")
    document = refused(ship(api, api.lab_tech, follicles, temperature_class="minus_80"), 409, "material_not_kept_there")
    assert document["temperature_class"] == "minus_80"
    refused(ship(api, api.lab_tech, follicles, temperature_class="fridge"), 409, "wrong_temperature_class")
    assert shipped(api, follicles, temperature_class="ln2_vapour")


@pytest.mark.parametrize(("read_mc", "found"), [(-60_000, ["arrived_too_warm"]), (-60_500, [])])
def test_frozen_material_without_a_class_is_held_at_the_warmest_it_may_be_kept_at(
    api: Api, read_mc: int, found: list[str]
) -> None:
    cells = tubes(api, 1, frozen=True, material="adsc")
    code = shipped(api, cells)

    assert receive(api, code, cells, temperature_mc=read_mc).json()["findings"] == found


def test_what_travels_is_judged_by_the_stricter_limits_of_the_sites(api: Api) -> None:
    classed, bare, follicles = (tubes(api, 1, frozen=True, material=one) for one in ("adsc", "adsc", "intact_follicles"))
    codes = [shipped(api, classed, temperature_class="minus_80"), shipped(api, bare), shipped(api, follicles)]
    of_class = {"site": "NORTH", "temperature_class": "minus_80", "highest_mc": -70_000}
    assert withdrawals.sign_and_post(api.quality, "decided", "/place-limits", of_class).status_code == 200

    arrived = [
        receive(api, code, one, temperature_mc=mc).json()["findings"]
        for code, one, mc in zip(codes, (classed, bare, follicles), (-65_000, -65_000, -75_000), strict=True)
    ]

    assert arrived == [["arrived_too_warm"]] * 3


def late_into_quarantine(api: Api, tube: str) -> Any:
    safe = a_box(api, name=f"Safe {tube}", site="NORTH", purpose="quarantine", temperature_class="ln2_vapour")
    return api.north_tech.post(f"/specimens/{tube}/store", json={"container": safe})


@pytest.mark.parametrize("way", ["store", "evacuate"])
def test_what_is_brought_into_the_cold_straight_from_the_road_is_judged_as_an_arrival(api: Api, way: str) -> None:
    (tube,) = tubes(api, 1, frozen=True)
    due = rfc3339(clock.now() + timedelta(hours=24))
    code = shipped(api, [tube], temperature_class="ln2_vapour", cold_until=due, seal="S-1")
    withdrawals.later(api, hours=120)

    if way == "store":
        answer = late_into_quarantine(api, tube)
    else:
        safe = a_box(api, kind="tank", name="Safe", site="NORTH", rows=None, cols=None, purpose="evacuation")
        answer = api.north_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [tube]})

    assert answer.status_code in (200, 201), answer.text
    assert holds_of(api, code) == ["arrived_after_the_hold_time", "seal_not_checked", "temperature_not_read"]


def test_frozen_material_of_which_nobody_read_how_cold_it_came_is_held_by_whichever_way_it_arrived(api: Api) -> None:
    ways = [tubes(api, 1, frozen=True) for _ in range(4)]
    codes = [shipped(api, one, temperature_class="ln2_vapour") for one in ways]
    once = tubes(api, 2, frozen=True)
    read = shipped(api, once, temperature_class="ln2_vapour")

    assert receive(api, codes[0], ways[0], temperature_mc=None).json()["findings"] == ["temperature_not_read"]
    body = {"kind": "specimen.received", "site": "NORTH", "expected_seq": now_of(api, ways[1][0])["seq"]}
    assert api.north_tech.post(f"/specimens/{ways[1][0]}/events", json=body).status_code == 201
    assert api.lab_tech.post(f"/shipments/{codes[2]}/refuse", json={"reason": "not_home"}).status_code == 200
    assert late_into_quarantine(api, ways[3][0]).status_code == 201
    assert receive(api, read, once[:1]).json()["findings"] == []
    assert receive(api, read, once[1:], temperature_mc=None).json()["findings"] == []

    assert [holds_of(api, code) for code in (*codes, read)] == [["temperature_not_read"]] * 4 + [[]]


def test_a_frozen_tube_sent_in_nothing_that_keeps_it_cold_goes_on_counting(api: Api) -> None:
    bare, cold = tubes(api, 1, frozen=True), tubes(api, 1, frozen=True)
    codes = shipped(api, bare, shipper=None), shipped(api, cold)
    withdrawals.later(api, hours=5)
    for code, one in zip(codes, (bare, cold), strict=True):
        assert receive(api, code, one).status_code == 200

    totals = [api.north_tech.get(f"/specimens/{one[0]}").json()["exposure"]["total_s"] for one in (bare, cold)]
    assert totals[0] >= 5 * 3600 and totals[1] < 600, totals


@pytest.mark.parametrize("alone", [False, True])
def test_a_corrected_arrival_is_asked_back_and_judged_as_if_it_had_been_said_at_once(api: Api, visit: Visit, alone: bool) -> None:
    (tube,) = tubes(api, 1, frozen=not alone)
    client, held, value = api.lab_tech, tube, 60_000
    if not alone:
        held = shipped(api, [tube], temperature_class="ln2_vapour")
        assert receive(api, held, [tube], temperature_mc=-180_000).status_code == 200
        client, value = api.north_tech, 18_000
    wrong = [one for one in client.get(f"/specimens/{tube}/custody").json()["items"] if one["kind"] == "specimen.received"][-1]
    body = {"corrects": wrong["leaf_hash"], "field": "temperature_mc", "value": value, "reason": "typed_wrong"}

    body |= {"expected_seq": now_of(api, tube)["seq"]}
    slip = body | {"value": 10 if alone else -180}
    asked = client.post(f"/specimens/{tube}/amend", json=slip)
    assert (asked.status_code, asked.json().get("code")) == (409, "implausible_reading"), asked.text
    page = visit("lab_tech" if alone else "north_tech")
    form = f"/specimens/{tube}/correct?corrects={wrong['leaf_hash']}"
    typed = {"temperature_mc": "0.01" if alone else "-0.18", "reason": "typed_wrong"}
    seen = {name: wrong["body"].get(name) for name in ("container_intact", "label_legible", "manifest_matches")}
    typed |= {name: str(value).lower() for name, value in seen.items() if value is not None}
    drawn = page.submit(f"/specimens/{tube}/correct", typed, draw=form)
    assert drawn.status_code == 409 and 'name="confirmed"' in drawn.text, drawn.text[-3000:]
    assert holds_of(api, held) == []

    answer = client.post(f"/specimens/{tube}/amend", json=body)

    assert answer.status_code == 201, answer.text
    assert holds_of(api, held) == ["arrived_too_warm"]
