"""What is measured after the giving: planned by the clinician, taken on its day within its scale, never a zero when not."""

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, IntegrityError

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_story, kinds_of, later, refused

PLAN = {
    "measure": "hairs_in_the_field",
    "unit": "hairs_per_cm2",
    "low": 0,
    "high": 400,
    "due_days": 30,
    "window_days": 3,
    "photograph": False,
}
PNG = b"\x89PNG\r\n\x1a\n not really a picture"


def plan(api: Api, story: Story, client: Client | None = None, **changes: Any) -> httpx.Response:
    return (client or api.clinician).post(f"/withdrawals/{story.code}/outcome-measures", json=PLAN | changes)


def record(api: Api, story: Story, client: Client | None = None, **body: Any) -> httpx.Response:
    measure = protocol(api.clinician, story)["items"][0]["id"]
    whole = {"measure": measure, "specimen": story.vials[0]} | body
    return (client or api.clinician).post(f"/withdrawals/{story.code}/outcome-results", json=whole)


def protocol(client: Client, story: Story) -> Any:
    return client.get(f"/withdrawals/{story.code}/outcome-protocol").json()


def kept(api: Api, story: Story, client: Client | None = None, **changes: Any) -> str:
    body = {"media_type": "image/png", "content": base64.b64encode(PNG).decode(), "site": "CLINIC", "donor": story.donor}
    return str((client or api.clinician).post("/attachments", json=body | changes).json()["sha256"])


