"""Destroyed, given up as lost, taken over by another establishment."""

from typing import Any

import httpx

from tests.conftest import Api, Client
from tests.custody.test_database_refuses import attack
from tests.pages.visitor import Visit
from tests.quality.test_deviations import stored
from tests.withdrawals.stories import (
    AMOUNT,
    a_donor,
    a_story,
    bank_vials,
    by_two,
    kinds_of,
    later,
    refused,
    sign_and_post,
    state_of,
)


def seq_of(api: Api, vial: str) -> int:
    """The sequence of the last event."""
    return int(api.quality.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"])


def discard(api: Api, first: Client, second: Client, vial: str, **more: Any) -> httpx.Response:
    """Two people destroy a specimen, signed."""
    body = {"reason": "surplus", "method": "incineration", "expected_seq": seq_of(api, vial)} | more
    return by_two(first, second, f"/specimens/{vial}/discard", body)


def announce(api: Api, vial: str, by: Client | None = None, **more: Any) -> httpx.Response:
    """Quality announces an end."""
    body = {"reason": "surplus", "expected_seq": seq_of(api, vial)} | more
    return sign_and_post(by or api.quality, "decided", f"/specimens/{vial}/end", body)


def ship(api: Api, vial: str) -> None:
    """A technician takes it out and sends it to another site."""
    out = {"kind": "specimen.checked_out", "purpose": "move", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    sent = {
        "from_site": "LAB",
        "to_site": "NORTH",
        "specimens": [{"specimen": vial, "expected_seq": seq_of(api, vial)}],
        "courier": "COLD_EXPRESS",
        "evidence": "waybill 1",
    }
    answer = api.lab_tech.post("/shipments", json=sent)
    assert answer.status_code == 201, answer.text


def test_what_is_kept_frozen_is_announced_waits_and_is_then_destroyed_by_two(api: Api, visit: Visit) -> None:
    vial, other = a_story(api, vials=2).vials
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "not_announced")
    refused(announce(api, vial, by=api.lab_tech), 403, "quality_discards")
    told = announce(api, vial)
    assert (told.status_code, "1 usable unit will remain" in told.json()["remains"]) == (200, True), told.text
    assert "Is to be destroyed" in visit("clinician").get_page("/")
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "cooling_off")
    later(api, days=6, hours=23)
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "cooling_off")
    later(api, hours=2)
    refused(discard(api, api.lab_tech, api.quality, vial, reason="rejected"), 409, "reason_not_on_record")
    refused(discard(api, api.lab_tech, api.lab_tech2, vial), 403, "quality_discards")
    refused(discard(api, api.quality, api.quality, vial), 403, "second_person_must_differ")

    answer = discard(api, api.lab_tech, api.quality, vial)

    assert answer.json()["items"][0]["state"] == "discarded", answer.text
    assert kinds_of(api, "specimen", vial)[-2:] == ["specimen.end_announced", "specimen.discarded"]
    projection = state_of(api, vial)
    assert (projection["container_code"], projection["custodian_kind"], projection["amount"]) == (None, "nobody", 0)
    refused(announce(api, other), 409, "reason_not_on_record")


def test_an_announcement_is_taken_back_and_the_days_are_the_sites(api: Api) -> None:
    vial, _ = a_story(api, vials=2).vials
    rule = {"site": "LAB", "cooling_off_days": 30, "usable_rest_percent": 80}
    assert sign_and_post(api.quality, "decided", "/ending-rules", rule).status_code == 200
    announce(api, vial)
    later(api, days=29)
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "cooling_off")
    back = {"reason": "clinician_objects", "expected_seq": seq_of(api, vial)}
    assert api.quality.post(f"/specimens/{vial}/end/withdraw", json=back).status_code == 200
    assert kinds_of(api, "specimen", vial)[-1] == "specimen.end_withdrawn"
    back["expected_seq"] = seq_of(api, vial)
    refused(api.quality.post(f"/specimens/{vial}/end/withdraw", json=back), 409, "nothing_announced")
    later(api, days=2)
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "not_announced")


