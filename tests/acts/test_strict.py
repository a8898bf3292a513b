"""A request says what is documented and nothing else, on every route."""

import asyncio
import re
import time
from typing import Any

import httpx
import pytest
from fastapi import Request

from biobank.acts.strict import ON_THE_LOOP, as_documented, contract_of, refusal_of_body
from biobank.registries.routes import ROUTERS
from tests.conftest import Api
from tests.exports.test_custody_log import some_history
from tests.monitoring.test_excursions import a_tank
from tests.monitoring.test_sensors import a_sensor, key_of
from tests.sealing import seal
from tests.specimens.stories import donor, raw_fat

ROUTES = [route for router in ROUTERS for route in router.routes]


def test_an_unknown_parameter_is_refused_on_every_route_and_the_known_ones_are_named(api: Api) -> None:
    wrong = []
    headers = {"Authorization": api.lab_tech.headers["Authorization"], "Idempotency-Key": "k1"}
    headers["Sensor-Key"] = key_of(api, a_sensor(api, a_tank(api)))
    with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
        for route in ROUTES:
            path = re.sub(r"\{[^}]*\}", "x", route.path.replace("{release}", "R4"))  # type: ignore[attr-defined]
            for method in sorted(route.methods):  # type: ignore[attr-defined]
                answer = client.request(method, path, params={"nonsense": "1"}, json={} if method != "GET" else None)
                known = sorted(contract_of(route).query)  # type: ignore[arg-type]
                problem = answer.json()
                if path.startswith("/fhir/"):
                    (issue,) = problem["issue"]
                    problem = {"code": issue["details"]["coding"][0]["code"], "known": known}
                if (answer.status_code, problem["code"], problem.get("known")) != (422, "unknown_parameter", known):
                    wrong.append((method, path, answer.status_code, problem["code"]))
    assert wrong == []


def test_every_object_that_a_body_may_be_takes_no_unknown_member() -> None:
    loose = []
    for route in ROUTES:
        schema = contract_of(route).body  # type: ignore[arg-type]
        bodies = [] if schema is None else [schema, *schema.get("$defs", {}).values()]
        loose += [route for one in bodies if one.get("properties") and one.get("additionalProperties") is not False]
    assert loose == []


def test_a_stranger_hears_of_no_parameters(api: Api) -> None:
    assert httpx.get(f"{api.url}/api/v1/specimens", params={"nonsense": "1"}).status_code == 401


def sent(api: Api, body: str) -> Any:
    tube = raw_fat(api, donor(api))
    headers = {"Content-Type": "application/json"}
    return api.lab_tech.post(f"/specimens/{tube['code']}/events", content=body.replace("SEQ", str(tube["seq"])), headers=headers)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ('{"kind": "specimen.inspected", "expected_seq": SEQ, "occurred_at": "1795896000"}', "malformed_request", "RFC 3339"),
        ('{"kind": "specimen.inspected", "expected_seq": SEQ, "occurred_at": 1795896000}', "malformed_request", "RFC 3339"),
        (
            '{"kind": "specimen.inspected", "expected_seq": SEQ, "occurred_at": "2026-11-29 12:00:00Z"}',
            "malformed_request",
            "RFC 3339",
        ),
        ('{"kind": "specimen.inspected", "expected_seq": "SEQ"}', "malformed_request", "whole number"),
        ('{"kind": "specimen.inspected", "expected_seq": SEQ.0}', "malformed_request", "whole number"),
        ('{"kind": "specimen.inspected", "expected_seq": true}', "malformed_request", "whole number"),
        ('{"kind": "specimen.inspected", "expected_seq": SEQ, "expected_seq": SEQ}', "duplicate_member", "expected_seq"),
        ('{"kind": "specimen.inspected", "expected_seq": SEQ, "nonsense": 1}', "malformed_request", "nonsense"),
        ('{"kind": "specimen.inspected", "expected_seq": NaN}', "malformed_request", "NaN"),
    ],
)
def test_a_body_is_taken_as_documented_only(api: Api, body: str, code: str, words: str) -> None:
    answer = sent(api, body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert words in answer.json()["detail"]


ODD_BODIES: dict[bytes, tuple[int, str]] = {
    b'{"text": "\\ud800"}': (422, "half of a character"),
    b'{"te\\udc00xt": "x"}': (422, "half of a character"),
    b'{"text": "\\ud83e\\uddea7"}': (404, "Nothing here answers"),
    b'{"text": "x",}': (422, "cannot be read"),
    b'{"text": "x"} {}': (422, "cannot be read"),
    b"  ": (422, "cannot be read"),
    b"": (422, "cannot be read"),
    b'{"text": ' + b"9" * 5000 + b"}": (422, "cannot be read"),
    '{"text": "R\u00f6hrchen 7"}'.encode("latin-1"): (422, "cannot be read"),
    '{"text": "x7", "text": "x8"}'.encode("utf-16"): (422, "cannot be read"),
    '{"text": "x7"}'.encode("utf-32"): (422, "cannot be read"),
    '{"text": "x7", "text": "x8"}'.encode("utf-8-sig"): (422, "given twice"),
    '{"text": "x7"}'.encode("utf-8-sig"): (404, "Nothing here answers"),
    b'{"text": "x7", "te\\u0078t": "x8"}': (422, "given twice"),
    b'{"text": 1e999}': (422, "must be a text"),
    b"[]": (422, "must be an object"),
    b'{"text": "\\u0000"}': (422, "text"),
    b'{"text": "\\ufeff"}': (404, "words, not a code"),
}


def test_odd_bodies_are_answered_in_words_and_never_with_a_fault_of_ours(api: Api) -> None:
    wrong = []
    for body, (status, words) in ODD_BODIES.items():
        answer = api.lab_tech.post("/scans", content=body, headers={"Content-Type": "application/json"})
        if answer.status_code != status or words not in answer.json()["detail"]:
            wrong.append((body[:60], answer.status_code, answer.text[:200]))
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";;;"):
        answer = api.lab_tech.post("/scans", content=b'{"text": "x7"}', headers={"Content-Type": media})
        if answer.status_code != 422 or "application/json" not in answer.json()["detail"]:
            wrong.append((media.encode(), answer.status_code, answer.text[:200]))
    many = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{api.url}/api/v1/auth/token", content=b"a=1&" * 1500, headers=many)
    assert (wrong, answer.status_code) == ([], 422)


