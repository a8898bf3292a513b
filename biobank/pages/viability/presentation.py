"""Viability in words and rows for pages. Measured and expected have builders, columns and cards of their own."""

from typing import Any

from markupsafe import Markup

from biobank.foundation.terms import words
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.parts import Column
from biobank.viability.forecast import LEVELS
from biobank.viability.plots import density
from biobank.viability.schemas import DosePublic, Estimated, EstimatePublic, MeasuredCount

MEASURED_COLUMNS = [
    Column("measured_at", "When", "when"),
    Column("method", "Method", "words"),
    Column("share", "Living"),
    Column("interval", "95 % interval"),
    Column("counted", "Counted", "number"),
    Column("minutes_after_thaw", "Min after thaw", "number"),
    Column("cells", "Living cells"),
    Column("acceptance", "Acceptance"),
]
EVIDENCE = {
    "own_data": "counts of this bank",
    "own_data_only": "counts of this bank alone; nothing was read elsewhere",
    "literature_updated": "the literature, updated by a few counts of this bank",
    "literature": "the literature alone; this bank has counted none",
    "literature_weak": "weak literature alone; this bank has counted none",
}
STORED = {"fresh": "Not frozen", "nitrogen": "Below −130 °C", "minus_80": "−80 °C"}


def measured_row(one: MeasuredCount) -> dict[str, Any]:
    """Write one count as a row."""
    whole, judged = one.cells_per_vial, one.acceptance
    verdict = None
    if judged is not None:
        shown = "shown" if judged.verdict == "shown" else f"not shown (shows {judged.shown_bp / 100:.1f} %)"
        verdict = f"at least {judged.minimum_bp / 100:g} %: {shown}"
    return {
        "measured_at": one.measured_at,
        "method": one.method,
        "share": quantity(one.viability_bp, "basis_points"),
        "interval": f"{one.wilson_95_lower_bp / 100:.1f} to {one.wilson_95_upper_bp / 100:.1f} %",
        "counted": one.live + one.dead,
        "minutes_after_thaw": one.minutes_after_thaw,
        "cells": None if whole is None else f"{cells_text(whole.cells)} ({cells_text(whole.lower)} to {cells_text(whole.upper)})",
        "acceptance": verdict,
    }


def expected(answer: Estimated, *, checks: bool) -> dict[str, Any]:
    """Return what the card of the estimate shows: facts, a plot and its table, or the sentence of the refusal.

    `checks`: the reader compares estimates, and is told by which parameters this one was made.
    """
    one = answer.estimate
    if one is None:
        assert answer.refused is not None
        return {"refused": answer.refused, "facts": [], "plot": None, "rows": [], "columns": []}
    return {
        "refused": None,
        "facts": _facts(one) + (_made_by(one) if checks else []),
        "plot": density(one.quantiles, LEVELS) if one.quantiles else None,
        "rows": _rows(one),
        "columns": [Column("of", "Of"), Column("interval", "Interval"), Column("range", "Living")],
    }


def _rows(one: EstimatePublic) -> list[dict[str, str]]:
    vials = "follicles" if one.question == "follicle_outgrowth" else "vials"
    bands = [("the next vial", band) for band in one.next_vial] + [(f"the mean of such {vials}", band) for band in one.mean]
    return [
        {"of": of, "interval": f"{band.percent} %", "range": f"{band.lower_bp / 100:.1f} to {band.upper_bp / 100:.1f} %"}
        for of, band in bands
    ]


def _facts(one: EstimatePublic) -> list[tuple[str, Any]]:
    given = one.inputs
    facts: list[tuple[str, Any]] = [
        ("Expected", None if one.expected_bp is None else quantity(one.expected_bp, "basis_points")),
        ("Rests on", EVIDENCE[one.evidence] + (f" ({one.own_thaws} thaws, {one.own_donors} donors)" if one.own_thaws else "")),
        ("In terms of", words(one.assay)),
        ("Kept", f"{STORED[given.storage]}, {given.stored_days:.0f} days" if given.storage != "fresh" else STORED["fresh"]),
        (
            "Before processing",
            f"{given.warm_hours_before_processing:.1f} h at room temperature, {given.cold_hours_before_processing:.1f} h cold",
        ),
        ("Freezing procedure", given.procedure_version),
    ]
    if one.dose is not None:
        facts.append(("Living cells to be expected", dose_text(one.dose)))
    return facts


def _made_by(one: EstimatePublic) -> list[tuple[str, Any]]:
    fit = "" if one.fit is None else ", and what this bank's thaws taught"
    said = Markup('{} <span class="hash">{}</span>{}').format(one.parameters.version, one.parameters.sha256[:12], fit)
    return [("Parameters", said)]


def dose_text(dose: DosePublic) -> str:
    """Write a dose: `4.1 M cells (90 %: 3.2 M to 4.9 M)`."""
    return f"{cells_text(dose.expected)} cells (90 %: {cells_text(dose.lower)} to {cells_text(dose.upper)})"


def cells_text(cells: int) -> str:
    """Write a number of cells: `4.12 M`, `850 000`."""
    return f"{cells / 1_000_000:.2f} M" if cells >= 1_000_000 else f"{cells:,}".replace(",", " ")
