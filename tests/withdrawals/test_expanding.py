"""Cells that are grown before they go back: from the request over the run to the request of what was grown."""

import re

import psycopg
import pytest

from biobank.withdrawals.next_acts import acts_waiting_for
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.withdrawals.growing import ROUTE, asked, at_the_bench, expand, grown_of
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_story,
    approve,
    holds_of,
    kinds_of,
    later,
    of_one_person,
    own_notices,
    refused,
    sealed,
    state_of,
)
from tests.withdrawals.test_guards import Attack
from tests.withdrawals.test_offered import hold, revoke


def test_what_was_approved_is_thawed_at_the_bench_and_grown_and_whoever_asked_is_told(api: Api) -> None:
    story = asked(api)
    assert approve(api, story.code).status_code == 200
    assert story.pick().status_code == story.confirm().status_code == 201
    waits = api.lab_tech.get(f"/withdrawals/{story.code}").json()["waits_for"]
    assert waits == [f"{story.vials[0]}: thaw it"]
    answer = story.thaw(api.lab_tech).json()
    assert answer["waits_for"] == ["the new run: record what went in and what came out of it"]
    answer = expand(story)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["waits_for"]) == ("expanded", [])
    (grown,) = answer.json()["run"]["specimens"]
    assert state_of(api, grown["code"])["condition"] == "in_culture"
    vial = state_of(api, story.vials[0])
    assert (vial["state"], vial["reserved_for"]) == ("consumed", None)
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.expanded"
    (last,) = api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"][-1:]
    assert last["body"]["lot"] == answer.json()["run"]["lot"] and len(last["relies_on"]) == 2
    told = [one["reason"] for one in own_notices(api, "clinician") if one["about"] == story.code]
    assert told == ["withdrawal_expanded"]
    parents = api.lab_tech.get(f"/specimens/{grown['code']}").json()
    assert parents["donor"] == story.donor


def test_what_was_grown_inherits_neither_basis_nor_release_and_is_asked_for_by_itself(api: Api) -> None:
    story = at_the_bench(api)
    grown = expand(story).json()["run"]["specimens"][0]["code"]
    anew = Story(api, story.donor, [grown])
    refused(anew.request(route="ship_fresh"), 409, "regulatory_basis_undetermined")


@pytest.mark.parametrize("came", ["revoked", "held"])
def test_what_came_in_between_stops_the_run_as_any_other_step(api: Api, came: str) -> None:
    story = at_the_bench(api)
    revoke(api, story) if came == "revoked" else hold(api, story)
    refused(expand(story), 409, "consent_revoked" if came == "revoked" else "on_hold")
    assert state_of(api, story.vials[0])["state"] == "checked_out"


def test_cells_whose_time_for_use_ran_out_at_the_bench_go_into_no_run(api: Api) -> None:
    story = at_the_bench(api)
    later(api, hours=30)
    sealed(api)
    refused(expand(story), 409, "expired")


def test_it_goes_its_own_way_only_and_no_other_withdrawal_goes_this_way(api: Api) -> None:
    story = at_the_bench(api)
    refused(story.issue(), 409, "another_route")
    refused(story.label(), 409, "another_route")
    other = a_story(api, 3).up_to("confirm")
    refused(expand(other), 409, "another_route")
    refused(story.receive(), 409, "wrong_step")


def test_frozen_or_unconfirmed_it_does_not_go_into_the_run(api: Api) -> None:
    frozen = at_the_bench(api, thawed=False)
    refused(expand(frozen), 409, "wrong_condition_for_route")
    alone = asked(api)
    assert alone.approve().status_code == 200
    refused(expand(alone), 409, "wrong_step")
    assert alone.pick().status_code == 201
    refused(expand(alone), 409, "pick_unconfirmed")


def test_a_run_of_its_own_does_not_take_what_is_reserved_for_this(api: Api) -> None:
    story = at_the_bench(api)
    answer = api.lab_tech.post("/processings", json=grown_of(api, {"specimen": story.vials[0]}))
    refused(answer, 409, "reserved_elsewhere")


def test_all_its_tubes_go_in_all_is_for_treatment_and_it_is_a_culture(api: Api) -> None:
    story = at_the_bench(api, wanted=2)
    refused(expand(story), 409, "not_an_expansion")
    output = {"material": "adsc", "unit": "cells", "amount": 20_000_000, "passage": 3, "vessel_count": 4, "purpose": "qc"}
    refused(expand(story, None, *story.vials[:2], outputs=[output]), 409, "not_an_expansion")
    filled = {"material": "adsc", "unit": "cells", "amount": 2 * AMOUNT, "passage": 2}
    refused(expand(story, None, *story.vials[:2], process="aliquoting", outputs=[filled]), 409, "not_an_expansion")
    assert expand(story, None, *story.vials[:2]).status_code == 200


def test_what_nothing_grows_is_not_asked_for_this_way(api: Api) -> None:
    story = a_story(api, 2, material="prp", unit="ul", passage=None)
    refused(story.request(route=ROUTE, material="prp"), 409, "not_an_expansion")


