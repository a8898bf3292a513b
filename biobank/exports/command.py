"""Exporting to a file from the command line."""

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.exports.bundle import Wish
from biobank.exports.bundling import bundle_now, start_bundle_as_bank
from biobank.exports.formats import FORMATS
from biobank.exports.selection import Selection
from biobank.exports.service import Written, finish_export, start_export_as_bank, stream_now
from biobank.foundation.errors import NotAcceptable

TICK = 16 * 1024 * 1024


def export_to_file(
    bank: Bank,
    output: Path,
    format_name: str,
    *,
    specimen: str | None,
    donor: str | None,
    size: int | None = None,
    progress: Console,
) -> Written:
    """Write the log to `output` (`-` is standard output) and record start and end as the bank itself.

    Raises NotAcceptable for an unknown format, NothingSealed, ReplicaBehind.
    """
    if format_name not in FORMATS:
        raise NotAcceptable(f"There is no format '{format_name}'. Choose one of: {', '.join(sorted(FORMATS))}.")
    act = Act.system(bank, path="cli/export")
    selection = Selection(specimen=specimen, donor=donor)
    export = bank.database.write_now(lambda s: start_export_as_bank(s, act, format_name, selection, size))
    progress.print(f"The first {export.cut.size} entries of the log, root {export.cut.root}", highlight=False)
    written = Written()
    try:
        with stream_now(bank, export, written) as chunks:
            _write(chunks, output, written, progress)
    finally:
        bank.database.write_now(lambda s: finish_export(s, Act.system(bank, path="cli/export"), export, written))
    return written


def bundle_to_file(bank: Bank, output: Path, wish: Wish, *, progress: Console) -> Written:
    """Write a bundle to `output` (`-` is standard output) and record start and end as the bank itself.

    Raises NotFound for an unknown specimen or donor, NothingSealed.
    """
    act = Act.system(bank, path="cli/bundle")
    bundle = bank.database.write_now(lambda session: start_bundle_as_bank(session, act, wish))
    written = Written()
    try:
        with bundle_now(bank, bundle, written) as chunks:
            _write(chunks, output, written, progress)
    finally:
        bank.database.write_now(lambda session: finish_export(session, Act.system(bank, path="cli/bundle"), bundle, written))
    return written


def _write(chunks: Iterator[bytes], output: Path, written: Written, progress: Console) -> None:
    first = next(chunks, b"")  # before the file is touched: what cannot be written leaves the old one alone
    target = sys.stdout.buffer if str(output) == "-" else output.open("wb")
    with target:
        tick = TICK
        target.write(first)
        for chunk in chunks:
            target.write(chunk)
            if written.size >= tick:
                progress.print(f"{written.rows} rows, {written.size // 1024 // 1024} MiB", highlight=False)
                tick += TICK
