"""Holds over HTTP: anyone who may places them, only quality lifts them, and they reach everything they should."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from biobank.custody.hold_coverage import holds_on
from biobank.custody.snapshots import load
from biobank.custody.states import HOLD_BLOCKS, HoldKind
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.specimens.models import SpecimenParent
from tests.conftest import Api, Client
from tests.factories import make_box
from tests.withdrawals.stories import (
    a_box,
    a_donor,
    a_story,
    bank_vials,
    kinds_of,
    later,
    place_of,
    refused,
    sign_and_post,
    state_of,
)


def place(client: Client, kind: str, scope_kind: str, scope_id: str) -> Any:
    """Place a hold."""
    body = {"scope_kind": scope_kind, "scope_id": scope_id, "kind": kind, "reason": "test_reason", "comment": "Looked odd."}
    return client.post("/holds", json=body)


def scopes_of(api: Api, vial: str) -> dict[str, str]:
    """Every scope that covers a vial, with its id."""

    def read(session: Any) -> dict[str, str]:
        s = load(session, [vial])[vial]
        return {
            "specimen": s.code,
            "lot": s.lot_code or "",
            "harvest": s.harvest_code or "",
            "donor": s.donor_code or "",
            "container": s.projection.container_code or "",
        }

    return api.test_bank.write(read)  # type: ignore[no-any-return]


@pytest.mark.parametrize("scope", ["specimen", "lot", "harvest", "donor", "container"])
def test_a_hold_on_any_scope_covers_the_vial_until_quality_lifts_it(api: Api, scope: str) -> None:
    story = a_story(api, lot=True)
    (vial,) = story.vials
    code = scopes_of(api, vial)[scope]
    placed = place(api.lab_tech, "quality", scope, code)
    assert placed.status_code == 201, placed.text
    assert placed.json()["blocks"] == sorted(a.value for a in HOLD_BLOCKS[HoldKind.QUALITY])
    refused(story.request(), 409, "on_hold")

    path = f"/holds/{placed.json()['id']}/lift"
    lifted = sign_and_post(api.quality, "hold_lifted", path, {"reason": "explained"})

    assert lifted.status_code == 200, lifted.text
    assert lifted.json()["lifted_by"] is not None
    assert story.request().status_code == 201


def test_a_hold_covers_what_was_derived_from_the_specimen(api: Api) -> None:
    story = a_story(api, 2)
    parent, child = story.vials
    api.test_bank.write(
        lambda s: s.execute(
            insert(table_of(SpecimenParent)).values(
                child_code=child, parent_code=parent, child_donor=story.donor, parent_donor=story.donor
            )
        )
    )
    place(api.lab_tech, "identity", "specimen", parent)
    refused(story.request(specimens=[child]), 409, "on_hold")
    assert holds_of(api, child) == [parent]


def test_a_hold_on_a_rack_covers_the_boxes_in_it(api: Api) -> None:
    story = a_story(api)
    act = api.test_bank.act("admin")
    rack = api.test_bank.write(lambda s: make_box(s, act, kind="rack", rows=None, cols=None).code)
    moved = api.lab_tech.post(f"/storage-containers/{place_of(api, story.vials[0])}/move", json={"to": rack})
    assert moved.status_code in (200, 201), moved.text
    place(api.lab_tech, "temperature", "container", rack)
    refused(story.request(), 409, "on_hold")
    assert holds_of(api, story.vials[0]) == [rack]


def holds_of(api: Api, vial: str) -> list[str]:
    """The scopes of the active holds that cover a vial; the list of specimens on hold says the same."""
    read = api.test_bank.write(lambda s: holds_on(s, [vial]))
    listed = api.lab_tech.get("/specimens", params={"hold": "any"}).json()["items"]
    assert (vial in {one["code"] for one in listed}) == bool(read[vial])
    return [h.scope_id for h in read[vial]]


def to_box(api: Api, vial: str, box: str, **stated: str) -> None:
    """Move a stored vial into another box."""
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    answer = api.lab_tech.post(f"/specimens/{vial}/store", json={"container": box, "expected_seq": seq} | stated)
    assert answer.status_code == 201, answer.text


def test_carrying_a_vial_out_of_a_held_place_lifts_nothing(api: Api) -> None:
    story = a_story(api, 2)
    (vial, left_before), box, elsewhere = story.vials, place_of(api, story.vials[0]), a_box(api)
    to_box(api, left_before, elsewhere)
    later(api, minutes=1)
    place(api.lab_tech, "temperature", "container", box)
    assert (holds_of(api, vial), holds_of(api, left_before)) == ([box], [])

    to_box(api, vial, elsewhere)

    assert holds_of(api, vial) == [box]
    to_box(api, left_before, box)
    assert holds_of(api, left_before) == [box], "what is put into a held place is held"


def stated(seconds: int) -> str:
    return clock.rfc3339(clock.now() + timedelta(seconds=seconds))


def test_no_stated_time_carries_a_vial_out_of_a_hold(api: Api) -> None:
    """Said to have left before the hold; or left before the time that the hold was said to begin; or in a box that left so."""
    story = a_story(api, 3)
    (early, late, boxed), box, elsewhere = story.vials, place_of(api, story.vials[0]), a_box(api)
    later(api, minutes=10)
    place(api.lab_tech, "temperature", "container", box)
    later(api, minutes=1)
    to_box(api, early, elsewhere, occurred_at=stated(-300))
    assert holds_of(api, early) == [box]

    ahead = {"scope_kind": "container", "scope_id": elsewhere, "kind": "temperature", "reason": "found_warm"}
    assert api.lab_tech.post("/holds", json=ahead | {"occurred_at": stated(100)}).status_code == 201
    third = a_box(api)
    to_box(api, early, third)
    assert sorted(holds_of(api, early)) == sorted([box, elsewhere])

    act = api.test_bank.act("admin")
    racks = [api.test_bank.write(lambda s: make_box(s, act, kind="rack", rows=None, cols=None).code) for _ in range(2)]
    carried = a_box(api)
    assert api.lab_tech.post(f"/storage-containers/{carried}/move", json={"to": racks[0]}).status_code < 300
    place(api.lab_tech, "temperature", "container", racks[0])
    to_box(api, boxed, carried, occurred_at=stated(100))
    assert api.lab_tech.post(f"/storage-containers/{carried}/move", json={"to": racks[1]}).status_code < 300
    assert racks[0] in holds_of(api, boxed)
    assert holds_of(api, late) == [box]


def test_carrying_a_box_out_of_a_held_rack_lifts_nothing(api: Api) -> None:
    story = a_story(api)
    act, box = api.test_bank.act("admin"), place_of(api, story.vials[0])
    racks = [api.test_bank.write(lambda s: make_box(s, act, kind="rack", rows=None, cols=None).code) for _ in range(2)]
    api.lab_tech.post(f"/storage-containers/{box}/move", json={"to": racks[0]})
    place(api.lab_tech, "temperature", "container", racks[0])
    later(api, minutes=1)

    api.lab_tech.post(f"/storage-containers/{box}/move", json={"to": racks[1]})

    assert holds_of(api, story.vials[0]) == [racks[0]]
    later(api, minutes=1)
    newcomer = bank_vials(api, story.donor)[0]
    to_box(api, newcomer, box)
    assert holds_of(api, newcomer) == [], "what came after the box had left was never in that rack"


def test_a_hold_on_a_shipment_stays_on_what_has_arrived(api: Api) -> None:
    story = a_story(api).up_to("issue")
    (vial,) = story.vials
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {
        "from_site": "LAB",
        "to_site": "CLINIC",
        "specimens": [{"specimen": vial, "expected_seq": seq}],
        "courier": "COLD_EXPRESS",
        "evidence": "waybill 1",
    }
    shipment = api.lab_tech.post("/shipments", json=body).json()["code"]
    assert place(api.lab_tech, "temperature", "shipment", shipment).status_code == 201

    assert story.receive().status_code == 200

    refused(story.thaw(), 409, "on_hold")
    assert holds_of(api, vial) == [shipment]
    assert [h["scope_id"] for h in api.clinician.get("/holds").json()["items"]] == [shipment]
    assert api.north_tech.get("/holds").json()["items"] == []


def test_a_hold_stands_on_its_scopes_own_stream(api: Api) -> None:
    story = a_story(api)
    place(api.lab_tech, "legal", "donor", story.donor)
    place(api.lab_tech, "legal", "specimen", story.vials[0])
    assert kinds_of(api, "donor", story.donor)[-1] == "donor.hold_placed"
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.hold_placed"


def test_a_legal_hold_beats_destruction_and_nothing_else(api: Api) -> None:
    story = a_story(api)
    place(api.quality, "legal", "donor", story.donor)
    seq = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    body = {"reason": "surplus", "method": "incineration", "expected_seq": seq}
    refused(sign_and_post(api.quality, "decided", f"/specimens/{story.vials[0]}/discard", body), 409, "on_hold")
    assert story.request().status_code == 201


def test_only_quality_lifts_and_signs(api: Api) -> None:
    story = a_story(api)
    hold = place(api.lab_tech, "quality", "specimen", story.vials[0]).json()["id"]
    path, body = f"/holds/{hold}/lift", {"reason": "explained"}
    refused(api.lab_tech.post(path, json=body), 403, "not_permitted")
    assert refused(api.quality.post(path, json=body), 428, "signature_required")["meaning"] == "hold_lifted"
    assert sign_and_post(api.quality, "hold_lifted", path, body).status_code == 200
    refused(sign_and_post(api.quality, "hold_lifted", path, body), 409, "hold_already_lifted")


def test_people_of_other_sites_neither_see_nor_place_nor_lift(api: Api) -> None:
    story = a_story(api)
    hold = place(api.lab_tech, "quality", "specimen", story.vials[0]).json()["id"]
    refused(place(api.north_tech, "quality", "specimen", story.vials[0]), 404, "not_found")
    refused(place(api.other_clinician, "quality", "donor", story.donor), 404, "not_found")
    refused(api.north_tech.post(f"/holds/{hold}/lift", json={"reason": "explained"}), 404, "not_found")
    assert api.north_tech.get("/holds").json()["items"] == []
    assert [h["id"] for h in api.clinician.get("/holds").json()["items"]] == [hold]


def test_auditors_and_administrators_place_nothing(api: Api) -> None:
    story = a_story(api)
    refused(place(api.auditor, "quality", "specimen", story.vials[0]), 403, "not_permitted")
    refused(place(api.admin, "quality", "specimen", story.vials[0]), 404, "not_found")


def test_holds_are_listed_page_by_page_newest_first(api: Api) -> None:
    donor = a_donor(api)
    vials = bank_vials(api, donor, 3)
    made = [place(api.lab_tech, "quality", "specimen", v).json()["id"] for v in vials]

    first = api.quality.get("/holds", params={"limit": 2, "active": True}).json()
    second = api.quality.get("/holds", params={"limit": 2, "active": True, "after": first["next"]}).json()

    assert [h["id"] for h in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None
    assert api.quality.get("/holds", params={"scope": vials[0], "active": False}).json()["items"] == []


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("lot", "LT-0000000"),
        ("harvest", "KT-0000000"),
        ("container", "BX-0000000"),
        ("shipment", "SH-0000000"),
        ("donor", "DN-0000000"),
    ],
)
def test_a_hold_on_nothing_is_not_found(api: Api, scope: str, code: str) -> None:
    refused(place(api.quality, "quality", scope, code), 404, "not_found")


def test_the_words_of_a_hold_are_in_the_vault_and_not_in_the_log(api: Api) -> None:
    story = a_story(api)
    place(api.lab_tech, "quality", "specimen", story.vials[0])
    last = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert last["comment"] is not None
    assert "odd" not in str(last)


def test_a_hold_changes_no_state(api: Api) -> None:
    story = a_story(api)
    before = state_of(api, story.vials[0])
    place(api.lab_tech, "recall", "specimen", story.vials[0])
    assert state_of(api, story.vials[0]) == before


def test_a_hold_is_lifted_when_that_is_recorded_whatever_time_is_stated(api: Api) -> None:
    vial = a_story(api).vials[0]
    hold = place(api.lab_tech, "quality", "specimen", vial).json()["id"]
    began = clock.now()
    later(api, hours=1)
    between = rfc3339(clock.now())

    def holds_then() -> list[str]:
        return [one["kind"] for one in api.quality.get(f"/specimens/{vial}", params={"at": between}).json()["holds"]]

    assert holds_then() == ["quality"]
    later(api, hours=1)
    stated = {"occurred_at": rfc3339(began + timedelta(minutes=1)), "late_entry": True, "reason_text": "decided then"}
    answer = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "all_well"} | stated)
    assert answer.status_code == 200, answer.text

    assert holds_then() == ["quality"], "what it covered it covered"
    assert api.quality.get(f"/specimens/{vial}").json()["holds"] == []
