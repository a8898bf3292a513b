"""Who had a hand in a unit neither releases nor approves it: capacity by act by login, on the rule and on the running bank."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.auth.actor import Actor
from biobank.quality.independence import CAPACITIES, HANDLED, HARM, LOOKS, Capacity, Touch, independence_refusals
from tests.conftest import Api, Client
from tests.granting import also
from tests.quality.test_decisions import all_passed, lot_of
from tests.quality.test_disposal import seq_of
from tests.seed import USERS
from tests.signing import signed
from tests.specimens.stories import culture, made, run, svf, using
from tests.specimens.stories import donor as registered
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals.stories import a_donor, approve, bank_vials, kinds_of, refused, sign_and_post

MINE, OTHER_OF_MINE, NOBODY_OF_MINE = "US-MINE000", "US-OTHER00", "US-SOMEONE"
AT = datetime(2026, 3, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize("capacity", list(Capacity))
@pytest.mark.parametrize(("actor", "barred"), [(MINE, True), (OTHER_OF_MINE, True), (NOBODY_OF_MINE, False)])
def test_a_hand_in_it_bars_every_login_of_the_person_and_nobody_else(capacity: Capacity, actor: str, barred: bool) -> None:
    touch = Touch(capacity, "AD26-1", MINE, frozenset({MINE, OTHER_OF_MINE}), AT)
    refusals = independence_refusals(Actor(actor, frozenset()), "AD26-1", [touch, touch])
    assert len(refusals) == barred
    for refusal in refusals:
        assert refusal.code == ("own_request" if capacity is Capacity.REQUESTED else "not_independent")
        assert f"You {capacity.value} AD26-1 on 3 March 2026" in refusal.detail
        assert (f"with your login {MINE}" in refusal.detail) == (actor != MINE)


def test_every_capacity_follows_from_a_kind_of_event() -> None:
    of_events = {*CAPACITIES.values(), *LOOKS.values(), *HANDLED.values(), *HARM.values()}
    assert of_events == set(Capacity) - {Capacity.READ, Capacity.JUDGED}


def test_whoever_tested_a_lot_frees_nothing_of_it_with_any_login(api: Api) -> None:
    donor = a_donor(api)
    (vial,) = bank_vials(api, donor, released=False, basis="undetermined", lot=True)
    bank_vials(api, donor)
    lot = lot_of(api, vial)
    also(api, "quality", "lab_tech", "LAB")
    assert report(api, lot, user="quality", test="identity", result="passed", **REPORT).status_code == 201
    all_passed(api, vial)
    tester = {"same_person_as": USERS["quality"].code}
    assert api.admin.patch(f"/users/{USERS['quality2'].code}", json=tester).status_code == 200

    acts = {
        "basis": ("decided", {"basis": "us_351_ind", "authorisation": "IND 1", "reason": "assessed"}),
        "decision": ("released", {"decision": "released_to_bank", "reason": "reviewed"}),
    }
    for act, (meaning, body) in acts.items():
        for login in ("quality", "quality2"):
            told = refused(sign_and_post(getattr(api, login), meaning, f"/specimens/{vial}/{act}", body), 403, "not_independent")
            assert told["detail"].startswith(f"You tested {vial} ({lot}) on ")
            assert ("with your login" in told["detail"]) == (login == "quality2")
        done = sign_and_post(api.lab_quality, meaning, f"/specimens/{vial}/{act}", body)
        assert done.status_code == 200, done.text

    asked = {"donor": donor, "material": "adsc", "route": "ship_frozen", "specimens": [vial]}
    code = api.clinician.post("/withdrawals", json=asked).json()["code"]
    refused(approve(api, code, api.quality2), 403, "not_independent")
    assert approve(api, code, api.lab_quality).status_code == 200


def by_patch(client: Client, path: str, body: dict[str, Any]) -> Any:
    """Sign a change and send it."""
    return client.patch(path, json=signed(client, "approved", path, body, method="PATCH"))


def test_a_login_is_given_to_a_person_by_one_and_taken_from_them_by_two(api: Api) -> None:
    mine, other = USERS["lab_tech"].code, USERS["lab_quality"].code
    path = f"/users/{other}"
    assert api.admin.patch(path, json={"same_person_as": mine}).status_code == 200
    assert api.admin.get(path).json()["person"] == mine
    refused(api.admin.patch(path, json={"same_person_as": mine}), 409, "conflict")
    refused(api.admin.patch(path, json={"same_person_as": other}), 428, "signature_required")

    def sign(client: Any, **more: Any) -> Any:
        return by_patch(client, path, {"same_person_as": other} | more)

    pending = sign(api.admin).json()["pending_act"]
    assert sign(api.quality, pending_act=pending).json()["status"] == "done"
    assert api.admin.get(path).json()["person"] == other
    assert kinds_of(api, "user", other) == ["user.of_person", "user.of_person"]


def test_a_new_login_of_a_known_name_says_whose_it_is(api: Api) -> None:
    body = {"username": "jane.one", "printed_name": "Jane Doe"}
    first = api.admin.post("/users", json=body).json()["code"]
    again = body | {"username": "jane.two", "printed_name": "jane doe"}
    refused(api.admin.post("/users", json=again), 409, "name_known")
    second = api.admin.post("/users", json=again | {"same_person_as": first}).json()["code"]
    assert api.admin.get(f"/users/{second}").json()["person"] == first


def test_the_database_lets_no_login_name_itself_as_its_persons_first(api: Api) -> None:
    itself = text("UPDATE app_user SET person_code = code WHERE username = 'quality'")
    with pytest.raises(IntegrityError, match="another_login_of_a_person_names_the_first"):
        api.test_bank.write(lambda s: s.execute(itself))


def test_whoever_counted_another_vial_of_the_lot_does_not_release_it(api: Api) -> None:
    vial, other = bank_vials(api, a_donor(api), 2, released=False, basis="undetermined", lot=True)
    also(api, "quality", "lab_tech", "LAB")
    counted = {"method": "ao_pi", "dilution_milli": 1000, "live": 95, "dead": 5, "expected_seq": seq_of(api, other)}
    answer = api.quality.post(f"/specimens/{other}/viability-assays", json=counted)
    assert answer.status_code == 201, answer.text

    body = {"basis": "us_351_ind", "authorisation": "IND 1", "reason": "assessed"}
    told = refused(sign_and_post(api.quality, "decided", f"/specimens/{vial}/basis", body), 403, "not_independent")
    assert told["detail"].startswith(f"You tested {vial} ({other}) on ")
    assert sign_and_post(api.quality2, "decided", f"/specimens/{vial}/basis", body).status_code == 200


def test_whoever_grew_the_passage_before_does_not_release_what_another_made_of_it(api: Api) -> None:
    also(api, "quality", "lab_tech", "LAB")
    parent = svf(api, registered(api))
    grown = made(run(api.quality, "expansion", [using(parent)], [culture(10**7, 0)]))["specimens"][0]
    passaged = made(run(api.lab_tech, "passage", [using(grown)], [culture(10**7, 1)]))["specimens"][0]

    body = {"basis": "us_351_ind", "authorisation": "IND 1", "reason": "assessed"}
    path = f"/specimens/{passaged['code']}/basis"
    told = refused(sign_and_post(api.quality, "decided", path, body), 403, "not_independent")
    assert told["detail"].startswith(f"You processed {passaged['code']} ({grown['lot']}) on ")
    assert sign_and_post(api.quality2, "decided", path, body).status_code == 200
