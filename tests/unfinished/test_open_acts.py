"""What was begun and not finished is timed out on the record, waits at Today, and can still be finished."""

from typing import Any

from biobank.acts.act import Act
from biobank.foundation import clock
from biobank.pages.today import read_tasks
from biobank.unfinished.kinds import KINDS, open_acts
from biobank.unfinished.service import time_out_open_acts
from tests.conftest import Api
from tests.donors import stories as donors
from tests.factories import make_donor, make_specimen
from tests.shipping.stories import now_of, offered, stage, tubes
from tests.shipping.test_handovers import expire
from tests.specimens.stories import adsc, donor, svf
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import a_stored_tube, check_out, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import a_story, kinds_of, later, sealed, sign_and_post
from tests.withdrawals.test_paper_check import fetched, filed, on_paper


def timer(api: Api) -> int:
    act = Act.system(api.test_bank.bank, path="timer")
    return api.test_bank.write(lambda s: time_out_open_acts(s, act))  # type: ignore[no-any-return]


def waiting(api: Api, user: str = "lab_tech") -> list[tuple[str, str, str]]:
    """What Today shows of acts that were not finished in their time."""
    actor = api.test_bank.actor(user)
    found = api.test_bank.write(lambda s: read_tasks(s, actor, api.test_bank.bank))
    return [(t.what, t.subject, t.href) for t in found if t.detail.startswith("not finished in its time")]


def open_now(api: Api) -> set[tuple[str, str]]:
    return api.test_bank.write(lambda s: {(one.act, one.stream_id) for one in open_acts(s)})  # type: ignore[no-any-return]


def test_a_tube_taken_out_and_not_put_back_is_timed_out_once_and_can_still_be_put_back(api: Api) -> None:
    tube, box = a_stored_tube(api)
    assert open_now(api) == set()
    check_out(api, tube)
    assert (open_now(api), timer(api), waiting(api)) == ({("taken_out", tube)}, 0, [])
    later(api, minutes=31)

    assert (timer(api), timer(api)) == (1, 0)
    assert waiting(api) == [(KINDS["taken_out"].what, tube, f"/specimens/{tube}")]
    assert waiting(api, "north_tech") == waiting(api, "auditor") == []
    assert [one["page"] for one in api.lab_tech.get("/open-acts?timed_out=true").json()["items"]] == [f"/specimens/{tube}"]
    assert put(api, tube, box).status_code == 201
    assert (waiting(api), open_now(api)) == ([], set())
    assert kinds_of(api, "specimen", tube)[-2:] == ["specimen.timed_out", "specimen.stored"]

    check_out(api, tube)
    later(api, minutes=31)
    assert timer(api) == 1, "the next time is another act"


def test_what_is_received_and_never_put_away_is_somebodys_task(api: Api) -> None:
    frozen, fresh = a_tube(api), a_tube(api, frozen=False)
    assert (open_now(api), timer(api)) == ({("not_put_away", frozen), ("not_taken_up", fresh)}, 0)

    later(api, minutes=31)
    assert timer(api) == 1
    assert waiting(api) == [("Received frozen and not put away", frozen, f"/specimens/{frozen}")]
    later(api, hours=24)
    assert timer(api) == 1
    assert put(api, frozen, a_box(api, temperature_class="ln2_vapour")).status_code == 201
    assert open_now(api) == {("not_taken_up", fresh)}


def test_what_is_found_and_lies_in_a_hand_is_a_task_too(api: Api) -> None:
    tube, _ = a_stored_tube(api)
    for kind, more in (("missing", {"reason": "not_in_its_slot"}), ("found", {"site": "LAB"})):
        body = {"kind": f"specimen.{kind}", "expected_seq": seq_of(api, tube)} | more
        assert api.lab_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201

    assert open_now(api) == {("not_put_away", tube)}


