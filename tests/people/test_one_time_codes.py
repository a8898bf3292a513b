"""One person is one person: nobody knows or sets another's password, and nobody becomes two people.

Everything is tried over HTTP, by somebody who means harm.
"""

import re
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from biobank.acts.act import Act
from biobank.auth import one_time
from biobank.auth.actor import RoleGrant
from biobank.auth.passwords import hash_now
from biobank.auth.permissions import Role
from biobank.auth.service import Proven, WrongCredentials, require_standing
from biobank.foundation import clock
from biobank.foundation.errors import NotPermitted
from biobank.people.bootstrap import SecondPersonNeeded, reset_from_console, set_up_user
from tests.conftest import Api, TestBank
from tests.enrolling import by_two, drawn, enrolled, half, reset
from tests.granting import also
from tests.people.test_sign_in import NEW, change, outcome, sign_in
from tests.people.test_users import CODES, events_of, everything_written
from tests.signing import signed

TECH = f"/users/{CODES['lab_tech']}/password-reset"


def proposed(api: Api, path: str = TECH) -> dict[str, Any]:
    answer = api.admin.post(path, json=signed(api.admin, "approved", path, {}))
    assert answer.json()["status"] == "pending", answer.text
    return {"pending_act": answer.json()["pending_act"]}


def complete(client: httpx.Client, body: dict[str, Any], path: str = TECH) -> httpx.Response:
    return client.post(path, json=signed(client, "approved", path, body))


@pytest.mark.parametrize("victim", ["lab_tech", "clinician", "clinician2", "clinic_staff", "auditor", "quality"])
def test_one_administrator_takes_nobody_over(api: Api, victim: str) -> None:
    """The chain that ended with an administered vial began with one reset by one person: it ends there now."""
    path = f"/users/{CODES[victim]}/password-reset"
    assert outcome(api.admin.post(path, json={})) == (428, "signature_required")
    assert outcome(api.admin.post(path, json={"password": NEW})) == (409, "password_of_another")

    half = proposed(api, path)

    assert sign_in(api, victim).status_code == 200
    assert outcome(complete(api.admin, half, path)) == (403, "not_permitted")
    assert sign_in(api, victim).status_code == 200
    assert events_of(api.test_bank, CODES[victim])[:1] in ([], [("user.password_changed", CODES[victim])])


def test_one_quality_person_does_not_become_two(api: Api) -> None:
    path = f"/users/{CODES['quality2']}/password-reset"
    assert api.quality.post(path, json={}).status_code == 403
    assert api.quality.post("/users", json={"username": "me.again", "printed_name": "Me"}).status_code == 403
    half = proposed(api, path)

    with_password = complete(api.quality, half | {"password": NEW}, path)

    assert outcome(with_password) == (403, "signature_for_another_act") or outcome(with_password) == (409, "password_of_another")
    assert sign_in(api, "quality2").status_code == 200
    assert sign_in(api, "quality2", NEW).status_code == 401


def test_who_is_administrator_and_quality_is_still_one_person(api: Api) -> None:
    also(api, "admin", "quality", None)
    half = proposed(api)

    assert outcome(complete(api.admin, half)) == (403, "second_person_must_differ")


def test_the_second_person_is_quality_where_the_login_works(api: Api) -> None:
    half = proposed(api)

    assert complete(api.lab_tech_north_quality, half).status_code in (403, 404)
    assert complete(api.auditor, half).status_code == 403
    assert complete(api.lab_quality, half).json()["status"] == "done"


def test_the_second_person_of_a_login_at_several_sites_is_quality_everywhere(api: Api) -> None:
    also(api, "lab_tech", "lab_tech", "NORTH")
    half = proposed(api)

    assert complete(api.lab_quality, half).status_code == 403
    assert complete(api.quality, half).json()["status"] == "done"


