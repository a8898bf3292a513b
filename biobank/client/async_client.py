"""The client of `client.py` for programs that do not block: the same rules of keys, retries, tokens and receipts.

    async with AsyncBankClient("http://127.0.0.1:8000") as bank:
        await bank.sign_in("tess", "…")
        answer = await bank.calls.record_event("AD26-…", body={"kind": "specimen.received", "expected_seq": 1, "site": "HARBOUR"})

Answers of requests that run side by side may come in any order. Refusals are raised as `Refused`, silence as `Unreachable`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from biobank.client.calls import AsyncCalls
from biobank.client.exchange import API, Exchange, Json, Steps, Wait, given, refusal_of, signed_hash
from biobank.client.receipts import ReceiptStore


class AsyncBankClient:
    """One person's, or one program's, connection to one bank.

    What is acknowledged is checked and kept in a `receipt_store`, where one is given.
    """

    def __init__(
        self,
        url: str,
        *,
        retries: int = 4,
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        receipt_store: ReceiptStore | None = None,
        key: str | None = None,
    ) -> None:
        """`key`: of an API client, instead of signing in."""
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout_s, transport=transport)
        self._sleep = sleep
        self._exchange = Exchange(retries, receipt_store, _access=key)
        self.calls = AsyncCalls(self._exchange, self._run)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()

    @property
    def receipts(self) -> list[str]:
        """Every receipt, in the order they came."""
        return self._exchange.receipts

    async def sign_in(self, username: str, password: str) -> None:
        """Get tokens; raise Refused."""
        self._exchange.take_tokens(await self.calls.sign_in(body={"username": username, "password": password}))

    async def sign_out(self) -> None:
        """Revoke the session."""
        await self._run(self._exchange.send("POST", f"{API}/auth/logout"))
        self._exchange.forget_tokens()

    async def post_signed(self, path: str, body: Mapping[str, Any], *, password: str, meaning: str) -> Json:
        """Sign the act that `body` sent to `path` (below /api/v1) is, and act."""
        wanted = {"password": password, "meaning": meaning, "act_hash": signed_hash("POST", path, body)}
        signature = (await self.calls.sign(body=wanted))["signature"]
        acted = await self._run(self._exchange.act("POST", API + path, json={**body, "signature": signature}))
        answer: Json = acted.json()
        return answer

    async def items(self, path: str, **parameters: Any) -> AsyncIterator[Json]:
        """Every item of a list, page after page."""
        after: str | None = None
        while True:
            steps = self._exchange.send("GET", API + path, params=given({**parameters, "after": after}))
            page: Json = (await self._run(steps)).json()
            for item in page["items"]:
                yield item
            after = page.get("next")
            if after is None:
                return

    async def export_log(self, fmt: str = "jsonl", **filters: Any) -> AsyncIterator[bytes]:
        """Stream the custody log; `from_` and `to` are RFC 3339."""
        parameters = {"format": fmt, **given(filters)}
        headers = self._exchange.headers()
        async with self._http.stream("GET", f"{API}/custody-log", params=parameters, headers=headers) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                raise refusal_of(answer)
            async for part in answer.aiter_bytes():
                yield part

    async def _run(self, steps: Steps) -> httpx.Response:
        """Do what an exchange asks for, one after the other; return its last answer."""
        came: httpx.Response | None = None
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    await self._sleep(step.seconds)
                    came = None
                else:
                    try:
                        came = await self._http.request(step.method, step.path, headers=step.headers, **step.how)
                    except httpx.TransportError:
                        came = None
                step = steps.send(came)
        except StopIteration as done:
            answer: httpx.Response = done.value
            return answer
