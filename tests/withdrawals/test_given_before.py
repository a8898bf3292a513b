"""What was given before something was recorded that stands against it: two people enter it, and nothing begins by it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import (
    Story,
    a_story,
    administered,
    kinds_of,
    later,
    of_one_person,
    refused,
    sealed,
    sign_and_post,
    state_of,
)

Came = Callable[[Api, Story], None]


def held(api: Api, story: Story) -> None:
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201


def died(api: Api, story: Story) -> None:
    body = {"died_on": clock.now().date().isoformat(), "source": "family"}
    assert api.clinician.post(f"/donors/{story.donor}/death", json=body).status_code in (200, 201)


def took_back(api: Api, story: Story) -> None:
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    assert api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json={}).status_code in (200, 201)


def reacted(api: Api, story: Story) -> None:
    seen = {"kind": "event", "seriousness": "serious", "seen_at": rfc3339(clock.now())}
    body = seen | {"in_lot": True, "words": "Pale, short of air."}
    assert api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=body).status_code == 201


def times(began: datetime) -> dict[str, Any]:
    return {"started_at": rfc3339(began), "occurred_at": rfc3339(began + timedelta(minutes=1))}


def given_and_then(api: Api, came: Came, **lot: Any) -> tuple[Story, datetime]:
    """Two people released it, it was given a minute later, and before that was entered something came."""
    story = a_story(api, 2, **lot).up_to("check")
    later(api, minutes=1)
    began = clock.now()
    later(api, minutes=4)
    came(api, story)
    sealed(api)
    return story, began


@pytest.mark.parametrize(
    ("came", "code"),
    [(held, "on_hold"), (died, "donor_not_living"), (took_back, "consent_revoked"), (reacted, "on_hold")],
)
def test_what_was_given_before_it_was_known_is_entered_by_two_and_marked(api: Api, came: Came, code: str) -> None:
    story, began = given_and_then(api, came, lot=came is reacted)
    assert story.administer(**times(began)).status_code == 409
    assert story.check().status_code == 409, "nobody begins"

    done = story.given_before(**times(began))

    assert done.status_code == 200, done.text
    assert code in done.json()["came_after"]
    assert state_of(api, story.vials[0])["state"] == "administered"
    last = api.auditor.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert (last["kind"], last["by"], last["occurred_at"]) == (
        "specimen.administered",
        seed.USERS["clinician"].code,
        rfc3339(began + timedelta(minutes=1)),
    )
    assert code in last["body"]["came_after"]
    assert "withdrawal.given_before_confirmed" in kinds_of(api, "withdrawal", story.code)
    opened = api.quality.get("/deviations", params={"open": True}).json()["items"]
    (told,) = [one for one in opened if one["topic"] == "given_before_it_was_known"]
    assert told["severity"] == "critical"
    item = api.clinician.get(f"/withdrawals/{story.code}").json()["items"][0]
    assert item["administered"] and code in item["came_after"]


def test_it_shows_wherever_the_giving_shows(api: Api, visit: Visit) -> None:
    story, began = given_and_then(api, held)
    assert "It was given before" in visit("clinician").get_page(f"/withdrawals/{story.code}")
    assert "It is in the patient already" in visit("clinician").get_page(f"/withdrawals/{story.code}/check")
    scale = {"measure": "hair_count", "unit": "hairs_per_cm2", "low": 0, "high": 300}
    plan = scale | {"due_days": 1, "window_days": 2, "photograph": False}
    assert api.clinician.post(f"/withdrawals/{story.code}/outcome-measures", json=plan).status_code == 201
    assert story.given_before(**times(began)).status_code == 200
    for page, said in (
        (f"/withdrawals/{story.code}", "Yes, entered after: "),
        (f"/specimens/{story.vials[0]}", "It was given before this was recorded"),
        (f"/withdrawals/{story.code}/outcomes", "Given before it was known"),
    ):
        assert said in visit("quality").get_page(page), page


def proposed(story: Story, began: datetime, **body: Any) -> dict[str, Any]:
    path, whole = f"/withdrawals/{story.code}/given-before", said(story, began) | body
    answer = sign_and_post(story.api.clinician, "reviewed", path, whole)
    assert answer.status_code == 200, answer.text
    return whole | {"pending_act": answer.json()["pending_act"]}


def said(story: Story, began: datetime) -> dict[str, Any]:
    return administered(story) | times(began)


def completed(story: Story, who: str, whole: dict[str, Any]) -> httpx.Response:
    return sign_and_post(getattr(story.api, who), "reviewed", f"/withdrawals/{story.code}/given-before", whole)


def test_one_person_or_two_of_the_clinic_enter_nothing(api: Api) -> None:
    story, began = given_and_then(api, held)
    whole = proposed(story, began)
    for who in ("clinician", "clinic_staff"):
        assert completed(story, who, whole).status_code == 403, who
    of_one_person(api, "clinician", "quality")
    refused(completed(story, "quality", whole), 403, "own_request")
    assert state_of(api, story.vials[0])["state"] == "delivered"


def test_who_checked_it_or_had_a_hand_in_it_does_not_confirm_it(api: Api) -> None:
    story, began = given_and_then(api, held)
    of_one_person(api, "clinic_staff", "quality")
    refused(completed(story, "quality", proposed(story, began)), 403, "not_independent")
    named = proposed(story, began, performed_by=[seed.USERS["quality2"].code])
    refused(completed(story, "quality2", named), 403, "second_person_must_differ")
    assert state_of(api, story.vials[0])["state"] == "delivered"


@pytest.mark.parametrize("minutes", [-3, 20])
def test_a_time_before_the_release_or_after_it_enters_nothing(api: Api, minutes: int) -> None:
    story, began = given_and_then(api, held)
    later(api, minutes=30)
    sealed(api)
    answer = story.given_before(**times(began + timedelta(minutes=minutes)))
    assert answer.status_code == 409 and answer.json()["code"] in ({"no_release"} if minutes < 0 else {"on_hold"}), answer.text


def test_a_time_after_what_came_enters_nothing(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=2)
    held(api, story)
    sealed(api)
    later(api, minutes=3)
    answer = story.given_before(**times(clock.now() - timedelta(minutes=2)))
    assert answer.status_code == 409 and answer.json()["code"] in ("on_hold", "release_ended"), answer.text


def test_what_had_come_before_the_giving_and_was_written_down_after_it_is_entered_by_two(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=2)
    began = clock.now()
    later(api, minutes=3)
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    letter = {
        "occurred_at": rfc3339(began - timedelta(minutes=1)),
        "late_entry": True,
        "reason_text": "The letter of this morning.",
    }
    assert api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json=letter).status_code in (200, 201)
    sealed(api)
    done = story.given_before(**times(began))
    assert done.status_code == 200, done.text
    assert "consent_revoked" in done.json()["came_after"]


def test_what_is_not_over_is_refused_it_can_still_be_stopped(api: Api) -> None:
    story, began = given_and_then(api, held)
    ends: dict[str, Any] = {"started_at": rfc3339(began), "occurred_at": rfc3339(clock.now() + timedelta(minutes=1))}
    refused(story.given_before(**ends), 409, "implausible_time")


def test_another_persons_tube_is_a_full_stop_and_one_never_released_is_none(api: Api) -> None:
    story, began = given_and_then(api, held)
    other = a_story(api).up_to("thaw")
    refused(story.given_before(**times(began), product=other.vials[0]), 409, "wrong_recipient")
    never = a_story(api).up_to("thaw")
    held(api, never)
    sealed(api)
    refused(never.given_before(**times(began), release=story.release), 409, "no_release")


def test_it_is_entered_once_and_only_when_something_came(api: Api) -> None:
    story, began = given_and_then(api, held)
    assert story.given_before(**times(began)).status_code == 200
    assert story.given_before(**times(began)).status_code == 409
    calm = a_story(api).up_to("check")
    later(api, minutes=3)
    sealed(api)
    refused(calm.given_before(**times(clock.now() - timedelta(minutes=2))), 409, "nothing_came_after")


def test_what_came_between_the_halves_is_signed_anew(api: Api) -> None:
    story, began = given_and_then(api, held)
    whole = proposed(story, began)
    took_back(api, story)
    sealed(api)
    refused(completed(story, "quality", whole), 409, "pending_act_differs")


def test_a_tube_that_was_scanned_again_afterwards_was_not_given_then(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=1)
    began = clock.now()
    first = story.release
    later(api, minutes=2)
    sealed(api)
    for who in (api.clinician, api.clinic_staff):
        assert story.check(who).status_code == 201
    later(api, minutes=1)
    held(api, story)
    sealed(api)
    refused(story.given_before(**times(began), release=first), 409, "release_ended")
    refused(story.given_before(**times(began)), 409, "no_release")


def test_the_database_uses_an_ended_release_only_under_the_mark(api: Api) -> None:
    story, began = given_and_then(api, held)
    use = "UPDATE bedside_release SET consumed_at = made_at, came_after = %s WHERE id = %s"
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        for sql, values, constraint in (
            (use, (False, story.release), "release_is_used_once"),
            (use.replace("made_at,", "ended_at,"), (True, story.release), "an_ended_release_is_not_used"),
            (use.replace("consumed_at = made_at, ", ""), (True, story.release), "only_a_used_release_is_marked"),
        ):
            with pytest.raises(psycopg.errors.IntegrityError) as caught:
                connection.execute(sql, values)
            connection.rollback()
            assert caught.value.diag.constraint_name == constraint
    assert story.given_before(**times(began)).status_code == 200
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("ALTER TABLE administration DISABLE TRIGGER USER")
        for change, constraint in (
            ("confirmed_by = NULL", "what_came_after_is_confirmed"),
            ("confirmed_by = by", "a_giving_of_before_has_two_people"),
            ("came_after = '{}', confirmed_by = NULL", "a_marked_giving_used_a_marked_release"),
        ):
            with pytest.raises(psycopg.errors.IntegrityError) as caught, connection.transaction():
                connection.execute(f"UPDATE administration SET {change}")
            assert caught.value.diag.constraint_name == constraint
        connection.rollback()


def test_quality_signs_it_in_the_browser_forms(api: Api, visit: Visit) -> None:
    story, began = given_and_then(api, held)
    whole = proposed(story, began)
    page = visit("quality").get_page(f"/pending/{whole['pending_act']}")
    assert "Enter what was given before it was known" in page and "on_hold" in page.replace("On hold", "on_hold")
