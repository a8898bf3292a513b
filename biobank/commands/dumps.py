"""Backup, restore, and the look after it."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import WRONG_USAGE, console, fail, open_bank, settings_or_exit
from biobank.foundation.config import WeakSettings
from biobank.operations.supervisor import served_database
from biobank.postgres.embedded import EmbeddedPostgresError


def backup(folder: Annotated[Path, typer.Argument(help="Folder to write the dumps to; made when missing.")]) -> None:
    """Dump the bank and, apart from it, the donor keys. Keep the keys' dump for days, not years (docs/operations.md)."""
    from biobank.postgres.backup import dump_all

    with served_database(settings_or_exit()) as settings:
        for path in dump_all(settings, folder):
            console.print(str(path))


def restore(
    bank_dump: Annotated[Path | None, typer.Option("--bank", help="Dump of the bank, into its empty database.")] = None,
    keys_dump: Annotated[Path | None, typer.Option("--keys", help="Dump of the donor keys; only when those were lost.")] = None,
) -> None:
    """Restore dumps into empty databases. Then run `biobank after-restore`."""
    from biobank.postgres.backup import restore_bank, restore_keys

    if bank_dump is None and keys_dump is None:
        raise fail("Say what to restore: --bank FILE, --keys FILE or both.", WRONG_USAGE)
    try:
        with served_database(settings_or_exit()) as settings:
            if bank_dump is not None:
                restore_bank(settings, bank_dump)
            if keys_dump is not None:
                restore_keys(settings, keys_dump)
    except (WeakSettings, EmbeddedPostgresError) as error:
        raise fail(str(error)) from error
    console.print("Restored. Run `biobank after-restore` before serving.")


def after_restore() -> None:
    """Run after restoring a dump, before serving: forget again who was forgotten since, and compare custody with its log."""
    from biobank.operations.restore_check import look_after_restore

    with open_bank() as bank:
        found = look_after_restore(bank)
    for code in found.erased_again:
        console.print(f"{code} was erased after the dump was made; erased again.")
    console.print(f"{found.specimens} specimens, {found.events} events of specimens folded and compared.")
    for code, columns in found.differing.items():
        console.print(f"{code} is not what its events say: {', '.join(columns)}")
    for leaf in found.unaccounted:
        console.print(f"Neither sealed nor waiting to be sealed: event {leaf}")
    if not found.sound:
        raise fail("The record does not agree with itself. Do not serve from this database.")
