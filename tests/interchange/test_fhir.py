"""FHIR: valid by HL7's own schema, only what is recorded, only to who may read it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from biobank.foundation.errors import NotAcceptable
from biobank.interchange.fhir.command import fhir_to_file
from biobank.interchange.fhir.resources import OF_A_DONOR, TYPES, checked
from biobank.interchange.fhir.saying import Release
from biobank.jobs.running import JOB_KINDS, run_next
from tests.conftest import Api
from tests.donors.stories import MARY
from tests.interchange.readers import R4_SCHEMA, faults_of
from tests.interchange.story import RELEASES, Furnished, fhir, furnished, resources
from tests.pages.visitor import Visit
from tests.statements import count_statements
from tests.withdrawals.stories import kinds_of

PERSON = ("Mary", MARY["family_name"], MARY["date_of_birth"])


@pytest.fixture
def world(api: Api) -> Furnished:
    """A bank with a little of everything."""
    return furnished(api)


def outcome_of(answer: Any, status: int) -> str:
    """The stable code in an OperationOutcome."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    said = answer.json()
    assert said["resourceType"] == "OperationOutcome"
    assert said["issue"][0]["diagnostics"]
    return str(said["issue"][0]["details"]["coding"][0]["code"])


@pytest.mark.slow
def test_every_type_of_resource_is_valid_by_hl7s_own_schema_and_by_models_of_both_releases(api: Api, world: Furnished) -> None:
    by_release: dict[str, list[dict[str, Any]]] = {}
    for release in RELEASES:
        found = [one for kind in TYPES for one in resources(api.quality, api, f"{release}/{kind}", _count=500)]
        everything = fhir(api.clinician, api, f"{release}/Patient/{world.mary}/$everything", _count=500).json()
        capability = fhir(api.anonymous, api, f"{release}/metadata").json()
        refusal = fhir(api.quality, api, f"{release}/Medication").json()
        assert {one["resourceType"] for one in found} == set(TYPES), release
        by_release[release] = [*found, everything, capability, refusal]
        for one in by_release[release]:
            checked(Release(release), one)

    documents = by_release["R4"]
    faults = faults_of(R4_SCHEMA, documents)
    wrong = [(one["resourceType"], one.get("id"), fault[:2]) for one, fault in zip(documents, faults, strict=True) if fault]
    assert wrong == []
    spoiled = [
        one | {"status": "splendid"} for one in documents if one["resourceType"] in ("Consent", "Observation", "Procedure")
    ]
    assert all(faults_of(R4_SCHEMA, [one | {"invented": 1} for one in spoiled])), "the judge finds faults"


def test_a_specimen_says_its_parent_collection_runs_and_place_as_recorded_and_nothing_that_is_not(
    api: Api, world: Furnished
) -> None:
    tubes = {one["id"]: one for one in resources(api.lab_tech, api, "R4/Specimen", patient=world.mary)}
    vial = tubes[world.vials[0]]
    parent = vial["parent"][0]["reference"].partition("/")[2]
    known = api.lab_tech.get(f"/specimens/{world.vials[0]}").json()
    assert [parent] == known["parents"]
    assert [one["procedure"]["coding"][0]["code"] for one in vial["processing"]] == ["aliquoting", "freezing"]
    place = vial["container"][0]["extension"][0]["valueReference"]["reference"]
    assert place == f"Location/{known['custody']['container']}"
    assert vial["container"][0]["specimenQuantity"]["value"] == known["custody"]["amount"]
    assert "status" not in vial, "nobody released it, so it is not said to be available"
    (raw,) = [one for one in tubes.values() if one["type"]["coding"][0]["code"] == "lipoaspirate" and "parent" not in one]
    assert raw["collection"]["method"]["coding"][0]["code"] == "lipoaspiration"
    assert raw["status"] == "unavailable"
    assert set(vial["collection"]) <= {"collectedDateTime"}, "how the fat was taken is said of the fat"
    assert "processing" not in raw
    given = world.story.vials[0]
    five = fhir(api.quality, api, f"R5/Specimen/{world.vials[0]}").json()
    assert five["container"][0]["location"]["reference"] == place
    assert fhir(api.quality, api, f"R5/BiologicallyDerivedProduct/{given}").json()["productStatus"]["code"] == "unavailable"


