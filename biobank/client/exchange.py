"""What a client of the bank does whether it waits or not: tokens, keys, retries, receipts. It sends nothing by itself.

`Exchange.send` is a generator that says what to do next and is told what came of it. `client.py` drives it and waits,
`async_client.py` drives it without blocking; there is one rule of what is repeated, and it is here.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx

from biobank.acts.act import act_hash
from biobank.acts.addresses import path_as_printed
from biobank.client.receipts import ReceiptStore

Json = dict[str, Any]
RETRIED = frozenset({502, 503, 504})
API = "/api/v1"


class Refused(Exception):
    """The bank said no. `code` is stable, `detail` is a sentence, `where_now` says where to put the tube."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        self.code: str = problem.get("code", "unknown")
        self.detail: str = problem.get("detail", "")
        self.where_now: str | None = problem.get("where_now")
        super().__init__(f"{status} {self.code}: {self.detail}")


class Unreachable(Exception):
    """No answer after every retry. Whether a POST happened is unknown; sending it again with `key` is safe."""

    def __init__(self, key: str | None) -> None:
        super().__init__("The bank did not answer.")
        self.key = key


@dataclass(frozen=True)
class Ask:
    """Send this and tell what came: the answer, or None when the network lost it."""

    method: str
    path: str
    headers: Mapping[str, str]
    how: Mapping[str, Any]


@dataclass(frozen=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


Steps = Generator[Ask | Wait, httpx.Response | None, httpx.Response]


@dataclass
class Exchange:
    """One person's conversation with one bank. `receipts` are kept in the order they came."""

    retries: int
    receipt_store: ReceiptStore | None = None
    receipts: list[str] = field(default_factory=list)
    _access: str | None = None
    _refresh: str | None = None

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Return what proves who asks, and the key of the request."""
        headers = {} if self._access is None else {"Authorization": f"Bearer {self._access}"}
        return headers if key is None else headers | {"Idempotency-Key": key}

    def take_tokens(self, answer: Json) -> None:
        """Go on with these tokens."""
        self._access, self._refresh = answer["access_token"], answer["refresh_token"]

    def forget_tokens(self) -> None:
        """Go on as nobody."""
        self._access = self._refresh = None

    def send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        authorised: bool = True,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Steps:
        """Send, retry what is safe to retry, refresh an expired token once. Raises Refused, Unreachable."""
        refreshed = False
        attempt = 0
        while True:
            sent = (self.headers(key) if authorised else {}) | dict(headers or {})
            answer = yield Ask(method, path, sent, how)
            if answer is not None and answer.status_code not in RETRIED:
                if answer.status_code == 401 and authorised and not refreshed and (yield from self._renew()):
                    refreshed = True
                    continue
                if answer.status_code >= 400:
                    raise refusal_of(answer)
                return answer
            # A GET changes nothing and a keyed POST happens once; anything else must not be repeated blindly.
            if attempt >= self.retries or not (method == "GET" or key is not None):
                if answer is not None:
                    raise refusal_of(answer)
                raise Unreachable(key)
            yield Wait(min(5.0, 0.2 * 2**attempt))
            attempt += 1

    def act(self, method: str, path: str, *, key: str | None = None, **how: Any) -> Steps:
        """Send what changes something, under one key, and keep its receipt."""
        answer = yield from self.send(method, path, key=key or uuid4().hex, **how)
        self.acknowledge(decoded(answer))
        return answer

    def acknowledge(self, answer: Any) -> None:
        """Keep the receipt of an answer, where it has one; raises BadReceipt under a store whose policy it is not."""
        if not isinstance(answer, dict) or not isinstance(answer.get("receipt"), str):
            return
        self.receipts.append(answer["receipt"])
        if self.receipt_store is not None:
            listed = [e["leaf_hash"] for e in [*answer.get("events", []), *answer.get("items", [])] if "leaf_hash" in e]
            self.receipt_store.keep_acknowledgement(answer["receipt"], listed)

    def _renew(self) -> Generator[Ask | Wait, httpx.Response | None, bool]:
        if self._refresh is None:
            return False
        answer = yield Ask("POST", f"{API}/auth/refresh", {}, {"json": {"refresh_token": self._refresh}})
        if answer is None or answer.status_code != 200:
            return False
        self.take_tokens(answer.json())
        return True


def refusal_of(answer: httpx.Response) -> Refused:
    """Return what a client raises for an answer of 400 and more; of a streamed one the body was read before."""
    try:
        problem: Json = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        problem = {"code": "unknown", "detail": f"The bank answered {answer.status_code}."}
    return Refused(answer.status_code, problem)


def decoded(answer: httpx.Response) -> Any:
    """Return what an answer says: of JSON its value, of anything else its bytes, of none None."""
    if not answer.content:
        return None
    kind = answer.headers.get("content-type", "").split(";")[0]
    return answer.json() if kind == "application/json" or kind.endswith("+json") else answer.content


def given(parameters: Mapping[str, Any]) -> Json:
    """Return parameters as they are sent: those that are None are left out, `from_` is `from`."""
    return {name.rstrip("_"): value for name, value in parameters.items() if value is not None}


def signed_hash(method: str, path: str, body: Mapping[str, Any]) -> str:
    """Return the act hash of `body` sent to `path` (below /api/v1), in hex.

    What is signed is the address as the bank reads it, with its codes as printed, however `path` writes them.
    """
    return act_hash(method, path_as_printed(unquote(API + path)), dict(body)).hex()
