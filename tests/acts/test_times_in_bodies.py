"""Every time that a request states has bounds: none is of before the thing was there, and what has happened does not lie ahead.

The fields are read from the document of the API: a new one is in no row here and fails. A row says what is refused and with which
code; or which test shows it; or why the field has no bound of its own. `occurred_at` is of every act and judged by the one writer
(`custody/chronology.py`, `custody/recording.py: plausible_time`).
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.quality.events import WHEN
from biobank.specimens.events import INSTANT
from tests.conftest import Api
from tests.donors.stories import consent, died
from tests.donors.test_life import agree
from tests.granting import also
from tests.quality.test_deviations import stored
from tests.quality.test_markers import enter
from tests.quality.test_paper import filed
from tests.registers.test_registers import BADGE, entered
from tests.specimens.stories import donor, fat, harvest, output, raw_fat, run, using
from tests.withdrawals import growing
from tests.withdrawals.growing import expand
from tests.withdrawals.stories import a_story, ago, refused, sign_and_post
from tests.withdrawals.test_adverse import record, report
from tools.client_calls import document

OLD, OLD_DAY = "2001-01-01T00:00:00Z", "2001-01-01"
TESTS = Path(__file__).resolve().parent.parent
Json = dict[str, Any]


def ahead(**span: float) -> str:
    return rfc3339(clock.now() + timedelta(**(span or {"days": 2})))


@dataclass(frozen=True)
class Case:
    """What is sent, and how it is refused."""

    sent: Callable[[Api], httpx.Response]
    status: int
    code: str


def adverse_events(api: Api) -> str:
    """An adverse event of a giving, judged and not reported."""
    assert record(api, a_story(api).up_to("administer")).status_code == 201
    (one,) = api.quality.get("/adverse-events").json()["items"]
    judged = {"seriousness": "serious", "causality": "possible", "in_lot": True, "reason": "fever_same_day"}
    assert sign_and_post(api.quality, "decided", f"/adverse-events/{one['deviation']}/assess", judged).status_code == 200
    return f"/adverse-events/{one['deviation']}"


def marker(api: Api, **changes: Any) -> httpx.Response:
    return enter(api.clinician, donor(api), stored(api).json()["sha256"], **changes)  # type: ignore[no-any-return]


def washed(api: Api, **changes: Any) -> httpx.Response:
    return run(api.lab_tech, "wash", [using(raw_fat(api, donor(api)))], [output("lipoaspirate", 40_000, "ul_washed", **changes)])


def newhall(api: Api) -> str:
    """A site that was set up a moment ago."""
    made = {"code": "NEWHALL", "name": "New Hall", "kind": "bank", "timezone": "Europe/London"}
    assert api.admin.post("/sites", json=made).status_code == 201
    also(api, "lab_tech", "lab_tech", "NEWHALL")
    return "NEWHALL"


def newcomer(api: Api) -> str:
    """The badge of somebody who got it a moment ago."""
    answer = api.admin.post("/users", json={"username": "new.comer", "printed_name": "N. Comer"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def expanded(api: Api, **changes: Any) -> httpx.Response:
    cells = {"material": "adsc", "unit": "cells", "amount": 20_000_000, "passage": 3, "vessel_count": 4}
    return expand(growing.at_the_bench(api), outputs=[cells | changes])


def nothing_came(api: Api, result: str, **more: Any) -> httpx.Response:
    """What was seen of a withdrawal three days before anybody asked for it."""
    return a_story(api).up_to("receive").outcome(result=result, observed_at=ago(days=3), **more)


def looked_back(**changes: Any) -> Json:
    return {"operator": BADGE, "since": ago(hours=1), "until": ago(hours=0)} | changes


def recall(api: Api, **times: str) -> httpx.Response:
    body = {"criteria": looked_back(**times), "reason": "late_sterility", "site": "LAB", "description": "Bag leaked."}
    return api.quality.post("/recalls", json=body)


def kit_body(**changes: Any) -> Json:
    return {"site": "CLINIC", "home_site": "LAB", "adipose_labels": 1, "expires_at": ahead()} | changes


def lot(**changes: Any) -> Json:
    return {"kind": "reagent_lot", "name": "Trypsin 9", "site": "LAB"} | changes


def device(**changes: Any) -> Json:
    return {"kind": "equipment", "name": "Centrifuge 9", "site": "LAB"} | changes


def calibrated(api: Api, due: str) -> httpx.Response:
    key = entered(api, "equipment", "Centrifuge 9")
    return api.quality.post(f"/registers/{key}/changes", json={"change": "calibrated", "calibration_due_on": due})


def authorised(api: Api, **days: str) -> httpx.Response:
    key = entered(api, "procedure", "SOP-900 v1")
    return api.quality.post(f"/registers/{key}/authorisations", json={"person": BADGE} | days)


REFUSED: dict[str, list[Case]] = {
    "POST /paper-forms began_at": [
        Case(lambda api: filed(api, site=newhall(api), began_at=ago(hours=3)), 409, "before_it_existed"),
        Case(lambda api: filed(api, second=newcomer(api), began_at=ago(hours=3)), 409, "before_it_existed"),
        Case(lambda api: filed(api, began_at=ahead()), 409, "not_on_that_paper"),
    ],
    "POST /donors/{code}/agreements begins_on": [
        Case(lambda api: agree(api, donor(api), begins_on="1901-01-01"), 422, "malformed_request"),
        Case(lambda api: agree(api, donor(api), begins_on=ahead()[:10]), 409, "agreement_in_future"),
    ],
    "POST /donors/{code}/agreements ends_on": [
        Case(lambda api: agree(api, donor(api), ends_on="1999-01-01"), 422, "malformed_request"),
        Case(lambda api: agree(api, donor(api), ends_on="9999-01-01"), 422, "malformed_request"),
    ],
    "POST /donors/{code}/death died_on": [
        Case(lambda api: died(api.clinician, donor(api), died_on="1901-01-01"), 422, "malformed_request"),
        Case(lambda api: died(api.clinician, a_story(api).up_to("administer").donor, died_on=OLD_DAY), 409, "died_before_seen"),
        Case(lambda api: died(api.clinician, donor(api), died_on=ahead()[:10]), 409, "death_in_future"),
    ],
    "POST /donors/{code}/consents given_at": [
        Case(lambda api: consent(api.clinician, donor(api), given_at="1901-01-01T00:00:00Z"), 422, "malformed_request"),
        Case(lambda api: consent(api.clinician, donor(api), given_at=ahead()), 409, "consent_in_future"),
    ],
    "POST /donors/{code}/consents valid_until": [
        Case(lambda api: consent(api.clinician, donor(api), valid_until=OLD), 422, "malformed_request"),
    ],
    "POST /donors/{code}/markers sampled_at": [
        Case(lambda api: marker(api, sampled_at=OLD), 409, "before_it_existed"),
        Case(lambda api: marker(api, sampled_at=ago(days=8)), 409, "before_it_existed"),
        Case(lambda api: marker(api, sampled_at=ahead()), 409, "sampled_later"),
    ],
    "POST /harvests started_at": [
        Case(lambda api: harvest(api.clinician, donor(api), fat(), started_at=ago(hours=30)), 409, "implausible_time"),
        Case(lambda api: harvest(api.clinician, donor(api), fat(), started_at=ahead()), 409, "implausible_time"),
    ],
    "POST /harvests containers[].started_at": [
        Case(lambda api: harvest(api.clinician, donor(api), fat(started_at=ago(hours=2))), 409, "implausible_time"),
        Case(lambda api: harvest(api.clinician, donor(api), fat(started_at=ahead())), 409, "implausible_time"),
    ],
    "POST /harvests containers[].expires_at": [
        Case(lambda api: harvest(api.clinician, donor(api), fat(expires_at=OLD)), 409, "implausible_time"),
    ],
    "POST /processings outputs[].expires_at": [
        Case(lambda api: washed(api, expires_at=OLD), 409, "implausible_time"),
    ],
    "POST /withdrawals/{code}/expand outputs[].expires_at": [
        Case(lambda api: expanded(api, expires_at=OLD), 409, "implausible_time"),
    ],
    "POST /kits expires_at": [
        Case(lambda api: api.lab_tech.post("/kits", json=kit_body(expires_at=OLD)), 409, "kit_expired"),
    ],
    "POST /withdrawals needed_at": [
        Case(lambda api: a_story(api).request(needed_at=OLD), 409, "implausible_time"),
    ],
    "POST /withdrawals/{code}/adverse-events seen_at": [
        Case(lambda api: record(api, a_story(api).up_to("administer"), seen_at=ago(days=3)), 409, "implausible_time"),
        Case(lambda api: record(api, a_story(api).up_to("administer"), seen_at=ahead()), 409, "implausible_time"),
    ],
    "POST /withdrawals/{code}/outcome observed_at": [
        Case(lambda api: a_story(api).up_to("administer").outcome(observed_at=OLD), 409, "implausible_time"),
        Case(lambda api: a_story(api).up_to("administer").outcome(observed_at=ahead()), 409, "implausible_time"),
        Case(lambda api: nothing_came(api, "not_administered", close=False), 409, "before_it_existed"),
        Case(lambda api: nothing_came(api, "lost_to_follow_up", close=False), 409, "before_it_existed"),
    ],
    "POST /withdrawals/{code}/administer started_at": [
        Case(lambda api: a_story(api).up_to("check").administer(started_at=ahead()), 409, "implausible_time"),
        Case(lambda api: a_story(api).up_to("check").administer(started_at=ago(hours=3)), 409, "no_release"),
    ],
    "POST /adverse-events/{code}/report reported_at": [
        Case(lambda api: report(api, adverse_events(api), reported_at=OLD), 409, "implausible_time"),
        Case(lambda api: report(api, adverse_events(api), reported_at=ahead()), 409, "implausible_time"),
    ],
    "POST /look-backs since": [
        Case(
            lambda api: api.quality.post("/look-backs", json=looked_back(since=ahead(), until=ahead(days=3))), 422, "asked_ahead"
        ),
    ],
    "POST /look-backs until": [
        Case(lambda api: api.quality.post("/look-backs", json=looked_back(until=ahead())), 422, "asked_ahead"),
    ],
    "POST /recalls criteria.since": [Case(lambda api: recall(api, since=ahead(), until=ahead(days=3)), 422, "asked_ahead")],
    "POST /recalls criteria.until": [Case(lambda api: recall(api, until=ahead()), 422, "asked_ahead")],
    "POST /registers expires_on": [
        Case(lambda api: api.quality.post("/registers", json=lot(expires_on="2199-01-01")), 409, "register_date"),
    ],
    "POST /registers calibration_due_on": [
        Case(lambda api: api.quality.post("/registers", json=device(calibration_due_on="2199-01-01")), 409, "register_date"),
    ],
    "POST /registers/{entry}/changes calibration_due_on": [
        Case(lambda api: calibrated(api, OLD_DAY), 409, "register_date"),
        Case(lambda api: calibrated(api, "2199-01-01"), 409, "register_date"),
    ],
    "POST /registers/{entry}/authorisations since": [
        Case(lambda api: authorised(api, since="1950-01-01", until="2030-01-01"), 409, "register_date"),
    ],
    "POST /registers/{entry}/authorisations until": [
        Case(lambda api: authorised(api, since="2026-01-01", until=OLD_DAY), 422, "malformed_request"),
        Case(lambda api: authorised(api, until="2199-01-01"), 409, "register_date"),
    ],
}


ACCEPTED = ("quality/test_decisions.py", "test_a_lot_that_waits_for_a_test_is_released_only_conditionally_with_a_plan")
SHOWN: dict[str, tuple[str, str]] = {
    "POST /specimens/{code}/decision physician_accepted_at": ACCEPTED,
    "POST /specimens/{code}/decision patient_accepted_at": ACCEPTED,
    "POST /specimens/decision physician_accepted_at": ACCEPTED,
    "POST /specimens/decision patient_accepted_at": ACCEPTED,
    "POST /lots/{code}/decision physician_accepted_at": ACCEPTED,
    "POST /lots/{code}/decision patient_accepted_at": ACCEPTED,
    "POST /shipments cold_until": ("shipping/test_shipments.py", "test_no_slip_in_a_date_keeps_a_shipment_from_being_overdue"),
    "POST /shipments expected_by": ("shipping/test_shipments.py", "test_a_shipment_is_not_due_before_it_leaves"),
    "POST /lots/{code}/tests sampled_at": (
        "custody/test_chronology.py",
        "test_a_deviation_and_a_sample_are_not_dated_before_what_they_are_about",
    ),
    "POST /lots/{code}/tests due_at": (
        "specimens/test_test_results.py",
        "test_a_test_that_waits_is_due_as_the_register_or_the_sender_says",
    ),
    "POST /sensor-readings readings[].at": (
        "monitoring/test_sensors.py",
        "test_a_sensor_reads_its_own_places_at_possible_times_and_not_too_often",
    ),
    "POST /alarms/{code}/silence until": ("pages/test_alarm_pages.py", "test_silence_is_bounded_has_a_reason_and_comes_back"),
    "POST /withdrawals/{code}/outcome-results measured_at": (
        "withdrawals/test_outcomes.py",
        "test_a_result_is_taken_on_its_day_within_its_scale_and_read_by_those_entitled",
    ),
    "POST /withdrawals/{code}/approve picture_at": (
        "withdrawals/test_picture.py",
        "test_a_picture_of_yesterday_is_looked_at_again",
    ),
    "POST /withdrawals/{code}/given-before started_at": (
        "withdrawals/test_given_before.py",
        "test_a_time_before_the_release_or_after_it_enters_nothing",
    ),
}
"""The test that shows what is refused, where a story of its own is needed."""

BORN = "Who a person is: a day from 1880 to today, which names no act; its type refuses others."
UNBOUND: dict[str, str] = {
    "POST /donors date_of_birth": BORN,
    "PATCH /donors/{code} date_of_birth": BORN,
    "POST /donors/{code}/identity-changes date_of_birth": BORN,
    "POST /donors/search date_of_birth": BORN,
    "POST /donors/{code}/identifications stated.date_of_birth": BORN,
}
"""Why a field has no bound of its own."""


def stated_times() -> set[str]:
    """Every member of a body that is a time or a day, but `occurred_at`: method, path, and where it stands in the body."""
    described = document()
    found: set[str] = set()
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            for content in call.get("requestBody", {}).get("content", {}).values():
                for member in _times_in(content["schema"], described["components"]["schemas"], "", frozenset()):
                    found.add(f"{method.upper()} {path.removeprefix('/api/v1')} {member}")
    return {one for one in found if not one.endswith("occurred_at")}


def _times_in(schema: Json, known: Json, at: str, inside: frozenset[str]) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in inside:
            yield from _times_in(known[name], known, at, inside | {name})
        return
    if schema.get("format") in ("date-time", "date", "time") or schema.get("pattern") in (INSTANT, WHEN):
        yield at
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, []):
            yield from _times_in(one, known, at, inside)
    for name, one in schema.get("properties", {}).items():
        yield from _times_in(one, known, f"{at}.{name}" if at else name, inside)
    if "items" in schema:
        yield from _times_in(schema["items"], known, f"{at}[]", inside)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _times_in(schema["additionalProperties"], known, f"{at}{{}}", inside)


def test_every_time_in_a_body_is_refused_where_it_cannot_be_or_says_why_it_has_no_bound() -> None:
    assert stated_times() == REFUSED.keys() | SHOWN.keys() | UNBOUND.keys()
    assert len(REFUSED) + len(SHOWN) + len(UNBOUND) == len(stated_times()), "each in one table"


def test_what_is_shown_elsewhere_is_shown_by_a_test_that_is_there() -> None:
    for shown in set(SHOWN.values()):
        file, name = shown
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}, shown


@pytest.mark.parametrize(
    ("field", "number"), [(field, number) for field, cases in REFUSED.items() for number in range(len(cases))]
)
def test_a_time_that_cannot_be_is_refused(api: Api, field: str, number: int) -> None:
    case = REFUSED[field][number]

    refused(case.sent(api), case.status, case.code)
