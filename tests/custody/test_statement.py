"""The one text that appends: whoever fills it in, the same rows stand afterwards, and nothing stands by half."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from sqlmodel import Session

from biobank.custody.events import Inspected
from biobank.custody.ledger import append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.statement import Composed, Fact, compose, compose_each
from biobank.custody.states import StreamKind
from biobank.foundation.errors import StaleSequence
from tests.conftest import TestBank
from tests.factories import make_donor, make_specimen

OWN = {"stream_id", "code", "entry", "leaf_hash", "prev_hash", "head_hash", "occurred_at", "last_occurred_at"}
"""What differs from tube to tube, or from sender to sender by the clock alone."""


def _three(bank: TestBank) -> list[Snapshot]:
    act = bank.act("clinician")

    def work(session: Session) -> list[Snapshot]:
        donor = make_donor(session)
        return [make_specimen(session, act, donor=donor) for _ in range(3)]

    return bank.write(work)  # type: ignore[no-any-return]


def _facts(session: Session, bank: TestBank, specimens: Sequence[Snapshot]) -> list[Fact]:
    act = bank.act("lab_tech")
    event = Inspected(container_intact=True, label_legible=True, contents_as_expected=False)
    head = head_of(session, act, NOW, subject=None, site="LAB")
    return [Fact(StreamKind.SPECIMEN, one.code, event, head, one, one.donor_code) for one in specimens]


def _kept(bank: TestBank, key: str) -> dict[str, Any]:
    act = bank.act("lab_tech")
    return {"actor_code": act.actor.code, "key": key, "request_hash": b"h", "status": 201, "answer": "{}", "at": act.at}


def _send_each(session: Session, several: Sequence[Composed]) -> list[str]:
    text, parameters = compose_each(several)
    return sorted(code for (code,) in session.connection().exec_driver_sql(text, parameters))


def _rows(bank: TestBank, table: str, column: str, code: str) -> dict[str, Any]:
    with psycopg.connect(bank.dsn(), row_factory=psycopg.rows.dict_row) as connection:
        statement = f"SELECT * FROM {table} WHERE {column} = %s ORDER BY seq DESC LIMIT 1"
        (row,) = connection.execute(statement, (code,)).fetchall()
    return {name: value for name, value in row.items() if name not in OWN}


def test_one_several_and_all_write_the_same_rows(bank: TestBank) -> None:
    alone, shared, batched = _three(bank)

    def work(session: Session) -> None:
        one, each, last = _facts(session, bank, [alone, shared, batched])
        append(session, [one])
        assert _send_each(session, [compose(each, lambda _a: _kept(bank, "k"))]) == [shared.code]
        append(session, [last, last])

    bank.write(work)
    # The batch of two ends one event later; what both events say of their tube is compared with the rest.
    stands = [_rows(bank, "custody", "code", one.code) for one in (alone, shared)]
    written = [_rows(bank, "event", "stream_id", one.code) for one in (alone, shared, batched)]

    assert stands[0] == stands[1]
    assert written[0] == written[1]
    assert {k: v for k, v in written[2].items() if "seq" not in k} == {k: v for k, v in written[0].items() if "seq" not in k}
    assert (written[0]["seq"], written[2]["seq"]) == (2, 3)
    assert _rows(bank, "custody", "code", batched.code)["seq"] == 3


def test_of_several_a_stale_one_leaves_neither_event_nor_kept_answer_and_the_others_stand(bank: TestBank) -> None:
    moved_on, *fresh = _three(bank)
    bank.write(lambda session: append(session, _facts(session, bank, [moved_on])))

    def work(session: Session) -> list[str]:
        facts = _facts(session, bank, [moved_on, *fresh])
        return _send_each(session, [compose(fact, lambda _a, n=n: _kept(bank, f"k{n}")) for n, fact in enumerate(facts)])  # type: ignore[misc]

    assert bank.write(work) == sorted(one.code for one in fresh)
    with psycopg.connect(bank.dsn()) as connection:
        kept = connection.execute("SELECT key FROM idempotency ORDER BY key").fetchall()
        events = connection.execute("SELECT count(*) FROM event WHERE stream_id = %s", (moved_on.code,)).fetchone()
    assert (kept, events) == ([("k1",), ("k2",)], (2,))


def test_of_all_a_stale_one_stops_every_one(bank: TestBank) -> None:
    moved_on, *fresh = _three(bank)
    bank.write(lambda session: append(session, _facts(session, bank, [moved_on])))

    with pytest.raises(StaleSequence):
        bank.write(lambda session: append(session, _facts(session, bank, [*fresh, moved_on])))

    now = bank.write(lambda session: load(session, [one.code for one in fresh]))
    assert {one.seq for one in now.values()} == {1}
