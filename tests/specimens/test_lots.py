"""Lots and their tests, and viability as measured, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.specimens.stories import (
    Json,
    adsc,
    culture,
    donor,
    follicles,
    freeze,
    harvest,
    kinds,
    made,
    raw_fat,
    refused,
    run,
    svf,
    using,
    vials,
)

REPORT = {"report_sha256": seed.A_REPORT}


def report(api: Api, lot: str, user: str = "lab_tech", **changes: Any) -> Any:
    body = {"test": "sterility", "sampled_at": rfc3339(clock.now()), "result": "pending"} | seed.TESTED | changes
    if body["result"] == "pending":
        body.setdefault("due_at", rfc3339(clock.now() + timedelta(days=14)))
    return getattr(api, user).post(f"/lots/{lot}/tests", json=body)


def test_a_failed_test_holds_the_lot_and_everything_made_of_it(api: Api) -> None:
    grown = adsc(api, donor(api))

    answer = made(report(api, grown["lot"], result="failed", **REPORT))

    assert kinds(api, "lot", grown["lot"]) == ["lot.made", "lot.tested", "lot.hold_placed"]
    assert [one["kind"] for one in answer["events"]] == [
        "lot.tested",
        "lot.hold_placed",
        "system.deviation_opened",
        "specimen.rejected_by_test",
        "system.notices_given",
    ]
    (hold,) = api.lab_tech.get(f"/specimens/{grown['code']}").json()["holds"]
    assert (hold["id"], hold["kind"], hold["scope_id"]) == (answer["hold"], "quality", grown["lot"])
    now = grown | {"seq": grown["seq"] + 1}  # its rejection
    assert refused(run(api.lab_tech, "passage", [using(now)], [culture(10**7, 1)])) == (409, "on_hold")


def test_a_result_completes_its_pending_test_once(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]
    pending = made(report(api, lot, due_at=rfc3339(clock.now() + timedelta(days=300))))["test"]

    done = made(report(api, lot, result="passed", completes=pending["id"], **REPORT))

    again = report(api, lot, result="failed", completes=pending["id"], **REPORT)
    another_kind = report(api, lot, test="mycoplasma", result="passed", completes=pending["id"], **REPORT)
    assert refused(again) == refused(another_kind) == (409, "test_not_pending")
    shown = api.lab_tech.get(f"/lots/{lot}").json()
    assert [(t["id"], t["result"]) for t in shown["tests"]] == [(done["test"]["id"], "passed")]
    assert shown["tests"][0]["hold"] is None


def test_a_result_rests_on_a_report_and_a_sample_is_not_taken_tomorrow(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]

    assert refused(report(api, lot, result="passed")) == (409, "report_missing")
    assert refused(report(api, lot, **REPORT)) == (409, "report_missing")
    assert refused(report(api, lot, sampled_at="2199-01-01T00:00:00Z")) == (409, "implausible_time")
    assert refused(report(api, lot, sampled_at="2200-01-02T00:00:00Z")) == (422, "malformed_request")
    assert refused(report(api, lot, test="taste")) == (422, "malformed_request")
    assert refused(report(api, "LT-0000000")) == (404, "not_found")
    assert refused(report(api, lot, user="north_tech")) == (404, "not_found")
    assert refused(report(api, lot, user="clinician")) == (403, "not_permitted")


def test_lots_are_listed_with_their_size_and_shown_with_their_vials(api: Api) -> None:
    person = donor(api)
    filled = vials(api, adsc(api, person), 4)

    everything = api.lab_tech.get("/lots", params={"donor": person}).json()["items"]
    shown = api.lab_tech.get(f"/lots/{filled[0]['lot']}").json()
    filtered = api.lab_tech.get("/lots", params={"process": "expansion", "material": "adsc"}).json()["items"]
    first = api.lab_tech.get("/lots", params={"limit": 3}).json()
    rest = api.lab_tech.get("/lots", params={"limit": 3, "after": first["next"]}).json()

    assert [(lot["process"], lot["specimens"]) for lot in everything] == [
        ("aliquoting", 4),
        ("expansion", 1),
        ("svf_isolation", 1),
        ("wash", 1),
    ]
    assert shown["codes"] == [one["code"] for one in filled]
    assert shown["specimens"] == 4
    assert len(filtered) == 1
    assert [lot["lot"] for lot in first["items"] + rest["items"]] == [lot["lot"] for lot in everything]
    assert rest["next"] is None
    assert api.north_tech.get("/lots").json()["items"] == []
    assert refused(api.north_tech.get(f"/lots/{filled[0]['lot']}")) == (404, "not_found")
    assert api.clinician.get(f"/lots/{filled[0]['lot']}").status_code == 200


def count(api: Api, specimen: Json, user: str = "lab_tech", **changes: Any) -> Any:
    body = {"expected_seq": specimen["seq"], "method": "trypan_blue", "live": 170, "dead": 30, "dilution_milli": 2000}
    return getattr(api, user).post(f"/specimens/{specimen['code']}/viability-assays", json=body | changes)


def test_a_count_is_shown_with_its_percentage_and_the_interval_it_supports(api: Api) -> None:
    cells = svf(api, donor(api))

    first = made(count(api, cells, volume_nl=400, instrument=seed.EQUIPMENT, minutes_after_thaw=7))
    made(count(api, cells | {"seq": first["seq"]}, method="ao_pi", live=140, dead=60))

    measured = api.lab_tech.get(f"/specimens/{cells['code']}/viability").json()["measured"]
    assert [(m["method"], m["viability_bp"], m["wilson_95_lower_bp"], m["wilson_95_upper_bp"]) for m in measured] == [
        ("trypan_blue", 8500, 7939, 8929),
        ("ao_pi", 7000, 6332, 7593),
    ]
    assert measured[0]["live_per_ml"] == 850_000
    assert measured[1]["live_per_ml"] is None
    assert (measured[0]["estimand"], measured[0]["minutes_after_thaw"]) == ("cell_membrane_integrity", 7)
    assert first["measured"].items() <= measured[0].items()
    event = api.lab_tech.get(f"/specimens/{cells['code']}/custody").json()["items"][-2]
    assert (event["body"]["live"], event["body"]["dead"]) == (170, 30)
    assert "viability_bp" not in event["body"]


def test_a_dilution_that_nobody_said_is_no_dilution(api: Api) -> None:
    cells = svf(api, donor(api))

    silent = made(count(api, cells, dilution_milli=None))
    volume = count(api, cells | {"seq": silent["seq"]}, dilution_milli=None, volume_nl=400)

    assert refused(volume) == (422, "malformed_request")
    assert "how far it was diluted" in volume.text
    assert (silent["measured"]["dilution_milli"], silent["measured"]["live_per_ml"]) == (None, None)
    event = api.lab_tech.get(f"/specimens/{cells['code']}/custody").json()["items"][-1]
    assert event["body"].get("dilution_milli") is None


def test_follicles_are_judged_by_outgrowth_and_cells_are_not(api: Api) -> None:
    person = donor(api)
    (hair,) = made(harvest(api.clinician, person, follicles(), method="follicular_unit_excision"))["specimens"]
    cells = svf(api, person)
    grown: dict[str, Any] = {"method": "outgrowth", "live": 9, "dead": 3}

    dyed = count(api, hair, live=20, dead=4)
    outgrown = made(count(api, hair, **grown))

    assert refused(dyed) == (409, "assay_not_for_material")
    assert outgrown["measured"]["estimand"] == "follicle_outgrowth"
    assert refused(count(api, cells, **grown)) == (409, "assay_not_for_material")


def test_a_count_of_nothing_or_of_an_unseen_history_is_refused(api: Api) -> None:
    cells = svf(api, donor(api))

    assert refused(count(api, cells, live=0, dead=0)) == (409, "nothing_counted")
    assert refused(count(api, cells, expected_seq=None)) == (428, "expected_seq_required")
    assert refused(count(api, cells, expected_seq=7)) == (409, "stale_sequence")
    assert refused(count(api, cells, live=-1)) == (422, "malformed_request")
    assert refused(count(api, cells, dilution_milli=0)) == (422, "malformed_request")
    assert refused(count(api, cells, user="north_tech")) == (404, "not_found")
    assert refused(count(api, cells, user="clinician")) == (403, "not_permitted")
    assert api.lab_tech.get(f"/specimens/{cells['code']}/viability").json()["measured"] == []


@pytest.mark.parametrize("state", ["consumed", "frozen"])
def test_a_count_read_later_is_still_recorded(api: Api, state: str) -> None:
    person = donor(api)
    cells = svf(api, person)
    if state == "consumed":
        cells = made(run(api.lab_tech, "expansion", [using(cells)], [culture(10**7, 0)]))["inputs"][0]
    else:
        (cells,) = made(freeze(api.lab_tech, [cells]))["specimens"]

    assert made(count(api, cells))["measured"]["viability_bp"] == 8500


def test_raw_fat_is_measured_by_its_cells(api: Api) -> None:
    assert made(count(api, raw_fat(api, donor(api)), method="7aad"))["measured"]["method"] == "7aad"
