"""A form that met a database that was away is sent again from the page that says so, under the same key."""

import re
from html import unescape
from typing import Any

import httpx

from tests import seed
from tests.conftest import Api, hang_up
from tests.operations.test_database_away import open_again, shut
from tests.pages.test_pages import a_tube
from tests.pages.visitor import Visit, Visitor

HOLD = {"scope_kind": "specimen", "kind": "identity", "reason": "label_in_doubt"}


def offered(answer: httpx.Response) -> dict[str, str]:
    """The fields of the form on a page that says that nothing was taken."""
    assert answer.status_code == 503, answer.text
    form = next(part for part in answer.text.split("<form")[1:] if "Send it again" in part.split("</form>")[0])
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.split("</form>")[0])
    return {name: unescape(value) for name, value in found} | {"asked": str('type="password"' in form)}


def sent_while_away(api: Api, visitor: Visitor, path: str, fields: dict[str, Any]) -> dict[str, str]:
    """Draw a form, take the database away, send it."""
    page = visitor.get_page(path)
    form = next(part for part in page.split("<form")[1:] if f'action="{path}"' in part.split(">")[0])
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.split("</form>")[0])
    shut(api)
    try:
        return offered(visitor.post(path, data={name: unescape(value) for name, value in found} | fields))
    finally:
        open_again(api)
        hang_up(api.test_bank)


def pressed(visitor: Visitor, path: str, fields: dict[str, str]) -> httpx.Response:
    """Send it again, as often as the page says so: a connection may not have been tried since."""
    while (answer := visitor.post(path, data=fields)).status_code == 503:
        pass
    return answer


def holds(api: Api, tube: str) -> int:
    return len(api.quality.get(f"/specimens/{tube}").json()["holds"])


def test_a_form_is_sent_again_and_recorded_once(api: Api, visit: Visit) -> None:
    tube, tech = a_tube(api), visit("lab_tech")
    path = f"/specimens/{tube}/hold"

    again = sent_while_away(api, tech, path, HOLD)

    assert again.pop("asked") == "False"
    for _ in range(2):
        assert pressed(tech, path, again).status_code == 200
    assert holds(api, tube) == 1


def test_a_password_is_not_sent_back_and_asked_again(api: Api, visit: Visit) -> None:
    tube, quality = a_tube(api), visit("quality")
    assert visit("lab_tech").submit(f"/specimens/{tube}/hold", HOLD).status_code == 200
    hold = api.quality.get(f"/specimens/{tube}").json()["holds"][0]["id"]
    path = f"/holds/{hold}/lift"

    again = sent_while_away(api, quality, path, {"reason": "labels_compared", "password": seed.PASSWORD})

    assert again.pop("asked") == "True" and seed.PASSWORD not in again.values()
    assert pressed(quality, path, again | {"password": seed.PASSWORD}).status_code == 200
    assert holds(api, tube) == 0
