"""A label that was replaced, or recorded as destroyed, alarms at every scan; a tube under it still gets somewhere cold."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.foundation.codes import BODY_ALPHABET, MOST_PRINTS, MalformedCode, parse_code
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.layout import compose
from tests import seed
from tests.conftest import Api
from tests.donors import stories as donors
from tests.labels.samples import sample
from tests.labels.test_prints import a_tube, printed
from tests.pages.visitor import Visit
from tests.scanning.test_lists import Send, a_box, send
from tests.shipping.stories import shipped, tubes
from tests.withdrawals.stories import a_story, by_two, place_of, refused, sign_and_post, state_of

__all__ = ["send"]

HOST = "HTTPS://BANK.EXAMPLE/S/"


def label(code: str, number: int) -> str:
    return f"{HOST}{code}-{BODY_ALPHABET[number >> 5]}{BODY_ALPHABET[number & 31]}"


def replaced(api: Api, code: str, template: str = "cryovial-25x13") -> tuple[str, str]:
    """Print a label of a thing twice; return what the old and the new one say."""
    kind = "specimens" if parse_code(code).prefix.value in ("AD", "HF", "UN") else "things"
    numbers = []
    for reason in ("first_print", "damaged"):
        answer = api.lab_tech.post("/label-sheets", json={kind: [code], "template": template, "reason": reason})
        assert answer.status_code == 201, answer.text
        numbers.append(answer.json()["items"][0]["print_number"])
    return label(code, numbers[0]), label(code, numbers[1])


def attempts(api: Api, code: str, refusal: str = "label_superseded") -> list[str]:
    kept = api.auditor.get("/attempts", params={"subject": code}).json()["items"]
    return [one["path"] for one in kept if one["code"] == refusal]


@pytest.mark.parametrize("template", catalogue().values(), ids=lambda one: one.name)
def test_a_label_that_says_its_print_needs_no_larger_symbol(template: Any) -> None:
    data = sample(template)
    bare, numbered = (compose(template, with_number(data, number), 300, "bank.example") for number in (None, MOST_PRINTS))
    assert numbered.payload == f"{bare.payload}-ZZ"
    assert (numbered.version, numbered.module_um) == (bare.version, bare.module_um)


def with_number(data: LabelData, number: int | None) -> LabelData:
    return replace(data, print_number=number)


def test_an_old_label_alarms_where_a_scan_is_asked_about_and_the_new_one_and_a_bare_code_do_not(api: Api) -> None:
    code = a_tube(api)
    old, new = replaced(api, code)

    said = refused(api.lab_tech.post("/scans", json={"text": old}), 409, "label_superseded")

    assert "was replaced on" in said["detail"] and "use the new one" in said["detail"]
    assert said["where_now"] and said["subject"] == code
    assert attempts(api, code) == ["/api/v1/scans"]
    for scan in (new, code, HOST + code, old.removeprefix(HOST)[:-3]):
        assert api.lab_tech.post("/scans", json={"text": scan}).json()["code"] == code


def test_the_labels_of_a_cap_and_a_vial_both_stand(api: Api) -> None:
    code = a_tube(api)
    numbers = [printed(api, code, template=template)["print_number"] for template in ("cryovial-25x13", "cap-9")]
    assert [api.lab_tech.post("/scans", json={"text": label(code, one)}).status_code for one in numbers] == [200, 200]


def test_a_label_that_nobody_printed_here_is_stopped(api: Api) -> None:
    code = a_tube(api)
    refused(api.lab_tech.post("/scans", json={"text": label(code, 7)}), 409, "label_of_no_print")
    assert attempts(api, code, "label_of_no_print")


def test_an_old_label_of_a_tube_that_one_may_not_know_of_says_nothing(api: Api) -> None:
    code = a_tube(api)
    old, _ = replaced(api, code)
    refused(api.other_clinician.post("/scans", json={"text": old}), 404, "not_found")


def test_an_old_label_blocks_its_row_of_a_list_and_is_recorded_by_no_way_in(api: Api, send: Send) -> None:
    code, box = a_tube(api), a_box(api)
    old, _ = replaced(api, code)
    (row,) = send("lab_tech", "list", codes=old, action="store", place=box).json()["rows"]
    assert (row["verdict"], row["slot"]) == ("blocked", None)
    assert "use the new one" in row["why"]

    item = json.dumps({"text": old, "seq": 2, "slot": None})
    assert send("lab_tech", "commit", action="store", place=box, tube=item).status_code >= 400
    kept = {"action": "store", "text": old, "place": box, "scanned_at": "2026-11-30T00:00:00Z", "offset_ms": 0, "uncertain_ms": 1}
    assert send("lab_tech", "kept", **kept).status_code >= 400
    for path, body in (
        (f"/specimens/{old.removeprefix(HOST)}/store", {"container": box, "expected_seq": 2}),
        (f"/storage-containers/{box}/placements", {"placements": [{"specimen": old.removeprefix(HOST), "expected_seq": 2}]}),
        ("/custody-events", {"events": [{"specimen": old.removeprefix(HOST), "kind": "specimen.checked_out"}]}),
    ):
        assert api.lab_tech.post(path, json=body).status_code in (404, 405, 422), path
    assert state_of(api, code)["state"] == "received"


def test_a_safe_place_takes_a_tube_under_an_old_label_and_the_attempt_is_kept(api: Api, send: Send) -> None:
    listed, brought = tubes(api, 2)
    safe = a_box(api, purpose="quarantine")
    old, also_old = replaced(api, listed)[0], replaced(api, brought)[0]
    (row,) = send("lab_tech", "list", codes=old, action="store", place=safe).json()["rows"]
    assert row["verdict"] == "ready"

    answer = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [also_old]})

    assert answer.status_code == 200, answer.text
    assert place_of(api, brought) in {
        one["position"] for one in api.lab_tech.get(f"/storage-containers/{safe}/map").json()["slots"]
    }
    assert attempts(api, brought)


def test_the_label_of_a_box_that_was_replaced_stops_storing_unless_everything_may_go_there(api: Api, send: Send) -> None:
    code, box, safe = a_tube(api), a_box(api), a_box(api, purpose="quarantine")
    for place, refusal in ((box, "use the new one"), (safe, "")):
        old, new = replaced(api, place, "box-50x25")
        answer = send("lab_tech", "list", codes=code, action="store", place=old).json()
        assert refusal in (answer["fault"] or ""), answer
        assert bool(answer["fault"]) == bool(refusal)
        assert send("lab_tech", "list", codes=code, action="store", place=new).json()["fault"] is None


def test_the_old_label_of_a_position_blocks_the_tube_that_was_scanned_before_it(api: Api, send: Send) -> None:
    code, box = a_tube(api), a_box(api)
    slot = api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"][0]["position"]
    old, new = (one.removeprefix(HOST) for one in replaced(api, slot, "position-38x13"))
    rows = [send("lab_tech", "list", line=f"{well}|{code}", action="store", place=box).json()["rows"][0] for well in (old, new)]
    assert [row["verdict"] for row in rows] == ["blocked", "ready"]


def test_a_count_finds_a_tube_under_an_old_label_and_keeps_the_alarm(api: Api) -> None:
    box = a_box(api)
    code = a_tube(api)
    assert api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2}).status_code == 201
    old, _ = replaced(api, code)
    answer = api.lab_tech.post(f"/storage-containers/{box}/counts", json={"scanned": [old]})
    assert answer.json()["status"] == "agreed", answer.text
    assert attempts(api, code)


def test_an_arrival_under_an_old_label_is_a_tube_without_a_label(api: Api) -> None:
    (code,) = tubes(api, 1)
    shipment = shipped(api, [code])
    old, _ = replaced(api, code)
    answer = api.north_tech.post(f"/shipments/{shipment}/receive", json={"scanned": [{"specimen": old}]})
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["unknown"] == 1, answer.text
    assert state_of(api, code)["state"] == "in_transit"
    assert attempts(api, code)


def test_an_old_label_is_picked_by_nobody(api: Api) -> None:
    story = a_story(api).up_to("approve")
    (vial,) = story.vials
    old, new = replaced(api, vial)
    place, path = place_of(api, vial), f"/withdrawals/{story.code}/picks"
    old_place, new_place = replaced(api, place, "position-38x13" if place.startswith("PS") else "box-50x25")

    refused(api.lab_tech.post(path, json={"tube": old, "place": place}), 409, "label_superseded")
    refused(api.lab_tech.post(path, json={"tube": new, "place": old_place}), 409, "label_superseded")
    assert state_of(api, vial)["state"] == "stored"
    assert api.lab_tech.post(path, json={"tube": new, "place": new_place}).status_code == 201
    refused(api.lab_tech2.post(path, json={"tube": old, "confirm": True}), 409, "label_superseded")
    assert attempts(api, vial)


def test_pages_stop_an_old_label_in_every_field_and_open_the_new_one(api: Api, visit: Visit) -> None:
    code, box = a_tube(api), a_box(api)
    old, new = replaced(api, code)
    old_box, new_box = replaced(api, box, "box-50x25")
    tech = visit("lab_tech")

    assert "use the new one" in tech.get_page(f"/find?q={old}", 409)
    assert "use the new one" in tech.get_page(f"/S/{old.removeprefix(HOST)}", 409)
    assert tech.get(f"/S/{new.removeprefix(HOST)}").url.path == f"/specimens/{code}"
    stopped = tech.submit(f"/specimens/{code}/store", {"container": old_box})
    assert "use the new one" in stopped.text
    assert attempts(api, box)
    assert tech.submit(f"/specimens/{code}/store", {"container": new_box}).url.path == f"/specimens/{code}"
    assert state_of(api, code)["state"] == "stored"


def test_something_is_wrong_takes_the_old_label_and_keeps_the_alarm(api: Api, visit: Visit) -> None:
    code = a_tube(api)
    old, _ = replaced(api, code)
    page = visit("lab_tech")
    answer = page.submit("/wrong", {"about": old, "what": "label"})
    assert "is on hold" in answer.text, answer.text[:3000]
    assert attempts(api, code)


def test_a_batch_is_what_was_applied_destroyed_and_unaccounted_and_two_people_say_so(api: Api) -> None:
    codes = tubes(api, 3)
    made = api.lab_tech.post("/label-sheets", json={"specimens": codes, "template": "cryovial-25x13"}).json()["items"]
    batch, serials = made[0]["batch"], [one["serial"] for one in made]
    assert {one["batch"] for one in made} == {serials[0]}
    path = f"/label-batches/{batch}/reconciliation"
    body = {"applied": 1, "destroyed": [serials[2]]}

    refused(sign(api, path, {"applied": 3, "destroyed": [serials[2]]}), 409, "labels_do_not_add_up")
    refused(sign(api, path, {"applied": 0, "destroyed": [10**9]}), 409, "labels_do_not_add_up")
    answer = by_two(api.lab_tech, api.lab_tech2, path, body, "witnessed")

    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert [done[name] for name in ("printed", "applied", "destroyed", "unaccounted")] == [3, 1, 1, 1]
    assert len(set(done["counted_by"])) == 2
    found = api.quality.get(f"/deviations/{done['deviation']}").json()
    assert found["topic"] == "label_unaccounted"
    refused(sign(api, path, body), 409, "labels_reconciled_already")
    said = refused(api.lab_tech.post("/scans", json={"text": label(codes[2], 1)}), 409, "label_superseded")
    assert "recorded as destroyed" in said["detail"]
    assert api.lab_tech.post("/scans", json={"text": label(codes[0], 1)}).status_code == 200
    listed = api.lab_tech.get("/label-batches", params={"open": False}).json()["items"]
    assert [one["batch"] for one in listed] == [batch]
    assert api.lab_tech.get(f"/label-batches/{batch}").json()["reconciled_at"] is not None


def sign(api: Api, path: str, body: dict[str, Any]) -> Any:
    return sign_and_post(api.lab_tech, "witnessed", path, body)


def test_one_person_reconciles_nothing_and_other_figures_complete_nothing(api: Api) -> None:
    (code,) = tubes(api, 1)
    one = printed(api, code)
    path = f"/label-batches/{one['batch']}/reconciliation"
    body = {"applied": 1, "destroyed": []}
    pending = sign(api, path, body).json()["pending_act"]
    refused(sign(api, path, body | {"pending_act": pending}), 403, "second_person_must_differ")
    other = {"applied": 0, "destroyed": [one["serial"]], "pending_act": pending}
    refused(sign_and_post(api.north_tech, "witnessed", path, body | {"pending_act": pending}), 404, "not_found")
    refused(sign_and_post(api.lab_tech2, "witnessed", path, other), 409, "label_counts_differ")
    # Who differed does not try until it fits: both count again.
    refused(sign_and_post(api.lab_tech2, "witnessed", path, body | {"pending_act": pending}), 409, "pending_act_over")
    assert "label_counts_differ" in {one["code"] for one in api.auditor.get("/attempts").json()["items"]}
    assert api.lab_tech.get(f"/label-batches/{one['batch']}").json()["reconciled_at"] is None


def test_a_proposal_of_another_act_or_of_ones_own_is_not_voided_by_a_count_that_differs(api: Api) -> None:
    codes = tubes(api, 2)
    first, other = (printed(api, code) for code in codes)
    paths = [f"/label-batches/{one['batch']}/reconciliation" for one in (first, other)]
    body: dict[str, Any] = {"applied": 1, "destroyed": []}
    pending = sign(api, paths[0], body).json()["pending_act"]
    zero = {"applied": 0, "destroyed": []} | {"pending_act": pending}
    refused(sign_and_post(api.lab_tech2, "witnessed", paths[1], zero), 409, "pending_act_differs")
    refused(sign(api, paths[0], zero), 409, "pending_act_differs")
    assert sign_and_post(api.lab_tech2, "witnessed", paths[0], body | {"pending_act": pending}).status_code == 200


def test_the_second_count_of_labels_is_blind_over_the_api_and_on_every_page(api: Api, visit: Visit) -> None:
    codes = tubes(api, 7)
    made = api.lab_tech.post("/label-sheets", json={"specimens": codes, "template": "cryovial-25x13"}).json()["items"]
    batch, last = made[0]["batch"], made[-1]["serial"]
    path, body = f"/label-batches/{batch}/reconciliation", {"applied": 5, "destroyed": [last]}
    pending = sign(api, path, body).json()["pending_act"]
    (waiting,) = (one for one in api.lab_tech2.get("/pending-acts").json()["items"] if one["id"] == pending)
    assert set(waiting["body"]) == {"printed", "set"} and waiting["body"]["printed"] == 7
    again = sign(api, path, body | {"applied": 6}).json()["pending_act"]
    bodies = [one["body"]["set"] for one in api.lab_tech2.get("/pending-acts").json()["items"] if one["id"] in (pending, again)]
    assert len(set(bodies)) == 2, "another count has another digest"
    tried = sign_and_post(api.lab_tech2, "witnessed", path, body | {"applied": 6}).json()["pending_act"]
    (own,) = (one["body"]["set"] for one in api.lab_tech2.get("/pending-acts").json()["items"] if one["id"] == tried)
    assert own not in bodies, "nobody finds out by proposing the same"
    assert api.lab_tech2.post(f"/pending-acts/{tried}/cancel").status_code == 200
    second = visit("lab_tech2")
    here = f"/labels/batches/{batch}"
    assert second.get(f"/pending/{again}").url.path == here, "the second counts on a form of their own"
    shown = second.get_page(here)
    assert 'value="5"' not in shown and 'value="6"' not in shown and waiting["body"]["set"] not in shown
    assert waiting["body"]["set"] not in second.get_page("/pending")
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown))
    second.post(f"/pending/{again}/sign", data=hidden | {"password": seed.PASSWORD})
    assert api.lab_tech.get(f"/label-batches/{batch}").json()["reconciled_at"] is None, "nobody signs unseen"
    sent = second.submit(here, {"applied": "6", "unused": f"#{last}", "password": seed.PASSWORD})
    assert "Two people found the same" in sent.text
    assert api.lab_tech.get(f"/label-batches/{batch}").json()["unaccounted"] == 0


def test_a_batch_is_reconciled_on_pages_by_scanning_what_was_not_used(api: Api, visit: Visit) -> None:
    used, unused = tubes(api, 2)
    made = api.lab_tech.post("/label-sheets", json={"specimens": [used, unused], "template": "cryovial-25x13"}).json()["items"]
    batch = made[0]["batch"]
    first, second = visit("lab_tech"), visit("lab_tech2")
    assert f"/labels/batches/{batch}" in first.get_page("/labels/batches?open=true")
    form = {"applied": "1", "unused": label(unused, 1), "password": seed.PASSWORD}
    assert "is no label of this batch" in first.submit(f"/labels/batches/{batch}", form | {"unused": "AD26-0000000"}).text
    assert "Proposed" in first.submit(f"/labels/batches/{batch}", form).text
    assert "As the second person" not in second.get_page("/pending")
    assert "Two people found the same" in second.submit(f"/labels/batches/{batch}", form).text
    shown = first.get_page("/labels/batches?open=false")
    assert "2 printed = 1 applied + 1 destroyed + 0 unaccounted" in shown


def test_a_code_is_asked_for_and_a_labels_text_is_sent(api: Api) -> None:
    with pytest.raises(MalformedCode, match="the number of its print") as raised:
        parse_code("AD26-KH0KJQL-02")
    assert raised.value.code == "label_instead_of_code"


def test_the_last_label_that_can_say_its_number_is_the_last(api: Api) -> None:
    code = a_tube(api)
    serial = printed(api, code)["serial"]
    last = text("UPDATE label_print SET print_number = 1023 WHERE serial = :serial")
    api.test_bank.write(lambda s: s.execute(last, {"serial": serial}))
    body = {"specimens": [code], "template": "cryovial-25x13", "reason": "damaged"}
    refused(api.lab_tech.post("/label-sheets", json=body), 409, "label_printed_too_often")


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE label_print SET print_number = 1024", "a_label_says_its_number_in_two_characters"),
        (
            "INSERT INTO label_print (code, template, copy_number, print_number, batch, reason, printed_at, printed_by) "
            "SELECT code, 'another', 1, print_number, batch, reason, printed_at, printed_by FROM label_print",
            "labels_of_a_code_are_numbered",
        ),
        ("INSERT INTO label_reconciliation {row} 3, 1, 1, 0, NULL, 'US-A', 'US-B' {rest}", "every_label_of_a_batch_is_somewhere"),
        ("INSERT INTO label_reconciliation {row} 1, 2, -1, 0, NULL, 'US-A', 'US-B' {rest}", "counts_of_labels_are_counts"),
        ("INSERT INTO label_reconciliation {row} 1, 0, 0, 1, NULL, 'US-A', 'US-B' {rest}", "a_missing_label_is_a_deviation"),
        ("INSERT INTO label_reconciliation {row} 1, 1, 0, 0, NULL, 'US-A', 'US-A' {rest}", "two_people_count_labels"),
    ],
)
def test_the_database_refuses_labels_that_do_not_add_up(api: Api, statement: str, rule: str) -> None:
    printed(api, a_tube(api))
    row = (
        "(batch, printed, applied, destroyed, unaccounted, deviation_code, first_user, second_user, reconciled_at, event_hash) "
        "SELECT batch,"
    )
    whole = statement.format(row=row, rest=", printed_at, event_hash FROM label_print")
    with pytest.raises(IntegrityError, match=rule):
        api.test_bank.write(lambda s: s.execute(text(whole)))


def test_a_form_that_asks_for_a_code_takes_the_new_label_of_it(api: Api, visit: Visit) -> None:
    box = a_box(api)
    _, new = replaced(api, box, "box-50x25")
    (tube,) = tubes(api, 1)
    assert api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": 2}).status_code == 201
    fields = {"selection": "tubes_in", "of": new, "template": "cap-9", "reason": "first_print", "format": "pdf", "dpi": "300"}
    answer = visit("lab_tech").submit("/labels/batch", fields)
    assert "being made" in answer.text, answer.text[:3000]


def test_an_old_wristband_releases_nothing_at_the_bedside(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    says = []
    for reason in ("first_print", "damaged"):
        body = {"things": [story.band], "template": "wristband-254x25", "reason": reason}
        answer = api.clinic_staff.post("/label-sheets", json=body)
        assert answer.status_code == 201, answer.text
        says.append(label(story.band, answer.json()["items"][0]["print_number"]))
    old, new = says
    refused(story.check(wristband=old), 409, "label_superseded")
    assert attempts(api, story.band)
    assert story.check(wristband=new).status_code == 201
    refused(story.check(api.clinic_staff, wristband=old), 409, "label_superseded")


def test_an_old_badge_takes_nothing_over(api: Api, send: Send) -> None:
    (tube,) = tubes(api, 1)
    badge = seed.USERS["lab_tech2"].code
    says = []
    for reason in ("first_print", "lost"):
        body = {"things": [badge], "template": "badge-86x54", "reason": reason}
        answer = api.admin.post("/label-sheets", json=body)
        assert answer.status_code == 201, answer.text
        says.append(label(badge, answer.json()["items"][0]["print_number"]))
    faults = [send("lab_tech", "list", codes=tube, action="hand_over", place=one).json()["fault"] for one in says]
    assert "use the new one" in (faults[0] or "")
    assert faults[1] is None


def test_the_text_of_a_label_is_no_identifier_of_another_issuer(api: Api) -> None:
    code = a_tube(api)
    old, _ = replaced(api, code)
    for text_of_label in (old, old.removeprefix(HOST)):
        answer = api.lab_tech.post(f"/specimens/{code}/aliases", json={"issuer": "LEGACY", "value": text_of_label})
        assert answer.status_code in (404, 409, 422), answer.text