def test_a_viability_is_said_with_what_was_counted_and_the_interval_it_supports(api: Api, world: Furnished) -> None:
    (counted,) = resources(api.lab_tech, api, "R4/Observation", code="viability", patient=world.mary)

    parts = {one["code"]["coding"][0]["code"]: one["valueQuantity"]["value"] for one in counted["component"]}
    assert counted["valueQuantity"]["value"] == 85
    assert parts == {"live": 170, "dead": 30, "wilson_95_lower": 79.39, "wilson_95_upper": 89.29}
    (marker,) = resources(api.lab_tech, api, "R4/Observation", code="hbsag")
    assert marker["status"] == "preliminary", "quality has not confirmed it"


def test_who_may_read_identities_gets_the_person_which_is_recorded_and_all_others_a_code(api: Api, world: Furnished) -> None:
    before = kinds_of(api, "donor", world.mary).count("donor.identity_read")
    told = fhir(api.clinician, api, f"R4/Patient/{world.mary}").json()
    assert told["name"][0]["family"] == MARY["family_name"]
    assert told["birthDate"] == MARY["date_of_birth"]
    assert kinds_of(api, "donor", world.mary).count("donor.identity_read") == before + 1

    first = fhir(api.clinician, api, f"R5/Patient/{world.mary}/$everything").json()["entry"][0]["resource"]
    assert first["name"][0]["family"] == MARY["family_name"]
    assert kinds_of(api, "donor", world.mary).count("donor.identity_read") == before + 2

    others = [fhir(getattr(api, who), api, f"R4/Patient/{world.mary}") for who in ("lab_tech", "auditor")]
    others += [fhir(api.clinician, api, f"R4/{kind}") for kind in OF_A_DONOR]
    others.append(fhir(api.lab_tech, api, f"R4/Patient/{world.mary}/$everything"))
    for answer in others:
        assert answer.status_code == 200, answer.text
        assert not [word for word in PERSON if word in answer.text], answer.url
    assert kinds_of(api, "donor", world.mary).count("donor.identity_read") == before + 2


def test_what_one_may_not_see_is_not_found_and_what_one_may_not_read_is_refused_as_an_outcome(api: Api, world: Furnished) -> None:
    vial = world.vials[0]
    for kind, code in (
        ("Specimen", vial),
        ("Patient", world.mary),
        ("BiologicallyDerivedProduct", vial),
        ("Location", world.box),
    ):
        assert outcome_of(fhir(api.north_tech, api, f"R4/{kind}/{code}"), 404) == "not_found"
    for kind in ("Specimen", "Patient", "Consent", "Observation", "Procedure", "ServiceRequest", "Provenance", "AdverseEvent"):
        assert resources(api.north_tech, api, f"R4/{kind}") == [], kind
    assert outcome_of(fhir(api.north_tech, api, f"R4/Patient/{world.mary}/$everything"), 404) == "not_found"
    assert outcome_of(fhir(api.admin, api, "R4/Specimen"), 403) == "not_permitted"
    assert outcome_of(fhir(api.lab_tech, api, "R4/AuditEvent"), 403) == "not_permitted"
    assert outcome_of(fhir(api.admin, api, f"R4/Patient/{world.mary}"), 403) == "not_permitted"
    assert outcome_of(fhir(api.anonymous, api, "R4/Specimen"), 401) == "not_signed_in"
    assert {one["id"] for one in resources(api.north_auditor, api, "R4/AuditEvent")}.isdisjoint(
        one["id"] for one in resources(api.auditor, api, "R4/AuditEvent", entity=f"Specimen/{vial}")
    )


def test_a_parameter_or_type_that_nobody_knows_is_refused_and_never_ignored(api: Api, world: Furnished) -> None:
    assert outcome_of(fhir(api.quality, api, "R4/Specimen", colour="red"), 422) == "unknown_parameter"
    assert outcome_of(fhir(api.quality, api, "R4/Specimen", target="Specimen/1"), 422) == "unknown_parameter"
    assert outcome_of(fhir(api.quality, api, "R4/Medication"), 404) == "no_such_resource_type"
    assert outcome_of(fhir(api.quality, api, "R4/Medication/1"), 404) == "no_such_resource_type"
    assert outcome_of(fhir(api.quality, api, f"R4/Patient/{world.mary}/$everything", _type="Medication"), 404)
    assert outcome_of(fhir(api.quality, api, "R3/Specimen"), 422) == "malformed_request"
    assert outcome_of(fhir(api.quality, api, "R4/AuditEvent", date="soon"), 422) == "malformed_request"
    assert outcome_of(fhir(api.quality, api, "R4/Specimen", _cursor="9:x"), 422) == "cursor_unknown"
    assert outcome_of(fhir(api.quality, api, "R4/Observation/viability-1"), 404) == "not_found"


