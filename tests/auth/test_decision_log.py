"""Where a bank asks for it, every request leaves a line with each decision about the caller's rights, granted and refused."""

import time
from collections.abc import Callable
from typing import Any

from structlog.testing import capture_logs

from tests import seed
from tests.conftest import Api, TestBank
from tests.factories import make_donor

TECH, AUDITOR = (seed.USERS[name].code for name in ("lab_tech", "auditor"))


def decided(heard: list[Any], route: str) -> dict[str, Any]:
    """The line about a route, which is written once the answer is on its way."""
    for _ in range(200):
        for one in heard:
            if one["event"] == "decided" and one["route"] == f"/api/v1/{route}":
                return one  # type: ignore[no-any-return]
        time.sleep(0.05)
    raise AssertionError(heard)


def test_what_was_granted_and_what_was_refused_is_written_with_who_and_where_and_nothing_that_was_sent(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]
) -> None:
    bank = make_bank(log_decisions=True)
    donor = bank.write(make_donor)
    api = Api(serve(bank), bank)
    with capture_logs() as heard:
        assert api.lab_tech.get("/specimens", params={"text": "Quillfeather"}).status_code == 200
        assert api.lab_tech.get("/custody-log").status_code == 403
        assert api.auditor.get(f"/donors/{donor}").status_code == 200
        assert api.lab_tech.get("/excursions").status_code == 200
        listed, refused, read, granted = (
            decided(heard, route) for route in ("specimens", "custody-log", "donors/{code}", "excursions")
        )
    api.close()

    assert listed["decisions"] == [f"{TECH} specimen:read: LAB"]
    assert (refused["status"], refused["decisions"]) == (403, [f"{TECH} log:read anywhere: refused"])
    assert read["decisions"] == [f"{AUDITOR} donor:read: everywhere"]
    assert granted["decisions"][0] == f"{TECH} specimen:read anywhere: granted"
    assert donor not in str(heard) and "Quillfeather" not in str(heard)


def test_a_bank_that_does_not_ask_for_it_writes_no_such_line(api: Api) -> None:
    with capture_logs() as heard:
        assert api.lab_tech.get("/specimens").status_code == 200
        assert api.lab_tech.get("/specimens").status_code == 200
    assert [one for one in heard if one["event"] == "decided"] == []
