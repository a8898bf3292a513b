"""How long in the cryoprotectant, how long into the tank, up to which passage: a site's limits, and what follows beyond them."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Api
from tests.specimens.stories import adsc, culture, donor, freeze, made, output, refused, run, using, vials
from tests.storage.test_exposure import COLD, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post

FROZEN = {"site": "LAB", "material": "adsc", "condition": "frozen"}
GROWN = {"site": "LAB", "material": "adsc", "condition": "in_culture", "highest_passage": 1}


def limited(api: Api, limits: dict[str, Any]) -> None:
    answer = sign_and_post(api.quality, "decided", "/material-limits", limits)
    assert answer.status_code == 200, answer.text


def reasons(api: Api, code: str) -> list[str]:
    """Why a specimen is held."""
    return [one["reason"] for one in api.quality.get("/holds", params={"scope": code}).json()["items"]]


def vial_of(api: Api) -> dict[str, Any]:
    """A vial of cells that waits to be frozen."""
    return vials(api, adsc(api, donor(api)), 2)[0]


def frozen(api: Api, vial: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The run that froze it, with another contact time."""
    body = {
        "process": "freezing",
        "procedure_version": "SOP-020 v1",
        "site": "LAB",
        "specimens": [{"specimen": vial["code"], "expected_seq": vial["seq"]}],
        "programme": "CRF-1 slow v2",
        "cryoprotectant": "DMSO 5 %",
        "cryoprotectant_contact_s": 22 * 3600,
    }
    return made(api.lab_tech.post("/processings", json=body | more))


def test_long_contact_with_the_cryoprotectant_is_frozen_and_held(api: Api) -> None:
    limited(api, FROZEN | {"contact_s": 900, "source": "VAL-2026-020, contact study"})
    vial = vial_of(api)

    done = frozen(api, vial)["specimens"][0]

    assert done["condition"] == "frozen", "living cells are kept first"
    assert reasons(api, vial["code"]) == ["cryoprotectant_contact_too_long"]


def test_whoever_froze_it_does_not_lift_what_holds_it_for_long_contact(api: Api) -> None:
    limited(api, FROZEN | {"contact_s": 900, "source": "VAL-2026-020, contact study"})
    vial = vial_of(api)
    body: dict[str, Any] = {"process": "freezing", "procedure_version": "SOP-020 v1", "site": "LAB", "programme": "CRF-1 slow v2"}
    body |= {"specimens": [{"specimen": vial["code"], "expected_seq": vial["seq"]}]}
    made(api.acts_here.post("/processings", json=body | {"cryoprotectant": "DMSO 5 %", "cryoprotectant_contact_s": 22 * 3600}))
    (held,) = api.quality.get("/holds", params={"scope": vial["code"]}).json()["items"]
    lift = f"/holds/{held['id']}/lift"

    alone = sign_and_post(api.acts_here, "hold_lifted", lift, {"reason": "explained"})
    assert (alone.status_code, alone.json()["code"]) == (403, "not_independent")
    assert sign_and_post(api.quality, "hold_lifted", lift, {"reason": "explained"}).status_code == 200


def test_a_contact_time_within_the_limit_holds_nothing_and_a_bank_begins_with_an_hour(api: Api) -> None:
    one, other, third, fourth = (vial_of(api) for _ in range(4))
    frozen(api, one)
    frozen(api, other, cryoprotectant_contact_s=3600)
    longer = sign_and_post(api.quality, "decided", "/material-limits", FROZEN | {"contact_s": 3601})
    assert (longer.status_code, longer.json()["code"]) == (409, "longer_without_source")
    limited(api, FROZEN | {"contact_s": 7200, "source": "VAL-2026-020, contact study"})
    frozen(api, third, cryoprotectant_contact_s=7200)
    limited(api, FROZEN | {"contact_s": 900})
    frozen(api, fourth, cryoprotectant_contact_s=900)

    assert reasons(api, one["code"]) == ["cryoprotectant_contact_too_long"], "22 hours, and nobody had set anything"
    assert [reasons(api, vial["code"]) for vial in (other, third, fourth)] == [[], [], []]


