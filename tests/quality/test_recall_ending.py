"""A recall comes to its end when every unit is decided and two of quality close it; until then nothing frees what it froze."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Api, Client
from tests.pages.visitor import Visit
from tests.quality.test_decisions import lot_of
from tests.quality.test_deviations import stored
from tests.quality.test_disposal import seq_of, ship
from tests.quality.test_look_back import RECALL
from tests.seed import PASSWORD, USERS
from tests.withdrawals.stories import Story, a_story, bank_vials, by_two, kinds_of, refused, sign_and_post, state_of

CLEARED = {"disposition": "cleared", "reason": "not_affected"}
CLOSED = {"reason": "all_settled"}
SIGNED = {"password": PASSWORD}


def recalled(api: Api, story: Story) -> dict[str, Any]:
    """A recall of everything of the story's donor."""
    answer = api.quality.post("/recalls", json=RECALL | {"criteria": {"donor": story.donor}})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def decide(api: Api, recall: str, **body: Any) -> httpx.Response:
    """Quality says what becomes of units."""
    return sign_and_post(api.quality, "decided", f"/recalls/{recall}/dispositions", body)


def close(client: Client, recall: str, **body: Any) -> httpx.Response:
    """One of quality signs the closing."""
    return sign_and_post(client, "closed", f"/recalls/{recall}/close", CLOSED | body)


def test_nothing_that_a_recall_froze_is_freed_by_one_signature_while_it_is_open(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("check")
    recall = recalled(api, story)
    holds = api.quality.get("/holds", params={"active": True}).json()["items"]
    page = visit("quality")

    for hold in holds:
        lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "false_alarm"})
        refused(lifted, 409, "held_by_recall")
        assert f"/holds/{hold['id']}/lift" not in page.get_page(f"/specimens/{hold['scope_id']}")
        assert page.get(f"/holds/{hold['id']}/lift").status_code == 409
    closing = {"cause": "other", "decision": "none", "corrective_action": "None."}
    path = f"/deviations/{recall['deviation']}/close"
    refused(sign_and_post(api.quality, "closed", path, closing), 409, "recall_open")
    refused(story.administer(), 409, "on_hold")
    refused(close(api.quality, recall["id"]), 409, "units_undecided")
    for client in (api.auditor, api.lab_quality):
        refused(client.post(f"/recalls/{recall['id']}/close", json=CLOSED), 403, "not_permitted")
        refused(client.post(f"/recalls/{recall['id']}/dispositions", json=CLEARED), 403, "not_permitted")


