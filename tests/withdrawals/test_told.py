"""Whoever waits for a withdrawal is told how it goes on, at Today and in the notices, and what was told leaves by itself."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.pages.quality.notices import NEWS, WHAT
from biobank.pages.today import read_tasks
from biobank.withdrawals import telling
from tests.conftest import Api, Client
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.withdrawals.stories import Story, a_story, kinds_of, refused, sealed, sign_and_post


def told(client: Client, story: Story, *, open_only: bool = True) -> list[str]:
    """The reasons of somebody's notices about the story's withdrawal, the newest first."""
    found = client.get("/notices", params={"open_only": open_only}).json()["items"]
    return [one["reason"] for one in found if one["about"] == story.code]


def today(api: Api, login: str, story: Story) -> list[str]:
    """What Today says to a login of how the story's withdrawal went on."""
    actor, bank = api.test_bank.actor(login), api.test_bank.bank
    lines = api.test_bank.write(lambda s: read_tasks(s, actor, bank))
    return [one.what for one in lines if one.subject == story.code and one.what in NEWS.values()]


def done(answer: Any) -> None:
    assert answer.status_code in (200, 201), answer.text


def test_whoever_asked_is_told_of_each_step_and_the_next_news_takes_the_place_of_the_last(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    assert told(api.clinician, story) == []
    done(story.approve())
    assert told(api.clinician, story) == ["withdrawal_approved"]
    assert today(api, "clinician", story) == ["Your request was approved"]
    done(story.pick())
    assert told(api.clinician, story) == ["withdrawal_approved"]
    done(story.confirm())
    assert told(api.clinician, story) == ["withdrawal_ready"]
    done(story.issue())
    assert told(api.clinician, story) == ["withdrawal_issued"]
    assert today(api, "clinician", story) == ["What you asked for left the bank"]
    # Neither quality nor whoever picked is told what does not wait for them, nor reads what another was told.
    assert [told(one, story, open_only=False) for one in (api.quality, api.lab_tech, api.clinic_staff)] == [[], [], []]


def test_what_was_told_leaves_when_its_reader_takes_the_next_step(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    assert today(api, "clinician", story) != []
    done(story.receive(api.clinician))
    assert today(api, "clinician", story) == []
    done(story.thaw())
    done(story.check())
    done(story.check(api.clinic_staff))
    done(story.administer(api.clinic_staff))
    assert told(api.clinician, story) == ["withdrawal_given"]
    done(story.outcome(close=True))
    assert told(api.clinician, story) == []


def test_what_was_told_leaves_when_the_withdrawal_is_closed_by_another(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    done(story.administer(api.clinic_staff))
    assert told(api.clinician, story) == ["withdrawal_given"]
    done(story.outcome(api.clinician2, close=True))
    assert told(api.clinician, story) == []
    assert "withdrawal_given" in told(api.clinician, story, open_only=False)


def test_a_rejection_is_told_until_it_is_read_and_reading_leads_to_the_withdrawal(api: Api, visit: Visit) -> None:
    story = a_story(api, 1).up_to("request")
    done(sign_and_post(api.quality, "rejected", f"/withdrawals/{story.code}/reject", {"reason": "not_indicated"}))
    (one,) = api.clinician.get("/notices", params={"open_only": True}).json()["items"]
    assert (one["reason"], one["about_kind"], one["deviation"], one["units"]) == ("withdrawal_rejected", "withdrawal", None, 1)
    page = visit("clinician")
    assert "Your request was rejected" in page.get_page("/")
    assert "Quality rejected" in page.get_page(f"/notices/{one['id']}")
    assert page.submit(f"/notices/{one['id']}", {}).url.path == f"/withdrawals/{story.code}"
    assert "Your request was rejected" not in page.get_page("/")
    assert kinds_of(api, "system", story.code) == ["system.notice_acknowledged"]
    refused(api.clinician.post(f"/notices/{one['id']}/acknowledge", json={}), 409, "notice_acknowledged")


def test_calling_off_is_told_to_whoever_asked_and_whoever_holds_a_tube_but_not_to_whoever_did_it(api: Api) -> None:
    story = a_story(api, 2).up_to("pick")
    done(api.clinician.post(f"/withdrawals/{story.code}/cancel", json={"reason": "postponed"}))
    assert told(api.clinician, story) == []
    assert told(api.lab_tech, story) == ["withdrawal_cancelled"]
    assert today(api, "lab_tech", story) == ["A withdrawal was called off"]
    other = a_story(api, 2).up_to("approve")
    done(api.quality.post(f"/withdrawals/{other.code}/cancel", json={"reason": "postponed"}))
    assert told(api.clinician, other) == ["withdrawal_cancelled"]
    # The tube stood in its place: nobody has it in hand.
    assert told(api.lab_tech, other) == []


def test_for_an_ended_login_whoever_treats_at_the_clinic_is_told(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    ended = "UPDATE app_user SET active = false WHERE code = :code"
    api.test_bank.write(lambda s: s.execute(text(ended), {"code": USERS["clinician"].code}))
    done(story.approve())
    assert told(api.clinician2, story) == ["withdrawal_approved"]


def test_every_news_has_its_words_and_none_of_them_says_anything_of_a_person(api: Api) -> None:
    reasons = {*telling.NEWS.values(), telling.READY, telling.ALLERGY}
    assert reasons == set(NEWS) and reasons <= set(WHAT)
    story = a_story(api, 2).up_to("issue")
    columns = api.test_bank.write(lambda s: [dict(row) for row in s.execute(text("SELECT * FROM notice")).mappings()])
    assert columns and all(story.donor not in str(value) for row in columns for value in row.values())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("about_kind = 'deviation'", "a_notice_belongs_to_a_deviation_or_a_withdrawal"),
        ("ended_at = NULL", "only_what_a_withdrawal_tells_ends_by_itself"),
    ],
)
def test_the_database_keeps_what_a_withdrawal_tells_whole(api: Api, change: str, name: str) -> None:
    a_story(api, 2).up_to("issue")
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(f"UPDATE notice SET {change} WHERE ended_at IS NOT NULL")))


def test_what_waits_for_a_person_and_what_is_told_do_not_stand_twice(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    sealed(api)
    actor, bank = api.test_bank.actor("clinician"), api.test_bank.bank
    lines = api.test_bank.write(lambda s: [one.what for one in read_tasks(s, actor, bank) if one.subject == story.code])
    assert sorted(lines) == ["A withdrawal is on its way here: receive it", "What you asked for left the bank"]
