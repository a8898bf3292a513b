"""Today and "something is wrong", over HTTP as a browser without scripts sends them."""

import re
from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.home import read_today
from biobank.pages.today import SHOWN_EACH, read_tasks, read_troubles
from tests import seed
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.pages.test_pages import a_tube
from tests.pages.visitor import Visit
from tests.shipping.stories import offered, shipped, tubes
from tests.statements import count_statements
from tests.storage.test_every_way_of_placing import a_tube as a_placed_tube
from tests.storage.test_every_way_of_placing import seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import a_story

NO_SLOT = "Find its place in the box"


def every_task(api: Api, user: str) -> list[tuple[str, str, str]]:
    actor = api.test_bank.actor(user)
    return api.test_bank.write(lambda s: [(t.urgency, t.what, t.subject) for t in read_tasks(s, actor, api.test_bank.bank)])  # type: ignore[no-any-return]


def tasks(api: Api, user: str) -> list[tuple[str, str, str]]:
    """The tasks but for those of slots: the stories store their vials without one."""
    return [one for one in every_task(api, user) if one[1] != NO_SLOT]


def troubles(api: Api, user: str) -> list[tuple[str, str]]:
    actor = api.test_bank.actor(user)
    return api.test_bank.write(lambda s: [(t.what, t.subject) for t in read_troubles(s, actor)])  # type: ignore[no-any-return]


def test_a_withdrawal_waits_for_whoever_takes_its_next_step(api: Api) -> None:
    story = a_story(api).up_to("request")
    assert tasks(api, "quality") == [("waiting", "Approve or reject a withdrawal", story.code)]
    assert tasks(api, "lab_tech") == []
    story.approve()
    assert tasks(api, "lab_tech") == [("waiting", "Pick a tube for a withdrawal", story.code)]
    assert tasks(api, "north_tech") == tasks(api, "other_clinician") == tasks(api, "quality") == []


def test_the_counts_by_state_are_the_same_for_who_reads_everywhere_and_at_each_site_and_read_one_table(api: Api) -> None:
    tubes(api, 2)
    a_story(api)

    def counted(user: str) -> dict[str, Any]:
        today = api.test_bank.write(lambda s: read_today(s, api.test_bank.actor(user), api.test_bank.bank))
        return {one.label: one.value for one in today.stats}

    seen: list[str] = []
    stop = count_statements(api.test_bank.bank.database.sync_engine, seen)
    everywhere = counted("quality")
    stop()
    assert everywhere == counted("lab_quality")
    assert everywhere["Stored"] >= 1
    (asked,) = [" ".join(one.split()) for one in seen if "GROUP BY custody.state" in one]
    assert "JOIN" not in asked


def test_a_hand_over_and_a_shipment_wait_for_their_receiver_only(api: Api) -> None:
    given = tubes(api, 2)
    offered(api, given)
    code = shipped(api, tubes(api, 1))
    assert tasks(api, "lab_tech2") == [("waiting", "Accept or decline a hand-over", given[0])]
    assert tasks(api, "north_tech") == [("expected", "Receive a shipment", code)]
    assert tasks(api, "lab_tech") == []
    clock.set_offset(timedelta(days=3), test_mode=True)
    assert ("overdue", "Receive a shipment", code) in tasks(api, "north_tech")


