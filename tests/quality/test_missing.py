"""Nobody loses a unit quietly: what is reported missing is told, stays to be done, and comes back held for its identity."""

from typing import Any

import pytest
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.events import Missing
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.pages.today import read_tasks
from biobank.unfinished.kinds import KINDS
from biobank.withdrawals.next_acts import acts_waiting_for
from tests.conftest import Api, Client
from tests.factories import make_box
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.storage.test_two_at_once import while_open
from tests.unfinished.test_open_acts import timer
from tests.withdrawals.stories import (
    a_story,
    bank_vials,
    holds_of,
    kinds_of,
    later,
    refused,
    sign_and_post,
    state_of,
)


def seq_of(api: Api, tube: str) -> int:
    return int(api.quality.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"])


def recorded(api: Api, tube: str, kind: str, client: Client | None = None, **body: Any) -> Any:
    whole = {"kind": kind, "expected_seq": seq_of(api, tube)} | body
    answer = (client or api.lab_tech).post(f"/specimens/{tube}/events", json=whole)
    assert answer.status_code == 201, answer.text
    return answer


def missing(api: Api, tube: str, client: Client | None = None) -> None:
    recorded(api, tube, "specimen.missing", client, reason="not_found")


def deviations(api: Api) -> list[tuple[str, str]]:
    found = api.quality.get("/deviations").json()["items"]
    return [(one["topic"], one["severity"]) for one in found]


def told(api: Api, login: str) -> list[tuple[str, str]]:
    """What this login is told by name and has not read: reason, and what it is about."""
    found = getattr(api, login).get("/notices", params={"open_only": True}).json()["items"]
    return [(one["reason"], one["about"]) for one in found if one["told"] == USERS[login].code]


def today(api: Api, login: str, subject: str) -> list[str]:
    actor, bank = api.test_bank.actor(login), api.test_bank.bank
    return [one.what for one in api.test_bank.write(lambda s: read_tasks(s, actor, bank)) if one.subject == subject]


def test_the_last_unit_that_is_missing_is_told_to_quality_and_to_the_clinic_and_opens_a_critical_deviation(api: Api) -> None:
    story = a_story(api, 1)
    (vial,) = story.vials
    missing(api, vial)
    assert deviations(api) == [("unit_missing", "critical")]
    for login in ("quality", "lab_quality", "clinician", "clinic_staff"):
        assert told(api, login) == [("unit_missing", vial)]
    # Not whoever reported it, nobody of another bank or clinic.
    assert told(api, "lab_tech") == told(api, "other_clinician") == told(api, "north_tech") == []
    code = api.quality.get("/deviations").json()["items"][0]["code"]
    shown = api.quality.get(f"/deviations/{code}").json()
    assert "no usable unit will remain" in shown["description"]
    assert kinds_of(api, "system", code) == ["system.deviation_opened", "system.notices_given"]


def test_one_of_several_is_told_to_quality_of_its_keeper_and_not_to_the_clinic(api: Api) -> None:
    story = a_story(api, 3)
    missing(api, story.vials[0])
    assert deviations(api) == [("unit_missing", "major")]
    assert told(api, "lab_quality") == [("unit_missing", story.vials[0])]
    assert told(api, "clinician") == []


def test_what_goes_below_the_reserve_by_being_missing_is_told_as_the_last_one_is(api: Api) -> None:
    story = a_story(api, 3)
    body = {"material": "adsc", "units": 3}
    assert sign_and_post(api.quality, "decided", f"/donors/{story.donor}/reserves", body).status_code == 200
    missing(api, story.vials[0])
    assert deviations(api) == [("unit_missing", "critical")]
    assert told(api, "clinician") == [("unit_missing", story.vials[0])]


def test_a_batch_tells_as_one_report_does_and_what_was_kept_for_tests_opens_nothing(api: Api) -> None:
    story = a_story(api, 3)
    (other,) = bank_vials(api, story.donor, purpose="qc", released=False)
    items = [
        {"specimen": one, "kind": "specimen.missing", "reason": "not_found", "expected_seq": seq_of(api, one)}
        for one in [*story.vials, other]
    ]
    answer = api.lab_tech.post("/custody-events", json={"events": items})
    assert answer.status_code == 201, answer.text
    assert deviations(api) == [("unit_missing", "critical")], "one deviation for all of a donor's"
    ((reason, about),) = told(api, "lab_quality")
    assert (reason, about.startswith("DV")) == ("unit_missing", True)


def test_of_the_last_two_that_two_people_report_at_once_the_second_report_knows_of_the_first(api: Api) -> None:
    story = a_story(api, 2)
    first, second = story.vials
    body = {"kind": "specimen.missing", "reason": "not_found", "expected_seq": seq_of(api, second)}

    def report(session: Session, act: Act) -> None:
        tube = load(session, [first], lock=True)[first]
        record(session, act, [Move(tube, Missing(reason="not_found"))], NOW)

    answer = while_open(api, report, f"/specimens/{second}/events", body)
    assert answer.status_code == 201, answer.text
    assert sorted(severity for _, severity in deviations(api)) == ["critical", "major"]
    assert ("unit_missing", second) in told(api, "clinician")


def test_a_tube_that_a_withdrawal_waits_for_is_told_and_nobody_is_told_any_more_that_it_is_ready(api: Api) -> None:
    story = a_story(api, 3).up_to("confirm")
    assert told(api, "clinician") == [("withdrawal_ready", story.code)]
    missing(api, story.vials[0])
    assert told(api, "clinician") == [("unit_missing", story.vials[0])]
    assert deviations(api) == [("unit_missing", "critical")]
    read = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert read["waits_for"] == [f"{story.vials[0]} is missing: look for it, ask for another instead, or call it off"]
    actor, bank = api.test_bank.actor("lab_tech"), api.test_bank.bank
    assert api.test_bank.write(lambda s: acts_waiting_for(s, actor, bank)) == [], "nobody is sent to pick it"
    body = {"tube": story.vials[0], "by": story.vials[1], "reason": "missing"}
    assert api.clinician.post(f"/withdrawals/{story.code}/replace", json=body).status_code == 201


def test_what_is_missing_stays_to_be_done_until_it_is_found_or_given_up(api: Api) -> None:
    story = a_story(api, 1)
    (vial,) = story.vials
    missing(api, vial)
    later(api, hours=25)
    assert timer(api) == 1
    assert KINDS["missing"].what in today(api, "lab_quality", vial)
    assert KINDS["missing"].what not in today(api, "clinician", vial)
    recorded(api, vial, "specimen.found", site="LAB")
    assert KINDS["missing"].what not in today(api, "lab_quality", vial)


def test_a_tube_that_is_missing_at_the_clinic_is_told_to_quality_of_the_bank_that_keeps_it(api: Api) -> None:
    story = a_story(api, 3).up_to("receive")
    missing(api, story.vials[0], api.clinic_staff)
    assert told(api, "lab_quality") == [("unit_missing", story.vials[0])]
    assert ("unit_missing", story.vials[0]) in told(api, "clinician")


def test_a_report_that_a_tube_is_missing_is_not_undone(api: Api, visit: Visit) -> None:
    story = a_story(api, 2)
    vial = story.vials[0]
    missing(api, vial)
    latest = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]
    body = {"expected_seq": latest["seq"], "reverses": latest["leaf_hash"], "reason": "wrong_tube"}
    for client in (api.lab_tech, api.quality, api.acts_here):
        said = refused(client.post(f"/specimens/{vial}/reverse", json=body), 409, "cannot_be_reversed")
        assert "reports that it was found" in said["detail"]
    assert f"/specimens/{vial}/reverse" not in visit("lab_tech").get_page(f"/specimens/{vial}")


@pytest.mark.parametrize("way", ["found", "quarantine"])
def test_what_comes_back_from_being_missing_is_held_for_its_identity_whichever_way_it_comes(api: Api, way: str) -> None:
    story = a_story(api, 2)
    vial = story.vials[0]
    missing(api, vial)
    later(api, hours=30)
    if way == "found":
        recorded(api, vial, "specimen.found", site="LAB")
    else:
        admin = api.test_bank.act("admin")
        box = api.test_bank.write(lambda s: make_box(s, admin, purpose="quarantine", temperature_class="ln2_vapour").code)
        put = api.lab_tech.post(f"/specimens/{vial}/store", json={"container": box, "expected_seq": seq_of(api, vial)})
        assert put.status_code == 201, put.text
    placed = sorted((one["kind"], one["reason"]) for one in holds_of(api, vial))
    assert placed == [("identity", "found"), ("temperature", "missing_for_a_time")]
    assert state_of(api, vial)["state"] != "missing"
    if way == "quarantine":
        refused(story.request(), 409, "on_hold")
