"""Routes of scanning. Resolving changes nothing; it is a POST because a scan may be anything, and addresses are logged."""

import asyncio

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from biobank.acts.web import Reader, Reading
from biobank.foundation.codes import is_ours
from biobank.foundation.errors import PayloadTooLarge
from biobank.scanning import frames, service
from biobank.scanning.schemas import DecodeAnswer, ScanAnswer, ScanRequest

router = APIRouter(prefix="/api/v1", tags=["scanning"])


@router.post("/scans")
async def resolve_scan(body: ScanRequest, reading: Reading) -> ScanAnswer:
    """Say what a scanned text names: one of our codes, our label address, or a foreign identifier we know.

    What names nothing here is kept as an attempt.
    """
    return await reading.keeping(service.resolve_scan, body.text, reading.bank.settings)


@router.post(
    "/scans/decode",
    openapi_extra={
        "requestBody": {"required": True, "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def decode_frame(request: Request, reading: Reading) -> DecodeAnswer:
    """Decode one camera frame (JPEG, at most 256 KiB). The frame is not stored."""
    return await decoded(request, reading)


async def decoded(request: Request, reading: Reader) -> DecodeAnswer:
    """Decode the posted frame in memory and forget it; raise PayloadTooLarge, NotAFrame. The caller is proven all the same."""
    data = await body_of(request, frames.FRAME_BYTES, "A frame")
    await reading(lambda _session, _actor: None)
    frame = await asyncio.to_thread(frames.read_frame, data)
    settings = reading.bank.settings
    others = {one.text for one in frame.symbols if not is_ours(one.text, settings.host_name, settings.former_hosts)}
    known = await reading(service.known_texts, others) if others else frozenset[str]()
    return frames.choose(frame, settings, known)


async def body_of(request: Request, most: int, what: str) -> bytes:
    """Read a posted frame or file of at most `most` bytes, no further than that; raise PayloadTooLarge, which names `what`."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise PayloadTooLarge(f"{what} has at most {most // 1024} KiB. Send a smaller one.")
    except ClientDisconnect:
        return b""
    return bytes(data)
