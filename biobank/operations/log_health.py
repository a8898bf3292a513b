"""How the custody log is doing, for /readyz and /metrics: lag, sealer, register, witnesses, lost events, the database's guards.

A log that lags is said loudly and is no reason to stop: cold first. What it stops is acts towards use, and those ask for the lag
themselves (`custody.recording.is_lagging`).
"""

from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import text
from sqlmodel import Session

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.postgres.guards import guard_drift
from biobank.transparency.queries import seal_lag_s

SILENT_AFTER_S: Final = 60
"""The sealer reports four times a minute; after a silence this long its word counts for nothing."""

REGISTRY = CollectorRegistry()


def _gauge(name: str, words: str, *labels: str) -> Gauge:
    return Gauge(f"biobank_{name}", words, labels, registry=REGISTRY)


SEAL_LAG = _gauge("seal_lag_seconds", "For how long the log has owed a seal or its publication.")
OLDEST_PENDING = _gauge("oldest_pending_seconds", "Age of the oldest event that waits to be sealed.")
PENDING = _gauge("pending_events", "Events that wait to be sealed.")
LOG_SIZE = _gauge("log_size", "Entries in the newest tree head.")
PUBLISHED_SIZE = _gauge("published_size", "Entries under the newest checkpoint.")
QUARANTINED = _gauge("quarantined_events", "Events that changed between recording and sealing. Any is an alarm.")
UNACCOUNTED = _gauge("unaccounted_events", "Events neither pending, nor sealed, nor in quarantine. Any is an alarm.")
DRIFT = _gauge("guard_drift", "Guards of the database that are not as the migrations made them. Any is an alarm.")
SILENT = _gauge("sealer_silent_seconds", "Since the sealer last reported.")
HALTED = _gauge("log_halted", "1 when the sealer stopped the log for a person to look.")
REGISTER_SIZE = _gauge("register_size", "Entries of the registered checkpoint.")
WITNESS_SIZE = _gauge("witness_size", "Entries of the checkpoint that the witness cosigned last.", "witness")
WITNESS_AGE = _gauge("witness_age_seconds", "Since the witness last cosigned.", "witness")
WITNESS_WELL = _gauge("witness_ok", "1 when the witness answers and agrees.", "witness")

_COUNTS = text("""
    SELECT (SELECT count(*) FROM pending), (SELECT recorded_at FROM pending ORDER BY qid LIMIT 1),
           (SELECT COALESCE(max(size), 0) FROM tree_head), (SELECT COALESCE(max(size), 0) FROM checkpoint),
           (SELECT count(*) FROM log_quarantine)
""")
_REPORTS = text("SELECT part, state, size, since, reported_at FROM log_report ORDER BY part")


def look_at_the_log(session: Session, merge_delay_s: int) -> dict[str, Any]:
    """Return what /readyz says about the log, and set the gauges."""
    at = clock.now()
    lag = seal_lag_s(session, at)
    pending, oldest, size, published, quarantined = session.execute(_COUNTS).one()
    drift = guard_drift(session)
    reports = {row.part: row for row in session.execute(_REPORTS)}
    for gauge, value in (
        (SEAL_LAG, lag),
        (OLDEST_PENDING, _age(at, oldest)),
        (PENDING, pending),
        (LOG_SIZE, size),
        (PUBLISHED_SIZE, published),
        (QUARANTINED, quarantined),
        (DRIFT, len(drift)),
    ):
        gauge.set(value)
    return {
        "seal_lag_s": round(lag, 1),
        "log": "ok" if lag <= merge_delay_s else "lagging: acts towards use are refused",
        "log_size": size,
        "published_size": published,
        "pending_events": pending,
        "quarantined_events": quarantined,
        "unaccounted_events": _audit(reports.get("audit")),
        "guards": drift or "ok",
        "sealer": _sealer(reports.get("sealer"), at),
        "register": _register(reports.get("register")),
        "witnesses": [_witness(row, at) for part, row in reports.items() if part.startswith("witness ")],
    }


def log_unknown() -> None:
    """The database did not answer: no number of the log is known."""
    for gauge in (SEAL_LAG, OLDEST_PENDING, PENDING, LOG_SIZE, PUBLISHED_SIZE, QUARANTINED, UNACCOUNTED, DRIFT, SILENT):
        gauge.set(float("nan"))


def _age(at: datetime, instant: datetime | None) -> float:
    return 0.0 if instant is None else max(0.0, (at - instant).total_seconds())


def _audit(report: Any) -> int | None:
    UNACCOUNTED.set(float("nan") if report is None else report.size)
    return None if report is None else int(report.size)


def _sealer(report: Any, at: datetime) -> str:
    if report is None:
        SILENT.set(float("nan"))
        HALTED.set(0)
        return "has not reported yet"
    silent = _age(at, report.reported_at)
    SILENT.set(silent)
    HALTED.set(report.state.startswith("halted"))
    if report.state.startswith("halted"):
        return f"{report.state}, since {rfc3339(report.reported_at)}"
    if silent > SILENT_AFTER_S:
        return f"silent for {int(silent)} s"
    return "ok" if report.state == "running" else str(report.state)


def _register(report: Any) -> dict[str, Any]:
    if report is None:
        return {"state": "not reported yet", "size": None}
    REGISTER_SIZE.set(report.size or 0)
    return {"state": report.state, "size": report.size}


def _witness(report: Any, at: datetime) -> dict[str, Any]:
    name = report.part.removeprefix("witness ")
    age = None if report.since is None else _age(at, report.since)
    WITNESS_SIZE.labels(name).set(report.size or 0)
    WITNESS_AGE.labels(name).set(float("nan") if age is None else age)
    WITNESS_WELL.labels(name).set(report.state == "ok")
    return {"name": name, "state": report.state, "size": report.size, "age_s": None if age is None else round(age)}
