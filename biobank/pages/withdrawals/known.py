"""What is known of a donor's units, as tables: on the request and on the approval the same."""

from collections.abc import Sequence
from typing import Any

from biobank.foundation.terms import words
from biobank.pages.ui.parts import Column
from biobank.specimens.materials import amount_text
from biobank.withdrawals.seen import CountSeen, DeviationSeen, ExpectedSeen, HarmSeen, LotSeen, NearMissSeen, UnitSeen

DEVIATIONS = [
    Column("code", "Deviation", "code"),
    Column("severity", "Class", "words"),
    Column("topic", "About", "words"),
    Column("opened_at", "Open since", "when"),
]

UNITS = [
    Column("order", "Take", "number"),
    Column("specimen", "Tube", "code"),
    Column("chosen", "Asked for", "words"),
    Column("why", "Why not", "sentences"),
    Column("amount", "Amount"),
    Column("measured", "Living, counted"),
    Column("failed", "Counted too low before"),
    Column("expected", "Living after thawing, expected"),
    Column("banked", "Banked", "when"),
    Column("markers", "Markers", "words"),
    Column("identified", "Whose it was, at the harvest"),
    Column("authorisation", "Authorisation"),
]
HARM = [
    Column("deviation", "Deviation", "code"),
    Column("withdrawal", "With", "code"),
    Column("kind", "What", "words"),
    Column("seriousness", "How serious", "words"),
    Column("causality", "Caused by the material", "words"),
    Column("seen_at", "Seen", "when"),
]
NEAR_MISSES = [Column("what", "What"), Column("times", "Times", "number"), Column("latest", "Latest", "when")]

TESTS = [
    Column("lot", "Lot", "code"),
    Column("passed", "Passed"),
    Column("failed", "Failed"),
    Column("pending", "Pending"),
    Column("overdue", "Overdue"),
    Column("missing", "Never made"),
]
"""What the tests of lots say, on the request and on the approval."""


def test_rows(tests: Sequence[LotSeen]) -> list[dict[str, Any]]:
    """Return the rows under TESTS."""
    said = ("passed", "failed", "pending", "overdue", "missing")
    return [{"lot": one.lot} | {name: ", ".join(map(words, getattr(one, name))) or None for name in said} for one in tests]


def known_of(
    units: Sequence[UnitSeen], tests: Sequence[LotSeen], harm: Sequence[HarmSeen], near_misses: Sequence[NearMissSeen]
) -> dict[str, Any]:
    """Return what draws `withdrawal_known.html`."""
    return {
        "unit_columns": UNITS,
        "units": [_unit(one) for one in sorted(units, key=lambda one: (one.order is None, one.order, one.specimen))],
        "test_columns": TESTS,
        "tests": test_rows(tests),
        "harm_columns": HARM,
        "harm": [one.model_dump() for one in harm],
        "near_columns": NEAR_MISSES,
        "near_misses": [{"what": words(one.code), "times": one.times, "latest": one.latest} for one in near_misses],
    }


def deviations_of(deviations: Sequence[DeviationSeen]) -> dict[str, Any]:
    """Return what draws the table of open deviations."""
    return {"deviation_columns": DEVIATIONS, "deviations": [one.model_dump() for one in deviations]}


def _unit(one: UnitSeen) -> dict[str, Any]:
    count, expected = one.measured, one.expected
    return {
        "order": one.order,
        "specimen": one.specimen,
        "chosen": "yes" if one.chosen else "no",
        "amount": amount_text(one.amount, one.unit),
        "measured": None if count is None else _share(count),
        "failed": "; ".join(f"{_share(one)} on {one.measured_at:%Y-%m-%d}" for one in one.failed_before) or None,
        "expected": None if expected is None else _expected_text(expected),
        "banked": one.banked_at,
        "markers": f"reactive: {', '.join(one.reactive_for)}"
        if one.reactive_for
        else ("evaluated" if one.markers_evaluated else "not_evaluated"),
        "identified": one.identified,
        "authorisation": one.authorisation,
        "why": " ".join(one.refusals) or None,
    }


def _share(count: CountSeen) -> str:
    return share(count.viability_bp, count.lower_bp, count.upper_bp, 95)


def _expected_text(one: ExpectedSeen) -> str:
    widest = max(one.next_vial, key=lambda band: band.percent)
    return share(one.expected_bp, widest.lower_bp, widest.upper_bp, widest.percent)


def share(middle: int | None, lower: int, upper: int, percent: int) -> str:
    """Write a share of living cells with its interval."""
    interval = f"{lower / 100:.0f} to {upper / 100:.0f} % ({percent} % interval)"
    return interval if middle is None else f"{middle / 100:.1f} %, {interval}"