def test_test_material_goes_at_once_before_a_witness(api: Api) -> None:
    (spare,) = bank_vials(api, a_donor(api), purpose="qc")
    refused(announce(api, spare), 409, "nothing_announced")
    refused(discard(api, api.lab_tech, api.lab_tech, spare, reason="left_over"), 403, "second_person_must_differ")
    assert discard(api, api.lab_tech, api.lab_tech2, spare, reason="left_over").status_code == 200


def test_a_destruction_names_the_history_it_saw(api: Api) -> None:
    (vial,) = a_story(api).vials
    refused(discard(api, api.lab_tech, api.quality, vial, expected_seq=None), 428, "expected_seq_required")
    refused(discard(api, api.lab_tech, api.quality, vial, expected_seq=1), 409, "stale_sequence")


def test_nothing_goes_below_the_reserve_unless_the_donor_asks(api: Api) -> None:
    story = a_story(api, vials=2)
    vial = story.vials[0]
    sign_and_post(api.quality, "decided", f"/donors/{story.donor}/reserves", {"material": "adsc", "units": 2})
    document = refused(announce(api, vial), 409, "below_reserve")
    assert "The reserve is 2 units" in document["detail"]
    refused(announce(api, vial, reason="quality_control"), 409, "below_reserve")
    refused(announce(api, vial, reason="donor_request", evidence="ab" * 32), 409, "reason_not_on_record")


def test_the_donors_word_is_a_file_about_that_donor_whatever_the_route(api: Api) -> None:
    story = a_story(api, vials=2)
    vial = story.vials[0]
    sign_and_post(api.quality, "decided", f"/donors/{story.donor}/reserves", {"material": "adsc", "units": 2})
    other = stored(api, b"another's letter", donor=a_story(api).donor).json()["sha256"]
    bank = stored(api, b"a receipt").json()["sha256"]
    for letter in (other, bank):
        refused(announce(api, vial, reason="donor_request", evidence=letter), 409, "reason_not_on_record")
    own = stored(api, b"my letter", donor=story.donor).json()["sha256"]
    ship(api, vial)
    body = {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": bank, "expected_seq": seq_of(api, vial)}
    path = f"/specimens/{vial}/transfer-out"
    refused(by_two(api.quality, api.quality2, path, body), 409, "below_reserve")
    body["reason"] = "donor_request"
    refused(by_two(api.quality, api.quality2, path, body), 409, "reason_not_on_record")
    refused(by_two(api.quality, api.quality2, path, body | {"donors_request": other}), 409, "reason_not_on_record")
    refused(
        by_two(api.quality, api.quality2, path, body | {"donors_request": own, "evidence": "0f" * 32}), 409, "attachment_unknown"
    )
    assert by_two(api.quality, api.quality2, path, body | {"donors_request": own}).status_code == 200


def test_what_is_frozen_is_announced_before_two_people_let_it_be_used_up(api: Api, visit: Visit) -> None:
    vial, _ = a_story(api, vials=2).vials
    path, use = f"/specimens/{vial}/use-up", {"use": "quality_control"}

    def used_up(**more: Any) -> httpx.Response:
        return by_two(api.lab_tech, api.quality, path, use | {"expected_seq": seq_of(api, vial)} | more)

    refused(used_up(), 409, "not_announced")
    announce(api, vial)
    refused(used_up(), 409, "not_announced")
    assert announce(api, vial, reason="quality_control").status_code == 200
    assert "Is to be used up" in visit("clinician").get_page("/")
    refused(used_up(), 409, "cooling_off")
    later(api, days=8)
    refused(used_up(use="further_processing"), 409, "not_announced")
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "not_announced")
    assert used_up().status_code == 200
    refused(used_up(), 409, "not_announced")


