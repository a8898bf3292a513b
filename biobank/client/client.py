"""A client of the bank's API: sign in, act, sign, retry without doing anything twice.

    from biobank.client.client import BankClient

    with BankClient("http://127.0.0.1:8000") as bank:
        bank.sign_in("tess", "…")
        answer = bank.record_event("AD26-…", {"kind": "specimen.received", "expected_seq": 1, "site": "HARBOUR"})

Every POST carries an `Idempotency-Key`; a retry after a lost answer (a broken connection, a 502, 503 or 504) sends the same key,
so that the act happens once and the first answer comes back. A refusal is raised as `Refused` with its stable code. Receipts
are kept in `receipts`, in the order they came.

Every call of the OpenAPI document is a method of `calls`, by its name there:

    bank.calls.list_kits(site="LAB")
    bank.calls.place_hold(body={"kind": "investigation", …})

`async_client.AsyncBankClient` is the same without blocking.

With a `ReceiptStore` every acknowledgement is checked under the policy's keys and stored before the answer is returned, and
`collect_receipts` turns what is stored into inclusion receipts:

    store = ReceiptStore(Path("receipts.db"), Policy.read(Path("policy").read_text()))
    with BankClient(url, receipt_store=store) as bank:
        …
        for owed in bank.collect_receipts():   # acknowledged, past the promise, and not in the log: evidence
            …
"""

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from biobank.client.calls import Calls
from biobank.client.exchange import (
    API,
    RETRIED,
    Exchange,
    Json,
    Refused,
    Steps,
    Unreachable,
    Wait,
    given,
    refusal_of,
    signed_hash,
)
from biobank.client.receipts import BadReceipt, Owed, ReceiptStore
from biobank.foundation import clock
from biobank.transparency.note import from_base64
from biobank.transparency.verify import Checkpoint, Untrue, open_checkpoint

__all__ = ["RETRIED", "BankClient", "Refused", "Unreachable"]


