"""The report of an import: a line for every row of the file, outcome, code, reasons and notes. No names stand in it."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from biobank.foundation.formula_cells import defused
from biobank.importing.plan import CheckedRow

if TYPE_CHECKING:
    from biobank.importing.service import Result

OUTCOMES: Mapping[str, str] = {
    "ready": "ready to import",
    "imported": "imported",
    "already": "here already",
    "gone": "not live, left in the old file",
    "refused": "cannot be taken",
}


class ReportLine(NamedTuple):
    """What became of one row."""

    sheet: str
    line: str
    outcome: str
    code: str
    reasons: str
    notes: str


def line_of(one: CheckedRow, result: "Result | None" = None) -> ReportLine:
    """Return the line of a row that was checked, and perhaps imported."""
    outcome = one.outcome if result is None else result.outcome
    reasons = [*one.reasons, *([result.reason] if result is not None and result.reason else [])]
    code = "" if result is None else result.code or ""
    notes = [*one.notes, *(() if result is None else result.said)]
    return ReportLine(one.where.sheet, str(one.where.line), outcome, code, " ".join(reasons), " ".join(notes))


def csv_of(lines: Iterable[ReportLine]) -> str:
    """Return the report as CSV with its headings; what a file or a sheet was called may be meant to be run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(ReportLine._fields)
    writer.writerows([defused(cell) for cell in line] for line in lines)
    return text.getvalue()


def counted(lines: Sequence[ReportLine]) -> dict[str, int]:
    """Return how many rows had each outcome, in the order of OUTCOMES; those that none had are left out."""
    found = Counter(line.outcome for line in lines)
    return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}
