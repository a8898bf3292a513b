"""What the worker does with counts: looks at each once, judges the forecast, fits again, and can do it all over."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from biobank.specimens.materials import Assay
from biobank.viability.fitting import same_again
from tests.conftest import Api, TestBank
from tests.viability.stories import Past, count_many, let_the_worker_look, make_vial, thaw_and_count


def excluded(bank: TestBank) -> list[str | None]:
    found: list[str | None] = bank.write(
        lambda s: list(s.execute(text("SELECT excluded FROM viability_thaw ORDER BY number")).scalars())
    )
    return found


def test_every_count_is_looked_at_once_and_every_fit_can_be_made_again(api: Api, bank: TestBank) -> None:
    count_many(bank, [0.8, 0.82, 0.78, 0.84, 0.81, 0.79, 0.8, 0.83, 0.77, 0.8, 0.81, 0.82])

    assert let_the_worker_look(bank) == 12
    assert let_the_worker_look(bank) == 0

    fits = api.lab_tech.get("/viability/fits", params={"material": "adsc"}).json()["items"]
    assert max(fit["thaws"] for fit in fits) == 12
    assert all(bank.write(partial(same_again, fit_id=UUID(fit["id"]))) for fit in fits)
    # Ten one by one, two together, and the two priors of the material.
    assert len(fits) == 11 + 2
    first = api.lab_tech.get("/viability/fits", params={"limit": 5}).json()
    rest = api.lab_tech.get("/viability/fits", params={"limit": 500, "after": first["next"]}).json()["items"]
    everything = api.lab_tech.get("/viability/fits").json()["items"]
    assert [one["id"] for one in first["items"] + rest] == [one["id"] for one in everything]


def test_counts_that_answer_another_question_are_left_out_with_the_reason(api: Api, bank: TestBank) -> None:
    def work(session: Session) -> None:
        codes = [make_vial(session, bank) for _ in range(4)]
        thaw_and_count(session, bank, codes[0], 150, 50)
        thaw_and_count(session, bank, codes[0], 170, 30)
        thaw_and_count(session, bank, codes[1], 150, 50, minutes=31)
        thaw_and_count(session, bank, codes[2], 150, 50, method=Assay.ANNEXIN_V_7AAD)
        thaw_and_count(session, bank, make_vial(session, bank, Past(freezes=1)), 9, 1)

    bank.write(work)
    # Annexin V is no assay of the parameter file, so the worker does not even look at it.
    assert let_the_worker_look(bank) == 4

    assert excluded(bank) == [None, "counted_before", "late_after_thaw", "viability_frozen_twice"]
    calibration = api.quality.get("/viability/calibration").json()
    assert calibration["excluded"] == {"counted_before": 1, "late_after_thaw": 1, "viability_frozen_twice": 1}
    assert [one["thaws"] for one in calibration["strata"]] == [1]


def test_a_count_before_freezing_is_no_thaw(bank: TestBank, api: Api) -> None:
    code = bank.write(lambda s: make_vial(s, bank, Past(frozen=False)))
    answer = api.lab_tech.post(
        f"/specimens/{code}/viability-assays", json={"expected_seq": 1, "method": "ao_pi", "live": 95, "dead": 5}
    )
    assert answer.status_code == 201, answer.text

    let_the_worker_look(bank)

    assert excluded(bank) == ["not_after_thaw"]


def test_minus_80_speaks_from_own_counts_at_minus_80_only(api: Api, bank: TestBank) -> None:
    cold = Past(kept="minus_80", days=60)
    count_many(bank, [0.5, 0.4, 0.45, 0.55, 0.5, 0.42, 0.47, 0.52, 0.5, 0.49], past=cold)
    let_the_worker_look(bank)
    code, other = (bank.write(partial(make_vial, bank=bank, past=past)) for past in (cold, Past()))

    found = api.lab_tech.get(f"/specimens/{code}/viability/estimate").json()
    elsewhere = api.lab_tech.get(f"/specimens/{other}/viability/estimate").json()

    assert (found["evidence"], found["inputs"]["storage"]) == ("own_data_only", "minus_80")
    assert 4200 < found["median_bp"] < 5400
    assert elsewhere["own_thaws"] == 0
    assert elsewhere["median_bp"] > 7500


def alarms_in_metrics(api: Api) -> float:
    metrics = httpx.get(f"{api.url}/metrics").text
    assert "biobank_viability_counts_waiting 0.0" in metrics
    return float(metrics.split("\nbiobank_viability_forecast_alarms ")[1].split("\n")[0])


def test_the_alarm_shows_in_the_report_the_metrics_on_the_start_page_and_to_scripts(
    api: Api, bank: TestBank, visit: Callable[..., Any]
) -> None:
    """Thirty vials around 0.82, then a process that breaks, and breaks further each time it was learned."""
    wobble = [0.0, 0.03, -0.02, 0.05, -0.04, 0.01]
    quality = visit("quality")
    count_many(bank, [0.82 + wobble[k % 6] for k in range(30)])
    assert let_the_worker_look(bank) == 30
    assert not api.auditor.get("/viability/calibration").json()["strata"][0]["alarm"]
    assert alarms_in_metrics(api) == 0
    assert "forecasts that do not hold" not in quality.get_page("/")

    for share in (0.35, 0.20, 0.05):
        count_many(bank, [max(0.0, share + wobble[k % 6]) for k in range(10)])
    assert let_the_worker_look(bank) == 30

    calibration = api.auditor.get("/viability/calibration").json()
    stratum = calibration["strata"][0]
    assert (calibration["alarms"], stratum["alarm"]) == (1, True)
    assert stratum["thaws"] == sum(stratum["pit"]) == 60
    assert len(stratum["rolling"]["90"]) == 31
    assert alarms_in_metrics(api) == 1
    assert "forecasts that do not hold" in quality.get_page("/")
    assert "Do not rely on its estimates" in quality.get_page("/viability")
    given = bank.bank.settings.model_dump(exclude_none=True)
    environ = dict(os.environ) | {f"BIOBANK_{name.upper()}": str(value) for name, value in given.items()}
    command = [sys.executable, "-m", "biobank", "viability", "report", "--alarm"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ | {"COLUMNS": "200"})
    assert (said.returncode, "ALARM" in said.stdout) == (1, True), said.stderr


def test_a_web_worker_loads_neither_the_sampler_nor_what_sends_traces() -> None:
    """The application with every route and page, without scipy: reading an estimate costs no fit and no import of one."""
    heavy = ("scipy", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf")
    asked = f"print(any(name.startswith({heavy!r}) for name in sys.modules))"
    seen = subprocess.run(
        [sys.executable, "-c", f"import sys, biobank.app, biobank.asgi, biobank.operations.worker; {asked}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert seen.stdout.strip() == "False"


def test_what_the_worker_keeps_is_never_changed(bank: TestBank) -> None:
    count_many(bank, [0.8])
    let_the_worker_look(bank)

    for statement in ("UPDATE viability_fit SET thaws = 1", "UPDATE viability_thaw SET live = 1", "DELETE FROM viability_thaw"):
        with psycopg.connect(bank.dsn()) as owner, pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute(statement)
