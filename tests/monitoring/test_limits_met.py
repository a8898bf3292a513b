"""A limit that is set judges what the place read last; nothing is said to have been outside before the limit stood."""

from datetime import datetime
from typing import Any

from biobank.foundation import clock
from tests.conftest import Api
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import a_tank, frozen, held, move, put, read
from tests.storage.test_every_way_of_placing import seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later, sign_and_post

STRICT = {"highest_mc": -150_000}


def set_limits(api: Api, **body: Any) -> dict[str, Any]:
    answer = sign_and_post(api.quality, "decided", "/place-limits", body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def excursion_of(api: Api, code: str) -> dict[str, Any]:
    return api.quality.get(f"/excursions/{code}").json()  # type: ignore[no-any-return]


def read_at(tank_reading: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(tank_reading["at"])


def test_what_reads_outside_a_limit_when_it_is_set_is_held_from_the_setting_on(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    box = a_box(api, parent=tank)
    inside, gone = frozen(api, 2)
    put(api, inside, box)
    put(api, gone, box)
    last = read(api, tank, -140_000)
    later(api, minutes=10)
    put(api, gone, a_box(api, parent=other))
    later(api, minutes=10)
    before = clock.now()

    done = set_limits(api, container=tank, **STRICT)

    (code,) = done["excursions"]
    assert done["held"] == 1
    one = excursion_of(api, code)
    assert (one["by_limit"], one["peak"], one["outside"]) == (True, -140_000, "too_warm")
    assert datetime.fromisoformat(one["began_at"]) >= before > read_at(last), "not before the limit stood"
    assert [held(api, tube) for tube in (inside, gone)] == [["excursion"], []], "what had left before is not concerned"
    listed = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]
    assert [(row["id"], row["outside"]) for row in listed] == [(last["id"], None)], "the reading was within, and none was made up"

    later(api, minutes=10)
    assert read(api, tank, -160_000)["excursions"] == [code]
    assert excursion_of(api, code)["ended_at"] is not None


def test_a_limit_of_a_class_judges_every_place_of_the_class_at_the_site(api: Api) -> None:
    warm, cold, unread = a_tank(api), a_tank(api, "Cold"), a_tank(api, "Unread")
    freezer = a_box(api, kind="freezer", name="Freezer", rows=None, cols=None, temperature_class="minus_80")
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=warm))
    read(api, warm, -140_000)
    read(api, cold, -180_000)
    read(api, freezer, -80_000)
    later(api, minutes=10)

    done = set_limits(api, site="LAB", temperature_class="ln2_vapour", **STRICT)

    assert [excursion_of(api, code)["container"] for code in done["excursions"]] == [warm] and unread not in done
    assert held(api, tube) == ["excursion"]


def test_a_limit_of_a_tank_judges_a_rack_in_it_by_the_racks_own_reading(api: Api) -> None:
    tank = a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=tank, rows=None, cols=None)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=rack))
    read(api, tank, -190_000)
    read(api, rack, -140_000)
    later(api, minutes=5)

    done = set_limits(api, container=tank, **STRICT)

    assert [excursion_of(api, code)["container"] for code in done["excursions"]] == [rack]
    assert held(api, tube) == ["excursion"]


def test_what_a_place_read_before_it_moved_is_judged_by_no_limit_of_where_it_stands_now(api: Api) -> None:
    freezer = a_box(api, kind="freezer", name="Freezer", rows=None, cols=None, temperature_class="minus_80")
    tank = a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=freezer, rows=None, cols=None)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=rack))
    read(api, rack, -80_000)
    later(api, minutes=5)
    move(api, rack, tank)
    later(api, minutes=5)

    assert set_limits(api, container=tank, **STRICT)["excursions"] == []
    assert held(api, tube) == []


def test_a_reading_that_comes_late_is_judged_by_the_limit_that_was_set_after_it(api: Api) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=10)
    then = clock.now()
    later(api, minutes=10)
    assert set_limits(api, container=tank, **STRICT)["excursions"] == [], "nobody had read anything"
    later(api, minutes=10)

    late = read(api, tank, -140_000, then)

    assert late["outside"] is None, "by the limits of its time it was within"
    (code,) = late["excursions"]
    assert excursion_of(api, code)["by_limit"] and datetime.fromisoformat(excursion_of(api, code)["began_at"]) > then
    assert held(api, tube) == ["excursion"]