def test_a_contact_time_that_is_corrected_past_the_limit_holds_as_well(api: Api) -> None:
    limited(api, FROZEN | {"contact_s": 900})
    vial = vial_of(api)
    done = frozen(api, vial, cryoprotectant_contact_s=600)["specimens"][0]
    history = api.lab_tech.get(f"/specimens/{vial['code']}/custody").json()["items"]
    leaf = next(one["leaf_hash"] for one in history if one["kind"] == "specimen.frozen")
    said = {"corrects": leaf, "field": "cryoprotectant_contact_s", "value": 79_200, "reason": "typed_wrong"}

    answer = api.lab_tech.post(f"/specimens/{vial['code']}/amend", json=said | {"expected_seq": done["seq"]})

    assert answer.status_code in (200, 201), answer.text
    assert reasons(api, vial["code"]) == ["cryoprotectant_contact_too_long"]


@pytest.mark.parametrize(("minutes", "found"), [(4, []), (40, ["too_long_to_the_tank"])])
def test_what_comes_late_into_the_tank_after_freezing_is_stored_and_held(api: Api, minutes: int, found: list[str]) -> None:
    limited(api, FROZEN | {"to_tank_s": 600})
    vial, box = vial_of(api), a_box(api, **COLD)
    frozen(api, vial, cryoprotectant_contact_s=540)
    later(api, minutes=minutes)

    assert put(api, vial["code"], box).status_code == 201
    assert reasons(api, vial["code"]) == found


def test_only_the_first_way_into_the_tank_counts(api: Api) -> None:
    limited(api, FROZEN | {"to_tank_s": 600})
    vial, box = vial_of(api), a_box(api, **COLD)
    frozen(api, vial, cryoprotectant_contact_s=540)
    put(api, vial["code"], box)
    seq = api.lab_tech.get(f"/specimens/{vial['code']}").json()["custody"]["seq"]
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq}
    taken = api.lab_tech.post(f"/specimens/{vial['code']}/events", json=out)
    assert taken.status_code == 201, taken.text
    later(api, minutes=40)

    assert put(api, vial["code"], box).status_code == 201
    assert reasons(api, vial["code"]) == []


def test_a_culture_is_grown_for_treatment_up_to_the_last_passage(api: Api) -> None:
    limited(api, GROWN)
    grown = adsc(api, donor(api), passage=1)

    beyond = run(api.lab_tech, "passage", [using(grown)], [culture(40_000_000, 2)])

    assert refused(beyond) == (409, "passage_beyond_limit")
    assert "Freeze it as it is" in beyond.json()["detail"]
    filled = run(api.lab_tech, "aliquoting", [using(grown)], [output("adsc", grown["amount"], passage=1)])
    made(freeze(api.lab_tech, made(filled)["specimens"]))


def test_limits_of_work_belong_to_what_has_them(api: Api) -> None:
    for wrong in (
        FROZEN | {"condition": "fresh", "contact_s": 900},
        FROZEN | {"condition": "in_culture", "to_tank_s": 900},
        FROZEN | {"highest_passage": 3},
        GROWN | {"material": "svf"},
    ):
        assert sign_and_post(api.quality, "decided", "/material-limits", wrong).status_code == 422
    limited(api, FROZEN | {"contact_s": 900, "to_tank_s": 600})
    limited(api, GROWN)
    own = [one for one in api.lab_tech.get("/material-limits").json()["items"] if one["site"] == "LAB"]
    assert [(one["contact_s"], one["to_tank_s"], one["highest_passage"]) for one in own] == [(900, 600, None), (None, None, 1)]
    with (
        psycopg.connect(api.test_bank.dsn("owner")) as connection,
        pytest.raises(psycopg.IntegrityError, match="limits_of_work_are_counted"),
    ):
        connection.execute("UPDATE material_limit SET contact_s = 0")
