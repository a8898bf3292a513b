"""Two at once at the steps of two people, and at those of what is thawed at the bank: what was given before, the final label, the
run, each live and from paper. Real requests on a real server; the database decides.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
from sqlalchemy import text

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.signing import signed
from tests.withdrawals.growing import at_the_bench, grown_of
from tests.withdrawals.stories import Story, kinds_of, later, refused, sealed, state_of
from tests.withdrawals.test_final_label import thawed
from tests.withdrawals.test_from_paper import filed
from tests.withdrawals.test_given_before import given_and_then, held, said
from tests.withdrawals.test_races import at_once

TAKEN = (200, 201)


def done_of(answers: list[httpx.Response]) -> list[httpx.Response]:
    return [one for one in answers if one.status_code in TAKEN]


def half(story: Story, client: Client, body: dict[str, Any]) -> Callable[[], httpx.Response]:
    """One person's half of what was given before, signed beforehand and not yet sent."""
    path = f"/withdrawals/{story.code}/given-before"
    return partial(client.post, path, json=signed(client, "reviewed", path, body))


def givings(api: Api, story: Story) -> tuple[int, int]:
    """How often it was given, in the rows and in the log."""
    statement = text("SELECT count(*) FROM administration WHERE specimen_code = :code")
    rows = api.test_bank.write(lambda s: s.execute(statement, {"code": story.vials[0]}).scalar_one())
    return rows, kinds_of(api, "specimen", story.vials[0]).count("specimen.administered")


def test_two_of_quality_who_complete_one_giving_at_once_enter_it_once(api: Api) -> None:
    story, began = given_and_then(api, held)
    whole = said(story, began)
    proposed = half(story, api.clinician, whole)()
    assert proposed.json()["status"] == "pending", proposed.text
    second = whole | {"pending_act": proposed.json()["pending_act"]}

    answers = at_once(half(story, api.quality, second), half(story, api.quality2, second))

    assert len(done_of(answers)) == 1, [one.text for one in answers]
    (left_over,) = (one for one in answers if one.status_code not in TAKEN)
    assert left_over.status_code == 409 and left_over.json()["code"], left_over.text
    assert givings(api, story) == (1, 1)


def test_two_who_gave_it_and_two_of_quality_all_at_once_enter_it_once(api: Api) -> None:
    story, began = given_and_then(api, held)
    whole = said(story, began)
    firsts = at_once(half(story, api.clinician, whole), half(story, api.clinic_staff, whole))
    pending = [one.json()["pending_act"] for one in done_of(firsts)]
    assert pending, [one.text for one in firsts]
    seconds = zip((api.quality, api.quality2), (pending * 2)[:2], strict=True)

    answers = at_once(*(half(story, client, whole | {"pending_act": act}) for client, act in seconds))

    assert len(done_of(answers)) == 1, [one.text for one in answers]
    assert givings(api, story) == (1, 1)


def test_a_half_and_what_ends_it_at_once_agree_on_an_order(api: Api) -> None:
    """Whoever proposed it takes it back while quality completes it: one of the two happens."""
    story, began = given_and_then(api, held)
    whole = said(story, began)
    act = half(story, api.clinician, whole)().json()["pending_act"]

    given, withdrawn = at_once(
        half(story, api.quality, whole | {"pending_act": act}),
        partial(api.clinician.post, f"/pending-acts/{act}/cancel", json={}),
    )

    assert (given.status_code in TAKEN) != (withdrawn.status_code in TAKEN), (given.text, withdrawn.text)
    assert givings(api, story) == ((1, 1) if given.status_code in TAKEN else (0, 0))


def test_one_label_scanned_by_two_at_once_is_its_final_one_and_it_leaves_once(api: Api) -> None:
    story = thawed(api)
    scan = story.print_label()

    answers = at_once(partial(story.label, api.lab_tech, scan), partial(story.label, api.lab_tech2, scan))

    assert len(done_of(answers)) >= 1, [one.text for one in answers]
    assert all(one.status_code in (*TAKEN, 409) for one in answers), [one.text for one in answers]
    issued = at_once(partial(story.issue, api.lab_tech), partial(story.issue, api.lab_tech2))
    assert sorted(one.status_code for one in issued) == [200, 409], [one.text for one in issued]


def test_a_label_and_one_printed_in_its_place_at_once_leave_no_tube_under_the_old_one(api: Api) -> None:
    for _ in range(3):
        story = thawed(api)
        scan = story.print_label()
        sheet = {"specimens": story.vials[:1], "template": "cryovial-25x13", "reason": "damaged"}

        scanned, printed = at_once(partial(story.label, scan=scan), partial(api.lab_tech.post, "/label-sheets", json=sheet))

        assert printed.status_code == 201, printed.text
        if scanned.status_code not in TAKEN:
            assert scanned.json()["code"] == "label_superseded", scanned.text
        # Whichever came first: what is on the tube was replaced.
        refused(story.issue(), 409, "final_label_missing")
        refused(story.label(scan=scan), 409, "label_superseded")


def a_form(api: Api) -> tuple[str, datetime]:
    """A form of both technicians of the bank, and a time on it."""
    began = clock.now()
    later(api, minutes=5)
    sealed(api)
    return filed(api, began, "lab_tech", "lab_tech2", "LAB"), began + timedelta(minutes=1)


def test_the_final_label_from_paper_by_both_of_its_form_at_once_is_one(api: Api) -> None:
    story = thawed(api)
    scan = story.print_label()
    form, at = a_form(api)
    body = {"tube": scan, "paper": form, "occurred_at": rfc3339(at)}
    path = f"/withdrawals/{story.code}/final-label"

    answers = at_once(partial(api.lab_tech.post, path, json=body), partial(api.lab_tech2.post, path, json=body))

    assert len(done_of(answers)) >= 1, [one.text for one in answers]
    assert all(one.status_code in (*TAKEN, 409) for one in answers), [one.text for one in answers]
    assert story.issue().status_code == 200
    refused(api.lab_tech.post(path, json=body), 409, "wrong_step")


def test_the_run_from_paper_by_both_of_its_form_at_once_is_one(api: Api) -> None:
    story = at_the_bench(api)
    form, at = a_form(api)
    body = grown_of(api, {"specimen": story.vials[0]}) | {"paper": form, "occurred_at": rfc3339(at)}
    path = f"/withdrawals/{story.code}/expand"

    answers = at_once(partial(api.lab_tech.post, path, json=body), partial(api.lab_tech2.post, path, json=body))

    assert sorted(one.status_code for one in answers) == [200, 409], [one.text for one in answers]
    refused(api.lab_tech2.post(path, json=body), 409, "wrong_step")
    assert kinds_of(api, "withdrawal", story.code).count("withdrawal.expanded") == 1
    assert kinds_of(api, "specimen", story.vials[0]).count("specimen.process_started") <= 1
    assert state_of(api, story.vials[0])["reserved_for"] is None
