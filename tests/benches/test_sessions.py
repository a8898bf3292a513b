"""A workstation is open for one person: opening, what is handled and stopped there, labels, closing; one person or two."""

from datetime import timedelta

import psycopg
import pytest

from biobank.acts.act import Act
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.unfinished.service import time_out_open_acts
from tests import seed
from tests.benches.stories import closing, opened, opening, rule, scanning, session_of, workstation
from tests.conftest import Api
from tests.registers.test_registers import entered
from tests.specimens.stories import adsc, donor, freeze, kinds, made, output, raw_fat, refused, run, thaw, using, washed_fat
from tests.specimens.test_runs import attack
from tests.withdrawals.stories import by_two, later, sign_and_post

STOP = (409, "another_persons_material")
FAT = [output("lipoaspirate", 40_000, "ul_washed")]


@pytest.fixture
def two(api: Api) -> tuple[str, str]:
    """Two donors whose cells the laboratory keeps."""
    both = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    for one in both:
        raw_fat(api, one)
    return both


def test_a_run_is_bound_to_the_session_and_what_it_made_is_handled_there(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    bench, raw = workstation(api), raw_fat(api, mary)
    code = opened(api, bench, specimen=raw["code"])

    washed = made(run(api.lab_tech, "wash", [using(raw)], FAT, workstation=bench))

    run_said = api.lab_tech.get(f"/processings/{washed['processing']}").json()
    assert (run_said["bench_session"], run_said["equipment"]) == (code, [bench])
    found = session_of(api, code)
    assert (found["donor"], found["state"], found["site"]) == (mary, "open", "LAB")
    assert {one["specimen"] for one in found["items"]} == {raw["code"], washed["specimens"][0]["code"]}
    assert {(one["what"], one["used_in"]) for one in found["items"]} == {("processing", washed["processing"])}
    assert api.lab_tech.get(f"/workstations/{bench}").json()["open"]["code"] == code
    listed = api.lab_tech.get("/bench-sessions", params={"workstation": bench, "donor": mary, "open": True}).json()["items"]
    assert [one["code"] for one in listed] == [code]


def test_another_persons_material_is_a_full_stop_by_every_route_and_is_kept(api: Api, two: tuple[str, str]) -> None:
    mary, ben = two
    bench, theirs = workstation(api), raw_fat(api, ben)
    hers = washed_fat(api, mary)
    code = opened(api, bench, donor=mary)

    by_run = run(api.lab_tech, "wash", [using(theirs)], FAT, workstation=bench)
    as_equipment = run(api.lab_tech, "wash", [using(theirs)], FAT, equipment=[bench])
    by_scan = scanning(api.lab_tech, code, hers["code"], theirs["code"])
    frozen = freeze(api.lab_tech, [theirs], workstation=bench)
    sheet = {"specimens": [theirs["code"]], "template": "cryovial-38x19", "workstation": bench}
    by_label = api.lab_tech.post("/label-sheets", json=sheet)

    tries = (by_run, as_equipment, by_scan, frozen, by_label)
    assert [refused(one) for one in tries] == [STOP] * 5
    assert all(one.json()["specimens"] == [theirs["code"]] and "Take it away" in one.json()["where_now"] for one in tries)
    found = session_of(api, code)
    assert (len(found["stops"]), found["items"]) == (5, [])
    assert all(theirs["code"] in one["sentence"] for one in found["stops"])
    missed = api.quality.get("/attempts", params={"subject": code}).json()["items"]
    assert {one["code"] for one in missed} == {"another_persons_material"}
    assert api.lab_tech.get(f"/specimens/{theirs['code']}").json()["custody"]["seq"] == theirs["seq"]


def test_a_thawing_and_a_freezing_run_name_the_bench(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    grown = adsc(api, mary)
    bench = workstation(api)
    code = opened(api, bench, donor=mary)
    taken = output("adsc", grown["amount"] // 10, purpose="qc", passage=0)
    part = using(grown, amount=grown["amount"] // 10, consumed=False)
    sample = made(run(api.lab_tech, "qc_sampling", [part], [taken], workstation=bench))["specimens"]

    frozen = made(freeze(api.lab_tech, sample, workstation=bench))
    made(thaw(api.lab_tech, frozen["specimens"], workstation=bench))

    assert [one["what"] for one in session_of(api, code)["items"]] == ["processing", "processing", "freezing", "thaw"]


def test_one_workstation_is_open_for_one_person_until_it_is_closed(api: Api, two: tuple[str, str]) -> None:
    mary, ben = two
    bench = workstation(api)
    code = opened(api, bench, donor=mary)

    assert refused(opening(api.lab_tech, bench, donor=ben)) == (409, "bench_is_open")
    assert refused(closing(api.lab_tech, code, bench, cleared=False)) == (409, "line_not_clear")
    assert refused(closing(api.lab_tech, code, workstation(api, "Bench B"))) == (409, "wrong_workstation")
    assert closing(api.lab_tech, code, bench).json()["state"] == "closed"
    assert refused(closing(api.lab_tech, code, bench)) == (409, "bench_is_closed")
    tube = raw_fat(api, ben)
    assert refused(scanning(api.lab_tech, code, tube["code"])) == (409, "bench_is_closed")
    again = opened(api, bench, specimen=tube["code"])
    assert session_of(api, again)["donor"] == ben


def test_only_a_workstation_that_is_known_clear_and_at_a_site_is_opened(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    bench, incubator = workstation(api), entered(api, "equipment", "Incubator 7")
    nowhere = entered(api, "workstation", "Bench N", site=None)

    assert refused(opening(api.lab_tech, bench, donor=mary, cleared=False)) == (409, "line_not_clear")
    assert refused(opening(api.lab_tech, incubator, donor=mary)) == (409, "not_a_workstation")
    assert refused(opening(api.lab_tech, nowhere, donor=mary)) == (409, "workstation_of_no_site")
    assert refused(opening(api.lab_tech, bench, donor="DN-0000000")) == (404, "not_found")
    assert refused(opening(api.clinician, bench, donor=mary))[0] == 403
    assert opening(api.lab_tech, bench, donor=mary, specimen="AD26-KH0KJQL").status_code == 422
    assert api.lab_tech.get(f"/workstations/{bench}").json()["open"] is None
    tube = raw_fat(api, mary)
    assert refused(run(api.lab_tech, "wash", [using(tube)], FAT, workstation=incubator)) == (409, "not_a_workstation")


def test_how_strict_a_site_is_about_a_workstation_is_its_rule(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    bench, one, other = workstation(api), raw_fat(api, mary), raw_fat(api, mary)

    assert made(run(api.lab_tech, "wash", [using(one)], FAT))["warnings"] == [], "nothing is asked unless a site says so"
    rule(api, "no_bench_session", "warn")
    one = raw_fat(api, mary)
    (said,) = made(run(api.lab_tech, "wash", [using(one)], FAT, workstation=bench))["warnings"]
    assert "No workstation is named that is open for this person" in said
    rule(api, "no_bench_session", "refuse")
    assert refused(run(api.lab_tech, "wash", [using(other)], FAT)) == (409, "not_fit_for_use")
    assert refused(run(api.lab_tech, "wash", [using(other)], FAT, workstation=bench)) == (409, "not_fit_for_use")
    opened(api, bench, donor=mary)
    washed = made(run(api.lab_tech, "wash", [using(other)], FAT, workstation=bench))
    assert washed["warnings"] == []
    cells = made(run(api.lab_tech, "svf_isolation", [using(washed["specimens"][0])], [output("svf", 10**7)], workstation=bench))
    warned = made(freeze(api.lab_tech, cells["specimens"]))["warnings"]
    assert any("No workstation" in sentence for sentence in warned), "freezing keeps living cells: it is warned of, not refused"


def test_only_a_way_of_working_is_accepted_without_a_word(api: Api) -> None:
    loose = {"site": "LAB", "problem": "expired", "answer": "accept"}

    assert api.quality.post("/register-rules", json=loose).status_code == 422
    rule(api, "cleared_alone", "refuse")
    rule(api, "cleared_alone", "accept")


def test_a_site_that_asks_for_two_has_both_look_and_sign(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    bench = workstation(api)
    rule(api, "cleared_alone", "refuse")
    path, body = f"/workstations/{bench}/sessions", {"workstation": bench, "cleared": True, "donor": mary}

    assert refused(opening(api.lab_tech, bench, donor=mary))[0] == 428, "unsigned"
    first = sign_and_post(api.lab_tech, "witnessed", path, body)
    assert first.json()["status"] == "pending"
    own = sign_and_post(api.lab_tech, "witnessed", path, body | {"pending_act": first.json()["pending_act"]})
    assert refused(own) == (403, "second_person_must_differ")
    assert api.lab_tech.get(f"/workstations/{bench}").json()["open"] is None
    done = sign_and_post(api.lab_tech2, "witnessed", path, body | {"pending_act": first.json()["pending_act"]}).json()
    assert (done["opened_by"], done["opened_second"]) == (seed.USERS["lab_tech2"].code, seed.USERS["lab_tech"].code)

    close = f"/bench-sessions/{done['code']}/close"
    ended = by_two(api.lab_tech, api.lab_tech2, close, {"workstation": bench, "cleared": True}, "witnessed").json()
    assert (ended["state"], ended["closed_second"]) == ("closed", seed.USERS["lab_tech"].code)


def test_one_person_alone_is_warned_of_where_the_site_says_so(api: Api, two: tuple[str, str]) -> None:
    bench = workstation(api)
    rule(api, "cleared_alone", "warn")
    opened(api, bench, donor=two[0])

    (said,) = api.quality.get(f"/registers/{bench}").json()["warnings"]
    assert said["problem"] == "cleared_alone"


def test_a_session_is_closed_only_when_its_labels_are_accounted_for(api: Api, two: tuple[str, str]) -> None:
    mary, _ = two
    bench, tube = workstation(api), washed_fat(api, mary)
    body = {"specimens": [tube["code"]], "template": "cryovial-38x19", "workstation": bench}
    assert refused(api.lab_tech.post("/label-sheets", json=body)) == (409, "no_open_session")
    code = opened(api, bench, donor=mary)
    batch = made(api.lab_tech.post("/label-sheets", json=body))["items"][0]["batch"]

    assert refused(closing(api.lab_tech, code, bench)) == (409, "labels_of_bench_open")
    path = f"/label-batches/{batch}/reconciliation"
    counted = by_two(api.lab_tech, api.lab_tech2, path, {"applied": 1, "destroyed": []}, "witnessed")
    assert counted.status_code == 200, counted.text
    found = session_of(api, code)
    assert (found["labels"], found["items"][0]["what"]) == ([{"batch": batch, "reconciled": True}], "labelling")
    assert closing(api.lab_tech, code, bench).json()["state"] == "closed"


def test_a_session_that_nobody_closes_is_timed_out_and_waits_as_a_task(api: Api, two: tuple[str, str]) -> None:
    bench = workstation(api)
    code = opened(api, bench, donor=two[0])
    later(api, hours=13)

    assert api.test_bank.write(lambda s: time_out_open_acts(s, Act.system(api.test_bank.bank, path="timer"))) == 1
    assert session_of(api, code)["state"] == "timed_out"
    assert kinds(api, "system", code) == ["system.bench_opened", "system.bench_timed_out"]
    (task,) = (one for one in api.lab_tech.get("/open-acts").json()["items"] if one["act"] == "bench_session")
    assert (task["page"], task["subject"]) == (f"/bench-sessions/{code}", code)
    assert closing(api.lab_tech, code, bench).json()["state"] == "closed"
    assert not [one for one in api.lab_tech.get("/open-acts").json()["items"] if one["act"] == "bench_session"]


def test_a_run_written_down_later_is_bound_to_the_session_of_its_time(api: Api, two: tuple[str, str]) -> None:
    mary, ben = two
    bench, raw = workstation(api), raw_fat(api, mary)
    code = opened(api, bench, donor=mary)
    during = session_of(api, code)["opened_at"]
    closing(api.lab_tech, code, bench)
    opened(api, bench, donor=ben)
    late = {"occurred_at": during, "late_entry": True, "reason_text": "Written down after the run."}

    washed = made(run(api.lab_tech, "wash", [using(raw)], FAT, workstation=bench, **late))

    assert api.lab_tech.get(f"/processings/{washed['processing']}").json()["bench_session"] == code


@pytest.mark.parametrize("minutes", [1, 14])
def test_a_stated_time_takes_nobodys_material_past_the_session_that_was_opened_since(
    api: Api, two: tuple[str, str], minutes: int
) -> None:
    mary, ben = two
    bench, raw, theirs = workstation(api), raw_fat(api, mary), raw_fat(api, ben)
    later(api, hours=1)
    code = opened(api, bench, donor=mary)
    before = {"occurred_at": rfc3339(clock.now() - timedelta(minutes=minutes))}
    for named in ({"workstation": bench}, {"equipment": [bench]}):
        assert refused(run(api.lab_tech, "wash", [using(theirs)], FAT, **named, **before)) == STOP
        assert refused(thaw(api.lab_tech, [theirs], **named, **before)) == STOP
    assert len(session_of(api, code)["stops"]) == 4

    washed = made(run(api.lab_tech, "wash", [using(raw)], FAT, workstation=bench, **before))

    done = api.lab_tech.get(f"/processings/{washed['processing']}").json()
    assert done["bench_session"] is None, "it was before the session"


def test_the_database_refuses_a_second_open_session_and_anothers_material(api: Api, two: tuple[str, str]) -> None:
    mary, ben = two
    bench, tube, theirs = workstation(api), raw_fat(api, mary), raw_fat(api, ben)
    code = opened(api, bench, donor=mary)
    scanning(api.lab_tech, code, tube["code"])
    again = (
        "INSERT INTO bench_session (code, workstation, site_code, donor_code, opened_at, opened_by, opened_event) "
        "SELECT 'BS-0000000', workstation, site_code, donor_code, opened_at, opened_by, opened_event FROM bench_session"
    )
    strange = (
        "INSERT INTO bench_handling (id, session_code, specimen_code, donor_code, what, at, by, event_hash) "
        "SELECT gen_random_uuid(), session_code, %s, %s, what, at, by, event_hash FROM bench_handling"
    )

    assert attack(api, again) == "one_session_is_open_at_a_workstation"
    assert attack(api, strange, theirs["code"], mary) == "handled_is_of_the_specimens_donor"
    assert attack(api, strange, theirs["code"], ben) == "handled_for_the_sessions_donor"
    run_of_another = (
        "INSERT INTO processing (id, process, procedure_version, donor_code, site_code, operator, equipment, reagent_lots, "
        "bench_session, parameters, started_at, recorded_at, recorded_by) "
        "VALUES (gen_random_uuid(), 'wash', 'SOP-014 v3', %s, 'LAB', 'X', '{}', '{}', %s, '{}', now(), now(), 'X')"
    )
    assert attack(api, run_of_another, ben, code) == "run_is_of_its_benchs_donor"
    for table in ("bench_session", "bench_handling"):
        with pytest.raises(psycopg.errors.Error), psycopg.connect(api.test_bank.dsn("app")) as connection:
            connection.execute(f"DELETE FROM {table}")


def test_the_log_tells_what_happened_at_the_bench(api: Api, two: tuple[str, str]) -> None:
    bench, tube = workstation(api), raw_fat(api, two[0])
    code = opened(api, bench, specimen=tube["code"])
    made(scanning(api.lab_tech, code, tube["code"]))
    closing(api.lab_tech, code, bench)

    assert kinds(api, "system", code) == ["system.bench_opened", "system.bench_handled", "system.bench_closed"]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("closed_at = now()", "a_bench_is_closed_by_somebody"),
        ("closed_at = opened_at - interval '1 second', closed_by = 'US-0000000'", "a_bench_closes_after_it_opened"),
        ("opened_second = opened_by", "two_people_clear_a_line"),
        ("closed_at = opened_at, closed_by = 'US-0000000', closed_second = 'US-0000000'", "two_people_clear_a_line"),
    ],
)
def test_the_database_refuses_a_clearance_by_nobody_before_or_twice_by_one(
    api: Api, two: tuple[str, str], change: str, constraint: str
) -> None:
    opened(api, workstation(api), donor=two[0])

    assert attack(api, f"UPDATE bench_session SET {change}") == constraint