def test_pages_hang_together_by_their_links_and_cost_the_same_however_long(api: Api, world: Furnished) -> None:
    whole = [one["id"] for one in resources(api.quality, api, "R4/Procedure", _count=500)]
    assert len(whole) > 6
    for count in (1, 2, 5):
        assert [one["id"] for one in resources(api.quality, api, "R4/Procedure", _count=count)] == whole
    everything = [one["id"] for one in resources(api.auditor, api, f"R4/Patient/{world.mary}/$everything", _count=500)]
    assert [one["id"] for one in resources(api.auditor, api, f"R4/Patient/{world.mary}/$everything", _count=7)] == everything

    def statements(path: str, count: int) -> int:
        seen: list[str] = []
        stop = count_statements(api.test_bank.bank.database.reader.sync_engine, seen)
        assert fhir(api.quality, api, path, _count=count).status_code == 200
        stop()
        return len(seen)

    for kind in TYPES:
        assert statements(f"R4/{kind}", 500) <= 1 + len(TYPES[kind]), kind


def test_a_search_finds_by_code_alias_reference_and_date(api: Api, world: Furnished) -> None:
    vial = world.vials[0]
    seq = api.lab_tech.get(f"/specimens/{vial}").json()["custody"]["seq"]
    alias = {"issuer": "old_bank", "value": "K-17.3", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{vial}/aliases", json=alias).status_code == 201

    def ids(path: str, **params: Any) -> list[str]:
        return [one["id"] for one in resources(api.quality, api, path, **params)]

    assert ids("R4/Specimen", identifier="K-17.3") == [vial]
    assert {"value": "K-17.3", "assigner": {"display": "old_bank"}} in fhir(api.quality, api, f"R4/Specimen/{vial}").json()[
        "identifier"
    ]
    assert ids("R4/Specimen", _id=f"{vial},{world.vials[1]}") == sorted([vial, world.vials[1]])
    assert ids("R4/ServiceRequest", specimen=f"Specimen/{world.story.vials[0]}") == [world.story.code]
    assert ids("R4/Location", partof="Location/nothing") == []
    history = ids("R4/Provenance", target=f"Specimen/{vial}")
    assert len(history) == len(kinds_of(api, "specimen", vial))
    assert ids("R4/Provenance", target=f"Specimen/{vial}", recorded="lt2020-01-01") == []
    assert ids("R4/Provenance", target=f"Specimen/{vial}", recorded="ge2020-01-01") == history
    one = fhir(api.quality, api, f"R4/Provenance/{history[0]}").json()
    assert one["target"] == [{"reference": f"Specimen/{vial}"}]


def test_a_bulk_export_is_a_file_per_type_without_a_person_and_two_events_of_the_log(api: Api, world: Furnished) -> None:
    begin = f"{api.url}/fhir/R4/$export"
    asked = {"Prefer": "respond-async"}
    assert outcome_of(api.auditor.get(begin), 406) == "not_acceptable"
    assert outcome_of(api.lab_tech.get(begin, headers=asked), 403) == "not_permitted"
    begun = api.quality.get(begin, params={"_type": "Patient,Specimen,Provenance"}, headers=asked)
    assert begun.status_code == 202, begun.text
    where = begun.headers["content-location"]
    running = api.quality.get(where)
    assert (running.status_code, running.headers["x-progress"]) == (202, "0 of 3 types")
    assert outcome_of(api.quality.get(where.replace("export-status", "export-file") + "/Patient"), 409) == "export_not_ready"
    assert outcome_of(api.auditor.get(where), 404) == "not_found"
    assert run_next(api.test_bank.bank, JOB_KINDS)

    manifest = api.quality.get(where).json()
    files = {one["type"]: (api.quality.get(one["url"]), one["count"]) for one in manifest["output"]}
    assert set(files) == {"Patient", "Specimen", "Provenance"}
    for kind, (answer, count) in files.items():
        assert answer.headers["content-type"].startswith("application/fhir+ndjson")
        lines = [one for one in answer.text.split("\n") if one]
        assert len(lines) == count == len(resources(api.quality, api, f"R4/{kind}", _count=500))
        assert not [word for word in PERSON if word in answer.text]
    taken = api.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]
    assert taken[-1]["body"]["rows"] == sum(count for _, count in files.values())
    assert api.quality.delete(where).status_code == 409
    again = api.auditor.get(begin, headers=asked).headers["content-location"]
    assert api.auditor.delete(again).status_code == 202
    assert outcome_of(api.auditor.get(again), 409) == "export_not_ready"


