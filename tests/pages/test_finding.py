"""What is found while somebody types, what a month and the figures say, and whose name is shown."""

from datetime import timedelta

from biobank.foundation import clock
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit, Visitor
from tests.withdrawals.stories import a_story


def suggested(visitor: Visitor, typed: str) -> list[dict[str, str]]:
    page = visitor.get_page("/account")
    token = page.split('name="csrf-token" content="')[1].split('"')[0]
    answer = visitor.post("/find/now", data={"csrf_token": token, "q": typed})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, str]] = answer.json()["items"]
    return items


def test_typing_finds_things_of_every_kind_by_code_fragment_and_name_and_nothing_one_may_not_see(api: Api, visit: Visit) -> None:
    story = a_story(api, lot=True).up_to("request")
    technician = visit("lab_tech")
    for code, kind in ((story.vials[0], "Specimen"), (story.donor, "Donor"), (story.code, "Withdrawal")):
        for typed in (code, code.lower()[:6], code.partition("-")[2][:4]):
            found = suggested(technician, typed)
            assert any(one["name"] == code and one["kind"] == kind for one in found), (typed, found)
            assert all(technician.get(one["href"]).status_code == 200 for one in found)
    assert [one["kind"] for one in suggested(technician, "procedure")] == []
    assert suggested(technician, story.donor[:1]) == [], "one letter finds everything and so nothing"
    assert suggested(visit("admin"), story.vials[0]) == []
    assert ("Login", "lab_tech") in [(one["kind"], one["name"]) for one in suggested(visit("admin"), "lab_t")]
    refused = technician.post("/find/now", data={"q": story.donor})
    assert refused.status_code == 403, "a form of another site brings no token"


def test_the_beginning_of_a_name_finds_a_person_whose_name_is_then_shown_and_recorded(api: Api, visit: Visit) -> None:
    person = {"family_name": "Okafor", "given_names": "Adaeze", "date_of_birth": "1980-02-29", "sex": "female"}
    made = api.clinician.post("/donors", json=person | {"clinic_site": "CLINIC"})
    assert made.status_code == 201, made.text
    donor = made.json()["donor"]
    visitor = visit("clinician")
    for typed in ("Okaf", "adae", "ÓKAF ada"):
        found = visitor.submit("/donors/search", {"name": typed}, draw="/donors")
        assert found.status_code == 200 and donor in found.text and "Okafor, Adaeze" in found.text, typed
    nobody = visitor.submit("/donors/search", {"name": "Ok"}, draw="/donors").text
    assert "Nobody found" in nobody and "Okafor" not in nobody, "two letters find nobody"
    log = api.auditor.get("/custody-log", params={"donor": donor, "kind": "donor.identity_read"}).json()["items"]
    assert {event["by"] for event in log} == {seed.USERS["clinician"].code} and len(log) >= 3
    assert visit("lab_tech").get_page("/donors").count("/donors/search") == 0


def test_the_calendar_shows_what_falls_due_in_a_month_on_its_day(api: Api, visit: Visit) -> None:
    story, day = a_story(api), clock.now() + timedelta(days=3)
    assert story.request(needed_at=clock.rfc3339(day)).status_code == 201
    page = visit("lab_tech").get_page(f"/calendar?month={day:%Y-%m}")
    assert story.code in page and "A withdrawal is needed" in page
    assert story.code not in visit("lab_tech").get_page("/calendar?month=2040-01")
    assert visit("lab_tech").get("/calendar?month=2040-13").status_code == 422
    assert story.code not in visit("admin").get_page(f"/calendar?month={day:%Y-%m}")


def test_the_figures_count_what_there_is_with_a_table_beside_each_drawing(api: Api, visit: Visit) -> None:
    before = visit("quality").get_page("/figures")
    a_story(api, vials=3)
    after = visit("quality").get_page("/figures")
    assert after.count('<svg class="plot"') >= 1 and before != after
    for title in ("Stock", "Expiries by month", "Capacity", "Turnaround of requests", "Near misses"):
        assert f"<h2>{title}</h2>" in after, title
    technician = visit("lab_tech").get_page("/figures")
    assert "<h2>Near misses</h2>" not in technician and "<h2>Stock</h2>" in technician
