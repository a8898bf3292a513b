"""Traces and metrics as a collector of OpenTelemetry receives them: all that is followed, nothing that is anybody's."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from biobank.foundation.config import Settings, WeakSettings
from biobank.foundation.tracing import Tracing, span
from biobank.jobs.running import JOB_KINDS, run_next
from biobank.operations import telemetry
from biobank.operations.telemetry_statements import said_of
from biobank.registries import declarations
from tests import seed
from tests.conftest import Api, TestBank
from tests.custody.test_scan_path import INSPECTED, collected
from tests.donors.stories import MARY
from tests.pages.visitor import BROWSER, Visitor
from tests.webhooks.receiver import receiving, takes
from tests.webhooks.stories import deliver, happen, opened

assert declarations.MODULES


@dataclass
class Collector:
    """A collector on the loopback. `lets_go` holds its answers back while it is not set."""

    server: ThreadingHTTPServer
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    lets_go: threading.Event = field(default_factory=threading.Event)
    came: threading.Event = field(default_factory=threading.Event)
    status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for path, body in self.bodies if path == "/v1/traces"]
        return [one for request in requests for group in request.resource_spans for s in group.scope_spans for one in s.spans]

    def metrics(self) -> dict[str, Any]:
        requests = [ExportMetricsServiceRequest.FromString(body) for path, body in self.bodies if path == "/v1/metrics"]
        found = [one for r in requests for group in r.resource_metrics for s in group.scope_metrics for one in s.metrics]
        return {one.name: one for one in found}


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers["content-type"] == "application/x-protobuf"
            made.bodies.append((self.path, body))
            made.came.set()
            made.lets_go.wait(30)
            self.send_response(made.status)
            self.send_header("location", f"{made.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    made = Collector(Server(("127.0.0.1", 0), Handler))
    made.lets_go.set()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.lets_go.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def followed(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], collector: Collector
) -> Iterator[Callable[..., Api]]:
    """A factory of served banks whose process is followed."""
    made: list[Api] = []

    def start(**settings: Any) -> Api:
        bank = make_bank(**{"telemetry_address": collector.url} | settings)
        telemetry.begin(bank.bank)
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield start
    telemetry.finish()
    for api in made:
        api.close()


def arrived(collector: Collector, name: str) -> None:
    """Wait until a span of this name came: it ends after the answer, and is sent two seconds later by itself."""
    until = time.monotonic() + 60
    while all(one.name != name for one in collector.spans()):
        assert time.monotonic() < until, f"no span {name} came"
        time.sleep(0.05)


def about(one: Any) -> dict[str, Any]:
    """What is said of a span."""
    return {said.key: said.value.string_value or said.value.int_value for said in one.attributes}


def scan(api: Api, code: str, expected: int = 1, headers: dict[str, str] | None = None) -> httpx.Response:
    return api.lab_tech.post(f"/specimens/{code}/events", json=INSPECTED | {"expected_seq": expected}, headers=headers)


def test_a_scan_a_page_a_job_and_a_delivery_are_followed_and_nothing_of_anybody_leaves(
    followed: Callable[..., Api], collector: Collector
) -> None:
    receiver = receiving(takes)
    api = followed(webhook_addresses=receiver.url.removesuffix("/hooks"), webhook_networks="127.0.0.0/8")
    (code,) = collected(api, 1)
    donor = api.clinician.post("/donors", json=MARY, headers={"X-Request-ID": "Mary.Poppins"})
    assert donor.status_code == 201, donor.text
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    wanted = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": f"who={code.lower()}", "X-Request-ID": "a" * 32}
    assert scan(api, code, headers=wanted).status_code == 201
    assert scan(api, code, 999).status_code == 409
    page = Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60)
    page.log_in("lab_tech")
    assert page.get(f"/specimens/{code}", params={"q": "Poppins"}).status_code in (200, 422)
    asked = api.lab_tech.post(
        "/label-batches", json={"codes": [code], "template": "cryovial-25x13"}, headers={"X-Request-ID": code}
    )
    assert asked.status_code == 202, asked.text
    assert run_next(api.test_bank.bank, JOB_KINDS)
    webhook, _ = opened(api, receiver.url)
    happen(api)
    deliver(api)
    receiver.close()
    arrived(collector, "webhook")
    telemetry.finish()

    spans = collector.spans()
    named = {one.name: one for one in spans}
    route = "POST /api/v1/specimens/{code}/events"
    scanned = next(one for one in spans if one.name == route and about(one)["http.response.status_code"] == 201)
    said = about(scanned)
    assert scanned.trace_id.hex() == trace and scanned.parent_span_id.hex() == "00f067aa0ba902b7" and not scanned.trace_state
    assert said["biobank.request_id"] == "a" * 32 and said["http.route"] == "/api/v1/specimens/{code}/events"
    # The same code is the same wherever it stands, and of a keyed hash.
    shown = about(named["GET /specimens/{code}"])
    assert said["biobank.path.code"] == shown["biobank.path.code"] and re.fullmatch(r"[0-9a-f]{24}", said["biobank.path.code"])
    # Statements are parts of what they were sent for.
    for one in (scanned, named["GET /specimens/{code}"], named["job"]):
        inside = [about(s) for s in spans if s.trace_id == one.trace_id and s.parent_span_id == one.span_id]
        assert any(s.get("db.system.name") == "postgresql" for s in inside), one.name
    job = about(named["job"])
    assert (job["biobank.job.kind"], job["biobank.job.outcome"]) == ("labels.print", "job_done")
    assert job["biobank.request_id"] == about(named["POST /api/v1/label-batches"])["biobank.request_id"] != code
    assert about(named["webhook"])["biobank.webhook.outcome"] == "delivered"
    metrics = collector.metrics()
    assert {"http.server.request.duration", "db.client.operation.duration", "biobank.work.duration"} <= metrics.keys()

    everything = b"\n".join(body for _, body in collector.bodies).lower()
    anybodys = [code, code[5:], donor.json()["donor"], webhook, "poppins", "127.0.0.1", "bearer", "MRN 778", "quillfeather"]
    anybodys += [person.code for person in seed.USERS.values()] + [str(said) for said in MARY["contact"].values()]
    anybodys += [MARY[name] for name in ("family_name", "given_names", "date_of_birth")]
    leaked = {one for one in anybodys if one.lower().encode() in everything}
    assert leaked == set()


@pytest.mark.parametrize("trouble", ["holds back", "is away", "says no", "redirects"])
def test_a_collector_that_is_not_well_costs_no_request_anything(
    followed: Callable[..., Api], collector: Collector, trouble: str
) -> None:
    if trouble == "holds back":
        collector.lets_go.clear()
    if trouble == "is away":
        collector.server.shutdown()
        collector.server.server_close()
    collector.status = {"says no": 503, "redirects": 307}.get(trouble, 200)
    api = followed()
    (code,) = collected(api, 1)
    api.lab_tech.get("/auth/me")
    if trouble == "holds back":
        assert collector.came.wait(30)  # it has been given something and keeps its sender waiting
    assert scan(api, code).status_code == 201
    before = time.monotonic()
    telemetry.finish()
    # Ours is three seconds; the SDK's own would be thirty.
    assert time.monotonic() - before < 20
    assert api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"] == 2
    assert {path for path, _ in collector.bodies} <= {"/v1/traces", "/v1/metrics"}


def test_lines_of_the_log_are_found_by_the_trace(followed: Callable[..., Api], collector: Collector) -> None:
    api = followed(log_decisions=True)
    with capture_logs(processors=[merge_contextvars]) as lines:
        api.lab_tech.get(f"/specimens/{collected(api, 1)[0]}")
    arrived(collector, "GET /api/v1/specimens/{code}")
    (line,) = [line for line in lines if line["event"] == "decided"]
    (one,) = [one for one in collector.spans() if one.name == "GET /api/v1/specimens/{code}"]
    assert line["trace_id"] == one.trace_id.hex()
    assert line["request_id"] == about(one)["biobank.request_id"]


def test_a_fault_is_named_by_its_type_and_not_by_what_it_says(followed: Callable[..., Api], collector: Collector) -> None:
    followed()
    with pytest.raises(ValueError, match="Poppins"), span("job", {"job.kind": "test.fault"}, codes={"donor": "DN-SECRET1"}):
        raise ValueError("Mary Poppins")
    telemetry.finish()
    (one,) = [one for one in collector.spans() if one.name == "job"]
    assert about(one)["error.type"] == "ValueError" and one.status.code == 2
    assert not one.events and not one.status.message
    assert b"oppins" not in b"".join(body for _, body in collector.bodies)


def test_of_none_in_a_hundred_requests_there_is_a_trace(followed: Callable[..., Api], collector: Collector) -> None:
    api = followed(telemetry_percent=0)
    # A caller who says that its trace is to be kept decides nothing here.
    api.lab_tech.get("/auth/me", headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    api.lab_tech.get("/auth/me")  # on the same connection: the one before has ended
    telemetry.finish()
    assert collector.spans() == []
    assert "http.server.request.duration" in collector.metrics()


@pytest.mark.parametrize(
    ("statement", "name", "text"),
    [
        (
            "SELECT a FROM donor WHERE code = %(code)s LIMIT 1",
            "SELECT donor",
            "SELECT a FROM donor WHERE code = %(code)s LIMIT ?",
        ),
        ("INSERT INTO t VALUES ('O''Hara', E'it\\'s', 12.5, $x$Mary$x$)", "INSERT t", "INSERT INTO t VALUES (?, ?, ?, ?)"),
        ("UPDATE specimen2 SET a = $1", "UPDATE specimen2", "UPDATE specimen2 SET a = $1"),
        ("", "OTHER", ""),
    ],
)
def test_what_was_written_into_a_statement_is_taken_out(statement: str, name: str, text: str) -> None:
    found, said = said_of(statement)
    assert (found, said["db.query.text"]) == (name, text)


def test_without_the_setting_nobody_is_told(api: Api) -> None:
    telemetry.begin(api.test_bank.bank)
    assert Tracing.tracer is None


@pytest.mark.parametrize("address", ["collector:4318", "ftp://x", "http://user:word@collector", "http://collector/?key=1"])
def test_an_address_that_is_none_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(WeakSettings, match="telemetry_address"):
        Settings.from_environment({"BIOBANK_TELEMETRY_ADDRESS": address})
