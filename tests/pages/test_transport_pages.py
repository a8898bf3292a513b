"""Hand-overs and shipments on pages: offering, taking over, saying no, sending, comparing, sending back."""

import re

from biobank.foundation import clock
from biobank.foundation.codes import format_code
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.shipping import stories as shipping
from tests.shipping.test_journey_records import a_file
from tests.withdrawals.stories import later


def test_an_offer_is_accepted_by_the_one_it_was_made_to(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 2)
    giver, taker = visit("lab_tech"), visit("lab_tech2")
    offer = {"specimens": "\n".join(tubes), "to_kind": "user", "to_id": seed.USERS["lab_tech2"].code}
    page = giver.submit("/handovers/new", offer)
    assert page.status_code == 200 and "Take it back" in page.text and "I have them" not in page.text
    address = page.url.path
    waiting = taker.get_page("/handovers")
    assert "Waiting for me" in waiting and tubes[0] in waiting
    assert "You hold 2 tubes now." in taker.submit(f"{address}/accept", {}, draw=address).text
    assert {shipping.now_of(api, tube)["custodian_id"] for tube in tubes} == {seed.USERS["lab_tech2"].code}


def test_a_declined_offer_leaves_the_tube_with_its_giver(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 1)
    address = f"/handovers/{shipping.offered(api, tubes)}"
    page = visit("lab_tech2").submit(f"{address}/decline", {"reason": "damaged"}, draw=address)
    assert "still holds everything" in page.text
    assert "Damaged" in visit("lab_tech").get_page(address)
    assert shipping.now_of(api, tubes[0])["custodian_id"] == seed.USERS["lab_tech"].code


def test_a_courier_holds_the_tubes_once_its_receipt_is_recorded(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 1)
    giver = visit("lab_tech")
    offer = {"specimens": tubes[0], "to_kind": "courier", "to_id": "CRYOGO"}
    address = giver.submit("/handovers/new", offer).url.path
    without = giver.submit(f"{address}/accept", {}, draw=address)
    assert without.status_code == 409 and shipping.now_of(api, tubes[0])["custodian_kind"] == "user"
    assert "CRYOGO holds them now." in giver.submit(f"{address}/accept", {"evidence": "CG 4711"}, draw=address).text
    assert shipping.now_of(api, tubes[0])["custodian_kind"] == "courier"


