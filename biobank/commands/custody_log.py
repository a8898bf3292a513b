"""The custody log in files."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import errors, open_bank


def export(
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    fmt: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    specimen: Annotated[str | None, typer.Option(help="Only this specimen.")] = None,
    donor: Annotated[str | None, typer.Option(help="Only this donor.")] = None,
) -> None:
    """Write the custody log to a file, with its SHA-256; the export is an event of the log."""
    from biobank.exports.command import export_to_file

    with open_bank() as bank:
        written = export_to_file(bank, output, fmt, specimen=specimen, donor=donor, progress=errors)
    errors.print(f"{written.rows} rows, {written.size} bytes, SHA-256 {written.sha256}", highlight=False)
