"""Every call of the API as a method, by the name it has in the OpenAPI document. What there is, is in `calls.json`.

Methods take the members of the address, parameters and headers by name (`from` as `from_`, `Sensor-Key` as `sensor_key`), and
what is sent as `body`: a mapping, of `sign_in` the fields of its form, of a picture its bytes. What the document does not know is
a TypeError before anything is sent; values are judged by the bank. JSON is answered as its value, everything else as bytes,
nothing as None.

`calls.pyi` beside this module is what a type checker and an editor read. Both are written by `tools/client_calls.py`.
"""

from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from biobank.client.exchange import Exchange, Json, Steps, decoded

FILE = Path(__file__).with_name("calls.json")


@cache
def described() -> dict[str, Json]:
    """Return every call by its name: `method`, `path`, `in_path`, `query`, `headers`, `required`, `body`."""
    read: dict[str, Json] = orjson.loads(FILE.read_bytes())
    return read


def prepared(exchange: Exchange, name: str, *values: Any, body: Any = None, key: str | None = None, **named: Any) -> Steps:
    """Return the exchange that makes a call; positional values are those of the address. Raises TypeError."""
    call = described()[name]
    named |= dict(zip(call["in_path"], values, strict=False))
    if len(values) > len(call["in_path"]) or (body is not None and call["body"] is None):
        raise TypeError(f"{name} takes less: {', '.join(call['in_path']) or 'nothing'} by position, body: {call['body']}")
    known = {**{one: one for one in call["in_path"]}, **call["query"], **call["headers"]}
    unknown, missing = named.keys() - known.keys(), {one for one in call["required"] if named.get(one) is None}
    if unknown or missing or (call["body_required"] and body is None):
        raise TypeError(f"{name}: unknown {sorted(unknown)}, missing {sorted(missing)}, body {call['body']}")
    path = call["path"].format(**{one: quote(str(named[one]), safe="") for one in call["in_path"]})
    how: Json = {"params": {sent: named[one] for one, sent in call["query"].items() if named.get(one) is not None}}
    how["headers"] = {sent: str(named[one]) for one, sent in call["headers"].items() if named.get(one) is not None}
    if call["body"] is not None and (body is not None or call["body"] == "json"):
        how |= {"json": {"json": body or {}}, "form": {"data": body}}.get(call["body"], {"content": body})
        if call["body"] not in ("json", "form"):
            how["headers"]["Content-Type"] = call["body"]
    if call["open"]:
        return exchange.send(call["method"], path, authorised=False, **how)
    return exchange.act(call["method"], path, key=key, **how) if call["keyed"] else exchange.send(call["method"], path, **how)


class Calls:
    """Every call of the API, which waits for its answer."""

    def __init__(self, exchange: Exchange, run: Callable[[Steps], httpx.Response]) -> None:
        self._exchange, self._run = exchange, run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in described():
            raise AttributeError(name)
        return lambda *values, **named: decoded(self._run(prepared(self._exchange, name, *values, **named)))


class AsyncCalls:
    """Every call of the API, to be awaited."""

    def __init__(self, exchange: Exchange, run: Callable[[Steps], Awaitable[httpx.Response]]) -> None:
        self._exchange, self._run = exchange, run

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in described():
            raise AttributeError(name)
        return partial(self._call, name)

    async def _call(self, name: str, *values: Any, **named: Any) -> Any:
        return decoded(await self._run(prepared(self._exchange, name, *values, **named)))