def test_a_reset_ends_password_and_sessions_and_brings_a_code_for_its_owner(api: Api) -> None:
    api.lab_tech.get("/sites")
    session = sign_in(api).json()["access_token"]

    done = by_two(api.admin, api.quality, TECH, {}, "approved")

    assert api.lab_tech.get("/sites").status_code == 401
    assert sign_in(api).status_code == 401
    assert outcome(change(api, session)) == (401, "not_signed_in")
    assert done.json()["slip"]["drawn_by"] == [CODES["admin"], CODES["quality"]]
    code = drawn(api.admin, api.quality, done)
    assert re.fullmatch(r"(?: ?(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}){2}", code)
    token = sign_in(api, password=code.lower().replace("-", " ")).json()
    assert token["must_change_password"]
    assert change(api, token["access_token"], code, NEW).status_code == 204
    assert sign_in(api, password=NEW).json()["must_change_password"] is False
    taken = ["user.password_reset", "user.enrolment_opened", "user.credentials_set"]
    drawn_and_chosen = ["user.credentials_set", "user.password_changed", "user.personal_key_set", "user.credentials_set"]
    by_quality = [(kind, CODES["quality"]) for kind in (*taken, drawn_and_chosen[0])]
    by_its_owner = [(kind, CODES["lab_tech"]) for kind in drawn_and_chosen[1:]]
    assert events_of(api.test_bank, CODES["lab_tech"]) == by_quality + by_its_owner


def test_a_half_is_shown_once_to_each_of_the_two_who_signed_and_kept_nowhere(api: Api) -> None:
    done = by_two(api.admin, api.quality, TECH, {}, "approved")
    draw = f"/slips/{done.json()['slip']['id']}/draw"

    assert {outcome(c.post(draw)) for c in (api.quality2, api.lab_tech2, api.lab_quality)} == {(404, "not_found")}
    halves = []
    for whose in (api.quality, api.admin):
        first = whose.post(draw, headers={"Idempotency-Key": "draw"})
        again = whose.post(draw, headers={"Idempotency-Key": "draw"})
        assert first.headers["Cache-Control"] == "no-store"
        assert outcome(again) == (409, "slip_over")
        halves.append(first.json()["half"])
        written = everything_written(api.test_bank)
        assert not any(half in written or half.replace("-", "") in written for half in halves)

    assert sign_in(api, password=" ".join(halves)).status_code == 200


@pytest.mark.parametrize("drawer", ["admin", "quality"])
def test_whoever_holds_one_half_and_reads_the_database_besides_opens_nothing(api: Api, drawer: str) -> None:
    """An honest first half and a second person who means harm, or the other way round: neither becomes the login's owner."""
    done = by_two(api.admin, api.quality, TECH, {}, "approved")
    slip = done.json()["slip"]["id"]
    other = half(api.quality if drawer == "admin" else api.admin, slip)
    kept = half_in_table(api)
    own = half(getattr(api, drawer), slip)

    guesses = [own, f"{own} {own}", f"{own} {'0' * 16}", f"{own}{kept}", kept, f"{kept}-{one_time.digest_of(own).hex()}"]
    for guess in (*guesses, one_time.of_halves(bytes.fromhex(kept), one_time.digest_of(own))):
        assert sign_in(api, password=guess).status_code in (401, 422), guess
    assert half_in_table(api) is None, "with both drawn not even the digest remains"
    assert sign_in(api, password=f"{own} {other}").status_code == 200


def test_two_who_signed_and_mean_harm_together_can_enrol_as_the_login_and_its_owner_is_told(api: Api) -> None:
    """What remains possible, said plainly in SECURITY.md: two people together, with both badges in the log."""
    code = reset(api, CODES["lab_tech"])
    token = sign_in(api, password=code).json()["access_token"]
    assert change(api, token, code, NEW).status_code == 204

    events = events_of(api.test_bank, CODES["lab_tech"])
    assert ("user.password_reset", CODES["quality"]) in events
    assert sign_in(api).status_code == 401, "the owner's own password is refused, so they notice"


def test_a_slip_that_somebody_gave_to_other_badges_in_the_table_is_drawn_by_nobody(api: Api) -> None:
    done = by_two(api.admin, api.quality, TECH, {}, "approved")
    slip = done.json()["slip"]["id"]
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET slip_for = %s WHERE slip_id = %s", (CODES["quality2"], slip))

    assert outcome(api.quality2.post(f"/slips/{slip}/draw")) == (409, "slip_not_signed")
    assert outcome(api.admin.post(f"/slips/{slip}/draw")) == (409, "slip_not_signed")


def test_a_half_is_drawn_only_while_its_drawer_may_still_sign(api: Api) -> None:
    done = by_two(api.admin, api.quality, TECH, {}, "approved")
    slip = done.json()["slip"]["id"]
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("DELETE FROM user_role WHERE user_code IN (%s, %s)", (CODES["admin"], CODES["quality"]))

    assert {c.post(f"/slips/{slip}/draw").status_code for c in (api.admin, api.quality)} == {403}


def half_in_table(api: Api) -> Any:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        row = connection.execute("SELECT encode(half_drawn, 'hex') FROM app_user WHERE username = 'lab_tech'").fetchone()
    return row and row[0]


