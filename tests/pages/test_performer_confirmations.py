"""The page on which a colleague says whose hands it was, and how the timeline shows it."""

import pytest

from tests import seed
from tests.conftest import Api
from tests.custody.test_performer_confirmations import helped, waiting
from tests.pages.visitor import Visit


def test_a_colleague_confirms_some_of_what_was_recorded_for_them(api: Api, visit: Visit) -> None:
    (first, one), (second, other) = helped(api), helped(api)
    visitor = visit("lab_tech2")
    assert "Confirm your work" in visitor.get_page("/")
    page = visitor.get_page("/confirmations")
    assert first in page
    assert second in page
    assert "not confirmed" in visitor.get_page(f"/specimens/{first}")

    ticked = {f"entry-{one['leaf_hash']}": "yes", "answer": "confirmed"}
    wrong = visitor.submit("/confirmations", ticked | {"password": "not mine"})
    nothing = visitor.submit("/confirmations", {"answer": "confirmed", "password": seed.PASSWORD})
    rubbish = visitor.submit("/confirmations", {"entry-x": "yes", "answer": "perhaps", "password": seed.PASSWORD})
    assert [a.status_code for a in (wrong, nothing, rubbish)] == [403, 422, 422]
    assert len(waiting(api.lab_tech2)) == 2
    done = visitor.submit("/confirmations", ticked | {"password": seed.PASSWORD})

    assert done.status_code == 200
    assert "1 confirmed." in done.text
    assert waiting(api.lab_tech2) == [other["leaf_hash"]]
    assert "not confirmed" not in visitor.get_page(f"/specimens/{first}")


@pytest.mark.parametrize("name", ["lab_tech", "auditor", "admin"])
def test_whoever_has_nothing_to_confirm_is_sent_to_the_start_page(api: Api, visit: Visit, name: str) -> None:
    helped(api)
    visitor = visit(name)

    assert "Confirm your work" not in visitor.get_page("/")
    assert visitor.get("/confirmations").url.path == "/"


def test_disputed_work_says_so_in_the_timeline(api: Api, visit: Visit) -> None:
    code, event = helped(api)
    visitor = visit("lab_tech2")

    visitor.submit("/confirmations", {f"entry-{event['leaf_hash']}": "yes", "answer": "disputed", "password": seed.PASSWORD})

    assert "says it was not their work" in visitor.get_page(f"/specimens/{code}")
