"""The custody log as a list and as files."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from anyio import CancelScope
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from sqlmodel import Session
from starlette.types import Receive, Scope, Send

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.web import BankDep, ClaimsDep, Reading, require_own_password
from biobank.auth.identity import load_actor
from biobank.auth.tokens import Claims
from biobank.exports import queries, service
from biobank.exports.cut import Cut
from biobank.exports.formats import FORMATS
from biobank.exports.schemas import LogPage
from biobank.exports.selection import Code, Entered, Kind, Selection
from biobank.foundation import clock
from biobank.foundation.errors import MalformedRequest

T = TypeVar("T")

router = APIRouter(prefix="/api/v1", tags=["custody log"])
AnyFormat: Any = Literal[("json", *FORMATS)]
FileFormat: Any = Literal[tuple(FORMATS)]
CONTENT: dict[str, Any] = {one.media_type.partition(";")[0]: {} for one in FORMATS.values()}
Filter = Annotated[Code | None, Query()]
Size = Annotated[int, Query(ge=1, lt=2**63)]
Parts = AsyncGenerator[bytes, None]
"""The bytes of a copy, whose maker is closed by whoever is done with them: it holds a snapshot of the database."""


class ClosedWhenLeft(StreamingResponse):
    """A stream whose generator is closed when its reader goes away: the framework leaves that to the collector of garbage."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, then let the generator end."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()  # type: ignore[attr-defined]


class Begun:
    """Parts of which the first was taken already. Closing it closes them, even when nothing was read of it."""

    def __init__(self, first: bytes, rest: Parts) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> "Begun":
        """Be read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part."""
        if self._first is None:
            return await anext(self._rest)
        first, self._first = self._first, None
        return first

    async def aclose(self) -> None:
        """Close the rest."""
        await self._rest.aclose()


@router.get(
    "/custody-log",
    response_model=LogPage,
    responses={200: {"content": CONTENT, "description": "The log, in the asked format."}},
)
async def read_custody_log(
    reading: Reading,
    claims: ClaimsDep,
    bank: BankDep,
    format: Annotated[AnyFormat, Query(description="`json` is a page; the others are streamed whole.")] = "json",
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    specimen: Filter = None,
    donor: Filter = None,
    kind: Annotated[Kind | None, Query()] = None,
    actor: Filter = None,
    site: Filter = None,
    entered: Annotated[
        Entered | None, Query(description="`paper`: from a filed form; `late`: over 15 minutes after the time that it states.")
    ] = None,
    after: Annotated[str | None, Query(max_length=120, pattern=r"^[A-Za-z0-9_|:.-]+$")] = None,
    size: Annotated[Size | None, Query(description="Of a file: tree size of a published checkpoint; default the newest.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Any:
    """The custody log, filtered: a page of it, or all of it as a file with started and finished events.

    A file holds what is sealed and signed: the first `X-Log-Size` entries of the log, whose tree has the root hash `X-Log-Root`.
    """
    selection = Selection(
        since=since, until=until, specimen=specimen, donor=donor, kind=kind, actor=actor, site=site, entered=entered
    )
    if format == "json":
        if size is not None:
            raise MalformedRequest(
                "A page shows what the log has now and takes no size. Ask for a file to have the log of a size."
            )
        return await reading(queries.search_log, selection, after, limit)
    return await streamed(bank, claims, format, selection, size)


async def streamed(bank: Bank, claims: Claims, format_name: str, selection: Selection, size: int | None = None) -> Response:
    """Stream an export and record how it ended, also when the reader goes away.

    Raises NothingSealed, ReplicaBehind and Unavailable before the first byte.
    """
    asked = partial(service.start_export, format_name=format_name, selection=selection, size=size)
    act, export = await begun(bank, claims, lambda session, act: asked(session, act))
    written = service.Written()
    name = f"custody-log-{export.cut.size}-{export.id}.{export.format.file_ending}"
    parts = service.stream(bank, export, written)
    return await sent(bank, act, export, export.cut, written, parts, name, export.format.media_type)


async def sent(
    bank: Bank, act: Act, copy: service.Copy, cut: Cut, written: service.Written, parts: Parts, name: str, media_type: str
) -> Response:
    """Answer with a copy whose start is recorded once its first bytes are there, so that what cannot be made is refused."""
    chunks = recorded_to_its_end(bank, act, copy, written, parts)
    first = await anext(chunks, b"")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Export-Id": str(copy.id), **cut.headers}
    return ClosedWhenLeft(Begun(first, chunks), media_type=media_type, headers=headers)


async def begun(bank: Bank, claims: Claims, start: Callable[[Session, Act], T]) -> tuple[Act, T]:
    """Record the start of a copy as the one who is signed in."""

    def begin(session: Session) -> tuple[Act, T]:
        actor = load_actor(session, claims.session_id)
        require_own_password(actor)
        act = Act(actor=actor, bank=bank, keystore=bank.keystore, method="GET", path="/api/v1/custody-log")
        return act, start(session, act)

    return await bank.database.write(begin)


async def recorded_to_its_end(bank: Bank, act: Act, copy: service.Copy, written: service.Written, chunks: Parts) -> Parts:
    """Yield the chunks of a copy whose start is recorded, and record how it ended, also when the reader goes away."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        finished = replace(act, at=clock.now())
        with CancelScope(shield=True):  # the framework cancels, again and again, what a reader no longer waits for
            await chunks.aclose()
            await bank.database.write(lambda s: service.finish_export(s, finished, copy, written))
