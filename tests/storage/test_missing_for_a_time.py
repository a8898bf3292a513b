"""Nobody knows whether a tube that was missing was in the cold: the sum says so, and quality decides, however it comes back."""

from collections.abc import Callable

import pytest

from biobank.custody.rebuild import projection_of
from tests.conftest import Api
from tests.quality.test_identifying import found_without_a_name, known_again, missing_vial
from tests.quality.test_missing import missing, recorded, today
from tests.specimens.stories import adsc, donor, freeze
from tests.storage.test_every_way_of_placing import seq_of
from tests.storage.test_exposure import COLD, VALIDATED, a_stored_tube, at_place, check_out, exposure, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import holds_of, later, sign_and_post

HELD = [("identity", "found"), ("temperature", "missing_for_a_time")]


def held(api: Api, tube: str) -> list[tuple[str, str]]:
    return sorted((one["kind"], one["reason"]) for one in holds_of(api, tube))


def found(api: Api, tube: str) -> None:
    recorded(api, tube, "specimen.found", site="LAB")


def found_in_its_place(api: Api, tube: str) -> None:
    recorded(api, tube, "specimen.found", site="LAB", place=a_box(api, **COLD))


def found_by_a_batch(api: Api, tube: str) -> None:
    one = {"specimen": tube, "kind": "specimen.found", "site": "LAB", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post("/custody-events", json={"events": [one]}).status_code == 201


def stored_in_quarantine(api: Api, tube: str) -> None:
    assert put(api, tube, a_box(api, **COLD, purpose="quarantine")).status_code == 201


def evacuated(api: Api, tube: str) -> None:
    tank = a_box(api, kind="tank", name="Safe", rows=None, cols=None, purpose="evacuation", **COLD)
    at_place(api, tank, "evacuate", scanned=[tube])


def given_up_and_found(api: Api, tube: str) -> None:
    body = {"reason": "searched", "expected_seq": seq_of(api, tube)}
    first = sign_and_post(api.quality, "decided", f"/specimens/{tube}/lost", body)
    again = body | {"pending_act": first.json()["pending_act"]}
    second = sign_and_post(api.quality2, "decided", f"/specimens/{tube}/lost", again)
    assert second.status_code == 200, second.text
    found(api, tube)


WAYS: list[Callable[[Api, str], None]] = [
    found,
    found_in_its_place,
    found_by_a_batch,
    stored_in_quarantine,
    evacuated,
    given_up_and_found,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_sum_is_the_least_and_quality_decides_however_it_comes_back(api: Api, way: Callable[[Api, str], None]) -> None:
    tube, _box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=10)
    missing(api, tube)
    later(api, hours=3)

    way(api, tube)

    told = exposure(api, tube)
    assert told["at_least"] and told["total_s"] >= 600
    assert held(api, tube) == HELD
    rebuilt = api.test_bank.write(lambda s: projection_of(s, tube))
    assert rebuilt is not None and rebuilt.projection.exposure_unknown


def test_while_it_is_missing_the_record_says_that_nobody_knows(api: Api) -> None:
    tube, _box = a_stored_tube(api)
    before = exposure(api, tube)

    missing(api, tube)

    assert not before["at_least"]
    assert exposure(api, tube)["at_least"] and held(api, tube) == []


def test_it_stays_said_after_quality_decided_and_a_budget_is_not_known_to_be_kept(api: Api) -> None:
    tube, box = a_stored_tube(api)
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 600, "warm_red_s": 1200} | VALIDATED
    assert sign_and_post(api.quality, "decided", "/material-limits", limits).status_code == 200
    missing(api, tube)
    later(api, minutes=5)
    found(api, tube)
    assert put(api, tube, box).status_code == 201
    for one in holds_of(api, tube):
        lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{one['id']}/lift", {"reason": "assessed"})
        assert lifted.status_code == 200, lifted.text

    told = exposure(api, tube)

    assert (told["at_least"], told["budget"]) == (True, "not_known")
    assert held(api, tube) == [], "nothing holds it anew"


def test_what_was_missing_alive_and_frozen_since_has_a_sum_of_its_own(api: Api) -> None:
    tube = adsc(api, donor(api))["code"]
    missing(api, tube)
    found(api, tube)

    assert held(api, tube) == [("identity", "found")], "what is fresh has its clock of use"
    assert exposure(api, tube)["at_least"]
    cold = freeze(api.lab_tech, [{"code": tube, "seq": seq_of(api, tube)}])
    assert cold.status_code == 201, cold.text
    assert not exposure(api, tube)["at_least"]


def test_an_item_without_a_name_and_the_vial_that_it_is_say_that_nobody_knows(api: Api) -> None:
    item, vial = found_without_a_name(api), missing_vial(api)

    assert exposure(api, item)["at_least"]
    assert known_again(api, item, vial)["exposure"]["at_least"]
    assert held(api, vial) == HELD


def test_today_asks_quality_for_it(api: Api) -> None:
    tube, _box = a_stored_tube(api)
    missing(api, tube)
    found(api, tube)

    assert today(api, "quality", tube).count("Decide about time out of the cold") == 1
