"""What the bank holds and how it works, in figures, each of what its reader may know."""

import re
from typing import Any

from tests.conftest import Api
from tests.factories import make_box
from tests.pages.visitor import Visit
from tests.specimens.stories import donor, svf


def part(page: str, title: str) -> str:
    """One figure of the page, as text."""
    found = next((one for one in page.split("<section")[1:] if f">{title}</h2>" in one), "")
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


def test_counts_of_living_cells_are_shown_by_month_and_material_to_those_of_the_site(api: Api, visit: Visit) -> None:
    cells = svf(api, donor(api))
    counted: dict[str, Any] = {"method": "trypan_blue", "live": 170, "dead": 30, "volume_nl": 400, "dilution_milli": 2000}
    counted |= {"suspension_ul": 1000, "expected_seq": cells["seq"]}
    assert api.lab_tech.post(f"/specimens/{cells['code']}/viability-assays", json=counted).status_code == 201
    shown = part(visit("lab_tech").get_page("/figures"), "Viability")
    assert "Stromal vascular fraction" in shown and "85 %" in shown, shown
    assert "85 %" not in part(visit("north_tech").get_page("/figures"), "Viability")


def test_the_warmest_place_of_the_week_stands_first_and_what_was_taken_back_counts_for_nothing(api: Api, visit: Visit) -> None:
    act = api.test_bank.act("admin")
    warm = api.test_bank.write(lambda s: make_box(s, act, name="Warm", kind="tank").code)
    cold = api.test_bank.write(lambda s: make_box(s, act, name="Cold", kind="tank").code)
    for code, value in ((warm, -185_000), (cold, -190_000), (cold, -150_000)):
        body = {"reading": "temperature_mc", "value": value, "confirmed": value == -150_000}
        read = api.lab_tech.post(f"/storage-containers/{code}/readings", json=body)
        assert read.status_code == 201, read.text
    taken_back = f"/storage-containers/{cold}/readings/{read.json()['id']}/withdraw"
    assert api.lab_tech.post(taken_back, json={"reason": "misread"}).status_code == 200
    shown = part(visit("lab_tech").get_page("/figures"), "Temperature")
    assert shown.index(warm) < shown.index(cold) and "-150" not in shown and "\N{MINUS SIGN}150" not in shown, shown
    assert warm not in visit("north_tech").get_page("/figures")