def test_another_persons_tube_among_what_goes_in_is_a_stop(api: Api) -> None:
    story, other = at_the_bench(api), at_the_bench(api)
    refused(expand(story, None, story.vials[0], other.vials[0]), 409, "wrong_specimen")
    assert [one["kind"] for one in holds_of(api, other.vials[0])] == ["identity"]
    refused(expand(other), 409, "on_hold")
    assert expand(story).status_code == 200


def test_a_part_that_did_not_go_in_is_free_and_stays_thawed(api: Api) -> None:
    story = at_the_bench(api)
    part = [{"specimen": story.vials[0], "amount": AMOUNT // 2, "consumed": False}]
    assert expand(story, inputs=part).status_code == 200
    rest = state_of(api, story.vials[0])
    assert (rest["reserved_for"], rest["condition"], rest["amount"]) == (None, "thawed", AMOUNT // 2)
    refused(Story(api, story.donor, story.vials[:1]).request(), 409, "wrong_condition_for_route")


def test_it_takes_the_right_to_process_at_its_place_and_never_whoever_approved_it(api: Api) -> None:
    story = at_the_bench(api, approver=api.acts_here)
    refused(expand(story, api.clinician), 403, "not_permitted")
    refused(expand(story, api.north_tech), 404, "not_found")
    of_one_person(api, "acts_here", "lab_tech2")
    for own in (api.acts_here, api.lab_tech2):
        refused(expand(story, own), 403, "not_independent")
    assert expand(story).status_code == 200


def test_it_happens_once_and_ends_the_withdrawal(api: Api) -> None:
    story = at_the_bench(api)
    assert expand(story).status_code == 200
    refused(expand(story), 409, "wrong_step")
    refused(story.pick(), 409, "wrong_step")
    body = {"reason": "postponed"}
    refused(api.clinician.post(f"/withdrawals/{story.code}/cancel", json=body), 409, "wrong_step")
    refused(story.outcome(), 409, "wrong_step")


def test_the_last_unit_is_grown_by_the_signatures_of_two(api: Api) -> None:
    story = asked(api, vials=1)
    answer = approve(api, story.code)
    assert answer.json()["status"] == "done"
    assert "withdrawal.remainder_accepted" in kinds_of(api, "withdrawal", story.code)


def test_the_database_issues_nothing_that_is_grown_first_and_expands_nothing_that_went_into_no_run(api: Api) -> None:
    story, other = at_the_bench(api), a_story(api, 3).up_to("confirm")
    unpicked = asked(api)
    assert unpicked.approve().status_code == 200
    to = "UPDATE withdrawal SET state = %s WHERE code = %s"
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        attack = Attack(story, other, connection)
        attack.refused_by("what_is_grown_first_is_not_issued", to, "issued", story.code)
        for one in (story, other, unpicked):
            attack.refused_by("what_is_expanded_was_picked_by_two_and_went_into_a_run", to, "expanded", one.code)


def test_a_person_does_all_of_it_on_the_pages(api: Api, visit: Visit) -> None:
    story = a_story(api, 3)
    assert donors.consent(api.clinician, story.donor, "banking").status_code == 201
    clinic, tech = visit("clinician"), visit("lab_tech")
    form = {"donor": story.donor, "material": "adsc", "route": ROUTE, "specimens": story.vials[0], "units": "1"}
    drawn = f"/withdrawals/new?donor={story.donor}&material=adsc&route={ROUTE}"
    page = clinic.get_page(drawn)
    assert "Grow more in a new run" in page
    heads = {part: part.split(">")[0] for part in page.split("<form")[1:]}
    (posting,) = (part for part, head in heads.items() if 'action="/withdrawals/new"' in head and 'method="post"' in head)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', posting.split("</form>")[0]))
    here = clinic.post("/withdrawals/new", data=hidden | form).url.path
    story.code = here.rpartition("/")[2]
    assert "Grow more in a new run" in clinic.get_page(here)
    assert story.approve().status_code == 200
    assert story.pick().status_code == story.confirm().status_code == 201
    assert f"{here}/thaw" in tech.get_page(here) and f"{here}/issue" not in tech.get_page(here)
    assert tech.submit(f"{here}/thaw", {"tube": story.vials[0], "method": "water bath 37 C"}).url.path == here
    assert "Record the run in which cells are grown" in tech.get_page("/")
    assert f"{here}/expand" in tech.get_page(here)
    drawn = tech.get_page(f"{here}/expand")
    assert story.vials[0] in drawn and "Passage" in drawn
    run = {
        "site": "LAB",
        "procedure_version": "SOP-014 v3",
        "no_reagents": "true",
        "rows-inputs": "1",
        "rows-outputs": "1",
        "specimen-inputs-0": story.vials[0],
        "consumed-inputs-0": "yes",
        "what-outputs-0": "adsc:cells",
        "amount-outputs-0": "20 M",
        "count-outputs-0": "1",
        "vessel_count-outputs-0": "4",
        "purpose-outputs-0": "therapeutic",
    }
    lot = tech.submit(f"{here}/expand", run).url.path
    assert lot.startswith("/lots/LT-")
    seen = clinic.get_page(here)
    assert lot in seen and "Ask for what was grown" in seen and "Cancel" not in seen
    actor, bank = api.test_bank.actor("lab_tech"), api.test_bank.bank
    assert api.test_bank.write(lambda s: acts_waiting_for(s, actor, bank)) == [], "the task has left"
