"""The contract of the HTTP surface, hammered: whatever comes, the answer is documented, typed, and never a 5xx."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from tests import seed
from tests.auth.route_table import PUBLIC
from tests.conftest import Api
from tests.donors.stories import register
from tests.factories import make_box, make_received
from tests.sealing import seal

ROLES = ["lab_tech", "clinician", "clinic_staff", "quality", "auditor", "admin"]
EXPORTS = "/api/v1/custody-log"
PROPOSED = "/api/v1/donors/{code}/proposed-identity"
NOT_OF_THE_LIVING = {"/api/v1/donors/{code}/death", "/api/v1/donors/{code}/safety-contact"}
REFUSED_FOR_RAW_FAT = {
    "/api/v1/specimens/{code}/viability/estimate",
    "/api/v1/specimens/{code}/notification-plan",
    PROPOSED,
    *NOT_OF_THE_LIVING,
}
"""What the seeded specimen is rightly refused; its successes are in tests/viability, tests/withdrawals/test_words_read.py; of its
donor, who lives and for whom nothing was proposed: tests/donors/test_life.py, tests/quality/test_identity_changes.py."""


def operations(api: Api) -> list[Any]:
    # Loaded where it is needed: it takes seconds, and every test process collects this file.
    import schemathesis
    from schemathesis.core.result import Ok

    document = httpx.get(f"{api.url}/openapi.json", timeout=120).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=api.url)
    return [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]


def seeded(api: Api) -> dict[str, str]:
    """Real codes, so that requests get past "not found"."""
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    admin = api.test_bank.act("admin")
    donor = register(api.clinician)
    specimen = api.test_bank.write(lambda s: make_received(s, act, donor=donor))
    box = api.test_bank.write(lambda s: make_box(s, admin).code)
    seal(api.test_bank)
    return {
        "specimens": specimen.code,
        "donors": donor,
        "storage-containers": box,
        "users": seed.USERS["lab_tech"].code,
        "sites": "LAB",
    }


def hammered(api: Api, operation: Any, codes: dict[str, str], key: str) -> list[str]:
    """Send generated requests of random roles to one operation; return what was wrong with the answers."""
    documented = set(operation.definition.raw["responses"])
    failures: list[str] = []
    noun = segment(operation.path)

    @settings(
        max_examples=6,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=True,
        database=None,
    )
    @given(case=operation.as_strategy(), role=st.sampled_from(ROLES), real=st.booleans())
    def hammer(case: Any, role: str, real: bool) -> None:
        if real and "code" in (case.path_parameters or {}):
            case.path_parameters["code"] = codes.get(noun, case.path_parameters["code"])
        if case.query and "wait" in case.query:
            case.query["wait"] = 0  # nothing will come, and the caller has less patience than the feed
        answer = case.call(headers={"Authorization": getattr(api, role).headers["Authorization"], "Idempotency-Key": key})
        name = f"{operation.method.upper()} {operation.path} → {answer.status_code}"
        kind = (answer.headers.get("content-type") or [""])[0]
        if answer.status_code >= 500 or str(answer.status_code) not in documented:
            failures.append(f"{name} {answer.text[:200]}")
        elif answer.status_code >= 400 and not says_why(operation.path, kind, answer.json()):
            failures.append(f"{name} is not a problem: {answer.text[:200]}")

    hammer()
    return failures


def says_why(path: str, kind: str, body: dict[str, Any]) -> bool:
    """Say whether a refusal is a problem document, or of FHIR's addresses an outcome, with our code."""
    if path.startswith("/fhir/") and kind == "application/fhir+json":
        return bool(body["issue"][0]["details"]["coding"][0]["code"])
    return kind == "application/problem+json" and "code" in body


def segment(path: str) -> str:
    """The noun of an address: `specimens` of `/api/v1/specimens/{code}`."""
    return [*path.split("/"), "", "", "", ""][3]


@pytest.mark.slow
def test_no_request_of_any_role_gets_a_5xx_or_an_undocumented_answer(api: Api) -> None:
    codes = seeded(api)
    failures: list[str] = []
    for number, operation in enumerate(operations(api)):
        failures += hammered(api, operation, codes, f"k{number}")

    assert sorted(set(failures)) == []


def test_every_read_of_a_seeded_code_succeeds_for_somebody(api: Api) -> None:
    codes = seeded(api)
    unanswered = []
    for operation in operations(api):
        noun = segment(operation.path)
        raw = operation.definition.raw
        required = {p["name"] for p in raw.get("parameters", []) if p.get("required") and p["in"] == "query"}
        if operation.method.lower() != "get" or required:
            continue
        if "{" in operation.path and (noun not in codes or operation.path.count("{") > 1 or "{code}" not in operation.path):
            continue
        path = operation.path.replace("{code}", codes.get(noun, "")).removeprefix("/api/v1")
        statuses = set()
        for role in ROLES:
            client = getattr(api, role)
            url = path if operation.path.startswith("/api/v1") else f"{api.url}{operation.path}"
            statuses.add(client.get(url).status_code)
        if not statuses & {200, 204} and operation.path not in REFUSED_FOR_RAW_FAT:
            unanswered.append(f"{operation.path}: {sorted(statuses)}")

    assert unanswered == []


def test_the_problem_shape_is_one_over_the_whole_route_table(api: Api) -> None:
    for operation in operations(api):
        public = (operation.method.upper(), operation.path) in PUBLIC
        if public or not operation.path.startswith("/api/v1") or "/auth/" in operation.path:
            continue
        path = operation.path.replace("{", "").replace("}", "")
        answer = httpx.request(operation.method.upper(), f"{api.url}{path}", json={}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 401, (operation.path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {"type", "title", "status", "code", "detail"}


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/specimens/x/y/z", "/../etc/passwd"])
def test_an_address_that_leads_nowhere_is_a_problem_too(api: Api, path: str) -> None:
    answer = httpx.get(f"{api.url}{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_post_without_a_key_is_asked_for_one(api: Api) -> None:
    headers = {"Authorization": api.lab_tech.headers["Authorization"]}

    answer = httpx.post(f"{api.url}/api/v1/holds", json={}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) in ((400, "idempotency_key_required"), (422, "malformed_request"))


def test_unknown_fields_are_refused(api: Api) -> None:
    answer = api.lab_tech.post("/counts", json={"container": "BX-0000000", "scanned": [], "surprise": 1})

    assert (answer.status_code, answer.json()["code"]) == (422, "malformed_request")
