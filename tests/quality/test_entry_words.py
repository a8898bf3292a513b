"""Nothing is written that nobody can read: each field of words that a person fills in, and where and by whom it is read again."""

from typing import Any

from fastapi.openapi.utils import get_openapi

from biobank.registries.routes import ROUTERS
from tests.auth.route_table import all_routes
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.withdrawals.stories import a_donor, a_story, bank_vials, kinds_of, refused

REMARK = "The cap is scratched."


def remarked(api: Api, vial: str) -> str:
    """A remark of the bench beside an entry of a vial; the entry's leaf hash."""
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {"kind": "specimen.annotated", "topic": "other", "comment": REMARK, "expected_seq": seq}
    answer = api.lab_tech.post(f"/specimens/{vial}/events", json=body)
    assert answer.status_code == 201, answer.text
    return str(api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["leaf_hash"])


def test_a_remark_is_read_by_quality_by_the_bench_and_by_who_treats_and_that_is_recorded(api: Api) -> None:
    donor = a_donor(api)
    (vial,) = bank_vials(api, donor)
    path = f"/entries/{remarked(api, vial)}/words"
    for reader in (api.quality, api.lab_tech2, api.clinician):
        assert reader.get(path).json()["words"] == {"comment": REMARK}
    assert kinds_of(api, "donor", donor).count("donor.words_read") == 3
    for stranger in (api.auditor, api.admin, api.north_tech):
        refused(stranger.get(path), 403, "not_permitted")
    assert kinds_of(api, "donor", donor).count("donor.words_read") == 3


def test_beside_an_entry_without_words_nothing_is_read(api: Api) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    leaf = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["leaf_hash"]
    refused(api.quality.get(f"/entries/{leaf}/words"), 404, "no_words")
    refused(api.quality.get(f"/entries/{'0' * 64}/words"), 404, "not_found")


def test_who_may_speak_for_a_donor_is_read_by_who_treats_and_by_quality_and_not_at_the_bench(api: Api) -> None:
    donor = a_donor(api, consented=False)
    body = {
        "kind": "representative",
        "form_version": "B-3.1",
        "document_sha256": "ab" * 32,
        "given_at": "2026-01-05T09:00:00Z",
        "witnessed_by": USERS["clinic_staff"].code,
        "representative": "Her sister, by telephone.",
    }
    given = api.clinician.post(f"/donors/{donor}/consents", json=body)
    assert given.status_code == 201, given.text
    leaf = given.json()["events"][0]["leaf_hash"]
    bank_vials(api, donor)
    assert api.clinic_staff.get(f"/entries/{leaf}/words").json()["words"] == {"representative": "Her sister, by telephone."}
    refused(api.lab_tech.get(f"/entries/{leaf}/words"), 403, "not_permitted")


def test_what_the_clinic_wrote_of_an_outcome_is_read_again(api: Api) -> None:
    story = a_story(api).up_to("administer")
    outcome = story.outcome(words="A little swelling on the first day.")
    assert outcome.status_code in (200, 201), outcome.text
    asked = {"donor": story.donor, "kind": "withdrawal.outcome_recorded"}
    (event,) = api.quality.get("/custody-log", params=asked).json()["items"]
    words = api.clinician2.get(f"/entries/{event['leaf_hash']}/words").json()["words"]
    assert words == {"outcome": "A little swelling on the first day."}


def test_a_page_leads_from_the_entry_to_its_remark(api: Api, visit: Visit) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    leaf = remarked(api, vial)
    quality = visit("quality")
    assert f"/entries/{leaf}/words" in quality.get_page(f"/specimens/{vial}")
    shown = quality.submit(f"/entries/{leaf}/words", {})
    assert REMARK in shown.text


READ = {
    "comment": "/api/v1/entries/{leaf_hash}/words",
    "reason_text": "/api/v1/entries/{leaf_hash}/words",
    "representative": "/api/v1/entries/{leaf_hash}/words",
    "OutcomeRequest.words": "/api/v1/entries/{leaf_hash}/words",
    "AdverseRequest.words": "/api/v1/adverse-events/{code}",
    "indication": "/api/v1/withdrawals/{code}/indication",
    "notification_plan": "/api/v1/specimens/{code}/notification-plan",
    "description": "/api/v1/deviations/{code}",
    "corrective_action": "/api/v1/deviations/{code}",
    "address": "/api/v1/donors/{code}/identity",
    "family_name": "/api/v1/donors/{code}/identity",
    "given_names": "/api/v1/donors/{code}/identity",
    "ExternalId.value": "/api/v1/donors/{code}/identity",
    "AmendRequest.value": "/api/v1/specimens/{code}/custody",
    "SiteChange.name": "/api/v1/sites",
    "SiteCreate.name": "/api/v1/sites",
    "printed_name": "/api/v1/users",
}
"""Field, or model and field → the call that shows it to those entitled."""
NO_WORDS = {
    *("client_id", "client_secret", "new_password", "password", "scope", "second_factor", "signature", "username"),  # secrets
    *("by", "place", "product", "scanned", "specimen", "text", "tube", "tubes", "wristband", "package"),  # what a scanner read
    *("SearchDonors.name", "zone", "credential", "MakeWebhook.url"),  # asked with; of a clock; of a device; of a program
}


def test_every_field_of_words_has_somebody_who_reads_it_again() -> None:
    """A new field that takes free words fails here until the call that shows it is named."""
    known, found = {*READ, *NO_WORDS}, set()
    for model, member in free_fields():
        assert {member, f"{model}.{member}"} & known, f"{model}.{member}: nobody can read it again"
        found |= {member, f"{model}.{member}"} & known
    assert found == known, "no such field any more"
    routes = {path for method, path in all_routes() if method == "GET"}
    assert set(READ.values()) <= routes


def free_fields() -> list[tuple[str, str]]:
    """Every member of a request's body that takes words of no fixed shape: (model, member)."""
    routes = [route for router in ROUTERS for route in router.routes]
    document = get_openapi(title="words", version="1", routes=routes)
    models: dict[str, Any] = document["components"]["schemas"]
    reached: set[str] = set()
    waiting: list[Any] = [op["requestBody"] for path in document["paths"].values() for op in path.values() if "requestBody" in op]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in reached:
                reached.add(name)
                waiting.append(models[name])
            waiting += part.values()
    members = [(name, member, shape) for name in sorted(reached) for member, shape in models[name].get("properties", {}).items()]
    return [(name, member) for name, member, shape in members if free(shape)]


def free(shape: dict[str, Any]) -> bool:
    """Say whether a member takes any words."""
    if shape.get("type") == "string":
        return not shape.keys() & {"pattern", "format", "enum", "const"}
    if shape.get("type") == "array":
        return free(shape.get("items", {}))
    return any(free(one) for one in (*shape.get("anyOf", ()), *shape.get("oneOf", ())))
