"""Files for other systems."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import errors, open_bank


def fhir(
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    release: Annotated[str, typer.Option(help="R4 or R5.")] = "R4",
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only resources of this type; may be repeated.")] = None,
) -> None:
    """Write everything as FHIR, one resource a line, patients by code; the copy is an event of the log."""
    from biobank.interchange.fhir.command import fhir_to_file

    with open_bank() as bank:
        written = fhir_to_file(bank, output, release.upper(), kind or [])
    errors.print(f"{written.rows} resources, {written.size} bytes, SHA-256 {written.sha256}", highlight=False)