def test_a_call_without_a_body_takes_none(api: Api) -> None:
    assert api.lab_tech.post("/auth/logout", json={"everywhere": True}).status_code == 422
    assert api.lab_tech.post("/auth/logout", json={}).status_code < 300


def test_a_list_of_five_thousand_is_judged_member_by_member() -> None:
    (route,) = [one for one in ROUTES if one.path == "/api/v1/custody-events"]  # type: ignore[attr-defined]
    event = '{"kind": "specimen.inspected", "specimen": "AD26-KH0KJQL", "expected_seq": 1}'
    many = ",".join([event] * 4999 + [event.replace("1}", "1.0}")])

    refusal = refusal_of_body(route, f'{{"events": [{many}]}}'.encode())  # type: ignore[arg-type]

    assert refusal is not None and "events.4999.expected_seq" in refusal.detail


def turns_while_judging(body: bytes) -> int:
    """Return how often the event loop came round to others while a body was judged."""
    (route,) = [one for one in ROUTES if one.path == "/api/v1/custody-events"]  # type: ignore[attr-defined]
    turns = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def judge() -> int:
        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        before = turns
        scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [], "route": route}
        await as_documented(Request(scope, receive))
        beside.cancel()
        return turns - before

    return asyncio.run(judge())


def test_a_large_body_is_judged_beside_the_event_loop() -> None:
    event = '{"kind": "specimen.inspected", "specimen": "AD26-KH0KJQL", "expected_seq": 1}'

    assert turns_while_judging(f'{{"events": [{event}]}}'.encode()) == 0
    large = f'{{"events": [{",".join([event] * 4000)}]}}'.encode()
    assert len(large) > ON_THE_LOOP
    assert turns_while_judging(large) > 3


@pytest.mark.parametrize("text", ["5.0", "+5", " 5", "true", "1_0"])
def test_a_whole_number_in_an_address_is_digits(api: Api, text: str) -> None:
    answer = api.lab_tech.get("/specimens", params={"limit": text})

    assert (answer.status_code, "whole number" in answer.json()["detail"]) == (422, True)


def test_a_parameter_that_is_no_list_is_given_once(api: Api) -> None:
    answer = api.lab_tech.get("/specimens", params=[("state", "stored"), ("state", "issued")])

    assert (answer.status_code, answer.json()["code"]) == (422, "duplicate_member")


def test_head_of_an_export_does_not_say_that_somebody_has_the_log(api: Api) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    address = f"{api.url}/api/v1/custody-log"
    headers = {"Authorization": api.auditor.headers["Authorization"]}
    asked = httpx.head(address, params={"format": "csv"}, headers=headers, timeout=30)

    listed: list[Any] = []
    for _ in range(200):  # the end is recorded after the answer went out
        listed = listed or httpx.get(address, params={"kind": "system.export_finished"}, headers=headers).json()["items"]
        time.sleep(0 if listed else 0.05)
    assert (asked.status_code, asked.content, "x-export-id" in asked.headers) == (200, b"", True)
    assert [one["body"]["complete"] for one in listed] == [False]


def test_a_time_in_an_address_is_rfc_3339(api: Api) -> None:
    tube = raw_fat(api, donor(api))["code"]

    for text in ("1795896000", "2026-11-29", "2026-11-29T12:00:00"):
        assert api.lab_tech.get(f"/specimens/{tube}", params={"at": text}).status_code == 422
    assert api.lab_tech.get(f"/specimens/{tube}", params={"at": "2200-01-01T00:00:00Z"}).status_code in (200, 422)


def test_head_is_get_without_the_body_and_another_method_is_told_what_there_is(api: Api) -> None:
    ready = httpx.head(f"{api.url}/readyz")
    listed = httpx.head(f"{api.url}/api/v1/specimens", headers={"Authorization": api.lab_tech.headers["Authorization"]})
    posted = httpx.post(f"{api.url}/readyz")
    deleted = httpx.delete(f"{api.url}/api/v1/scans")

    assert (ready.status_code, ready.content) == (200, b"")
    assert (listed.status_code, listed.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert (deleted.status_code, deleted.headers["allow"]) == (405, "POST")
