"""An API client in the browser: added, given a key by two, used, and revoked."""

import re

from tests import seed
from tests.conftest import Api
from tests.pages.test_sensor_pages import sign_waiting, waiting
from tests.pages.visitor import Visit
from tests.people.api_clients import calling

SIGNED = {"password": seed.PASSWORD}


def test_a_program_is_added_keyed_and_revoked_in_the_browser(api: Api, visit: Visit) -> None:
    assert visit("lab_tech").get("/api-clients").status_code == 403
    assert visit("quality").get("/api-clients/new").status_code == 403
    assert "No program has a key" in visit("admin").get_page("/api-clients")
    form = {"name": "Ward system", "scopes": ["specimen:read", "hold:place"], "sites": "LAB", "valid_days": "30"}
    added = visit("admin").submit("/api-clients/new", form, follow_redirects=True)
    assert "Now propose its key." in added.text, added.text[-3000:]
    here = added.url.path
    assert "Place holds" in added.text and "Not yet" in added.text
    assert visit("quality").get(f"{here}/key").status_code == 403

    assert "Proposed." in visit("admin").submit(f"{here}/key", SIGNED, follow_redirects=True).text
    signing = visit("quality").get_page(waiting(visit("quality").get_page("/pending")))
    assert "place holds, read the records of specimens" in signing and "LAB" in signing and "30" in signing
    assert sign_waiting(visit, "quality").url.path == f"{here}/draw"
    shown = visit("quality").submit(f"{here}/draw", {})
    found = re.search(r"bbk_[\w-]{43}", shown.text)
    assert found is not None and shown.headers["cache-control"] == "no-store", shown.text[-2000:]
    assert found[0] not in visit("quality").get_page(here) and found[0][:12] in visit("admin").get_page("/api-clients")
    with calling(api, found[0]) as program:
        assert program.get("/api/v1/specimens").status_code == 200
        revoked = visit("admin").submit(f"{here}/revoke", {"reason": "suspicion"}, follow_redirects=True)
        assert "Revoked." in revoked.text, revoked.text[-3000:]
        assert program.get("/api/v1/specimens").status_code == 401
    assert visit("admin").get(f"{here}/key").status_code == 409
