"""Files for other systems."""

import sys
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


def exchange(
    code: Annotated[str, typer.Argument(help="The specimen.")],
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    fmt: Annotated[str, typer.Option("--format", help="epcis, prov, miabis, fhir-r4 or fhir-r5.")] = "epcis",
) -> None:
    """Write what is recorded of one specimen for another system; nobody is named in it."""
    from biobank.interchange.command import file_of_specimen

    with open_bank() as bank:
        data = file_of_specimen(bank, code.upper(), fmt)
    if str(output) == "-":
        sys.stdout.buffer.write(data)
    else:
        output.write_bytes(data)
