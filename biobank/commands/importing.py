"""An old bank's spreadsheet."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biobank.commands.console import REFUSED, WRONG_USAGE, console, errors, fail, open_bank
from biobank.foundation.errors import Refusal

if TYPE_CHECKING:
    from biobank.importing.plan import CheckedRow
    from biobank.importing.service import Result

SHOWN = 20
"""Reasons that are printed; the report has every line."""


def import_(
    file: Annotated[Path, typer.Argument(help="The old inventory, .xlsx.")],
    profile: Annotated[Path, typer.Option(help="TOML file that says what its columns and words mean (docs/importing.md).")],
    commit: Annotated[bool, typer.Option("--commit", help="Import what is ready. Without it nothing is written.")] = False,
    report: Annotated[Path | None, typer.Option(help="CSV with a line for every row: outcome, code, reasons. No names.")] = None,
) -> None:
    """Judge every row of an old spreadsheet, and with --commit import those that leave nothing to guess.

    Exit code 0 when no row was refused, 1 when some were; the others are imported all the same. Safe to run again.
    """
    from biobank.foundation import clock
    from biobank.importing.plan import check_rows
    from biobank.importing.profile import Profile
    from biobank.importing.reading import read_rows

    try:
        meaning = Profile.read(profile)
        checked = check_rows(read_rows(file, meaning), meaning, clock.now().date())
    except Refusal as refusal:
        raise fail(refusal.detail, WRONG_USAGE) from refusal
    results: dict[int, Result] = {}
    if commit:
        from biobank.importing.service import import_ready

        def tick(done: int, of: int) -> None:
            if done % 25 == 0 or done == of:
                errors.print(f"{done} of {of} donors", highlight=False)

        ready = [one for one in checked if one.outcome == "ready"]
        with open_bank() as bank:
            for some in import_ready(bank, ready, meaning, tick):
                results |= {id(result.checked): result for result in some}
    lines = [_line(one, results.get(id(one))) for one in checked]
    if report is not None:
        _write(report, lines)
    refused = _tell(lines, commit=commit)
    if refused:
        raise typer.Exit(REFUSED)


HEADINGS = ("sheet", "line", "outcome", "code", "reasons", "notes")


def _line(one: "CheckedRow", result: "Result | None") -> tuple[str, str, str, str, str, str]:
    outcome = one.outcome if result is None else result.outcome
    reasons = [*one.reasons, *([result.reason] if result is not None and result.reason else [])]
    code = "" if result is None else result.code or ""
    return one.row.sheet.name, str(one.row.line), outcome, code, " ".join(reasons), " ".join(one.notes)


def _write(report: Path, lines: Sequence[tuple[str, ...]]) -> None:
    with report.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows(lines)


def _tell(lines: Sequence[tuple[str, ...]], *, commit: bool) -> int:
    counted = Counter(line[2] for line in lines)
    words = {
        "ready": "ready to import",
        "imported": "imported",
        "already": "here already",
        "gone": "not live, left in the old file",
        "refused": "cannot be taken",
    }
    for outcome, sentence in words.items():
        if counted[outcome]:
            console.print(f"{counted[outcome]:>6} {sentence}", highlight=False)
    refused = [line for line in lines if line[2] == "refused"]
    for sheet, line, _, _, reasons, _ in refused[:SHOWN]:
        errors.print(f"{sheet}:{line}: {reasons}", highlight=False, markup=False, soft_wrap=True)
    if len(refused) > SHOWN:
        errors.print(f"… and {len(refused) - SHOWN} more: --report FILE lists every one.", highlight=False)
    if not commit and counted["ready"]:
        console.print("Nothing was written. Run it again with --commit to import what is ready.", highlight=False)
    return len(refused)