def test_the_statement_of_capabilities_names_what_is_searched_by(api: Api) -> None:
    said = fhir(api.anonymous, api, "R5/metadata").json()

    assert said["fhirVersion"] == "5.0.0"
    named = {one["type"]: {p["name"] for p in one["searchParam"]} for one in said["rest"][0]["resource"]}
    assert set(named) == set(TYPES)
    for kind, names in named.items():
        for name in names - {"date", "recorded", "authored"}:
            answer = fhir(api.quality, api, f"R5/{kind}", **{name: "x"})
            assert answer.status_code == 200, (kind, name, answer.text)


def test_the_command_line_writes_what_an_auditor_of_every_site_reads(api: Api, world: Furnished, tmp_path: Path) -> None:
    _ = world
    target = tmp_path / "all.ndjson"
    written = fhir_to_file(api.test_bank.bank, target, "R5", ["Specimen", "Patient"])

    told = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [one["id"] for one in told] == [
        one["id"] for kind in ("Patient", "Specimen") for one in resources(api.auditor, api, f"R5/{kind}", _count=500)
    ]
    assert written.rows == len(told)
    assert not [word for word in PERSON if word in target.read_text(encoding="utf-8")]
    with pytest.raises(NotAcceptable, match="Choose R4 or R5"):
        fhir_to_file(api.test_bank.bank, target, "R9", [])


def test_a_person_takes_the_files_of_a_specimen_and_a_donor_and_everything_from_pages(
    api: Api, world: Furnished, visit: Visit
) -> None:
    vial = world.vials[0]
    clinician = visit("clinician")
    assert f'href="/donors/{world.mary}/files"' in clinician.get_page(f"/donors/{world.mary}")
    page = clinician.get_page(f"/donors/{world.mary}/files")
    assert f'href="/donors/{world.mary}/files/fhir-r4"' in page
    before = kinds_of(api, "donor", world.mary)
    whole = clinician.get(f"/donors/{world.mary}/files/fhir-r4")
    assert whole.headers["content-disposition"] == f'attachment; filename="{world.mary}-fhir-r4.json"'
    assert {one["resource"]["resourceType"] for one in whole.json()["entry"]} >= {"Patient", "Specimen", "Consent", "Provenance"}
    assert not [word for word in PERSON if word in whole.text]
    assert kinds_of(api, "donor", world.mary) == before, "a file without a name discloses nobody"

    technician = visit("lab_tech")
    assert f'href="/specimens/{vial}/files"' in technician.get_page(f"/specimens/{vial}")
    assert "HL7 FHIR R5" in technician.get_page(f"/specimens/{vial}/files")
    entry = technician.get(f"/specimens/{vial}/files/fhir-r5").json()["entry"]
    assert {one["resource"]["resourceType"] for one in entry} == {"Specimen", "BiologicallyDerivedProduct", "Provenance"}
    assert technician.get(f"/specimens/{vial}/files/docx").status_code == 406
    assert visit("north_tech").get(f"/specimens/{vial}/files").status_code == 404

    auditor = visit("auditor")
    assert 'href="/log/exports/fhir"' in auditor.get_page("/log/exports")
    begun = auditor.submit("/log/exports/fhir", {"release": "R4"})
    assert "Everything as FHIR" in begun.text
    assert run_next(api.test_bank.bank, JOB_KINDS)
    done = auditor.get_page(begun.url.path)
    assert "Download the file" in done
    (address,) = re.findall(r'href="(/jobs/[0-9a-f-]+/file)"', done)
    assert auditor.get(address).headers["content-type"].startswith("application/fhir+ndjson")
