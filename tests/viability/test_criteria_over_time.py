"""A criterion judges the counts recorded after it was set, and none before it."""

from datetime import UTC, datetime, timedelta

import pytest

from biobank.viability.criteria import Criterion, applying

SET = datetime(2026, 3, 3, tzinfo=UTC)
LOOSE, STRICT = Criterion(5000, 9500), Criterion(9000, 9500)
DEMANDED = [(SET + timedelta(days=10), STRICT), (SET, LOOSE)]


@pytest.mark.parametrize(("days", "judged_by"), [(-1, None), (0, LOOSE), (9, LOOSE), (10, STRICT), (400, STRICT)])
def test_a_count_is_judged_by_what_stood_when_it_was_recorded(days: int, judged_by: Criterion | None) -> None:
    assert applying(DEMANDED, SET + timedelta(days=days)) == judged_by
