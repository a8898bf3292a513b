"""Past the merge delay: what leads to a patient waits for the log, what keeps a tube safe does not, each with its own test."""

from collections.abc import Callable

import httpx
import psycopg
import pytest

from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.factories import make_box
from tests.sealing import seal
from tests.withdrawals.stories import a_box, a_story, bank_vials, later, refused


@pytest.fixture
def bank(make_bank: Callable[..., TestBank]) -> TestBank:
    """A bank that promises a seal within a minute, as banks do by themselves."""
    return make_bank(merge_delay_s=60)


def behind(api: Api) -> None:
    """Nobody seals, and the promise (60 s) passes."""
    later(api, seconds=120)
    assert httpx.get(f"{api.url}/readyz").json()["log"].startswith("lagging")


def test_an_approval_is_refused_and_goes_through_once_the_log_has_caught_up(api: Api) -> None:
    story = a_story(api).up_to("request")
    behind(api)
    refused(story.approve(), 503, "log_lagging")
    seal(api.test_bank)
    assert story.approve().status_code == 200


def test_an_issue_is_refused(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    behind(api)
    refused(story.issue(), 503, "log_lagging")
    seal(api.test_bank)
    assert story.issue().status_code == 200


def test_an_administration_is_refused(api: Api) -> None:
    story = a_story(api).up_to("check")
    behind(api)
    refused(story.administer(), 503, "log_lagging")
    seal(api.test_bank)
    assert story.administer().status_code in (200, 201)


def test_a_sealed_but_unpublished_log_refuses_as_well(api: Api) -> None:
    """The register's disk is full: every event is sealed, and no checkpoint that shows it can leave the house."""
    story = a_story(api).up_to("confirm")
    seal(api.test_bank)
    with_owner(api, "INSERT INTO tree_head SELECT size + 1, root, range, sealed_at FROM tree_head ORDER BY size DESC LIMIT 1")
    behind(api)
    refused(story.issue(), 503, "log_lagging")


def with_owner(api: Api, statement: str) -> None:
    with psycopg.connect(api.test_bank.dsn(), autocommit=True) as connection:
        connection.execute(statement)


def seq_of(api: Api, code: str) -> int:
    return int(api.lab_tech.get(f"/specimens/{code}/custody").json()["items"][-1]["seq"])


def test_observations_storage_evacuation_and_holds_go_on(api: Api) -> None:
    donor = donors.register(api.clinician)
    (code,) = bank_vials(api, donor)
    behind(api)
    lab = api.lab_tech
    seen = {
        "kind": "specimen.inspected",
        "expected_seq": seq_of(api, code),
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    assert lab.post(f"/specimens/{code}/events", json=seen).status_code == 201
    out = {"kind": "specimen.checked_out", "expected_seq": seq_of(api, code), "purpose": "testing"}
    assert lab.post(f"/specimens/{code}/events", json=out).status_code == 201
    away = {"container": a_box(api), "expected_seq": seq_of(api, code)}
    assert lab.post(f"/specimens/{code}/store", json=away).status_code == 201
    act = api.test_bank.act("admin")
    refuge = api.test_bank.write(lambda s: make_box(s, act, purpose="quarantine").code)
    assert lab.post(f"/storage-containers/{refuge}/evacuate", json={"scanned": [code]}).status_code == 200
    hold = {"scope_kind": "specimen", "scope_id": code, "kind": "quality", "reason": "doubt"}
    assert api.quality.post("/holds", json=hold).status_code == 201
