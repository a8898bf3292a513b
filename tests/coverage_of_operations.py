"""Did every operation of the API succeed at least once while the tests ran?

Requests are counted by route and status in the process that serves them, so each test process reports what it saw at its end,
and the first one compares the union with the route table. Only a whole run is judged: a selection cannot reach everything.
"""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import Metric

from biobank.operations.health import REQUESTS
from biobank.registries.routes import ROUTERS

UNREACHED: set[str] = set()
"""Operations that no test brings to success, each with its reason. Keep it empty."""


def succeeded() -> set[str]:
    """`METHOD path` of every operation this process answered with a 2xx or, for pages, a redirect."""
    found: set[str] = set()
    metrics: list[Metric] = list(REQUESTS.collect())
    for metric in metrics:
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["status"][0] in "23":
                found.add(f"{sample.labels['method']} {sample.labels['route']}")
    return found


def every_operation() -> set[str]:
    """`METHOD path` of every operation for programs."""
    return {
        f"{method} {path}"
        for router in ROUTERS
        for route in router.routes
        for path in [str(getattr(route, "path", ""))]
        for method in getattr(route, "methods", None) or ()
        if path.startswith(("/api/v1", "/fhir"))
    }


def report(folder: Path) -> None:
    """Write down what this process saw."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{uuid4().hex}.json").write_text(json.dumps(sorted(succeeded())))


def missing(folder: Path) -> set[str]:
    """Operations that no process saw succeed."""
    seen = set().union(*(json.loads(p.read_text()) for p in folder.glob("*.json")))
    return every_operation() - seen - UNREACHED


def whole_run(config: pytest.Config) -> bool:
    """Say whether nothing was deselected by the command line."""
    return not (config.option.keyword or config.option.markexpr or config.option.file_or_dir or config.option.maxfail)
