"""What one tube says that is received by itself: of another site than it was sent to, of a temperature that can hardly be."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.shipping.stories import now_of, refused, shipped, tubes
from tests.shipping.test_shipments import holds_of
from tests.withdrawals.stories import later


def test_what_is_received_at_another_site_than_it_was_sent_to_is_held(api: Api, visit: Visit) -> None:
    (tube,) = tubes(api, 1, frozen=True)
    code = shipped(api, [tube], temperature_class="ln2_vapour")
    later(api, minutes=30)
    received = {"kind": "specimen.received", "site": "LAB", "temperature_mc": -150_000, "expected_seq": now_of(api, tube)["seq"]}

    answer = api.lab_tech.post(f"/specimens/{tube}/events", json=received)

    assert answer.status_code == 201, answer.text
    assert "arrived_elsewhere" in holds_of(api, code)
    told = api.lab_tech.get(f"/shipments/{code}").json()
    assert (told["status"], told["elsewhere"]) == ("nothing_underway", True)
    (listed,) = api.lab_tech.get("/shipments").json()["items"]
    assert (listed["status"], listed["elsewhere"]) == ("nothing_underway", True)
    assert "came to another site than it was sent to" in visit("lab_tech").get_page(f"/shipments/{code}")


def test_what_is_missing_did_not_arrive_and_what_came_where_it_was_sent_is_not_elsewhere(api: Api) -> None:
    first, second = tubes(api, 2, frozen=True)
    codes = [shipped(api, [one], temperature_class="ln2_vapour") for one in (first, second)]
    lost = {"kind": "specimen.missing", "reason": "not_in_the_shipper", "expected_seq": now_of(api, first)["seq"]}
    came = {"kind": "specimen.received", "site": "NORTH", "temperature_mc": -150_000, "expected_seq": now_of(api, second)["seq"]}
    for tube, body in ((first, lost), (second, came)):
        assert api.north_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201

    for code in codes:
        told = api.lab_tech.get(f"/shipments/{code}").json()
        assert (told["status"], told["elsewhere"]) == ("nothing_underway", False)


@pytest.mark.parametrize("way", ["event", "batch"])
def test_a_slip_in_the_temperature_of_a_single_arrival_is_asked_back(api: Api, way: str) -> None:
    (tube,) = tubes(api, 1, frozen=True)
    code = shipped(api, [tube], temperature_class="ln2_vapour")
    one = {"kind": "specimen.received", "site": "NORTH", "temperature_mc": -150, "expected_seq": now_of(api, tube)["seq"]}

    def send(**more: Any) -> Any:
        if way == "event":
            return api.north_tech.post(f"/specimens/{tube}/events", json=one | more)
        return api.north_tech.post("/custody-events", json={"events": [one | {"specimen": tube} | more]})

    refused(send(), 409, "implausible_reading")
    assert now_of(api, tube)["state"] == "in_transit"
    confirmed = send(confirmed=True)
    assert confirmed.status_code == 201, confirmed.text
    assert "arrived_too_warm" in holds_of(api, code)
