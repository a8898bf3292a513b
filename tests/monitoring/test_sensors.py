"""A sensor has an account whose key opens one call; what it sends acts as a person's reading does; its silence is an alarm."""

from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.auth.route_table import PUBLIC
from tests.auth.test_order import BODIES, filled, routes
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.monitoring.test_excursions import a_tank, frozen, held, put, read
from tests.pages.test_alarm_pages import alarms, steps, watch
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later, sign_and_post

SENDS = "/api/v1/sensor-readings"
BOTH = ["temperature_mc", "level_ppm"]


def a_sensor(api: Api, *tanks: str, minutes: int = 30, **more: Any) -> str:
    body = {"name": f"Probe of {tanks[0]}", "containers": list(tanks), "measures": BOTH, "silent_after_min": minutes} | more
    made = api.quality.post("/sensors", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["code"])


def key_of(api: Api, sensor: str) -> str:
    granted = by_two(api.admin, api.quality, f"/sensors/{sensor}/key", {})
    assert granted.status_code == 200, granted.text
    drawn = api.quality.post(f"/sensors/{sensor}/key/draw")
    assert drawn.status_code == 200 and drawn.headers["Cache-Control"] == "no-store", drawn.text
    return str(drawn.json()["key"])


def send(api: Api, key: str | None, *values: tuple[str, str, int, Any], **request: Any) -> httpx.Response:
    items = [{"container": place, "reading": what, "value": value, "at": rfc3339(at)} for place, what, value, at in values]
    headers = {} if key is None else {"Sensor-Key": key}
    with httpx.Client(base_url=api.url, timeout=60) as client:
        return client.post(SENDS, **({"json": {"readings": items}} | request), headers=headers)


def cold(place: str, at: Any = None, value: int = -180_000) -> tuple[str, str, int, Any]:
    return (place, "temperature_mc", value, at or clock.now())


def count(api: Api, table: str) -> int:
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_what_a_sensor_sends_acts_as_a_persons_reading_does_and_bears_its_name(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    sensor = a_sensor(api, tank)
    key = key_of(api, sensor)
    later(api, minutes=5)
    at = clock.now()

    good = send(api, key, cold(tank), (tank, "level_ppm", 600_000, at))
    assert (good.status_code, good.json()["recorded"], held(api, tube)) == (201, 2, []), good.text
    later(api, minutes=10)
    warm = send(api, key, cold(tank, value=-120_000))

    assert (warm.status_code, warm.json()["recorded"], len(warm.json()["excursions"])) == (201, 1, 1), warm.text
    assert held(api, tube) == ["excursion"]
    newest = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"][0]
    assert (newest["sensor"], newest["outside"]) == (sensor, "too_warm")
    log = taken_log(api)
    assert f'"by":"{sensor}"' in log and '"source":"instrument"' in log
    assert watch(api) == 1 and alarms(api)[0]["cause"] == "excursion"


def test_a_value_sent_again_changes_nothing_and_another_value_of_its_instant_is_refused(api: Api) -> None:
    tank = a_tank(api)
    key = key_of(api, a_sensor(api, tank))
    later(api, minutes=5)
    at = clock.now()
    assert send(api, key, cold(tank, at)).json()["recorded"] == 1
    before = count(api, "event"), count(api, "storage_reading")
    later(api, seconds=5)

    again = send(api, key, cold(tank, at))

    assert (again.status_code, again.json()) == (
        201,
        {"recorded": 0, "known": 1, "doubted": 0, "excursions": [], "receipt": None},
    )
    later(api, seconds=5)
    other = send(api, key, cold(tank, at, -170_000), cold(tank))
    assert (other.status_code, other.json()["code"]) == (409, "sensor_value_differs")
    assert (count(api, "event"), count(api, "storage_reading")) == before
    with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.IntegrityError):
        connection.execute(
            "INSERT INTO storage_reading (event_hash, container_code, kind, value, at, sensor_code) "
            "SELECT event_hash, container_code, kind, value, at, sensor_code FROM storage_reading"
        )


