"""Workstations and bench sessions on pages: cleared and opened, worked at, stopped, closed, held and lifted."""

import re

from tests import seed
from tests.benches.stories import opened, rule, session_of, workstation
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_cultures import culture_of, grown
from tests.registers.test_registers import entered
from tests.shipping.stories import tubes
from tests.specimens.stories import donor, made, output, raw_fat, run, using


def test_a_workstation_is_cleared_opened_worked_at_and_closed_on_pages(api: Api, visit: Visit) -> None:
    mary = donor(api)
    bench, tube = workstation(api), raw_fat(api, mary)
    tech, here = visit("lab_tech"), f"/workstations/{bench}"
    assert f'href="{here}/open"' in tech.get_page(here) and "Nobody" in tech.get_page(here)

    form = {"workstation": bench, "cleared": "false", "specimen": tube["code"]}
    assert "Take away what is there" in tech.submit(f"{here}/open", form).text
    done = tech.submit(f"{here}/open", form | {"cleared": "true"}, follow_redirects=True)
    assert f"Only material of {mary} may be there" in done.text
    (code,) = set(re.findall(r"BS-[0-9A-Z]{7}", done.text))
    form = {
        "process": "wash",
        "site": "LAB",
        "procedure_version": "SOP-014 v3",
        "workstation": bench,
        "rows-inputs": "1",
        "rows-outputs": "1",
        "specimen-inputs-0": tube["code"],
        "consumed-inputs-0": "yes",
        "what-outputs-0": "lipoaspirate:ul_washed",
        "amount-outputs-0": "40",
        "count-outputs-0": "1",
        "purpose-outputs-0": "therapeutic",
    }
    made_it = tech.submit("/processings/new", form, draw="/processings/new?process=wash", follow_redirects=True)
    assert "The run is recorded." in made_it.text, made_it.text[:2000]
    drawn = tech.get_page(f"/bench-sessions/{code}")
    assert tube["code"] in drawn and "Processing" in drawn and "/scan?do=bench" in drawn
    assert code in tech.get_page("/bench-sessions?state=open") and mary in tech.get_page("/workstations")

    done = tech.submit(f"/bench-sessions/{code}/close", {"workstation": bench, "cleared": "true"}, follow_redirects=True)
    assert "The workstation is clear and closed." in done.text
    assert code in tech.get_page("/bench-sessions?state=closed") and code in tech.get_page(here)


def test_the_scan_list_stops_another_persons_tube_and_keeps_that(api: Api, visit: Visit) -> None:
    mary, ben = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    bench, hers, his = workstation(api), raw_fat(api, mary), raw_fat(api, ben)
    code = opened(api, bench, donor=mary)
    tech = visit("lab_tech")

    drawn = tech.submit(
        "/scan/list", {"action": "bench", "place": bench, "codes": f"{hers['code']}\n{his['code']}"}, draw="/scan"
    )

    assert "STOP." in drawn.text and "is of another person" in drawn.text and "Take it away from this workstation" in drawn.text
    assert f"open for {mary}" in drawn.text
    (stop,) = session_of(api, code)["stops"]
    assert his["code"] in stop["sentence"] and stop["by"] == seed.USERS["lab_tech"].code
    assert his["code"] in tech.get_page(f"/bench-sessions/{code}")
    near = visit("quality").get_page("/log/near-misses")
    assert "nother person" in near.lower() or "another_persons_material" in near
    commit = {"action": "bench", "place": bench, "line": f"|{hers['code']}"}
    commit["tube"] = f'{{"text": "{hers["code"]}", "well": null, "seq": {hers["seq"]}, "slot": null}}'
    hidden = dict(re.findall(r'<input type="hidden" name="(csrf_token|idempotency_key)" value="([^"]*)"', tech.get_page("/scan")))
    done = tech.post("/scan/commit", data=hidden | commit)
    assert "At the bench: 1 tube" in done.text and "/scan/undo" not in done.text.split('id="scan-result"')[0]
    assert [one["specimen"] for one in session_of(api, code)["items"]] == [hers["code"]]


