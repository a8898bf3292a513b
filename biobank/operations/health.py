"""/healthz, /readyz, /metrics: is the process alive, may it take work, and how is it doing.

Load balancers have no login, so whether the process answers and is ready is public. How it is doing is for monitors: from a
network of `monitor_networks` without a proxy between, or with the secret `monitor-token`. Numbers and words are said, never codes
or names.
"""

import hmac
import time
from datetime import timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobank.acts.bank import Bank
from biobank.acts.web import BankDep
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import SILENCE_S
from biobank.foundation.errors import NotPermitted, Unavailable
from biobank.foundation.patience import within
from biobank.foundation.schema_version import Schema
from biobank.operations.clock_gate import APART, apart_s
from biobank.operations.log_health import REGISTRY, log_unknown, look_at_the_log
from biobank.reconciliation.queries import count_differences
from biobank.viability.records import count_alarms, count_waiting

log = structlog.get_logger("biobank.operations.health")
router = APIRouter(tags=["health"])
REQUESTS = Counter(
    "biobank_requests_total", "Requests by method, route and status.", ("method", "route", "status"), registry=REGISTRY
)
SECONDS = Histogram("biobank_request_seconds", "Time to answer, by method and route.", ("method", "route"), registry=REGISTRY)
FORECAST_ALARMS = Gauge(
    "biobank_viability_forecast_alarms",
    "Strata whose 90 % interval held under 80 % of the newest thirty thaws.",
    registry=REGISTRY,
)
COUNTS_WAITING = Gauge(
    "biobank_viability_counts_waiting", "Counts older than an hour that the worker has not looked at.", registry=REGISTRY
)
DIFFERENCES = Gauge(
    "biobank_records_that_differ", "Records that are not what the log says of them. Any is an alarm.", registry=REGISTRY
)

_ITSELF = text("SELECT current_setting('transaction_read_only') = 'on' AS read_only, clock_timestamp() AS at")

_SAID = ("database", "clock", "schema", "erasures", "sealer", "records")
"""What stands in the line about a process that is not ready."""


_SERVES = text("SELECT serves FROM alembic_version")
_OTHERS_SCHEMA = "serves other versions of the program: migrate, or install the newer version"


def _look(session: Session, merge_delay_s: int, schema: Schema) -> dict[str, Any]:
    serves = session.execute(_SERVES).scalar_one_or_none() or []
    itself = session.execute(_ITSELF).one()
    apart = apart_s(itself.at)
    return {
        "database": "takes no writes" if itself.read_only else "ok",
        "clock": "ok" if abs(apart) <= APART.total_seconds() else f"{apart} s ahead of the database's",
        "schema": _OTHERS_SCHEMA if schema.works_on.isdisjoint(serves) else "ok",
        **look_at_the_log(session, merge_delay_s),
        **_look_at_differences(session),
    }


def _look_at_differences(session: Session) -> dict[str, str]:
    """Say what differs. A lost file is an alarm and no reason to take no work: cold first."""
    (records, since), (files, lost_since) = (count_differences(session, of_files=of_files) for of_files in (False, True))
    DIFFERENCES.set(records + files)
    return {
        "records": "ok" if since is None else f"{records} differ from the log, known since {rfc3339(since)}",
        "files": "ok" if lost_since is None else f"{files} are lost, known since {rfc3339(lost_since)}",
    }


def _look_at_forecasts(session: Session) -> None:
    FORECAST_ALARMS.set(count_alarms(session))
    COUNTS_WAITING.set(count_waiting(session, clock.now() - timedelta(hours=1)))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def is_monitor(request: Request, bank: Bank) -> bool:
    """Say whether the caller may know how the bank is doing."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ").encode(errors="replace")
    if bank.monitor_token is not None and hmac.compare_digest(token, bank.monitor_token):
        return True
    if request.client is None or {"x-forwarded-for", "forwarded", "x-real-ip"} & set(request.headers.keys()):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in bank.settings.monitor_networks.split())


@router.get("/readyz")
async def readyz(request: Request, bank: BankDep, response: Response) -> dict[str, Any]:
    """The process may take work: database, schema, erasures, log; else 503. A lagging log is said, not a reason to stop. A halted
    log and records that differ from it are one, and since when is said.

    How each of them stands is for monitors only.
    """
    checks: dict[str, Any] = {}
    try:
        checks = await within(SILENCE_S, bank.database.read(lambda s: _look(s, bank.settings.merge_delay_s, bank.schema)))
    except (SQLAlchemyError, OSError, Unavailable):
        checks = {"database": "does not answer"}
    if checks["database"] != "ok":
        bank.database.forget_idle()
    if clock.offset() and checks.get("clock", "ok") == "ok":
        checks["clock"] = f"TEST MODE: the clock is moved by {int(clock.offset().total_seconds())} s"
    checks["erasures"] = (
        "replayed" if await request.app.state.startup_gate.open_for(bank) else "not replayed: nothing is answered"
    )
    ready = (
        all(checks.get(name) == "ok" for name in ("database", "schema", "records"))
        and not checks["clock"].endswith("the database's")
        and checks["erasures"] == "replayed"
        and not checks["sealer"].startswith("halted")
    )
    response.status_code = 200 if ready else 503
    if not ready:
        words = {
            name: said
            for name, said in checks.items()
            if name in ("database", "clock", "schema", "erasures", "sealer", "records")
        }
        log.warning("not_ready", **words)
    status = {"status": "ready" if ready else "not ready"}
    return {**status, "test_mode": bank.settings.test_mode, **checks} if is_monitor(request, bank) else status


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, bank: BankDep) -> Response:
    """Prometheus text, for monitors. Each web worker counts its own requests; scrape them by process, or sum."""
    if not is_monitor(request, bank):
        raise NotPermitted(
            "Read this from a network in BIOBANK_MONITOR_NETWORKS, or with the secret `monitor-token` as bearer token."
        )
    try:
        await within(SILENCE_S, bank.database.read(lambda s: look_at_the_log(s, bank.settings.merge_delay_s)))
        await within(SILENCE_S, bank.database.read(_look_at_differences))
        await within(SILENCE_S, bank.database.read(_look_at_forecasts))
    except (SQLAlchemyError, OSError, Unavailable):
        log_unknown()
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


class Measured:
    """ASGI middleware: counts and times requests by route template, so that no code ever becomes a label."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            counter, histogram = _series(method, route, status)
            counter.inc()
            histogram.observe(time.perf_counter() - started)


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The time series of these labels; there are as many as routes, so they are looked up once."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})


def install(app: FastAPI) -> None:
    """Add the routes and the measuring."""
    app.include_router(router)
    app.add_middleware(Measured)