def test_an_offer_of_nothing_and_of_rubbish_says_what_is_wrong_and_keeps_what_was_typed(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    nothing = visitor.submit("/handovers/new", {"specimens": "", "to_kind": "user", "to_id": "US-0000000"})
    assert nothing.status_code == 422 and "scan at least one" in nothing.text
    rubbish = visitor.submit("/handovers/new", {"specimens": "<b>nonsense", "to_kind": "user", "to_id": "US-0000000"})
    assert rubbish.status_code == 404 and "<b>nonsense" not in rubbish.text and "&lt;b&gt;nonsense" in rubbish.text


def test_a_shipment_is_sent_and_compared_and_what_does_not_belong_is_named(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 2, frozen=True)
    stray = shipping.tubes(api, 1)[0]
    sent = visit("lab_tech").submit(
        "/shipments/new",
        {"specimens": " ".join(tubes), "from_site": "LAB", "to_site": "NORTH", "courier": "CRYOGO", "evidence": "CG 4711"},
    )
    assert re.fullmatch(r"/shipments/SH-[0-9A-Z]{7}", sent.url.path), sent.text[:2000]
    assert all(tube in sent.text for tube in tubes) and "Underway" in sent.text
    receiver = visit("north_tech")
    compared = receiver.submit(
        f"{sent.url.path}/receive", {"scanned": f"{tubes[0]}\n{stray}\nOLD 7 b", "broken": tubes[0], "seal_intact": "true"}
    )
    assert compared.status_code == 200, compared.text
    for words in ("Does not belong here", stray, "2 tubes are not on the manifest", "Missing", tubes[1], "On hold until quality"):
        assert words in compared.text, words
    assert shipping.now_of(api, tubes[0])["state"] == "received"
    assert shipping.now_of(api, tubes[1])["state"] == "in_transit"
    assert "1 / 2" in receiver.get_page(sent.url.path)


def test_boxes_are_sealed_and_compared_one_by_one_on_the_page(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 3, frozen=True)
    sent = visit("lab_tech").submit(
        "/shipments/new",
        {"specimens": " ".join(tubes), "from_site": "LAB", "to_site": "NORTH", "courier": "CRYOGO", "evidence": "CG 4711"}
        | {"box-boxes-0": "1", "seal-boxes-0": "S-1", "specimens-boxes-0": f"{tubes[0]} {tubes[1]}"},
    )
    assert re.fullmatch(r"/shipments/SH-[0-9A-Z]{7}", sent.url.path), sent.text[:2000]
    assert "Seal of box 1" in sent.text and "S-1" in sent.text
    receiver, address = visit("north_tech"), f"{sent.url.path}/receive"
    assert 'value="1"' in receiver.get_page(address)
    fields = {"scanned": " ".join(tubes), "seal_intact": "true", "rows-boxes": "1", "box-boxes-0": "1", "temperature_mc": "-185"}

    compared = receiver.submit(address, fields | {"sealnumber-boxes-0": "S-8", "sealintact-boxes-0": "true"})

    assert compared.status_code == 200 and "What lies in these boxes is on hold" in compared.text, compared.text
    held = [bool(api.lab_tech.get(f"/specimens/{one}").json()["holds"]) for one in tubes]
    assert held == [True, True, False]
    assert sent.url.path in visit("quality").get_page("/holds")


def test_the_form_of_a_receipt_asks_for_the_seals_and_says_what_nobody_looked_at(api: Api, visit: Visit) -> None:
    bare, pair = shipping.tubes(api, 1, frozen=True), shipping.tubes(api, 2, frozen=True)
    boxes = [{"box": "1", "seal": "S-2", "specimens": pair[:1]}]
    sealed = f"/shipments/{shipping.shipped(api, pair, seal='S-1', boxes=boxes)}/receive"
    receiver = visit("north_tech")
    assert "It left under a seal" not in receiver.get_page(f"/shipments/{shipping.shipped(api, bare)}/receive")
    assert "It left under a seal: look at it before you open it" in receiver.get_page(sealed)

    compared = receiver.submit(sealed, {"scanned": " ".join(pair)})

    assert compared.status_code == 200, compared.text
    for said in ("Everything that travelled in it is on hold", "Seal not checked", "Nobody looked at the seal", "Box 1"):
        assert said in compared.text, said


def test_an_unread_part_of_the_way_is_said_on_the_page(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 1, frozen=True)
    address = f"/shipments/{shipping.shipped(api, tubes, logger='LOG-7', temperature_class='ln2_vapour')}/receive"
    left = clock.now()
    later(api, hours=4)
    sha256 = a_file(api.north_tech, left, [0, 30, 60])

    compared = visit("north_tech").submit(address, {"scanned": tubes[0], "seal_intact": "true", "logger_sha256": sha256})

    assert compared.status_code == 200, compared.text
    assert "file says nothing of these times of its way" in compared.text and "Temperature record incomplete" in compared.text


def test_a_temperature_that_can_hardly_be_right_is_asked_back_on_the_page(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 1, frozen=True)
    address = f"/shipments/{shipping.shipped(api, tubes, temperature_class='ln2_vapour')}/receive"
    fields = {"scanned": tubes[0], "seal_intact": "true", "temperature_mc": "-0.15"}

    asked = visit("north_tech").submit(address, fields)
    done = visit("north_tech").submit(address, fields | {"confirmed": "yes"})

    assert asked.status_code == 409 and "I read the temperature again, and it is so" in asked.text, asked.text
    assert done.status_code == 200 and "Arrived too warm" in done.text, done.text


def test_what_was_not_accepted_is_recorded_as_back_by_the_senders_people_only(api: Api, visit: Visit) -> None:
    tubes = shipping.tubes(api, 1, frozen=True)
    address = f"/shipments/{shipping.shipped(api, tubes)}"
    assert "It came back" not in visit("north_tech").get_page(address)
    fields = {"reason": "too_warm", "container_intact": "yes", "label_legible": "yes"}
    page = visit("lab_tech").submit(f"{address}/refuse", fields)
    assert "it came back" in page.text, page.text[:3000]
    assert shipping.now_of(api, tubes[0])["state"] == "received"


def test_another_sites_people_know_of_neither(api: Api, visit: Visit) -> None:
    handover = shipping.offered(api, shipping.tubes(api, 1))
    visit("other_clinician").get_page(f"/handovers/{handover}", 404)
    shipment = shipping.shipped(api, shipping.tubes(api, 1, frozen=True))
    visit("other_clinician").get_page(f"/shipments/{shipment}", 404)


def offers(page: str) -> tuple[bool, bool]:
    """Whether a hand-over's page lets one accept, and end it."""
    return "/accept" in page, "/decline" in page


def test_a_handover_offers_what_may_be_done_with_it_now(api: Api, visit: Visit) -> None:
    handover = shipping.offered(api, shipping.tubes(api, 1), expires_in_minutes=15)
    address = f"/handovers/{handover}"
    assert offers(visit("lab_tech").get_page(address)) == (False, True)
    assert offers(visit("lab_tech2").get_page(address)) == (True, True)
    assert offers(visit("auditor").get_page(address)) == (False, False)
    later(api, minutes=20)
    late = visit("lab_tech2").get_page(address)
    assert offers(late) == (False, True) and "time to accept is over" in late
    assert api.lab_tech2.post(f"/handovers/{handover}/accept", json={}).json()["code"] == "handover_expired"
    assert api.lab_tech2.post(f"/handovers/{handover}/decline", json={"reason": "not_now"}).status_code == 200
    assert offers(visit("lab_tech").get_page(address)) == (False, False)


def test_a_shipment_offers_what_may_be_done_with_it_now(api: Api, visit: Visit) -> None:
    address = f"/shipments/{shipping.shipped(api, shipping.tubes(api, 1, frozen=True))}"
    for login in ("lab_tech", "north_tech", "auditor"):
        visitor = visit(login)
        page = visitor.get_page(address)
        for act in ("receive", "refuse"):
            may = visitor.get(f"{address}/{act}").status_code == 200
            assert (f"{address}/{act}" in page) == may == ((login, act) in {("lab_tech", "refuse"), ("north_tech", "receive")})
    fields = {"reason": "too_warm", "container_intact": "yes", "label_legible": "yes"}
    assert visit("lab_tech").submit(f"{address}/refuse", fields).status_code == 200
    for login, act in (("lab_tech", "refuse"), ("north_tech", "receive")):
        assert act not in re.findall(rf"{address}/(\w+)", visit(login).get_page(address))
        visit(login).get_page(f"{address}/{act}", 409)


def test_the_hash_of_an_attached_journey_and_many_ticked_tubes_come_in_the_address(api: Api, visit: Visit) -> None:
    address = f"/shipments/{shipping.shipped(api, shipping.tubes(api, 1, frozen=True))}"
    assert "ab" * 32 in visit("north_tech").get_page(f"{address}/receive?logger_sha256={'ab' * 32}")
    tubes = [format_code("AD", 2026, n) for n in range(50)]
    page = visit("lab_tech").get_page(f"/handovers/new?specimens={'+'.join(tubes)}")
    assert "\n".join(tubes) in page