def test_a_measure_is_planned_by_the_clinician_once_the_withdrawal_is_approved(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    refused(plan(api, story), 409, "not_approved_yet")
    story.approve()
    for client in (api.clinic_staff, api.lab_tech, api.quality, api.auditor):
        refused(plan(api, story, client), 403, "not_permitted")
    refused(plan(api, story, api.other_clinician), 404, "not_found")
    refused(plan(api, story, low=400, high=400), 422, "malformed_request")
    assert plan(api, story).status_code == 201
    refused(plan(api, story), 409, "measure_planned")
    assert plan(api, story, due_days=90).status_code == 201
    days = [(one["due_days"], one["status"], one["specimen"]) for one in protocol(api.lab_tech, story)["items"]]
    assert days == [(30, "planned", None), (90, "planned", None)]
    refused(record(api, story, value=100), 409, "unit_not_given")


def take_back(api: Api, story: Story, client: Client | None = None, which: int = 0) -> httpx.Response:
    measure = protocol(api.clinician, story)["items"][which]["id"]
    path = f"/withdrawals/{story.code}/outcome-measures/{measure}/take-back"
    return (client or api.clinician).post(path, json={"reason": "planned_in_error"})


def test_a_planned_measure_is_taken_back_with_its_reason_stays_on_record_and_is_planned_anew(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    assert plan(api, story).status_code == 201
    for client in (api.clinic_staff, api.lab_tech, api.quality):
        refused(take_back(api, story, client), 403, "not_permitted")
    refused(take_back(api, story, api.other_clinician), 404, "not_found")
    answer = take_back(api, story)
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["items"]
    assert (one["status"], one["taken_back_because"]) == ("taken_back", "planned_in_error")
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.measure_taken_back"
    refused(take_back(api, story), 409, "measure_taken_back")
    assert plan(api, story).status_code == 201, "the same may be planned for that day again"
    page = visit("clinician")
    here = f"/withdrawals/{story.code}/outcomes"
    (live,) = (one["id"] for one in protocol(api.clinician, story)["items"] if one["status"] == "planned")
    drawn = page.get_page(here)
    assert "Planned in error" in drawn and drawn.count("Take it back") == 1
    assert "take-back" not in visit("clinic_staff").get_page(here)
    sent = page.submit(f"{here}/{live}/take-back", {"reason": "patient_declined"})
    assert sent.url.path == here and "Patient declined" in sent.text


def test_what_was_planned_goes_with_the_withdrawal_that_takes_its_place(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    for days in (30, 60, 90):
        assert plan(api, story, due_days=days).status_code == 201
    assert take_back(api, story, which=1).status_code == 200
    body = {"tube": story.vials[0], "by": story.vials[1], "reason": "found_broken"}
    answer = api.clinician.post(f"/withdrawals/{story.code}/replace", json=body)
    assert answer.status_code == 201, answer.text
    story.code = answer.json()["code"]
    assert [one["due_days"] for one in protocol(api.clinician, story)["items"]] == [30, 90]
    assert kinds_of(api, "withdrawal", story.code) == ["withdrawal.requested", *["withdrawal.measure_planned"] * 2]
    assert answer.json()["seq"] == 3


def test_what_was_taken_back_is_asked_of_nobody_and_takes_no_result(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    for days in (30, 31):
        assert plan(api, story, due_days=days).status_code == 201
    for name in ("pick", "confirm", "issue", "receive", "thaw", "check"):
        assert getattr(story, name)().status_code in (200, 201)
    assert story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200
    assert take_back(api, story).status_code == 200
    later(api, days=30)
    assert "Take a planned measure" not in visit("clinic_staff").get_page("/")
    refused(record(api, story, value=100), 409, "measure_taken_back")
    later(api, days=1)
    second = protocol(api.clinician, story)["items"][1]["id"]
    assert record(api, story, measure=second, value=100).status_code == 201
    refused(take_back(api, story, which=1), 409, "result_recorded")


def test_what_nobody_took_in_its_days_is_not_wiped_off_the_plan(api: Api) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story, due_days=1, window_days=0).status_code == 201
    later(api, days=3)
    refused(take_back(api, story), 409, "not_its_day")
    items = api.clinician.get("/outcome-measures", params={"status": "not_done"}).json()["items"]
    assert [one["withdrawal"] for one in items] == [story.code]


def test_a_result_is_taken_on_its_day_within_its_scale_and_read_by_those_entitled(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    assert plan(api, story).status_code == 201
    for step in (story.pick, story.confirm, story.issue, story.receive, story.thaw, story.check):
        assert step().status_code in (200, 201)
    assert story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200

    refused(record(api, story, value=100), 409, "not_its_day")
    refused(record(api, story, not_done="patient_away"), 409, "not_its_day")
    assert "hairs in the field" not in visit("clinician").get_page("/").lower()
    later(api, days=30)
    assert "Take a planned measure" in visit("clinic_staff").get_page("/")
    assert "Take a planned measure" not in visit("lab_tech").get_page("/")
    for value in (-1, 401):
        refused(record(api, story, value=value), 409, "outside_scale")
    refused(record(api, story), 422, "malformed_request")
    refused(record(api, story, value=100, not_done="both"), 422, "malformed_request")
    refused(record(api, story, value=100, client=api.lab_tech), 403, "not_permitted")
    refused(record(api, story, value=100, specimen=story.vials[1]), 409, "unit_not_given")
    refused(record(api, story, value=100, corrects="nothing_yet"), 409, "result_recorded")
    assert record(api, story, value=120, client=api.clinic_staff).status_code == 201
    refused(record(api, story, value=130), 409, "result_recorded")
    assert record(api, story, value=130, corrects="counted_again").status_code == 201

    read = {
        name: protocol(getattr(api, name), story)["items"][0]["value"] for name in ("clinician", "quality", "lab_tech", "auditor")
    }
    assert read == {"clinician": 130, "quality": 130, "lab_tech": None, "auditor": None}
    assert "Take a planned measure" not in visit("clinic_staff").get_page("/")
    assert kinds_of(api, "withdrawal", story.code)[-2:] == ["withdrawal.measure_recorded"] * 2
    said = text("SELECT convert_from(entry, 'UTF8')::jsonb -> 'body' ->> 'value' FROM event WHERE kind = :kind")
    logged = api.test_bank.write(lambda s: s.execute(said, {"kind": "withdrawal.measure_recorded"}).scalars().all())
    assert all(len(one) == 64 for one in logged)  # the log holds commitments, no figures
    listed = api.clinician.get("/outcome-measures", params={"status": "measured"}).json()["items"]
    assert [(one["specimen"], one["value"]) for one in listed] == [(story.vials[0], None)]


def test_the_figures_leave_as_a_file_for_those_entitled_and_that_is_recorded(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story).status_code == 201
    path = f"/withdrawals/{story.code}/outcome-figures"
    refused(api.clinician.get(path), 404, "no_words")
    later(api, days=30)
    told = record(api, story, value=120)
    assert [one["value"] for one in told.json()["items"]] == [None], "an answer may be kept, a figure is not"

    for client in (api.lab_tech, api.auditor):
        refused(client.get(path), 403, "not_permitted")
    refused(api.other_clinician.get(path), 404, "not_found")
    (one,) = api.quality.get(path).json()["items"]
    assert (one["value"], one["unit"], one["low"], one["high"], one["specimen"]) == (120, "hairs_per_cm2", 0, 400, story.vials[0])
    page, here = visit("clinician"), f"/withdrawals/{story.code}/outcomes"
    assert "120 hairs per cm2" in page.get_page(here).lower()
    sent = page.submit(f"{here}/figures", {})
    assert sent.headers["content-type"].startswith("text/csv"), sent.text[:300]
    assert f"Hairs in the field,{story.vials[0]},30," in sent.text
    assert ",120," in sent.text
    assert kinds_of(api, "donor", story.donor).count("donor.words_read") == 2
    assert "outcomes/figures" not in visit("lab_tech").get_page(here)


def test_what_was_missed_is_not_done_and_a_task_until_somebody_says_why_and_never_a_zero(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story).status_code == 201
    later(api, days=34)

    (one,) = protocol(api.clinician, story)["items"]
    assert (one["status"], one["missed"], one["value"], one["not_done"]) == ("not_done", True, None, None)
    assert "Say why a planned measure was not done" in visit("clinician").get_page("/")
    refused(record(api, story, value=0), 409, "not_its_day")
    in_time = rfc3339(clock.now() - timedelta(days=2))
    assert record(api, story, value=0, measured_at=in_time).status_code == 201  # taken in its days, entered later
    assert protocol(api.clinician, story)["items"][0]["status"] == "measured"
    assert record(api, story, not_done="patient_away", corrects="another_patient").status_code == 201
    (one,) = protocol(api.clinician, story)["items"]
    assert (one["status"], one["missed"], one["value"], one["not_done"]) == ("not_done", False, None, "patient_away")
    assert "Say why a planned measure was not done" not in visit("clinician").get_page("/")
    page = visit("clinician").get_page(f"/withdrawals/{story.code}/outcomes")
    assert "Not done" in page and "Patient away" in page


def test_a_photograph_is_kept_under_the_patients_key_and_looked_at_by_those_entitled_and_recorded(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story, photograph=True).status_code == 201
    later(api, days=30)
    refused(record(api, story, value=100), 409, "photograph_missing")
    other = kept(api, story, donor=None, content=base64.b64encode(PNG + b"other").decode())
    refused(record(api, story, value=100, photograph_sha256=other), 409, "photograph_missing")
    sha = kept(api, story)
    assert record(api, story, value=100, photograph_sha256=sha).status_code == 201

    path = f"/withdrawals/{story.code}"
    for name in ("clinician", "clinic_staff", "quality", "lab_tech", "auditor"):
        refused(getattr(api, name).get(f"/attachments/{sha}"), 404, "not_found")  # not even who stored it, by that road
    for name in ("lab_tech", "auditor"):
        refused(getattr(api, name).post(f"{path}/photograph-readings", json={"photograph_sha256": sha}), 404, "not_found")
        refused(getattr(api, name).get(f"{path}/photographs/{sha}"), 404, "not_found")
    refused(api.quality.get(f"{path}/photographs/{sha}"), 403, "reading_unrecorded")
    assert api.quality.post(f"{path}/photograph-readings", json={"photograph_sha256": sha}).status_code == 200
    assert api.quality.get(f"{path}/photographs/{sha}").content == PNG
    refused(api.clinician.get(f"{path}/photographs/{sha}"), 403, "reading_unrecorded")  # another's reading is not mine
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.photograph_read"
    page = visit("clinician")
    shown = page.submit(f"{path}/photographs/{sha}", {})
    assert f"{path}/photographs/{sha}/image" in shown.text
    assert page.get(f"{path}/photographs/{sha}/image").content == PNG
    later(api, minutes=11)
    refused(api.quality.get(f"{path}/photographs/{sha}"), 403, "reading_unrecorded")


def test_the_clinician_plans_and_records_on_pages(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("administer")
    page, here = visit("clinician"), f"/withdrawals/{story.code}/outcomes"
    typed = {name: str(value) for name, value in PLAN.items() if name != "photograph"} | {"photograph": "false"}
    assert page.submit(f"{here}/plan", typed).url.path == here
    measure = protocol(api.clinician, story)["items"][0]["id"]
    later(api, days=31)
    page = visit("clinician")
    assert f"{here}/{measure}/{story.vials[0]}" in page.get_page(here)
    assert page.submit(f"{here}/{measure}/{story.vials[0]}", {"value": "120"}).url.path == here
    assert "120" in page.get_page(here)
    assert "Hairs in the field" in page.get_page("/outcomes?status=measured")
    hidden = visit("lab_tech").get_page(here)
    assert "kept, for those who treat or decide" in hidden


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ("value_commit = NULL", "a_result_is_measured_or_not_done"),
        ("not_done = 'away'", "a_result_is_measured_or_not_done"),
    ],
)
def test_the_database_keeps_a_result_measured_or_not_done(api: Api, changes: str, name: str) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story).status_code == 201
    statement = (
        "INSERT INTO outcome_result SELECT m.event_hash, m.id, a.release_id, v.value_commit, v.not_done, NULL, now(), now(), :by"
        " FROM outcome_measure m JOIN administration a ON a.withdrawal_code = m.withdrawal_code,"
        " (SELECT :value ::bytea AS value_commit, :why ::text AS not_done) AS v"
    )
    both = {"value": None, "why": None} if "NULL" in changes else {"value": b"x", "why": "away"}
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(statement), both | {"by": "US-AAAAAAA"}))


