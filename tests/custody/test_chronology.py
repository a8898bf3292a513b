"""No act is dated before what it concerns existed, before what it rests on, or before the change of state it follows."""

from collections import namedtuple
from datetime import timedelta
from typing import Any

from sqlmodel import Session

from biobank.custody.chronology import BeforeItsAuthority
from biobank.custody.events import Annotated
from biobank.custody.recording import Circumstances, Move, record
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.withdrawals.release_rules import band_refusal
from tests.conftest import Api
from tests.registers.test_registers import fat, wash
from tests.specimens.stories import made
from tests.storage.test_every_way_of_placing import a_tube, seq_of, stored
from tests.storage.test_storing import a_box, everyone
from tests.withdrawals.stories import a_story, ago, approve, later, sealed

Band = namedtuple("Band", "code voided_at")

LATE: dict[str, Any] = {"late_entry": True, "reason_text": "It was written on paper."}
COLD = {"reading": "temperature_mc", "value": -150_000}
LOOKED = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}


def said(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def inspect(api: Api, tube: str, at: str) -> Any:
    return api.lab_tech.post(
        f"/specimens/{tube}/events", json=LOOKED | LATE | {"expected_seq": seq_of(api, tube), "occurred_at": at}
    )


def test_nothing_is_dated_before_the_specimen_existed(api: Api) -> None:
    tube = a_tube(api)
    began = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][0]["occurred_at"]
    later(api, hours=2)

    old = inspect(api, tube, "2001-05-04T10:00:00Z")

    assert said(old) == (409, "before_it_existed")
    assert "begins at" in old.json()["detail"]
    assert inspect(api, tube, began).status_code == 201


def test_a_change_of_state_is_not_dated_before_the_one_it_follows(api: Api) -> None:
    tube, box = a_tube(api), a_box(api)
    later(api, hours=1)
    assert stored(api, tube, "", box, lambda: None)[0] == 201
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    later(api, hours=1)

    early = api.lab_tech.post(f"/specimens/{tube}/events", json=out | LATE | {"occurred_at": ago(minutes=90)})
    right = api.lab_tech.post(f"/specimens/{tube}/events", json=out | LATE | {"occurred_at": ago(minutes=30)})

    assert said(early) == (409, "out_of_order")
    assert right.status_code == 201, right.text


def test_a_reading_and_a_move_are_not_dated_before_the_container_existed(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None)
    box = a_box(api)
    past = LATE | {"occurred_at": ago(days=3)}

    reading = api.lab_tech.post(
        f"/storage-containers/{tank}/readings", json=past | {"reading": "temperature_mc", "value": -150000}
    )
    moved = api.lab_tech.post(f"/storage-containers/{box}/move", json=past | {"to": tank})

    assert said(reading) == (409, "before_it_existed")
    assert said(moved) == (409, "before_it_existed")


def test_an_administration_is_not_dated_before_the_release_it_rests_on(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=3)
    sealed(api)
    early = story.administer(occurred_at=ago(hours=1), started_at=ago(hours=1, minutes=1), **LATE)
    began = story.administer(started_at=ago(hours=1))

    assert early.status_code == 409, early.text
    assert said(early)[1] in ("no_release", "consent_missing")
    assert said(began)[1] in ("no_release", "consent_missing")
    assert story.administer().status_code in (200, 201)


def test_an_administration_recorded_late_uses_up_the_release_when_it_began(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=45)
    sealed(api)

    answer = story.administer(occurred_at=ago(minutes=42), started_at=ago(minutes=44), **LATE)

    assert answer.status_code in (200, 201), answer.text


def test_an_approval_is_not_dated_before_the_request_and_a_band_voided_by_then_is_none(api: Api) -> None:
    story = a_story(api).up_to("request")
    later(api, hours=1)
    sealed(api)
    early: dict[str, Any] = {"occurred_at": ago(minutes=90), "reason_text": "entered from paper", "late_entry": True}

    answer = approve(api, story.code, **early)

    assert answer.status_code == 409 and answer.json()["code"] in ("before_it_existed", "consent_missing"), answer.text
    assert band_refusal(Band("WB-1", None), clock.now()) is None
    assert band_refusal(Band("WB-1", clock.now() + timedelta(minutes=1)), clock.now()) is None
    ended = band_refusal(Band("WB-1", clock.now() - timedelta(minutes=1)), clock.now())
    assert ended is not None and ended.code == "release_ended"


def test_an_authority_counts_from_its_own_time(api: Api) -> None:
    tube = a_tube(api)
    later(api, hours=1)
    # The event that an entry rests on: an inspection of now, and an entry of an hour ago.
    leaf = bytes.fromhex(inspect(api, tube, ago(minutes=1)).json()["events"][0]["leaf_hash"])
    act = everyone(api.test_bank)

    def dated(minutes: int) -> str | None:
        def work(session: Session) -> None:
            specimen = load(session, [tube], lock=True)[tube]
            given = Circumstances(occurred_at=clock.now() - timedelta(minutes=minutes), late_entry=True, reason_text="paper")
            record(session, act, [Move(specimen, Annotated(topic="other"), relies_on=(leaf,))], given)

        try:
            api.test_bank.write(work)
        except BeforeItsAuthority as refusal:
            return refusal.code
        return None

    assert dated(30) == "before_its_authority"
    assert dated(0) is None


def test_a_question_about_a_time_ahead_is_none_about_now(api: Api) -> None:
    box, tube = a_box(api), a_tube(api)
    assert stored(api, tube, "", box, lambda: None)[0] == 201
    ahead, before = rfc3339(clock.now() + timedelta(hours=1)), ago(hours=1)
    for path in (f"/specimens/{tube}", f"/storage-containers/{box}/map", f"/storage-containers/{box}"):
        for name in ("at", "as_known_at"):
            assert said(api.lab_tech.get(path, params={name: ahead})) == (422, "asked_ahead"), path
            assert said(api.lab_tech.get(path, params={name: before})) == (404, "not_found"), path
            assert api.lab_tech.get(path, params={name: rfc3339(clock.now())}).status_code == 200, path


def test_a_deviation_and_a_sample_are_not_dated_before_what_they_are_about(api: Api) -> None:
    tube, old = a_tube(api), "2001-05-04T10:00:00Z"
    body = {"severity": "minor", "topic": "lid_left_open", "site": "LAB", "description": "It stood open."}
    body |= {"affected": [{"kind": "specimen", "id": tube}], "occurred_at": old} | LATE
    assert said(api.quality.post("/deviations", json=body)) == (409, "before_it_existed")
    assert api.quality.post("/deviations", json=body | {"occurred_at": rfc3339(clock.now())}).status_code == 201
    syringe = fat(api)
    lot = made(wash(api, syringe))["lot"]
    sample = {"test": "sterility", "method": "By the book", "laboratory": "North Lab", "result": "pending"}
    sample |= {"due_at": rfc3339(clock.now() + timedelta(days=3))}
    for sampled, answer in ((old, (409, "before_it_existed")), (rfc3339(clock.now()), (201, None))):
        assert said(api.lab_tech.post(f"/lots/{lot}/tests", json=sample | {"sampled_at": sampled})) == answer
