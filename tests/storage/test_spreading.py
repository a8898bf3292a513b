"""Automatic placing spreads a donor's units over tanks unless the site decided otherwise; the report asks the same stock."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.storage.rules import Standing
from biobank.storage.single_failure import Spot
from biobank.storage.spreading import Candidate, choose_boxes
from tests.conftest import Api
from tests.factories import make_box
from tests.pages.visitor import BROWSER, Visitor
from tests.shipping.stories import as_seen, kinds_of, now_of, refused, tubes
from tests.withdrawals.stories import sign_and_post


def tank(api: Api, name: str, *, boxes: int = 1, **fields: Any) -> list[str]:
    """A tank of LAB with its boxes of two slots; the tank first."""
    bank = api.test_bank

    def place(**said: Any) -> str:
        return str(bank.write(lambda s: make_box(s, bank.act("admin"), **said)).code)

    outer = place(kind="tank", name=name, rows=None, cols=None, temperature_class="fridge", **fields)
    return [outer, *(place(parent=outer, name=f"Box {n}", rows=1, cols=2) for n in range(boxes))]


def suggested(api: Api, codes: list[str]) -> list[tuple[str, str]]:
    items = api.lab_tech.get("/placing-suggestions", params={"site": "LAB", "specimen": codes}).json()["items"]
    assert [one["specimen"] for one in items] == codes
    return [(one["tank"], one["label"]) for one in items]


def test_a_donors_units_are_spread_over_tanks_and_kept_together_where_quality_decided_so(api: Api) -> None:
    (north, *_), (south, *_) = tank(api, "Tank 1", boxes=2), tank(api, "Tank 2", boxes=2)
    tank(api, "Tank 0", purpose="evacuation")
    codes = tubes(api, 4)
    said = {"site": "LAB", "placements": as_seen(api, codes)}

    assert suggested(api, codes) == [(north, "A1"), (south, "A1"), (north, "A2"), (south, "A2")]
    stored = api.lab_tech.post("/placements", json=said)

    assert stored.status_code == 201, stored.text
    items = stored.json()["items"]
    assert [one["specimen"] for one in items] == codes
    assert len({one["container"] for one in items}) == 2
    assert api.lab_tech.get("/single-failure-report").json()["items"] == []

    body = {"site": "LAB", "spread": False}
    assert api.quality.post("/split-storage", json=body).status_code == 428
    assert sign_and_post(api.quality, "decided", "/split-storage", body).status_code == 201
    assert kinds_of(api, "system", "LAB")[-1] == "system.split_storage_set"
    assert api.quality.get("/split-storage").json()["items"] == [{"site": None, "spread": True}, body]
    others = tubes(api, 2)
    together = suggested(api, others)
    assert len({name for name, _ in together}) == 1

    # The tubes went elsewhere than the bank would choose: where they are is what counts.
    named = [one | {"position": slot} for one, slot in zip(as_seen(api, others), free_slots(api, south), strict=True)]
    assert api.lab_tech.post("/placements", json={"site": "LAB", "placements": named}).status_code == 201
    (risk,) = api.lab_tech.get("/single-failure-report").json()["items"]
    assert (risk["units"], risk["place"]) == (2, south)
    refused(api.lab_tech.post("/placements", json={"site": "NORTH", "placements": as_seen(api, others)}), 403, "not_permitted")


def free_slots(api: Api, outer: str) -> list[str]:
    found = []
    for box in api.lab_tech.get("/storage-containers", params={"parent": outer}).json()["items"]:
        slots = api.lab_tech.get(f"/storage-containers/{box['code']}/map").json()["slots"]
        found += [slot["position"] for slot in slots if slot["specimen"] is None]
    return found


def test_where_no_box_has_room_or_is_right_for_it_nothing_is_chosen(api: Api) -> None:
    tank(api, "Tank 1")
    codes, (frozen,) = tubes(api, 3), tubes(api, frozen=True)
    for wanted in (codes, [frozen]):
        said = {"site": "LAB", "placements": as_seen(api, wanted)}
        refused(api.lab_tech.post("/placements", json=said), 409, "no_place_fits")
        refused(api.lab_tech.get("/placing-suggestions", params={"site": "LAB", "specimen": wanted}), 409, "no_place_fits")
    assert now_of(api, codes[0])["state"] == "received"


def test_tubes_ticked_on_a_list_are_stored_where_the_page_says(api: Api) -> None:
    tank(api, "Tank 1")
    (south, box) = tank(api, "Tank 2")
    codes = tubes(api, 2)
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in("lab_tech")
        address = "/specimens/store-where-they-fit?" + "&".join(f"specimens={code}" for code in codes)
        page = visitor.get_page(address)
        assert f"{codes[1]} → Tank 2 › Box 0, A1" in page
        done = visitor.submit("/specimens/store-where-they-fit", {}, draw=address)
        assert "Stored: 2 in" in done.text, done.text
    assert now_of(api, codes[1])["container_code"] == box
    assert api.lab_tech.get("/single-failure-report", params={"within": "tank"}).json()["items"] == []
    assert south


@given(st.lists(st.sampled_from("AB"), max_size=30), st.integers(1, 4), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_while_there_is_room_the_tanks_become_no_more_uneven(donors: list[str], tanks: int, before: list[int]) -> None:
    spots = [Spot("LAB", "room", f"tank {n}") for n in range(tanks)]
    boxes = {f"box {n}": Candidate(Standing(f"box {n}"), spot, ([f"{n}"], ""), 100) for n, spot in enumerate(spots)}
    stock = {"A": dict(zip(spots, before, strict=False))}
    now = Projection(state="received", condition="fresh", custodian_kind="site", custodian_id="LAB", site_code="LAB")
    coming = [Snapshot(f"AD-{n}", donor, 1, b"", now) for n, donor in enumerate(donors)]

    chosen = choose_boxes(coming, boxes, stock, spread=True, fits=lambda _tube, _place: True)

    put = [(donor, choice.tank) for donor, choice in zip(donors, chosen, strict=True) if choice is not None]
    assert len(put) == len(donors)
    for donor, was in (("A", [stock["A"][one] for one in spots]), ("B", [0] * tanks)):
        after = [units + put.count((donor, spot.tank)) for units, spot in zip(was, spots, strict=True)]
        assert max(after) - min(after) <= max(1, max(was) - min(was)), donor
