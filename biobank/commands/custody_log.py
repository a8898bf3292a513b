"""The custody log in files."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import WRONG_USAGE, errors, fail, open_bank


def export(
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    fmt: Annotated[str, typer.Option("--format", help="csv, jsonl or xlsx; an unknown one names what there is.")] = "csv",
    specimen: Annotated[str | None, typer.Option(help="Only this specimen.")] = None,
    donor: Annotated[str | None, typer.Option(help="Only this donor.")] = None,
    size: Annotated[int | None, typer.Option(help="Tree size of a published checkpoint; default the newest.", min=1)] = None,
) -> None:
    """Write the custody log to a file, with its SHA-256; the export is an event of the log."""
    from biobank.exports.command import export_to_file

    with open_bank() as bank:
        written = export_to_file(bank, output, fmt, specimen=specimen, donor=donor, size=size, progress=errors)
    errors.print(f"{written.rows} rows, {written.size} bytes, SHA-256 {written.sha256}", highlight=False)


def bundle(
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    specimen: Annotated[str | None, typer.Option(help="Only this specimen.")] = None,
    donor: Annotated[str | None, typer.Option(help="Only this donor.")] = None,
    size: Annotated[int | None, typer.Option(help="Tree size of a published checkpoint; default the newest.", min=1)] = None,
    known_size: Annotated[list[int] | None, typer.Option(help="Size of an older checkpoint the reader holds.", min=1)] = None,
) -> None:
    """Write a bundle that proves itself offline: the whole log, one specimen or one donor. Taking it is an event of the log."""
    from biobank.exports.bundle import Wish
    from biobank.exports.command import bundle_to_file

    if specimen is not None and donor is not None:
        raise fail("Ask for one specimen or for one donor, not for both.", WRONG_USAGE)
    wish = Wish(specimen and specimen.upper(), donor and donor.upper(), size, tuple(known_size or ()))
    with open_bank() as bank:
        written = bundle_to_file(bank, output, wish, progress=errors)
    errors.print(f"{written.rows} entries, {written.size} bytes, SHA-256 {written.sha256}", highlight=False)


def verify(context: typer.Context) -> None:
    """Verify a bundle offline, without network or database; or show with `fork` that two checkpoints are two histories."""
    from biobank.transparency.verify import main

    raise typer.Exit(main(context.args))
