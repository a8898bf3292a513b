"""Markers of infection: entered by one, confirmed by another, and what follows on labels, for derivatives and for storage."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.donors.markers import MARKERS, NEAR, Evaluation, Extent, MarkerName, Told, evaluate
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.quality.test_deviations import stored
from tests.quality.test_merging import merge
from tests.specimens.stories import Json, donor, fat, harvest, kinds, made, output, received, refused, run, using
from tests.withdrawals.stories import of_one_person, sign_and_post

REQUIRED = [name for name, marker in MARKERS.items() if marker.required]
TAKEN = datetime(2026, 3, 1, tzinfo=UTC)
told = st.builds(
    Told,
    st.sampled_from(MarkerName),
    st.sampled_from(["negative", "reactive", "indeterminate"]),
    st.sampled_from(["entered", "confirmed", "rejected"]),
    st.sampled_from([TAKEN - NEAR * 2, TAKEN - NEAR, TAKEN, TAKEN + NEAR, TAKEN + NEAR * 2]),
)
unhurried = settings(deadline=None)


def all_negative(result: str = "negative", state: str = "confirmed", sampled_at: datetime = TAKEN) -> list[Told]:
    return [Told(name, result, state, sampled_at) for name in REQUIRED]


def test_a_donor_counts_as_evaluated_when_every_required_marker_was_confirmed_from_a_sample_of_the_harvest() -> None:
    assert evaluate(all_negative(), TAKEN) == Evaluation(Extent.COMPLETE, Extent.COMPLETE)
    for missing in REQUIRED:
        assert not evaluate([one for one in all_negative() if one.marker is not missing], TAKEN).complete
    too_early = TAKEN - NEAR - timedelta(seconds=1)
    for useless in (all_negative(state="entered"), all_negative(result="indeterminate"), all_negative(sampled_at=too_early)):
        assert evaluate(useless, TAKEN) == Evaluation()
    assert not evaluate(all_negative(), None).complete


@unhurried
@given(st.lists(told, max_size=25), told)
def test_what_was_only_entered_lifts_nothing_and_no_result_outvotes_a_reactive_one(before: list[Told], more: Told) -> None:
    first, second = evaluate(before, TAKEN), evaluate([*before, more], TAKEN)
    reactive = any(one.result == "reactive" and one.state != "rejected" for one in before)
    assert first.risk_found == reactive
    assert set(first.reactive_for) <= set(second.reactive_for)
    if more.state != "confirmed":
        assert second.complete <= first.complete


def enter(client: Client, person: str, report: str, **changes: Any) -> Any:
    body = {
        "marker": "hbsag",
        "result": "negative",
        "sampled_at": rfc3339(clock.now()),
        "laboratory": "North Lab",
        "kit": "Kit 7",
        "report_sha256": report,
    }
    return client.post(f"/donors/{person}/markers", json=body | changes)


def decide(client: Client, person: str, marker: str, **changes: Any) -> Any:
    return sign_and_post(client, "reviewed", f"/donors/{person}/markers/{marker}/decide", {"confirmed": True} | changes)


def label(api: Api, code: str) -> Json:
    found: Json = api.lab_tech.get(f"/specimens/{code}").json()["label"]
    return found


def test_not_evaluated_goes_with_confirmed_results_not_with_a_word_of_the_clinic_and_derivatives_inherit_it(api: Api) -> None:
    person = donor(api)
    (raw,) = made(harvest(api.clinician, person, fat(markers_tested=True)))["specimens"]
    raw = received(api.lab_tech, raw)
    (washed,) = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"]
    assert not label(api, raw["code"])["markers_evaluated"], "a clinician's tick lifts nothing"
    report = stored(api).json()["sha256"]

    entered = [made(enter(api.clinician, person, report, marker=name.value))["marker"]["id"] for name in REQUIRED]
    assert not label(api, washed["code"])["markers_evaluated"], "entered is not confirmed"
    before = rfc3339(clock.now())
    for one in entered:
        assert decide(api.quality, person, one).status_code == 200

    assert label(api, raw["code"])["markers_evaluated"]
    for name in ("at", "as_known_at"):
        then = api.lab_tech.get(f"/specimens/{raw['code']}", params={name: before}).json()
        assert not then["label"]["markers_evaluated"] and not then["markers_evaluated"], name
    assert label(api, washed["code"])["markers_evaluated"]


def test_a_reactive_result_warns_on_the_label_and_keeps_the_donor_apart_until_quality_finds_it_wrong(api: Api) -> None:
    person = donor(api)
    (raw,) = made(harvest(api.clinician, person, fat()))["specimens"]
    report = stored(api).json()["sha256"]

    answer = made(enter(api.lab_tech, person, report, result="reactive"))

    assert answer["kept_apart"] is True
    evaluation = label(api, raw["code"])["evaluation"]
    assert (evaluation["positive_marker"], evaluation["reactive_for"]) == (True, ["hepatitis B"])
    lifting = {"kept_apart": False, "reason": "tested_again"}
    assert refused(api.quality.post(f"/donors/{person}/isolation", json=lifting)) == (409, "reactive_result_stands")
    made_ = decide(api.quality, person, answer["marker"]["id"], confirmed=False, reason="wrong_patient")
    assert made_.json()["marker"]["state"] == "rejected"
    assert label(api, raw["code"])["evaluation"]["reactive_for"] == []
    assert api.quality.post(f"/donors/{person}/isolation", json=lifting).status_code == 200


def test_a_result_has_its_report_its_time_and_a_second_person(api: Api) -> None:
    person = donor(api)
    report = stored(api).json()["sha256"]
    marker = made(enter(api.clinician, person, report))["marker"]["id"]

    assert refused(enter(api.clinician, person, "cd" * 32)) == (409, "attachment_unknown")
    later = rfc3339(clock.now() + timedelta(days=1))
    assert refused(enter(api.clinician, person, report, sampled_at=later)) == (409, "sampled_later")
    assert refused(enter(api.quality, person, report)) == (403, "not_permitted")
    assert refused(decide(api.clinician, person, marker)) == (403, "not_permitted")
    of_one_person(api, "clinician", "quality2")
    assert refused(decide(api.quality2, person, marker)) == (403, "second_person_must_differ"), "another login of who entered it"
    assert decide(api.quality, person, marker).status_code == 200
    assert refused(decide(api.quality, person, marker)) == (409, "marker_decided")
    assert kinds(api, "donor", person)[-2:] == ["donor.marker_entered", "donor.marker_decided"]
    (shown,) = api.clinician.get(f"/donors/{person}/markers").json()["items"]
    assert (shown["state"], shown["laboratory"], shown["kit"]) == ("confirmed", "North Lab", "Kit 7")


@pytest.mark.parametrize(
    "change, guard",
    [
        ("result = 'fine'", "marker_result_is_known"),
        ("state = 'thought'", "marker_state_is_known"),
        ("state = 'entered'", "a_decision_on_a_marker_has_its_person"),
        ("decided_by = entered_by", "a_marker_is_confirmed_by_another"),
    ],
)
def test_the_database_keeps_a_result_to_known_words_and_two_people(api: Api, change: str, guard: str) -> None:
    person = donor(api)
    report = stored(api).json()["sha256"]
    decide(api.quality, person, made(enter(api.clinician, person, report))["marker"]["id"])

    with pytest.raises(IntegrityError, match=guard):
        api.test_bank.write(lambda s: s.execute(text(f"UPDATE donor_marker SET {change}")))


def test_a_correction_of_the_clinics_tick_lifts_nothing_and_a_reactive_duplicate_goes_along_into_the_merge(api: Api) -> None:
    person, again = donor(api), donor(api, external_ids=[{"issuer": "OTHER-HOSPITAL", "value": "7 7"}])
    (raw,) = made(harvest(api.clinician, person, fat()))["specimens"]
    history = api.clinician.get(f"/specimens/{raw['code']}/custody").json()["items"]
    said = {"corrects": history[0]["leaf_hash"], "field": "markers_tested", "value": True, "reason": "typed_wrong"}
    answer = api.clinician.post(f"/specimens/{raw['code']}/amend", json=said | {"expected_seq": raw["seq"]})
    assert answer.status_code in (200, 201), answer.text
    assert not label(api, raw["code"])["markers_evaluated"]

    made(enter(api.clinician, again, stored(api).json()["sha256"], result="reactive"))
    assert merge(api, person, again).status_code == 200

    assert api.quality.get(f"/donors/{person}").json()["kept_apart"] is True
    assert label(api, raw["code"])["evaluation"]["reactive_for"] == ["hepatitis B"]
    lifting = {"kept_apart": False, "reason": "tested_again"}
    assert refused(api.quality.post(f"/donors/{person}/isolation", json=lifting)) == (409, "reactive_result_stands")
