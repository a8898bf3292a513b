"""A deviation ends when somebody who had no hand in it said of every unit that it reaches what becomes of it."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Api, Client
from tests.granting import also
from tests.pages.visitor import Visit
from tests.quality.test_decisions import lot_of
from tests.quality.test_deviations import CLOSING, opened
from tests.quality.test_paper import filed
from tests.quality.test_recall_ending import recalled
from tests.seed import PASSWORD, USERS
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals.stories import a_donor, a_story, bank_vials, kinds_of, of_one_person, refused, sign_and_post, state_of

CLEARED = {"disposition": "cleared", "reason": "not_affected"}
KEPT = {"disposition": "kept_held", "reason": "waits_for_a_test"}
SIGNED = {"password": PASSWORD}


def about(api: Api, *named: tuple[str, str], **more: Any) -> str:
    """The code of a deviation about things."""
    answer = opened(api, affected=[{"kind": kind, "id": one} for kind, one in named], **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def decide(client: Client, code: str, **body: Any) -> httpx.Response:
    """Quality says what becomes of units."""
    return sign_and_post(client, "decided", f"/deviations/{code}/dispositions", body)


def close(client: Client, code: str) -> httpx.Response:
    """Quality closes it."""
    return sign_and_post(client, "closed", f"/deviations/{code}/close", CLOSING)


def held(api: Api, kind: str, one: str) -> str:
    """A hold of quality on something; its id."""
    body = {"kind": "quality", "scope_kind": kind, "scope_id": one, "reason": "in_doubt"}
    return str(api.quality.post("/holds", json=body).json()["id"])


def lift(api: Api, hold: str) -> None:
    """Quality lifts it."""
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "false_alarm"})
    assert lifted.status_code == 200, lifted.text


def reached(api: Api, code: str) -> list[str]:
    """The units that a deviation asks about."""
    return [one["specimen"] for one in api.quality.get(f"/deviations/{code}").json()["units"]]


@pytest.mark.parametrize("kind", ["specimen", "lot", "withdrawal"])
def test_a_deviation_that_names_units_a_lot_or_a_withdrawal_is_not_closed_before_each_is_decided(api: Api, kind: str) -> None:
    story = a_story(api, 2, lot=True).up_to("request")
    named = {"specimen": story.vials[0], "lot": lot_of(api, story.vials[0]), "withdrawal": story.code}
    code = about(api, (kind, named[kind]), site="LAB")
    units = sorted(story.vials if kind == "lot" else story.vials[:1])

    assert reached(api, code) == units
    refused(close(api.quality, code), 409, "units_undecided")
    refused(decide(api.lab_tech, code, **CLEARED), 403, "not_permitted")
    refused(decide(api.north_tech, code, **CLEARED), 404, "not_found")
    refused(decide(api.lab_tech_north_quality, code, **CLEARED), 403, "not_permitted")
    refused(api.quality.post(f"/deviations/{code}/dispositions", json=CLEARED), 428, "signature_required")
    assert decide(api.quality, code, **CLEARED).json()["decided"] == len(units)
    refused(decide(api.quality, code, **CLEARED), 409, "units_undecided")  # none is left: name one to decide it anew
    assert close(api.quality, code).status_code == 200
    assert kinds_of(api, "system", code) == ["system.deviation_opened", "system.units_disposed", "system.deviation_closed"]
    refused(decide(api.quality, code, specimens=units, **CLEARED), 409, "deviation_closed")


@pytest.mark.parametrize("kind", ["donor", "container"])
def test_a_hold_lifted_before_the_closing_leaves_its_units_to_be_decided(api: Api, kind: str) -> None:
    story = a_story(api, 2)
    box = state_of(api, story.vials[0])["container_code"]
    what = {"donor": story.donor, "container": box}[kind]
    code = about(api, (kind, what))
    assert reached(api, code) == []  # named, but nothing of it is held
    hold = held(api, kind, what)
    assert reached(api, code) == sorted(story.vials)
    lift(api, hold)
    later = bank_vials(api, story.donor)

    assert reached(api, code) == sorted(story.vials)  # what came after the hold it never covered
    refused(close(api.quality, code), 409, "units_undecided")
    refused(decide(api.quality, code, specimens=later, **CLEARED), 409, "disposition_does_not_fit")
    refused(decide(api.quality, code, **KEPT), 409, "disposition_does_not_fit")  # no hold is on them any more
    for unit in story.vials:
        refused(close(api.quality, code), 409, "units_undecided")
        assert decide(api.quality, code, specimens=[unit], **CLEARED).status_code == 200
    assert close(api.quality, code).status_code == 200


def test_holds_lifted_one_by_one_and_a_unit_that_went_on_since_are_decided_anew(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    code = about(api, *(("specimen", unit) for unit in story.vials))
    holds = [held(api, "specimen", unit) for unit in story.vials]
    refused(story.administer(), 409, "on_hold")
    assert decide(api.quality, code, **KEPT).json()["decided"] == 2
    for hold in holds:
        lift(api, hold)
    refused(close(api.quality, code), 409, "disposition_does_not_fit")  # nothing holds them: kept held is no longer true
    rejected = decide(api.quality, code, disposition="rejected", reason="affected", specimens=story.vials)
    refused(rejected, 409, "disposition_does_not_fit")
    assert decide(api.quality, code, specimens=story.vials, **CLEARED).status_code == 200

    for who in (api.clinician, api.clinic_staff):  # the hold ended the release
        assert story.check(who).status_code == 201
    assert story.administer().status_code == 200

    refused(close(api.quality, code), 409, "disposition_does_not_fit")  # it was given since: it is followed up
    followed = decide(api.quality, code, specimens=story.vials[:1], disposition="followed_up", reason="told")
    assert followed.status_code == 200, followed.text
    assert close(api.quality, code).status_code == 200


def test_whoever_had_a_hand_in_a_unit_or_stands_on_the_paper_form_says_nothing_of_it_with_any_login(api: Api) -> None:
    donor = a_donor(api)
    (vial,) = bank_vials(api, donor, lot=True)
    also(api, "quality", "lab_tech", "LAB")
    assert report(api, lot_of(api, vial), user="quality", test="identity", result="passed", **REPORT).status_code == 201
    of_one_person(api, "quality", "quality2")
    code = about(api, ("specimen", vial))
    for login in (api.quality, api.quality2):
        refused(decide(login, code, **CLEARED), 403, "not_independent")
    assert decide(api.lab_quality, code, **CLEARED).status_code == 200

    form = filed(api, second=USERS["quality"].code).json()["code"]
    for login in (api.quality, api.quality2):
        refused(close(login, form), 403, "not_independent")
        assert api.quality.get(f"/deviations/{form}").json()["closed_at"] is None
    assert close(api.lab_quality, form).status_code == 200


def test_the_units_of_a_recall_are_decided_at_the_recall_and_nowhere_else(api: Api) -> None:
    story = a_story(api, 1)
    recall = recalled(api, story)
    refused(decide(api.quality, recall["deviation"], **CLEARED), 409, "recall_open")
    path = f"/recalls/{recall['id']}/dispositions"
    refused(sign_and_post(api.quality, "decided", path, KEPT), 409, "disposition_does_not_fit")


def test_the_page_decides_about_units_and_says_what_keeps_it_open(api: Api, visit: Visit) -> None:
    story = a_story(api, 2)
    code = about(api, *(("specimen", unit) for unit in story.vials))
    page, here = visit("quality"), f"/deviations/{code}"

    assert f"Nobody decided yet what becomes of {', '.join(sorted(story.vials))}" in page.get_page(here)
    assert page.get(f"{here}/close").status_code == 409
    assert "Decide about units" not in visit("lab_tech").get_page(here)
    assert visit("lab_tech").get(f"{here}/dispositions").status_code == 403
    form = {"specimens": "\n".join(story.vials), **CLEARED} | SIGNED
    assert page.submit(f"{here}/dispositions", form).url.path == here
    assert page.submit(f"{here}/close", CLOSING | SIGNED).url.path == here
    assert api.quality.get(f"/deviations/{code}").json()["closed_at"] is not None
    assert page.get(f"{here}/dispositions").status_code == 409


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT code, 'AD-000000', 'cleared', 'x', opened_event FROM deviation", "a_disposition_is_of_a_unit_reached"),
        (
            "SELECT u.deviation_code, u.specimen_code, 'returned', 'x', d.opened_event"
            " FROM deviation_unit u JOIN deviation d ON d.code = u.deviation_code",
            "disposition_is_known",
        ),
    ],
)
def test_the_database_knows_no_word_on_a_unit_that_no_deviation_reached(api: Api, statement: str, name: str) -> None:
    about(api, ("specimen", a_story(api).vials[0]))
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(f"INSERT INTO unit_disposition {statement}")))
