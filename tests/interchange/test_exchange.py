"""EPCIS, PROV, MIABIS and SPREC of a specimen: valid by the schemas of others, and only what is recorded."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from prov.model import ProvDerivation, ProvDocument, ProvInvalidation

from biobank.interchange.command import file_of_specimen
from tests.conftest import Api, Client
from tests.custody.test_reversal import amend, last
from tests.interchange.readers import EPCIS_SCHEMA, faults_of
from tests.interchange.story import Furnished, furnished
from tests.monitoring.test_excursions import a_tank, frozen, put, read
from tests.pages.visitor import Visit
from tests.specimens.stories import donor, fat, harvest, made, received
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import kinds_of


@pytest.fixture
def world(api: Api) -> Furnished:
    """A bank with a little of everything."""
    return furnished(api)


def file(client: Client, code: str, name: str) -> Any:
    """A file of a specimen, as JSON."""
    answer = client.get(f"/specimens/{code}/files/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_epcis_document_of_a_life_is_valid_by_gs1s_own_schema_and_has_an_event_for_each_of_the_log(
    api: Api, world: Furnished
) -> None:
    given, vial = world.story.vials[0], world.vials[0]
    documents = [file(api.quality, code, "epcis") for code in (given, vial)]

    assert faults_of(EPCIS_SCHEMA, documents) == [[], []]
    bad = json.loads(json.dumps(documents[0]))
    bad["epcisBody"]["eventList"][0]["bizStep"] = "thawed"
    assert faults_of(EPCIS_SCHEMA, [bad])[0], "the judge knows a step that is none"
    events = documents[0]["epcisBody"]["eventList"]
    assert len(events) == len(kinds_of(api, "specimen", given))
    assert events[0]["action"] == "ADD"
    assert next(one for one in events if one.get("bizStep") == "dispensing")["action"] == "DELETE"
    assert all(one["epcList"] == [f"https://bank.example/S/{given}"] for one in events if "epcList" in one)
    (made_from,) = [one for one in documents[1]["epcisBody"]["eventList"] if one["type"] == "TransformationEvent"]
    parents = api.quality.get(f"/specimens/{vial}").json()["parents"]
    assert made_from["inputEPCList"] == [f"https://bank.example/S/{one}" for one in parents]


def test_a_temperature_stands_where_one_was_read_and_nowhere_else(api: Api) -> None:
    raw = made(harvest(api.clinician, donor(api), fat()))["specimens"][0]
    seq = raw["seq"]
    arrival = {"kind": "specimen.received", "site": "LAB", "temperature_mc": 4_500, "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{raw['code']}/events", json=arrival).status_code == 201
    events = file(api.lab_tech, raw["code"], "epcis")["epcisBody"]["eventList"]

    cold = [one for one in events if "sensorElementList" in one]
    assert [one["bizStep"] for one in cold] == ["receiving"]
    assert cold[0]["sensorElementList"][0]["sensorReport"] == [{"type": "Temperature", "value": 4.5, "uom": "CEL"}]
    assert cold[0]["eventTimeZoneOffset"] in ("+00:00", "-05:00", "-04:00", "+01:00", "+02:00")
    other = received(api.lab_tech, made(harvest(api.clinician, donor(api), fat()))["specimens"][0])
    assert not [one for one in file(api.lab_tech, other["code"], "epcis")["epcisBody"]["eventList"] if "sensorElementList" in one]


def test_an_excursion_that_a_tube_was_in_is_an_event_with_its_peak(api: Api) -> None:
    tank = a_tank(api)
    box = a_box(api, parent=tank)
    (tube,) = frozen(api, 1)
    put(api, tube, box)
    (code,) = read(api, tank, -50_000)["excursions"]

    document = file(api.quality, tube, "epcis")
    (met,) = [one for one in document["epcisBody"]["eventList"] if one["bizStep"] == "sensor_reporting"]
    assert met["eventID"].endswith(f"/{code}")
    assert met["sensorElementList"][0]["sensorReport"] == [
        {"exception": "ALARM_CONDITION", "type": "Temperature", "uom": "CEL", "maxValue": -50}
    ]
    assert faults_of(EPCIS_SCHEMA, [document]) == [[]]


def test_what_was_corrected_keeps_its_identifier_and_says_so(api: Api) -> None:
    raw = made(harvest(api.clinician, donor(api), fat()))["specimens"][0]
    arrival = {"kind": "specimen.received", "site": "LAB", "temperature_mc": 4_500, "expected_seq": raw["seq"]}
    assert api.lab_tech.post(f"/specimens/{raw['code']}/events", json=arrival).status_code == 201
    event = last(api, raw["code"])
    answer = amend(api, raw["code"], event, "temperature_mc", 5_400)
    assert answer.status_code == 201, answer.text

    document = file(api.lab_tech, raw["code"], "epcis")
    (declared,) = [one for one in document["epcisBody"]["eventList"] if "errorDeclaration" in one]
    assert declared["eventID"] == f"https://bank.example/events/{event['leaf_hash']}"
    assert declared["errorDeclaration"]["reason"] == "incorrect_data"
    assert faults_of(EPCIS_SCHEMA, [document]) == [[]]


def test_the_prov_document_is_read_back_as_it_was_by_its_own_library_and_schema(api: Api, world: Furnished) -> None:
    vial, given = world.vials[0], world.story.vials[0]
    written = file(api.quality, vial, "prov")
    schema = json.loads((files("prov") / "tests/schemas/prov-json.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema).validate(written)
    read = ProvDocument.deserialize(content=json.dumps(written), format="json")

    again = ProvDocument.deserialize(content=read.serialize(format="json"), format="json")
    assert again == read
    assert len(list(read.get_records(ProvDerivation))) == len(api.quality.get(f"/specimens/{vial}/lineage").json()["edges"])
    assert list(read.get_records(ProvInvalidation)) == [], "nobody ended it"
    ended = ProvDocument.deserialize(content=json.dumps(file(api.quality, given, "prov")), format="json")
    assert len(list(ended.get_records(ProvInvalidation))) == 1


def test_miabis_and_sprec_say_what_is_recorded_and_other_where_they_have_no_word(api: Api, world: Furnished) -> None:
    said = file(api.quality, world.vials[0], "miabis")

    assert said["miabis"]["sampleType"] == "Primary cells"
    assert said["miabis"]["storageTemperatureIsOf"] == "class of the place, not a measurement"
    assert "anatomicalSite" not in said["miabis"], "how the fat was taken is said of the fat"
    assert "minutesFromCollectionToFirstProcessing" not in said["sprec"]
    raw = made(harvest(api.clinician, world.mary, fat()))["specimens"][0]
    fresh = file(api.clinician, raw["code"], "miabis")
    assert fresh["miabis"]["sampleType"] == "Other"
    assert fresh["miabis"]["anatomicalSite"] == "abdomen"
    assert set(fresh["sprec"]) == {"sampleType", "collectionMethod"}


def test_files_of_a_specimen_are_for_who_may_know_of_it_and_name_nobody(api: Api, world: Furnished, visit: Visit) -> None:
    vial = world.vials[0]
    page = visit("auditor").get_page(f"/specimens/{vial}/files")
    for name, words in (("epcis", "GS1 EPCIS 2.0"), ("prov", "W3C PROV"), ("miabis", "MIABIS"), ("fhir-r4", "HL7 FHIR R4")):
        assert f'href="/specimens/{vial}/files/{name}"' in page
        assert words in page
        assert api.north_tech.get(f"/specimens/{vial}/files/{name}").status_code == 404
        assert api.admin.get(f"/specimens/{vial}/files/{name}").status_code in (403, 404)
        text = visit("lab_tech").get(f"/specimens/{vial}/files/{name}").text
        assert "Mary" not in text and "1980" not in text
    assert api.quality.get(f"/specimens/{vial}/files/docx").status_code == 422
    assert api.clinician.get(f"/donors/{world.mary}/files/fhir-r5").json()["resourceType"] == "Bundle"
    assert json.loads(file_of_specimen(api.test_bank.bank, vial, "miabis")) == file(api.auditor, vial, "miabis")
