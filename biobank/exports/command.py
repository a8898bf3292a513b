"""Exporting to a file from the command line."""

import sys
from pathlib import Path

from rich.console import Console

from biobank.acts.act import Act
from biobank.bank import Bank
from biobank.errors import NotAcceptable
from biobank.exports.formats import FORMATS
from biobank.exports.selection import Selection
from biobank.exports.service import Written, finish_export, start_export_as_bank, stream_now

TICK = 16 * 1024 * 1024


def export_to_file(
    bank: Bank, output: Path, format_name: str, *, specimen: str | None, donor: str | None, progress: Console
) -> Written:
    """Write the log to `output` (`-` is standard output) and record start and end as the bank itself.

    Raises NotAcceptable for an unknown format.
    """
    if format_name not in FORMATS:
        raise NotAcceptable(f"There is no format '{format_name}'. Choose one of: {', '.join(sorted(FORMATS))}.")
    act = Act.system(bank, path="cli/export")
    selection = Selection(specimen=specimen, donor=donor)
    export = bank.database.write_now(lambda s: start_export_as_bank(s, act, format_name, selection))
    written = Written()
    try:
        with stream_now(bank, export, written) as chunks:
            target = sys.stdout.buffer if str(output) == "-" else output.open("wb")
            with target:
                tick = TICK
                for chunk in chunks:
                    target.write(chunk)
                    if written.size >= tick:
                        progress.print(f"{written.rows} lines, {written.size // 1024 // 1024} MiB", highlight=False)
                        tick += TICK
    finally:
        bank.database.write_now(lambda s: finish_export(s, Act.system(bank, path="cli/export"), export, written))
    return written
