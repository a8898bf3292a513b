"""A logger's file becomes readings: what it says of the past holds what was inside then; the same file is read once."""

import base64
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from biobank.foundation import clock
from biobank.monitoring.judging import Before, Read, doubt_of, outside_of
from biobank.monitoring.logger_files import judged, turns
from biobank.monitoring.loggers import Logged
from biobank.monitoring.models import logger_file
from biobank.storage.limits import PlaceLimits
from tests.conftest import Api, TestBank
from tests.exports.taking import taken_log
from tests.monitoring.test_excursions import a_tank, frozen, held, put, read
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later


def keep(api: Api, text: str) -> str:
    body = {"media_type": "text/csv", "content": base64.b64encode(text.encode()).decode(), "site": "LAB"}
    return str(api.lab_tech.post("/attachments", json=body).json()["sha256"])


def send(api: Api, place: str, sha256: str, **more: Any) -> Any:
    return api.lab_tech.post(f"/storage-containers/{place}/logger-files", json={"logger_sha256": sha256} | more)


def a_file(rows: list[tuple[datetime, str]], zone: str = "Time zone;UTC+02:00\n") -> str:
    shown = [(at + timedelta(hours=2), value) for at, value in rows]
    return f"Serial number;7\n{zone}Date;Time;Temp °C\n" + "".join(f"{at:%d.%m.%Y;%H:%M:%S};{value}\n" for at, value in shown)


def test_a_file_holds_what_was_inside_then_and_is_read_once(api: Api) -> None:
    tank = a_tank(api)
    box, (early, late) = a_box(api, parent=tank), frozen(api, 2)
    put(api, early, box)
    later(api, minutes=5)
    start = clock.now()
    later(api, minutes=40)
    put(api, late, box)
    later(api, minutes=20)
    rows = [(start + timedelta(minutes=n), "-90,0" if 10 <= n < 30 else "-185,5") for n in range(0, 35, 5)]
    rows.append((start + timedelta(minutes=55), "-185,0"))
    sha256 = keep(api, a_file(rows))

    asked = send(api, tank, sha256)
    assert (asked.status_code, asked.json()["code"]) == (409, "implausible_reading"), asked.text
    assert api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"] == []

    done = send(api, tank, sha256, confirmed=True)
    assert done.status_code == 201, done.text
    answer = done.json()
    assert (answer["values"], answer["outside"], answer["serial"], answer["sha256"]) == (8, 4, "7", sha256)
    assert len(answer["gaps"]) == 1 and answer["added"] == 1
    assert (held(api, early), held(api, late)) == (["excursion"], [])
    (code,) = answer["excursions"]
    one = api.quality.get(f"/excursions/{code}").json()
    assert (one["peak"], one["ended_at"] is not None) == (-90_000, True)
    assert len(api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]) == 8
    assert [one["sha256"] for one in api.lab_tech.get(f"/storage-containers/{tank}/logger-files").json()["items"]] == [sha256]

    assert '"container.logger_file_recorded"' in taken_log(api)
    again = send(api, a_tank(api, "Other"), sha256, confirmed=True)
    assert (again.status_code, again.json()["code"]) == (409, "logger_file_known")


def test_times_that_cannot_be_and_a_zone_that_is_not_said_are_refused_without_a_trace(api: Api) -> None:
    tank = a_tank(api)
    ahead = keep(api, a_file([(clock.now() + timedelta(hours=3), "-185,0")]))
    before = keep(api, a_file([(clock.now() - timedelta(days=400), "-185,0")]))
    no_zone = keep(api, a_file([(clock.now(), "-185,0")], zone=""))

    refused = [send(api, tank, one).json() for one in (ahead, before, no_zone, "0" * 64)]

    assert [one["code"] for one in refused] == ["implausible_time", "before_it_existed", "logger_zone_missing", "not_found"]
    assert "Row 4" in refused[0]["detail"]
    assert api.lab_tech.get(f"/storage-containers/{tank}/logger-files").json()["items"] == []
    assert api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"] == []


def test_a_file_over_a_time_in_which_somebody_read_too_counts_beside_that_and_frees_nothing(api: Api) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=5)
    start = clock.now()
    later(api, minutes=10)
    read(api, tank, -90_000)
    later(api, minutes=10)
    read(api, tank, -185_000)
    later(api, minutes=20)
    cold = [(start + timedelta(minutes=n), "-185,0") for n in (1, 5, 14, 25, 35)]

    done = send(api, tank, keep(api, a_file(cold)), confirmed=True)

    assert done.status_code == 201, done.text
    assert (held(api, tube), done.json()["removed"]) == (["excursion"], 0)
    (one,) = api.quality.get("/excursions").json()["items"]
    assert (one["peak"], one["ended_at"] is not None, one["annulled_at"]) == (-90_000, True, None)
    assert len(api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]) == 7


def test_the_database_refuses_a_file_without_readings(bank: TestBank) -> None:
    at = clock.now()
    row = {
        "sha256": "00" * 32,
        "container_code": "BX-0000000",
        "event_hash": bytes(32),
        "zone": "UTC",
        "value_count": 0,
        "outside_count": 0,
        "first_at": at,
        "last_at": at,
        "recorded_at": at,
    }
    with pytest.raises(IntegrityError, match="a_logger_file_has_readings"):
        bank.write(lambda session: session.execute(insert(logger_file).values(**row)))


def test_values_of_a_file_are_judged_as_if_each_had_come_when_it_was_read() -> None:
    """On random files: the same as judging one after another, and every change of in and out is looked at."""
    limits = PlaceLimits(lowest_mc=None, highest_mc=-150_000, lowest_level_ppm=None, rise_mc_per_min=5_000, fall_ppm_per_h=None)
    for number in range(50):
        random = Random(number)
        at, rows = datetime(2026, 11, 29, tzinfo=UTC), []
        for row in range(60):
            at += timedelta(seconds=random.choice((20, 60, 300, 9000)))
            rows.append(Logged(row, at, "temperature_mc", random.choice((-190_000, -185_000, -160_000, -140_000, -20_000))))
        found = judged("temperature_mc", rows, [], lambda _at: limits)
        for index, one in enumerate(found):
            earlier = [Read(row.value, row.at) for row in rows[:index]]
            paced = [row for row in earlier if timedelta(minutes=1) <= one.at - row.at <= timedelta(hours=2)]
            before = Before(earlier[-1] if earlier else None, paced[-1] if paced else None)
            now = Read(one.value, one.at)
            assert one.outside == outside_of("temperature_mc", now, before, limits)
            assert one.doubt == doubt_of("temperature_mc", now, before, limits)
        looked = {one.at for one in turns(found)}
        assert {b.at for a, b in pairwise(found) if (a.outside is None) != (b.outside is None)} <= looked
