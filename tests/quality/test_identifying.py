"""What was found without a name gets its name back: two people, evidence, and a hold until there is proof."""

from typing import Any

import httpx
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.factories import make_box
from tests.monitoring.test_excursions import LN2, OPEN, read
from tests.signing import signed
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import a_story, kinds_of, later, refused, state_of

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


def moment(api: Api) -> str:
    later(api, minutes=1)
    return rfc3339(clock.now())


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
    told = ["specimen.found", "specimen.hold_placed", "specimen.hold_placed", "specimen.safeguarded", "specimen.recognised"]
    assert kinds_of(api, "specimen", vial)[-5:] == told
    held = sorted(h["kind"] for h in api.quality.get("/holds", params={"scope": vial}).json()["items"])
    assert held == ["identity", "temperature"], "nobody knows what it is, nor where it was"


def known_again(api: Api, item: str, vial: str) -> dict[str, Any]:
    """Two of quality say that the item is the vial; return the vial as quality reads it."""
    proposed = resolve(api.quality, item, vial).json()["pending_act"]
    done = resolve(api.quality2, item, vial, pending_act=proposed)
    assert done.status_code == 200, done.text
    return dict(api.quality.get(f"/specimens/{vial}").json())


def an_item(api: Api, *, out: int, box: str) -> str:
    """An unidentified frozen tube that lay on the bench for `out` minutes and was put into a box."""
    found = api.lab_tech.post("/specimens/unidentified", json={"site": "LAB", "condition": "frozen"})
    later(api, minutes=out)
    item = str(found.json()["specimen"])
    stored = api.lab_tech.post(f"/specimens/{item}/store", json={"container": box, "expected_seq": seq_of(api.lab_tech, item)})
    assert stored.status_code == 201, stored.text
    later(api, minutes=5)
    return item


def test_what_the_item_went_through_the_vial_went_through(api: Api) -> None:
    vial = missing_vial(api)
    before = api.quality.get(f"/specimens/{vial}").json()["exposure"]["total_s"]
    tank = a_box(api, kind="tank", name="Evacuation", purpose="evacuation", **OPEN, **LN2)
    box = a_box(api, parent=tank)
    item = an_item(api, out=50, box=box)
    read(api, tank, -15_000)
    later(api, minutes=10)
    read(api, tank, -190_000)
    hold = {"scope_kind": "container", "scope_id": tank, "kind": "quality", "reason": "misread"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    later(api, minutes=5)

    known = known_again(api, item, vial)

    assert {one["scope_kind"] for one in known["holds"]} == {"specimen", "excursion", "container"}
    assert 3000 <= known["exposure"]["total_s"] - before <= 3060 and known["exposure"]["running_since"] is None
    assert (known["custody"]["state"], known["custody"]["container"]) == ("stored", box), "it stays in the box of a safe tank"
    (excursion,) = [one["scope_id"] for one in known["holds"] if one["scope_kind"] == "excursion"]
    assert api.quality.get(f"/excursions/{excursion}").json()["donors"] == 1, "its donor is named with the excursion"
    at = moment(api)
    then = api.quality.get(f"/specimens/{vial}", params={"at": at}).json()["holds"]
    assert {one["scope_kind"] for one in then} == {"specimen", "excursion", "container"}


def test_before_it_is_known_what_the_item_is_its_holds_are_not_the_vials_and_since_then_they_were(api: Api) -> None:
    item, vial = found_without_a_name(api), missing_vial(api)
    hold = {"scope_kind": "specimen", "scope_id": item, "kind": "quality", "reason": "misread"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    then = moment(api)
    later(api, minutes=5)

    known_again(api, item, vial)

    def holds(**asked: str) -> list[str]:
        return [one["scope_id"] for one in api.quality.get(f"/specimens/{vial}", params=asked).json()["holds"]]

    assert holds(as_known_at=then) == [], "nobody knew"
    assert holds(at=then) == [item], "it was in that tube all the same"
    assert item in holds(as_known_at=moment(api))


def test_a_reading_that_comes_late_still_reaches_the_vial_through_the_item(api: Api) -> None:
    vial = missing_vial(api)
    tank = a_box(api, kind="tank", name="Evacuation", purpose="evacuation", **OPEN, **LN2)
    item = an_item(api, out=1, box=a_box(api, parent=tank))
    then = clock.now()
    later(api, minutes=30)
    known_again(api, item, vial)

    read(api, tank, -15_000, then)

    assert "excursion" in [one["scope_kind"] for one in api.quality.get(f"/specimens/{vial}").json()["holds"]]


def test_a_vial_that_is_known_again_in_a_place_that_does_not_keep_it_goes_on_warming(api: Api) -> None:
    vial = missing_vial(api)
    freezer = a_box(api, kind="freezer", name="Fridge", temperature_class="fridge", **OPEN)
    shelf = a_box(api, kind="shelf", name="Shelf", purpose="quarantine", parent=freezer, **OPEN)
    safe = a_box(api, name="Safe", parent=shelf)
    item = an_item(api, out=5, box=safe)
    known = known_again(api, item, vial)

    assert known["exposure"]["running_since"] is not None, "a fridge keeps nothing frozen"


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
