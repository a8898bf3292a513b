"""Every 422 of the API says what is wrong and what to send instead, and repeats nothing that was sent."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from biobank.acts.malformed import UNTOLD, refusal_of_errors, words_of
from biobank.registries.routes import ROUTERS
from tests.conftest import Api
from tests.specimens.stories import donor, raw_fat

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
SENT = "Ngata4711"
WRONG: tuple[Any, ...] = (
    SENT,
    SENT * 200_000,
    "",
    "2026-13-40",
    "2026-11-29T12:00:00",
    "2999-01-01T00:00:00Z",
    -(10**30),
    10**30,
    -1,
    0,
    0.5,
    True,
    None,
    [],
    [SENT] * 6000,
    {},
    {SENT: SENT},
)


def inputs() -> Iterator[tuple[str, Any]]:
    """Yield each body and parameter of the API with what reads it."""

    def parameters(dependant: Dependant) -> Iterator[Any]:
        yield from (*dependant.query_params, *dependant.path_params)
        for inner in dependant.dependencies:
            yield from parameters(inner)

    for route in ROUTES:
        for field in [*parameters(route.dependant), *([route.body_field] if route.body_field is not None else [])]:
            promised: Any = Annotated[field.field_info.annotation, field.field_info]
            yield f"{route.path} {field.alias}", TypeAdapter(promised)


def faults_of(adapter: TypeAdapter[Any]) -> Iterator[Any]:
    """Yield the library's errors for every wrong value in the place of the whole and of every member."""
    schema = adapter.json_schema(mode="validation")
    shapes = [schema, *schema.get("$defs", {}).values()]
    members = {name for one in shapes for name in one.get("properties", {})}
    kinds = {kind for one in shapes for kind in one.get("discriminator", {}).get("mapping", {})}
    bodies: list[Any] = [*WRONG, *({name: wrong} for name in members for wrong in WRONG)]
    bodies += [{"kind": kind, name: wrong} for kind in sorted(kinds)[:3] for name in members for wrong in (SENT, -1, None)]
    for body in bodies:
        try:
            adapter.validate_python(body)
        except ValidationError as error:
            yield from error.errors()


def test_no_parameter_and_no_member_is_refused_without_what_to_send_or_with_what_was_sent() -> None:
    wrong, seen = [], set()
    for name, adapter in inputs():
        for error in faults_of(adapter):
            words = words_of(error)
            seen.add(error["type"])
            if words == UNTOLD or SENT in words or not words or "Input" in words or "Value error" in words:
                wrong.append((name, error["type"], error["loc"], words[:200]))
    assert not wrong, wrong[:20]
    assert {"missing", "extra_forbidden", "string_pattern_mismatch", "string_too_long", "literal_error", "value_error"} <= seen


INSPECTED = {"kind": "specimen.inspected"}
FAULTS: dict[str, tuple[str, Any, str]] = {
    "a parameter out of bounds": ("GET /specimens?limit=0", None, "limit must be 1 or more."),
    "a parameter too large": ("GET /specimens?limit=100000", None, "limit must be 1000 or less."),
    "a parameter of another type": ("GET /specimens?limit=ten", None, "limit must be a whole number."),
    "an unknown choice": ("GET /specimens?state=lost_somewhere", None, "state"),
    "a time without a zone": ("GET /specimens/TUBE?at=2026-11-29T12:00:00", None, "RFC 3339 time such as 2026-11-29T12:00:00Z"),
    "a code of another kind": ("GET /specimens/DN-SQF5SS9", None, "must be the code of a specimen as it is printed, such as "),
    "no whole number in the path": ("POST /labels/x/verify", {}, "must be a whole number"),
    "a missing member": ("POST /donors", {}, "clinic_site is needed and not given"),
    "an unknown member": ("POST /donors", {"colour": SENT}, "colour is no member here; known are "),
    "a text for a whole number": ("POST /specimens/TUBE/events", INSPECTED | {"expected_seq": "1"}, "must be a whole number"),
    "a number for a text": ("POST /scans", {"text": 7}, "text must be a text."),
    "an empty text": ("POST /scans", {"text": ""}, "text must not be empty."),
    "a text too long": ("POST /scans", {"text": "x" * 600}, "text must have at most 512 characters."),
    "a list for an object": ("POST /scans", [], "body must be an object."),
    "a day of another shape": ("POST /donors", {"date_of_birth": "31.05.1970"}, "date_of_birth must be a day such as 2026-11-29"),
    "a day that no calendar has": ("POST /donors", {"date_of_birth": "1970-02-31"}, "date_of_birth is no day of the calendar"),
    "a pattern": ("POST /donors", {"clinic_site": "a clinic"}, "clinic_site must be the code of a site: 2 to 8 capital letters"),
    "an unknown kind": ("POST /specimens/TUBE/events", {"kind": "nonsense"}, "must have as kind one of "),
    "a member that depends on another": ("POST /look-backs", {}, "name exactly one of "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_said_in_a_sentence(api: Api, fault: str) -> None:
    call, body, words = FAULTS[fault]
    method, _, address = call.partition(" ")
    tube = raw_fat(api, donor(api))["code"]

    address = address.replace("TUBE", tube)
    answer = api.lab_tech.get(address) if method == "GET" else api.lab_tech.post(address, json=body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "malformed_request"), answer.text
    assert words in problem["detail"] and problem["detail"].endswith(".")
    assert [one["field"] for one in problem["errors"]] and all(one["problem"] for one in problem["errors"])


def test_many_faults_are_counted_and_each_is_listed() -> None:
    refusal = refusal_of_errors({"type": "missing", "loc": ("body", "events", n, "kind")} for n in range(12))

    assert refusal.detail.startswith("events.0.kind is needed and not given; events.1.kind")
    assert refusal.detail.endswith("; 2 more are listed in errors.")
    assert len(refusal.members["errors"]) == 12
