"""Labels as files."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from biobank.commands.console import WRONG_USAGE, errors, fail, open_bank

Kind = Literal["png", "svg", "pdf", "zpl", "sheet"]
ONE_ONLY = ("png", "svg")


def label(
    codes: Annotated[list[str] | None, typer.Argument(help="Codes of tubes or other things.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; `-` is standard output.")] = Path("-"),
    batch: Annotated[Path | None, typer.Option(help="File with more codes, one a line; `-` is standard input.")] = None,
    template: Annotated[str | None, typer.Option(help="Template; the first that fits the code when left out.")] = None,
    fmt: Annotated[Kind, typer.Option("--format", help="png, svg: one label; sheet: PDF for an office printer.")] = "pdf",
    dpi: Annotated[Literal["203", "300", "600"], typer.Option(help="Dots per inch of the printer.")] = "300",
    number: Annotated[
        str | None, typer.Option("--print", metavar="REASON", help="Number and record the prints, e.g. first_print, damaged.")
    ] = None,
) -> None:
    """Write labels to a file. Without --print they are previews without a serial, and must not go on a tube."""
    wanted = [code.upper() for code in [*(codes or []), *_of_batch(batch)]]
    if not wanted:
        raise fail("Name at least one code, or a file of codes with --batch.", WRONG_USAGE)
    if fmt in ONE_ONLY and len(wanted) > 1:
        raise fail(f"{fmt} holds one label. Write several as pdf, zpl or sheet.", WRONG_USAGE)
    from biobank.labels.console import draw_labels

    with open_bank() as bank:
        content = draw_labels(bank, wanted, template, fmt, int(dpi), number)
    if str(output) == "-":
        sys.stdout.buffer.write(content)
    else:
        output.write_bytes(content)
    errors.print(f"{len(wanted)} label{'s' if len(wanted) > 1 else ''}, {len(content)} bytes", highlight=False)


def _of_batch(batch: Path | None) -> list[str]:
    if batch is None:
        return []
    try:
        text = sys.stdin.read() if str(batch) == "-" else batch.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"The file of codes cannot be read: {error}.", WRONG_USAGE) from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
