"""The single-failure report beside a slow reckoning from the tree and the tubes, over HTTP and as a page with its CSV."""

from typing import Any

from sqlalchemy import text

from biobank.custody.snapshots import load
from tests.conftest import Api
from tests.factories import make_box
from tests.pages.visitor import BROWSER, Visitor
from tests.shipping.stories import now_of, tubes
from tests.storage.test_storing import a_box


def donor_of(api: Api, code: str) -> str:
    return str(api.test_bank.write(lambda s: load(s, [code])[code].donor_code))


def test_donors_whose_whole_stock_one_tank_room_or_site_would_take_are_listed(api: Api) -> None:
    bank = api.test_bank

    def place(kind: str, parent: str | None = None, **fields: Any) -> str:
        said: dict[str, Any] = fields | {"kind": kind, "parent": parent} | ({} if kind == "box" else {"rows": None, "cols": None})
        return str(bank.write(lambda s: make_box(s, bank.act("admin"), **said)).code)

    rooms = [place("room", name=f"Room {n}") for n in "AB"]
    tanks = [place("tank", rooms[n // 2], name=f"Tank {n}", temperature_class="fridge") for n in range(3)]
    boxes = [place("box", place("rack", tank, name="Rack")) for tank in tanks]
    # One donor each: all in a tank; in two tanks of a room; in two rooms; one unit only.
    wanted = [(0, 0), (0, 1), (0, 2), (2,)]
    donors = []
    for stock in wanted:
        codes = tubes(api, len(stock))
        for code, box in zip(codes, stock, strict=True):
            body = {"container": boxes[box], "expected_seq": now_of(api, code)["seq"]}
            assert api.lab_tech.post(f"/specimens/{code}/store", json=body).status_code == 201
        donors.append(donor_of(api, codes[0]))

    def listed(within: str) -> dict[str, tuple[int, str, str]]:
        items = api.lab_tech.get("/single-failure-report", params={"within": within}).json()["items"]
        return {one["donor"]: (one["units"], one["within"], one["place"]) for one in items}

    only_tank = {donors[0]: (2, "tank", tanks[0]), donors[3]: (1, "tank", tanks[2])}
    assert listed("tank") == only_tank
    assert listed("room") == only_tank | {donors[1]: (2, "room", rooms[0])}
    assert listed("site") == listed("room") | {donors[2]: (2, "site", "LAB")}
    assert api.north_tech.get("/single-failure-report", params={"within": "site"}).json()["items"] == []

    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in("lab_tech")
        page = visitor.get_page("/all-in-one-place")
        saved = visitor.get_page("/all-in-one-place?within=room&as=csv")
    assert all(donor in page for donor in only_tank)
    assert donors[1] in saved
    assert donors[2] not in saved


def test_what_is_kept_for_tests_hides_no_donor(api: Api) -> None:
    bank = api.test_bank
    boxes = [a_box(api, name=f"Box {n}", temperature_class="fridge") for n in range(2)]
    kept, tested = tubes(api, 2)
    bank.write(lambda s: s.execute(text("UPDATE specimen SET purpose = 'qc' WHERE code = :code"), {"code": tested}))
    for tube, box in zip((kept, tested), boxes, strict=True):
        body = {"container": box, "expected_seq": now_of(api, tube)["seq"]}
        assert api.lab_tech.post(f"/specimens/{tube}/store", json=body).status_code == 201

    items = api.lab_tech.get("/single-failure-report", params={"within": "tank"}).json()["items"]

    assert [(one["donor"], one["units"]) for one in items] == [(donor_of(api, kept), 1)]
