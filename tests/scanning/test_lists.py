"""Lists of scans over HTTP, as a browser without scripts and as the page's script send them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from biobank.pages.ui.posted import LONGEST_FORM
from biobank.scanning.rack_files import LONGEST_LIST
from tests.conftest import Api
from tests.factories import make_box
from tests.pages.test_pages import a_tube
from tests.pages.visitor import Visitor
from tests.shipping.stories import tubes
from tests.withdrawals.stories import a_donor, a_story, bank_vials

Send = Callable[..., httpx.Response]


@pytest.fixture
def send(api: Api) -> Iterator[Send]:
    """A factory of posts to the scan page: `send("lab_tech", "list", action="store", …)`."""
    visitors: dict[str, Visitor] = {}

    def post(who: str, path: str, **fields: Any) -> httpx.Response:
        if who not in visitors:
            visitors[who] = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
            visitors[who].log_in(who)
        page = visitors[who].get("/scan").text
        token = re.findall(r'name="csrf-token" content="([^"]+)"', page)[0]
        hidden = {
            "csrf_token": token,
            "idempotency_key": fields.pop("key", None) or re.findall(r'"idempotency_key" value="([^"]+)"', page)[0],
        }
        return visitors[who].post(f"/scan/{path}", data=hidden | fields, headers={"Accept": "application/json"})

    post.visitors = visitors  # type: ignore[attr-defined]
    yield post
    for visitor in visitors.values():
        visitor.close()


def said(send: Send, codes: list[str], who: str = "lab_tech", **fields: Any) -> list[tuple[str, str | None, str | None]]:
    answer = send(who, "list", codes="\n".join(codes), **fields)
    assert answer.status_code == 200, answer.text
    return [(row["verdict"], row["slot"], row["why"]) for row in answer.json()["rows"]]


def a_box(api: Api, **fields: Any) -> str:
    act = api.test_bank.act("admin")
    return api.test_bank.write(lambda s: make_box(s, act, **fields).code)  # type: ignore[no-any-return]


def test_tubes_of_one_list_never_share_a_place(api: Api, send: Send) -> None:
    box, (first, second, third) = a_box(api), tubes(api, 3)
    rows = said(send, [f"B2,{first}", f"b02,{second}", third], action="store", place=box)
    assert [row[:2] for row in rows] == [("ready", "B2"), ("blocked", None), ("ready", "A1")]


def test_tubes_that_change_places_are_ready_and_a_tube_in_its_place_has_nothing_to_do(api: Api, send: Send) -> None:
    box, (first, second, third) = a_box(api), tubes(api, 3)
    placed = {
        "placements": [
            {"specimen": c, "position": p, "expected_seq": 2} for c, p in ((first, "A1"), (second, "A2"), (third, "A3"))
        ]
    }
    assert api.lab_tech.post(f"/storage-containers/{box}/placements", json=placed).status_code == 201
    rows = said(send, [f"A2,{first}", f"A1,{second}", f"A3,{third}"], action="store", place=box)
    assert [row[0] for row in rows] == ["ready", "ready", "again"]
    items = [{"text": code, "seq": 3, "slot": slot} for code, slot in ((first, "A2"), (second, "A1"))]
    answer = send("lab_tech", "commit", action="store", place=box, tube=[json.dumps(item) for item in items])
    assert answer.status_code == 200, answer.text
    slots = {s["specimen"]: s["label"] for s in api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]}
    assert (slots[first], slots[second], slots[third]) == ("A2", "A1", "A3")
    undone = send("lab_tech", "undo", recorded=json.dumps(answer.json()["undo"]))
    assert undone.status_code in (200, 409)


def test_a_checked_out_tube_goes_back_to_the_place_kept_for_it(api: Api, send: Send) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    box = api.quality.get(f"/specimens/{vial}").json()["custody"]["container"]
    seq = api.quality.get(f"/specimens/{vial}").json()["custody"]["seq"]
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    assert said(send, [vial], action="store", place=box) == [("ready", "A1", None)]


def test_a_frozen_vial_is_not_ready_for_a_fridge_and_always_for_quarantine(api: Api, send: Send) -> None:
    (vial,) = tubes(api, 1, frozen=True)
    fridge = a_box(api, temperature_class="fridge")
    quarantine = a_box(api, purpose="quarantine")
    ((verdict, _, why),) = said(send, [vial], action="store", place=fridge)
    assert verdict == "blocked" and "frozen" in (why or "")
    assert said(send, [vial], action="store", place=quarantine)[0][0] == "ready"


def test_what_is_not_a_tube_and_what_another_site_holds_is_said_so(api: Api, send: Send) -> None:
    box, (tube,) = a_box(api), tubes(api, 1)
    rows = said(send, [box, tube, f"HTTPS://OTHER.EXAMPLE/S/{tube}", "garbage 9"], action="look")
    assert [row[0] for row in rows] == ["blocked", "ready", "blocked", "unknown"]
    assert "not a tube" in (rows[0][2] or "")
    assert said(send, [tube], "other_clinician", action="look")[0][0] == "unknown"


def test_only_the_holder_hands_over(api: Api, send: Send) -> None:
    mine, theirs = tubes(api, 1), tubes(api, 1, holder="lab_tech2")
    badge = api.lab_tech2.get("/auth/me").json()["code"]
    rows = said(send, mine + theirs, action="hand_over", place=badge)
    assert [row[0] for row in rows] == ["ready", "blocked"]


def test_nothing_is_recorded_while_the_place_or_the_purpose_is_missing(api: Api, send: Send) -> None:
    tube = a_tube(api)
    item = json.dumps({"text": tube, "seq": 2})
    for fields in ({"action": "store"}, {"action": "hand_over"}, {"action": "look"}, {"action": "store", "place": tube}):
        answer = send("lab_tech", "commit", tube=item, **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "nothing_to_record"), answer.text
    assert api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["state"] == "received"


def test_a_list_with_one_blocked_tube_is_recorded_not_at_all(api: Api, send: Send) -> None:
    box, (first, second) = a_box(api), tubes(api, 2)
    items = [json.dumps({"text": first, "seq": 2, "slot": "A1"}), json.dumps({"text": second, "seq": 1, "slot": "A2"})]
    answer = send("lab_tech", "commit", action="store", place=box, tube=items)
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_sequence")
    assert api.lab_tech.get(f"/specimens/{first}").json()["custody"]["state"] == "received"


def test_the_same_key_twice_is_one_act_with_one_answer(api: Api, send: Send) -> None:
    box, (tube,) = a_box(api), tubes(api, 1)
    item = json.dumps({"text": tube, "seq": 2, "slot": "A1"})
    first = send("lab_tech", "commit", key="list-1", action="store", place=box, tube=item)
    again = send("lab_tech", "commit", key="list-1", action="store", place=box, tube=item)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"] == 3


@pytest.mark.parametrize("rubbish", ["", "x", "{}", "[]", '{"text": "", "seq": 1}', '{"text": "AD26-1", "seq": -1}', "\x00"])
def test_a_list_that_did_not_arrive_whole_is_refused(send: Send, rubbish: str) -> None:
    answer = send("lab_tech", "commit", action="receive", tube=rubbish)
    assert answer.status_code == 422, answer.text


def test_a_role_that_records_nothing_only_looks_and_an_administrator_not_even_that(api: Api, send: Send) -> None:
    tube = a_tube(api)
    answer = send("auditor", "commit", action="receive", tube=json.dumps({"text": tube, "seq": 2}))
    assert answer.status_code == 422
    visitor = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True)
    visitor.log_in("admin")
    assert visitor.get("/scan").status_code == 403
    visitor.close()


def test_the_longest_list_fits_into_a_form() -> None:
    text = "HTTPS://A-RATHER-LONG-HOST-NAME.BANK.EXAMPLE/S/AD26-KH0KJQL"
    tube = json.dumps({"text": text, "well": "PS-1234567", "seq": 2**31 - 1, "slot": "AA100"})
    fields = [("line", f"PS-1234567|{text}"), ("tube", tube)] * LONGEST_LIST
    assert len(urlencode(fields)) < LONGEST_FORM - 8192


def test_a_hold_that_stops_processing_does_not_stop_putting_it_away(api: Api, send: Send) -> None:
    story = a_story(api)
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "identity", "reason": "label_in_doubt"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201
    assert said(send, story.vials, action="store", place=a_box(api))[0][0] == "ready"


def a_file(send: Send, who: str, data: bytes) -> Any:
    send(who, "list")  # logs in
    visitor = send.visitors[who]  # type: ignore[attr-defined]
    token = re.findall(r'name="csrf-token" content="([^"]+)"', visitor.get("/scan").text)[0]
    return visitor.post("/scan/file", content=data, headers={"X-CSRF-Token": token, "Accept": "application/json"})


def test_a_racks_file_fills_where_to_and_is_compared_with_the_record_of_the_box(api: Api, send: Send) -> None:
    box, (first, second, third) = a_box(api), tubes(api, 3)
    for tube, place in ((first, "A1"), (second, "A2"), (third, "A3")):
        seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
        body = {"placements": [{"specimen": tube, "position": place, "expected_seq": seq}]}
        assert api.lab_tech.post(f"/storage-containers/{box}/placements", json=body).status_code == 201
    data = f"Rack ID,{box}\r\nWell,Tube\r\nA01,{second}\r\nA02,{first}\r\nA03,NO READ\r\nA04,NO TUBE\r\n".encode("utf-16")

    read = a_file(send, "lab_tech", data)
    answer = send("lab_tech", "list", action="store", place=read.json()["place"], line=read.json()["lines"])

    assert read.json() == {"lines": [f"A1|{second}", f"A2|{first}", "A3|NO READ"], "place": box}
    assert [row["verdict"] for row in answer.json()["rows"]] == ["ready", "ready", "unknown"]
    assert "could not read the tube in A3" in answer.json()["rows"][2]["why"]
    shown = re.sub(r"<[^>]+>", "", answer.json()["html"])
    assert "differs at 3 places" in shown
    assert f"{first} is recorded at A1; the list has it at A2." in shown
    assert f"A3: {third} is recorded here; the tube in the list is not known or could not be read." in shown


def test_a_pasted_rack_names_its_box_by_name_too(api: Api, send: Send) -> None:
    box, (tube,) = a_box(api, name="TR00012345"), tubes(api, 1)

    answer = send("lab_tech", "list", action="store", codes=f"TR00012345,B1,{tube}").json()

    assert (answer["place_code"], [row["slot"] for row in answer["rows"]]) == (box, ["B1"])


def test_a_file_that_names_two_tubes_for_one_well_is_refused_and_a_stranger_sends_none(api: Api, send: Send) -> None:
    first, second = tubes(api, 2)

    two = a_file(send, "lab_tech", f"A1,{first}\nA01,{second}\n".encode())
    large = a_file(send, "lab_tech", b"A1,x\n" * 300_000)

    assert (two.status_code, two.json()["code"]) == (422, "two_tubes_in_one_place")
    assert large.status_code == 413
    assert httpx.post(f"{api.url}/scan/file", content=b"", headers={"Accept": "application/json"}).status_code == 401


def test_registered_identifiers_are_listed_whatever_their_shape_and_a_new_stranger_is_kept_once(api: Api, send: Send) -> None:
    for value, tube in zip(("AB123", "FOOBAR", "ID: 55"), tubes(api, 3), strict=True):
        seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
        body = {"issuer": "legacy", "value": value, "expected_seq": seq}
        assert api.lab_tech.post(f"/specimens/{tube}/aliases", json=body).status_code == 201

    answer = send("lab_tech", "list", action="look", codes="ab123\nFOOBAR\nID: 55\nFX0017")
    again = send("lab_tech", "list", action="look", line=["|ab123", "|FX0017"])

    assert [row["verdict"] for row in answer.json()["rows"]] == ["ready", "ready", "ready", "unknown"]
    assert [row["verdict"] for row in again.json()["rows"]] == ["ready", "unknown"]
    kept = api.auditor.get("/attempts", params={"limit": 10}).json()["items"]
    assert [one["code"] for one in kept if one["path"] == "/scan/list"] == ["not_found"]
