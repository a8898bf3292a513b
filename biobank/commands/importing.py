"""An old bank's spreadsheet."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biobank.commands.console import REFUSED, WRONG_USAGE, console, errors, fail, open_bank
from biobank.foundation.errors import Refusal

if TYPE_CHECKING:
    from biobank.importing.plan import CheckedRow
    from biobank.importing.profile import Profile
    from biobank.importing.reading import Row
    from biobank.importing.report import ReportLine
    from biobank.importing.service import Result

READ_BETWEEN = 20_000
SHOWN = 20
"""Reasons that are printed; the report has every line."""


def import_(
    file: Annotated[Path, typer.Argument(help="The old inventory: .xlsx, .xls, .ods or .csv.")],
    profile: Annotated[
        Path | None, typer.Option(help="TOML file that says what its columns and words mean (docs/importing.md).")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Import what is ready. Without it nothing is written.")] = False,
    report: Annotated[Path | None, typer.Option(help="CSV with a line for every row: outcome, code, reasons. No names.")] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a profile from the file's headings, for a person to go through.")
    ] = False,
) -> None:
    """Judge every row of an old spreadsheet, and with --commit import those that leave nothing to guess.

    Exit code 0 when no row was refused, 1 when some were; the others are imported all the same. Safe to run again.
    """
    if draft:
        return _draft(file, profile or file.with_suffix(".toml"))
    if profile is None:
        raise fail("Say --profile FILE, or --draft to have one written from the headings.", WRONG_USAGE)
    from biobank.foundation import clock
    from biobank.importing.plan import check_rows
    from biobank.importing.profile import Profile
    from biobank.importing.reading import read_rows
    from biobank.importing.report import line_of

    try:
        meaning = Profile.read(profile)
        rows = read_rows(file, meaning)
        checked = check_rows(_told(rows), meaning, clock.now().date())
    except Refusal as refusal:
        raise fail(refusal.detail, WRONG_USAGE) from refusal
    for sentence in rows.said:
        errors.print(sentence, highlight=False, markup=False)
    results: dict[int, Result] = {}
    with _reported(report, checked, results):
        if commit:
            _commit(checked, meaning, results)
    lines = [line_of(one, results.get(id(one))) for one in checked]
    refused = _tell(lines, commit=commit)
    if refused:
        raise typer.Exit(REFUSED)


def _told(rows: "Iterable[Row]") -> "Iterator[Row]":
    """Yield the rows, and tell how far they are: a long file takes minutes."""
    for number, row in enumerate(rows, start=1):
        if number % READ_BETWEEN == 0:
            errors.print(f"{number} lines read", highlight=False)
        yield row


def _draft(file: Path, to: Path) -> None:
    from biobank.importing.drafting import draft_profile
    from biobank.importing.reading import open_file

    if to.exists():
        raise fail(f"{to} is there already; it is not written over.", WRONG_USAGE)
    try:
        text = draft_profile(open_file(file), file.stem)
    except Refusal as refusal:
        raise fail(refusal.detail, WRONG_USAGE) from refusal
    to.write_text(text, encoding="utf-8")
    console.print(f"Wrote {to}. Go through every line of it, then run: biobank import FILE --profile {to}", highlight=False)


def _commit(checked: "Sequence[CheckedRow]", meaning: "Profile", results: "dict[int, Result]") -> None:
    from biobank.importing.service import at_console, import_ready

    started = time.monotonic()

    def tick(done: int, of: int) -> None:
        left = (time.monotonic() - started) / done * (of - done)
        remaining = "" if done == of else f", about {_duration(left)} left"
        errors.print(f"{done} of {of} tubes{remaining}", highlight=False)

    ready = [one for one in checked if one.outcome == "ready"]
    with open_bank() as bank:
        for some in import_ready(at_console(bank), ready, meaning, tick):
            results |= {id(result.checked): result for result in some}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def _reported(report: Path | None, checked: "Sequence[CheckedRow]", results: "dict[int, Result]") -> Iterator[None]:
    """Write the report whatever ends the work: what was done until then stands in it, and can be gone on with.

    A fault is told by its kind alone: what a database says of a row may hold what stands in the row.
    """
    if report is not None:
        try:
            report.touch()
        except OSError as error:
            raise fail(f"The report cannot be written ({type(error).__name__}). Nothing was imported.", WRONG_USAGE) from error
    broken: str | None = None
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        broken = "it was interrupted"
    # Whatever it was, the rows that are in the bank are told.
    except Exception as error:
        broken = f"there was a fault ({type(error).__name__})"
    finally:
        if report is not None:
            from biobank.importing.report import csv_of, line_of

            lines = [line_of(one, results.get(id(one))) for one in checked]
            report.write_text(csv_of(lines), encoding="utf-8", newline="")
    if broken is not None:
        done = sum(result.outcome == "imported" for result in results.values())
        raise fail(f"The import stopped because {broken}. {done} tubes are imported. Run it again: it goes on with the rest.")


def _tell(lines: "Sequence[ReportLine]", *, commit: bool) -> int:
    from biobank.importing.report import OUTCOMES, counted

    counts = counted(lines)
    for outcome, number in counts.items():
        console.print(f"{number:>6} {OUTCOMES[outcome]}", highlight=False)
    refused = [line for line in lines if line.outcome == "refused"]
    for one in refused[:SHOWN]:
        errors.print(f"{one.sheet}:{one.line}: {one.reasons}", highlight=False, markup=False, soft_wrap=True)
    if len(refused) > SHOWN:
        errors.print(f"… and {len(refused) - SHOWN} more: --report FILE lists every one.", highlight=False)
    if not commit and "ready" in counts:
        console.print("Nothing was written. Run it again with --commit to import what is ready.", highlight=False)
    return len(refused)
