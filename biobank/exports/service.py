"""Use cases of exports: a started event, a stream of bytes, a finished event with the number of rows and the hash."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, WHOLE
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.exports.events import ExportFinished, ExportStarted
from biobank.exports.formats import FORMATS
from biobank.exports.selection import Selection
from biobank.foundation.errors import Unavailable

CHUNK = 64 * 1024
STREAM = "EXPORTS"
AT_ONCE = 2
"""Exports of one worker at a time: a slow reader holds a snapshot, and a snapshot holds back vacuum."""
LONGEST = "30min"


@dataclass
class Written:
    """What has been sent so far."""

    rows: int = 0
    size: int = 0
    complete: bool = False
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, chunk: bytes) -> None:
        """Count and hash a chunk."""
        self.rows += chunk.count(b"\n")
        self.size += len(chunk)
        self.digest.update(chunk)

    @property
    def sha256(self) -> str:
        """The hash of everything sent, hex."""
        return str(self.digest.hexdigest())


@dataclass(frozen=True)
class Export:
    """An export that may begin: its id, its format and the statement that writes it."""

    id: UUID
    format: str
    statement: sql.Composed


def start_export(session: Session, act: Act, format_name: str, selection: Selection) -> Export:
    """Check the permission, record the start and return what to stream."""
    act.require(Permission.LOG_EXPORT, at=ANYWHERE)
    export = uuid4()
    event = ExportStarted(export=str(export), format=format_name, filters=selection.named())
    append(session, [Fact(StreamKind.SYSTEM, STREAM, event, head_of(session, act, NOW, subject=None, site=None))])
    return Export(export, format_name, FORMATS[format_name].copy(selection.where(act.actor.scope(Permission.LOG_EXPORT))))


def start_export_as_bank(session: Session, act: Act, format_name: str, selection: Selection) -> Export:
    """The same for the command line, where whoever holds the database's login is the bank itself."""
    export = uuid4()
    event = ExportStarted(export=str(export), format=format_name, filters=selection.named())
    append(session, [Fact(StreamKind.SYSTEM, STREAM, event, head_of(session, act, NOW, subject=None, site=None))])
    return Export(export, format_name, FORMATS[format_name].copy(selection.where(WHOLE)))


def finish_export(session: Session, act: Act, export: Export, written: Written) -> None:
    """Record the end: whole, or broken off by the reader."""
    event = ExportFinished(
        export=str(export.id),
        complete=written.complete,
        rows=max(0, written.rows - (FORMATS[export.format].header_lines if export.format in FORMATS else 0)),
        size_bytes=written.size,
        sha256=written.sha256,
    )
    append(session, [Fact(StreamKind.SYSTEM, STREAM, event, head_of(session, act, NOW, subject=None, site=None))])


_places = asyncio.Semaphore(AT_ONCE)


@asynccontextmanager
async def place() -> AsyncIterator[None]:
    """Hold one of this worker's places for exports. Raises Unavailable when none becomes free in time."""
    try:
        await asyncio.wait_for(_places.acquire(), timeout=20)
    except TimeoutError:
        raise Unavailable("Too many exports are running. Try again in a minute.") from None
    try:
        yield
    finally:
        _places.release()


def address_of(bank: Bank) -> str:
    """Exports read as the auditor when there is such an address: on a replica, if that is where it points."""
    address = bank.settings.auditor_database_url or bank.settings.database_url
    assert address is not None
    return address


async def stream(bank: Bank, export: Export, written: Written) -> AsyncIterator[bytes]:
    """Yield the file in chunks of about 64 KiB, counting and hashing them; constant memory.

    Raises Unavailable when too many exports run at once.
    """
    async with place():
        async with await psycopg.AsyncConnection.connect(address_of(bank), autocommit=True) as connection:
            await connection.execute(f"SET statement_timeout = '{LONGEST}'")
            async with connection.cursor() as cursor, cursor.copy(export.statement) as copy:
                waiting = bytearray()
                async for part in copy:
                    waiting += part
                    if len(waiting) >= CHUNK:
                        written.add(bytes(waiting))
                        yield bytes(waiting)
                        waiting.clear()
                if waiting:
                    written.add(bytes(waiting))
                    yield bytes(waiting)
        written.complete = True


@contextmanager
def stream_now(bank: Bank, export: Export, written: Written) -> Iterator[Iterator[bytes]]:
    """`stream` for synchronous callers, for the command line."""
    with (
        psycopg.connect(address_of(bank), autocommit=True) as connection,
        connection.cursor() as cursor,
        cursor.copy(export.statement) as copy,
    ):

        def chunks() -> Iterator[bytes]:
            for part in copy:
                chunk = bytes(part)
                written.add(chunk)
                yield chunk
            written.complete = True

        yield chunks()
