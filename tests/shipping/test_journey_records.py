"""What a logger's file covers of a journey, boxes under seals of their own, couriers and shippers of the registers."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.shipping.journey_logs import Journey, Unread, unread_parts
from tests import seed
from tests.conftest import Api, Client
from tests.monitoring.test_excursions import a_tank
from tests.shipping.stories import kinds_of, now_of, offer, refused, ship, shipped, tubes
from tests.shipping.test_shipments import close_settled, holds_of, receive
from tests.specimens.stories import made
from tests.withdrawals import stories as withdrawals
from tests.withdrawals.test_journeys import body_of

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_file(client: Client, start: datetime, minutes: list[int], site: str = "NORTH", value: str = "-185,0") -> str:
    """Keep a logger's file that reads at these minutes after `start`; return its hash."""
    rows = [f"{start + timedelta(minutes=n):%d.%m.%Y;%H:%M:%S};{value}" for n in minutes]
    text = "\n".join(["Time zone;UTC+00:00", "Date;Time;Temp °C", *rows])
    body = {"media_type": "text/csv", "content": b64encode(text.encode()).decode(), "site": site}
    answer = client.post("/attachments", json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["sha256"])


def test_the_time_before_the_first_reading_between_two_and_after_the_last_counts_alike() -> None:
    def parts(*minutes: int) -> list[tuple[int, int]]:
        times = [NOON + timedelta(minutes=n) for n in minutes]
        found = unread_parts(times, Journey("SH", NOON, NOON + 10 * HOUR), HOUR)
        return [((one.since - NOON) // timedelta(minutes=1), (one.until - NOON) // timedelta(minutes=1)) for one in found]

    assert parts(*range(0, 601, 60)) == []
    assert parts(*range(61, 601, 60)) == [(0, 61)]
    assert parts(*range(0, 530, 60)) == [(480, 600)]
    assert parts(*range(0, 200, 60), *range(400, 601, 60)) == [(180, 400)]
    assert parts(-30, 700) == parts() == [(0, 600)]
    assert Unread(NOON, NOON + HOUR).seconds == 3600


def test_a_file_that_covers_part_of_the_way_is_no_record_of_the_rest_and_holds_what_travelled(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
    left = clock.now()
    withdrawals.later(api, hours=6)

    answer = receive(api, code, pair, logger_sha256=a_file(api.north_tech, left, list(range(0, 125, 30))))

    assert answer.status_code == 200, answer.text
    assert answer.json()["findings"] == ["temperature_record_incomplete"] == holds_of(api, code)
    (part,) = answer.json()["unread"]
    since, until = (datetime.fromisoformat(one) for one in part.split("/"))
    assert timedelta(hours=3, minutes=55) < until - since < timedelta(hours=4, minutes=5)
    body = body_of(api, "shipment", code, "shipment.received")
    assert (body["unread"], abs(body["unread_s"] - 4 * 3600) < 300) == ([part], True)


def warm_at_the_end(client: Client, left: datetime, site: str) -> str:
    """A file of six hours whose last three are warm."""
    rows = [f"{left + timedelta(minutes=n):%d.%m.%Y;%H:%M:%S};{'-185,0' if n < 185 else '-20,0'}" for n in range(0, 360, 20)]
    text = "\n".join(["Time zone;UTC+00:00", "Date;Time;Temp °C", *rows])
    body = {"media_type": "text/csv", "content": b64encode(text.encode()).decode(), "site": site}
    return str(client.post("/attachments", json=body).json()["sha256"])


def earlier(left: datetime) -> dict[str, Any]:
    return {"occurred_at": rfc3339(left + 3 * HOUR), "late_entry": True, "reason_text": "entered late"}


@pytest.mark.parametrize("way", ["receive", "refuse"])
def test_a_warm_end_of_a_journey_is_not_cut_off_by_stating_an_earlier_arrival(api: Api, way: str) -> None:
    one = tubes(api, 1, frozen=True)
    code = shipped(api, one, temperature_class="ln2_vapour", logger="LOG-7")
    left = clock.now()
    withdrawals.later(api, hours=6)
    if way == "receive":
        sent = {"logger_sha256": warm_at_the_end(api.north_tech, left, "NORTH")} | earlier(left)
        assert "arrived_too_warm" in receive(api, code, one, **sent).json()["findings"]
    else:
        sent = {"reason": "too_warm", "logger_sha256": warm_at_the_end(api.lab_tech, left, "LAB")} | earlier(left)
        assert api.lab_tech.post(f"/shipments/{code}/refuse", json=sent).status_code == 200
    assert "arrived_too_warm" in holds_of(api, code)


@pytest.mark.parametrize("way", ["receive", "refuse"])
def test_the_file_of_a_tank_that_stayed_is_no_record_of_a_journey(api: Api, way: str) -> None:
    tank, pair = a_tank(api), tubes(api, 1, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
    left = clock.now()
    withdrawals.later(api, hours=3)
    login, site = ("north_tech", "NORTH") if way == "receive" else ("lab_tech", "LAB")
    minutes = list(range(5, 180, 20))
    sha256 = a_file(getattr(api, login), left, minutes, site=site)
    assert a_file(api.lab_tech, left, minutes, site="LAB") == sha256
    read = api.lab_tech.post(f"/storage-containers/{tank}/logger-files", json={"logger_sha256": sha256, "confirmed": True})
    assert read.status_code == 201, read.text

    if way == "receive":
        answer = receive(api, code, pair, logger_sha256=sha256)
    else:
        answer = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", "logger_sha256": sha256})

    assert (answer.status_code, answer.json()["code"]) == (409, "logger_of_another_journey"), answer.text


@pytest.mark.parametrize("way", ["receive", "refuse", "by hand", "take back"])
def test_the_file_of_a_journey_is_no_reading_of_a_tank_that_stayed(api: Api, way: str) -> None:
    tank, minutes = a_tank(api), list(range(5, 180, 20))
    if way in ("receive", "refuse"):
        pair = tubes(api, 1, frozen=True)
        code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
    else:
        story = withdrawals.a_story(api).up_to("issue" if way == "by hand" else "receive")
    left = clock.now()
    withdrawals.later(api, hours=3)
    named: dict[str, Any] = {"logger_sha256": a_file(api.lab_tech, left, minutes, site="LAB")}
    for login, site in (("north_tech", "NORTH"), ("clinic_staff", "CLINIC"), ("quality", "LAB")):
        assert a_file(getattr(api, login), left, minutes, site=site) == named["logger_sha256"]
    if way == "receive":
        answer = receive(api, code, pair, **named)
    elif way == "refuse":
        answer = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm"} | named)
    else:
        answer = story.receive(**named) if way == "by hand" else story.take_back(**named, quality="quarantined")
    assert answer.status_code == 200, answer.text

    given = api.lab_tech.post(f"/storage-containers/{tank}/logger-files", json=named | {"confirmed": True})

    assert (given.status_code, given.json()["code"]) == (409, "logger_of_a_journey"), given.text
    assert api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"] == []


def test_nor_does_a_patients_unit_arrive_or_come_back_before_it_warmed(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    left = clock.now()
    withdrawals.later(api, hours=6)
    sha256 = warm_at_the_end(api.clinic_staff, left, "CLINIC")

    arrived = story.receive(logger_sha256=sha256, **earlier(left))

    assert arrived.status_code == 200, arrived.text
    assert [hold["kind"] for hold in api.quality.get(f"/specimens/{story.vials[0]}").json()["holds"]] == ["temperature"]


def test_a_unit_that_warmed_on_its_way_back_is_not_released_by_an_earlier_time(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("receive")
    left = clock.now()
    withdrawals.later(api, hours=6)
    sha256 = warm_at_the_end(api.quality, left, "LAB")

    back = story.take_back(logger_sha256=sha256, **earlier(left))

    held = [hold["kind"] for hold in api.quality.get(f"/specimens/{story.vials[0]}").json()["holds"]]
    assert (back.status_code == 200 and "temperature" in held) or back.status_code == 409, back.text


def test_a_file_of_the_whole_way_holds_nothing_and_the_bank_says_how_long_a_gap_may_be(api: Api) -> None:
    for minutes, found in (([0, 45, 90, 135, 179], []), ([0, 85, 170], ["temperature_record_incomplete"])):
        pair = tubes(api, 1, frozen=True)
        code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
        left = clock.now()
        withdrawals.later(api, hours=3)

        answer = receive(api, code, pair, logger_sha256=a_file(api.north_tech, left, minutes))

        assert (answer.status_code, answer.json()["findings"]) == (200, found), answer.text
        assert close_settled(api) == 0
        assert holds_of(api, code) == found


def test_a_logger_that_travelled_and_was_never_read_holds_what_travelled_by_whichever_way_it_arrived(api: Api) -> None:
    compared, singly, back = (tubes(api, 1, frozen=True) for _ in range(3))
    codes = [shipped(api, one, temperature_class="ln2_vapour", logger="LOG-7") for one in (compared, singly, back)]

    assert receive(api, codes[0], compared).json()["findings"] == ["no_temperature_record"]
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

    assert [holds_of(api, code) for code in codes] == [["no_temperature_record"]] * 3


def test_what_was_sent_back_is_judged_by_the_file_of_its_logger(api: Api) -> None:
    pair = tubes(api, 1, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
    left = clock.now()
    withdrawals.later(api, hours=1)
    sha256 = a_file(api.lab_tech, left, list(range(1, 60, 10)), site="LAB", value="-90,0")

    answer = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", "logger_sha256": sha256})

    assert answer.status_code == 200, answer.text
    assert holds_of(api, code) == ["arrived_too_warm"]
    assert body_of(api, "shipment", code, "shipment.refused")["logged_highest_mc"] == -90_000


@pytest.mark.parametrize("how", ["received", "sent back"])
def test_nobody_cuts_the_warm_end_off_a_loggers_file_by_stating_an_earlier_arrival(api: Api, how: str) -> None:
    pair = tubes(api, 1, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="LOG-7")
    left = clock.now()
    withdrawals.later(api, hours=2)
    back = how == "sent back"
    client, site = (api.lab_tech, "LAB") if back else (api.north_tech, "NORTH")
    sha256 = a_file(client, left, list(range(1, 60, 10)), site=site)
    warm = a_file(client, left, [*range(1, 60, 10), *range(61, 119, 10)], site=site, value="-20,0")
    assert sha256 != warm
    said = {
        "logger_sha256": warm,
        "occurred_at": rfc3339(left + timedelta(minutes=1)),
        "late_entry": True,
        "reason_text": "It came then.",
    }

    if back:
        answer = api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "too_warm", **said})
    else:
        answer = receive(api, code, pair, **said)

    assert answer.status_code == 200, answer.text
    assert "arrived_too_warm" in holds_of(api, code)


def test_what_was_carried_by_hand_and_what_came_back_need_a_record_of_the_whole_way(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    left = clock.now()
    withdrawals.later(api, hours=4)
    part = a_file(api.clinic_staff, left, [0, 20, 40], site="CLINIC")

    answer = story.receive(logger_sha256=part)

    assert answer.status_code == 200, answer.text
    holds = api.quality.get("/holds", params={"scope": story.vials[0]}).json()["items"]
    assert [(one["kind"], one["reason"]) for one in holds] == [("temperature", "temperature_record_incomplete")]
    half = a_file(api.quality, left, [0, 20, 40], site="LAB")
    document = refused(story.take_back(logger_sha256=half), 409, "no_journey_record")
    assert len(document["unread"]) == 1
    kept = story.take_back(logger_sha256=half, quality="quarantined")
    assert kept.status_code == 200, kept.text
    assert body_of(api, "specimen", story.vials[0], "specimen.returned")["unread_s"] > 3 * 3600


def boxed(api: Api, codes: list[str], **more: Any) -> Any:
    """Two boxes, a tube in each, and whatever else is sent loose."""
    boxes = [{"box": str(n + 1), "seal": f"S-{n + 1}", "specimens": [tube]} for n, tube in enumerate(codes[:2])]
    return ship(api, api.lab_tech, codes, temperature_class="ln2_vapour", boxes=boxes, **more)


@pytest.mark.parametrize("found", [{"seal_intact": False}, {"seal": "S-9"}])
def test_a_broken_seal_of_one_box_holds_what_lies_in_it_and_nothing_else(api: Api, found: dict[str, Any]) -> None:
    three = tubes(api, 3, frozen=True)
    code = boxed(api, three).json()["code"]
    detail = api.north_tech.get(f"/shipments/{code}").json()
    assert detail["boxes"] == [{"box": str(n + 1), "seal": f"S-{n + 1}", "specimens": [three[n]]} for n in range(2)]
    assert [line["box"] for line in detail["manifest"]] == ["1", "2", None]
    sound = {"box": "1", "seal": "S-1", "seal_intact": True}

    answer = receive(api, code, three, boxes=[sound, {"box": "2"} | found])

    assert answer.status_code == 200, answer.text
    assert (answer.json()["broken_boxes"], answer.json()["findings"]) == (["2"], [])
    held = [[hold["scope_id"] for hold in api.lab_tech.get(f"/specimens/{one}").json()["holds"]] for one in three]
    assert held == [[], [f"{code}_2"], []]
    then = {"at": rfc3339(clock.now())}
    assert [len(api.lab_tech.get(f"/specimens/{one}", params=then).json()["holds"]) for one in three] == [0, 1, 0]
    kinds = kinds_of(api, "shipment", code)
    assert (kinds.count("shipment.box_sealed"), kinds.count("shipment.box_compared")) == (2, 2)
    (hold,) = api.quality.get("/holds", params={"scope": f"{code}_2"}).json()["items"]
    lifted = withdrawals.sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "looked_at"})
    assert lifted.status_code == 200, lifted.text
    assert api.lab_tech.get(f"/specimens/{three[1]}").json()["holds"] == []


def test_boxes_are_named_once_and_hold_what_is_sent(api: Api) -> None:
    pair, other = tubes(api, 2, frozen=True), tubes(api, 1, frozen=True)
    one = {"box": "1", "seal": "S-1", "specimens": pair[:1]}
    for boxes in (
        [one, one | {"specimens": pair[1:]}],
        [one, {"box": "2", "seal": "S-2", "specimens": pair[:1]}],
        [one | {"specimens": other}],
        [one | {"seal": ""}],
    ):
        assert refused(ship(api, api.lab_tech, pair, boxes=boxes), 422, "malformed_request")
    code = boxed(api, pair).json()["code"]
    refused(receive(api, code, pair, boxes=[{"box": "7", "seal_intact": True}]), 409, "no_such_box")
    refused(receive(api, code, pair, boxes=[{"box": "1"}, {"box": "1"}]), 422, "malformed_request")
    assert now_of(api, pair[0])["state"] == "in_transit"


def test_a_box_of_a_withdrawals_shipment_is_compared_when_its_tubes_are_received(api: Api) -> None:
    story = withdrawals.a_story(api).up_to("issue")
    vial = story.vials[0]
    box = {"box": "A", "seal": "S-1", "specimens": [vial]}
    code = shipped(api, [vial], to_site="CLINIC", temperature_class="ln2_vapour", boxes=[box])
    refused(story.receive(boxes=[{"box": "B", "seal": "S-1"}]), 409, "no_such_box")

    assert story.receive(boxes=[{"box": "A", "seal": "S-2"}]).status_code == 200

    assert holds_of(api, f"{code}_A") == ["seal_broken"]
    refused(story.thaw(), 409, "on_hold")


def entered(api: Api, kind: str, name: str, **more: Any) -> str:
    answer = made(api.quality.post("/registers", json={"kind": kind, "name": name, "site": "LAB"} | more))
    return str(answer["entry"]["entry"])


def test_a_courier_stands_in_the_register_for_every_way_of_giving_it_something(api: Api) -> None:
    (tube,) = tubes(api)
    refused(ship(api, api.lab_tech, [tube], courier="WHOEVER"), 409, "not_in_register")
    refused(offer(api, api.lab_tech, [tube], "courier", "WHOEVER"), 404, "not_found")
    story = withdrawals.a_story(api).up_to("confirm")
    refused(story.issue(courier="WHOEVER", evidence="CG 1"), 409, "not_in_register")
    key = entered(api, "courier", "WHOEVER")
    assert ship(api, api.lab_tech, [tube], courier="WHOEVER").status_code == 201
    assert api.quality.post(f"/registers/{key}/changes", json={"change": "retired"}).status_code == 201
    (other,) = tubes(api)
    refused(ship(api, api.lab_tech, [other], courier="WHOEVER"), 409, "not_fit_for_use")
    refused(offer(api, api.lab_tech, [other], "courier", "WHOEVER"), 404, "not_found")
    refused(
        api.quality.post("/registers", json={"kind": "courier", "name": "Cold Express", "site": "LAB"}), 422, "malformed_request"
    )


def test_a_shipper_is_charged_as_its_register_asks_and_cold_as_long_as_it_says(api: Api) -> None:
    shipper = entered(api, "shipper", "DS-40", holds_h=48, least_charge_g=4000)
    (tube,) = tubes(api, frozen=True)
    late = rfc3339(clock.now() + timedelta(hours=60))

    def send(**more: Any) -> Any:
        return ship(api, api.lab_tech, [tube], temperature_class="ln2_vapour", **{"shipper": shipper, "charge_g": 4500} | more)

    refused(send(shipper=seed.EQUIPMENT), 409, "not_a_shipper")
    refused(send(charge_g=3999), 409, "shipper_not_charged")
    refused(send(charge_g=None), 409, "shipper_not_charged")
    refused(send(cold_until=late), 409, "longer_than_the_shipper_holds")
    refused(send(shipper="DS-40"), 422, "malformed_request")
    answer = send()

    assert answer.status_code == 201, answer.text
    cold = datetime.fromisoformat(answer.json()["cold_until"]) - clock.now()
    assert timedelta(hours=47) < cold <= timedelta(hours=48)
    warned = api.quality.get(f"/registers/{shipper}").json()["warnings"]
    assert [(one["problem"], one["used_in"]) for one in warned] == [("unqualified", answer.json()["code"])]
    withdrawals.later(api, hours=49)
    assert receive(api, answer.json()["code"], [tube]).json()["findings"] == ["arrived_after_the_hold_time"]


def test_only_a_shipper_has_a_hold_time(api: Api) -> None:
    body = {"kind": "equipment", "name": "Hood", "site": "LAB", "holds_h": 4}
    refused(api.quality.post("/registers", json=body), 422, "malformed_request")
