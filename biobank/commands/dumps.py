"""Backup, restore, the look after it, and the drill."""

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biobank.commands.console import WRONG_USAGE, console, fail, open_bank, settings_or_exit
from biobank.foundation.config import Settings, WeakSettings
from biobank.operations.supervisor import served_database
from biobank.postgres.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from biobank.operations.restore_drill import Drill
    from biobank.postgres.scratch_copy import Source


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


def restore_drill(
    at: Annotated[
        datetime,
        typer.Option(
            "--at",
            help="Time to restore to, in UTC, like 2026-11-30T12:00:00Z.",
            formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%MZ"],
        ),
    ],
    base: Annotated[Path | None, typer.Option(help="Folder whose subfolders are base backups of pg_basebackup.")] = None,
    archive: Annotated[Path | None, typer.Option(help="Folder that `archive_command` fills.")] = None,
    by: Annotated[
        str | None, typer.Option("--with", help="Command that restores into {folder} for {time}, instead of the two folders.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="Where the copy is made and deleted; default the temporary folder.")
    ] = None,
) -> None:
    """Restore the bank to a named time beside the running one, and see whether the copy is whole and proves itself."""
    from biobank.operations.restore_drill import drill
    from biobank.postgres.scratch_copy import BaseAndArchive, ByProgram, restored_copy

    if (base is None or archive is None) == (by is None):
        raise fail("Say where the copy comes from: --base FOLDER and --archive FOLDER, or --with COMMAND.", WRONG_USAGE)
    source: Source = BaseAndArchive(base, archive) if base is not None and archive is not None else ByProgram(by or "")
    time_of, began = at.replace(tzinfo=UTC), time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="biobank-drill-", dir=folder))
    place.chmod(0o755)  # the server's account has to pass through
    try:
        with served_database(_existing(settings_or_exit())) as settings, restored_copy(place, source, time_of) as copy:
            found = drill(settings, lambda url: copy.address(*_login_of(url)), time_of)
    except (WeakSettings, EmbeddedPostgresError) as error:
        raise fail(str(error)) from error
    finally:
        shutil.rmtree((place / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(place)
    _tell(found, time_of, time.monotonic() - began)


def _existing(settings: Settings) -> Settings:
    if settings.database_url is None and not (settings.state_dir / "postgres").exists():
        raise fail("There is no bank here to restore a copy of: set BIOBANK_DATABASE_URL, or BIOBANK_STATE_DIR.", WRONG_USAGE)
    return settings


def _login_of(url: str) -> tuple[str, str]:
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    return str(parts.get("user")), str(parts.get("dbname"))


def _tell(found: "Drill", at: datetime, seconds: float) -> None:
    newest = "none" if found.newest_at is None else f"{found.newest_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    lines = [
        f"Restored to {at:%Y-%m-%dT%H:%M:%SZ} and looked at, in {seconds:.0f} s. The newest event in the copy is of {newest}.",
        f"{found.published} entries of the log under the newest checkpoint; {found.pending} events wait to be sealed.",
        f"{found.record.specimens} specimens, {found.record.events} events of specimens folded and compared.",
        "The register could not be read, so what came later is not known."
        if found.later is None
        else f"The register knows {found.registered} entries: {found.later} later than this copy.",
        "The running bank did not answer, so nothing was held against it."
        if found.compared is None
        else f"{found.compared} events of the running bank, recorded until a minute before that time, were looked for: "
        f"{len(found.missing)} are missing.",
    ]
    if found.verdict["exit_code"] != 0:
        lines.append(f"The log is not true: {found.verdict['why']}")
    lines += [f"{code} is not what its events say: {', '.join(columns)}" for code, columns in found.record.differing.items()]
    lines += [f"Neither sealed nor waiting to be sealed: event {leaf}" for leaf in found.record.unaccounted]
    lines += [f"Not in the copy: event {leaf}" for leaf in found.missing[:20]]
    for line in lines:
        console.print(line, highlight=False, markup=False)
    if not found.proves_itself:
        raise fail("The copy is not the whole record until then. These backups would lose it: find out why today.")
    console.print("The copy proves itself.")