def test_what_was_read_last_frees_nothing_when_it_turns_out_that_another_was_read_later_without_a_signature(api: Api) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    wrong = read(api, tank, -140_000)
    later(api, minutes=10)
    (code,) = set_limits(api, container=tank, **STRICT)["excursions"]
    later(api, minutes=10)
    path = f"/storage-containers/{tank}/readings/{wrong['id']}/withdraw"

    unsigned = api.lab_tech.post(path, json={"reason": "misread"})
    assert unsigned.status_code in (401, 403, 409), unsigned.text
    assert held(api, tube) == ["excursion"]

    signed = sign_and_post(api.quality, "decided", path, {"reason": "misread"})
    assert signed.status_code == 200, signed.text
    assert excursion_of(api, code)["annulled_at"] is not None
    assert held(api, tube) == []


def test_a_looser_limit_ends_no_excursion_that_a_limit_began(api: Api) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    read(api, tank, -140_000)
    later(api, minutes=5)
    (code,) = set_limits(api, container=tank, **STRICT)["excursions"]
    later(api, minutes=5)

    loosened = by_two(api.quality, api.quality2, "/place-limits", {"container": tank}, "decided")
    assert (loosened.status_code, loosened.json()["excursions"]) == (200, []), loosened.text

    assert excursion_of(api, code)["ended_at"] is None
    assert held(api, tube) == ["excursion"]


def test_who_read_what_a_limit_judges_does_not_assess_it(api: Api) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    read(api, tank, -140_000, client=api.quality)
    later(api, minutes=5)
    (code,) = set_limits(api, container=tank, **STRICT)["excursions"]
    later(api, minutes=5)
    assert read(api, tank, -170_000)["excursions"] == [code]

    answer = assess(api.quality, code)

    assert (answer.status_code, answer.json()["code"]) == (403, "not_independent"), answer.text


def test_a_budget_that_is_set_holds_what_was_out_for_longer_already_and_once(api: Api) -> None:
    tank = a_tank(api)
    box = a_box(api, parent=tank)
    long, short, out = frozen(api, 3)
    for tube in (long, short, out):
        put(api, tube, box)
    for tube, minutes in ((long, 20), (short, 2)):
        taken = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
        assert api.lab_tech.post(f"/specimens/{tube}/events", json=taken).status_code == 201
        later(api, minutes=minutes)
        put(api, tube, box)
    taken = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, out)}
    assert api.lab_tech.post(f"/specimens/{out}/events", json=taken).status_code == 201
    later(api, minutes=15)
    material = api.lab_tech.get(f"/specimens/{long}").json()["material"]
    body = {"site": "LAB", "material": material, "condition": "frozen", "source": "SOP-12"}

    done = sign_and_post(api.quality, "decided", "/material-limits", body | {"warm_amber_s": 300, "warm_red_s": 600})

    assert (done.status_code, done.json()["held"]) == (200, 2), done.text
    assert [held(api, tube) for tube in (long, short, out)] == [["specimen"], [], ["specimen"]]
    again = sign_and_post(api.quality, "decided", "/material-limits", body | {"warm_amber_s": 300, "warm_red_s": 500})
    assert again.json()["held"] == 0


def test_what_is_decided_counts_from_now_on_and_is_said_of_no_other_time(api: Api) -> None:
    tank = a_tank(api)
    past = {"occurred_at": "2001-01-01T00:00:00.000Z", "late_entry": True, "reason_text": "always so"}
    for path, body in (
        ("/place-limits", {"container": tank} | STRICT),
        ("/place-limits", {"site": "LAB", "temperature_class": "ln2_vapour"} | STRICT),
        ("/material-limits", {"site": "LAB", "material": "adsc", "condition": "fresh", "use_by_s": 60}),
        ("/split-storage", {"site": "LAB", "spread": False}),
    ):
        answer = sign_and_post(api.quality, "decided", path, body | past)
        assert (answer.status_code, answer.json()["code"]) == (409, "implausible_time"), answer.text
