"""What the tests of a lot say, and whether they allow a release or a use: one reading, one rule.

A material names the tests that its release rests on (`specimens/materials.py`). A test counts by its latest result; one that
waits is pending, and overdue when its result was due before now (21 CFR 610.12: results can post-date use, so a conditional
release says whom to tell).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, select, true
from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.foundation.errors import Conflict, Refusal
from biobank.specimens.materials import material_of
from biobank.specimens.models import lot_test
from biobank.transparency.models import event


class TestFailed(Conflict):
    """A test of its lot failed."""

    __test__ = False
    code = "lot_test_failed"
    title = "A test failed"


class TestPending(Conflict):
    """A test of its lot has no result yet."""

    __test__ = False
    code = "lot_test_pending"
    title = "A test is pending"


class TestOverdue(Conflict):
    """The result of a test of its lot was due and is not there."""

    __test__ = False
    code = "lot_test_overdue"
    title = "A test is overdue"


class TestMissing(Conflict):
    """A test that the release of its material rests on was never made."""

    __test__ = False
    code = "lot_test_missing"
    title = "A test is missing"


@dataclass(frozen=True)
class LotTests:
    """Kinds of test by what they say now, and the events that say so. `overdue` ones are pending as well."""

    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    events: tuple[bytes, ...] = ()


NO_TESTS = LotTests()


def read_lot_tests(
    session: Session,
    lots: Collection[str | None],
    at: datetime,
    *,
    until: datetime | None = None,
    known: datetime | None = None,
) -> dict[str | None, LotTests]:
    """Read the tests of lots in one statement. A specimen without a lot (None) has none. `until`: as they were reported by then,
    as far as that was written down by `known` (None: whenever).
    """
    named = sorted(lot for lot in lots if lot is not None)
    found: dict[str | None, LotTests] = dict.fromkeys(lots, NO_TESTS)
    if not named:
        return found
    t = lot_test.c
    rows = session.execute(
        select(t.lot_code, t.id, t.kind, t.result, t.completes, t.due_at, t.event_hash)
        .where(t.lot_code.in_(named))
        .where(true() if until is None else reported_by(until))
        .where(true() if known is None else t.recorded_at <= known)
        .order_by(t.lot_code, t.recorded_at, t.id)
    ).all()
    for lot, own in groupby(rows, key=lambda row: row.lot_code):
        found[lot] = _of(list(own), at)
    return found


def reported_by(until: datetime) -> ColumnElement[bool]:
    """The results that happened by an instant: by the time that their entry states."""
    return exists().where(event.c.leaf_hash == lot_test.c.event_hash, event.c.occurred_at <= until)


def _of(rows: Sequence[Row[Any]], at: datetime) -> LotTests:
    """Fold the rows of one lot, oldest first. A later result speaks for a test, unless one before it still waits."""
    completed = {row.completes for row in rows}
    latest: dict[str, str] = {}
    waiting: dict[str, bool] = {}
    for row in rows:
        if row.result != "pending":
            latest[row.kind] = row.result
        elif row.id not in completed:
            late = row.due_at is not None and row.due_at < at
            waiting[row.kind] = waiting.get(row.kind, False) or late
    return LotTests(
        passed=tuple(sorted(kind for kind, result in latest.items() if result == "passed")),
        failed=tuple(sorted(kind for kind, result in latest.items() if result == "failed")),
        pending=tuple(sorted(waiting)),
        overdue=tuple(sorted(kind for kind, late in waiting.items() if late)),
        events=tuple(bytes(row.event_hash) for row in rows),
    )


def missing_tests(specimen: Snapshot, tests: LotTests) -> tuple[str, ...]:
    """Return the tests its material's release rests on that were neither made nor begun. Pure."""
    if specimen.purpose != "therapeutic":
        return ()
    return tuple(sorted(set(material_of(specimen.material).release_tests) - {*tests.passed, *tests.failed, *tests.pending}))


def refusals_of_failed(specimen: Snapshot, tests: LotTests) -> list[Refusal]:
    """Return why a failed test of its lot is against a specimen, or nothing. Pure."""
    if not tests.failed:
        return []
    return [
        TestFailed(
            f"The lot of {specimen.code} failed {_and(tests.failed)}. It can be rejected, not released or used.",
            subject=specimen.code,
            where_now=specimen.where_now,
            tests=list(tests.failed),
        )
    ]


def use_refusals_of_tests(specimen: Snapshot, tests: LotTests) -> list[Refusal]:
    """Return why the tests of its lot keep a specimen from being used, however it was released. Pure.

    A result that failed after the release is against it, and so is one that was due and never came; one that is merely pending
    was known to whoever released it conditionally.
    """
    return refusals_of_failed(specimen, tests) + _overdue(specimen, tests)


def release_refusals_of_tests(specimen: Snapshot, tests: LotTests, *, conditional: bool) -> list[Refusal]:
    """Return why the tests of its lot keep a specimen from being released. Pure."""
    if tests.failed:
        return refusals_of_failed(specimen, tests)
    found: list[Refusal] = []
    missing = missing_tests(specimen, tests)
    if missing:
        found.append(
            TestMissing(
                f"The release of {material_of(specimen.material).title.lower()} rests on {_and(missing)}, and {specimen.code}'s "
                "lot has no such test. Record each test when its sample goes out: only then can it be released conditionally.",
                subject=specimen.code,
                tests=list(missing),
            )
        )
    if conditional:
        return found + _overdue(specimen, tests)
    if tests.pending:
        found.append(
            TestPending(
                f"The lot of {specimen.code} waits for {_and(tests.pending)}. Wait for the result, or release it conditionally "
                "with a notification plan.",
                subject=specimen.code,
                tests=list(tests.pending),
            )
        )
    return found


def _overdue(specimen: Snapshot, tests: LotTests) -> list[Refusal]:
    if not tests.overdue:
        return []
    return [
        TestOverdue(
            f"The result of {_and(tests.overdue)} of {specimen.code}'s lot was due and is not there. Ask the laboratory, and "
            "record the result first.",
            subject=specimen.code,
            where_now=specimen.where_now,
            tests=list(tests.overdue),
        )
    ]


def _and(kinds: Sequence[str]) -> str:
    return " and ".join(kinds)
