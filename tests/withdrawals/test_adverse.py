"""What was seen that should not be: held, judged, reported by its date, and read by those who treat or decide."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.foundation import clock
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import lot_of
from tests.seed import PASSWORD
from tests.withdrawals.stories import Story, a_story, by_two, kinds_of, refused, sign_and_post

JUDGED = {"seriousness": "serious", "causality": "possible", "in_lot": True, "reason": "fever_same_day"}
REPORT = {"authority": "FDA", "reference": "MW-1"}
RULE = {"site": "CLINIC", "seriousness": "serious", "days": 15, "authority": "FDA"}
CLOSING = {"cause": "unknown", "decision": "none", "corrective_action": "None."}


def record(api: Api, story: Story, **changes: Any) -> Any:
    """The clinician records what was seen."""
    seen = {"kind": "reaction", "seriousness": "serious", "in_lot": True, "seen_at": clock.now().isoformat(), "words": "Fever."}
    return api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=seen | changes)


def report(api: Api, path: str, **more: Any) -> Any:
    """Quality says that it was reported, just now."""
    said = REPORT | {"reported_at": clock.rfc3339(clock.now())} | more
    return sign_and_post(api.quality, "decided", f"{path}/report", said)


def holds(api: Api) -> dict[str, str]:
    """What is held for an adverse event, by what it covers."""
    found = api.quality.get("/holds", params={"active": True}).json()["items"]
    return {one["scope_id"]: one["scope_kind"] for one in found if one["reason"] == "adverse_event"}


def test_a_reaction_is_held_judged_reported_by_its_date_and_its_words_are_read_by_those_entitled(api: Api, visit: Visit) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    lot = lot_of(api, story.vials[1])
    quality = visit("quality")

    assert record(api, story).status_code == 201
    (one,) = api.quality.get("/adverse-events", params={"open_only": True}).json()["items"]
    assert (one["kind"], one["withdrawal"], one["causality"], one["due_at"]) == ("reaction", story.code, "not_assessed", None)
    assert holds(api) == {lot: "lot"}
    refused(Story(api, story.donor, story.vials[1:]).request(), 409, "on_hold")
    code = one["deviation"]
    said = {name: getattr(api, name).get(f"/adverse-events/{code}").json() for name in ("clinician", "quality", "auditor")}
    assert {name: (each["words"], each["words_kept"]) for name, each in said.items()} == {
        "clinician": ("Fever.", True),
        "quality": ("Fever.", True),
        "auditor": (None, True),
    }
    assert said["quality"]["units"] == story.vials[:1]
    assert "Judge an adverse reaction" in quality.get_page("/")
    drawn = quality.get_page(f"/adverse-events/{code}")
    assert "no date is set for this site" in drawn and "&lt;function" not in drawn

    path = f"/adverse-events/{code}"
    refused(report(api, path), 409, "adverse_not_assessed")
    refused(sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING), 409, "adverse_open")
    assert sign_and_post(api.quality, "decided", "/reporting-rules", RULE).status_code == 200
    judged = quality.submit(f"{path}/assess", {**JUDGED, "in_lot": "true", "password": PASSWORD})
    assert judged.url.path == path, judged.text
    assert "Report an adverse reaction" in quality.get_page("/")
    (one,) = api.quality.get("/adverse-events").json()["items"]
    assert (one["causality"], one["authority"], one["due_at"] > one["known_at"]) == ("possible", "FDA", True)
    refused(sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING), 409, "adverse_open")
    assert sign_and_post(api.quality, "decided", f"{path}/assess", JUDGED).json()["held"] == 0
    assert report(api, path).json()["reported_to"] == "FDA"
    refused(report(api, path), 409, "adverse_reported")
    assert "Report an adverse reaction" not in quality.get_page("/")
    refused(sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING), 409, "units_undecided")
    decided = {
        "followed_up": story.vials[:1],
        "kept_held": story.vials[1:],  # its lot is held for the event
    }
    for disposition, units in decided.items():
        word = {"specimens": units, "disposition": disposition, "reason": "judged"}
        answer = sign_and_post(api.quality, "decided", f"/deviations/{code}/dispositions", word)
        assert answer.status_code == 200, answer.text
    assert sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING).status_code == 200
    assert kinds_of(api, "system", code) == [
        "system.deviation_opened",
        "system.adverse_recorded",
        "system.adverse_assessed",
        "system.adverse_assessed",
        "system.adverse_reported",
        "system.units_disposed",
        "system.units_disposed",
        "system.deviation_closed",
    ]
    assert kinds_of(api, "system", "CLINIC")[-1] == "system.reporting_rule_set"


def test_a_reaction_ticked_at_the_bedside_or_told_as_the_outcome_is_one_too(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("check")
    assert story.administer(reaction=True).status_code == 200
    (one,) = api.quality.get("/adverse-events").json()["items"]
    assert (one["seriousness"], one["in_lot"]) == ("not_assessed", None)
    assert holds(api) == {lot_of(api, story.vials[0]): "lot"}

    story.outcome(result="adverse_event", words="A rash.", close=False)

    assert len(api.quality.get("/adverse-events").json()["items"]) == 2
    read = {name: getattr(api, name).get(f"/withdrawals/{story.code}").json()["outcomes"] for name in ("clinician", "lab_tech")}
    assert {name: outcomes[0]["words"] for name, outcomes in read.items()} == {"clinician": "A rash.", "lab_tech": None}


def test_an_event_whose_cause_is_not_in_the_material_holds_what_is_at_hand_only_and_a_reaction_needs_a_giving(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    refused(record(api, story), 409, "nothing_given")
    refused(api.lab_tech.post(f"/withdrawals/{story.code}/adverse-events", json=_event()), 403, "not_permitted")
    assert record(api, story, kind="event", in_lot=False, seriousness="not_serious").status_code == 201
    assert holds(api) == {}
    (one,) = api.quality.get("/adverse-events").json()["items"]

    # A tube of no lot: everything of its harvest, as far as the record knows one.
    judged = sign_and_post(api.quality, "decided", f"/adverse-events/{one['deviation']}/assess", JUDGED)
    assert judged.status_code == 200, judged.text
    assert list(holds(api).values()) == ["harvest"]
    refused(sign_and_post(api.clinician, "decided", f"/adverse-events/{one['deviation']}/assess", JUDGED), 403, "not_permitted")


def test_what_turns_out_graver_than_was_reported_is_reported_anew_and_its_hold_waits(api: Api, visit: Visit) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    assert record(api, story).status_code == 201
    (one,) = api.quality.get("/adverse-events").json()["items"]
    path, quality = f"/adverse-events/{one['deviation']}", visit("quality")
    (hold,) = (each["id"] for each in api.quality.get("/holds", params={"active": True}).json()["items"])
    lift = {"reason": "looks_fine"}
    refused(sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", lift), 409, "held_by_adverse_event")
    assert f"/holds/{hold}/lift" not in quality.get_page(f"/specimens/{story.vials[1]}")

    mild = JUDGED | {"seriousness": "not_serious"}
    assert by_two(api.quality, api.quality2, f"{path}/assess", mild).json()["status"] == "done"
    for never in ("2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"):
        refused(report(api, path, reported_at=never), 409, "implausible_time")
    assert report(api, path).status_code == 200
    assert "Report an adverse reaction" not in quality.get_page("/")

    assert sign_and_post(api.quality, "decided", f"{path}/assess", JUDGED | {"seriousness": "serious"}).status_code == 200
    page = quality.get_page("/")
    assert "Report an adverse reaction" in page
    assert "no days to report are set there" in page
    assert report(api, path).status_code == 200
    refused(sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", lift), 409, "held_by_adverse_event")
    unlikely = JUDGED | {"causality": "unlikely", "in_lot": False}
    assert by_two(api.quality, api.quality2, f"{path}/assess", unlikely).json()["status"] == "done"
    assert f"/holds/{hold}/lift" in quality.get_page(f"/specimens/{story.vials[1]}")
    assert sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold}/lift", lift).status_code == 200


def _event() -> dict[str, Any]:
    return {"kind": "event", "seriousness": "serious", "in_lot": True, "seen_at": clock.now().isoformat(), "words": "Spilt."}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("adverse_event SET kind = 'else'", "adverse_kind_is_known"),
        ("adverse_event SET seriousness = 'very'", "seriousness_is_known"),
        ("adverse_event SET causality = 'perhaps'", "causality_is_known"),
        ("adverse_event SET reported_at = now()", "a_report_went_to_somebody"),
        ("reporting_rule SET days = 0", "a_rule_of_reporting_is_one"),
    ],
)
def test_the_database_keeps_adverse_events_whole(api: Api, change: str, name: str) -> None:
    assert record(api, a_story(api, 2).up_to("receive"), kind="event").status_code == 201
    assert sign_and_post(api.quality, "decided", "/reporting-rules", RULE).status_code == 200
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(f"UPDATE {change}")))
