"""A culture while it grows: medium and looks as events, what a contamination holds, some vessels discarded by two."""

from typing import Any

import psycopg
import pytest

from tests import seed
from tests.conftest import Api
from tests.registers.test_registers import entered
from tests.specimens.stories import adsc, culture, donor, kinds, made, refused, run, svf, using, washed_fat
from tests.specimens.test_runs import attack
from tests.withdrawals.stories import by_two, sign_and_post

Json = dict[str, Any]


def grown(api: Api, whose: str | None = None, vessels: int = 6, **more: Any) -> Json:
    """A culture in `vessels` flasks."""
    begun = svf(api, whose or donor(api))
    out = culture(30_000_000, 0) | {"vessel_count": vessels}
    answer = made(run(api.lab_tech, "expansion", [using(begun)], [out], **more))
    found: Json = answer["specimens"][0]
    return found


def seq(api: Api, one: Json) -> Json:
    """How far its record stands, as a request says it."""
    return {"expected_seq": api.quality.get(f"/specimens/{one['code']}").json()["custody"]["seq"]}


def look(api: Api, one: Json, finding: str = "as_expected", vessels: int = 1, **more: Any) -> Any:
    body = {"what": "looked_at", "vessels": vessels, "finding": finding} | seq(api, one) | more
    return api.lab_tech.post(f"/specimens/{one['code']}/culture", json=body)


def feed(api: Api, one: Json, medium: str, vessels: int = 6, **more: Any) -> Any:
    body = {"what": "medium_changed", "vessels": vessels, "medium_lots": [medium]} | seq(api, one) | more
    return api.lab_tech.post(f"/specimens/{one['code']}/culture", json=body)


def culture_of(api: Api, one: Json) -> Json:
    found: Json = api.lab_tech.get(f"/specimens/{one['code']}/culture").json()
    return found


def why_held(api: Api, lot: str) -> list[str]:
    return [one["reason"] for one in api.quality.get("/holds", params={"scope": lot, "active": True}).json()["items"]]


def discarding(api: Api, one: Json, **more: Any) -> Any:
    body = {"vessels": 1, "amount": 5_000_000, "reason": "contaminated"} | seq(api, one) | more
    return by_two(api.lab_tech, api.lab_tech2, f"/specimens/{one['code']}/culture/discard", body)


def test_medium_and_looks_are_events_of_the_culture_and_shown_newest_first(api: Api) -> None:
    one, medium, incubator = grown(api), entered(api, "medium", "DMEM"), entered(api, "equipment", "Incubator 1")

    made(feed(api, one, medium, incubator=incubator))
    made(look(api, one, "few_attached", vessels=2, confluence_percent=15, incubator=incubator))

    found = culture_of(api, one)
    assert (found["begun_with"], found["vessels"]) == (6, 6)
    seen, fed = found["items"]
    assert (seen["finding"], seen["vessels"], seen["confluence_percent"], seen["incubator"]) == ("few_attached", 2, 15, incubator)
    assert (fed["medium_lots"], fed["vessels"], fed["by"]) == ([medium], 6, seed.USERS["lab_tech"].code)
    assert kinds(api, "specimen", one["code"])[-2:] == ["specimen.medium_changed", "specimen.culture_seen"]
    assert why_held(api, one["lot"]) == []


def test_what_is_said_of_a_culture_is_said_whole_and_of_a_culture(api: Api) -> None:
    one, other = grown(api), washed_fat(api, donor(api))
    path = f"/specimens/{one['code']}/culture"
    medium = entered(api, "medium", "DMEM")
    for wrong in (
        {"what": "looked_at", "vessels": 1},
        {"what": "medium_changed", "vessels": 1},
        {"what": "looked_at", "vessels": 1, "finding": "as_expected", "medium_lots": [medium]},
        {"what": "medium_changed", "vessels": 1, "medium_lots": [medium], "confluence_percent": 50},
    ):
        assert api.lab_tech.post(path, json=wrong).status_code == 422
    assert refused(look(api, one, vessels=7)) == (409, "vessels_do_not_add_up")
    assert refused(look(api, other)) == (409, "not_a_culture")
    assert refused(feed(api, one, entered(api, name="Old", expires_on="2020-01-01"))) == (409, "not_fit_for_use")
    assert api.clinician.post(
        path, json={"what": "looked_at", "vessels": 1, "finding": "as_expected"} | seq(api, one)
    ).status_code in {403, 404}


def test_a_contamination_holds_the_lot_and_its_companions_by_run_medium_and_incubator(api: Api) -> None:
    medium, incubator = entered(api, "medium", "DMEM"), entered(api, "equipment", "Incubator 1")
    bad, fed, near, reagent, apart = (grown(api, reagent_lots=lots) for lots in ([seed.REAGENT], [], [], [seed.REAGENT], []))
    for one in (bad, fed):
        made(feed(api, one, medium))
    made(look(api, bad, incubator=incubator))
    made(look(api, near, incubator=incubator))

    answer = made(look(api, bad, "contaminated", vessels=1))

    assert set(answer["held"]) == {bad["lot"], fed["lot"], near["lot"], reagent["lot"]}
    assert why_held(api, bad["lot"]) == ["culture_contaminated"]
    assert [why_held(api, one["lot"]) for one in (fed, near, reagent)] == [["companion_of_contaminated"]] * 3
    assert why_held(api, apart["lot"]) == []
    for one in (bad, near):
        next_passage = run(api.lab_tech, "passage", [using(one) | seq(api, one)], [culture(10**7, 1)])
        assert refused(next_passage) == (409, "on_hold"), "its companions do not go on into the next passage"
    deviation = api.quality.get(f"/deviations/{answer['deviation']}").json()
    assert (deviation["topic"], deviation["severity"]) == ("contamination", "major")
    again = made(look(api, bad, "contaminated", vessels=2))
    assert again["held"] == [], "what is held is held once"