def test_a_missing_vial_is_given_up_as_lost_by_two_and_not_destroyed(api: Api) -> None:
    (vial,) = a_story(api).vials
    lost = {"reason": "searched_everywhere", "expected_seq": seq_of(api, vial)}
    path = f"/specimens/{vial}/lost"
    refused(by_two(api.lab_tech, api.quality, path, lost), 409, "illegal_transition")
    missing = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=missing).status_code == 201
    refused(discard(api, api.lab_tech, api.quality, vial), 409, "illegal_transition")

    lost["expected_seq"] = seq_of(api, vial)
    refused(by_two(api.lab_tech, api.lab_tech2, path, lost), 403, "quality_discards")
    answer = by_two(api.lab_tech, api.quality, path, lost)

    assert answer.json()["items"][0]["state"] == "lost", answer.text


def test_another_establishment_takes_a_vial_over_for_good(api: Api) -> None:
    (vial,) = a_story(api).vials
    ship(api, vial)
    body = {
        "to": "OTHER_BANK",
        "reason": "donor_moved",
        "evidence": stored(api).json()["sha256"],
        "expected_seq": seq_of(api, vial),
    }
    path = f"/specimens/{vial}/transfer-out"
    refused(api.lab_tech.post(path, json=body), 403, "quality_discards")
    refused(by_two(api.quality, api.quality, path, body), 403, "second_person_must_differ")

    answer = by_two(api.quality, api.quality2, path, body)

    assert answer.json()["items"][0]["state"] == "transferred_out", answer.text
    assert state_of(api, vial)["custodian_kind"] == "nobody"


def test_a_vial_at_home_is_not_transferred_out(api: Api) -> None:
    (vial,) = a_story(api).vials
    body = {
        "to": "OTHER_BANK",
        "reason": "donor_moved",
        "evidence": stored(api).json()["sha256"],
        "expected_seq": seq_of(api, vial),
    }
    refused(by_two(api.quality, api.quality2, f"/specimens/{vial}/transfer-out", body), 409, "illegal_transition")


def test_the_page_says_what_stands_against_it_before_anything_is_typed(api: Api, visit: Visit) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    assert "announces its end first" in visit("lab_tech").get_page(f"/specimens/{vial}/discard")
    assert "no usable unit will remain" in visit("quality").get_page(f"/specimens/{vial}/end")


def test_a_rule_of_ending_and_an_allowance_are_on_record_and_bounded_by_the_database(api: Api) -> None:
    vial, _ = a_story(api, vials=2).vials
    rule = {"site": "LAB", "cooling_off_days": 30, "usable_rest_percent": 80}
    sign_and_post(api.quality, "decided", "/ending-rules", rule)
    announce(api, vial)
    assert kinds_of(api, "system", "LAB")[-1] == "system.ending_rule_set"
    use = {"use": "quality_control", "expected_seq": seq_of(api, vial)}
    announce(api, vial, reason="quality_control")
    later(api, days=31)
    use["expected_seq"] = seq_of(api, vial)
    assert by_two(api.lab_tech, api.quality, f"/specimens/{vial}/use-up", use).status_code == 200
    assert kinds_of(api, "specimen", vial)[-1] == "specimen.use_up_allowed"
    for change, constraint in (
        ("ending_rule SET cooling_off_days = 0", "a_rule_of_ending_is_one"),
        ("ending_notice SET not_before = announced_at", "an_announced_end_waits"),
    ):
        assert attack(api.test_bank, f"UPDATE {change}").diag.constraint_name == constraint


def test_a_technician_alone_is_told_that_sampling_would_end_it(api: Api) -> None:
    vial, _ = a_story(api, vials=2).vials
    out = {"kind": "specimen.checked_out", "purpose": "testing", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    whole = {"kind": "specimen.sampled", "amount": AMOUNT, "purpose": "count", "expected_seq": seq_of(api, vial)}
    refused(api.lab_tech.post(f"/specimens/{vial}/events", json=whole), 409, "ends_material")
    refused(api.lab_tech.post("/custody-events", json={"events": [whole | {"specimen": vial}]}), 409, "ends_material")