def test_a_sensor_reads_its_own_places_at_possible_times_and_not_too_often(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    key = key_of(api, a_sensor(api, tank, measures=["temperature_mc"]))
    later(api, days=10)
    now = clock.now()
    before = count(api, "event")
    refused = [
        (cold(other), 403, "not_of_this_sensor"),
        ((tank, "level_ppm", 500_000, now), 403, "not_of_this_sensor"),
        (cold(tank, now + timedelta(minutes=5)), 409, "implausible_time"),
        (cold(tank, now - timedelta(days=8)), 409, "implausible_time"),
        ((tank, "level_ppm", -1, now), 422, "malformed_request"),
    ]
    for value, status, code in refused:
        answer = send(api, key, value)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    many = send(api, key, *[cold(tank, now - timedelta(seconds=second)) for second in range(201)])
    assert many.status_code == 422
    assert count(api, "event") == before
    assert send(api, key, cold(tank, now - timedelta(days=6))).status_code == 201
    fast = send(api, key, cold(tank))
    assert (fast.status_code, fast.json()["code"], fast.headers["Retry-After"]) == (429, "too_many_attempts", "1")


def test_the_key_opens_its_call_and_no_other_and_a_wrong_one_leaves_no_trace(api: Api) -> None:
    tank = a_tank(api)
    sensor = a_sensor(api, tank)
    key = key_of(api, sensor)
    later(api, minutes=1)
    traces = [count(api, table) for table in ("event", "attempt", "sensor_doubt", "storage_reading")]
    opened = []
    with httpx.Client(base_url=api.url, timeout=60) as client:
        for method, path in routes():
            for headers in ({"Sensor-Key": key}, {"Authorization": f"Bearer {key}"}):
                answer = client.request(method, filled(path), headers=headers)
                if answer.status_code != 401:
                    opened.append((method, path, answer.status_code))
        assert client.get("/storage", headers={"Sensor-Key": key}, follow_redirects=False).status_code in (303, 401)
    assert opened == [] and ("POST", SENDS) in PUBLIC
    for wrong in (None, "", sensor, key[:-1], key + "x"):
        for body in BODIES.values():
            request = {key: value for key, value in body.items() if key != "headers"}
            answer = send(api, wrong, **({"json": None} | request))
            assert (answer.status_code, answer.json()["code"]) == (401, "sensor_key_unknown"), (wrong, body)
            assert answer.headers["WWW-Authenticate"] == "Sensor-Key"
    token = api.test_bank.token("lab_tech")
    with httpx.Client(base_url=api.url) as client:
        assert client.post(SENDS, json={}, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert [count(api, table) for table in ("event", "attempt", "sensor_doubt", "storage_reading")] == traces


def test_two_probes_of_one_tank_are_each_judged_by_themselves_and_neither_ends_what_the_other_reads(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    bottom, top = (key_of(api, a_sensor(api, tank, name=f"Probe {n}")) for n in (1, 2))
    seen: set[str] = set()
    for _ in range(3):
        later(api, seconds=30)
        low = send(api, bottom, cold(tank, value=-190_000)).json()
        later(api, seconds=30)
        high = send(api, top, cold(tank, value=-100_000)).json()
        assert (low["doubted"], high["doubted"]) == (0, 0)
        seen.update(high["excursions"])
    assert len(seen) == 1, "one excursion, however often the other probe reads within"
    assert held(api, tube) == ["excursion"]
    later(api, seconds=30)
    assert send(api, bottom, cold(tank, value=-190_000)).json()["excursions"] == []
    assert api.quality.get(f"/excursions/{min(seen)}").json()["ended_at"] is None
    later(api, minutes=20)
    send(api, top, cold(tank, value=-170_000))
    assert api.quality.get(f"/excursions/{min(seen)}").json()["ended_at"] is not None


def test_a_key_is_granted_by_two_drawn_once_by_the_second_and_kept_as_a_hash(api: Api) -> None:
    tank = a_tank(api)
    sensor = a_sensor(api, tank)
    path = f"/sensors/{sensor}/key"
    assert api.quality.post(f"{path}/draw").json()["code"] == "no_key_to_draw"
    alone = by_two(api.quality, api.quality, path, {})
    assert alone.json()["code"] == "second_person_must_differ"
    assert api.quality.post(path, json={}).status_code == 428
    assert api.lab_tech.post(path, json={}).status_code == 403
    first = key_of(api, sensor)
    assert api.quality.post(f"{path}/draw").json()["code"] == "no_key_to_draw"
    later(api, minutes=5)
    assert send(api, first, cold(tank)).status_code == 201
    granted = by_two(api.quality, api.admin, path, {})
    assert granted.json()["key_for"] == api.admin.get("/auth/me").json()["code"]
    later(api, minutes=5)
    assert send(api, first, cold(tank)).status_code == 201, "until the new one is drawn the old one works"
    assert api.quality.post(f"{path}/draw").json()["code"] == "no_key_to_draw"
    second = api.admin.post(f"{path}/draw").json()["key"]
    later(api, minutes=5)
    assert (send(api, first, cold(tank)).status_code, send(api, second, cold(tank)).status_code) == (401, 201)
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        kept = connection.execute("SELECT string_agg(s::text, ' ') FROM sensor s").fetchone()
        answers = connection.execute("SELECT coalesce(string_agg(answer::text, ' '), '') FROM idempotency").fetchone()
    secret = second.partition(".")[2]
    assert kept is not None and answers is not None and secret not in kept[0] + answers[0]
    assert secret not in taken_log(api)


def test_two_people_change_and_withdraw_a_sensor_and_each_step_is_in_the_log(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    sensor = a_sensor(api, tank)
    key = key_of(api, sensor)
    body = {"containers": [other], "measures": ["temperature_mc"], "silent_after_min": 60}
    changed = by_two(api.admin, api.quality, f"/sensors/{sensor}/change", body)
    assert (changed.status_code, changed.json()["containers"]) == (200, [other]), changed.text
    later(api, minutes=5)
    assert send(api, key, cold(tank)).json()["code"] == "not_of_this_sensor"
    assert send(api, key, cold(other)).status_code == 201
    gone = by_two(api.admin, api.quality, f"/sensors/{sensor}/withdraw", {"reason": "broken"})
    assert (gone.status_code, gone.json()["state"]) == (200, "withdrawn"), gone.text
    later(api, minutes=5)
    assert send(api, key, cold(other)).status_code == 401
    assert by_two(api.admin, api.quality, f"/sensors/{sensor}/key", {}).json()["code"] == "sensor_withdrawn"
    assert [one["code"] for one in api.lab_tech.get("/sensors", params={"state": "withdrawn"}).json()["items"]] == [sensor]
    later(api, hours=5)
    assert watch(api) == 0, "nobody waits for it any more"
    log = taken_log(api)
    for kind in (
        "system.sensor_made",
        "system.sensor_key_granted",
        "system.sensor_key_drawn",
        "system.sensor_changed",
        "system.sensor_withdrawn",
    ):
        assert f'"{kind}"' in log, kind
    name = api.quality.post("/sensors", json=body | {"name": f"probe of  {tank}"})
    assert (name.status_code, name.json()["code"]) == (409, "already_exists")


def test_a_silent_sensor_is_an_alarm_until_it_speaks_of_every_place_again(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    sensor = a_sensor(api, tank, other, minutes=30, measures=["temperature_mc"])
    later(api, hours=2)
    assert watch(api) == 0, "without a key it cannot speak"
    key = key_of(api, sensor)
    later(api, minutes=29)
    assert watch(api) == 0
    old = clock.now() - timedelta(minutes=28)
    assert send(api, key, cold(tank), cold(other, old)).status_code == 201
    later(api, minutes=3)

    assert (watch(api), watch(api)) == (1, 0)

    (one,) = alarms(api)
    assert (one["cause"], one["subject"]) == ("sensor_silent", sensor)
    assert send(api, key, cold(tank), cold(other, old)).status_code == 201
    later(api, seconds=2)
    assert watch(api) == 0, "an old value again is no sign of life of that place"
    assert send(api, key, cold(other)).status_code == 201
    assert watch(api) == 1 and steps(api, one["code"])[-1] == ("resolved", [])
    assert api.lab_tech.get(f"/alarms/{one['code']}").json()["steps"][-1]["reason"] == "heard_again"


def test_a_doubtful_value_acts_on_nothing_until_a_person_says_that_it_is_so(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    sensor = a_sensor(api, tank, minutes=10_000)
    key = key_of(api, sensor)
    later(api, minutes=5)
    assert send(api, key, cold(tank)).status_code == 201
    later(api, minutes=1)
    jump, broken = clock.now(), clock.now() + timedelta(seconds=1)

    doubted = send(api, key, cold(tank, jump, -100_000), cold(tank, broken, 850_000))

    assert (doubted.status_code, doubted.json()["doubted"], held(api, tube)) == (201, 2, []), doubted.text
    later(api, seconds=5)
    assert send(api, key, cold(tank, jump, -100_000)).json()["known"] == 1
    assert watch(api) == 1
    (one,) = alarms(api)
    assert (one["cause"], one["subject"]) == ("sensor_doubtful", sensor)
    shown = api.lab_tech.get(f"/sensors/{sensor}").json()["doubts"]
    assert [item["doubt"] for item in shown] == ["impossible_jump", "impossible_value"]
    body = {"answer": "wrong", "reason_text": "The probe was pulled out of the tank."}
    assert api.clinician.post(f"/sensors/{sensor}/answer", json=body).status_code in (403, 404)
    wrong = api.lab_tech.post(f"/sensors/{sensor}/answer", json=body)
    assert (wrong.status_code, wrong.json()["answered"], held(api, tube)) == (200, 2, []), wrong.text
    assert watch(api) == 1 and steps(api, one["code"])[-1] == ("resolved", [])
    later(api, minutes=1)
    assert send(api, key, cold(tank, value=-90_000)).json()["doubted"] == 1
    right = api.lab_tech.post(f"/sensors/{sensor}/answer", json=body | {"answer": "right"})
    assert (right.status_code, len(right.json()["excursions"]), held(api, tube)) == (200, 1, ["excursion"]), right.text
    assert api.lab_tech.post(f"/sensors/{sensor}/answer", json=body).json()["code"] == "no_doubt_left"
    log = taken_log(api)
    assert '"container.sensor_value_doubted"' in log and '"system.sensor_values_answered"' in log
    for name, statement in (
        ("a_sensor_is_missed_within_a_week", "UPDATE sensor SET silent_after_min = 0"),
        ("a_key_has_its_time", "UPDATE sensor SET keyed_at = NULL"),
        ("a_key_to_draw_has_its_end", "UPDATE sensor SET key_for = 'US-0000000'"),
        ("a_withdrawn_sensor_has_no_key", "UPDATE sensor SET withdrawn_at = now()"),
        ("a_sensor_reads_what_is_known", "UPDATE sensor_place SET measure = 'humidity'"),
        ("an_answer_is_known", "UPDATE sensor_doubt SET answer = 'maybe'"),
        ("an_answer_has_its_event", "UPDATE sensor_doubt SET answered_event = NULL"),
    ):
        with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.IntegrityError, match=name):
            connection.execute(statement)


def test_a_late_value_that_would_free_waits_for_quality_and_blocks_nothing_that_follows(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    box = a_box(api, parent=tank)
    sensor = a_sensor(api, tank)
    key = key_of(api, sensor)
    later(api, minutes=1)
    read(api, tank, -120_000)
    later(api, minutes=5)
    good = clock.now()
    later(api, minutes=5)
    put(api, tube, box)
    later(api, minutes=5)
    read(api, tank, -110_000)
    assert held(api, tube) == ["excursion"]
    later(api, minutes=5)
    readings = count(api, "storage_reading")

    late = send(api, key, cold(tank, good), cold(tank, value=-50_000))

    assert (late.status_code, late.json()["doubted"], late.json()["recorded"]) == (201, 1, 1), late.text
    newest = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"][0]
    assert (newest["sensor"], newest["value"], newest["outside"]) == (sensor, -50_000, "too_warm")
    assert (held(api, tube), count(api, "storage_reading")) == (["excursion"], readings + 1)
    later(api, seconds=5)
    assert send(api, key, cold(tank, good)).json()["known"] == 1
    assert watch(api) >= 1 and "sensor_doubtful" in {one["cause"] for one in alarms(api)}
    (shown,) = api.lab_tech.get(f"/sensors/{sensor}").json()["doubts"]
    assert (shown["doubt"], shown["value"]) == ("would_free", -180_000)
    body = {"answer": "right", "reason_text": "The chart of the probe shows it."}
    unsigned = api.lab_tech.post(f"/sensors/{sensor}/answer", json=body)
    assert (unsigned.status_code, held(api, tube)) == (403, ["excursion"]), unsigned.text
    signed = sign_and_post(api.quality, "decided", f"/sensors/{sensor}/answer", body)
    assert (signed.status_code, signed.json()["answered"], count(api, "storage_reading")) == (200, 1, readings + 2), signed.text


def test_a_sensor_of_two_sites_is_none_and_who_is_elsewhere_does_not_know_of_it(api: Api) -> None:
    tank, north = a_tank(api), a_box(api, kind="tank", name="North", site="NORTH", rows=None, cols=None)
    body = {"name": "Both", "containers": [tank, north], "measures": BOTH, "silent_after_min": 30}
    two = api.quality.post("/sensors", json=body)
    assert (two.status_code, two.json()["code"]) == (409, "sensor_of_two_sites")
    sensor = a_sensor(api, tank)
    assert api.north_tech.get(f"/sensors/{sensor}").status_code == 404
    assert api.north_tech.get("/sensors").json()["items"] == []
