"""The log and the kept attempts of a site are for those who may read that site's."""

import json

import pytest

from tests.conftest import Api
from tests.exports.taking import take_log
from tests.exports.test_custody_log import some_history
from tests.granting import also


def test_an_export_holds_the_entries_of_the_readers_sites_only(api: Api) -> None:
    codes = some_history(api)
    also(api, "north_tech", "auditor", "NORTH")
    also(api, "lab_tech", "auditor", "LAB")

    def ids(user: str) -> set[str]:
        answer = take_log(api, user=user, kind="specimen.received")
        return {json.loads(line)["entry"]["id"] for line in answer.content.splitlines()}

    assert ids("lab_tech") == set(codes) == ids("auditor")
    assert ids("north_tech") == set()


@pytest.mark.parametrize(("reader", "sees"), [("north_tech", False), ("lab_tech2", True)])
def test_an_attempt_is_shown_to_readers_of_its_site_only(api: Api, reader: str, sees: bool) -> None:
    (code,) = some_history(api, 1)
    also(api, "north_tech", "auditor", "NORTH")
    also(api, "lab_tech2", "auditor", "LAB")
    again = {"kind": "specimen.received", "site": "LAB", "expected_seq": 2}
    assert api.lab_tech.post(f"/specimens/{code}/events", json=again).status_code == 409

    kept = getattr(api, reader).get("/attempts", params={"subject": code}).json()["items"]

    assert bool(kept) == sees
    assert len(api.auditor.get("/attempts", params={"subject": code}).json()["items"]) == 1
