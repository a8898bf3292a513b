"""What was found without a name gets its name back: two people, evidence, and a hold until there is proof."""

from typing import Any

import httpx
import pytest

from tests.conftest import Api, Client
from tests.factories import make_box
from tests.signing import signed
from tests.withdrawals.stories import a_story, kinds_of, refused, state_of

EVIDENCE = "ab" * 32


def found_without_a_name(api: Api, purpose: str = "quarantine") -> str:
    """A tube with a scribbled label is brought to safety; return its UN- code."""
    box = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"), purpose=purpose)).code
    answer = api.lab_tech.post(f"/storage-containers/{box}/evacuate", json={"scanned": ["SCRIBBLE"]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["items"][0]["specimen"])


def missing_vial(api: Api) -> str:
    (vial,) = a_story(api).vials
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    answer = api.lab_tech.post(
        f"/specimens/{vial}/events", json={"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq}
    )
    assert answer.status_code == 201, answer.text
    return vial


def seq_of(client: Client, code: str) -> int:
    return int(client.get(f"/specimens/{code}").json()["custody"]["seq"])


def resolve(client: Client, item: str, vial: str, **more: Any) -> httpx.Response:
    path = f"/specimens/{item}/resolve"
    file = {"media_type": "text/plain", "content": "cHJvb2Y=", "site": "LAB"}
    evidence = client.post("/attachments", json=file).json().get("sha256", EVIDENCE)
    body = {"same_as": vial, "evidence_sha256": evidence, "expected_seq": seq_of(client, item)} | more
    return client.post(path, json=signed(client, "decided", path, body))


def test_two_people_of_quality_say_what_it_is_and_the_vial_is_back_under_an_identity_hold(api: Api) -> None:
    item, vial = found_without_a_name(api), missing_vial(api)
    place = state_of(api, item)["position_code"]

    proposed = resolve(api.quality, item, vial)
    assert proposed.json()["status"] == "pending", proposed.text
    assert state_of(api, vial)["state"] == "missing"
    done = resolve(api.quality2, item, vial, pending_act=proposed.json()["pending_act"])

    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert (state_of(api, item)["state"], state_of(api, item)["position_code"]) == ("consumed", None)
    assert (state_of(api, vial)["state"], state_of(api, vial)["position_code"]) == ("stored", place)
    assert kinds_of(api, "specimen", vial)[-3:] == ["specimen.found", "specimen.hold_placed", "specimen.safeguarded"]
    assert [h["kind"] for h in api.quality.get("/holds", params={"scope": vial}).json()["items"]] == ["identity"]


def test_one_person_is_not_enough(api: Api) -> None:
    item, vial = found_without_a_name(api), missing_vial(api)
    proposed = resolve(api.quality, item, vial).json()["pending_act"]

    refused(resolve(api.quality, item, vial, pending_act=proposed), 403, "second_person_must_differ")

    assert state_of(api, item)["state"] == "stored"


def test_the_second_person_says_the_same_thing(api: Api) -> None:
    item, vial, other = found_without_a_name(api), missing_vial(api), missing_vial(api)
    proposed = resolve(api.quality, item, vial).json()["pending_act"]

    refused(resolve(api.quality2, item, other, pending_act=proposed), 409, "pending_act_differs")


def test_a_vial_that_nobody_misses_cannot_be_it(api: Api) -> None:
    item, (vial,) = found_without_a_name(api), a_story(api).vials

    refused(resolve(api.quality, item, vial), 409, "not_looked_for")


def test_a_vial_with_a_name_is_not_resolved(api: Api) -> None:
    one, other = missing_vial(api), missing_vial(api)

    refused(resolve(api.quality, one, other), 409, "not_unidentified")


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "auditor", "admin"])
def test_nobody_else_may(api: Api, user: str) -> None:
    item, vial = found_without_a_name(api), missing_vial(api)
    body = {"same_as": vial, "evidence_sha256": EVIDENCE}

    answer = getattr(api, user).post(f"/specimens/{item}/resolve", json=body)

    assert answer.status_code in (403, 404)
