"""Use cases of exports: a started event, a stream of bytes, a finished event with the number of rows and the hash."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from sqlmodel import Session
from starlette.concurrency import iterate_in_threadpool

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, WHOLE, Scope
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.exports.cut import Cut, choose_cut, opened_at
from biobank.exports.events import ExportFinished, ExportStarted
from biobank.exports.formats import FORMATS
from biobank.exports.formats.format import Counter, Format, Names
from biobank.exports.selection import Selection
from biobank.foundation.errors import Unavailable
from biobank.foundation.from_above import FromAbove
from biobank.vault import Keystore

names_told: FromAbove[Callable[[Session, Actor, Keystore], Names]] = FromAbove("people")
"""The printed names that a reader may be told, for files that people read."""
STREAM = "EXPORTS"
AT_ONCE = 2
"""Exports of one worker at a time: a slow reader holds a snapshot, and a snapshot holds back vacuum."""
LONGEST = "30min"


@dataclass
class Written(Counter):
    """What has been sent so far."""

    size: int = 0
    complete: bool = False
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, chunk: bytes) -> None:
        """Measure and hash a chunk."""
        self.size += len(chunk)
        self.digest.update(chunk)

    @property
    def sha256(self) -> str:
        """The hash of everything sent, hex."""
        return str(self.digest.hexdigest())


@dataclass(frozen=True)
class Copy:
    """A copy of the log that may be taken: its start and its end name this id."""

    id: UUID


@dataclass(frozen=True)
class Export(Copy):
    """A copy that is streamed: where it ends, its format and the events it takes."""

    cut: Cut
    format: Format
    where: sql.Composed
    names: Names


def start_export(session: Session, act: Act, format_name: str, selection: Selection, size: int | None = None) -> Export:
    """Check the permission, record the start and return what to stream: of the newest published size, or exactly of `size`.

    Raises NotPermitted, NothingSealed.
    """
    act.require(Permission.LOG_EXPORT, at=ANYWHERE)
    return _start(session, act, format_name, selection, act.actor.scope(Permission.LOG_EXPORT), size)


def start_export_as_bank(session: Session, act: Act, format_name: str, selection: Selection, size: int | None = None) -> Export:
    """The same for the command line, where whoever holds the database's login is the bank itself. It is told no names."""
    return _start(session, act, format_name, selection, WHOLE, size)


def _start(session: Session, act: Act, format_name: str, selection: Selection, scope: Scope, size: int | None) -> Export:
    chosen, cut = FORMATS[format_name], choose_cut(session, size)
    names = names_told.get()(session, act.actor, act.keystore) if chosen.named else {}
    identity = record_start(session, act, format_name, selection.named(), cut)
    return Export(identity, cut, chosen, selection.where(scope, cut.size), names)


def start_copy(session: Session, act: Act, format_name: str, selection: Selection) -> Copy:
    """Check the permission and record the start of a copy that the caller makes: a dossier with what the log says."""
    act.require(Permission.LOG_EXPORT, at=ANYWHERE)
    return start_copy_as_bank(session, act, format_name, selection)


def start_copy_as_bank(session: Session, act: Act, format_name: str, selection: Selection) -> Copy:
    """The same for the command line."""
    return Copy(record_start(session, act, format_name, selection.named()))


def record_start(session: Session, act: Act, format_name: str, filters: dict[str, str], cut: Cut | None = None) -> UUID:
    """Record that a copy is begun and return its id."""
    identity = uuid4()
    size, root = (None, None) if cut is None else (cut.size, cut.root)
    event = ExportStarted(export=str(identity), format=format_name, filters=filters, size=size, root=root)
    append(session, [Fact(StreamKind.SYSTEM, STREAM, event, head_of(session, act, NOW, subject=None, site=None))])
    return identity


def finish_export(session: Session, act: Act, export: Copy, written: Written) -> None:
    """Record the end: whole, or broken off by the reader."""
    event = ExportFinished(
        export=str(export.id),
        complete=written.complete,
        rows=written.rows,
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


async def off_the_loop(chunks: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
    """Yield `chunks`, made in a thread one at a time, while holding a place. Raises Unavailable when there is none."""
    async with place():
        try:
            async for chunk in iterate_in_threadpool(chunks):
                yield chunk
        finally:
            chunks.close()


def stream(bank: Bank, export: Export, written: Written) -> AsyncGenerator[bytes, None]:
    """Yield the file inside a request, counting and hashing it; constant memory. Raises ReplicaBehind, Unavailable."""

    def chunks() -> Generator[bytes, None, None]:
        with stream_now(bank, export, written, longest=LONGEST) as parts:
            yield from parts

    return off_the_loop(chunks())


@contextmanager
def stream_now(bank: Bank, export: Export, written: Written, *, longest: str = "0") -> Iterator[Iterator[bytes]]:
    """`stream` for synchronous callers. `longest` bounds each statement; "0" does not."""
    with opened_at(bank, export.cut, longest=longest) as connection:

        def chunks() -> Iterator[bytes]:
            for chunk in export.format.write(connection, export.where, written, export.names):
                written.add(chunk)
                yield chunk
            written.complete = True

        yield chunks()
