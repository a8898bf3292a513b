"""Entering things, what happens to them, and what a run may name."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from biobank.foundation import clock
from biobank.registers.dates import FARTHEST, expiry_refusal, term_refusal
from tests import seed
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.specimens.stories import donor, freeze, harvest, kit, made, output, received, refused, run, using

Json = dict[str, Any]
BADGE = seed.USERS["lab_tech"].code
LATE = {"reason_text": "Written down after the run."}


def entered(api: Api, kind: str = "reagent_lot", name: str = "Trypsin", **more: Any) -> str:
    """Enter something at LAB as quality; return its key."""
    answer = made(api.quality.post("/registers", json={"kind": kind, "name": name, "site": "LAB"} | more))
    return str(answer["entry"]["entry"])


def changed(api: Api, key: str, change: str, **more: Any) -> Json:
    answer: Json = made(api.quality.post(f"/registers/{key}/changes", json={"change": change} | more))
    return answer


def fat(api: Api) -> Json:
    """A syringe of fat on the bench of LAB."""
    harvested = made(harvest(api.clinician, donor(api)))
    return received(api.lab_tech, harvested["specimens"][0])


def wash(api: Api, syringe: Json, **more: Any) -> Any:
    return run(api.lab_tech, "wash", [using(syringe)], [output("lipoaspirate", 40_000, "ul_washed")], **more)


def test_a_run_names_only_what_a_register_of_its_site_knows(api: Api) -> None:
    syringe = fat(api)
    elsewhere = str(
        made(api.quality.post("/registers", json={"kind": "equipment", "name": "Hood", "site": "NORTH"}))["entry"]["entry"]
    )
    for named in (
        {"procedure_version": "banana 99"},
        {"reagent_lots": ["RG-0000019"]},
        {"equipment": [elsewhere]},
        {"procedure_version": "CRF-1 slow v2"},
    ):
        answer = wash(api, syringe, **named)
        if answer.status_code != 422:  # an invented code with a wrong check character is not even read
            assert refused(answer) == (409, "not_in_register")
    assert refused(freeze(api.lab_tech, [syringe], programme="banana")) == (409, "not_in_register")
    assert refused(
        api.lab_tech.post(
            "/kits",
            json={
                "site": "CLINIC",
                "home_site": "LAB",
                "adipose_labels": 1,
                "expires_at": "2030-01-01T00:00:00Z",
                "media_lots": [elsewhere.replace("EQ", "RG")],
            },
        )
    )[1] in {"not_in_register", "malformed_request"}
    assert made(wash(api, syringe, equipment=[seed.EQUIPMENT], reagent_lots=[seed.REAGENT]))["warnings"] == []


def test_what_is_expired_or_recalled_is_refused_what_is_unqualified_is_warned_of_and_kept(api: Api) -> None:
    syringe = fat(api)
    expired = entered(api, expires_on="2020-01-01")
    recalled = entered(api, name="Serum")
    changed(api, recalled, "recalled", reason="supplier_notice")
    answer = wash(api, syringe, reagent_lots=[expired, recalled])
    assert refused(answer) == (409, "not_fit_for_use")
    assert "expired on 2020-01-01" in answer.json()["detail"] and "was recalled" in answer.json()["detail"]
    fresh = entered(api, name="Buffer")
    warned = made(wash(api, syringe, reagent_lots=[fresh]))
    (said,) = warned["warnings"]
    assert said == f"{fresh} (Buffer) is not qualified for use here. Quality records that on its page."
    assert api.lab_tech.get(f"/processings/{warned['processing']}").json()["warnings"] == [said]
    (kept,) = api.lab_tech.get(f"/registers/{fresh}").json()["warnings"]
    assert (kept["used_in"], kept["problem"]) == (warned["processing"], "unqualified")
    log = taken_log(api, kind="system.used_despite_warning")
    assert warned["processing"] in log


def test_a_site_makes_a_warning_a_refusal_but_never_softens_a_recall(api: Api) -> None:
    syringe, fresh = fat(api), entered(api)
    rule = {"site": "LAB", "problem": "unqualified", "answer": "refuse"}
    made(api.quality.post("/register-rules", json=rule))
    assert refused(wash(api, syringe, reagent_lots=[fresh])) == (409, "not_fit_for_use")
    assert refused(api.quality.post("/register-rules", json=rule | {"problem": "recalled", "answer": "warn"})) == (
        409,
        "same_at_every_site",
    )
    changed(api, fresh, "qualified")
    assert made(wash(api, syringe, reagent_lots=[fresh]))["warnings"] == []


def test_a_person_without_authorisation_is_warned_of_or_refused_and_freezing_is_never_refused(api: Api) -> None:
    syringe, procedure = fat(api), entered(api, "procedure", "SOP-900 v1")
    made(api.quality.post("/register-rules", json={"site": "LAB", "problem": "unauthorised", "answer": "refuse"}))
    assert refused(wash(api, syringe, procedure_version="SOP-900 v1")) == (409, "not_fit_for_use")
    made(api.quality.post(f"/registers/{procedure}/authorisations", json={"person": BADGE, "until": "2035-01-01"}))
    washed = made(wash(api, syringe, procedure_version="SOP-900 v1"))["specimens"][0]
    other = entered(api, "procedure", "SOP-901 v1")
    frozen = made(freeze(api.lab_tech, [washed], procedure_version="SOP-901 v1"))
    assert frozen["warnings"] == [f"{BADGE} is not authorised for SOP-901 v1 in the register."]
    body = {"person": BADGE, "until": "2035-01-01"}
    assert refused(api.quality.post(f"/registers/{seed.EQUIPMENT}/authorisations", json=body)) == (409, "not_a_procedure")
    assert api.quality.get(f"/registers/{other}").json()["authorised"] == []


def test_stating_an_earlier_time_does_not_get_round_a_recall_silently(api: Api) -> None:
    syringe, lot = fat(api), entered(api)
    changed(api, lot, "qualified")
    changed(api, lot, "recalled")
    before = api.lab_tech.get(f"/registers/{lot}").json()["recorded_at"]
    answer = wash(api, syringe, reagent_lots=[lot], occurred_at=before, late_entry=True, **LATE)
    assert answer.status_code == 409 or "was recalled after this use" in " ".join(answer.json()["warnings"])


def test_opening_happens_once_and_a_name_stands_for_one_thing(api: Api) -> None:
    lot = entered(api, use_within_days=7)
    changed(api, lot, "opened")
    assert refused(api.lab_tech.post(f"/registers/{lot}/changes", json={"change": "opened"})) == (409, "register_says_so")
    entered(api, "laboratory", "Northside")
    body = {"kind": "laboratory", "name": "Northside", "site": "LAB"}
    assert refused(api.quality.post("/registers", json=body)) == (409, "in_register")
    assert api.lab_tech.get("/registers", params={"kind": "laboratory"}).json()["items"][0]["name"] == "Northside"


@pytest.mark.parametrize(
    ("who", "change", "status"),
    [
        ("lab_tech", "opened", 201),
        ("lab_tech", "recalled", 201),
        ("lab_tech", "qualified", 403),
        ("quality", "qualified", 201),
        ("north_tech", "opened", 403),
        ("clinician", "recalled", 403),
    ],
)
def test_the_bench_narrows_the_use_of_a_thing_and_quality_alone_widens_it(api: Api, who: str, change: str, status: int) -> None:
    lot = entered(api)
    assert getattr(api, who).post(f"/registers/{lot}/changes", json={"change": change}).status_code == status


def test_the_bench_enters_what_it_scans_and_quality_what_has_a_name(api: Api) -> None:
    tech = api.lab_tech.post("/registers", json={"kind": "medium", "name": "DMEM", "site": "LAB"})
    assert made(tech)["entry"]["entry"].startswith("RG-")
    for body in ({"kind": "procedure", "name": "SOP-9 v1", "site": "LAB"}, {"kind": "medium", "name": "DMEM"}):
        assert api.lab_tech.post("/registers", json=body).status_code == 403
    assert kit(api, media_lots=[made(tech)["entry"]["entry"]])["media_lots"]


def test_every_change_of_the_registers_is_in_the_log(api: Api) -> None:
    procedure, rule = entered(api, "procedure", "SOP-7 v2"), {"site": "LAB", "problem": "expired", "answer": "warn"}
    changed(api, procedure, "retired")
    made(api.quality.post(f"/registers/{procedure}/authorisations", json={"person": BADGE, "until": "2035-01-01"}))
    made(api.quality.post("/register-rules", json=rule))
    log = taken_log(api)
    kinds = ("system.register_entered", "system.register_changed", "system.register_authorised", "system.register_rule_set")
    assert [kind for kind in kinds if kind not in log] == []
    assert rule | {"fixed": False} in api.auditor.get("/register-rules").json()["items"]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("kind = 'banana'", "register_kind_is_known"),
        ("kind = 'procedure'", "what_is_scanned_has_a_code"),
        ("use_within_days = 0", "days_after_opening_are_counted"),
    ],
)
def test_the_database_knows_what_an_entry_can_be(api: Api, change: str, constraint: str) -> None:
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused_by:
        connection.execute(f"UPDATE register_entry SET {change} WHERE key = %s", (seed.REAGENT,))
    assert refused_by.value.diag.constraint_name == constraint


def test_the_database_knows_two_answers(api: Api) -> None:
    made(api.quality.post("/register-rules", json={"site": "LAB", "problem": "expired", "answer": "warn"}))
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused_by:
        connection.execute("UPDATE register_rule SET answer = 'perhaps'")
    assert refused_by.value.diag.constraint_name == "register_answer_is_known"


def test_a_package_fills_in_the_entry_and_contradicts_what_was_mistyped(api: Api) -> None:
    body = {"kind": "reagent_lot", "name": "Trypsin", "site": "LAB", "package": "01095060001343521727013110AB-12"}
    entry = made(api.lab_tech.post("/registers", json=body))["entry"]
    assert (entry["gtin"], entry["supplier_lot"], entry["expires_on"]) == ("09506000134352", "AB-12", "2027-01-31")
    other = api.lab_tech.post("/registers", json=body | {"supplier_lot": "AB-13"})
    assert refused(other)[1] == "package_says_otherwise"
    assert refused(api.lab_tech.post("/registers", json=body | {"package": "banana"}))[1] == "package_unread"


def test_a_look_back_starts_from_any_entry_and_finds_what_was_made_treated_and_counted_with_it(api: Api) -> None:
    lot, procedure = entered(api), entered(api, "procedure", "SOP-77 v1")
    untouched, syringe = fat(api), fat(api)
    washed = made(wash(api, syringe, reagent_lots=[lot], procedure_version="SOP-77 v1"))["specimens"][0]
    wash(api, untouched)

    def reached(entry: str, **more: Any) -> set[str]:
        answer = made(api.quality.post("/look-backs", json={"entry": entry} | more))
        return {one["specimen"] for one in answer["items"]}

    assert reached(lot) == reached(procedure) == {washed["code"]}
    frozen = made(freeze(api.lab_tech, [washed], equipment=[seed.EQUIPMENT]))
    assert frozen["specimens"][0]["code"] in reached(seed.EQUIPMENT)
    assert reached(lot, until="2020-01-01T00:00:00Z") == set()
    assert reached(lot, since="2020-01-01T00:00:00Z", until=clock.rfc3339(clock.now())) == {washed["code"]}
    assert refused(api.quality.post("/look-backs", json={"lot": "LT-0000000", "since": "2020-01-01T00:00:00Z"}))[0] == 422


def test_nothing_happens_to_an_entry_before_it_existed_or_ahead_of_now(api: Api) -> None:
    lot, hood = entered(api), entered(api, "equipment", "Hood 7")
    procedure = entered(api, "procedure", "SOP-902 v1")
    early = {"occurred_at": "2024-01-01T00:00:00Z", **LATE}
    ahead = {"occurred_at": "2199-01-01T00:00:00Z"}
    later = f"{clock.now() + timedelta(days=200):%Y-%m-%d}"
    ways: list[tuple[str, Json]] = [
        (f"/registers/{lot}/changes", {"change": "opened"}),
        (f"/registers/{lot}/changes", {"change": "qualified"}),
        (f"/registers/{lot}/changes", {"change": "retired"}),
        (f"/registers/{hood}/changes", {"change": "calibrated", "calibration_due_on": later}),
        (f"/registers/{procedure}/authorisations", {"person": BADGE, "until": later}),
    ]
    for path, body in ways:
        assert refused(api.quality.post(path, json=body | early)) == (409, "before_it_existed"), body
        assert refused(api.quality.post(path, json=body | ahead)) == (409, "implausible_time"), body
        made(api.quality.post(path, json=body))


@pytest.mark.parametrize("day", ["2001-01-01", "2999-01-01"])
def test_a_term_does_not_end_before_it_begins_nor_where_nobody_means_it(api: Api, day: str) -> None:
    hood, procedure = entered(api, "equipment", "Hood 8"), entered(api, "procedure", "SOP-903 v1")
    calibrated = {"change": "calibrated", "calibration_due_on": day}
    assert refused(api.quality.post(f"/registers/{hood}/changes", json=calibrated)) == (409, "register_date")
    until = {"person": BADGE, "until": day}
    assert refused(api.quality.post(f"/registers/{procedure}/authorisations", json=until)) == (409, "register_date")
    body = {"kind": "reagent_lot", "name": "Serum 9", "site": "LAB", "expires_on": day.replace("2001", "1901")}
    assert refused(api.quality.post("/registers", json=body)) == (409, "register_date")


def test_a_term_may_end_on_its_first_day_and_ten_years_later_at_the_latest() -> None:
    name, today = "SOP-1", date(2026, 11, 30)
    assert term_refusal(name, today, today) is None
    assert (found := term_refusal(name, today - timedelta(days=1), today)) is not None and found.code == "register_date"
    assert term_refusal(name, today + FARTHEST, today) is None
    assert term_refusal(name, today + FARTHEST + timedelta(days=1), today) is not None
    assert expiry_refusal(name, None, today) is None