def test_a_site_sets_its_own_time_signed(api: Api) -> None:
    tube, _ = a_stored_tube(api)
    check_out(api, tube)
    body = {"site": "LAB", "act": "taken_out", "minutes": 5}
    assert api.quality.post("/open-act-limits", json=body).status_code == 428
    assert sign_and_post(api.quality, "decided", "/open-act-limits", body).status_code == 201
    assert kinds_of(api, "system", "LAB")[-1] == "system.open_act_limit_set"
    assert body in [{name: one[name] for name in body} for one in api.quality.get("/open-act-limits").json()["items"]]
    later(api, minutes=6)
    assert timer(api) == 1


def _lift(api: Api) -> str:
    _, box = a_stored_tube(api)
    assert api.lab_tech.post(f"/storage-containers/{box}/lift", json={}).status_code == 200
    return box


def _finish_lift(api: Api, box: str) -> None:
    assert api.lab_tech.post(f"/storage-containers/{box}/put-back", json={}).status_code == 200


def test_every_kind_is_found_timed_out_shown_to_who_can_finish_it_and_gone_when_it_is_finished(api: Api) -> None:
    picking = a_story(api).up_to("pick")
    checking = a_story(api).up_to("thaw")
    assert checking.check(api.clinician).status_code == 201
    (held,) = tubes(api)
    hand_over = offered(api, [held], expires_in_minutes=10)
    box = _lift(api)
    expected: dict[tuple[str, str], Any] = {
        ("pick", picking.code): "lab_tech",
        ("thaw", checking.vials[0]): "clinician",
        ("bedside_check", checking.code): "clinician",
        ("unverified", checking.code): "clinic_staff",
        ("lift", box): "lab_tech",
    }
    assert open_now(api) == set(expected)
    later(api, hours=2)

    expire(api)
    assert timer(api) == len(expected)
    sealed(api)

    assert open_now(api) == {*expected, ("hand_over", hand_over), ("not_taken_up", held)}
    for (kind, stream), user in {**expected, ("hand_over", hand_over): "lab_tech"}.items():
        assert (KINDS[kind].what, KINDS[kind].page.format(stream)) in [(what, href) for what, _, href in waiting(api, user)]
    assert waiting(api, "north_tech") == []
    assert kinds_of(api, "container", box)[-1] == "container.timed_out"
    _finish_lift(api, box)
    offered(api, [held])
    assert picking.confirm(api.lab_tech2).status_code == 201
    assert picking.issue().status_code == 200, "finishing later is still possible"
    left = set(expected) - {("lift", box), ("pick", picking.code)}
    assert open_now(api) == left | {("unverified", picking.code)}, "what was issued waits for its bedside"
    assert kinds_of(api, "withdrawal", picking.code)[-3:] == [
        "withdrawal.timed_out",
        "withdrawal.pick_confirmed",
        "withdrawal.issued",
    ]


def test_what_was_issued_and_not_verified_within_its_time_is_called_until_it_is(api: Api) -> None:
    story = a_story(api).up_to("issue")
    body = {"site": "CLINIC", "act": "unverified", "minutes": 90}
    assert sign_and_post(api.quality, "decided", "/open-act-limits", body).status_code == 201
    later(api, minutes=61)
    assert (open_now(api), timer(api)) == ({("unverified", story.code)}, 0), "the clinic set its own time"
    later(api, minutes=30)
    assert timer(api) == 1
    called = (KINDS["unverified"].what, story.code, f"/withdrawals/{story.code}")
    assert called in waiting(api, "clinic_staff") and waiting(api, "other_clinician") == []
    sealed(api)
    assert story.receive().status_code == 200 and story.thaw().status_code == 200
    assert story.check().status_code == 201
    assert called in waiting(api, "clinic_staff"), "one person is not two"
    assert story.check(api.clinic_staff).json()["status"] == "released"
    assert called not in waiting(api, "clinic_staff") and ("unverified", story.code) not in open_now(api)
    causes = {one["cause"]: one["times"] for one in api.quality.get("/bedside-compliance").json()["items"]}
    assert causes == {"issued_and_not_verified_in_time": 1}


