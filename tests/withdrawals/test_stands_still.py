"""A withdrawal that something stands against is not silent: whoever waits for it, holds it or would take it on is told."""

from typing import Any

import pytest
from sqlmodel import Session

from biobank.pages.today import STANDS_STILL, read_tasks
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.withdrawals.stops import tell_what_stopped
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, everyone, holds_of, kinds_of, lift_all, sealed
from tests.withdrawals.test_final_label import thawed
from tests.withdrawals.test_told import told
from tests.withdrawals.wrongs import expired, held, lot_failed, revoked


def looked(api: Api) -> int:
    """The worker looks at what stands still."""
    return int(api.test_bank.write(lambda s: tell_what_stopped(s, everyone(api.test_bank))))


def today(api: Api, login: str, story: Story) -> list[str]:
    """What Today says to a login of the story's withdrawal."""
    actor, bank = api.test_bank.actor(login), api.test_bank.bank
    return [one.what for one in api.test_bank.write(lambda s: read_tasks(s, actor, bank)) if one.subject == story.code]


def donor_held(session: Session, api: Api, story: Story) -> None:
    asked = HoldRequest(scope_kind="donor", scope_id=story.donor, kind="investigation", reason="complaint")
    place_hold(session, api.test_bank.act("quality"), asked)


CAME: dict[str, tuple[Any, str]] = {
    "a hold on the tube": (held, "on_hold"),
    "a hold on the donor": (donor_held, "on_hold"),
    "the consent taken back": (revoked, "consent_revoked"),
    "the time of use over": (expired, "expired"),
    "a test of the lot failed": (lot_failed, "lot_test_failed"),
}


@pytest.mark.parametrize("came", CAME)
@pytest.mark.parametrize("step", ["request", "approve", "confirm", "issue", "thaw"])
def test_whatever_stops_it_wherever_it_is_whoever_asked_is_told_once(api: Api, step: str, came: str) -> None:
    story = a_story(api, 3, lot=True).up_to(step)
    assert looked(api) == 0
    stop, code = CAME[came]
    api.test_bank.write(lambda s: stop(s, api, story))
    assert looked(api) == 1 and looked(api) == 0
    assert told(api.clinician, story) == ["withdrawal_stopped"]
    (last,) = api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"][-1:]
    assert last["kind"] == "withdrawal.stopped" and code in last["body"]["because"]
    assert today(api, "clinician", story).count(STANDS_STILL) == 1
    assert "A withdrawal stands still" not in today(api, "clinician", story)


def test_whoever_would_take_it_on_or_has_it_in_hand_is_told_and_nobody_else(api: Api) -> None:
    story = a_story(api, 2).up_to("pick")
    api.test_bank.write(lambda s: held(s, api, story))
    looked(api)
    # Who confirms and issues, who may call it off, who asked; whoever took it out has no next step, and has the tube in hand.
    for login in ("lab_tech2", "quality", "clinician"):
        assert STANDS_STILL in today(api, login, story), login
    assert told(api.lab_tech, story) == ["withdrawal_stopped"]
    for login in ("north_tech", "auditor"):
        assert today(api, login, story) == [], login


@pytest.mark.parametrize("came", CAME)
@pytest.mark.parametrize("step", ["request", "approve", "confirm", "issue", "thaw"])
def test_the_api_says_that_it_is_stopped_and_why_before_its_next_step(api: Api, step: str, came: str) -> None:
    story = a_story(api, 3, lot=True).up_to(step)
    before = api.clinician.get(f"/withdrawals/{story.code}").json()
    assert before["stopped"] == []
    stop, _ = CAME[came]
    api.test_bank.write(lambda s: stop(s, api, story))
    read = api.clinician.get(f"/withdrawals/{story.code}").json()
    assert read["stopped"] and read["waits_for"][0] == f"It is stopped: {read['stopped'][0]}"
    assert read["waits_for"][-1] == before["waits_for"][-1]


def test_an_act_on_what_is_stopped_answers_that_it_is(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    api.test_bank.write(lambda s: held(s, api, story))
    assert story.receive().json()["waits_for"][0].startswith("It is stopped: ")
    broken = a_story(api, 2).up_to("issue")
    answer = broken.receive(container_intact=False).json()["waits_for"]
    assert answer[0].startswith("It is stopped: ") and "thaw it" in answer[-1], "by the hold that the receipt itself placed"


def test_of_two_tubes_the_answer_about_one_says_that_the_other_is_stopped(api: Api) -> None:
    story = a_story(api, 3)
    story.two_to_the_clinic()
    asked = HoldRequest(scope_kind="specimen", scope_id=story.vials[1], kind="quality", reason="result_awaited")
    api.test_bank.write(lambda s: place_hold(s, api.test_bank.act("quality"), asked))
    waits = story.thaw().json()["waits_for"]
    assert story.vials[1] in waits[0] and waits[0].startswith("It is stopped: ")
    assert any(one.startswith(story.vials[0]) for one in waits[1:])


def test_it_goes_on_when_quality_lifts_what_stopped_it_and_that_is_told_too(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    api.test_bank.write(lambda s: held(s, api, story))
    looked(api)
    assert "stands still" in visit("clinician").get_page("/")
    (one,) = api.clinician.get("/notices", params={"open_only": True}).json()["items"]
    assert "Its page says what" in visit("clinician").get_page(f"/notices/{one['id']}")
    lift_all(api, story.vials[0])
    assert holds_of(api, story.vials[0]) == [] and looked(api) == 1
    assert told(api.clinician, story) == ["withdrawal_goes_on"]
    assert today(api, "lab_tech", story) == ["Pick a tube for a withdrawal"]
    assert kinds_of(api, "withdrawal", story.code)[-2:] == ["withdrawal.stopped", "withdrawal.goes_on"]


def test_what_goes_its_way_stands_nowhere_still(api: Api, visit: Visit) -> None:
    story = a_story(api, 2)
    for step in (story.request, story.approve, story.pick, story.confirm, story.issue, story.receive, story.thaw):
        assert step().status_code in (200, 201)
        assert looked(api) == 0
        assert "It is stopped" not in visit("clinician").get_page(f"/withdrawals/{story.code}")
    demand(api)
    shipped = thawed(api, counted=False)
    page = visit("lab_tech").get_page(f"/withdrawals/{shipped.code}")
    assert looked(api) == 0 and "It is stopped" not in page


def test_what_is_called_off_or_given_stands_no_more_still(api: Api) -> None:
    story = a_story(api, 2).up_to("approve")
    api.test_bank.write(lambda s: held(s, api, story))
    looked(api)
    assert api.clinician.post(f"/withdrawals/{story.code}/cancel", json={"reason": "postponed"}).status_code == 200
    assert told(api.clinician, story) == [] and today(api, "clinician", story) == []
    given = a_story(api, 2).up_to("administer")
    api.test_bank.write(lambda s: held(s, api, given))
    sealed(api)
    assert looked(api) == 0
