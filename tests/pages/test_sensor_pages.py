"""A sensor in the browser: added, given a key by two people, doubted, answered, charted and withdrawn."""

import re
from typing import Any

from biobank.foundation import clock
from tests import seed
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank
from tests.monitoring.test_sensors import cold, send
from tests.pages.visitor import Visit
from tests.withdrawals.stories import later, sign_and_post

SIGNED = {"password": seed.PASSWORD}


def waiting(page: str) -> str:
    found = re.search(r"/pending/[0-9a-f-]{36}", page)
    assert found is not None, page[-2000:]
    return found[0]


def sign_waiting(visit: Visit, name: str) -> Any:
    page = waiting(visit(name).get_page("/pending"))
    signed = visit(name).submit(f"{page}/sign", SIGNED, draw=page)
    assert "signed by two people" in signed.text, signed.text[-4000:]
    return signed


def test_a_sensor_is_added_keyed_heard_doubted_and_withdrawn_in_the_browser(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    form = {"name": "Probe 3", "containers": tank, "measures": "temperature_mc", "silent_after_min": "60"}
    assert visit("lab_tech").get("/sensors/new").status_code == 403
    added = visit("quality").submit("/sensors/new", form, follow_redirects=True)
    assert "Now two people give it a key." in added.text, added.text[-3000:]
    (one,) = api.lab_tech.get("/sensors").json()["items"]
    here = f"/sensors/{one['code']}"
    assert "Probe 3" in visit("lab_tech").get_page("/sensors") and "Nothing to do here" in visit("lab_tech").get_page(here)
    assert visit("lab_tech").get(f"{here}/key").status_code == 403

    assert "Proposed." in visit("admin").submit(f"{here}/key", SIGNED, follow_redirects=True).text
    done = sign_waiting(visit, "quality")
    assert done.url.path == f"{here}/draw"
    shown = visit("quality").submit(f"{here}/draw", {})
    found = re.search(rf"{one['code']}\.[\w-]{{43}}", shown.text)
    assert found is not None and shown.status_code == 200, shown.text[-2000:]
    assert found[0] not in visit("quality").get_page(here)

    later(api, minutes=5)
    assert send(api, found[0], cold(tank)).status_code == 201
    later(api, minutes=1)
    assert send(api, found[0], cold(tank, clock.now(), -100_000)).json()["doubted"] == 1
    assert "Impossible jump" in visit("lab_tech").get_page(here)
    said = visit("lab_tech").submit(
        f"{here}/answer", {"answer": "wrong", "reason_text": "The probe was out."}, follow_redirects=True
    )
    assert "1 value answered." in said.text, said.text[-2000:]
    assert one["code"] in visit("lab_tech").get_page(f"/storage/{tank}")

    change = {"containers": tank, "measures": "temperature_mc", "silent_after_min": "20"}
    assert "Proposed." in visit("quality").submit(f"{here}/change", change | SIGNED, follow_redirects=True).text
    page = visit("admin").get_page(waiting(visit("admin").get_page("/pending")))
    assert tank in page and "20" in page
    sign_waiting(visit, "admin")
    assert "20 min without a value" in visit("lab_tech").get_page(here)
    visit("quality").submit(f"{here}/withdraw", {"reason": "Broken"} | SIGNED)
    sign_waiting(visit, "admin")
    assert api.lab_tech.get("/sensors").json()["items"][0]["state"] == "withdrawn"


def test_the_second_person_reads_every_place_that_they_sign_for(api: Api, visit: Visit) -> None:
    tanks = [a_tank(api, f"Tank {n}") for n in range(20)]
    form = {"name": "Probe 9", "containers": " ".join(tanks[:1]), "measures": "temperature_mc", "silent_after_min": "60"}
    assert visit("quality").submit("/sensors/new", form, follow_redirects=True).status_code == 200
    (one,) = api.lab_tech.get("/sensors").json()["items"]
    body = {"containers": tanks, "measures": ["temperature_mc"], "silent_after_min": 60}
    path = f"/sensors/{one['code']}/change"
    proposed = sign_and_post(api.admin, "decided", path, body)
    assert proposed.status_code == 200, proposed.text

    page = visit("quality").get_page(f"/pending/{proposed.json()['pending_act']}")

    assert [tank for tank in tanks if page.count(tank) < 2] == [], "among the facts and in what is signed"
