"""What stands against using something, as a pure rule."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from biobank.registers.fitness import FIXED, USUAL, Entry, Problem, answer_to, fitness, problems_of
from biobank.registers.packages import Package, PackageUnread, read_package

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LOT = Entry(key="RG-4WAAYVI", kind="reagent_lot", name="Collagenase", qualified_at=NOW - 90 * DAY)
DEVICE = replace(LOT, key="EQ-226X30K", kind="equipment", name="Incubator")
SOP = Entry(key="0" * 36, kind="procedure", name="SOP-014 v3")


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        (LOT, []),
        (replace(LOT, recalled_at=NOW), [Problem.RECALLED]),
        (replace(LOT, retired_at=NOW), [Problem.RETIRED]),
        (replace(LOT, retired_at=NOW + DAY), []),
        (replace(LOT, expires_on=date(2026, 11, 29)), []),
        (replace(LOT, expires_on=date(2026, 11, 28)), [Problem.EXPIRED]),
        (replace(LOT, opened_at=NOW - 7 * DAY, use_within_days=7), []),
        (replace(LOT, opened_at=NOW - 8 * DAY, use_within_days=7), [Problem.OPEN_TOO_LONG]),
        (replace(LOT, opened_at=NOW - 900 * DAY), []),
        (replace(LOT, use_within_days=7), []),
        (replace(LOT, qualified_at=None), [Problem.UNQUALIFIED]),
        (replace(LOT, qualified_at=NOW + DAY), [Problem.UNQUALIFIED]),
        (replace(DEVICE, calibration_due_on=date(2026, 11, 29)), []),
        (replace(DEVICE, calibration_due_on=date(2026, 11, 28)), [Problem.UNCALIBRATED]),
        (replace(SOP, qualified_at=None), []),
    ],
)
def test_each_problem_begins_and_ends_at_its_instant(entry: Entry, problems: list[Problem]) -> None:
    assert problems_of(entry, NOW, NOW) == problems


def test_a_use_before_the_recall_is_recorded_with_a_warning_and_one_after_it_is_refused() -> None:
    recalled = replace(LOT, recalled_at=NOW - DAY)
    assert problems_of(recalled, NOW - 2 * DAY, NOW) == [Problem.RECALLED_SINCE]
    assert problems_of(recalled, NOW - DAY, NOW) == [Problem.RECALLED]
    assert (USUAL[Problem.RECALLED_SINCE], USUAL[Problem.RECALLED]) == ("warn", "refuse")


@pytest.mark.parametrize("problem", list(Problem))
def test_a_site_changes_the_usual_answer_except_where_every_site_answers_alike(problem: Problem) -> None:
    other = "warn" if USUAL[problem] == "refuse" else "refuse"
    assert answer_to(problem, {}) == USUAL[problem]
    assert answer_to(problem, {problem.value: other}) == (USUAL[problem] if problem in FIXED else other)


def test_everybody_who_works_by_a_procedure_is_authorised_for_it_and_what_keeps_cells_is_never_refused() -> None:
    own = {"unauthorised": "refuse"}
    given = {"people": ["US-1", "US-2"], "authorised": {(SOP.key, "US-1")}, "own": own, "used_at": NOW, "now": NOW}
    (found,) = fitness([SOP, LOT], **given)  # type: ignore[arg-type]  # one table of arguments
    assert (found.problem, found.person, found.answer) == (Problem.UNAUTHORISED, "US-2", "refuse")
    assert found.sentence == "US-2 is not authorised for SOP-014 v3 in the register."
    (kept,) = fitness([SOP], keeping=True, **given)  # type: ignore[arg-type]
    assert kept.answer == "warn"
    (expired,) = fitness([replace(LOT, expires_on=date(2020, 1, 1))], **given)  # type: ignore[arg-type]
    assert expired.sentence == "RG-4WAAYVI (Collagenase) expired on 2020-01-01. Take another lot."


@pytest.mark.parametrize(
    "text",
    [
        "01095060001343521727013110AB-12",
        "]d2010950600013435217270131\x1d10AB-12\x1d21XYZ",
        "(01)09506000134352(17)270131(10)AB-12",
    ],
)
def test_the_code_of_a_package_says_article_lot_and_expiry(text: str) -> None:
    assert read_package(text) == Package("09506000134352", "AB-12", date(2027, 1, 31))


@pytest.mark.parametrize("text", ["hello", "(99)x", "", "https://example.org/1"])
def test_any_other_text_is_no_package(text: str) -> None:
    with pytest.raises(PackageUnread):
        read_package(text)
