"""The record put right in the browser: undone, corrected, named otherwise, and a person forgotten."""

import re

from biobank.custody.event import rules
from tests import seed
from tests.conftest import Api
from tests.pages.test_files_in_forms import attached
from tests.pages.visitor import Visit
from tests.quality.test_disposal import announce, discard, seq_of
from tests.withdrawals.stories import a_donor, a_story, bank_vials, later, state_of


def waiting_of(page: str) -> str:
    """The address of the one act that waits."""
    (found,) = set(re.findall(r'href="(/pending/[0-9a-f-]{36})"', page))
    return str(found)


def test_the_latest_change_is_undone_on_a_page_that_says_what_comes_back(api: Api, visit: Visit) -> None:
    (vial,) = a_story(api).vials
    out = {"kind": "specimen.checked_out", "purpose": "move", "expected_seq": seq_of(api, vial)}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    tech, path = visit("lab_tech"), f"/specimens/{vial}/undo"
    assert path in tech.get_page(f"/specimens/{vial}")
    assert "The latest change is: checked out. Undone, it is stored again." in tech.get_page(path)
    assert "Undone." in tech.submit(path, {"reason": "wrong tube"}).text
    assert state_of(api, vial)["state"] == "stored"
    again = visit("lab_tech").get(path)
    assert again.status_code == 409 and "is a reversal itself" in again.text
    visit("clinician").get_page(path, 403)


def test_an_end_is_undone_by_two_of_quality_on_what_shows_it(api: Api, visit: Visit) -> None:
    vial, _ = a_story(api, vials=2).vials
    assert announce(api, vial).status_code == 200
    later(api, days=8)
    assert discard(api, api.lab_tech, api.quality, vial).status_code == 200
    path, first = f"/specimens/{vial}/undo", visit("quality")
    proof = attached(first, path, "evidence_sha256")
    said = {"reason": "found again", "evidence_sha256": proof, "password": seed.PASSWORD}
    assert "Proposed." in first.submit(path, said).text
    second = visit("quality2")
    waiting = waiting_of(second.get_page("/pending"))
    assert ">the file</a>" in second.get_page(waiting)
    done = second.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting)
    assert "signed by two people" in done.text and state_of(api, vial)["state"] == "stored"


def test_a_field_of_an_entry_is_corrected_as_it_was_typed(api: Api, visit: Visit) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    entries = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"]
    frozen = next(one for one in entries if "programme" in rules.by_kind[one["kind"]].amendable)
    tech = visit("lab_tech")
    path = f"/specimens/{vial}/correct"
    draw = f"{path}?corrects={frozen['leaf_hash']}"
    assert draw.replace("&", "&amp;") in tech.get_page(f"/specimens/{vial}")
    as_it_was = {
        "programme": frozen["body"]["programme"] or "",
        "cryoprotectant": frozen["body"]["cryoprotectant"] or "",
        "cryoprotectant_contact_s": str(frozen["body"]["cryoprotectant_contact_s"]),
        "reason": "misread",
    }
    unchanged = tech.submit(path, as_it_was, draw=draw)
    assert unchanged.status_code == 422 and "Nothing was changed." in unchanged.text
    two = tech.submit(path, as_it_was | {"cryoprotectant_contact_s": "700", "programme": "other"}, draw=draw)
    assert "Correct one field at a time." in two.text
    assert "Corrected." in tech.submit(path, as_it_was | {"cryoprotectant_contact_s": "700"}, draw=draw).text
    last = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]
    assert (last["kind"], last["body"]["field"], last["body"]["value"]) == (
        "specimen.amended",
        "cryoprotectant_contact_s",
        700,
    )
    assert visit("lab_tech").get(path).status_code == 422


def test_another_issuers_identifier_is_added_and_found_by_a_scan(api: Api, visit: Visit) -> None:
    (vial,) = a_story(api).vials
    added = visit("lab_tech").submit(f"/specimens/{vial}/alias", {"issuer": "clinic east", "value": "CE 7781"})
    assert "A scan of it finds this tube." in added.text
    assert api.lab_tech.post("/scans", json={"text": "CE 7781"}).json()["code"] == vial


def test_a_tube_without_a_name_gets_a_code_and_two_of_quality_say_which_it_is(api: Api, visit: Visit) -> None:
    (vial,) = a_story(api).vials
    gone = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, vial)}
    reported = api.lab_tech.post(f"/specimens/{vial}/events", json=gone)
    assert reported.status_code == 201, reported.text
    named = visit("lab_tech").submit("/specimens/unidentified/new", {"site": "LAB", "condition": "frozen"})
    item = named.url.path.removeprefix("/specimens/")
    assert item.startswith("UN") and f"It is {item} now." in named.text
    path, first = f"/specimens/{item}/resolve", visit("quality")
    proof = attached(first, path, "evidence_sha256")
    said = {"same_as": vial, "evidence_sha256": proof, "password": seed.PASSWORD}
    assert "Proposed." in first.submit(path, said).text
    second = visit("quality2")
    waiting = waiting_of(second.get_page("/pending"))
    assert "signed by two people" in second.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting).text
    assert state_of(api, vial)["state"] != "missing"
    visit("lab_tech").get_page(path, 403)


def test_a_person_is_forgotten_by_two_after_reading_what_goes_today(api: Api, visit: Visit) -> None:
    donor = a_donor(api)
    path, first = f"/donors/{donor}/erase", visit("quality")
    assert path in first.get_page(f"/donors/{donor}")
    assert "Two people of quality sign." in first.get_page(path)
    asked = first.submit(path, {"reason": "asked_by_donor", "password": seed.PASSWORD})
    assert "Proposed." in asked.text, asked.text[:3000]
    second = visit("quality2")
    waiting = waiting_of(second.get_page("/pending"))
    assert "signed by two people" in second.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting).text
    assert api.quality.get(f"/donors/{donor}").json()["status"] == "erased"
    visit("clinician").get_page(f"/donors/{a_donor(api)}/erase", 403)
