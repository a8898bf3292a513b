"""What begins a record of its own is dated no earlier than its site: a bank of this year has no entry of 2001."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.granting import also
from tests.registers.test_registers import BADGE, entered
from tests.withdrawals.stories import ago, later, refused

YEAR_2001 = {"occurred_at": "2001-01-01T00:00:00Z", "late_entry": True, "reason_text": "from the old book"}


@pytest.fixture
def newhall(api: Api) -> str:
    """A site that was set up an hour ago."""
    made = {"code": "NEWHALL", "name": "New Hall", "kind": "bank", "timezone": "Europe/London"}
    assert api.admin.post("/sites", json=made).status_code == 201
    for login, role in (("quality", "quality"), ("lab_tech", "lab_tech")):
        also(api, login, role, "NEWHALL")
    later(api, hours=1)
    return "NEWHALL"


def entries(site: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Acts that begin a record: by a name, who does it, where, and what."""
    return {
        "register": ("quality", "/registers", {"kind": "reagent_lot", "name": "Trypsin 7", "site": site}),
        "deviation": ("quality", "/deviations", {"severity": "minor", "topic": "other", "site": site, "description": "Late."}),
        "unidentified": ("lab_tech", "/specimens/unidentified", {"site": site, "condition": "frozen"}),
    }


@pytest.mark.parametrize("what", sorted(entries("LAB")))
def test_what_begins_a_record_is_no_older_than_its_site(api: Api, newhall: str, what: str) -> None:
    login, address, body = entries(newhall)[what]
    client = getattr(api, login)

    old = client.post(address, json=body | YEAR_2001)
    since = client.post(address, json=body | YEAR_2001 | {"occurred_at": ago(minutes=30)})

    said = refused(old, 409, "before_it_existed")
    assert "the record of NEWHALL begins" in said["detail"]
    assert since.status_code == 201, since.text


def test_nobody_is_authorised_since_a_year_that_nobody_means(api: Api) -> None:
    procedure = entered(api, "procedure", "SOP-901 v1")
    address = f"/registers/{procedure}/authorisations"

    refused(api.quality.post(address, json={"person": BADGE, "since": "1950-01-01", "until": "2030-01-01"}), 409, "register_date")
    assert api.quality.post(address, json={"person": BADGE, "since": "2020-01-01", "until": "2030-01-01"}).status_code == 201
