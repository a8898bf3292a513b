"""The files that are kept beside the database: are they all there, and moving them into a bucket."""

import hashlib
from typing import Annotated

import typer

from biobank.commands.console import console, fail, open_bank
from biobank.foundation.file_store import Moving, StoreAway, move

files = typer.Typer(no_args_is_help=True, help="Attachments: are they all there, and moving them into a bucket.")


@files.command("check")
def check(
    read: Annotated[bool, typer.Option("--read", help="Also read and decrypt each, and compare it with its hash.")] = False,
) -> None:
    """Look for every file that the bank has acknowledged; exit 1 when one is lost."""
    from cryptography.exceptions import InvalidTag

    from biobank.quality.attachments import AttachmentGone, read_file
    from biobank.reconciliation.kept_files import check_all
    from biobank.registries import tables

    assert tables.MODULES
    with open_bank() as bank:

        def sound(sha256: str, subject: str) -> bool:
            try:
                return hashlib.sha256(read_file(bank, sha256, subject)).hexdigest() == sha256
            except (AttachmentGone, InvalidTag):
                return False

        try:
            looked_at, lost = bank.database.write_now(lambda s: check_all(s, bank.files, sound if read else None))
        except StoreAway as error:
            raise fail(str(error)) from error
    for sha256 in lost:
        console.print(f"lost: {sha256}", soft_wrap=True)
    console.print(f"{looked_at} files looked for, {len(lost)} lost.")
    if lost:
        raise typer.Exit(1)


@files.command("move")
def move_files() -> None:
    """Move the state folder's files into the bucket that is set. While the bank works; begin again when it was broken off."""
    with open_bank() as bank:
        if not isinstance(bank.files, Moving):
            raise fail("Set BIOBANK_FILE_STORE, and start the bank's processes with it, before files are moved there.")
        try:
            moved = move(bank.files)
        except StoreAway as error:
            raise fail(f"{error} What was moved is moved; begin again.") from error
    console.print(f"{moved} files moved.")
