"""Every request has a name: its answer says it, the lines of the service's log about it bear it, and so do those of its job."""

import json
import re
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from biobank.exports import queries
from biobank.jobs.queue import enqueue
from biobank.jobs.running import Handler, run_next
from tests.conftest import Api
from tests.factories import make_received
from tests.operations.test_failover import post_scan, specimen, until
from tests.pages.visitor import Visit

MADE = re.compile(r"[0-9a-f]{32}")
TRACE = "0af7651916cd43dd8448eb211c80319c"


def said(answer: httpx.Response) -> str:
    (name,) = answer.headers.get_list("X-Request-ID")
    return str(name)


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug")


def test_every_answer_says_a_name_of_its_own(api: Api, visit: Visit) -> None:
    code = specimen(api)
    answers = [
        api.lab_tech.get("/specimens"),
        api.lab_tech.get("/specimens/AD26-0000000"),
        api.lab_tech.get("/custody-log"),
        api.anonymous.get("/specimens"),
        post_scan(api, code, "one"),
        httpx.get(f"{api.url}/readyz"),
        httpx.get(f"{api.url}/nothing/here"),
        visit("lab_tech").get("/"),
    ]

    assert [one.status_code for one in answers][:5] == [200, 404, 403, 401, 201]
    names = [said(one) for one in answers]
    assert len(set(names)) == len(names) and all(MADE.fullmatch(name) for name in names)


@pytest.mark.parametrize("brought", ["order-4711_a.b", "0123456789abcdef", "x" * 64])
def test_a_name_that_a_caller_brings_is_kept(api: Api, brought: str) -> None:
    assert said(api.lab_tech.get("/specimens", headers={"X-Request-ID": brought})) == brought


@pytest.mark.parametrize("brought", ["short", "x" * 65, "Quill Feather, born", 'a"}{"event":"forged', "", "ünlesbar-1234"])
def test_what_could_be_anything_is_no_name(api: Api, brought: str) -> None:
    assert MADE.fullmatch(said(api.lab_tech.get("/specimens", headers={b"X-Request-ID": brought.encode()})))


def test_a_request_that_is_part_of_a_trace_bears_the_traces_name_unless_it_has_one_of_its_own(api: Api) -> None:
    part_of = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    nothing = {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}

    assert said(api.lab_tech.get("/specimens", headers=part_of)) == TRACE
    assert said(api.lab_tech.get("/specimens", headers=part_of | {"X-Request-ID": "order-4711"})) == "order-4711"
    assert said(api.lab_tech.get("/specimens", headers=nothing)) not in (TRACE, "0" * 32)


def test_a_fault_of_ours_is_found_in_the_log_by_what_its_answer_and_its_page_say(
    api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "search_log", broken)
    monkeypatch.setattr("biobank.pages.exports.custody_log.search_log", broken)
    with capture_logs(processors=[merge_contextvars]) as heard:
        answer = api.auditor.get("/custody-log", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
        page = visit("auditor").get("/log")
        lines = until(lambda: [one for one in heard if one["event"] == "unhandled"])

    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (500, "internal_error", TRACE)
    assert said(answer) == TRACE
    assert page.status_code == 500 and said(page) in page.text
    assert [one["request_id"] for one in lines] == [TRACE, said(page)]
    assert "a bug" not in json.dumps([answer.text, page.text, str(heard)])


def test_an_ordinary_refusal_has_its_name_in_the_header_only_so_that_its_repetition_is_the_same(api: Api) -> None:
    code = api.test_bank.write(lambda s: make_received(s, api.test_bank.act("lab_tech")).code)
    stale = {"kind": "specimen.inspected", "expected_seq": 1}
    stale |= {"container_intact": True, "label_legible": True, "contents_as_expected": True}
    first = api.lab_tech.post(f"/specimens/{code}/events", json=stale)
    again = api.lab_tech.post(f"/specimens/{code}/events", json=stale)

    assert first.status_code == 409 and first.json() == again.json()
    assert said(first) != said(again)


def test_the_lines_about_a_job_bear_the_name_of_the_request_that_asked_for_it(api: Api) -> None:
    bank = api.test_bank
    with capture_logs(processors=[merge_contextvars]) as heard:
        asked = {"X-Request-ID": "order-4711", "Prefer": "respond-async"}
        begun = api.quality.get(f"{api.url}/fhir/R4/$export", headers=asked)
        assert run_next(bank.bank, {"fhir.export": Handler(broken, resumable=False)})
        of_nobody = bank.write(lambda s: enqueue(s, bank.act("lab_tech"), "test.broken", {}, total=1)).id
        run_next(bank.bank, {"test.broken": Handler(broken, resumable=False)})

    lines = [one for one in heard if one["event"] in ("job_broke", "job_failed")]
    its = [one for one in lines if one["job"] in begun.headers["Content-Location"]]
    assert {one["event"] for one in its} == {"job_broke", "job_failed"}
    assert {(one["request_id"], one["job_kind"]) for one in its} == {("order-4711", "fhir.export")}
    assert all("request_id" not in one for one in lines if one["job"] == str(of_nobody))
