"""A machine whose clock is set wrong: it records and seals nothing, says so, and goes on by itself once it is right."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from biobank.acts.timers import Timer
from biobank.foundation import clock
from biobank.jobs.queue import enqueue
from biobank.jobs.running import Handler, run_next
from biobank.operations import worker
from biobank.operations.clock_gate import ClockApart
from biobank.transparency.sealing import ClockApart as SealerApart
from tests.conftest import Api, TestBank
from tests.factories import make_received
from tests.operations.test_failover import post_scan, specimen, until
from tests.sealing import seal

Set = Callable[[timedelta], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Set this machine's clock; the database's is another machine's."""

    def by(ahead: timedelta) -> None:
        monkeypatch.setattr(clock, "wall", lambda: datetime.now(UTC) + ahead)

    return by


def events_of(bank: TestBank, code: str) -> list[tuple[int, datetime]]:
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        question = "SELECT seq, recorded_at FROM event WHERE stream_id = %s ORDER BY seq"
        return connection.execute(question, (code,)).fetchall()


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=400)])
def test_a_machine_whose_clock_jumps_records_nothing_until_it_is_right_and_then_what_is_sent_again(
    api: Api, set_clock: Set, ahead: timedelta
) -> None:
    before, code = specimen(api), specimen(api)
    assert post_scan(api, before, "before").status_code == 201

    set_clock(ahead)
    refused = post_scan(api, code, "during")
    read = api.lab_tech.get(f"/specimens/{code}")
    ready = httpx.get(f"{api.url}/readyz")
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "clock_apart", "10")
    assert read.status_code == 503, "to look somebody up is written down, too"
    assert (ready.status_code, ready.json()["clock"]) == (503, f"{round(ahead.total_seconds())} s ahead of the database's")
    assert [seq for seq, _ in events_of(api.test_bank, code)] == [1]

    set_clock(timedelta(0))
    taken, again = post_scan(api, code, "during"), post_scan(api, before, "before")
    assert (taken.status_code, again.status_code, again.headers.get("Idempotent-Replayed")) == (201, 201, "true")
    assert httpx.get(f"{api.url}/readyz").json()["clock"] == "ok"
    (_, first), (_, second) = events_of(api.test_bank, code)
    assert first <= second and abs(datetime.now(UTC) - second) < timedelta(minutes=10)


def test_a_clock_that_is_off_by_less_than_a_minute_is_lived_with(api: Api, set_clock: Set) -> None:
    code = specimen(api)
    set_clock(timedelta(seconds=40))
    assert post_scan(api, code, "one").status_code == 201
    set_clock(timedelta(seconds=-40))
    assert post_scan(api, specimen(api), "two").status_code == 201


def test_a_machine_that_was_suspended_is_found_right_by_the_databases_clock(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_right", 0.0)
    assert abs(clock.stepped_s()) > 3600
    assert post_scan(api, specimen(api), "woken").status_code == 201
    assert abs(clock.stepped_s()) < 1


def test_a_sealer_of_tomorrow_seals_nothing_and_holds_up_nobody_afterwards(bank: TestBank, set_clock: Set) -> None:
    bank.write(lambda s: make_received(s, bank.act("lab_tech")))
    set_clock(timedelta(days=1))
    with pytest.raises(SealerApart):
        seal(bank)
    set_clock(timedelta(0))
    assert seal(bank) >= 2
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        ((latest,),) = connection.execute("SELECT max(sealed_at) FROM tree_head").fetchall()
    assert latest < datetime.now(UTC) + timedelta(minutes=1)


def test_a_worker_with_a_wrong_clock_does_no_job(bank: TestBank, set_clock: Set) -> None:
    act = bank.act("lab_tech")
    bank.write(lambda s: enqueue(s, act, "test.none", {}, total=1))
    work = {"test.none": Handler(lambda _run: None)}
    set_clock(timedelta(hours=1))
    with pytest.raises(ClockApart):
        worker._with_right_clock(bank.bank, lambda: run_next(bank.bank, work))
    set_clock(timedelta(0))
    assert worker._with_right_clock(bank.bank, lambda: run_next(bank.bank, work))


def test_timers_go_on_when_the_clock_is_set_back(bank: TestBank, set_clock: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[datetime] = []

    def note(_session: object, _act: object) -> int:
        ran.append(clock.now())
        return 0

    monkeypatch.setattr(worker, "TIMERS", {"noting": Timer("noting", timedelta(milliseconds=1), note)})
    stop = threading.Event()
    thread = threading.Thread(target=worker._run_timers, args=(bank.bank, stop))
    thread.start()
    try:
        until(lambda: ran)
        set_clock(timedelta(seconds=-50))
        so_far = len(ran)
        until(lambda: len(ran) > so_far, within_s=30)
    finally:
        stop.set()
        thread.join(timeout=30)
