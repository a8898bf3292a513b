"""Deviations, look-back and recall, attached files, and second signatures on pages."""

import hashlib
import html
import re

from tests import seed
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.signing import signed
from tests.withdrawals.stories import a_donor, a_story


def test_a_deviation_is_opened_by_a_technician_and_closed_by_quality_with_a_signature(api: Api, visit: Visit) -> None:
    story = a_story(api)
    tube = story.vials[0]
    opened = visit("lab_tech").submit(
        "/deviations/new",
        {
            "about": f"{tube} {story.donor}",
            "severity": "major",
            "topic": "tank_low",
            "site": "LAB",
            "description": "Level fell at night.",
        },
    )
    address = opened.url.path
    assert re.fullmatch(r"/deviations/DV-[0-9A-Z]{7}", address), opened.text[:3000]
    assert tube in opened.text and story.donor in opened.text and "Level fell at night." in opened.text
    assert "Close it" not in opened.text
    quality = visit("quality")
    about = {"specimens": tube, "disposition": "cleared", "reason": "not_affected", "password": seed.PASSWORD}
    assert quality.submit(f"{address}/dispositions", about).url.path == address
    fields = {"cause": "valve_stuck", "decision": "valve_replaced", "corrective_action": "Weekly test of valves."}
    unsigned = quality.submit(f"{address}/close", fields | {"password": "wrong wrong wrong"})
    assert unsigned.status_code in (401, 403) and "Weekly test of valves." in unsigned.text
    closed = quality.submit(f"{address}/close", fields | {"password": seed.PASSWORD})
    assert "Valve replaced" in closed.text and "Weekly test of valves." in closed.text
    assert address.rsplit("/", 1)[1] not in quality.get_page("/deviations?state=open")


def test_who_may_not_open_a_form_is_refused_when_posting_it_and_the_attempt_is_kept(api: Api, visit: Visit) -> None:
    tech = visit("lab_tech")
    fields = {"severity": "minor", "topic": "Wrong tube", "site": "LAB", "description": "d"}
    address = tech.submit("/deviations/new", fields).url.path
    token = re.search(r'name="csrf_token" value="([^"]+)"', tech.get_page("/"))
    assert token is not None
    sent = {"csrf_token": token[1], "idempotency_key": "one", "cause": "x", "decision": "y", "password": seed.PASSWORD}
    assert tech.post(f"{address}/close", data=sent).status_code == 403
    kept = api.quality.get("/attempts?limit=50").json()["items"]
    assert [one["actor_code"] for one in kept if one["path"] == f"{address}/close"] == [seed.USERS["lab_tech"].code]


def test_a_deviation_about_something_impossible_says_so_at_the_field(api: Api, visit: Visit) -> None:
    page = visit("lab_tech").submit(
        "/deviations/new", {"about": "nonsense", "severity": "minor", "topic": "x_y", "site": "LAB", "description": "d"}
    )
    assert page.status_code == 422 and 'href="#f-about"' in page.text


