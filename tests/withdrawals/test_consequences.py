"""From what was seen in a patient back to lots, siblings and inputs with their other recipients, and from a cause forward."""

from sqlalchemy import text

from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import lot_of
from tests.withdrawals.stories import Story, a_story, refused
from tests.withdrawals.test_adverse import record
from tests.withdrawals.test_given_before import given_and_then, held, times
from tests.withdrawals.test_outcomes import plan

RUN = text(
    "INSERT INTO processing (id, process, procedure_version, donor_code, lot_code, site_code, operator, equipment, reagent_lots,"
    " parameters, started_at, recorded_at, recorded_by)"
    " SELECT gen_random_uuid(), 'expansion', 'P-1', donor_code, code, site_code, 'SYSTEM', '{}', ARRAY[:reagent], '{}',"
    " started_at, recorded_at, 'SYSTEM' FROM lot WHERE code = :lot"
)


def made_with(api: Api, story: Story, reagent: str) -> str:
    """The lot of a story, as of a run that named a reagent lot."""
    lot = lot_of(api, story.vials[0])
    api.test_bank.write(lambda s: s.execute(RUN, {"reagent": reagent, "lot": lot}))
    return lot


def test_an_event_leads_to_its_causes_and_a_cause_to_its_events(api: Api, visit: Visit) -> None:
    hurt, other = (a_story(api, 2, lot=True).up_to("administer") for _ in range(2))
    lot, _ = (made_with(api, story, seed.REAGENT) for story in (hurt, other))
    assert plan(api, other).status_code == 201
    assert record(api, hurt).status_code == 201
    (one,) = api.quality.get("/adverse-events").json()["items"]
    path = f"/adverse-events/{one['deviation']}/look-back"

    reach = api.quality.get(path).json()

    assert (reach["units"], reach["lots"]) == (hurt.vials[:1], [lot])
    assert [unit["specimen"] for unit in reach["siblings"]] == hurt.vials[1:]
    assert seed.USERS["clinician"].code in reach["people"]
    (entry,) = reach["entries"]
    assert (entry["entry"], entry["others"]) == (seed.REAGENT, 2)
    assert [(unit["specimen"], unit["withdrawal"]) for unit in entry["given"]] == [(other.vials[0], other.code)]
    for cause, given in ((f"lots/{lot}", hurt.vials[:1]), (f"registers/{seed.REAGENT}", [hurt.vials[0], other.vials[0]])):
        seen = api.quality.get(f"/{cause}/consequences").json()
        assert [unit["specimen"] for unit in seen["given"]] == sorted(given)
        assert [(event["deviation"], event["withdrawal"]) for event in seen["adverse"]] == [(one["deviation"], hurt.code)]
        assert {(told["specimen"], told["measured"]) for told in seen["outcomes"]} == {(unit, 0) for unit in given}
    refused(api.clinician.get(path), 403, "not_permitted")
    refused(api.lab_tech.get(f"/lots/{lot}/consequences"), 403, "not_permitted")
    refused(api.quality.get("/lots/LT-0000000/consequences"), 404, "not_found")
    page = visit("quality").get_page(path)
    assert hurt.vials[1] in page and other.vials[0] in page and seed.REAGENT in page
    assert one["deviation"] in visit("quality").get_page(f"/registers/{seed.REAGENT}/consequences")


def test_what_was_given_before_it_was_known_says_so_wherever_a_unit_that_was_given_is_shown(api: Api, visit: Visit) -> None:
    story, began = given_and_then(api, held, lot=True)
    done = story.given_before(None, None, **times(began))
    assert done.status_code == 200, done.text
    lot = lot_of(api, story.vials[0])
    (given,) = api.quality.get(f"/lots/{lot}/consequences").json()["given"]
    assert "on_hold" in given["came_after"]
    (kept,) = [one for one in api.quality.get("/deviations").json()["items"] if one["topic"] == "given_before_it_was_known"]
    units = api.quality.get(f"/deviations/{kept['code']}").json()["units"]
    assert [one["came_after"] for one in units if one["specimen"] == story.vials[0]] == [given["came_after"]]
    page = visit("quality")
    assert "on hold" in page.get_page(f"/lots/{lot}/consequences").lower().partition("units given")[2]
    assert "Entered after" in page.get_page(f"/deviations/{kept['code']}")
