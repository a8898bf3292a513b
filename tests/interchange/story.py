"""A bank with a little of everything, for what is said of it to others."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import Api, Client
from tests.donors.stories import consent
from tests.journeys.test_from_harvest_to_administration import mary_gives_fat_and_hair, storage
from tests.monitoring.test_sensors import a_sensor
from tests.quality.test_deviations import stored
from tests.quality.test_markers import enter
from tests.specimens.stories import donor, made
from tests.withdrawals.stories import Story, a_story
from tests.withdrawals.test_adverse import record

RELEASES = ("R4", "R5")


@dataclass
class Furnished:
    """`mary` gave fat and hair, was tested, and has `vials`; `story`: a withdrawal that was given, with a reaction."""

    mary: str
    vials: list[str]
    story: Story
    box: str


def furnished(api: Api) -> Furnished:
    """Let a person give, another be treated, and register an instrument and a sensor."""
    mary = donor(api)
    made(consent(api.clinician, mary, "treatment"))
    made(consent(api.clinician, mary, "research"))
    box = storage(api)
    vials = mary_gives_fat_and_hair(api, mary, box)
    answer = enter(api.clinician, mary, stored(api).json()["sha256"])
    assert answer.status_code == 201, answer.text
    story = a_story(api).up_to("administer")
    assert record(api, story).status_code == 201
    made(api.quality.post("/registers", json={"kind": "equipment", "name": "Incubator 3"}))
    a_sensor(api, box)
    return Furnished(mary, vials, story, box)


def fhir(client: Client, api: Api, path: str, **params: Any) -> httpx.Response:
    """Ask for a FHIR address, such as `R4/Patient`."""
    return client.get(f"{api.url}/fhir/{path}", params=params)


def resources(client: Client, api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every resource of a search, page by page along its links."""
    found: list[dict[str, Any]] = []
    answer = fhir(client, api, path, **params)
    while True:
        assert answer.status_code == 200, (path, answer.text)
        bundle = answer.json()
        found += [one["resource"] for one in bundle.get("entry", [])]
        after = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        if after is None:
            return found
        answer = client.get(after)
