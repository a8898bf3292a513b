"""A bank closes: another one takes over everything, as one set, by its own acceptance and two people of quality."""

from typing import Any

import httpx
import psycopg
import pytest
from sqlmodel import Session

from biobank.acts.codes import new_codes
from biobank.custody.recording import NOW
from biobank.custody.states import Condition
from biobank.specimens.creation import Draft, create_specimens
from biobank.specimens.events import Imported
from tests.conftest import Api
from tests.donors import stories as donors
from tests.quality.test_deviations import stored
from tests.statements import count_statements
from tests.withdrawals.stories import (
    a_donor,
    a_story,
    approve,
    bank_vials,
    by_two,
    everyone,
    kinds_of,
    later,
    refused,
    sealed,
    sign_and_post,
    state_of,
)


def announce(api: Api, site: str = "LAB") -> httpx.Response:
    """Quality announces it."""
    return sign_and_post(api.quality, "decided", "/closings", {"site": site, "to": "OTHER_BANK"})


def accept(api: Api, closing: str, **changes: Any) -> httpx.Response:
    """What the other bank signed is recorded."""
    body = {"evidence": stored(api, b"we take it all").json()["sha256"]} | changes
    return sign_and_post(api.quality, "decided", f"/closings/{closing}/acceptance", body)


def hand_over(api: Api, closing: str) -> httpx.Response:
    """Two of quality hand everything over."""
    body = {"receipt": stored(api, b"we have it all").json()["sha256"]}
    return by_two(api.quality, api.quality2, f"/closings/{closing}/transfer", body)


@pytest.fixture
def accepted(api: Api) -> tuple[str, list[str]]:
    """A bank with three vials, whose closing was announced, accepted, and thought over."""
    story = a_story(api, 3)
    closing = announce(api).json()["id"]
    assert accept(api, closing).status_code == 200
    later(api, days=8)
    return closing, story.vials


def test_everything_goes_as_one_set_on_the_other_banks_word(api: Api) -> None:
    story = a_story(api, 3)
    announced = announce(api)
    assert (announced.status_code, announced.json()["units"]) == (201, 3), announced.text
    closing = announced.json()["id"]
    refused(hand_over(api, closing), 409, "closing_not_due")
    assert accept(api, closing).json()["step"] == "accepted"
    refused(hand_over(api, closing), 409, "cooling_off")
    later(api, days=8)

    done = hand_over(api, closing)

    assert (done.status_code, done.json()["step"]) == (200, "transferred"), done.text
    for vial in story.vials:
        assert (state_of(api, vial)["state"], state_of(api, vial)["custodian_kind"]) == ("transferred_out", "nobody")
        assert kinds_of(api, "specimen", vial)[-1] == "specimen.handed_over_at_closing"
    assert kinds_of(api, "system", closing) == [
        "system.closing_announced",
        "system.closing_accepted",
        "system.closing_carried_out",
    ]
    refused(hand_over(api, closing), 409, "closing_not_due")
    assert [one["id"] for one in api.auditor.get("/closings").json()["items"]] == [closing]


