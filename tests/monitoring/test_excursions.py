"""An excursion is one thing: its time, whom it reached through every move, one hold, assessed in groups."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlmodel import Session

from biobank.custody.recording import NOW, Move, record
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.specimens.events import Frozen
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.factories import make_donor, make_received
from tests.monitoring.stories import assess
from tests.quality.test_look_back import derive
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post
from tests.withdrawals.test_journeys import body_of

OPEN = {"rows": None, "cols": None}
LN2 = {"temperature_class": "ln2_vapour"}


def frozen(api: Api, count: int = 1) -> list[str]:
    return [a_tube(api) for _ in range(count)]


def a_tank(api: Api, name: str = "Tank") -> str:
    return a_box(api, kind="tank", name=name, **OPEN, **LN2)


def read(api: Api, place: str, value: int, at: datetime | None = None, client: Any = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"reading": "temperature_mc", "value": value, "confirmed": True} | more
    if at is not None:
        body |= {"occurred_at": rfc3339(at), "reason_text": "logger read late", "late_entry": True}
    answer = (client or api.lab_tech).post(f"/storage-containers/{place}/readings", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def put(api: Api, tube: str, box: str) -> None:
    answer = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)})
    assert answer.status_code == 201, answer.text


def move(api: Api, container: str, to: str) -> None:
    answer = api.lab_tech.post(f"/storage-containers/{container}/move", json={"to": to})
    assert answer.status_code == 200, answer.text


def check_out(api: Api, tube: str) -> None:
    body = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201


def held(api: Api, tube: str) -> list[str]:
    return [hold["scope_kind"] for hold in api.lab_tech.get(f"/specimens/{tube}").json()["holds"]]


def test_a_reading_of_an_earlier_time_holds_what_was_inside_then(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    rack, early = a_box(api, kind="rack", name="Rack", parent=tank, **OPEN), a_box(api, parent=tank)
    box = a_box(api, parent=rack)
    moved, taken, late = a_tube(api), a_tube(api), a_tube(api)
    put(api, moved, box)
    put(api, taken, early)
    later(api, minutes=5)
    check_out(api, taken)
    later(api, minutes=5)
    warm = clock.now()
    later(api, minutes=5)
    read(api, tank, -180_000)
    move(api, rack, other)
    later(api, minutes=1)
    put(api, late, early)
    later(api, minutes=5)

    found = read(api, tank, -50_000, warm)

    assert (found["held"], held(api, moved), held(api, taken), held(api, late)) == ([moved], ["excursion"], [], [])
    (code,) = found["excursions"]
    one = api.quality.get(f"/excursions/{code}").json()
    assert (one["specimens"], one["donors"], [item["specimen"] for item in one["items"]]) == (1, 1, [moved])
    holds = api.quality.get("/holds", params={"active": True}).json()["items"]
    assert [(hold["scope_kind"], hold["scope_id"]) for hold in holds] == [("excursion", code)]
    given = {"container": tank, "since": rfc3339(warm - timedelta(seconds=1)), "until": rfc3339(warm + timedelta(seconds=1))}
    looked = api.quality.post("/look-backs", json=given).json()
    assert [item["specimen"] for item in looked["items"]] == [moved]
    empty = api.quality.post("/look-backs", json=given | {"container": other}).json()
    assert empty["items"] == []


def test_what_was_frozen_after_a_warm_reading_is_not_held_when_that_comes_at_once_or_late(api: Api) -> None:
    tank = a_tank(api)
    box = a_box(api, parent=tank)
    before, after, later_still = frozen(api, 1)[0], "", ""
    put(api, before, box)
    later(api, minutes=5)
    warm = clock.now()
    at_once = read(api, tank, -50_000)
    later(api, minutes=4)
    read(api, tank, -180_000)
    later(api, minutes=1)
    after = a_tube(api)
    put(api, after, box)
    later(api, minutes=5)
    later_still = a_tube(api)
    put(api, later_still, box)
    late = read(api, tank, -40_000, warm + timedelta(minutes=1))

    assert (at_once["held"], late["held"]) == ([before], [])
    assert [held(api, tube) for tube in (before, after, later_still)] == [["excursion"], [], []]


def test_a_parent_that_warms_reaches_only_what_is_made_of_it_afterwards(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    box, elsewhere = a_box(api, parent=tank), a_box(api, parent=other)
    donor = api.test_bank.write(make_donor)
    parent, made_before = a_tube(api, donor=donor), a_tube(api, donor=donor)
    derive(api, donor, parent, made_before)
    put(api, parent, box)
    put(api, made_before, elsewhere)
    later(api, minutes=5)

    found = read(api, tank, -50_000)
    later(api, minutes=5)
    check_out(api, parent)
    made_after = a_tube(api, donor=donor)
    derive(api, donor, parent, made_after)
    of_it = a_tube(api, donor=donor)
    derive(api, donor, made_after, of_it)
    of_the_first = a_tube(api, donor=donor)
    derive(api, donor, made_before, of_the_first)

    assert found["held"] == [parent]
    assert [held(api, one) for one in (parent, made_before, of_the_first)] == [["excursion"], [], []]
    assert [held(api, one) for one in (made_after, of_it)] == [["excursion"], ["excursion"]]


def test_an_answer_about_the_past_holds_what_was_made_of_affected_material_as_the_answer_of_then_did(api: Api) -> None:
    box = a_box(api, parent=(tank := a_tank(api)))
    donor = api.test_bank.write(make_donor)
    parent, made_before = a_tube(api, donor=donor), a_tube(api, donor=donor)
    derive(api, donor, parent, made_before)
    put(api, parent, box)
    put(api, made_before, box)
    later(api, minutes=5)
    (code,) = read(api, tank, -50_000)["excursions"]
    later(api, minutes=5)
    made_after = a_tube(api, donor=donor)
    derive(api, donor, parent, made_after)
    later(api, minutes=1)
    moment = clock.now()
    later(api, minutes=1)

    def then(tube: str) -> list[str]:
        as_of = {"at": rfc3339(moment), "as_known_at": rfc3339(moment)}
        return [hold["scope_kind"] for hold in api.lab_tech.get(f"/specimens/{tube}", params=as_of).json()["holds"]]

    assert [held(api, one) for one in (parent, made_before, made_after)] == [["excursion"]] * 3
    read(api, tank, -180_000)
    answer = assess(api.quality, code)
    assert answer.status_code == 200, answer.text
    later(api, minutes=1)

    assert [held(api, one) for one in (parent, made_before, made_after)] == [[], [], []]
    assert [then(one) for one in (parent, made_before, made_after)] == [["excursion"]] * 3


def test_what_was_released_and_warmed_again_was_free_in_between_also_in_an_answer_about_the_past(api: Api) -> None:
    box = a_box(api, parent=(tank := a_tank(api)))
    tube, other = a_tube(api), a_tube(api)
    put(api, tube, box)
    put(api, other, box)
    moments: list[tuple[str, list[str]]] = []

    def note() -> None:
        later(api, minutes=1)
        moments.append((rfc3339(clock.now()), held(api, tube)))
        later(api, minutes=1)

    later(api, minutes=5)
    (code,) = read(api, tank, -50_000)["excursions"]
    note()
    elsewhere = a_box(api, parent=a_tank(api, "Other"))
    for one in (tube, other):
        put(api, one, elsewhere)
    answer = assess(api.quality, code, specimens=[tube])
    assert answer.status_code == 200, answer.text
    note()
    put(api, tube, box)
    later(api, minutes=1)
    read(api, tank, -45_000)
    note()

    assert [said for _, said in moments] == [["excursion"], [], ["excursion"]]
    for at, said in moments:
        one = api.lab_tech.get(f"/specimens/{tube}", params={"at": at, "as_known_at": at}).json()
        assert [hold["scope_kind"] for hold in one["holds"]] == said, at


def test_readings_that_go_on_lengthen_one_excursion_and_one_hold_covers_all(api: Api) -> None:
    tank = a_tank(api)
    box = a_box(api, parent=tank)
    tubes = frozen(api, 4)
    put(api, tubes[0], box)
    (code,) = read(api, tank, -50_000)["excursions"]
    later(api, minutes=5)
    put(api, tubes[1], box)
    assert held(api, tubes[1]) == ["excursion"], "nobody has read since that the place is right"
    later(api, minutes=5)
    again = read(api, tank, -40_000)
    later(api, minutes=5)
    put(api, tubes[2], box)
    later(api, minutes=5)
    over = read(api, tank, -180_000)
    later(api, minutes=1)
    put(api, tubes[3], box)

    assert (again["excursions"], again["held"], over["excursions"]) == ([code], [], [code])
    assert [held(api, tube) for tube in tubes] == [["excursion"], ["excursion"], ["excursion"], []]
    one = api.quality.get("/excursions").json()["items"][0]
    assert (one["code"], one["peak"], one["to_assess"], one["ended_at"] is not None) == (code, -40_000, 3, True)


def test_a_group_is_released_and_a_group_rejected_by_one_signature_each(api: Api) -> None:
    tank = a_tank(api)
    box = a_box(api, parent=tank)
    good, bad = frozen(api, 2), frozen(api, 2)
    for tube in (*good, *bad):
        put(api, tube, box)
    (code,) = read(api, tank, -50_000)["excursions"]
    path = f"/excursions/{code}/assess"
    early = assess(api.quality, code, specimens=good)
    assert (early.status_code, early.json()["code"]) == (409, "excursion_still_open")
    later(api, minutes=5)
    read(api, tank, -180_000)
    (hold,) = api.quality.get("/holds", params={"active": True}).json()["items"]
    by_hand = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "fine"})
    assert (by_hand.status_code, by_hand.json()["code"]) == (409, "held_by_excursion")
    seen = api.quality.get(f"/excursions/{code}").json()["seen"]
    release = {"specimens": good, "decision": "released", "reason": "short", "seen": seen}
    assert api.lab_tech.post(path, json=release).status_code == 403
    assert api.quality.post(path, json=release).status_code == 428

    released = assess(api.quality, code, specimens=good)
    assert (released.status_code, released.json()["to_assess"]) == (200, 2), released.text
    assert ([held(api, tube) for tube in good], held(api, bad[0])) == ([[], []], ["excursion"])
    rejected = assess(api.quality, code, "rejected")
    assert rejected.status_code == 200, rejected.text
    custody = [api.quality.get(f"/specimens/{tube}").json()["custody"]["quality"] for tube in bad]
    assert custody == ["rejected", "rejected"]
    assert api.quality.get("/holds", params={"active": True}).json()["items"] == []
    nothing = assess(api.quality, code)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_assess")
    logged = taken_log(api)
    for kind in ("container.excursion_opened", "container.excursion_changed", "container.excursion_assessed"):
        assert f'"{kind}"' in logged


def test_withdrawing_the_reading_frees_what_it_held_and_only_quality_does_it(api: Api) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, box)
    made = read(api, tank, -150)
    path = f"/storage-containers/{tank}/readings/{made['id']}/withdraw"
    body = {"reason": "typed_in_another_unit"}

    assert api.lab_tech.post(path, json=body).status_code == 403
    assert held(api, tube) == ["excursion"]
    done = sign_and_post(api.quality, "decided", path, body)

    assert (done.status_code, done.json()["removed"]) == (200, 1), done.text
    assert held(api, tube) == []
    assert api.quality.get(f"/excursions/{made['excursions'][0]}").json()["annulled_at"] is not None
    again = sign_and_post(api.quality, "decided", path, body)
    assert (again.status_code, again.json()["code"]) == (409, "already_withdrawn")
    assert '"container.reading_withdrawn"' in taken_log(api)


def test_a_late_reading_within_limits_does_not_free_anything_without_quality(api: Api) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    read(api, tank, -50_000)
    later(api, minutes=5)
    good = clock.now()
    later(api, minutes=5)
    put(api, tube, box)
    later(api, minutes=1)
    check_out(api, tube)
    later(api, minutes=5)
    read(api, tank, -40_000)
    assert held(api, tube) == ["excursion"]
    body = {"reading": "temperature_mc", "value": -180_000, "confirmed": True, "occurred_at": rfc3339(good)}
    body |= {"late_entry": True, "reason_text": "from the paper"}
    path = f"/storage-containers/{tank}/readings"

    assert api.lab_tech.post(path, json=body).status_code == 403
    assert held(api, tube) == ["excursion"]
    done = sign_and_post(api.quality, "decided", path, body)

    assert (done.status_code, done.json()["removed"], held(api, tube)) == (201, 1, []), done.text


def test_a_check_out_that_was_undone_twice_leaves_nothing_out(api: Api) -> None:
    tank = a_tank(api)
    box, tube = a_box(api, parent=tank), a_tube(api)
    put(api, tube, box)
    for _ in range(2):
        check_out(api, tube)
        last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
        undo = {"reverses": last["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": seq_of(api, tube)}
        assert api.lab_tech.post(f"/specimens/{tube}/reverse", json=undo).status_code in (200, 201)
    later(api, minutes=1)

    assert read(api, tank, -50_000)["held"] == [tube]


def test_the_database_refuses_an_excursion_that_runs_backwards_and_an_assessment_without_its_event(api: Api) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, box)
    read(api, tank, -50_000)
    for name, statement in (
        ("an_excursion_runs_forwards", "UPDATE excursion SET last_at = began_at - interval '1 minute'"),
        (
            "assessment_is_known",
            "UPDATE excursion_item SET decision = 'fine', assessed_at = now(), assessed_event = '\\x00'",
        ),
        ("an_assessment_has_its_event", "UPDATE excursion_item SET decision = 'released'"),
    ):
        with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.errors.CheckViolation, match=name):
            connection.execute(statement)


def test_a_corrected_reading_judges_the_pace_of_the_next_one_anew_and_quality_signs(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=1)
    slip = read(api, tank, -190_000)
    later(api, minutes=5)
    fast = read(api, tank, -150_000)
    assert (fast["outside"], held(api, tube)) == ("warming_too_fast", ["excursion"])
    path = f"/storage-containers/{tank}/readings/{slip['id']}/withdraw"
    body = {"reason": "typed_wrong", "value": -150_000}

    alone = api.lab_tech.post(path, json=body)
    signed = sign_and_post(api.quality, "decided", path, body)

    assert alone.status_code == 403, alone.text
    assert (signed.status_code, held(api, tube)) == (200, []), signed.text
    items = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]
    assert [one["outside"] for one in items if one["withdrawn_at"] is None] == [None, None]


def test_a_late_reading_judges_the_pace_of_what_was_read_after_it(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=1)
    read(api, tank, -190_000)
    later(api, minutes=28)
    between = clock.now()
    later(api, minutes=2)
    assert read(api, tank, -150_000)["outside"] is None

    late = read(api, tank, -190_000, between)

    assert (late["outside"], len(late["excursions"]), held(api, tube)) == (None, 1, ["excursion"])
    newest = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"][0]
    assert (newest["value"], newest["outside"]) == (-150_000, "warming_too_fast")


def test_whoever_puts_a_tube_into_a_place_that_is_outside_its_limits_is_told(api: Api) -> None:
    tank, fine = a_tank(api), a_tank(api, "Fine")
    box, rack = a_box(api, parent=tank), a_box(api, kind="rack", name="Rack", parent=fine, **OPEN)
    quarantine = a_box(api, name="Q", parent=tank, purpose="quarantine")
    stored, brought, moved = frozen(api, 3)
    put(api, moved, a_box(api, parent=rack))
    later(api, minutes=10)

    def warnings() -> list[list[str]]:
        body = {"container": box, "expected_seq": seq_of(api, stored)}
        store = api.lab_tech.post(f"/specimens/{stored}/store", json=body).json()["items"][0]["warnings"]
        bring = api.lab_tech.post(f"/storage-containers/{quarantine}/evacuate", json={"scanned": [brought]}).json()
        there, back = (api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": to}).json() for to in (tank, fine))
        assert back["warnings"] == []
        return [store, bring["items"][0]["warnings"], there["warnings"]]

    assert warnings() == [[], [], []]
    (excursion,) = read(api, tank, -15_000)["excursions"]
    for said in warnings():
        assert len(said) == 1 and said[0].startswith(f"{tank} has not read within its limits again ({excursion})"), said
    later(api, minutes=10)
    read(api, tank, -190_000)
    assert warnings() == [[], [], []]


def test_a_room_that_is_too_warm_is_said_of_no_tank_in_it(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    tank = a_box(api, kind="tank", name="In it", parent=room, **OPEN, **LN2)
    read(api, room, 40_000)
    (tube,) = frozen(api, 1)
    body = {"container": a_box(api, parent=tank), "expected_seq": seq_of(api, tube)}

    assert api.lab_tech.post(f"/specimens/{tube}/store", json=body).json()["items"][0]["warnings"] == []


@pytest.mark.parametrize("hand", ["read", "froze", "neither"])
def test_whoever_entered_a_reading_or_made_a_unit_does_not_assess_its_excursion(api: Api, hand: str) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, box)
    if hand == "froze":
        froze = Frozen(programme="slow", cryoprotectant="dmso", cryoprotectant_contact_s=300)
        act = api.test_bank.act("acts_here")

        def again(session: Session) -> None:
            made = make_received(session, act, donor=make_donor(session))
            record(session, act, [Move(made, froze, site="LAB")], NOW)
            known.append(made.code)

        known: list[str] = []
        api.test_bank.write(again)
        put(api, known[0], box)
    (code,) = read(api, tank, -50_000, client=api.acts_here if hand == "read" else None)["excursions"]
    later(api, minutes=5)
    read(api, tank, -180_000)

    answer = assess(api.acts_here, code)

    assert (answer.status_code, answer.json()["code"]) == ((200, code) if hand == "neither" else (403, "not_independent"))
    if hand != "neither":
        assert assess(api.quality, code).status_code == 200


def ways(api: Api, code: str) -> dict[str, int]:
    one = api.quality.get(f"/excursions/{code}").json()
    gravest = {"measure": one["measure"], "outside": one["outside"], "peak": one["peak"]}
    assert gravest in one["worst"], one
    return {each["outside"]: each["peak"] for each in one["worst"]}


def test_a_fridge_that_froze_and_then_warmed_says_both(api: Api) -> None:
    fridge = a_box(api, kind="freezer", name="Fridge", temperature_class="fridge", **OPEN)
    (code,) = read(api, fridge, -5_000)["excursions"]
    for degrees in (25_000, 4_000):
        later(api, minutes=10)
        read(api, fridge, degrees)

    assert ways(api, code) == {"too_cold": -5_000, "too_warm": 25_000}
    over = body_of(api, "container", fridge, "container.excursion_changed")
    assert (over["coldest_mc"], over["warmest_mc"]) == (-5_000, 25_000)


def test_quality_releases_what_it_looked_at_and_not_what_a_late_reading_made_of_it(api: Api) -> None:
    tank = a_tank(api)
    box, tubes = a_box(api, parent=tank), frozen(api, 2)
    for tube in tubes:
        put(api, tube, box)
    later(api, minutes=5)
    (code,) = read(api, tank, -125_000)["excursions"]
    later(api, minutes=10)
    between = clock.now()
    later(api, minutes=10)
    read(api, tank, -180_000)
    looked_at = api.quality.get(f"/excursions/{code}").json()["seen"]
    read(api, tank, 15_000, at=between)

    answer = assess(api.quality, code, seen=looked_at)

    assert (answer.status_code, answer.json()["code"]) == (409, "stale_sequence")
    assert [held(api, tube) for tube in tubes] == [["excursion"], ["excursion"]]
    assert assess(api.quality, code, specimens=tubes[:1]).status_code == 200
    assert assess(api.quality, code, seen=None).status_code == 422
    assert ways(api, code) == {"too_warm": 15_000}


def test_an_assessment_is_not_dated_before_the_excursion_was_known(api: Api) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, box)
    later(api, hours=4)
    (code,) = read(api, tank, -125_000)["excursions"]
    later(api, minutes=10)
    read(api, tank, -180_000)
    earlier = rfc3339(clock.now() - timedelta(hours=3))

    answer = assess(api.quality, code, occurred_at=earlier, late_entry=True, reason_text="Decided by telephone.")

    assert (answer.status_code, answer.json()["code"]) == (409, "before_its_authority")
    assert held(api, tube) == ["excursion"]
