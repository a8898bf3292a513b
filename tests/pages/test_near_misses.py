"""Near misses and overrides, counted by step, place and time: what the page shows and what the API says are one question."""

from datetime import timedelta

import pytest

from biobank.custody.near_misses import step_of
from biobank.foundation import clock
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story, later


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/api/v1/withdrawals/WD26-KH0KJQL/picks", "withdrawals: pick"),
        ("/withdrawals/WD26-KH0KJQL/confirm", "withdrawals: pick"),
        ("/api/v1/withdrawals/WD26-KH0KJQL/bedside-checks", "withdrawals: check"),
        ("/withdrawals/WD26-KH0KJQL/check", "withdrawals: check"),
        ("/api/v1/specimens/AD26-KH0KJQL/events", "specimens: events"),
        ("/processings/0a4f6a52-6b0e-4d2f-9a38-0f5f1c3f7a10/finish", "processings: finish"),
        ("/api/v1/holds", "holds"),
        ("/", "home"),
    ],
)
def test_an_address_names_its_step_whoever_came_by_it(path: str, step: str) -> None:
    assert step_of(path) == step


def test_refusals_and_overrides_are_counted_by_step_place_and_time(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("thaw")
    stranger = donors.band(api, a_story(api).donor)
    for _ in range(2):
        assert story.check(wristband=stranger).status_code == 409
    later(api, days=8)

    counted = api.auditor.get("/attempt-counts", params={"days": 30, "each": "week"}).json()["items"]

    (wrong,) = [one for one in counted if one["why"] == "wrong_recipient"]
    assert (wrong["what"], wrong["step"], wrong["times"], wrong["site"]) == ("near_miss", "withdrawals: check", 2, "CLINIC")
    assert {one["why"] for one in counted if one["what"] == "override"} == {"withdrawal.remainder_accepted"}
    assert api.auditor.get("/attempt-counts", params={"days": 7}).json()["items"] == []
    begins = clock.now() - timedelta(days=8)
    assert wrong["begins"][:10] == f"{begins - timedelta(days=begins.weekday()):%Y-%m-%d}"
    assert api.clinic_staff.get("/attempt-counts").status_code == 403
    page = visit("auditor").get_page("/log/counts?days=30")
    assert "withdrawals: check" in page.lower() and "Wrong recipient" in page
    causes = {one["cause"]: one["times"] for one in api.quality.get("/bedside-compliance").json()["items"]}
    assert causes["stopped_wrong_wristband"] == 2
    assert "Stopped wrong wristband" in visit("quality").get_page("/withdrawals/compliance")


def test_what_was_given_is_counted_as_kept_to(api: Api) -> None:
    a_story(api).up_to("administer")
    items = api.clinician.get("/bedside-compliance").json()["items"]
    assert items == [{"site": "CLINIC", "cause": "given_after_two_scans", "kept": True, "times": 1}]
    assert api.other_clinician.get("/bedside-compliance").json()["items"] == []