def test_what_is_held_reserved_missing_or_out_blocks_all_of_it_and_is_listed(api: Api, accepted: Any) -> None:
    closing, (held, reserved, missing) = accepted
    hold = {"scope_kind": "specimen", "scope_id": held, "kind": "legal", "reason": "court"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    donor = api.quality.get(f"/specimens/{reserved}").json()["donor"]
    asked = {"donor": donor, "material": "adsc", "route": "ship_frozen", "specimens": [reserved]}
    code = api.clinician.post("/withdrawals", json=asked).json()["code"]
    sealed(api)
    assert approve(api, code).status_code == 200
    seq = api.lab_tech.get(f"/specimens/{missing}/custody").json()["items"][-1]["seq"]
    event = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{missing}/events", json=event).status_code == 201

    answer = hand_over(api, closing)

    refused(answer, 409, "closing_blocked")
    assert {one["specimen"] for one in answer.json()["blocked"]} == {held, reserved, missing}
    detail = api.quality.get(f"/closings/{closing}").json()
    assert (detail["blocked_units"], detail["materials"]) == (3, {"adsc": 3})
    assert {state_of(api, one)["state"] for one in (held, reserved)} == {"stored"}


def test_what_came_after_the_announcement_is_not_handed_over_silently(api: Api, accepted: Any) -> None:
    closing, vials = accepted
    donor = api.quality.get(f"/specimens/{vials[0]}").json()["donor"]
    (late,) = bank_vials(api, donor)
    refused(hand_over(api, closing), 409, "not_what_was_announced")
    assert api.quality.get(f"/closings/{closing}").json()["not_announced"] == [late]
    assert api.quality.post(f"/closings/{closing}/withdraw", json={"reason": "other"}).status_code == 200
    assert kinds_of(api, "system", closing)[-1] == "system.closing_withdrawn"
    assert announce(api).json()["units"] == 4


def test_one_person_alone_hands_nothing_over_and_nobody_else_does(api: Api, accepted: Any) -> None:
    closing, (vial, *_) = accepted
    body = {"receipt": stored(api, b"we have it all").json()["sha256"]}
    path = f"/closings/{closing}/transfer"
    proposed = sign_and_post(api.quality, "decided", path, body)
    again = body | {"pending_act": proposed.json()["pending_act"]}
    refused(sign_and_post(api.quality, "decided", path, again), 403, "second_person_must_differ")
    for client in (api.lab_tech, api.clinician, api.admin, api.auditor):
        assert sign_and_post(client, "decided", path, again).status_code in (403, 404)
    assert state_of(api, vial)["state"] == "stored"


def test_a_paper_that_nobody_stored_accepts_nothing(api: Api) -> None:
    a_story(api)
    closing = announce(api).json()["id"]
    refused(accept(api, closing, evidence="0f" * 32), 409, "attachment_unknown")
    refused(announce(api), 409, "closing_not_due")


def test_a_bank_without_specimens_has_nothing_to_hand_over(api: Api) -> None:
    refused(announce(api), 409, "closing_not_due")


def kept(api: Api, donor: str, count: int) -> list[str]:
    """So many frozen tubes of a donor that the bank took over from an old list."""

    def work(session: Session) -> list[str]:
        codes = new_codes(session, "AD", count, year=26)
        came = Imported(
            donor=donor,
            material="adsc",
            unit="cells",
            amount=10**6,
            site="LAB",
            condition=Condition.FROZEN,
            freeze_count=1,
            banked_at="2020-01-01T00:00:00.000Z",
            evidence="inventory.xlsx:1",
        )
        of_them = {"donor_code": donor, "material": "adsc", "unit": "cells", "passage": 2, "home_site_code": "LAB"}
        drafts = [Draft({"code": code} | of_them, came) for code in codes]
        create_specimens(session, everyone(api.test_bank), drafts, NOW, site="LAB", clinic_site="CLINIC")
        return codes

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def test_the_number_of_statements_does_not_grow_with_the_set(api: Api) -> None:
    """Five hundred times as many specimens take as many statements: so do ten thousand."""
    donor = a_donor(api)
    counted: list[int] = []
    for more in (3, 1500):
        codes = kept(api, donor, more)
        seen: list[str] = []
        stop = count_statements(api.test_bank.bank.database.writer.sync_engine, seen)
        closing = announce(api).json()["id"]
        stop()
        assert accept(api, closing).status_code == 200
        later(api, days=8)
        stop = count_statements(api.test_bank.bank.database.writer.sync_engine, seen)
        done = hand_over(api, closing)
        stop()
        assert done.status_code == 200, done.text
        assert (done.json()["units"], state_of(api, codes[-1])["state"]) == (more, "transferred_out")
        counted.append(len(seen))
    assert counted[1] <= counted[0], "the first one also signs people in"


def test_a_closing_stands_on_today_of_who_is_to_act_and_of_who_treats_the_donors(api: Api, visit: Any) -> None:
    story = a_story(api, 3)
    held, *_ = story.vials
    closing = announce(api).json()["id"]
    assert "Record that the other bank takes all" in visit("quality").get_page("/")
    assert accept(api, closing).status_code == 200
    assert "A closing bank may be handed over then" in visit("quality").get_page("/")
    clinician = visit("clinician")
    assert "3 units of your patients go to OTHER_BANK" in clinician.get_page("/")
    assert held in clinician.get_page(f"/closings/{closing}")
    assert [one["id"] for one in api.clinician.get("/closings").json()["items"]] == [closing]
    refused(api.other_clinician.get(f"/closings/{closing}"), 404, "not_found")
    assert api.other_clinician.get("/closings").json()["items"] == []
    assert "A bank closes" not in visit("other_clinician").get_page("/")
    hold = {"scope_kind": "specimen", "scope_id": held, "kind": "quality", "reason": "clinician_objects"}
    assert api.clinician.post("/holds", json=hold).status_code == 201
    later(api, days=8)
    assert "Hand over all that a closing bank keeps" in visit("quality").get_page("/")
    refused(hand_over(api, closing), 409, "closing_blocked")


def test_a_clinic_sees_of_a_closing_its_own_donors_units_alone(api: Api) -> None:
    mine = a_story(api, 1)
    theirs = donors.register(api.other_clinician, clinic_site="OTHER", external_ids=[], family_name="Brown")
    strange = kept(api, theirs, 2)
    closing = announce(api).json()["id"]
    seen = api.clinician.get(f"/closings/{closing}").json()
    assert [one["specimen"] for one in seen["shown"]] == mine.vials
    assert (seen["units"], seen["materials"], seen["not_announced"]) == (3, {"adsc": 1}, [])
    whole = api.lab_tech.get(f"/closings/{closing}").json()
    assert {one["specimen"] for one in whole["shown"]} == {*mine.vials, *strange}


def test_the_pages_lead_through_it(api: Api, visit: Any) -> None:
    a_story(api, 2)
    quality = visit("quality")
    assert "No bank closes" in quality.get_page("/closings")
    closing = announce(api).json()["id"]
    page = quality.get_page(f"/closings/{closing}")
    assert "Record the acceptance" in page
    assert accept(api, closing).status_code == 200
    assert "Hand everything over" in quality.get_page(f"/closings/{closing}")
    assert "Nothing stands in its way" in quality.get_page(f"/closings/{closing}")


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("an_announced_closing_waits", "not_before = announced_at - interval '1 day'"),
        ("an_acceptance_has_its_paper", "accepted_at = now()"),
        ("a_handover_was_accepted", "receipt_sha256 = 'ab', over_at = now()"),
    ],
)
def test_the_database_keeps_the_steps_of_a_closing_in_order(api: Api, constraint: str, change: str) -> None:
    a_story(api)
    assert announce(api).status_code == 201
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as caught:
        connection.execute(f"UPDATE bank_closing SET {change}")
    assert caught.value.diag.constraint_name == constraint


def test_the_database_lets_one_closing_of_a_bank_be_open(api: Api) -> None:
    a_story(api)
    assert announce(api).status_code == 201
    names = "site_code, to_code, units, units_sha256, announced_at, announced_by, announced_event, not_before"
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute(f"INSERT INTO bank_closing (id, {names}) SELECT gen_random_uuid(), {names} FROM bank_closing")
    assert caught.value.diag.constraint_name == "one_closing_is_open_per_site"
