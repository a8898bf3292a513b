"""Stories of cells that are grown before they go back."""

from typing import Any

import httpx

from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.withdrawals.stories import Story, a_story

ROUTE = "expand_in_run"


def asked(api: Api, vials: int = 3, wanted: int = 1, **fields: Any) -> Story:
    """A withdrawal of cells that are to be grown first."""
    story = a_story(api, vials, **fields)
    assert donors.consent(api.clinician, story.donor, "banking").status_code == 201
    answer = story.request(route=ROUTE, specimens=story.vials[:wanted])
    assert answer.status_code == 201, answer.text
    return story


def at_the_bench(api: Api, *, thawed: bool = True, wanted: int = 1, approver: Client | None = None) -> Story:
    """The same, approved, picked by two and thawed."""
    story = asked(api, wanted=wanted)
    assert story.approve(approver).status_code == 200
    for tube in story.vials[:wanted]:
        assert story.pick(tube=tube).status_code == story.confirm(tube=tube).status_code == 201
        if thawed:
            assert story.thaw(api.lab_tech, tube).status_code == 200
    return story


def grown_of(api: Api, *inputs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A run in which these inputs go into culture, as they stand now."""
    output = {"material": "adsc", "unit": "cells", "amount": 20_000_000, "passage": 3, "vessel_count": 4}
    run = {"process": "passage", "procedure_version": "SOP-014 v3", "site": "LAB", "no_reagents": True, "outputs": [output]}
    return run | {"inputs": [{"expected_seq": seq_of(api, one["specimen"])} | one for one in inputs]} | changes


def seq_of(api: Api, tube: str) -> int:
    """The sequence of its last event."""
    return int(api.quality.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"])


def expand(story: Story, client: Client | None = None, *tubes: str, **changes: Any) -> httpx.Response:
    """Record the run that they go into."""
    inputs = changes.pop("inputs", None) or [{"specimen": one} for one in tubes or story.vials[:1]]
    body = grown_of(story.api, *inputs, **changes)
    return (client or story.api.lab_tech).post(f"/withdrawals/{story.code}/expand", json=body)