def test_an_attached_file_comes_back_as_its_hash_and_is_sent_to_those_who_may_see_it(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    content = b"minute,level\n1,20\n"
    digest = hashlib.sha256(content).hexdigest()
    file = {"file": ("readings.csv", content, "text/csv")}
    form = visitor.get_page("/deviations/new")
    (address,) = {html.unescape(one) for one in re.findall(r'data-keeps="([^"]+)"', form)}
    assert address == "/attachments/new?back=%2Fdeviations%2Fnew&field=attachments"
    stored = visitor.submit("/attachments/new", {}, draw=address, files=file)
    assert stored.url.path == "/deviations/new" and digest in stored.text, stored.text[:2000]
    assert visitor.get(f"/attachments/{digest}").content == content
    assert visit("other_clinician").get(f"/attachments/{digest}").status_code == 404
    program = {"file": ("x.html", b"<script>", "text/html")}
    refused = visitor.submit("/attachments/new", {}, draw="/attachments/new?back=/deviations/new", files=program)
    assert refused.status_code == 422 and "Such a file is not kept" in refused.text


def test_a_look_back_shows_what_a_lot_can_have_reached_and_a_recall_freezes_it(api: Api, visit: Visit) -> None:
    story = a_story(api, vials=2, lot=True)
    lot = api.quality.get(f"/specimens/{story.vials[0]}").json()["lot"]
    quality = visit("quality")
    found = quality.submit("/look-backs", {"start": lot, "derivatives": "true"})
    assert found.status_code == 200 and all(tube in found.text for tube in story.vials), found.text[:3000]
    form = found.text.split('action="/recalls"')[1].split("</form>")[0]
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    said = {"reason": "medium_recalled", "severity": "critical", "site": "LAB", "description": "The maker recalled the medium."}
    refused = quality.post("/recalls", data=hidden | said | {"reason": "Bag leaked"})
    assert refused.status_code == 409 and "no reason of this bank" in refused.text
    assert all(tube in refused.text for tube in story.vials) and "The maker recalled the medium." in refused.text, (
        "asked for anew"
    )
    again = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', refused.text.split('action="/recalls"')[1]))
    recalled = quality.post("/recalls", data=again | said)
    assert "Recall started" in recalled.text and recalled.url.path.startswith("/recalls/"), recalled.text[:3000]
    assert "Decide about units" in recalled.text
    deviation = re.search(r"DV-[0-9A-Z]{7}", recalled.text)
    assert deviation is not None
    for path in (f"/deviations/{deviation.group()}", "/recalls"):
        assert f'href="{recalled.url.path}"' in quality.get_page(path), f"{path} leads to the recall"
    for tube in story.vials:
        assert [hold["kind"] for hold in api.quality.get(f"/specimens/{tube}").json()["holds"]] == ["recall"]


def test_a_look_back_from_a_box_needs_a_time_and_is_not_for_the_bench(api: Api, visit: Visit) -> None:
    box = api.quality.get(f"/specimens/{a_story(api).vials[0]}").json()["custody"]["container"]
    untimed = visit("quality").submit("/look-backs", {"start": box})
    assert untimed.status_code == 422 and "since" in untimed.text
    visit("lab_tech").get_page("/look-backs", 403)


def proposed_role(api: Api) -> str:
    """An administrator's proposal."""
    path = f"/users/{seed.USERS['north_tech'].code}/roles"
    answer = api.admin.post(path, json=signed(api.admin, "role_change", path, {"role": "clinic_staff", "site": "CLINIC"}))
    return str(answer.json()["pending_act"])


def test_a_proposed_role_is_completed_by_quality_and_not_by_its_proposer(api: Api, visit: Visit) -> None:
    pending = proposed_role(api)
    own = visit("admin").get_page(f"/pending/{pending}")
    assert "It waits for another person" in own and "Sign as the second person" not in own
    quality = visit("quality")
    assert "your signature" in quality.get_page("/pending")
    wrong = quality.submit(f"/pending/{pending}/sign", {"password": "wrong wrong wrong"}, draw=f"/pending/{pending}")
    assert wrong.status_code in (401, 403)
    done = quality.submit(f"/pending/{pending}/sign", {"password": seed.PASSWORD}, draw=f"/pending/{pending}")
    assert done.url.path == "/pending" and "Give a role: signed by two people." in done.text
    roles = api.admin.get(f"/users/{seed.USERS['north_tech'].code}").json()["roles"]
    assert {"role": "clinic_staff", "site": "CLINIC"} in roles
    quality.get_page(f"/pending/{pending}", 404)


def test_a_second_person_may_say_no(api: Api, visit: Visit) -> None:
    pending = proposed_role(api)
    quality = visit("quality")
    page = quality.submit(f"/pending/{pending}/cancel", {}, draw=f"/pending/{pending}")
    assert "Nothing changed." in page.text
    assert len(api.admin.get(f"/users/{seed.USERS['north_tech'].code}").json()["roles"]) == 1


def test_an_erasure_is_completed_on_its_page_and_strangers_see_no_proposal(api: Api, visit: Visit) -> None:
    donor = a_donor(api, consented=False)
    pending = donors.erase(api.quality, donor).json()["pending_act"]
    visit("lab_tech").get_page(f"/pending/{pending}", 404)
    page = visit("quality2").submit(f"/pending/{pending}/sign", {"password": seed.PASSWORD}, draw=f"/pending/{pending}")
    assert page.status_code == 200 or "Contact and free text" in page.text, page.text[:3000]
    assert api.quality.get(f"/donors/{donor}").json()["status"] == "erased"
