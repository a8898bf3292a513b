"""Traces and metrics for a collector of OpenTelemetry, where its address is set (`BIOBANK_TELEMETRY_ADDRESS`).

Spans of requests, statements, jobs and webhook deliveries, and how long they took. A span names the template of a route, never an
address; a statement without what was put into it; a fault by its type. Codes, and names of requests that callers chose, are
hashed under a key of this bank: who reads the traces can tell that two are the same and cannot find out which they are by trying.

What waits is kept in a bounded queue and sent by a thread: a collector that is slow or away costs spans, never a request.
Nothing of the SDK is loaded before `begin`.
"""

import hmac
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from biobank.acts.bank import Bank
from biobank.foundation.config import WeakSettings
from biobank.foundation.logs import REQUEST
from biobank.foundation.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

WITHIN_S: Final = 3.0
"""How long the end of the process waits for the collector to take what is left."""
MEASURED_EVERY_S: Final = 60
MOST_WAITING: Final = 4096
"""Spans that wait for the collector; what comes after is dropped."""

_OWN_NAME: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Names of requests that say nothing: ours, traces' and UUIDs."""
_METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})


class Telemetry:
    """The tracer of a process, and how long what it follows takes."""

    def __init__(self, bank: Bank) -> None:
        """Start the threads that send. Raises WeakSettings when the SDK is not installed."""
        if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter.otlp") is None:
            raise WeakSettings("BIOBANK_TELEMETRY_ADDRESS needs the OpenTelemetry SDK: install biobank[telemetry].")
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        from biobank import __version__
        from biobank.operations.telemetry_sending import MetricsToCollector, SpansToCollector

        settings = bank.settings
        assert settings.telemetry_address is not None
        self._key = hmac.digest(bank.secret("digests"), b"biobank telemetry", "sha256")
        # Made by hand: the SDK's own would add what the environment and the command line say.
        resource = Resource({"service.name": "biobank", "service.version": __version__, "service.instance.id": uuid4().hex})
        self._traces: TracerProvider = TracerProvider(
            sampler=TraceIdRatioBased(settings.telemetry_percent / 100), resource=resource, shutdown_on_exit=False
        )
        self._traces.add_span_processor(
            BatchSpanProcessor(
                SpansToCollector(settings), max_queue_size=MOST_WAITING, schedule_delay_millis=2000, max_export_batch_size=512
            )
        )
        reader = PeriodicExportingMetricReader(
            MetricsToCollector(settings), export_interval_millis=MEASURED_EVERY_S * 1000, export_timeout_millis=WITHIN_S * 1000
        )
        self._metrics: MeterProvider = MeterProvider(
            [reader], resource=resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        self.tracer = self._traces.get_tracer("biobank", __version__)
        meter = self._metrics.get_meter("biobank", __version__)
        self.requests = meter.create_histogram("http.server.request.duration", "s", "Time to answer, by method and route.")
        self.statements = meter.create_histogram("db.client.operation.duration", "s", "Statements in what is followed.")
        self.work = meter.create_histogram("biobank.work.duration", "s", "Jobs and deliveries, by what they are.")

    def hidden(self, text: str) -> str:
        """Return what stands for a code, or for a name that somebody else chose: the same for the same, under this bank's key."""
        return hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()[:24]

    def name_of(self, request: str) -> str:
        """Return the name of a request as a span says it."""
        return request if _OWN_NAME.fullmatch(request) else self.hidden(request)

    @contextmanager
    def span(
        self, name: str, said: Mapping[str, str | int], codes: Mapping[str, str], request: str | None
    ) -> Iterator["_Followed"]:
        """Follow a job or a delivery; it begins a trace of its own unless it is part of something."""
        about = {f"biobank.{key}": value for key, value in said.items()}
        about |= {f"biobank.{key}": self.hidden(code) for key, code in codes.items()}
        if request is not None:
            about["biobank.request_id"] = self.name_of(request)
        started = time.perf_counter()
        with self.current(name, about, None) as one:
            try:
                yield _Followed(one)
            finally:
                self.work.record(time.perf_counter() - started, {"biobank.work": name})

    @contextmanager
    def current(self, name: str, about: Mapping[str, str | int], parent: "Context | None", kind: int = 0) -> Iterator["Span"]:
        """Make a span the one that others are part of. A fault is named by its type: its text may quote what it met."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        with self.tracer.start_as_current_span(
            name,
            parent,
            SpanKind(kind),
            attributes=dict(about),
            record_exception=False,
            set_status_on_exception=False,
        ) as one:
            try:
                yield one
            except BaseException as error:
                one.set_attribute("error.type", type(error).__name__)
                one.set_status(Status(StatusCode.ERROR))
                raise

    def finish(self) -> None:
        """Send what is left, for `WITHIN_S` at most."""

        def rest() -> None:
            self._traces.shutdown()
            self._metrics.shutdown(timeout_millis=WITHIN_S * 1000)

        # Apart: the SDK waits for half a minute for what a collector does not take.
        leaving = threading.Thread(target=rest, name="telemetry", daemon=True)
        leaving.start()
        leaving.join(timeout=WITHIN_S)


class _Followed:
    """A span that more is said of."""

    def __init__(self, one: "Span") -> None:
        self._one = one

    def say(self, name: str, value: str | int) -> None:
        self._one.set_attribute(f"biobank.{name}", value)


def begin(bank: Bank) -> None:
    """Follow what this process does from now on, if the bank's settings say to whom it is told. Raises WeakSettings."""
    if bank.settings.telemetry_address is None:
        return
    telemetry = Telemetry(bank)
    from biobank.operations.telemetry_statements import follow_statements

    follow_statements(telemetry)
    bank.database.direct.forget_idle()  # a connection of the scan path is followed, or not, from its beginning
    Tracing.tracer = telemetry


def finish() -> None:
    """Send what is left, and follow nothing more."""
    telemetry, Tracing.tracer = Tracing.tracer, None
    if isinstance(telemetry, Telemetry):
        from biobank.operations.telemetry_statements import leave_statements

        leave_statements()
        telemetry.finish()


class FollowedRequests:
    """ASGI middleware: a span for each request, within the caller's trace where it named one, while somebody follows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, and say by which route, how it was answered and how long it took."""
        telemetry = Tracing.tracer
        if scope["type"] != "http" or not isinstance(telemetry, Telemetry):
            await self.app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        name = telemetry.name_of(scope["state"][REQUEST])
        about = {"http.request.method": method, "biobank.request_id": name}
        started = time.perf_counter()
        with telemetry.current(method, about, _callers(scope), kind=1) as one:
            try:
                with bound_contextvars(trace_id=f"{one.get_span_context().trace_id:032x}"):
                    await self.app(scope, receive, noting)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                one.update_name(f"{method} {route}")
                one.set_attribute("http.route", route)
                one.set_attribute("http.response.status_code", status)
                for part, value in _parts(scope).items():
                    one.set_attribute(f"biobank.path.{part}", telemetry.hidden(str(value)))
                labels = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
                telemetry.requests.record(time.perf_counter() - started, labels)


def _callers(scope: Scope) -> "Context":
    """The trace that the caller says this is part of. Its `tracestate` is a caller's own text and goes no further."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    given = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
    return TraceContextTextMapPropagator().extract({"traceparent": given}, Context())


def _parts(scope: Scope) -> Mapping[str, Any]:
    """The changing parts of the address: the scan path, which is ahead of the framework, leaves them in the address."""
    found: Mapping[str, Any] = scope.get("path_params") or {}
    pattern = getattr(scope.get("route"), "path_regex", None)
    if not found and pattern is not None and (match := pattern.match(scope["path"])):
        found = match.groupdict()
    return found
