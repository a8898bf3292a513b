"""What the CapabilityStatement says is what the server does, and words of HL7's are among those that it gives."""

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from biobank.interchange.fhir.resources import PARAMETERS, TYPES
from tests.conftest import Api
from tests.interchange.readers import fetched
from tests.interchange.story import RELEASES, Furnished, fhir, furnished, resources
from tests.interchange.test_fhir import outcome_of

VALUES = {"date": ("ge2020-01-01", "2026-01-31T12:00:00Z"), "token": ("x", "system|x"), "reference": ("x", "Patient/x")}


@pytest.fixture
def world(api: Api) -> Furnished:
    """A bank with a little of everything."""
    return furnished(api)


def stated(api: Api, release: str) -> dict[str, dict[str, Any]]:
    """Type of resource → what the statement says of it."""
    said = fhir(api.anonymous, api, f"{release}/metadata").json()["rest"][0]
    assert [one["name"] for one in said["operation"]] == ["export"]
    return {one["type"]: one for one in said["resource"]}


def refusals(api: Api, release: str, kind: str, identity: str) -> Iterator[tuple[str, httpx.Response]]:
    """Every interaction of HL7's with a type that is not stated."""
    base = f"{api.url}/fhir/{release}"
    body = {"resourceType": kind}
    for method, path in (
        ("POST", kind),
        ("POST", f"{kind}/_search"),
        ("PUT", f"{kind}/{identity}"),
        ("PATCH", f"{kind}/{identity}"),
        ("DELETE", f"{kind}/{identity}"),
        ("DELETE", kind),
        ("GET", f"{kind}/_history"),
        ("GET", f"{kind}/{identity}/_history"),
        ("GET", f"{kind}/{identity}/_history/1"),
        ("GET", f"{kind}/$export"),
        *((("GET", f"{kind}/{identity}/$everything"),) if kind != "Patient" else ()),
    ):
        yield f"{method} {path}", api.quality.request(method, f"{base}/{path}", json=None if method == "GET" else body)


ASYNC = {"Prefer": "respond-async"}


def test_each_thing_stated_works_and_each_thing_not_stated_is_refused(api: Api, world: Furnished) -> None:
    every = set().union(*PARAMETERS.values())
    for release in RELEASES:
        for kind, said in stated(api, release).items():
            assert {one["code"] for one in said["interaction"]} == {"read", "search-type"}
            (first, *_) = resources(api.quality, api, f"{release}/{kind}", _count=1)
            assert fhir(api.quality, api, f"{release}/{kind}/{first['id']}").json()["resourceType"] == kind
            parameters = {one["name"]: one["type"] for one in said["searchParam"]}
            assert parameters.keys() == PARAMETERS[kind]
            # Both releases have this one table: one of them is gone through.
            for name, sort in parameters.items() if release == "R4" else ():
                for value in VALUES[sort]:
                    found = fhir(api.quality, api, f"{release}/{kind}", **{name: value})
                    assert (found.status_code, found.json()["type"]) == (200, "searchset"), (kind, name, value)
                if sort == "date":
                    assert outcome_of(fhir(api.quality, api, f"{release}/{kind}", **{name: "soon"}), 422)
            assert (
                fhir(api.quality, api, f"{release}/{kind}", _id=first["id"]).json()["entry"][0]["resource"]["id"] == first["id"]
            )
            others = every if release == "R4" else set()
            for name in {*others, "_lastUpdated", "_sort", "_include", "_since"} - parameters.keys():
                assert outcome_of(fhir(api.quality, api, f"{release}/{kind}", **{name: "x"}), 422) == "unknown_parameter", name
            for what, answer in refusals(api, release, kind, first["id"]) if release == "R4" or kind == "Patient" else ():
                assert 400 <= answer.status_code < 500, what
                assert outcome_of(answer, answer.status_code), what
        everything = fhir(api.auditor, api, f"{release}/Patient/{world.mary}/$everything")
        assert everything.status_code == 200
        assert stated(api, release)["Patient"]["operation"][0]["name"] == "everything"
        for path in ("", "_history", "Medication"):
            assert 400 <= fhir(api.quality, api, f"{release}/{path}").status_code < 500, path
    refused = api.quality.get(f"{api.url}/fhir/R4/$export", params={"_since": "2026-01-01T00:00:00Z"}, headers=ASYNC)
    assert outcome_of(refused, 422) == "unknown_parameter"


def codes_of(model: BaseModel, where: str) -> Iterator[tuple[str, str, list[str]]]:
    """Every word of a resource that its release gives a list for: where it stands, the word, the list."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name, None)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, BaseModel):
                yield from codes_of(one, f"{where}.{name}")
            elif one is not None and (listed := extra.get("enum_values")):
                yield f"{where}.{name}", str(one), [str(word) for word in listed]  # type: ignore[union-attr]


def codings_of(part: Any) -> Iterator[tuple[str, str]]:
    """Every coding of a system of HL7's."""
    if isinstance(part, list):
        for one in part:
            yield from codings_of(one)
    elif isinstance(part, dict):
        if isinstance(part.get("system"), str) and "code" in part and "hl7.org" in part["system"]:
            yield part["system"], part["code"]
        for one in part.values():
            yield from codings_of(one)


def test_every_word_of_a_list_of_hl7_is_one_of_the_list_in_both_releases(api: Api, world: Furnished) -> None:
    _ = world
    seen: set[str] = set()
    for release, place in (("R4", "fhir.resources.R4B"), ("R5", "fhir.resources")):
        for kind in TYPES:
            model = getattr(import_module(f"{place}.{kind.lower()}"), kind)
            for one in resources(api.quality, api, f"{release}/{kind}", _count=500):
                for where, word, listed in codes_of(model.model_validate(one), f"{release} {kind}"):
                    assert word in listed, where
                    seen.add(where)
    assert {"R4 Consent.status", "R5 Specimen.status", "R5 Procedure.status", "R5 AdverseEvent.status"} <= seen
    assert len(seen) > 20


@pytest.mark.slow
def test_every_code_of_a_system_of_hl7_is_in_the_system_as_hl7_gives_it(api: Api, world: Furnished) -> None:
    _ = world
    folder = fetched() / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
    given: dict[str, set[str]] = {}

    def gather(system: str, concepts: list[dict[str, Any]]) -> None:
        for one in concepts:
            given.setdefault(system, set()).add(one["code"])
            gather(system, one.get("concept", []))

    for file in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
        if not (folder / file).exists():
            continue
        for entry in json.loads((folder / file).read_text())["entry"]:
            if entry["resource"]["resourceType"] == "CodeSystem" and entry["resource"].get("concept"):
                gather(entry["resource"]["url"], entry["resource"]["concept"])
    said = {one for kind in TYPES for one in codings_of(resources(api.quality, api, f"R4/{kind}", _count=500))}
    assert len(said) >= 5
    assert {(system, code) for system, code in said if system in given and code not in given[system]} == set()
    assert len({system for system, _ in said if system in given}) >= 3
