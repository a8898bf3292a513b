"""The change feed: GET /events, asked again and again, waiting for what comes, or as server-sent events."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field

from biobank.acts.bank import Bank
from biobank.acts.web import BankDep, ClaimsDep, Reader, Reading
from biobank.auth.tokens import Claims
from biobank.exports import service
from biobank.exports.api import ClosedWhenLeft, Parts, begun, recorded_to_its_end
from biobank.exports.as_cloud_event import Published, as_members, cloud_event
from biobank.exports.feed import Stretch, read_feed
from biobank.exports.selection import Code, Selection
from biobank.foundation.errors import MalformedRequest, Refusal, Unavailable
from biobank.transparency.checkpoint import MAX_TREE_SIZE

router = APIRouter(prefix="/api/v1", tags=["custody log"])

STREAM_TYPE: Final = "text/event-stream"
AnyKind = Annotated[str, Field(pattern=r"^[a-z_]{2,20}\.([a-z_]{2,40}|\*)$")]
LOOKS_AGAIN_S: Final = 0.5
STILL_HERE_S: Final = 15
"""A stream that has nothing to say says so this often: what lies between takes a silent connection for a dead one."""
STREAM_S: Final = 3600
"""A stream ends after an hour; its reader comes back with the last id that it had."""
WAIT_AT_ONCE: Final = 50
"""Readers of one process that wait or are streamed to, all together."""


class CloudEventPublic(BaseModel):
    """An entry of the log as a CloudEvent 1.0."""

    specversion: str
    id: str = Field(description="The entry's leaf hash.")
    source: str = Field(description="The origin of the log.")
    type: str = Field(description="The kind of event.")
    subject: str = Field(description="The code that it is about.")
    time: str = Field(description="When it happened.")
    datacontenttype: str
    partitionkey: str = Field(description="The stream: `specimen/HF26-…`.")
    sequence: str = Field(description="Its place in the log, twenty digits.")
    data: dict[str, Any] = Field(description="The entry.")


class Feed(BaseModel):
    """Events after the place that was asked for. `next` is the `after` of the next question, also when nothing was found."""

    items: list[CloudEventPublic]
    next: int
    size: int = Field(description="Entries of the published log.")


_waiting: set[object] = set()


@contextmanager
def _place() -> Iterator[None]:
    if len(_waiting) >= WAIT_AT_ONCE:
        raise Unavailable("Too many readers wait for events here. Ask without waiting, or again in a minute.")
    mark = object()
    _waiting.add(mark)
    try:
        yield
    finally:
        _waiting.discard(mark)


@router.get(
    "/events",
    response_model=Feed,
    responses={200: {"content": {STREAM_TYPE: {}}, "description": "A page; for `Accept: text/event-stream` as they come."}},
)
async def read_events(
    reading: Reading,
    claims: ClaimsDep,
    bank: BankDep,
    after: Annotated[int, Query(ge=0, le=MAX_TREE_SIZE, description="How many entries of the log you have: 0 at first.")] = 0,
    kind: Annotated[
        list[AnyKind], Query(max_length=50, description="Of these kinds only; `specimen.*`: all about specimens.")
    ] = [],  # noqa: B006
    site: Annotated[list[Code], Query(max_length=50, description="At these sites only.")] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait: Annotated[int, Query(ge=0, le=20, description="Seconds to wait for an event where there is none yet.")] = 0,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[str | None, Header(max_length=20, description="Of a stream that broke off.")] = None,
) -> Any:
    """What came after a place in the log, in the log's order: a page, waited for if you like, or a stream of server-sent events.

    The same events leave as in an export of the log. A stream is written down as one when it begins and ends.
    """
    sites = [one.upper() for one in site]
    if accept is not None and accept.startswith(STREAM_TYPE):
        place = after if last_event_id is None else _place_of(last_event_id)
        return await _streamed(bank, claims, reading, place, kind, sites)
    stretch = await reading(read_feed, after, kind, sites, limit)
    if wait and not stretch.events and stretch.is_all:
        with _place():
            stretch = await _waited(reading, stretch, kind, sites, limit, wait)
    origin = bank.settings.log_origin
    items = [CloudEventPublic.model_validate(as_members(cloud_event(origin, one))) for one in stretch.events]
    return Feed(items=items, next=stretch.next, size=stretch.size)


def _place_of(last_event_id: str) -> int:
    if not last_event_id.isascii() or not last_event_id.isdigit():
        raise MalformedRequest("Last-Event-ID is the id of an event of this stream: a number.")
    return min(int(last_event_id), MAX_TREE_SIZE)


async def _waited(
    reading: Reader, stretch: Stretch, kinds: Sequence[str], sites: Sequence[str], limit: int, wait: int
) -> Stretch:
    """Ask again until something is there; who asks is read anew each time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wait
    while not stretch.events and loop.time() < until:
        await asyncio.sleep(min(LOOKS_AGAIN_S, max(0.0, until - loop.time())))
        stretch = await reading(read_feed, stretch.next, kinds, sites, limit)
    return stretch


async def _streamed(
    bank: Bank, claims: Claims, reading: Reader, after: int, kinds: Sequence[str], sites: Sequence[str]
) -> ClosedWhenLeft:
    if len(_waiting) >= WAIT_AT_ONCE:
        raise Unavailable("Too many readers wait for events here. Ask without streaming, or again in a minute.")
    first = await reading(read_feed, after, kinds, sites, 100)
    asked = partial(service.start_copy, format_name="events", selection=Selection())
    act, copy = await begun(bank, claims, lambda session, act: asked(session, act))
    written = service.Written()
    frames = _frames(bank.settings.log_origin, reading, first, kinds, sites, written)
    return ClosedWhenLeft(
        recorded_to_its_end(bank, act, copy, written, frames), media_type=STREAM_TYPE, headers={"Cache-Control": "no-store"}
    )


async def _frames(
    origin: str, reading: Reader, stretch: Stretch, kinds: Sequence[str], sites: Sequence[str], written: service.Written
) -> Parts:
    """Yield what is found, forever anew, as server-sent events; end with a refusal, which is said, or after an hour."""
    with _place():
        loop = asyncio.get_running_loop()
        ends, said = loop.time() + STREAM_S, loop.time()
        while loop.time() < ends:
            for one in stretch.events:
                yield _counted(written, _frame(origin, one), rows=1)
            if stretch.events:
                said = loop.time()
            elif stretch.is_all:
                if loop.time() - said >= STILL_HERE_S:
                    said = loop.time()
                    yield _counted(written, b": still here\n\n")
                await asyncio.sleep(LOOKS_AGAIN_S)
            try:
                stretch = await reading(read_feed, stretch.next, kinds, sites, 100)
            except Refusal as refusal:
                problem = json.dumps(refusal.problem())
                yield _counted(written, f"event: problem\ndata: {problem}\n\n".encode())
                return
        written.complete = True


def _frame(origin: str, one: Published) -> bytes:
    """The id is the `after` that follows it."""
    return b"id: %d\ndata: %s\n\n" % (one.index + 1, cloud_event(origin, one))


def _counted(written: service.Written, frame: bytes, rows: int = 0) -> bytes:
    written.add(frame)
    written.rows += rows
    return frame
