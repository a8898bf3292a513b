"""The rules for Prometheus and the board for Grafana in `deploy/monitoring`: they can be read, and ask for what /metrics says."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import Api

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
ASKED = [*(rule["expr"] for rule in RULES), *(target["expr"] for panel in PANELS for target in panel["targets"])]


def names_in(expression: str) -> set[str]:
    """The metrics of ours that an expression names."""
    return set(re.findall(r"\bbiobank_\w+", expression))


@pytest.fixture
def said(api: Api) -> str:
    """What /metrics says once something was asked of the bank."""
    httpx.get(f"{api.url}/healthz")
    answer = httpx.get(f"{api.url}/metrics")
    assert answer.status_code == 200
    return answer.text


def test_every_number_that_is_asked_for_is_one_that_metrics_declares(said: str) -> None:
    declared: dict[str, str] = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", said, re.M):
        tails = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        declared |= {f"{name}{tail}": kind for tail in tails}
    for expression in ASKED:
        assert names_in(expression), expression
        assert names_in(expression) - declared.keys() == set(), expression


def test_every_number_of_which_any_is_an_alarm_has_its_rule(said: str) -> None:
    ruled = set().union(*(names_in(rule["expr"]) for rule in RULES))
    alarms = set(re.findall(r"^# HELP (\w+) .*Any is an alarm\.$", said, re.M))
    assert len(alarms) >= 4
    assert alarms - ruled == set()


def test_rules_are_whole_and_brackets_match() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"].endswith((".", "?"))
    for expression in ASKED:
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


def test_panels_of_the_board_do_not_lie_on_each_other() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)
