"""Hand-overs over HTTP: two sides, all or nothing, once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from biobank.acts.timers import TIMERS
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.rebuild import projection_of
from biobank.foundation import clock
from biobank.shipping.handovers import expire_handovers, starts_clock
from tests.conftest import Api
from tests.factories import make_box
from tests.shipping.stories import EVERYONE, kinds_of, now_of, offer, offered, refused, stage, tubes
from tests.withdrawals.stories import a_story


def holder(api: Api, code: str) -> tuple[Any, Any]:
    now = now_of(api, code)
    return now["custodian_kind"], now["custodian_id"]


def expire(api: Api) -> int:
    return api.test_bank.write(lambda s: expire_handovers(s, stage(api.test_bank)))  # type: ignore[no-any-return]


def pass_time(api: Api, **change: float) -> None:
    clock.set_offset(clock.offset() + timedelta(**change), test_mode=True)
    api.close()
    api._clients.clear()


def test_the_giver_keeps_custody_until_the_receiver_accepts(api: Api) -> None:
    pair = tubes(api, 2)
    name = offered(api, pair)
    waiting = api.lab_tech2.get("/handovers", params={"waiting": "me"}).json()["items"]

    assert [(h["id"], h["specimens"], h["status"]) for h in waiting] == [(name, pair, "offered")]
    assert {holder(api, code) for code in pair} == {("user", EVERYONE["lab_tech"])}

    answer = api.lab_tech2.post(f"/handovers/{name}/accept", json={})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["accepted_by"]) == ("accepted", EVERYONE["lab_tech2"])
    assert "receipt" in answer.json()
    for code in pair:
        assert holder(api, code) == ("user", EVERYONE["lab_tech2"])
        assert kinds_of(api, "specimen", code)[-2:] == ["specimen.handover_offered", "specimen.handover_accepted"]
        rebuilt = api.test_bank.write(partial(projection_of, code=code))
        assert (rebuilt.projection.custodian_id, rebuilt.projection.offered_id) == (EVERYONE["lab_tech2"], None)
    assert api.lab_tech2.get("/handovers", params={"waiting": "me"}).json()["items"] == []


def test_only_the_named_receiver_accepts(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code])

    refused(api.lab_tech.post(f"/handovers/{name}/accept", json={}), 403, "not_the_receiver")
    refused(api.clinician.post(f"/handovers/{name}/accept", json={}), 403, "not_the_receiver")
    refused(api.north_tech.post(f"/handovers/{name}/accept", json={}), 404, "not_found")
    refused(api.north_tech.get(f"/handovers/{name}"), 404, "not_found")

    assert holder(api, code) == ("user", EVERYONE["lab_tech"])
    assert api.lab_tech2.post(f"/handovers/{name}/accept", json={}).status_code == 200


def test_only_the_custodian_offers(api: Api) -> None:
    (code,) = tubes(api)

    document = refused(offer(api, api.lab_tech2, [code], "user", EVERYONE["lab_tech2"]), 403, "not_the_custodian")

    assert document["where_now"]
    assert "specimen.handover_offered" not in kinds_of(api, "specimen", code)


def test_what_a_site_holds_anybody_there_offers_and_what_it_is_offered_somebody_else_there_accepts(api: Api) -> None:
    (code,) = tubes(api)
    box = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin")).code)
    stored = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": now_of(api, code)["seq"]})
    assert stored.status_code == 201, stored.text
    assert holder(api, code) == ("site", "LAB")
    first = offer(api, api.lab_tech2, [code], "user", EVERYONE["lab_tech"])
    assert first.status_code == 201, first.text
    assert api.lab_tech.post(f"/handovers/{first.json()['id']}/accept", json={}).status_code == 200

    back = offer(api, api.lab_tech, [code], "site", "LAB").json()["id"]
    refused(api.lab_tech.post(f"/handovers/{back}/accept", json={}), 403, "not_the_receiver")
    refused(api.clinician.post(f"/handovers/{back}/accept", json={}), 403, "not_the_receiver")
    assert api.lab_tech2.post(f"/handovers/{back}/accept", json={}).status_code == 200
    assert holder(api, code) == ("site", "LAB")


def test_a_courier_accepts_by_evidence_that_the_giver_records(api: Api) -> None:
    (code,) = tubes(api)
    name = offer(api, api.lab_tech, [code], "courier", "CRYOGO").json()["id"]

    refused(api.lab_tech.post(f"/handovers/{name}/accept", json={}), 409, "courier_evidence_required")
    refused(api.lab_tech2.post(f"/handovers/{name}/accept", json={"evidence": "CG 1"}), 403, "not_the_receiver")
    answer = api.lab_tech.post(f"/handovers/{name}/accept", json={"evidence": "CG 4711"})

    assert (answer.status_code, answer.json()["evidence"]) == (200, "CG 4711")
    assert holder(api, code) == ("courier", "CRYOGO")


def test_no_courier_has_a_tube_that_lies_in_its_slot(api: Api) -> None:
    story = a_story(api)

    refused(offer(api, api.lab_tech, story.vials, "courier", "CRYOGO"), 409, "receiver_cannot_take")


def test_two_acceptances_at_once_are_one_success_and_one_conflict(api: Api) -> None:
    pair = tubes(api, 2)
    box_of = offer(api, api.lab_tech, pair, "user", EVERYONE["lab_tech2"]).json()["id"]
    client = api.lab_tech2

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: client.post(f"/handovers/{box_of}/accept", json={}), range(2)))

    assert sorted(a.status_code for a in answers) == [200, 409]
    refused(next(a for a in answers if a.status_code == 409), 409, "handover_ended")
    assert kinds_of(api, "specimen", pair[0]).count("specimen.handover_accepted") == 1


def test_a_retry_of_an_acceptance_gets_the_first_answer(api: Api) -> None:
    name = offered(api, tubes(api))
    key = {"Idempotency-Key": "again"}

    first, second = (api.lab_tech2.post(f"/handovers/{name}/accept", json={}, headers=key) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()


def test_an_offer_that_nobody_accepts_in_time_expires_and_the_giver_still_holds_it(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code], expires_in_minutes=10)
    assert expire(api) == 0
    pass_time(api, minutes=11)

    refused(api.lab_tech2.post(f"/handovers/{name}/accept", json={}), 409, "handover_expired")
    assert expire(api) == 1
    assert expire(api) == 0

    assert api.lab_tech.get(f"/handovers/{name}").json()["status"] == "expired"
    refused(api.lab_tech2.post(f"/handovers/{name}/accept", json={}), 409, "handover_ended")
    assert (holder(api, code), now_of(api, code)["offered_id"]) == (("user", EVERYONE["lab_tech"]), None)
    assert kinds_of(api, "specimen", code)[-1] == "specimen.handover_expired"
    assert "expire_handovers" in TIMERS


def test_an_overdue_offer_does_not_stand_in_the_way_of_the_next_one(api: Api) -> None:
    (code,) = tubes(api)
    first = offered(api, [code], expires_in_minutes=1)
    pass_time(api, minutes=2)

    second = offer(api, api.lab_tech, [code], "user", EVERYONE["lab_tech2"])

    assert second.status_code == 201, second.text
    assert api.lab_tech.get(f"/handovers/{first}").json()["status"] == "expired"
    assert kinds_of(api, "specimen", code)[-2:] == ["specimen.handover_expired", "specimen.handover_offered"]
    assert expire(api) == 0
    assert api.lab_tech2.post(f"/handovers/{second.json()['id']}/accept", json={}).status_code == 200


def test_a_specimen_is_offered_once_at_a_time(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code])

    refused(offer(api, api.lab_tech, [code], "site", "LAB"), 409, "already_offered")
    assert api.lab_tech.post(f"/handovers/{name}/decline", json={"reason": "wrong_receiver"}).status_code == 200
    assert offer(api, api.lab_tech, [code], "site", "LAB").status_code == 201


def test_a_declined_offer_leaves_custody_where_it_was(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code])

    refused(api.clinician.post(f"/handovers/{name}/decline", json={"reason": "no"}), 403, "not_the_receiver")
    answer = api.lab_tech2.post(f"/handovers/{name}/decline", json={"reason": "label_illegible"})

    assert (answer.status_code, answer.json()["status"], answer.json()["decline_reason"]) == (200, "declined", "label_illegible")
    refused(api.lab_tech2.post(f"/handovers/{name}/accept", json={}), 409, "handover_ended")
    assert (holder(api, code), now_of(api, code)["offered_id"]) == (("user", EVERYONE["lab_tech"]), None)


def test_an_acceptance_is_all_or_nothing_and_refused_once_a_tube_changed_its_state(api: Api) -> None:
    pair = tubes(api, 2)
    name = offered(api, pair)
    lost = {"kind": "specimen.missing", "reason": "not_on_the_tray", "expected_seq": now_of(api, pair[1])["seq"]}
    assert api.lab_tech.post(f"/specimens/{pair[1]}/events", json=lost).status_code == 201

    document = refused(api.lab_tech2.post(f"/handovers/{name}/accept", json={}), 409, "offer_superseded")

    assert document["subject"] == pair[1]
    assert holder(api, pair[0]) == ("user", EVERYONE["lab_tech"])
    assert api.lab_tech2.post(f"/handovers/{name}/decline", json={"reason": "incomplete"}).status_code == 200
    assert kinds_of(api, "specimen", pair[0])[-1] == "specimen.handover_declined"
    assert kinds_of(api, "specimen", pair[1])[-1] == "specimen.missing"


def test_an_offer_of_which_nothing_stands_any_more_can_still_be_taken_back(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code])
    gone = {"kind": "specimen.missing", "reason": "not_on_the_tray", "expected_seq": now_of(api, code)["seq"]}
    assert api.lab_tech.post(f"/specimens/{code}/events", json=gone).status_code == 201

    answer = api.lab_tech.post(f"/handovers/{name}/decline", json={"reason": "missing"})

    assert (answer.status_code, answer.json()["status"]) == (200, "declined"), answer.text
    assert kinds_of(api, "specimen", code)[-1] == "specimen.missing"


def test_remarks_between_offer_and_acceptance_do_not_matter(api: Api) -> None:
    (code,) = tubes(api)
    name = offered(api, [code])
    remark = {
        "kind": "specimen.annotated",
        "topic": "handling",
        "comment": "cold to the touch",
        "expected_seq": now_of(api, code)["seq"],
    }
    assert api.lab_tech.post(f"/specimens/{code}/events", json=remark).status_code == 201

    assert api.lab_tech2.post(f"/handovers/{name}/accept", json={}).status_code == 200


@pytest.mark.parametrize(
    ("to_kind", "to_id", "status", "code"),
    [
        ("user", "US-0000000", 404, "not_found"),
        ("site", "MOON", 404, "not_found"),
        ("user", EVERYONE["north_tech"], 409, "receiver_cannot_take"),
        ("user", EVERYONE["auditor"], 409, "receiver_cannot_take"),
        ("site", "NORTH", 409, "receiver_cannot_take"),
        ("user", EVERYONE["lab_tech"], 409, "receiver_cannot_take"),
    ],
)
def test_a_receiver_who_could_not_hold_it_is_refused(api: Api, to_kind: str, to_id: str, status: int, code: str) -> None:
    refused(offer(api, api.lab_tech, tubes(api), to_kind, to_id), status, code)


def test_an_offer_says_what_its_writer_saw(api: Api) -> None:
    (code,) = tubes(api)
    body = {"specimens": [{"specimen": code}], "to_kind": "site", "to_id": "LAB"}

    refused(api.lab_tech.post("/handovers", json=body), 428, "expected_seq_required")
    body["specimens"] = [{"specimen": code, "expected_seq": 1}]
    refused(api.lab_tech.post("/handovers", json=body), 409, "stale_sequence")
    refused(api.auditor.post("/handovers", json=body), 409, "stale_sequence")


def test_hand_overs_are_listed_page_by_page(api: Api) -> None:
    names = [offered(api, [code]) for code in tubes(api, 3)]

    first = api.lab_tech.get("/handovers", params={"limit": 2}).json()
    rest = api.lab_tech.get("/handovers", params={"limit": 2, "before": first["next"]}).json()

    assert [h["id"] for h in first["items"] + rest["items"]] == names[::-1]
    assert rest["next"] is None
    assert api.north_tech.get("/handovers").json()["items"] == []


def test_a_hand_over_starts_the_clock_of_what_is_in_no_place_and_has_none() -> None:
    def in_hand(**changes: Any) -> bool:
        now = Projection(**{"state": "received", "condition": "frozen"} | changes)
        specimen = Snapshot(
            code="AD26-X",
            donor_code=None,
            seq=1,
            head_hash=None,
            projection=now,
            material="adsc",
            unit="cells",
            purpose="therapeutic",
            home_site_code="LAB",
        )
        return starts_clock(specimen)

    assert in_hand() and in_hand(state="checked_out")
    assert not in_hand(condition="fresh")
    assert not in_hand(state="stored") and not in_hand(state="in_transit")
    assert not in_hand(out_since="2026-11-22T10:00:00.000Z"), "it runs already"
