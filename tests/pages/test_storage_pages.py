"""What the page of a place offers is what may be done there: by this login, at this site, in this kind of place."""

import re
from itertools import product
from typing import Any

from tests.conftest import Api
from tests.factories import make_box
from tests.pages.visitor import BROWSER, Visit

LOGINS = ("lab_tech", "quality", "acts_here", "reads_here_acts_elsewhere", "lab_tech_north_quality")
NAMES = ("reading", "compare", "evacuate", "move")


def a_place(api: Api, **fields: Any) -> str:
    act = api.test_bank.act("admin")
    return str(api.test_bank.write(lambda s: make_box(s, act, **fields)).code)


def accepted(api: Api, login: str, box: str, rack: str) -> set[str]:
    here = f"/storage-containers/{box}"
    calls = {
        "reading": (f"{here}/readings", {"reading": "temperature_mc", "value": -180_000}),
        "compare": ("/counts", {"container": box, "scanned": []}),
        "evacuate": (f"{here}/evacuate", {"scanned": ["SCRIBBLE"]}),
        "move": (f"{here}/move", {"to": rack}),
    }
    return {name for name, (path, body) in calls.items() if getattr(api, login).post(path, json=body).status_code < 300}


def test_a_place_offers_and_opens_exactly_what_may_be_done_there(api: Api, visit: Visit) -> None:
    for login in LOGINS:
        visitor = visit(login)
        for site, purpose in product(("LAB", "NORTH"), ("storage", "quarantine")):
            box = a_place(api, site=site, purpose=purpose)
            rack = a_place(api, site=site, purpose=purpose, kind="rack", rows=None, cols=None)
            drawn = visitor.get(f"/storage/{box}", headers=BROWSER).text
            offered = set(re.findall(rf'href="/storage/{box}/({"|".join(NAMES)})"', drawn))
            opened = {name for name in NAMES if visitor.get(f"/storage/{box}/{name}", headers=BROWSER).status_code == 200}

            assert offered == opened == accepted(api, login, box, rack), (login, site, purpose)
            assert login != "acts_here" or bool(offered) == (site == "LAB")


def test_a_place_is_renamed_on_its_page_which_tells_of_labels_with_the_old_name(api: Api, visit: Visit) -> None:
    rack = a_place(api, name="Old rack", kind="rack", rows=None, cols=None)
    box = a_place(api, parent=rack)
    asked = {"things": [box], "template": "box-50x25", "reason": "first_print"}
    assert api.lab_tech.post("/label-sheets", json=asked).status_code < 300
    visitor = visit("admin")

    told = visitor.submit(f"/storage/{rack}/rename", {"name": "Rack 7"}).text

    assert "Called Rack 7 now." in told and f"Printed labels show the old name: {box}." in told
    for page in (told, visitor.get_page(f"/storage/{box}")):
        assert "Labels with an old name" in page and f'href="/labels/{box}"' in page
    assert "Old rack until" in " ".join(re.sub("<[^>]+>", " ", told).split())
    assert api.lab_tech.post("/label-sheets", json=asked | {"reason": "damaged"}).status_code < 300
    assert "Labels with an old name" not in visitor.get_page(f"/storage/{rack}")
    assert "container_name_unchanged" in str(api.admin.post(f"/storage-containers/{rack}/rename", json={"name": "Rack 7"}).json())
    assert f"/storage/{rack}/rename" not in visit("lab_tech").get_page(f"/storage/{rack}")
