"""Moving a container takes the right at both ends: where it is taken from and where it goes."""

import pytest

from tests.conftest import Api
from tests.factories import make_box
from tests.granting import also


@pytest.mark.parametrize(("box_at", "rack_at"), [("LAB", "NORTH"), ("NORTH", "LAB")])
def test_a_container_is_moved_only_with_the_right_at_both_ends(api: Api, box_at: str, rack_at: str) -> None:
    also(api, "north_tech", "auditor", "LAB")
    admin = api.test_bank.act("admin")
    box = api.test_bank.write(lambda s: make_box(s, admin, site=box_at)).code
    rack = api.test_bank.write(lambda s: make_box(s, admin, site=rack_at, kind="rack")).code
    assert api.north_tech.get(f"/storage-containers/{box}").status_code == 200

    answer = api.north_tech.post(f"/storage-containers/{box}/move", json={"to": rack})

    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted"), answer.text
    after = api.north_tech.get(f"/storage-containers/{box}").json()
    assert (after["site"], after["parent"]) == (box_at, None)
