"""A page answers what its address asks, or says that it does not know it."""

import re

import pytest
from fastapi.routing import APIRoute

from biobank.pages.ui.session import known_in_address, visiting
from biobank.registries.routes import PAGES
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.storage.test_exposure import a_stored_tube

PATHS = sorted(
    route.path
    for route in PAGES.routes
    if isinstance(route, APIRoute)
    and "GET" in (route.methods or ())
    and known_in_address(route) is not None
    and any(one.call is visiting for outer in route.dependant.dependencies for one in (outer, *outer.dependencies))
)


def test_a_page_refuses_a_parameter_that_it_does_not_read(visit: Visit) -> None:
    assert len(PATHS) > 100
    page, wrong = visit("quality"), []
    for path in PATHS:
        answer = page.get(re.sub(r"\{[^}]*\}", "x", path), params={"nonsense": "1"}, follow_redirects=False)
        if answer.status_code != 422 or "asks for something that this page does not know" not in answer.text:
            wrong.append((path, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("asked", ["at=2020-01-01T00:00:00Z", "foo=1"])
def test_nobody_gets_todays_box_or_tube_for_another_days(api: Api, visit: Visit, asked: str) -> None:
    tube, box = a_stored_tube(api)
    page = visit("auditor")
    for path in (f"/storage/{box}", f"/specimens/{tube}", "/", "/calendar", "/specimens", f"/specimens/{tube}/life"):
        assert "asks for something that this page does not know" in page.get_page(f"{path}?{asked}", status=422), path
    assert visit("auditor").get_page(f"/storage/{box}?slot=A1")


def test_a_stranger_hears_of_no_parameter_of_a_page(api: Api, visit: Visit) -> None:
    stranger = visit(None)
    assert stranger.get("/storage?nonsense=1", follow_redirects=False).headers["location"].startswith("/login?next=")
