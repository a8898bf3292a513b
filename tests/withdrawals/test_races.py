"""Two people at once. Real requests on a real server; the database decides."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import text

from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.signing import signed
from tests.withdrawals.stories import Story, a_story, bank_vials, kinds_of, named, state_of


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Send every call at the same moment."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], httpx.Response]) -> httpx.Response:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_of_two_withdrawals_for_one_vial_exactly_one_reserves_it(api: Api) -> None:
    first = a_story(api)
    for _ in range(5):
        vials = bank_vials(api, first.donor)
        stories = [Story(api, first.donor, vials), Story(api, first.donor, vials)]
        for story in stories:
            assert story.request().status_code == 201
        clients = (api.quality, api.quality2)
        pairs = zip(clients, stories, strict=True)
        bodies = [signed(c, "approved", f"/withdrawals/{s.code}/approve", named(c, s.code)) for c, s in pairs]

        def approve(client: Client, story: Story, body: dict[str, Any]) -> Callable[[], httpx.Response]:
            return lambda: client.post(f"/withdrawals/{story.code}/approve", json=body)

        answers = at_once(*map(approve, clients, stories, bodies))

        assert sorted(a.status_code for a in answers) == [200, 409], [a.text for a in answers]
        winner = stories[0] if answers[0].status_code == 200 else stories[1]
        loser = next(a for a in answers if a.status_code == 409)
        assert loser.json()["code"] == "reserved_elsewhere"
        assert state_of(api, vials[0])["reserved_for"] == winner.code
        assert kinds_of(api, "specimen", vials[0]).count("specimen.reserved") == 1


def test_a_revocation_and_an_approval_at_once_never_leave_an_approval_after_the_revocation(api: Api) -> None:
    for _ in range(5):
        story = a_story(api, 2).up_to("request")
        consents = api.clinician.get(f"/donors/{story.donor}").json()["consents"]
        revoke = f"/donors/{story.donor}/consents/{consents[0]['id']}/revoke"
        body = signed(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(api.quality, story.code))

        approved, revoked = at_once(
            partial(api.quality.post, f"/withdrawals/{story.code}/approve", json=body),
            partial(api.clinician.post, revoke, json={}),
        )

        assert revoked.status_code in (200, 201)
        order = _order(api, story)
        if approved.status_code == 200:
            assert order == ["withdrawal.approved", "donor.consent_revoked"]
        else:
            assert approved.json()["code"] == "consent_revoked"
            assert order == ["donor.consent_revoked"]
        picked = story.pick()
        assert picked.status_code == 409
        if approved.status_code == 200:
            assert picked.json()["code"] == "consent_revoked", "an approval given before does not outlive the consent"


@pytest.mark.parametrize(
    ("reached", "step"),
    [("request", "approve"), ("confirm", "issue"), ("receive", "thaw"), ("thaw", "check"), ("check", "administer")],
)
def test_a_step_waits_for_a_revocation_under_way_and_then_sees_it(api: Api, reached: str, step: str) -> None:
    story = a_story(api).up_to(reached)
    story.band = story.band or donors.band(api, story.donor)
    with psycopg.connect(api.test_bank.dsn("owner")) as revoking, ThreadPoolExecutor(1) as pool:
        # A revocation holds the donor's row from its first statement to its COMMIT.
        revoking.execute("SELECT code FROM donor WHERE code = %s FOR NO KEY UPDATE", (story.donor,))
        answer = pool.submit(getattr(story, step))
        time.sleep(0.5)
        assert not answer.done(), "the step did not wait for the donor's row"
        revoking.execute(
            "UPDATE consent SET revoked_at = now(), revoked_by = 'US-1', revoked_event = given_event WHERE donor_code = %s",
            (story.donor,),
        )
        revoking.commit()
        assert answer.result().json()["code"] == "consent_revoked"


def _order(api: Api, story: Story) -> list[str]:
    """Approval and revocation in the order in which they were committed to the log."""
    statement = text(
        "SELECT e.kind FROM event e JOIN pending p ON p.leaf_hash = e.leaf_hash WHERE e.donor_code = :donor"
        " AND e.kind IN ('withdrawal.approved', 'donor.consent_revoked') ORDER BY p.qid"
    )
    return api.test_bank.write(lambda s: list(s.execute(statement, {"donor": story.donor}).scalars()))  # type: ignore[no-any-return]


def test_one_release_gives_once_however_often_it_is_pressed(api: Api) -> None:
    story = a_story(api).up_to("check")

    answers = at_once(*(partial(story.administer, c) for c in (api.clinician, api.clinician2, api.clinic_staff)))

    assert sorted(a.status_code for a in answers) == [200, 409, 409], [a.text for a in answers]
    assert kinds_of(api, "specimen", story.vials[0]).count("specimen.administered") == 1


def test_two_technicians_who_pick_one_tube_make_one_pick(api: Api) -> None:
    story = a_story(api).up_to("approve")

    answers = at_once(lambda: story.pick(api.lab_tech), lambda: story.pick(api.lab_tech2))

    assert sorted(a.status_code for a in answers) == [201, 409]
    assert kinds_of(api, "specimen", story.vials[0]).count("specimen.checked_out") == 1


def test_a_hold_and_an_administration_at_once_agree_on_an_order(api: Api) -> None:
    story = a_story(api).up_to("check")
    hold = {"scope_kind": "donor", "scope_id": story.donor, "kind": "quality", "reason": "late_result"}

    given, held = at_once(story.administer, lambda: api.quality.post("/holds", json=hold))

    assert held.status_code == 201, held.text
    if given.status_code == 200:
        assert held.json()["releases_killed"] == 0
    else:
        assert given.json()["code"] in ("on_hold", "release_ended")
        assert state_of(api, story.vials[0])["state"] == "delivered"
