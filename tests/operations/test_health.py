"""What monitors see: a log that is not well is said, loudly and in numbers, and does not stop the bank."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import psycopg
import pytest

from biobank.foundation import clock
from biobank.postgres.guards import guard_drift
from biobank.transparency.attending import Attendant, Pulse, report_halt
from biobank.transparency.cosignature import Cosigner
from biobank.transparency.note import Signer
from biobank.transparency.witnessing import Peer
from tests.conftest import Api, TestBank
from tests.sealing import log_of, seal
from tests.transparency.conftest import record


@pytest.fixture
def bank(make_bank: Callable[..., TestBank]) -> TestBank:
    """A bank that promises a seal within a minute, as banks do by themselves."""
    return make_bank(merge_delay_s=60)


def ready(api: Api) -> httpx.Response:
    return httpx.get(f"{api.url}/readyz")


def metric(api: Api, name: str) -> float:
    text = httpx.get(f"{api.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith(f"biobank_{name} ")]
    return float(line.split()[1])


def queue(bank: TestBank, events: int = 1) -> list[bytes]:
    with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
        return record(connection, events)


def test_a_new_bank_is_ready_and_says_what_it_does_not_know(api: Api) -> None:
    answer = ready(api)
    said = answer.json()
    assert answer.status_code == 200
    assert (said["log"], said["guards"], said["sealer"]) == ("ok", "ok", "has not reported yet")
    assert (said["register"]["size"], said["witnesses"], said["unaccounted_events"]) == (None, [], None)


def test_the_age_of_the_oldest_event_is_a_number_and_past_the_promise_it_is_said(api: Api) -> None:
    queue(api.test_bank)
    assert ready(api).json()["log"] == "ok"
    clock.set_offset(timedelta(seconds=90), test_mode=True)
    said = ready(api)
    assert said.status_code == 200
    assert said.json()["log"].startswith("lagging")
    assert 90 <= metric(api, "oldest_pending_seconds") < 150
    assert 90 <= metric(api, "seal_lag_seconds") < 150
    assert metric(api, "pending_events") == 1


def test_a_head_that_is_not_published_counts_as_lag(api: Api) -> None:
    """A register on a full disk keeps every checkpoint in; the events are sealed and nobody can prove it."""
    bank = api.test_bank
    queue(bank)
    seal(bank)
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        connection.execute("INSERT INTO tree_head SELECT 2, root, range, now() FROM tree_head WHERE size = 1")
    clock.set_offset(timedelta(seconds=90), test_mode=True)
    assert ready(api).json()["seal_lag_s"] >= 89
    assert (metric(api, "log_size"), metric(api, "published_size")) == (2, 1)
    assert metric(api, "oldest_pending_seconds") == 0


def test_sealer_register_and_witnesses_are_shown_and_a_silence_is(api: Api) -> None:
    bank = api.test_bank
    queue(bank, 3)
    seal(bank)
    away = Peer("auditor", Cosigner(Signer("witness.example", bytes(32))).verifier, "http://127.0.0.1:9")
    with psycopg.connect(bank.dsn("sealer"), autocommit=True) as connection:
        Attendant(bank.dsn("sealer"), log_of(bank), [away], Pulse()).round(connection, now=True)
    said = ready(api).json()
    assert (said["sealer"], said["register"], said["unaccounted_events"]) == ("ok", {"state": "ok", "size": 3}, 0)
    assert said["witnesses"] == [{"name": "auditor", "state": "unreachable", "size": 0, "age_s": None}]
    assert metric(api, 'witness_ok{witness="auditor"}') == 0
    assert metric(api, "register_size") == 3
    clock.set_offset(timedelta(seconds=100), test_mode=True)
    assert ready(api).json()["sealer"].startswith("silent for 1")
    assert metric(api, "sealer_silent_seconds") >= 99


def test_a_halted_log_is_said_with_its_reason(api: Api) -> None:
    report_halt(api.test_bank.dsn("sealer"), "rollback")
    assert ready(api).json()["sealer"].startswith("halted: rollback, since 20")
    assert metric(api, "log_halted") == 1
    assert ready(api).status_code == 503


def test_quarantined_events_are_counted(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn("sealer"), autocommit=True) as connection:
        connection.execute("INSERT INTO log_quarantine (leaf_hash, qid, reason, at) VALUES ('x', 1, 'event_missing', now())")
    assert ready(api).json()["quarantined_events"] == 1
    assert metric(api, "quarantined_events") == 1


LETS_PASS = "refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("ALTER TABLE event DISABLE TRIGGER no_change", "event.no_change is disabled"),
        ("ALTER TABLE leaf ENABLE TRIGGER no_truncate", "leaf.no_truncate is skipped under session_replication_role"),
        ("ALTER TABLE custody DISABLE TRIGGER ALL", "custody."),
        ("DROP TRIGGER no_change ON tile", "tile.no_change is missing"),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "refuse_change",
        ),
        ("GRANT DELETE ON event TO biobank_app", "biobank_app has DELETE on event"),
        ("GRANT UPDATE ON checkpoint TO PUBLIC", "biobank_app has UPDATE on checkpoint"),
        ("GRANT INSERT ON leaf TO biobank_app_login", "biobank_app_login has INSERT on leaf"),
        ("GRANT UPDATE ON tree_head TO biobank_sealer", "biobank_sealer has UPDATE on tree_head"),
        ("ALTER TABLE event ALTER COLUMN leaf_hash DROP EXPRESSION", "event.leaf_hash is not computed"),
    ],
)
def test_a_guard_that_was_taken_away_is_noticed(bank: TestBank, attack: str, said: str) -> None:
    """Attack 25. Dropping a guard leaves nothing in the log; only the catalog shows it, while it lasts."""
    assert bank.write(guard_drift) == []
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute(attack)
    assert any(phrase.startswith(said) for phrase in bank.write(guard_drift))


def test_a_missing_guard_is_in_the_answer_and_the_bank_goes_on(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER no_change")
    answer = ready(api)
    assert (answer.status_code, answer.json()["guards"]) == (200, ["event.no_change is disabled"])
    assert metric(api, "guard_drift") == 1
