"""/openapi.json: written once per process, off the event loop, and kept as bytes.

Describing some 300 routes takes about a second of CPU. A request for it must not stop everybody else's for as long, and nobody
needs it at the start. It is the same for everybody, and a megabyte and a half: whoever takes it packed gets it so.

What the framework writes gets two things more: every call has a short name of its own, by which clients call it, and the calls
of `api_examples.json` have examples that were really run.
"""

import asyncio
import gzip
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from biobank.foundation.asgi import takes_packed
from biobank.operations.api_examples import put_into

ADDRESS = "/openapi.json"
Json = dict[str, Any]


def install(app: FastAPI) -> None:
    """Serve the document of `app`, which was built with `openapi_url=None`."""

    @cache
    def written() -> tuple[bytes, bytes]:
        whole = orjson.dumps(document_of(app))
        return whole, gzip.compress(whole, mtime=0)

    one_at_a_time = asyncio.Lock()

    @app.get(ADDRESS, include_in_schema=False)
    async def read_document(request: Request) -> Response:
        async with one_at_a_time:
            whole, packed = await asyncio.to_thread(written)
        headers = {"Vary": "Accept-Encoding"}
        if takes_packed(request.headers):
            return Response(packed, media_type="application/json", headers=headers | {"Content-Encoding": "gzip"})
        return Response(whole, media_type="application/json", headers=headers)


def document_of(app: FastAPI) -> Json:
    """Return the OpenAPI document of an application, as it is served."""
    document: Json = app.openapi()
    _name_calls(document)
    put_into(document)
    return document


def calls_of(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield every call of a document: method in capitals, address, description."""
    for address, methods in document["paths"].items():
        for method, described in methods.items():
            yield method.upper(), address, described


def _name_calls(document: Json) -> None:
    """Name each call after the function that answers it; functions of one name get the noun of their address behind it."""
    calls = [(address, one, _function_of(address, method, one)) for method, address, one in calls_of(document)]
    often = Counter(name for _, _, name in calls)
    for address, described, name in calls:
        noun = address.removeprefix("/api/v1/").split("/")[0].replace("-", "_")
        described["operationId"] = name if often[name] == 1 else f"{name}_{noun}"
    names = Counter(one["operationId"] for _, _, one in calls_of(document))
    assert max(names.values()) == 1, [name for name, times in names.items() if times > 1]


def _function_of(address: str, method: str, described: Json) -> str:
    """Return the function's name out of what the framework made of it: name, address with `_` for every other sign, method."""
    tail = "".join(sign if sign.isalnum() or sign == "_" else "_" for sign in f"{address}_{method.lower()}")
    name: str = described["operationId"]
    return name.removesuffix(tail)