def test_two_of_quality_close_a_recall_of_which_every_unit_is_decided_and_a_release_it_ended_stays_ended(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    recall = recalled(api, story)["id"]
    spare = story.vials[1]
    refused(decide(api, recall, specimens=[spare], disposition="rejected", reason="affected"), 409, "disposition_does_not_fit")
    refused(decide(api, recall, specimens=[spare], disposition="followed_up", reason="told"), 409, "disposition_does_not_fit")
    (other,) = bank_vials(api, story.donor)
    refused(decide(api, recall, specimens=[other], **CLEARED), 409, "disposition_does_not_fit")
    assert decide(api, recall, **CLEARED).json()["decided"] == 2
    refused(close(api.quality, recall), 409, "recall_unsettled")  # the cause reached `other` since, and nobody froze it
    again = recalled(api, story)["id"]
    assert decide(api, again, **CLEARED).json()["decided"] == 3

    proposed = close(api.quality, recall).json()
    refused(close(api.quality, recall, pending_act=proposed["pending_act"]), 403, "second_person_must_differ")
    done = close(api.quality2, recall, pending_act=proposed["pending_act"])

    assert (done.status_code, done.json()["holds_lifted"]) == (200, 2), done.text
    refused(story.administer(), 409, "on_hold")  # of the other recall
    assert close(api.quality2, again, pending_act=close(api.quality, again).json()["pending_act"]).status_code == 200
    assert api.quality.get("/holds", params={"active": True}).json()["items"] == []
    refused(story.administer(), 409, "release_ended")
    shown = api.quality.get(f"/recalls/{recall}").json()
    assert {(one["disposition"], one["held"]) for one in shown["items"]} == {("cleared", False)}
    assert shown["closed_at"] is not None
    kinds = kinds_of(api, "system", shown["deviation"])
    assert kinds[-2:] == ["system.units_disposed", "system.recall_closed"]
    refused(decide(api, recall, **CLEARED), 409, "recall_closed")
    refused(close(api.quality, recall), 409, "recall_closed")
    closing = {"cause": "other", "decision": "none", "corrective_action": "None."}
    closed = sign_and_post(api.quality, "closed", f"/deviations/{shown['deviation']}/close", closing)
    assert closed.status_code == 200, closed.text


def test_a_unit_that_was_given_is_followed_up_and_an_affected_one_is_rejected_first(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("administer")
    recall = recalled(api, story)["id"]
    given, spare = story.vials
    page = visit("quality")

    refused(decide(api, recall, specimens=[given], **CLEARED), 409, "disposition_does_not_fit")
    assert "Not decided yet" in page.get_page(f"/recalls/{recall}")
    followed = {"specimens": [given], "disposition": "followed_up", "reason": "told_who_treats"}
    assert USERS["clinician"].code in refused(decide(api, recall, **followed), 409, "notice_unread")["detail"]
    for reader in (api.clinician, api.clinic_staff):
        for one in reader.get("/notices").json()["items"]:
            assert reader.post(f"/notices/{one['id']}/acknowledge", json={}).status_code == 200
    form = {"specimens": given, "disposition": "followed_up", "reason": "told_who_treats"} | SIGNED
    assert page.submit(f"/recalls/{recall}/dispositions", form).url.path == f"/recalls/{recall}"
    rejected = {"decision": "rejected", "reason": "affected"}
    assert sign_and_post(api.quality, "rejected", f"/specimens/{spare}/decision", rejected).status_code == 200
    assert decide(api, recall, disposition="rejected", reason="affected").json()["decided"] == 1
    assert page.submit(f"/recalls/{recall}/close", {"reason": "all_settled"} | SIGNED).url.path == f"/recalls/{recall}"
    (waiting,) = api.quality2.get("/pending-acts").json()["items"]
    second, here = visit("quality2"), f"/pending/{waiting['id']}"
    assert second.submit(f"{here}/sign", SIGNED, draw=here).url.path == "/pending"

    shown = api.quality.get(f"/recalls/{recall}").json()
    assert [one["disposition"] for one in sorted(shown["items"], key=lambda one: one["specimen"] != given)] == [
        "followed_up",
        "rejected",
    ]
    assert shown["closed_by"] is not None
    assert state_of(api, spare)["quality"] == "rejected"


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (
            "INSERT INTO recall_closing SELECT id, started_by, started_by, now(), started_event FROM recall WHERE id = :recall",
            "two_close_a_recall",
        ),
    ],
)
def test_the_database_lets_nobody_close_a_recall_alone(api: Api, statement: str, name: str) -> None:
    recall = recalled(api, a_story(api))["id"]
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(statement), {"recall": recall}))


def test_what_is_lost_or_with_another_bank_is_decided_before_a_recall_ends(api: Api) -> None:
    story = a_story(api, 2, lot=True)
    lost, away = story.vials
    seq = {"expected_seq": seq_of(api, lost)}
    missing = {"kind": "specimen.missing", "reason": "not_in_its_slot"} | seq
    assert api.lab_tech.post(f"/specimens/{lost}/events", json=missing).status_code == 201
    given_up = {"reason": "searched_everywhere", "expected_seq": seq_of(api, lost)}
    assert by_two(api.lab_tech, api.quality, f"/specimens/{lost}/lost", given_up).status_code == 200
    receipt = stored(api).json()["sha256"]
    ship(api, away)
    out = {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": receipt, "expected_seq": seq_of(api, away)}
    assert by_two(api.quality, api.quality2, f"/specimens/{away}/transfer-out", out).status_code == 200
    recall = recalled(api, story)["id"]

    refused(close(api.quality, recall), 409, "units_undecided")
    rejected = {"disposition": "rejected", "reason": "affected", "specimens": [lost]}
    refused(decide(api, recall, **rejected), 409, "disposition_does_not_fit")
    verdict = {"decision": "rejected", "reason": "recalled"}
    assert sign_and_post(api.quality, "rejected", f"/lots/{lot_of(api, lost)}/decision", verdict).status_code == 200
    assert state_of(api, lost)["quality"] == "rejected"
    assert decide(api, recall, **rejected).status_code == 200

    told = {"disposition": "followed_up", "reason": "told", "specimens": [away]}
    refused(decide(api, recall, **(told | {"disposition": "cleared"})), 409, "disposition_does_not_fit")
    refused(decide(api, recall, **told), 409, "acknowledgement_missing")
    refused(decide(api, recall, **told, evidence="0f" * 32), 409, "attachment_unknown")
    assert decide(api, recall, **told, evidence=receipt).status_code == 200
    proposed = close(api.quality, recall)
    assert proposed.status_code in (200, 202), proposed.text