def test_the_answer_that_is_repeated_holds_no_code(api: Api) -> None:
    half = proposed(api)
    body = signed(api.quality, "approved", TECH, half)

    first, again = (api.quality.post(TECH, json=body, headers={"Idempotency-Key": "reset"}) for _ in range(2))

    assert first.json() == again.json()
    assert first.json()["status"] == "done"
    assert "one_time_code" not in first.text


def test_a_code_lapses_after_three_days_drawn_or_not(api: Api) -> None:
    code = reset(api, CODES["lab_tech"])
    undrawn = by_two(api.admin, api.quality, f"/users/{CODES['lab_tech2']}/password-reset", {}, "approved").json()["slip"]["id"]
    clock.set_offset(timedelta(days=3, seconds=1), test_mode=True)

    assert outcome(sign_in(api, password=code)) == (401, "wrong_credentials")
    fresh = httpx.Client(
        base_url=f"{api.url}/api/v1",
        headers={"Authorization": f"Bearer {api.test_bank.token('quality')}", "Idempotency-Key": "late"},
        timeout=60,
    )
    with fresh:
        assert outcome(fresh.post(f"/slips/{undrawn}/draw")) == (409, "slip_over")


def test_a_reset_that_waits_ends_when_the_login_changes_meanwhile(api: Api) -> None:
    """Two people signed for a login as it was: with these roles, and with nothing recorded since."""
    roles_changed = proposed(api)
    also(api, "lab_tech", "clinician", "CLINIC")
    assert outcome(complete(api.quality, roles_changed)) == (409, "pending_act_differs")

    remembered = proposed(api)
    assert change(api, sign_in(api).json()["access_token"]).status_code == 204
    assert outcome(complete(api.quality, remembered)) == (409, "pending_act_differs")
    assert sign_in(api, password=NEW).status_code == 200


def test_a_reset_is_completed_once(api: Api) -> None:
    half = proposed(api)
    assert complete(api.quality, half).json()["status"] == "done"

    assert complete(api.quality2, half).json()["code"] in ("pending_act_over", "pending_act_differs")


def test_a_login_without_a_role_is_not_reset(api: Api) -> None:
    made = api.admin.post("/users", json={"username": "jane.doe", "printed_name": "Jane"}).json()["code"]
    path = f"/users/{made}/password-reset"

    assert outcome(api.admin.post(path, json=signed(api.admin, "approved", path, {}))) == (409, "login_without_role")


def test_the_first_role_brings_one_code_and_the_second_none(api: Api) -> None:
    code, one_time_code = enrolled(api, "jane.doe")
    more = by_two(api.admin, api.quality, f"/users/{code}/roles", {"role": "auditor", "site": None}, "role_change")

    assert more.json()["slip"] is None
    assert sign_in(api, "jane.doe", one_time_code).status_code == 200


def test_a_password_proved_before_a_reset_opens_no_session_after_it(api: Api) -> None:
    bank = api.test_bank
    with psycopg.connect(bank.dsn()) as connection:
        row = connection.execute("SELECT password_hash FROM app_user WHERE username = 'lab_tech'").fetchone()
    assert row is not None
    proven = Proven(CODES["lab_tech"], False, row[0], False)
    bank.write(lambda s: require_standing(s, proven))
    by_two(api.admin, api.quality, TECH, {}, "approved")

    with pytest.raises(WrongCredentials):
        bank.write(lambda s: require_standing(s, proven))


@pytest.mark.parametrize(
    "change_by_hand",
    [
        "SET code_expires_at = now(), must_change_password = false",
        "SET password_hash = NULL",
        "SET slip_id = gen_random_uuid()",
        "SET slip_id = gen_random_uuid(), slip_for = 'US-0000000', slip_with = 'US-0000001'",
    ],
)
def test_the_database_knows_what_a_code_is(bank: TestBank, change_by_hand: str) -> None:
    with psycopg.connect(bank.dsn()) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"UPDATE app_user {change_by_hand} WHERE username = 'lab_tech'")


CODE = one_time.new_code()


def proven(bank: TestBank, username: str) -> Proven:
    with psycopg.connect(bank.dsn()) as connection:
        row = connection.execute("SELECT password_hash FROM app_user WHERE username = %s", (username,)).fetchone()
    assert row is not None
    return Proven(CODES[username], False, row[0], False)


