"""What stands before every page answers a person with a page: the clock of the machine, and the gate of the start."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from biobank.foundation import clock
from tests.conftest import Api, TestBank
from tests.operations.test_startup_gate import over_other_keys
from tests.pages.visitor import BROWSER, Visit

OF_A_MACHINE = {"Accept": "application/json"}


def words_of(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (503, "text/html")
    assert answer.headers["Content-Security-Policy"]
    return re.sub(r"<[^>]*>", "", answer.text)


def test_a_person_is_told_in_a_page_that_the_clock_is_wrong(api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    nurse, stranger = visit("clinician"), visit()
    drawn = nurse.get_page("/wrong")
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', drawn.partition("<main")[2]))
    monkeypatch.setattr(clock, "wall", lambda: datetime.now(UTC) + timedelta(hours=1))
    for answer in (
        nurse.get("/specimens"),
        stranger.get("/login"),
        nurse.post("/wrong", data=hidden | {"what": "A box is warm."}),
    ):
        assert "The clock of this machine is wrong by more than a minute" in words_of(answer)
    program = nurse.get("/specimens", headers=OF_A_MACHINE)
    assert (program.status_code, program.json()["code"]) == (503, "clock_apart")


def test_a_person_is_told_in_a_page_that_the_bank_cannot_tell_yet_who_was_forgotten(
    bank: TestBank, serve: Callable[[TestBank], str]
) -> None:
    url = serve(over_other_keys(bank, "no_such_database"))
    answer = httpx.get(f"{url}/specimens", headers=BROWSER, timeout=60)
    assert "The bank cannot tell yet whether its database is older" in words_of(answer)
    assert httpx.get(f"{url}/specimens", headers=OF_A_MACHINE, timeout=60).json()["code"] == "unavailable"
