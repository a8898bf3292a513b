"""Sending spans and metrics to the collector: OTLP over HTTP, in OpenTelemetry's own encoding.

To the one address of the settings and to no other: no redirect is followed, no proxy or header of the environment is used, the
body of the answer is not read. What is not taken is dropped; the log of the service says so once, and once that it is well again.
"""

import ssl
from collections.abc import Sequence
from typing import Any, Final

import httpx
import structlog
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from biobank.foundation.config import Settings

PATIENCE_S: Final = 2.0

log = structlog.get_logger("biobank.operations.telemetry")


class _Collector:
    def __init__(self, settings: Settings, path: str) -> None:
        assert settings.telemetry_address is not None
        self._url = settings.telemetry_address.rstrip("/") + path
        trusted = ssl.create_default_context(cafile=settings.telemetry_ca_file) if settings.telemetry_ca_file else True
        self._client = httpx.Client(timeout=PATIENCE_S, trust_env=False, verify=trusted)
        self._well = True

    def takes(self, body: bytes) -> bool:
        """Send a body; return whether it was taken."""
        headers = {"content-type": "application/x-protobuf", "accept-encoding": "identity"}
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                well = answer.is_success
        except (httpx.HTTPError, OSError):
            well = False
        if well != self._well:
            log.info("telemetry_taken_again") if well else log.warning("telemetry_not_taken")
        self._well = well
        return well

    def close(self) -> None:
        self._client.close()


class SpansToCollector(SpanExporter):
    """Sends spans to `/v1/traces`."""

    def __init__(self, settings: Settings) -> None:
        self._there = _Collector(settings, "/v1/traces")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send these spans."""
        taken = self._there.takes(encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self._there.close()


class MetricsToCollector(MetricExporter):
    """Sends metrics to `/v1/metrics`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._there = _Collector(settings, "/v1/metrics")

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_more: Any) -> MetricExportResult:  # noqa: ARG002
        """Send these metrics."""
        taken = self._there.takes(encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS if taken else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True

    def shutdown(self, timeout_millis: float = 0, **_more: Any) -> None:  # noqa: ARG002
        """Close the connection."""
        self._there.close()
