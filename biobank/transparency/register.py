"""The register: the newest checkpoint this log has ever shown, kept outside the database.

A database can be restored from a backup, promoted from a replica that lagged, or cloned. Each time, the log inside it is
shorter than the log that others have already seen, and sealing on from there would fork it. The register makes that
impossible to do by accident: before a checkpoint is shown to anyone it replaces the registered one, by compare-and-swap,
and a sealer whose tree does not contain the registered tree halts.

One file, holding the signed note and nothing else, on another volume than the database if possible. ``<file>.lock``
beside it serialises writers. A write is: lock, read and compare, write a temporary file, fsync it, rename it over the
register, fsync the folder. A register is created once, for the empty tree, before the log's first entry is sealed.

A writer that fails or dies between the last two of these leaves a note that everybody can read and that a power cut may
still take back. So a note found here is written once more (`confirm`) before anything is published on the strength of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from biobank.foundation.durable_files import flush_folder


class RegisterError(Exception):
    """The register cannot be used."""


class RegisterMissing(RegisterError):
    """No checkpoint was ever registered here."""


class RegisterMoved(RegisterError):
    """The register does not hold what the caller thinks it holds: another sealer was first."""


class Register(Protocol):
    """What a sealer needs of a register; a file is one, a consensus store would be another."""

    def read(self) -> str:
        """Return the registered note. Raises RegisterMissing."""

    def create(self, note: str) -> None:
        """Register the first note. Raises RegisterMoved when there is one already."""

    def compare_and_swap(self, old: str, new: str) -> None:
        """Replace exactly ``old`` by ``new``, durably on return. Raises RegisterMoved or RegisterMissing."""

    def confirm(self) -> str:
        """Make the registered note durable, whoever wrote it, and return it. Raises RegisterMissing."""


class FileRegister:
    """A register in one file. Works between processes of one machine (``flock``); the file system must honour fsync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._new_path = path.with_name(path.name + ".new")

    def read(self) -> str:
        """Return the registered note. Raises RegisterMissing, or RegisterError when it is empty or no text."""
        try:
            note = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RegisterMissing(f"there is no checkpoint register at {self._path}") from None
        except UnicodeDecodeError:
            raise RegisterError(f"the checkpoint register {self._path} is not text: its disk damaged it") from None
        if not note:
            raise RegisterError(f"the checkpoint register {self._path} is empty: its disk lost it")
        return note

    def create(self, note: str) -> None:
        """Register the first note. Raises RegisterMoved when a register exists."""
        folder = self._path.parent
        made = [each for each in folder.parents if not each.exists()]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if self._path.exists():
                raise RegisterMoved(f"a checkpoint register exists at {self._path}")
            for each in (folder, *made):  # the register is as durable as the folders it lies in
                with suppress(PermissionError):  # a folder that may not be opened was not made for us just now
                    flush_folder(each.parent)
            self._replace(note)

    def compare_and_swap(self, old: str, new: str) -> None:
        """Replace exactly ``old`` by ``new``; on return it is on the disk. Raises RegisterMoved or RegisterMissing."""
        with self._locked():
            if self.read() != old:
                raise RegisterMoved("the register holds another checkpoint than the one read before")
            self._replace(new)

    def confirm(self) -> str:
        """Write the registered note again and return it: an fsync that failed once may claim success when it is repeated."""
        with self._locked():
            note = self.read()
            self._replace(note)
        return note

    def _replace(self, note: str) -> None:
        with self._new_path.open("wb") as file:
            file.write(note.encode())
            file.flush()
            os.fsync(file.fileno())
        self._new_path.replace(self._path)
        flush_folder(self._path.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            raise RegisterMissing(f"there is no folder for the checkpoint register {self._path}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # closing releases the lock
