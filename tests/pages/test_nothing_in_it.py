"""A list of scans left empty says nothing: that a place or a shipment holds no tube is said by a tick."""

import pytest

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.shipping import stories as shipping
from tests.storage.test_exposure import a_stored_tube

TICK = {"nothing_in_it": "yes"}


def test_a_count_of_nothing_is_said_and_never_left_out(api: Api, visit: Visit) -> None:
    tube, box = a_stored_tube(api)
    page, address = visit("lab_tech"), f"/storage/{box}/count"

    left_empty = page.submit(address, {})
    both = page.submit(address, TICK | {"scanned": tube})

    assert left_empty.status_code == 422 and "when there is none, tick that below" in left_empty.text
    assert both.status_code == 422 and "Something was scanned" in both.text and tube in both.text.partition("<textarea")[2]
    assert api.lab_tech.get("/counts").json()["items"] == []
    assert "Counted: 0 tubes" in page.submit(address, TICK).text
    assert [one["container"] for one in api.lab_tech.get("/counts").json()["items"]] == [box]


def test_a_comparison_with_nothing_is_said_and_never_left_out(api: Api, visit: Visit) -> None:
    tube, box = a_stored_tube(api)
    page, address = visit("lab_tech"), f"/storage/{box}/compare"
    left_empty = page.submit(address, {})
    assert left_empty.status_code == 422 and "not scanned" not in left_empty.text
    said = page.submit(address, TICK)
    assert said.status_code == 200 and "1 not scanned" in said.text and tube in said.text


def test_a_shipment_in_which_nothing_arrived_is_said_so(api: Api, visit: Visit) -> None:
    (tube,) = shipping.tubes(api, 1, frozen=True)
    address = f"/shipments/{shipping.shipped(api, [tube])}/receive"
    page = visit("north_tech")

    left_empty = page.submit(address, {"seal_intact": "true"})
    assert left_empty.status_code == 422 and "when there is none, tick that below" in left_empty.text
    said = page.submit(address, TICK | {"seal_intact": "true"})

    assert said.status_code == 200 and "Missing" in said.text and tube in said.text
    assert shipping.now_of(api, tube)["state"] == "in_transit"


@pytest.mark.parametrize("reason", ["", "because"])
def test_who_declines_a_hand_over_says_why_and_takes_nothing_back(api: Api, visit: Visit, reason: str) -> None:
    codes = shipping.tubes(api, 1)
    handover = shipping.offered(api, codes)
    address = f"/handovers/{handover}"

    answer = visit("lab_tech2").submit(f"{address}/decline", {"reason": reason}, draw=address)

    assert answer.status_code == 422 and "Why not: choose one of the list." in answer.text
    assert api.lab_tech.get(address).json()["status"] == "offered"


def test_who_offered_takes_it_back_without_a_reason(api: Api, visit: Visit) -> None:
    handover = shipping.offered(api, shipping.tubes(api, 1))
    address = f"/handovers/{handover}"
    visit("lab_tech").submit(f"{address}/decline", {}, draw=address)
    assert api.lab_tech.get(address).json()["decline_reason"] == "taken_back"
