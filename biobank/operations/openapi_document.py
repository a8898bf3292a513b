"""/openapi.json: written once per process, off the event loop, and kept as bytes.

Describing some 170 routes takes about a second of CPU. A request for it must not stop everybody else's for as long, and nobody
needs it at the start.
"""

import asyncio
from functools import cache

import orjson
from fastapi import FastAPI, Response

ADDRESS = "/openapi.json"


def install(app: FastAPI) -> None:
    """Serve the document of `app`, which was built with `openapi_url=None`."""

    @cache
    def written() -> bytes:
        return orjson.dumps(app.openapi())

    one_at_a_time = asyncio.Lock()

    @app.get(ADDRESS, include_in_schema=False)
    async def read_document() -> Response:
        async with one_at_a_time:
            return Response(await asyncio.to_thread(written), media_type="application/json")