@pytest.mark.parametrize(
    ("measure", "low", "due", "name"),
    [
        ("'other'", "high", "due_days", "a_scale_has_two_ends"),
        ("'other'", "low", "0", "a_measure_is_due_after_the_giving"),
        ("measure", "low", "due_days", "a_measure_is_planned_once_for_a_day"),
    ],
)
def test_the_database_keeps_a_plan_whole(api: Api, measure: str, low: str, due: str, name: str) -> None:
    story = a_story(api, 2).up_to("approve")
    assert plan(api, story).status_code == 201
    statement = (
        f"INSERT INTO outcome_measure SELECT gen_random_uuid(), withdrawal_code, {measure}, unit, {low}, high, {due},"
        " window_days, photograph, planned_at, planned_by, event_hash FROM outcome_measure"
    )
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(statement)))


def test_the_database_keeps_no_photograph_of_what_was_not_done(api: Api) -> None:
    story = a_story(api, 2).up_to("administer")
    assert plan(api, story).status_code == 201
    statement = (
        "INSERT INTO outcome_result SELECT m.event_hash, m.id, a.release_id, NULL, 'away', :sha, now(), now(), m.planned_by"
        " FROM outcome_measure m JOIN administration a ON a.withdrawal_code = m.withdrawal_code"
    )
    with pytest.raises(IntegrityError, match="what_was_not_done_has_no_photograph"):
        api.test_bank.write(lambda s: s.execute(text(statement), {"sha": "00" * 32}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("taken_back_at = now()", "what_was_taken_back_says_why"),
        pytest.param(
            "due_days = 99", "a measure is planned once and taken back once, never changed", id="measure_is_taken_back_once"
        ),
    ],
)
def test_the_database_takes_a_plan_back_with_why_and_changes_nothing_else_of_it(api: Api, change: str, said: str) -> None:
    story = a_story(api, 2).up_to("approve")
    assert plan(api, story).status_code == 201
    with pytest.raises(DatabaseError, match=said):
        api.test_bank.write(lambda s: s.execute(text(f"UPDATE outcome_measure SET {change}")))
