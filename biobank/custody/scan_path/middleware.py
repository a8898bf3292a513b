"""The scan path: the calls that a bank answers all day, ahead of the framework.

It says yes or steps aside. It takes a request only when everything about it is as it should be, does the act with the
same rules, tables and one atomic write as the ordinary route, and answers. Whatever else it meets (no token, a body it cannot
read, a repeated key, a stale sequence, a rule that says no, a database error) it leaves no trace of, and the ordinary route
gets the request as it came. So there is one place that says no, with its words, attempts and locks; the price is that a
refused request is judged twice.

The ordinary route stays declared as any other: it is what the OpenAPI document, the metrics and the tests of rights know.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobank.acts.act import Act, act_hash
from biobank.acts.bank import Bank
from biobank.acts.strict import ON_THE_LOOP, refusal_of_body
from biobank.acts.web import KEY_LIMIT
from biobank.auth.actor import Actor
from biobank.auth.tokens import Claims
from biobank.foundation.asgi import handing_back
from biobank.foundation.errors import Refusal

_KEY = re.compile(rb"[\x21-\x7e]{1,%d}" % KEY_LIMIT)
_BEARER = b"Bearer "

STEP_ASIDE = (Refusal, ValueError, TimeoutError, OSError, psycopg.Error)
"""What it may meet on its way: a no of ours, a shape that is not the documented one, or the database's."""


@dataclass(frozen=True)
class Call:
    """A request with a genuine token, an idempotency key and a JSON body. Who acts is read by the scan path, with the rest."""

    bank: Bank
    claims: Claims
    address: str
    path: dict[str, str]
    key: str
    body: Any

    def by(self, actor: Actor) -> Act:
        """Return the act of this request."""
        return Act(
            actor=actor,
            bank=self.bank,
            keystore=self.bank.keystore,
            method="POST",
            path=self.address,
            request_hash=act_hash("POST", self.address, self.body),
            idempotency_key=self.key,
        )


Answer = Callable[[Call], Awaitable[str | None]]


@dataclass(frozen=True)
class ScanRoute:
    """An ordinary POST route and its fast answer: the JSON text of a success, or None to step aside."""

    route: APIRoute
    answer: Answer

    @classmethod
    def beside(cls, routes: Sequence[Any], endpoint: Callable[..., Any], answer: Answer) -> "ScanRoute":
        """Build the one beside the route that `endpoint` declared."""
        return cls(next(r for r in routes if isinstance(r, APIRoute) and r.endpoint is endpoint), answer)


class ScanPath:
    """ASGI middleware: offers each request to the scan route of its address. Innermost: headers and metrics see no difference."""

    def __init__(self, app: ASGIApp, routes: Sequence[ScanRoute]) -> None:
        self.app = app
        self._routes = [(scan.route.path_regex, scan) for scan in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on untouched."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        for pattern, scan in self._routes:
            found = pattern.match(scope["path"])
            if found is None:
                continue
            first = await receive()
            text = await self._try(scan, scope, found.groupdict(), first)
            if text is None:
                receive = handing_back(first, receive)
                break
            scope["route"] = scan.route
            await _send(send, scan.route.status_code or 200, text.encode())
            return
        await self.app(scope, receive, send)

    async def _try(self, scan: ScanRoute, scope: Scope, path: dict[str, str], first: Message) -> str | None:
        try:
            call = _call(scope, path, first)
            if call is None or scope["query_string"] or refusal_of_body(scan.route, first["body"]) is not None:
                return None
            return await scan.answer(call)
        except STEP_ASIDE:
            return None


def _call(scope: Scope, path: dict[str, str], first: Message) -> Call | None:
    bank: Bank = scope["app"].state.bank
    if first["type"] != "http.request" or first.get("more_body", False) or len(first["body"]) > ON_THE_LOOP:
        return None
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value)
    authorization, key = headers.get(b"authorization", b""), headers.get(b"idempotency-key", b"")
    media = headers.get(b"content-type", b"").partition(b";")[0]
    if not authorization.startswith(_BEARER) or _KEY.fullmatch(key) is None or media != b"application/json":
        return None
    claims = bank.tokens.verify(authorization[len(_BEARER) :].decode())
    return Call(bank, claims, scope["path"], path, key.decode(), orjson.loads(first["body"]))


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
