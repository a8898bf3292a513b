"""Destroyed, given up as lost, taken over by another establishment."""

from typing import Any

from tests.conftest import Api, Client
from tests.withdrawals.stories import a_donor, a_story, bank_vials, refused, sign_and_post, state_of


def seq_of(api: Api, vial: str) -> int:
    """The sequence of the last event."""
    return int(api.quality.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"])


def discard(api: Api, client: Client, vial: str, **more: Any) -> Any:
    """Destroy, signed."""
    body = {"reason": "surplus", "method": "incineration", "expected_seq": seq_of(api, vial)} | more
    return sign_and_post(client, "decided", f"/specimens/{vial}/discard", body)


def test_quality_destroys_therapeutic_material_with_a_signature_and_its_place_is_free(api: Api) -> None:
    (vial,) = a_story(api).vials
    answer = discard(api, api.quality, vial)
    assert (answer.status_code, answer.json()["items"][0]["state"]) == (200, "discarded"), answer.text
    projection = state_of(api, vial)
    assert (projection["container_code"], projection["custodian_kind"], projection["amount"]) == (None, "nobody", 0)
    refused(discard(api, api.quality, vial), 409, "illegal_transition")


def test_a_technician_destroys_test_material_and_nothing_kept_for_a_patient(api: Api) -> None:
    donor = a_donor(api)
    (kept,), (spare,) = bank_vials(api, donor), bank_vials(api, donor, purpose="qc")
    refused(discard(api, api.lab_tech, kept), 403, "quality_discards")
    body = {"reason": "left_over", "method": "autoclave", "expected_seq": seq_of(api, spare)}
    assert api.lab_tech.post(f"/specimens/{spare}/discard", json=body).status_code == 200


def test_a_destruction_names_the_history_it_saw(api: Api) -> None:
    (vial,) = a_story(api).vials
    refused(discard(api, api.quality, vial, expected_seq=None), 428, "expected_seq_required")
    refused(discard(api, api.quality, vial, expected_seq=1), 409, "stale_sequence")


def test_a_missing_vial_is_given_up_as_lost_and_not_destroyed(api: Api) -> None:
    (vial,) = a_story(api).vials
    lost = {"reason": "searched_everywhere", "expected_seq": seq_of(api, vial)}
    refused(sign_and_post(api.quality, "decided", f"/specimens/{vial}/lost", lost), 409, "illegal_transition")
    missing = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=missing).status_code == 201
    refused(discard(api, api.quality, vial), 409, "illegal_transition")

    lost["expected_seq"] = seq_of(api, vial)
    refused(api.lab_tech.post(f"/specimens/{vial}/lost", json=lost), 403, "not_permitted")
    answer = sign_and_post(api.quality, "decided", f"/specimens/{vial}/lost", lost)

    assert answer.json()["items"][0]["state"] == "lost"


def test_another_establishment_takes_a_vial_over_for_good(api: Api) -> None:
    (vial,) = a_story(api).vials
    out = {"kind": "specimen.checked_out", "purpose": "move", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    sent = {
        "from_site": "LAB",
        "to_site": "OTHER",
        "specimens": [{"specimen": vial, "expected_seq": seq_of(api, vial)}],
        "courier": "COLD_EXPRESS",
        "evidence": "waybill 1",
    }
    answer = api.lab_tech.post("/shipments", json=sent)
    assert answer.status_code == 201, answer.text
    body = {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": "ab" * 32, "expected_seq": seq_of(api, vial)}
    path = f"/specimens/{vial}/transfer-out"
    refused(api.lab_tech.post(path, json=body), 403, "not_permitted")

    answer = sign_and_post(api.quality, "decided", path, body)

    assert answer.json()["items"][0]["state"] == "transferred_out"
    assert state_of(api, vial)["custodian_kind"] == "nobody"


def test_a_vial_at_home_is_not_transferred_out(api: Api) -> None:
    (vial,) = a_story(api).vials
    body = {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": "ab" * 32, "expected_seq": seq_of(api, vial)}
    refused(sign_and_post(api.quality, "decided", f"/specimens/{vial}/transfer-out", body), 409, "illegal_transition")
