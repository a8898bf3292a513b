"""The temperature record of a withdrawal's way: a stored file that is read and judged, or plainly none; there and back."""

from datetime import timedelta
from typing import Any

from biobank.custody.queries import stream_history
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.factories import make_specimen
from tests.shipping.stories import now_of, shipped, stage
from tests.shipping.test_shipments import holds_of
from tests.withdrawals.stories import Story, a_story, journey_file, kinds_of, later, refused, sealed, state_of


def body_of(api: Api, stream: str, code: str, kind: str) -> Any:
    """The body of the latest event of a kind."""
    items = api.test_bank.write(lambda s: stream_history(s, stream, code).items)
    return [one.body for one in items if one.kind == kind][-1]


def own_holds(api: Api, vial: str) -> set[tuple[str, str]]:
    """The holds on a tube: kind and reason."""
    items = api.quality.get("/holds", params={"scope": vial}).json()["items"]
    return {(one["kind"], one["reason"]) for one in items}


def test_a_hash_of_no_file_and_a_file_of_another_journey_are_refused_on_the_way_there_and_back(api: Api) -> None:
    story = a_story(api).up_to("issue")
    stale = journey_file(api, "-185.0")
    later(api, minutes=20)

    refused(story.receive(logger_sha256="00" * 32), 409, "attachment_unknown")
    assert state_of(api, story.vials[0])["state"] == "issued"
    assert story.receive().status_code == 200
    assert body_of(api, "specimen", story.vials[0], "specimen.delivered")["logger_sha256"] is None

    refused(story.take_back(logger_sha256="00" * 32), 409, "attachment_unknown")
    sealed(api)
    other = a_story(api).up_to("receive")
    refused(other.take_back(logger_sha256=stale), 409, "logger_of_another_time")
    assert state_of(api, other.vials[0])["state"] == "delivered"


def test_what_was_carried_by_hand_is_judged_by_its_loggers_file_and_by_what_is_read_on_arrival(api: Api) -> None:
    cold, warm, felt = (a_story(api).up_to("issue") for _ in range(3))
    for story, degrees in ((cold, ("-190.0", "-140.5")), (warm, ("-190.0", "-20.0"))):
        answer = story.receive(logger_sha256=journey_file(api, *degrees, client=api.clinic_staff, site="CLINIC"))
        assert answer.status_code == 200, answer.text
    assert felt.receive(temperature_mc=39_000).status_code == 200

    assert own_holds(api, cold.vials[0]) == set()
    assert own_holds(api, warm.vials[0]) == own_holds(api, felt.vials[0]) == {("temperature", "arrived_too_warm")}
    body = body_of(api, "specimen", warm.vials[0], "specimen.delivered")
    assert (body["logged_lowest_mc"], body["logged_highest_mc"]) in ((-190_000, -20_000), (-20_000, -20_000))
    refused(warm.thaw(), 409, "on_hold")


def test_the_loggers_file_of_a_withdrawals_shipment_holds_what_travelled_and_stands_in_its_comparison(api: Api) -> None:
    story = a_story(api).up_to("issue")
    code = shipped(api, story.vials[:1], to_site="CLINIC", temperature_class="ln2_vapour")

    answer = story.receive(logger_sha256=journey_file(api, "-90.0", client=api.clinic_staff, site="CLINIC"))

    assert answer.status_code == 200, answer.text
    assert holds_of(api, code) == ["arrived_too_warm"]
    assert body_of(api, "shipment", code, "shipment.received")["logged_highest_mc"] == -90_000


def test_a_shipment_of_no_said_class_is_judged_by_what_its_tubes_can_be_kept_in(api: Api) -> None:
    story = a_story(api).up_to("issue")
    code = shipped(api, story.vials[:1], to_site="CLINIC")

    assert story.receive(temperature_mc=39_000).status_code == 200

    assert holds_of(api, code) == ["arrived_too_warm"]


def test_what_comes_back_without_a_record_is_not_banked_again_and_says_so_for_ever(api: Api) -> None:
    story = a_story(api).up_to("receive")

    refused(story.take_back(logger_sha256=None), 409, "no_journey_record")
    answer = story.take_back(logger_sha256=None, quality="quarantined")

    assert answer.status_code == 200, answer.text
    assert body_of(api, "specimen", story.vials[0], "specimen.returned")["logger_sha256"] is None
    assert state_of(api, story.vials[0])["quality"] == "quarantined"


def test_what_came_back_too_warm_is_held_whatever_was_decided(api: Api) -> None:
    story = a_story(api).up_to("receive")

    answer = story.take_back(logger_sha256=journey_file(api, "-35.0"))

    assert answer.status_code == 200, answer.text
    assert own_holds(api, story.vials[0]) == {("temperature", "arrived_too_warm")}
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.hold_placed"


def test_a_receipt_entered_from_paper_is_asked_for_the_same_file(api: Api) -> None:
    story: Story = a_story(api).up_to("issue")
    later(api, hours=1)
    stated = rfc3339(clock.now() - timedelta(minutes=30))

    answer = story.receive(occurred_at=stated, reason_text="Network down", logger_sha256="00" * 32)

    refused(answer, 409, "attachment_unknown")


def test_a_single_tube_that_came_by_hand_is_held_when_it_is_too_warm(api: Api) -> None:
    code = api.test_bank.write(lambda s: make_specimen(s, stage(api.test_bank)).code)
    body = {"kind": "specimen.received", "site": "LAB", "expected_seq": now_of(api, code)["seq"], "temperature_mc": 61_000}

    refused(api.lab_tech.post(f"/specimens/{code}/events", json=body), 409, "implausible_reading")
    assert api.lab_tech.post(f"/specimens/{code}/events", json=body | {"confirmed": True}).status_code == 201

    assert own_holds(api, code) == {("temperature", "arrived_too_warm")}


def test_what_quality_takes_back_straight_from_the_road_is_judged_as_what_arrives(api: Api) -> None:
    story = a_story(api).up_to("issue")
    due = rfc3339(clock.now() + timedelta(hours=24))
    code = shipped(api, story.vials[:1], to_site="CLINIC", temperature_class="ln2_vapour", cold_until=due, seal="S-1")
    assert state_of(api, story.vials[0])["state"] == "in_transit"
    later(api, hours=30)
    sealed(api)

    answer = story.take_back(logger_sha256=None, quality="quarantined")

    assert answer.status_code == 200, answer.text
    assert (state_of(api, story.vials[0])["state"], state_of(api, story.vials[0])["site_code"]) == ("received", "LAB")
    assert holds_of(api, code) == ["arrived_after_the_hold_time", "seal_not_checked", "temperature_not_read"]