def test_what_is_held_with_a_tube_in_doubt_is_shown_and_lifted_from_the_session(api: Api, visit: Visit) -> None:
    mary = donor(api)
    bench, raw = workstation(api), [raw_fat(api, mary), raw_fat(api, mary)]
    code = opened(api, bench, donor=mary)
    washed = [output("lipoaspirate", 40_000, "ul_washed")]
    tubes = [made(run(api.lab_tech, "wash", [using(one)], washed, workstation=bench))["specimens"][0]["code"] for one in raw]
    doubted = {"scope_kind": "specimen", "kind": "identity", "reason": "label_in_doubt"}
    assert visit("lab_tech").submit(f"/specimens/{tubes[0]}/hold", doubted, follow_redirects=True).status_code == 200
    (hold,) = session_of(api, code)["holds"]
    here, lift = f"/bench-sessions/{code}", f"/holds/{hold['id']}/lift"

    drawn = visit("quality").get_page(here)
    assert "Held by these now" in drawn and tubes[1] in drawn and f'href="{lift}"' in drawn
    assert f'href="{lift}"' not in visit("lab_tech").get_page(here)
    form = {"reason": "labels_compared", "password": seed.PASSWORD}
    done = visit("quality").submit(lift, form, follow_redirects=True)

    assert "The hold is lifted." in done.text
    assert session_of(api, code)["held"] == []


def test_a_second_person_signs_the_line_clearance_on_the_page_of_what_waits(api: Api, visit: Visit) -> None:
    mary = donor(api)
    bench, tube = workstation(api), raw_fat(api, mary)
    rule(api, "cleared_alone", "refuse")
    form = {"workstation": bench, "cleared": "true", "specimen": tube["code"], "password": seed.PASSWORD}

    first = visit("lab_tech").submit(f"/workstations/{bench}/open", form, follow_redirects=True)
    assert "It waits for the second person" in first.text, first.text[:2000]
    (pending,) = api.lab_tech2.get("/pending-acts").json()["items"]
    second = visit("lab_tech2").submit(
        f"/pending/{pending['id']}/sign", {"password": seed.PASSWORD}, draw=f"/pending/{pending['id']}", follow_redirects=True
    )

    assert "Clear and open a workstation: signed by two people." in second.text, second.text[:2000]
    assert api.lab_tech.get(f"/workstations/{bench}").json()["open"]["opened_second"] == seed.USERS["lab_tech"].code


def test_limits_of_work_are_set_on_the_page(api: Api, visit: Visit) -> None:
    form = {"site": "LAB", "material": "adsc", "condition": "in_culture", "highest_passage": "4", "password": seed.PASSWORD}
    page = visit("quality")
    done = page.submit("/material-limits", form, follow_redirects=True)

    assert "Set for LAB." in done.text
    assert "up to passage 4" in page.get_page("/material-limits")


def test_the_page_says_how_many_may_be_used_for_a_shorter_time(api: Api, visit: Visit) -> None:
    tubes(api, 2, material="adsc", unit="cells")
    form = {"site": "LAB", "material": "adsc", "condition": "fresh", "use_by_s": "30", "password": seed.PASSWORD}

    done = visit("quality").submit("/material-limits", form, follow_redirects=True)

    assert "2 specimens may be used for a shorter time now" in done.text, done.text[:3000]


def test_a_culture_is_looked_after_and_a_spoilt_flask_discarded_on_pages(api: Api, visit: Visit) -> None:
    one = grown(api)
    here = f"/specimens/{one['code']}/culture"
    medium = entered(api, "medium", "DMEM")
    tech = visit("lab_tech")
    assert f'href="{here}"' in tech.get_page(f"/specimens/{one['code']}")

    fed = tech.submit(f"{here}/medium", {"vessels": "6", "medium_lots": medium}, follow_redirects=True)
    assert "Recorded." in fed.text and medium in fed.text
    seen = tech.submit(
        f"{here}/look", {"vessels": "1", "finding": "contaminated", "confluence_percent": "70"}, follow_redirects=True
    )
    assert "Recorded: contaminated." in seen.text and f"On hold now: {one['lot']}." in seen.text
    form = {"vessels": "1", "reason": "contaminated", "amount": "5e6", "password": seed.PASSWORD}
    first = tech.submit(f"{here}/discard", form, follow_redirects=True)
    assert "It waits for the second person" in first.text, first.text[:3000]
    (pending,) = api.lab_tech2.get("/pending-acts").json()["items"]
    sign = f"/pending/{pending['id']}"
    done = visit("lab_tech2").submit(f"{sign}/sign", {"password": seed.PASSWORD}, draw=sign, follow_redirects=True)

    assert "Discard vessels of a culture: signed by two people." in done.text, done.text[:3000]
    assert culture_of(api, one)["vessels"] == 5
    assert "Vessels now" in tech.get_page(here)
