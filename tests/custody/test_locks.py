"""Rows are locked in one order, and in one place."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import dialect
from sqlmodel import Session

from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.custody.snapshots import load
from biobank.donors.models import donor
from biobank.donors.visibility import lock_donor
from biobank.withdrawals.models import withdrawal
from tests.conftest import TestBank
from tests.factories import make_donor, make_specimen

PACKAGE = Path(__file__).resolve().parents[2] / "biobank"

ALONE = "one row that no act locks together with others of its kind, after everything in the order"
ELSEWHERE = {
    "custody/locks.py": (1, "the one place"),
    "custody/ledger.py": (
        1,
        "the head of a stream, met when the event is written: after every other lock; one that is begun after those",
    ),
    "custody/performer_confirmations.py": (1, "the caller's own answers, by leaf hash"),
    "jobs/running.py": (1, "one job of the queue, skipping those that another worker holds"),
    "transparency/sealing.py": (1, "the fence between sealers, on a connection of its own"),
    "exports/log_recovery.py": (2, "recovery of a lost log keeps everybody out"),
    "acts/signing.py": (1, ALONE),
    "acts/two_person.py": (1, ALONE),
    "auth/passkeys.py": (1, ALONE),
    "auth/pins.py": (2, "one login's, read as it stands; and all, at a change of the bank's secret with nothing else in it"),
    "auth/stations.py": (1, ALONE),
    "auth/service.py": (2, ALONE),
    "jobs/queue.py": (1, ALONE),
    "labels/prints.py": (1, ALONE),
    "labels/reconciling.py": (1, ALONE),
    "messages/choices.py": (1, ALONE),
    "messages/failures.py": (1, ALONE),
    "messages/sending.py": (1, "messages that wait, skipping those that another worker holds"),
    "monitoring/readings.py": (1, ALONE),
    "people/bootstrap.py": (1, ALONE),
    "auth/personal_keys.py": (3, ALONE),
    "auth/second_factor.py": (1, "a change of the bank's secret: a command of its own, and nothing else in its transaction"),
    "benches/stations.py": (1, ALONE),
    "donors/reindexing.py": (1, "a change of the bank's secret: donors by code, and nothing else in its transaction"),
    "people/queries.py": (2, ALONE),
    "people/slips.py": (1, ALONE),
    "quality/adverse.py": (1, ALONE),
    "quality/closing.py": (1, "a closing, met before the custody rows of its set: nobody who holds those asks for one"),
    "quality/deviations.py": (1, ALONE),
    "quality/notices.py": (1, ALONE),
    "specimens/kit_use.py": (1, ALONE),
    "specimens/lots.py": (1, ALONE),
    "withdrawals/administering.py": (1, ALONE),
}
_SQL = re.compile(r"\bFOR (NO KEY )?(UPDATE|SHARE)\b|\bLOCK TABLE\b")


def _locks_in(path: Path) -> int:
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return sum(
        (isinstance(node, ast.Attribute) and node.attr == "with_for_update")
        or (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
            and bool(_SQL.search(node.value))
        )
        for node in ast.walk(tree)
    )


def test_rows_are_locked_in_one_place_but_for_those_that_say_why() -> None:
    found = Counter({path.relative_to(PACKAGE).as_posix(): _locks_in(path) for path in PACKAGE.rglob("*.py")})

    assert +found == Counter({place: number for place, (number, _why) in ELSEWHERE.items()})


def test_one_statement_names_its_tables_in_the_order() -> None:
    statement = locked(select(donor.c.code, withdrawal.c.code), donor, withdrawal)

    spelt = str(statement.compile(dialect=dialect()))  # type: ignore[no-untyped-call]
    assert spelt.endswith("FOR NO KEY UPDATE OF donor, withdrawal")
    with pytest.raises(AssertionError):
        locked(statement, withdrawal, donor)


def test_a_donor_that_is_locked_after_a_specimen_fails_the_act(bank: TestBank) -> None:
    act = bank.act("clinician")

    def late(session: Session) -> None:
        code = make_donor(session)
        tube = make_specimen(session, act, donor=code)
        load(session, [tube.code], lock=True)
        lock_donor(session, code)

    with pytest.raises(AssertionError, match=rf"donor is locked after \['{custody.name}'\]"):
        bank.write(late)
