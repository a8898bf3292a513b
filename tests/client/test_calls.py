"""Every call of the OpenAPI document can be made by name, waiting and not; a real bank answers both in the same way."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from biobank.client.async_client import AsyncBankClient
from biobank.client.calls import described
from biobank.client.client import BankClient, Refused, Unreachable
from tests import seed
from tests.client.test_client import LosesAnswers, collected
from tests.conftest import Api
from tests.sealing import seal

Json = dict[str, Any]


class Noted(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A network that answers everything with an empty object and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(200, json={})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def every_call(api: Api) -> dict[str, tuple[str, str, Json]]:
    """Name → method, address and description, as the running bank says."""
    document = httpx.get(f"{api.url}/openapi.json", timeout=120).json()
    found = [(method.upper(), path, one) for path, ways in document["paths"].items() for method, one in ways.items()]
    return {one["operationId"]: (method, path, one) for method, path, one in found}


def arguments(call: Json) -> tuple[list[str], Json]:
    """Something for each thing that a call must be told, and for each thing that it may be told."""
    named: Json = dict.fromkeys((*call["query"], *call["headers"]), "x")
    if call["body"] is not None:
        named["body"] = {"a": "b"} if call["body"] in ("json", "form") else b"\xff\xd8"
    return ["AD26/../x"] * len(call["in_path"]), named


def test_both_clients_make_every_call_of_the_document(api: Api) -> None:
    documented = every_call(api)
    waiting, other = Noted(), Noted()

    async def one_by_one() -> None:
        bank = AsyncBankClient("http://bank", transport=other)
        for name in documented:
            values, named = arguments(described()[name])
            await getattr(bank.calls, name)(*values, **named)

    with BankClient("http://bank", transport=waiting) as bank:
        for name in documented:
            values, named = arguments(described()[name])
            getattr(bank.calls, name)(*values, **named)
    asyncio.run(one_by_one())

    assert set(described()) == set(documented)
    for noted in (waiting, other):
        assert len(noted.asked) == len(documented)
        for request, (method, path, one) in zip(noted.asked, documented.values(), strict=True):
            assert request.method == method
            shape = re.sub(r"\\\{\w+\\\}", "AD26%2F..%2Fx", re.escape(path))
            assert re.fullmatch(shape, request.url.raw_path.decode().split("?")[0]), path
            headers = {p["name"] for p in one.get("parameters", ()) if p["in"] == "header"}
            assert {p["name"] for p in one.get("parameters", ()) if p["in"] == "query"} == set(request.url.params)
            assert headers <= set(request.headers), path
            assert bool(one.get("requestBody")) == bool(request.content), path


def test_a_call_that_the_document_does_not_know_is_not_sent() -> None:
    noted = Noted()
    with BankClient("http://bank", transport=noted) as bank:
        with pytest.raises(AttributeError):
            bank.calls.make_coffee()  # type: ignore[attr-defined]
        with pytest.raises(TypeError, match="unknown \\['colour'\\]"):
            bank.calls.read_specimen("AD26-0000000", colour="red")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="missing \\['code'\\]"):
            bank.calls.read_specimen()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="takes less"):
            bank.calls.list_kits("KT-0000000")  # type: ignore[call-arg]
    assert noted.asked == []


def test_the_same_story_is_told_by_either_client(api: Api) -> None:
    code = collected(api)
    seal(api.test_bank)
    received = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}

    async def told() -> tuple[Json, list[Json], str, bytes]:
        async with AsyncBankClient(api.url) as bank:
            await bank.sign_in("lab_tech", seed.PASSWORD)
            event = await bank.calls.record_event(code, body=received)
            history = [one async for one in bank.items(f"/specimens/{code}/custody")]
            note = await bank.calls.read_checkpoint()
            with pytest.raises(Refused) as stale:
                await bank.calls.record_event(
                    code, body={"kind": "specimen.checked_out", "purpose": "testing", "expected_seq": 1}
                )
            assert bank.receipts == [event["receipt"]]
            await bank.sign_out()
            with pytest.raises(Refused):
                await bank.calls.read_me()
            return event, history, stale.value.code, note

    event, history, refused, note = asyncio.run(told())
    with BankClient(api.url) as bank:
        bank.sign_in("lab_tech", seed.PASSWORD)
        assert bank.calls.read_specimen(code)["custody"]["seq"] == event["seq"] == 2
        assert [one["kind"] for one in bank.calls.read_custody(code, limit=50)["items"]] == [one["kind"] for one in history]
        assert bank.calls.read_checkpoint() == note
    assert refused == "stale_sequence"


def test_an_answer_that_is_lost_is_asked_for_again_without_blocking_too(api: Api) -> None:
    code = collected(api)
    lossy = LosesAnswers(1)

    class Loses(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if lossy.times and request.url.path.endswith("/events"):
                lossy.times -= 1
                await answer.aclose()
                raise httpx.ReadError("the answer was lost")
            return answer

    async def at_once(_s: float) -> None:
        return None

    async def told() -> Json:
        async with AsyncBankClient(api.url, transport=Loses(), sleep=at_once) as bank:
            await bank.sign_in("lab_tech", seed.PASSWORD)
            answer: Json = await bank.calls.record_event(
                code, body={"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
            )
            lossy.times = 99
            with pytest.raises(Unreachable) as lost:
                await bank.calls.record_event(
                    code, body={"kind": "specimen.checked_out", "purpose": "testing", "expected_seq": 2}
                )
            assert lost.value.key
            return answer

    assert asyncio.run(told())["seq"] == 2


def test_the_log_streams_without_blocking(api: Api) -> None:
    collected(api)
    seal(api.test_bank)

    async def streamed() -> list[bytes]:
        async with AsyncBankClient(api.url) as bank:
            await bank.sign_in("auditor", seed.PASSWORD)
            return b"".join([part async for part in bank.export_log("csv")]).splitlines()

    assert asyncio.run(streamed())[0].startswith(b"log_index")


def test_an_act_is_signed_without_blocking(api: Api) -> None:
    code = collected(api)

    async def told() -> tuple[Json, Json]:
        async with AsyncBankClient(api.url) as bank:
            await bank.sign_in("quality", seed.PASSWORD)
            body = {"kind": "investigation", "scope_kind": "specimen", "scope_id": code, "reason": "label_unclear"}
            hold = await bank.calls.place_hold(body=body)
            lift = {"reason": "looked_again"}
            return hold, await bank.post_signed(f"/holds/{hold['id']}/lift", lift, password=seed.PASSWORD, meaning="hold_lifted")

    hold, lifted = asyncio.run(told())
    assert lifted["id"] == hold["id"]
    assert lifted["lifted_by"] == seed.USERS["quality"].code