def made_at_console(bank: TestBank, second: Proven | None = None, site: str | None = None, username: str = "newcomer") -> str:
    fields: dict[str, Any] = {"username": username, "printed_name": "New Comer", "grants": [RoleGrant(Role.ADMIN, site)]}
    act = Act.system(bank.bank, path="users create")
    return str(bank.write(lambda s: set_up_user(s, act, **fields, one_time_code=CODE, second=second)))


def nobody_from_quality(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("DELETE FROM user_role WHERE role = 'quality'")


def test_the_console_makes_the_first_logins_alone_while_nobody_from_quality_could_sign(bank: TestBank) -> None:
    nobody_from_quality(bank)

    code = made_at_console(bank)

    assert events_of(bank, code) == [
        (f"user.{kind}", "SYSTEM") for kind in ("created", "role_granted", "enrolment_opened", "credentials_set")
    ]
    with pytest.raises(NotPermitted):
        bank.write(lambda s: set_up_user(s, bank.act("admin"), username="other", printed_name="O", grants=[], one_time_code=CODE))


def test_the_console_needs_somebody_from_quality_once_there_is_one(bank: TestBank) -> None:
    for second in (None, proven(bank, "admin"), proven(bank, "lab_tech_north_quality")):
        with pytest.raises(SecondPersonNeeded):
            made_at_console(bank, second)
    stale = Proven(CODES["quality"], False, hash_now("replaced since").stored, False)
    with pytest.raises(WrongCredentials):
        made_at_console(bank, stale)

    code = made_at_console(bank, proven(bank, "quality"))

    with psycopg.connect(bank.dsn()) as connection:
        rows = connection.execute(
            "SELECT entry FROM event WHERE stream_id = %s AND kind = 'user.role_granted'", (code,)
        ).fetchall()
        signature = connection.execute("SELECT user_code, meaning FROM signature WHERE used_at IS NOT NULL").fetchone()
    assert f'"completed_by":"{CODES["quality"]}"'.encode() in bytes(rows[0][0])
    assert signature == (CODES["quality"], "role_change")


def test_the_console_lets_the_last_administrator_in_again_with_a_second_person(api: Api) -> None:
    bank = api.test_bank
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET active = false WHERE username = 'admin'")
    act = Act.system(bank.bank, path="users password")
    plain = one_time.new_code()
    with pytest.raises(SecondPersonNeeded):
        bank.write(lambda s: reset_from_console(s, act, username="admin", one_time_code=plain))

    second = proven(bank, "quality")
    bank.write(lambda s: reset_from_console(s, act, username="admin", one_time_code=plain, second=second))

    assert sign_in(api, "admin", plain).status_code == 401, "whoever sits at the console holds half a code"
    slip = api.quality.get(f"/users/{CODES['admin']}").json()["slip"]
    assert api.quality2.get(f"/users/{CODES['admin']}").json()["slip"] is None
    code = f"{plain.split(' ')[0]} {half(api.quality, slip)}"
    assert sign_in(api, "admin", code).json()["must_change_password"]
    taken = [(f"user.{kind}", "SYSTEM") for kind in ("reactivated", "password_reset", "enrolment_opened", "credentials_set")]
    assert events_of(bank, CODES["admin"]) == [*taken, ("user.credentials_set", CODES["quality"])]


def test_nobody_signs_at_the_console_for_their_own_login(bank: TestBank) -> None:
    act = Act.system(bank.bank, path="users password")
    with pytest.raises(SecondPersonNeeded):
        bank.write(lambda s: reset_from_console(s, act, username="quality", one_time_code=CODE, second=proven(bank, "quality")))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("code_expires_at = now(), must_change_password = false", "a_code_is_replaced_at_the_first_sign_in"),
        ("password_hash = NULL, must_change_password = false", "who_has_no_password_chooses_one"),
        ("slip_id = gen_random_uuid()", "a_slip_brings_a_code_to_be_drawn_by_two"),
        (
            "slip_id = gen_random_uuid(), slip_for = 'US-0000000', slip_with = 'US-0000000', code_expires_at = now(),"
            " must_change_password = true",
            "a_slip_brings_a_code_to_be_drawn_by_two",
        ),
        ("half_drawn = decode(repeat('00', 32), 'hex'), half_drawn_by = 'US-0000000'", "half_a_code_opens_nothing"),
    ],
)
def test_the_database_keeps_code_slip_and_first_sign_in_together(bank: TestBank, change: str, rule: str) -> None:
    with psycopg.connect(bank.dsn()) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(f"UPDATE app_user SET {change} WHERE code = '{CODES['lab_tech']}'")
    assert refused.value.diag.constraint_name == rule