def test_a_tube_that_came_back_is_not_called_for(api: Api) -> None:
    story = a_story(api).up_to("receive")
    assert ("unverified", story.code) in open_now(api)
    assert story.take_back().status_code == 200
    assert ("unverified", story.code) not in open_now(api)


def test_a_run_and_a_culture_have_times_of_their_own(api: Api) -> None:
    made, grown = svf(api, donor(api))["code"], adsc(api, donor(api))["code"]
    assert open_now(api) >= {("run", made), ("culture", grown)}
    later(api, hours=25)
    timer(api)
    assert ("Finish a run", made, f"/specimens/{made}") in waiting(api)
    assert kinds_of(api, "specimen", grown)[-1] != "specimen.timed_out"
    later(api, days=30)
    timer(api)
    assert kinds_of(api, "specimen", grown)[-1] == "specimen.timed_out"


def test_half_of_a_check_on_paper_waits_a_day_for_the_other_person_and_two_of_one_minute_stop_no_timer(api: Api) -> None:
    story = a_story(api, 2)
    assert story.request(specimens=story.vials).status_code == 201
    assert story.approve().status_code == 200
    for tube in story.vials:
        assert story.pick(tube=tube).status_code == story.confirm(tube=tube).status_code == 201
    assert story.issue().status_code == story.receive(tubes=story.vials).status_code == 200
    for tube in story.vials:
        assert story.thaw(tube=tube).status_code == 200
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    later(api, minutes=1)
    then = clock.now()
    later(api, hours=2)
    sealed(api)
    form = filed(api, began)
    for tube in story.vials:
        assert story.check(**on_paper(form, then, product=tube)).status_code == 201

    def late() -> list[str]:
        found = api.test_bank.write(lambda s: open_acts(s, timed_out=True))
        return sorted(one.act for one in found)

    halves = {one["cause"] for one in api.quality.get("/bedside-compliance").json()["items"]}
    assert "first_scans_without_second" not in halves, "the other person enters their half the same day"
    assert timer(api) == 3
    assert late() == ["thaw", "thaw", "unverified"], "the other person has the day"
    later(api, hours=23)
    check_out(api, a_stored_tube(api)[0])
    later(api, hours=1)
    assert timer(api) == 2, "two checks of one minute are one"
    assert late() == ["bedside_check", "bedside_check", "taken_out", "thaw", "thaw", "unverified"]
    assert timer(api) == 0


def test_a_release_that_lapsed_unused_is_no_verification(api: Api) -> None:
    story = a_story(api).up_to("check")
    assert ("unverified", story.code) not in open_now(api)
    later(api, minutes=16)
    assert ("unverified", story.code) in open_now(api)
    sealed(api)
    assert story.check().status_code == 201 and story.check(api.clinic_staff).json()["status"] == "released"
    assert ("unverified", story.code) not in open_now(api)
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.lab_tech.post("/holds", json=hold).json()["releases_killed"] == 1
    assert ("unverified", story.code) in open_now(api)


def test_what_was_collected_and_went_nowhere_and_what_is_missing_is_somebodys_task(api: Api) -> None:
    act = stage(api.test_bank)
    collected = api.test_bank.write(lambda s: make_specimen(s, act, donor=make_donor(s))).code
    missing, _box = a_stored_tube(api)
    gone = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": now_of(api, missing)["seq"]}
    assert api.lab_tech.post(f"/specimens/{missing}/events", json=gone).status_code == 201
    assert {("not_taken_up", collected), ("missing", missing)} <= open_now(api)

    later(api, hours=25)
    timer(api)
    assert ("Collected or received, and neither sent, processed nor put away", collected) in {
        (what, subject) for what, subject, _ in waiting(api, "acts_here")
    }
    later(api, days=3)
    timer(api)
    assert (KINDS["missing"].what, missing) in {(what, subject) for what, subject, _ in waiting(api, "quality")}