class BankClient:
    """One person's, or one program's, connection to one bank. Not for use from several threads at once."""

    def __init__(
        self,
        url: str,
        *,
        retries: int = 4,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        receipt_store: ReceiptStore | None = None,
        key: str | None = None,
    ) -> None:
        """`key`: of an API client, instead of signing in."""
        self._http = httpx.Client(base_url=url, timeout=timeout_s, transport=transport)
        self._sleep = sleep
        self._exchange = Exchange(retries, receipt_store, _access=key)
        self.calls = Calls(self._exchange, self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # signing in

    def sign_in(self, username: str, password: str) -> None:
        """Get tokens; raise Refused."""
        answer = self._send("POST", f"{API}/auth/token", data={"username": username, "password": password}, authorised=False)
        self._exchange.take_tokens(answer.json())

    def sign_out(self) -> None:
        """Revoke the session."""
        self._send("POST", f"{API}/auth/logout")
        self._exchange.forget_tokens()

    def me(self) -> Json:
        """Who is signed in, with roles."""
        return self.get("/auth/me")

    def sign(self, password: str, meaning: str, path: str, body: Mapping[str, Any], *, method: str = "POST") -> str:
        """Sign the act that `body` sent to `path` (below /api/v1) would be; return the single-use token for `signature`."""
        wanted = {"password": password, "meaning": meaning, "act_hash": signed_hash(method, path, body)}
        answer = self.post("/signatures", wanted)
        return str(answer["signature"])

    def post_signed(self, path: str, body: Mapping[str, Any], *, password: str, meaning: str) -> Json:
        """Sign and act in one go."""
        token = self.sign(password, meaning, path, body)
        return self.post(path, {**body, "signature": token})

    # anything

    def get(self, path: str, **parameters: Any) -> Json:
        """GET below /api/v1; parameters that are None are left out."""
        answer: Json = self._send("GET", API + path, params=given(parameters)).json()
        return answer

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Json:
        """POST below /api/v1 under one idempotency key, new unless given; retried with the same key."""
        answer: Json = self._run(self._exchange.act("POST", API + path, json=body or {}, key=key)).json()
        return answer

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """PATCH below /api/v1."""
        answer: Json = self._run(self._exchange.act("PATCH", API + path, json=body)).json()
        return answer

    def items(self, path: str, **parameters: Any) -> Iterator[Json]:
        """Every item of a list, page after page."""
        after: str | None = None
        while True:
            page = self.get(path, **parameters, after=after)
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return

    # the words of the bench

    def specimen(self, code: str, *, at: str | None = None, as_known_at: str | None = None) -> Json:
        """One specimen, now or as of two clocks."""
        return self.get(f"/specimens/{code}", at=at, as_known_at=as_known_at)

    def custody(self, code: str) -> list[Json]:
        """The whole chain of custody of a specimen, oldest first."""
        return list(self.items(f"/specimens/{code}/custody"))

    def record_event(self, code: str, event: Mapping[str, Any]) -> Json:
        """Record one observation."""
        return self.post(f"/specimens/{code}/events", event)

    def record_events(self, events: list[Mapping[str, Any]]) -> Json:
        """Record observations of many specimens, all or nothing; each names its `specimen`."""
        return self.post("/custody-events", {"events": events})

    def store(self, code: str, *, expected_seq: int, container: str | None = None, position: str | None = None) -> Json:
        """Store or move a specimen."""
        place = {k: v for k, v in (("container", container), ("position", position)) if v is not None}
        return self.post(f"/specimens/{code}/store", {"expected_seq": expected_seq, **place})

    def export_log(self, fmt: str = "jsonl", **filters: Any) -> Iterator[bytes]:
        """Stream the custody log; `from_` and `to` are RFC 3339."""
        parameters = {"format": fmt, **given(filters)}
        with self._http.stream("GET", f"{API}/custody-log", params=parameters, headers=self._exchange.headers()) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise refusal_of(answer)
            yield from answer.iter_bytes()

    # receipts

    def collect_receipts(self) -> list[Owed]:
        """Fetch, check and store the inclusion receipt of every acknowledged event; return those that are overdue and missing.

        What is returned is stored as evidence with the checkpoint that the bank showed. Raises BadReceipt for a proof that proves
        nothing, TwoHistories when a checkpoint does not extend what this store has seen.
        """
        store = self._store()
        newest = self._opened(self.checkpoint())
        self._watch(newest)
        missing: list[Owed] = []
        for owed in store.owed():
            try:
                proof = self.get(f"/log/proofs/{owed.leaf_hash.hex()}")
            except Refused as refused:
                if refused.status != 404:
                    raise
                if owed.overdue(clock.now()):
                    store.accuse_missing(owed, newest.note)
                    missing.append(owed)
                continue
            self._watch(store.keep_receipt(owed.leaf_hash, str(proof["receipt"])))
        return missing

    def checkpoint(self) -> str:
        """The newest checkpoint of the log, as a signed note."""
        return self._send("GET", f"{API}/log/checkpoint", authorised=False).text

    def _store(self) -> ReceiptStore:
        if self.receipt_store is None:
            raise ValueError("this client keeps no receipts: give it a receipt_store")
        return self.receipt_store

    def _opened(self, note: str) -> Checkpoint:
        try:
            return open_checkpoint(note.encode(), self._store().policy, clock.now().timestamp(), quorum=False)
        except Untrue as error:
            raise BadReceipt(f"The bank's checkpoint is not under your policy: {error}.") from error

    def _watch(self, new: Checkpoint) -> None:
        """Demand that a checkpoint and the newest one seen are one history, and remember it."""
        old = self._store().newest_seen()
        proof: list[bytes] = []
        if old is not None and 0 < min(old.size, new.size) < max(old.size, new.size):
            first, second = sorted((old.size, new.size))
            try:
                answer = self.get("/log/consistency", from_=first, to=second)
            except Refused as refused:
                if refused.status != 404:
                    raise
                self._store().accuse("set back", old.note, new.note)
                raise BadReceipt(
                    f"The bank has shown {second} entries before and now shows no proof up to there: its log was set back, or "
                    "this is an old view. Both checkpoints are kept."
                ) from refused
            proof = [node for text in answer["proof"] if (node := from_base64(text)) is not None]
        self._store().see(new, proof)

    # how

    @property
    def receipts(self) -> list[str]:
        """Every receipt, in the order they came."""
        return self._exchange.receipts

    @property
    def receipt_store(self) -> ReceiptStore | None:
        """Where acknowledgements are checked and kept."""
        return self._exchange.receipt_store

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        return self._run(self._exchange.send(method, path, **how))

    def _run(self, steps: Steps) -> httpx.Response:
        """Do what an exchange asks for, one after the other; return its last answer."""
        came: httpx.Response | None = None
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    self._sleep(step.seconds)
                    came = None
                else:
                    try:
                        came = self._http.request(step.method, step.path, headers=step.headers, **step.how)
                    except httpx.TransportError:
                        came = None
                step = steps.send(came)
        except StopIteration as done:
            answer: httpx.Response = done.value
            return answer