def test_what_its_condition_makes_too_old_soon_is_shown_to_quality(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    assert ("due", "A specimen expires", story.vials[0]) in tasks(api, "quality")


def test_a_tube_whose_place_in_its_box_nobody_knows_asks_to_be_found(api: Api) -> None:
    box, tube = a_box(api), a_placed_tube(api)
    body = {"container": box, "slot_unknown": True, "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/store", json=body).status_code == 201
    assert every_task(api, "lab_tech") == [("waiting", "Find its place in the box", tube)]
    assert every_task(api, "north_tech") == []
    body = {"container": box, "position": "A1", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/store", json=body).status_code == 201
    assert every_task(api, "lab_tech") == []


def test_kits_and_tests_are_shown_before_they_are_late_and_called_overdue_after(api: Api) -> None:
    at = clock.now()
    body = {"site": "CLINIC", "home_site": "LAB", "adipose_labels": 1, "expires_at": rfc3339(at + timedelta(days=10))}
    kit = api.lab_tech.post("/kits", json=body).json()["kit"]["kit"]
    assert tasks(api, "clinician") == [("due", "A kit expires", kit)]
    assert tasks(api, "north_tech") == []
    story = a_story(api, lot=True)
    lot = api.quality.get(f"/specimens/{story.vials[0]}").json()["lot"]
    due = {"test": "sterility", "due_at": rfc3339(at + timedelta(days=2)), "result": "pending"} | seed.TESTED
    due |= {"sampled_at": rfc3339(clock.now())}
    pending = api.lab_tech.post(f"/lots/{lot}/tests", json=due)
    assert pending.status_code == 201, pending.text
    assert tasks(api, "quality") == [("due", "A test result is due", lot)]
    clock.set_offset(timedelta(days=11), test_mode=True)
    assert tasks(api, "lab_tech") == [
        ("overdue", "A test result is due", lot),
        ("overdue", "A kit has expired: close it", kit),
    ]
    done = due | {"result": "passed", "report_sha256": seed.A_REPORT, "completes": pending.json()["test"]["id"]}
    api.close()
    api._clients.clear()
    assert api.lab_tech.post(f"/lots/{lot}/tests", json=done).status_code == 201
    assert [task[1] for task in tasks(api, "lab_tech")] == ["A kit has expired: close it"]


def test_what_is_wrong_is_shown_to_those_who_may_know_of_it(api: Api) -> None:
    tube = a_tube(api)
    event = {"kind": "specimen.missing", "expected_seq": 2, "reason": "not_in_its_slot"}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=event).status_code == 201
    assert ("Missing", tube) in troubles(api, "lab_tech")
    assert [what for what, _ in troubles(api, "lab_tech")] == ["Missing", "Open deviation"]
    assert troubles(api, "other_clinician") == troubles(api, "admin") == []


def test_today_asks_the_same_number_of_questions_however_much_waits(api: Api) -> None:
    actor, engine = api.test_bank.actor("lab_tech2"), api.test_bank.bank.database.sync_engine
    counted, lengths = [], []
    for _ in range(2):
        for _ in range(4):
            offered(api, tubes(api, 1))
        seen: list[str] = []
        stop = count_statements(engine, seen)
        lengths.append(len(api.test_bank.write(lambda s: read_tasks(s, actor, api.test_bank.bank))))
        stop()
        counted.append(len(seen))
    assert lengths == [4, 8] and SHOWN_EACH > 8
    assert counted[0] == counted[1]


def test_something_wrong_is_held_in_two_taps_without_scripts(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("clinic_staff")
    page = visitor.get_page(f"/specimens/{tube}")
    link = re.findall(r'class="wrong-link" href="([^"]+)"', page)[0]
    assert link == f"/wrong?about={tube}"
    answer = visitor.submit("/wrong", {"what": "warm", "about": tube, "remark": "It dripped."}, draw=link)
    assert answer.url.path == f"/specimens/{tube}" and "Thank you for saying so" in answer.text
    (hold,) = api.quality.get("/holds", params={"active": True}).json()["items"]
    assert (hold["kind"], hold["scope_id"], hold["reason"]) == ("temperature", tube, "found_warm")
    assert ("Temperature hold", tube) in troubles(api, "quality")
    assert "dripped" not in taken_log(api)


def test_a_field_for_a_tube_takes_the_identifier_of_another_issuer(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
    body = {"issuer": "legacy", "value": "VIAL 17/b", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{tube}/aliases", json=body).status_code == 201
    visitor = visit("lab_tech")

    answer = visitor.submit("/wrong", {"what": "warm", "about": "]Q1vial 17/B"})
    known = {"about": f"VIAL 17/b\n{tube}", "severity": "minor", "topic": "x_y", "site": "LAB", "description": "d"}
    deviation = visitor.submit("/deviations/new", known)

    assert answer.url.path == f"/specimens/{tube}" and "is on hold" in answer.text
    code = deviation.url.path.rpartition("/")[2]
    assert [one["id"] for one in api.quality.get(f"/deviations/{code}").json()["affected"]] == [tube]


def test_what_has_no_label_is_reported_in_words(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    empty = visitor.submit("/wrong", {"what": "other"})
    assert empty.status_code == 422 and "say below in words" in empty.text
    answer = visitor.submit("/wrong", {"what": "other", "remark": "A puddle under tank 2."})
    code = re.findall(r"Reported as (DV-[0-9A-Z]{7})", answer.text)[0]
    assert api.quality.get(f"/deviations/{code}").json()["description"] == "A puddle under tank 2."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"what": "warm", "about": "rubbish"}, "These are words, not a code"),
        ({"what": "warm", "about": seed.USERS["quality"].code}, "cannot be put on hold"),
        ({"what": "nonsense", "remark": "x"}, "one of the large buttons"),
    ],
)
def test_a_report_that_names_nothing_says_what_to_do(visit: Visit, fields: dict[str, Any], words: str) -> None:
    answer = visit("lab_tech").submit("/wrong", fields)
    assert answer.status_code == 422 and words in answer.text


def test_a_hand_over_is_accepted_on_its_page_and_only_by_its_receiver(api: Api, visit: Visit) -> None:
    given = tubes(api, 1)
    path = f"/handovers/{offered(api, given)}"
    giver = visit("lab_tech").get_page(path)
    assert "Take it back" in giver and "I have them: accept" not in giver
    visit("other_clinician").get_page(path, 404)
    receiver = visit("lab_tech2")
    assert given[0] in receiver.get_page("/")
    answer = receiver.submit(f"{path}/accept", {}, draw=path)
    assert "You hold 1 tube now." in answer.text
    custody = api.lab_tech2.get(f"/specimens/{given[0]}").json()["custody"]
    assert custody["custodian"]["id"] == seed.USERS["lab_tech2"].code


def test_a_hand_over_is_declined_with_a_reason_or_taken_back(api: Api, visit: Visit) -> None:
    first, second = f"/handovers/{offered(api, tubes(api, 1))}", f"/handovers/{offered(api, tubes(api, 1))}"
    visit("lab_tech2").submit(f"{first}/decline", {"reason": "too_warm"}, draw=first)
    visit("lab_tech").submit(f"{second}/decline", {}, draw=second)
    reasons = [one["decline_reason"] for one in api.lab_tech.get("/handovers").json()["items"]]
    assert sorted(reasons) == ["taken_back", "too_warm"]


def test_what_its_donor_keeps_apart_is_a_task_wherever_it_stands_among_others(api: Api) -> None:
    box, apart, tube = a_box(api), a_box(api, isolated=True), a_placed_tube(api)

    def put(where: str) -> int:
        body = {"container": where, "expected_seq": seq_of(api, tube)}
        return int(api.lab_tech.post(f"/specimens/{tube}/store", json=body).status_code)

    def isolate(kept_apart: bool) -> Any:
        donor = api.quality.get(f"/specimens/{tube}").json()["donor"]
        body = {"kept_apart": kept_apart, "reason": "looked_at_again"}
        answer = api.quality.post(f"/donors/{donor}/isolation", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["to_move"]

    assert put(box) == 201 and every_task(api, "lab_tech") == []
    assert isolate(True) == 1
    assert every_task(api, "lab_tech") == [("overdue", "Infectious: take it to an isolated place", tube)]
    assert every_task(api, "north_tech") == []
    assert (put(a_box(api)), put(apart)) == (409, 201)
    assert every_task(api, "lab_tech") == []
    assert isolate(False) == 1
    assert every_task(api, "lab_tech") == [("overdue", "Not infectious: out of the isolated place", tube)]
    assert put(a_box(api, purpose="quarantine", isolated=True)) == 201
    assert every_task(api, "lab_tech") == []
