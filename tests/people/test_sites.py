"""Sites: added and changed by an administrator, each change an event; everyone signed in may read them."""

import json
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from biobank.acts.act import Act
from biobank.people.schemas import SiteCreate
from biobank.people.sites import create_site
from tests.conftest import Api, TestBank
from tests.people.test_sign_in import outcome

WEST = {"code": "WEST", "name": "Clinic of the West", "kind": "clinic", "timezone": "America/Los_Angeles"}


def bodies(bank: TestBank) -> list[dict[str, Any]]:
    with psycopg.connect(bank.dsn()) as connection:
        rows = connection.execute(
            "SELECT entry FROM event WHERE stream_kind = 'system' AND stream_id = 'SITES' ORDER BY seq"
        ).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def test_an_administrator_adds_a_site_and_changes_it(api: Api) -> None:
    made = api.admin.post("/sites", json=WEST)
    assert made.status_code == 201, made.text
    changed = api.admin.patch("/sites/WEST", json={"name": "Western Clinic", "active": False})

    assert changed.json()["site"] == WEST | {"name": "Western Clinic", "active": False, "jurisdiction": None}
    assert api.lab_tech.get("/sites/WEST").json() == changed.json()["site"]
    assert [s["code"] for s in api.auditor.get("/sites", params={"active": False}).json()["items"]] == ["WEST"]
    created, renamed = bodies(api.test_bank)
    assert created["kind"] == "system.site_created"
    assert created["body"]["name_sha256"] == sha256(b"Clinic of the West").hexdigest()
    assert (renamed["body"]["active"], renamed["prev"]) == (False, made.json()["events"][0]["leaf_hash"])


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "clinic_staff", "quality", "auditor"])
def test_nobody_else_changes_a_site(api: Api, user: str) -> None:
    client = getattr(api, user)

    assert outcome(client.post("/sites", json=WEST)) == (403, "not_permitted")
    assert outcome(client.patch("/sites/LAB", json={"name": "Mine"})) == (403, "not_permitted")


def test_a_site_code_is_used_once(api: Api) -> None:
    assert outcome(api.admin.post("/sites", json=WEST | {"code": "LAB"})) == (409, "already_exists")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "posix/Europe/London", "x"])
def test_a_time_zone_is_one_of_the_list(api: Api, zone: str) -> None:
    assert outcome(api.admin.post("/sites", json=WEST | {"timezone": zone})) == (409, "unknown_time_zone")


def test_a_change_changes_something(api: Api) -> None:
    assert outcome(api.admin.patch("/sites/LAB", json={})) == (409, "conflict")
    assert outcome(api.admin.patch("/sites/MOON", json={"active": False})) == (404, "not_found")


def test_the_bank_itself_adds_sites_at_set_up(bank: TestBank) -> None:
    act = Act.system(bank.bank, path="demo")

    bank.write(lambda s: create_site(s, act, SiteCreate(code="EAST", name="East", kind="bank", timezone="Asia/Tokyo")))

    assert [b["by"] for b in bodies(bank)] == ["SYSTEM"]
