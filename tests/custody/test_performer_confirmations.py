"""A gloved colleague named in `performed_by` confirms with own credentials, or stays listed as unconfirmed."""

from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from biobank.custody.performer_confirmations import ConfirmRequest
from biobank.custody.recording import Circumstances
from tests import seed
from tests.conftest import Api
from tests.factories import make_received
from tests.signing import signed

HELPER = seed.USERS["lab_tech2"].code


def helped(api: Api, *badges: str, by: str = "lab_tech", **more: Any) -> tuple[str, dict[str, Any]]:
    """A specimen that `by` inspected with the hands of others; its code and the event's receipt."""
    bank = api.test_bank
    code = bank.write(lambda s: make_received(s, bank.act("lab_tech"))).code
    body = {
        "kind": "specimen.inspected",
        "expected_seq": 2,
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
        "performed_by": list(badges or (HELPER,)),
        **more,
    }
    answer = getattr(api, by).post(f"/specimens/{code}/events", json=body)
    assert answer.status_code == 201, answer.text
    return code, answer.json()["events"][0]


def waiting(client: Any, **query: Any) -> list[str]:
    answer = client.get("/confirmations", params=query)
    assert answer.status_code == 200, answer.text
    return [item["event"] for item in answer.json()["items"]]


def confirm(client: Any, *events: str, answer: str = "confirmed") -> Any:
    meaning = "performed" if answer == "confirmed" else "not_performed"
    return client.post(
        "/confirmations", json=signed(client, meaning, "/confirmations", {"events": list(events), "answer": answer})
    )


def test_a_named_colleague_stays_listed_as_unconfirmed_until_they_confirm(api: Api) -> None:
    code, event = helped(api)
    assert waiting(api.lab_tech2) == waiting(api.lab_tech) == waiting(api.quality, user=HELPER) == [event["leaf_hash"]]
    history = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"][-1]
    assert (history["performed"], history["answers"]) == ([{"user": HELPER, "confirmed": False}], {HELPER: "open"})

    done = confirm(api.lab_tech2, event["leaf_hash"])

    assert done.status_code == 201, done.text
    assert done.json()["leaf_hash"] in done.json()["receipt"]
    assert waiting(api.lab_tech2) == waiting(api.quality) == []
    listed = api.quality.get("/confirmations", params={"state": "confirmed"}).json()["items"][0]
    assert (listed["id"], listed["user"], listed["answered_event"]) == (code, HELPER, done.json()["leaf_hash"])
    history = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"][-1]
    # The entry's bytes are final: what was unconfirmed then is for ever, and the answer stands beside it.
    assert (history["seq"], history["performed"][0]["confirmed"], history["answers"]) == (3, False, {HELPER: "confirmed"})


def test_a_colleague_may_say_that_it_was_not_their_work(api: Api) -> None:
    _, event = helped(api)

    assert confirm(api.lab_tech2, event["leaf_hash"], answer="disputed").status_code == 201

    assert waiting(api.quality, state="disputed") == [event["leaf_hash"]]
    assert waiting(api.quality) == []


def test_nobody_confirms_for_a_colleague_and_nobody_without_a_signature(api: Api) -> None:
    _, event = helped(api)

    stranger = confirm(api.lab_tech, event["leaf_hash"])
    unsigned = api.lab_tech2.post("/confirmations", json={"events": [event["leaf_hash"]]})
    wrong = signed(api.lab_tech2, "not_performed", "/confirmations", {"events": [event["leaf_hash"]]})
    other_meaning = api.lab_tech2.post("/confirmations", json=wrong)

    assert [a.status_code for a in (stranger, unsigned, other_meaning)] == [404, 428, 403]
    assert waiting(api.lab_tech2) == [event["leaf_hash"]]


def test_an_answer_is_given_once_and_all_or_nothing(api: Api) -> None:
    first, second = helped(api)[1]["leaf_hash"], helped(api)[1]["leaf_hash"]
    assert confirm(api.lab_tech2, first).status_code == 201

    again = confirm(api.lab_tech2, second, first, answer="disputed")

    assert (again.status_code, again.json()["code"]) == (409, "hands_already_answered")
    assert waiting(api.lab_tech2) == [second]


def test_own_hands_need_no_confirmation_and_several_hands_each_their_own(api: Api) -> None:
    own = seed.USERS["lab_tech"].code
    assert waiting(api.quality, user=own) == []

    _, event = helped(api, own, HELPER, seed.USERS["north_tech"].code)

    users = {i["user"] for i in api.quality.get("/confirmations").json()["items"] if i["event"] == event["leaf_hash"]}
    assert users == {HELPER, seed.USERS["north_tech"].code}


def test_a_badge_that_no_login_has_is_refused_and_nothing_is_recorded(api: Api) -> None:
    bank = api.test_bank
    code = bank.write(lambda s: make_received(s, bank.act("lab_tech"))).code
    body = {"kind": "specimen.annotated", "expected_seq": 2, "topic": "other", "performed_by": ["US-0000000"]}

    answer = api.lab_tech.post(f"/specimens/{code}/events", json=body)

    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_colleague")
    assert api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"] == 2


def test_who_neither_did_nor_recorded_it_nor_reads_the_log_sees_nothing(api: Api) -> None:
    _, event = helped(api)

    assert waiting(api.clinician) == waiting(api.north_tech) == []
    assert waiting(api.auditor) == [event["leaf_hash"]]


def test_the_list_is_read_page_by_page(api: Api) -> None:
    events = [helped(api)[1]["leaf_hash"] for _ in range(3)]
    page = api.lab_tech2.get("/confirmations", params={"limit": 2}).json()

    assert [i["event"] for i in page["items"]] == events[:2]
    assert waiting(api.lab_tech2, limit=2, after=page["next"]) == events[2:]


def test_the_database_refuses_to_change_or_drop_an_answer(api: Api) -> None:
    _, event = helped(api)
    assert confirm(api.lab_tech2, event["leaf_hash"]).status_code == 201
    for attack in (
        "UPDATE named_performer SET answer = 'disputed'",
        "DELETE FROM named_performer",
        "UPDATE named_performer SET user_code = 'US-X'",
    ):
        with psycopg.connect(api.test_bank.dsn()) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(attack)


@given(st.lists(st.sampled_from(["US-0000001", "US-0000002", "US-0000003"]), max_size=5))
def test_a_colleague_is_named_once(badges: list[str]) -> None:
    if len(set(badges)) == len(badges):
        assert Circumstances(performed_by=badges).performed_by == badges
    else:
        with pytest.raises(ValidationError):
            Circumstances(performed_by=badges)


@given(st.integers(1, 202), st.booleans())
def test_up_to_two_hundred_entries_are_answered_at_once_each_named_once(count: int, twice: bool) -> None:
    events = [f"{n:064x}" for n in range(count)] + (["0" * 64] if twice else [])
    if count + twice <= 200 and not twice:
        assert len(ConfirmRequest(events=events).events) == count
    else:
        with pytest.raises(ValidationError):
            ConfirmRequest(events=events)
