"""What forms ask for by name stands in a list: reasons, laboratories, kits, ways to thaw, media. Each can be asked back from."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from biobank.foundation.listed import listed_by
from biobank.registers.reasons import ALL, STANDARD
from biobank.registries.routes import ROUTERS
from biobank.specimens.residues import residues_of
from tests import seed
from tests.conftest import Api
from tests.quality.test_deviations import stored
from tests.quality.test_markers import enter
from tests.registers.test_registers import wash
from tests.specimens.stories import Json, donor, freeze, harvest, made, raw_fat, refused, svf, thaw, vials

OTHER_LISTS = {"material", "anatomical_site", "measure", "unit", "issuer", "act", "field"}
"""Coded words that are no reasons: of registries of the software, or names that a person gives (an issuer, a measure)."""


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from models_of(info.annotation)
    for part in get_args(annotation):
        yield from models_of(part)


def bodies() -> set[type[BaseModel]]:
    """Every model that a call may send, with its parts."""
    found: set[type[BaseModel]] = set()
    for router in ROUTERS:
        for route in router.routes:
            for param in getattr(getattr(route, "dependant", None), "body_params", ()):
                found |= set(models_of(param.field_info.annotation))
    return found


def patterns_of(info: Any) -> str:
    return f"{info.metadata} {info.annotation}"


def test_every_coded_word_that_a_call_takes_comes_from_a_list() -> None:
    free = {
        f"{model.__name__}.{name}"
        for model in bodies()
        for name, info in model.model_fields.items()
        if name not in OTHER_LISTS and "[a-z0-9_]" in patterns_of(info) and listed_by(info) is None
    }

    assert free == set()
    assert len(bodies()) > 100
    assert sum(listed_by(info) is not None for model in bodies() for info in model.model_fields.values()) > 30


def test_a_reason_of_no_list_is_refused_on_every_route_until_quality_enters_it_and_again_when_it_is_out_of_use(api: Api) -> None:
    syringe = raw_fat(api, donor(api))
    hold: Json = {"kind": "quality", "scope_kind": "specimen", "scope_id": syringe["code"], "reason": "mary_smith_said_so"}
    lost: Json = {"kind": "specimen.missing", "reason": "mary_smith_took_it", "expected_seq": syringe["seq"]}
    assert refused(api.quality.post("/holds", json=hold)) == (409, "not_in_register")
    assert refused(api.lab_tech.post(f"/specimens/{syringe['code']}/events", json=lost)) == (409, "not_in_register")
    batch = {"events": [lost | {"specimen": syringe["code"]}]}
    assert refused(api.lab_tech.post("/custody-events", json=batch)) == (409, "not_in_register")

    entry = made(api.quality.post("/registers", json={"kind": "reason", "name": "cold_box_empty"}))["entry"]["entry"]
    assert api.quality.post("/holds", json=hold | {"reason": "cold_box_empty"}).status_code == 201

    made(api.quality.post(f"/registers/{entry}/changes", json={"change": "retired", "reason": "superseded"}))
    again = hold | {"reason": "cold_box_empty", "kind": "investigation"}
    assert refused(api.quality.post("/holds", json=again)) == (409, "not_in_register")


def test_a_corrected_medium_stands_in_the_register_too(api: Api) -> None:
    syringe = raw_fat(api, donor(api))
    here = f"/specimens/{syringe['code']}"
    collected = api.lab_tech.get(f"{here}/custody").json()["items"][0]["leaf_hash"]
    body = {"corrects": collected, "field": "transport_medium", "reason": "typed_wrong", "expected_seq": syringe["seq"]}
    assert refused(api.lab_tech.post(f"{here}/amend", json=body | {"value": "whatever_it_was"})) == (409, "not_in_register")
    other = made(api.quality.post("/registers", json={"kind": "medium", "name": "Saline"}))["entry"]["entry"]
    assert api.lab_tech.post(f"{here}/amend", json=body | {"value": other}).status_code == 201


def test_a_reason_of_the_bank_is_a_coded_word(api: Api) -> None:
    answer = api.quality.post("/registers", json={"kind": "reason", "name": "Mary Smith said so"})
    assert answer.status_code == 422


def test_the_starting_list_is_of_coded_words_and_offers_each_once_a_form() -> None:
    for some in STANDARD.values():
        assert len(set(some)) == len(some)
    assert all(word.isascii() and word == word.lower() and " " not in word and 2 <= len(word) <= 40 for word in ALL)


def test_markers_name_a_laboratory_and_a_kit_of_the_registers(api: Api) -> None:
    person = donor(api)
    report = stored(api).json()["sha256"]
    for wrong in ({"laboratory": "Nowhere"}, {"kit": "Kit of nobody"}):
        assert refused(enter(api.clinician, person, report, **wrong)) == (409, "not_in_register")
    assert enter(api.clinician, person, report).status_code == 201


def test_a_harvest_names_the_medium_by_its_label_and_is_warned_of_what_stands_against_it(api: Api) -> None:
    person = donor(api)
    assert refused(harvest(api.clinician, person, transport_medium=seed.EQUIPMENT))[0] == 422
    said = {"kind": "medium", "name": "Old saline", "expires_on": "2020-01-01"}
    old = made(api.quality.post("/registers", json=said))["entry"]["entry"]
    taken = made(harvest(api.clinician, person, transport_medium=old))
    assert len(taken["warnings"]) == 2, "expired and not qualified: said, and what was taken is recorded all the same"


def test_a_way_to_thaw_is_one_of_the_register(api: Api) -> None:
    grown = vials(api, svf(api, donor(api)), 2)
    frozen = made(freeze(api.lab_tech, grown))["specimens"]
    assert refused(thaw(api.lab_tech, frozen, method="in the hand")) == (409, "not_in_register")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("laboratory", "North Lab"), ("test_method", "Kit 7"), ("medium", "Ringer lactate"), ("reason", "cold_box_empty")],
)
def test_a_look_back_starts_from_each_kind(api: Api, kind: str, name: str) -> None:
    person = donor(api)
    syringe = raw_fat(api, person)
    other = donor(api)
    made(harvest(api.clinician, other, transport_medium=None))
    made(enter(api.clinician, person, stored(api).json()["sha256"]))
    made(api.quality.post("/registers", json={"kind": "reason", "name": "cold_box_empty"}))
    hold = {"kind": "quality", "scope_kind": "specimen", "scope_id": syringe["code"], "reason": "cold_box_empty"}
    made(api.quality.post("/holds", json=hold))
    entries = api.quality.get("/registers", params={"kind": kind}).json()["items"]
    entry = next(one["entry"] for one in entries if one["name"] == name)

    found = api.quality.post("/look-backs", json={"entry": entry}).json()

    assert [one["specimen"] for one in found["items"]] == [syringe["code"]]


def test_an_authorisation_has_a_first_day(api: Api) -> None:
    badge = seed.USERS["lab_tech"].code
    key = made(api.quality.post("/registers", json={"kind": "procedure", "name": "SOP-77 v1"}))["entry"]["entry"]
    later = {"person": badge, "since": "2999-01-01", "until": "2999-12-31"}
    made(api.quality.post(f"/registers/{key}/authorisations", json=later))
    shown = api.quality.get(f"/registers/{key}").json()["authorised"]
    assert shown == [later]
    early = made(wash(api, raw_fat(api, donor(api)), procedure_version="SOP-77 v1"))
    assert any("not authorised" in one for one in early["warnings"])
    backwards = later | {"until": "2998-12-31"}
    assert api.quality.post(f"/registers/{key}/authorisations", json=backwards).status_code == 422


def test_a_run_that_used_no_reagent_says_so_and_what_is_unsaid_is_unknown(api: Api) -> None:
    person = donor(api)
    said: tuple[Json, Json] = ({}, {"no_reagents": True})
    washed = [made(wash(api, raw_fat(api, person), **more))["specimens"][0]["code"] for more in said]
    left = api.test_bank.write(lambda s: residues_of(s, washed))
    assert [left[code].unknown for code in washed] == [True, False]
    both = wash(api, raw_fat(api, person), no_reagents=True, reagent_lots=[seed.REAGENT])
    assert both.status_code == 422