def test_a_suspicion_holds_the_culture_and_not_its_companions(api: Api) -> None:
    medium = entered(api, "medium", "DMEM")
    one, other = grown(api), grown(api)
    for each in (one, other):
        made(feed(api, each, medium))

    answer = made(look(api, one, "contamination_suspected"))

    assert (answer["held"], answer["deviation"]) == ([one["lot"]], None)
    assert why_held(api, other["lot"]) == []
    (hold,) = api.quality.get("/holds", params={"scope": one["lot"], "active": True}).json()["items"]
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "nothing_grew"})
    assert lifted.status_code == 200, lifted.text


def test_a_held_culture_is_still_fed_and_looked_at(api: Api) -> None:
    one = grown(api)
    made(look(api, one, "contamination_suspected"))

    made(feed(api, one, entered(api, "medium", "DMEM")))
    made(look(api, one))


def test_one_contaminated_flask_of_six_is_discarded_before_a_witness_and_five_go_on(api: Api) -> None:
    one = grown(api)
    assert refused(discarding(api, one)) == (409, "vessels_reason_not_seen")
    made(look(api, one, "contaminated", vessels=1))

    done = discarding(api, one)

    assert done.status_code == 200, done.text
    assert done.json()["culture"]["vessels"] == 5
    assert api.lab_tech.get(f"/specimens/{one['code']}").json()["custody"]["amount"] == 25_000_000
    assert kinds(api, "specimen", one["code"])[-1] == "specimen.vessels_discarded"
    assert refused(discarding(api, one)) == (409, "vessels_reason_not_seen"), "one was seen, and one is gone"
    assert refused(look(api, one, vessels=6)) == (409, "vessels_do_not_add_up")


def test_nobody_discards_vessels_alone_or_all_of_them(api: Api) -> None:
    one = grown(api, vessels=2)
    made(look(api, one, "contaminated", vessels=2))
    path, body = f"/specimens/{one['code']}/culture/discard", {"vessels": 1, "amount": 5_000_000, "reason": "contaminated"}
    body |= seq(api, one)
    first = sign_and_post(api.lab_tech, "decided", path, body)
    again = sign_and_post(api.lab_tech, "decided", path, body | {"pending_act": first.json()["pending_act"]})

    assert refused(again) == (403, "second_person_must_differ")
    assert culture_of(api, one)["vessels"] == 2
    assert refused(discarding(api, one, vessels=2)) == (409, "vessels_do_not_add_up")
    assert refused(discarding(api, one, amount=30_000_000)) == (409, "vessels_do_not_add_up")
    assert refused(sign_and_post(api.clinic_staff, "decided", path, body))[0] in {403, 404}


def test_surplus_vessels_take_quality_and_leave_a_usable_rest(api: Api) -> None:
    one = grown(api)
    path = f"/specimens/{one['code']}/culture/discard"
    body = {"vessels": 2, "amount": 10_000_000, "reason": "surplus"} | seq(api, one)

    assert refused(by_two(api.lab_tech, api.lab_tech2, path, body))[0] == 403
    too_much = sign_and_post(api.lab_tech, "decided", path, body | {"vessels": 5, "amount": 25_000_000})
    assert refused(too_much) == (409, "ends_material")
    assert by_two(api.lab_tech, api.quality, path, body).json()["culture"]["vessels"] == 4


def test_a_legal_hold_keeps_every_vessel(api: Api) -> None:
    one = grown(api)
    made(look(api, one, "contaminated"))
    held = {"scope_kind": "specimen", "scope_id": one["code"], "kind": "legal", "reason": "court_order"}
    made(api.quality.post("/holds", json=held))

    assert refused(discarding(api, one)) == (409, "on_hold")


@pytest.mark.parametrize("finding", ["broken", "detached"])
def test_broken_vessels_need_no_look_and_detached_ones_do(api: Api, finding: str) -> None:
    one = grown(api)
    if finding == "detached":
        assert refused(discarding(api, one, reason=finding)) == (409, "vessels_reason_not_seen")
        made(look(api, one, finding))

    assert discarding(api, one, reason=finding).json()["culture"]["vessels"] == 5


def test_what_was_seen_of_a_culture_is_never_deleted_and_says_what_it_is(api: Api) -> None:
    one = grown(api)
    made(look(api, one))
    with pytest.raises(psycopg.errors.Error), psycopg.connect(api.test_bank.dsn("app")) as connection:
        connection.execute("DELETE FROM culture_record")
    again = (
        "INSERT INTO culture_record (id, specimen_code, what, vessels, medium_lots, at, recorded_at, by, event_hash) "
        "SELECT gen_random_uuid(), specimen_code, %s, %s, '{}', at, recorded_at, by, event_hash FROM culture_record"
    )
    assert attack(api, again, "sung_to", 1) == "culture_record_is_known"
    assert attack(api, again, "looked_at", 0) == "vessels_are_counted"


def test_the_next_passage_counts_its_own_vessels(api: Api) -> None:
    one = adsc(api, donor(api), passage=1)

    assert culture_of(api, one)["vessels"] == 5
