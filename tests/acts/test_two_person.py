"""Acts of two people: two logins, two signatures, one act, and nothing that was true only yesterday."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import act_hash
from biobank.acts.signing import Meaning, make_signature, use_signature
from biobank.acts.two_person import (
    Completed,
    PendingActDiffers,
    PendingActOver,
    Proposed,
    SecondPersonMustDiffer,
    cancel_pending,
    list_pending,
    propose_or_complete,
)
from biobank.auth.permissions import Permission
from biobank.foundation import clock
from biobank.foundation.errors import NotFound, NotPermitted
from biobank.foundation.paging import Paging
from tests import seed
from tests.conftest import Api, TestBank
from tests.enrolling import by_two
from tests.signing import signed

SUBJECT = "DV-ABC1234"
CODES = {name: person.code for name, person in seed.USERS.items()}


def step(bank: TestBank, user: str, pending: UUID | None = None, *, meaning: Meaning = Meaning.RESOLVED, **changed: Any) -> Any:
    """One half of a two-person act: sign, then propose or complete."""
    digest = act_hash("POST", "/x", {"pending_act": str(pending), "by": user})
    act = replace(bank.act(user), request_hash=digest, at=clock.now())
    asked = {"name": "specimen.resolve", "subject": SUBJECT, "body": {"donor": "DN-1"}, "site": None, "hands": ()} | changed

    def unit(session: Session) -> Any:
        token = make_signature(session, user=act.actor.code, meaning=meaning, act_hash=digest, at=act.at).signature
        signature = use_signature(session, act, token, meaning)
        return propose_or_complete(
            session,
            act,
            asked["name"],
            asked["subject"],
            asked["body"],
            signature,
            pending,
            hands=asked["hands"],
            needs=Permission.SPECIMEN_RESOLVE,
            first_needs=Permission.QUALITY_DECIDE,
            site=asked["site"],
        )

    return bank.write(unit)


def test_the_second_person_completes_what_the_first_proposed(bank: TestBank) -> None:
    first = step(bank, "quality")
    assert isinstance(first, Proposed)

    second = step(bank, "quality2", first.pending_act)

    assert isinstance(second, Completed)
    assert (second.first_user, second.second_user) == (CODES["quality"], CODES["quality2"])
    assert second.first_signature != second.second_signature


def test_the_first_person_cannot_be_the_second(bank: TestBank) -> None:
    first = step(bank, "quality")

    with pytest.raises(SecondPersonMustDiffer):
        step(bank, "quality", first.pending_act)


def test_the_hands_that_the_first_person_names_are_not_the_second_with_any_login(bank: TestBank) -> None:
    first = step(bank, "quality", hands=[CODES["quality2"]])
    with pytest.raises(SecondPersonMustDiffer):
        step(bank, "quality2", first.pending_act)

    def of_one(session: Session) -> None:
        session.execute(
            text("UPDATE app_user SET person_code = :one WHERE code = :two"), {"one": CODES["quality2"], "two": CODES["admin"]}
        )

    bank.write(of_one)
    again = step(bank, "quality", hands=[CODES["admin"]])
    with pytest.raises(SecondPersonMustDiffer):
        step(bank, "quality2", again.pending_act)
    with psycopg.connect(bank.dsn("owner")) as connection, pytest.raises(psycopg.errors.CheckViolation) as caught:
        connection.execute("UPDATE pending_act SET completed_by = %s WHERE id = %s", (CODES["quality2"], first.pending_act))
    assert caught.value.diag.constraint_name == "two_person_act_has_two_people"


def test_an_act_is_completed_once(bank: TestBank) -> None:
    first = step(bank, "quality")
    step(bank, "quality2", first.pending_act)

    with pytest.raises(PendingActOver):
        step(bank, "quality2", first.pending_act)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "user.reset_password"},
        {"subject": "DV-OTHER12"},
        {"body": {"donor": "DN-2"}},
        {"meaning": Meaning.REVIEWED},
    ],
)
def test_the_second_person_signs_what_was_proposed_and_nothing_else(bank: TestBank, changed: dict[str, Any]) -> None:
    first = step(bank, "quality")

    with pytest.raises(PendingActDiffers):
        step(bank, "quality2", first.pending_act, **changed)


def test_a_proposal_lapses_after_a_day(bank: TestBank) -> None:
    first = step(bank, "quality")
    clock.set_offset(timedelta(hours=24, seconds=1), test_mode=True)

    with pytest.raises(PendingActOver):
        step(bank, "quality2", first.pending_act)


def test_neither_person_may_lack_the_permission(bank: TestBank) -> None:
    with pytest.raises(NotPermitted):
        step(bank, "lab_tech")
    first = step(bank, "quality")
    with pytest.raises(NotPermitted):
        step(bank, "admin", first.pending_act)


def test_a_permission_at_one_site_is_not_a_permission_everywhere(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = 'LAB' WHERE user_code = %s", (CODES["quality2"],))
    everywhere, at_lab, at_north = step(bank, "quality"), step(bank, "quality", site="LAB"), step(bank, "quality", site="NORTH")

    with pytest.raises(NotPermitted):
        step(bank, "quality2", everywhere.pending_act)
    with pytest.raises(NotPermitted):
        step(bank, "quality2", at_north.pending_act, site="NORTH")
    assert isinstance(step(bank, "quality2", at_lab.pending_act, site="LAB"), Completed)


@pytest.mark.parametrize("act", ["shut_and_opened", "reset"])
def test_a_proposal_falls_when_its_first_persons_login_may_have_changed_hands_since(api: Api, act: str) -> None:
    path, body = f"/users/{CODES['lab_tech']}/roles", {"role": "auditor", "site": "LAB"}
    half = api.acts_here.post(path, json=signed(api.acts_here, "role_change", path, body)).json()
    code = CODES["acts_here"]
    if act == "reset":
        by_two(api.admin, api.quality, f"/users/{code}/password-reset", {}, "approved")
    else:
        assert api.admin.patch(f"/users/{code}", json={"active": False, "reason": "left_the_bank"}).status_code == 200
        again = {"active": True, "reason": "came_back"}
        assert by_two(api.admin, api.quality, f"/users/{code}", again, "approved", method="PATCH").status_code == 200

    whole = body | {"pending_act": half["pending_act"]}
    answer = api.quality.post(path, json=signed(api.quality, "role_change", path, whole))

    assert (answer.status_code, answer.json()["code"]) == (409, "first_signature_gone"), answer.text


@pytest.mark.parametrize(
    "loss",
    ["UPDATE app_user SET active = false WHERE code = %s", "DELETE FROM user_role WHERE user_code = %s"],
)
def test_a_proposal_dies_with_the_authority_of_the_one_who_made_it(bank: TestBank, loss: str) -> None:
    first = step(bank, "quality")
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute(loss, (CODES["quality"],))

    with pytest.raises(PendingActOver):
        step(bank, "quality2", first.pending_act)


def test_an_unknown_pending_act_is_not_found(bank: TestBank) -> None:
    with pytest.raises(NotFound):
        step(bank, "quality2", uuid4())


def test_only_those_concerned_see_what_waits(bank: TestBank) -> None:
    first = step(bank, "quality")

    def seen_by(user: str) -> list[str]:
        return [str(waiting.id) for waiting in bank.write(partial(list_pending, actor=bank.actor(user))).items]

    seen = {user: seen_by(user) for user in ("quality", "quality2", "lab_tech", "admin")}

    this = [str(first.pending_act)]
    assert seen == {"quality": this, "quality2": this, "lab_tech": [], "admin": []}


def test_the_list_of_what_waits_turns_its_pages(bank: TestBank) -> None:
    made = [str(step(bank, "quality", subject=f"DV-{n}").pending_act) for n in range(5)]
    actor, after = bank.actor("quality2"), None
    seen: list[str] = []
    while True:
        page = bank.write(partial(list_pending, actor=actor, paging=Paging(after, 2)))
        seen += [str(item.id) for item in page.items]
        if page.next is None:
            break
        after = page.next

    assert sorted(seen) == sorted(made)
    assert len(seen) == 5


def test_a_cancelled_proposal_cannot_be_completed(bank: TestBank) -> None:
    first = step(bank, "quality")
    with pytest.raises(NotFound):
        bank.write(lambda s: cancel_pending(s, bank.act("lab_tech"), first.pending_act))
    bank.write(lambda s: cancel_pending(s, bank.act("quality"), first.pending_act))

    with pytest.raises(PendingActOver):
        step(bank, "quality2", first.pending_act)


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE pending_act SET completed_by = proposed_by, completed_at = now()",
        "UPDATE pending_act SET body = '{}'",
        "UPDATE pending_act SET expires_at = expires_at + interval '1 year'",
        "DELETE FROM pending_act",
    ],
)
def test_the_database_refuses_to_change_a_proposal(bank: TestBank, attack: str) -> None:
    step(bank, "quality")

    with psycopg.connect(bank.dsn("app")) as connection, pytest.raises(psycopg.Error):
        connection.execute(attack)


def test_the_routes_list_and_cancel(api: Api) -> None:
    first = step(api.test_bank, "quality")

    listed = api.quality2.get("/pending-acts").json()["items"]
    cancelled = api.quality2.post(f"/pending-acts/{first.pending_act}/cancel")

    assert [(i["id"], i["proposed_by"], i["needs"]) for i in listed] == [
        (str(first.pending_act), CODES["quality"], "specimen:resolve")
    ]
    assert cancelled.status_code == 200
    assert api.quality2.get("/pending-acts").json()["items"] == []
