"""The whole way of a person's fat through the laboratory, over HTTP: what the bench does, and what the record says after it."""

from tests import seed
from tests.conftest import Api
from tests.specimens.stories import (
    adsc,
    culture,
    donor,
    freeze,
    kinds,
    made,
    output,
    raw_fat,
    refused,
    run,
    thaw,
    using,
    vials,
)
from tests.unfinished.test_open_acts import open_now
from tests.withdrawals.stories import by_two, later, sign_and_post


def test_lipoaspirate_becomes_svf_becomes_adsc_p2_in_ten_banked_vials(api: Api) -> None:
    person = donor(api)
    raw = raw_fat(api, person)

    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))
    svf = made(run(api.lab_tech, "svf_isolation", [using(washed["specimens"][0])], [output("svf", 12_000_000)]))
    p0 = made(run(api.lab_tech, "expansion", [using(svf["specimens"][0])], [culture(9_000_000, 0)]))
    p1 = made(run(api.lab_tech, "passage", [using(p0["specimens"][0])], [culture(30_000_000, 1)]))
    p2 = made(run(api.lab_tech, "passage", [using(p1["specimens"][0])], [culture(99_000_000, 2)]))
    filled = vials(api, p2["specimens"][0], 10)
    banked = made(freeze(api.lab_tech, filled))

    assert [run_["balance"]["rule"] for run_ in (washed, svf, p0, p1, p2)] == ["shrinks", "yield", "fold", "fold", "fold"]
    assert svf["balance"]["ratio_milli"] == 300_000
    assert p1["balance"]["ratio_milli"] == 3333
    assert p2["specimens"][0] | {"code": "", "lot": "", "seq": 1} == {
        "code": "",
        "material": "adsc",
        "unit": "cells",
        "amount": 99_000_000,
        "passage": 2,
        "purpose": "therapeutic",
        "state": "in_process",
        "condition": "in_culture",
        "seq": 1,
        "lot": "",
        "harvest": raw["harvest"],
    }
    assert {(one["condition"], one["passage"], one["amount"]) for one in banked["specimens"]} == {("frozen", 2, 9_900_000)}
    vial = api.lab_tech.get(f"/specimens/{filled[2]['code']}").json()
    assert vial["custody"]["banked_at"] is not None
    assert vial["custody"]["freeze_count"] == 1
    assert vial["regulatory_basis"] == "undetermined"
    assert vial["home_site"] == "LAB"
    label = vial["label"] | {"code": "", "banked_on": ""}
    assert label == {
        "code": "",
        "material": "ADSC",
        "passage": 2,
        "amount": "9.9 M cells",
        "unit_number": 3,
        "unit_count": 10,
        "banked_on": "",
        "expires_on": None,
        "storage": "below -130 °C",
        "recipient": person,
        "markers_evaluated": False,
        "evaluation": {
            "screening": "not_done",
            "testing": "not_done",
            "risk_found": False,
            "positive_marker": False,
            "reactive_for": [],
        },
        "zone": "Europe/London",
    }
    assert kinds(api, "specimen", raw["code"]) == [
        "specimen.collected",
        "specimen.received",
        "specimen.process_started",
        "specimen.consumed",
    ]
    assert kinds(api, "lot", p2["lot"]) == ["lot.made"]


def test_every_output_names_the_entry_by_which_its_parent_was_used_up_and_the_consent_it_rests_on(api: Api) -> None:
    person = donor(api)
    grown = adsc(api, person)
    parent = api.lab_tech.get(f"/specimens/{grown['code']}").json()["parents"][0]

    derived = api.lab_tech.get(f"/specimens/{grown['code']}/custody").json()["items"][0]
    consumed = api.lab_tech.get(f"/specimens/{parent}/custody").json()["items"][-1]

    assert consumed["kind"] == "specimen.consumed"
    assert derived["body"]["parents"] == [parent]
    assert derived["body"]["parent_heads"] == [consumed["leaf_hash"]]
    consents = [e for e in _donor_entries(api, person) if e[0] == "donor.consent_given"]
    assert consents[0][1] in derived["relies_on"]
    assert consents[0][1] in consumed["relies_on"]


def test_lineage_shows_everything_a_culture_came_from_and_everything_that_came_from_it(api: Api) -> None:
    person = donor(api)
    p0 = adsc(api, person)
    filled = vials(api, p0, 3)

    graph = api.lab_tech.get(f"/specimens/{p0['code']}/lineage").json()

    generations = {node["code"]: node["generation"] for node in graph["nodes"]}
    assert sorted(generations.values()) == [-3, -2, -1, 0, 1, 1, 1]
    assert {code for code, generation in generations.items() if generation == 1} == {one["code"] for one in filled}
    assert [e["process"] for e in graph["edges"] if e["child"] == p0["code"]] == ["expansion"]
    assert len(graph["edges"]) == 6


def test_a_part_taken_for_tests_leaves_the_rest_and_never_becomes_therapeutic(api: Api) -> None:
    person = donor(api)
    p0 = adsc(api, person)

    sampled = made(
        run(
            api.lab_tech,
            "qc_sampling",
            [using(p0, amount=1_000_000, consumed=False)],
            [output("adsc", 500_000, passage=0, count=2, purpose="qc")],
        )
    )
    left = sampled["inputs"][0]
    again = run(api.lab_tech, "aliquoting", [using(sampled["specimens"][0])], [output("adsc", 500_000, passage=0)])

    assert (left["amount"], left["state"]) == (29_000_000, "in_process")
    assert (again.status_code, again.json()["code"]) == (409, "not_for_therapy")


def test_thawed_cells_stay_thawed_until_they_are_cultured_and_are_not_frozen_again_before(api: Api) -> None:
    person = donor(api)
    (vial,) = vials(api, adsc(api, person), 1)
    frozen = made(freeze(api.lab_tech, [vial]))["specimens"][0]
    assert refused(thaw(api.lab_tech, [frozen])) == (409, "ends_material")
    use = {"use": "further_processing", "expected_seq": frozen["seq"] + 1}
    announced = {"reason": use["use"], "expected_seq": frozen["seq"]}
    assert sign_and_post(api.quality, "decided", f"/specimens/{frozen['code']}/end", announced).status_code == 200
    later(api, days=8)
    assert by_two(api.lab_tech, api.quality, f"/specimens/{frozen['code']}/use-up", use).status_code == 200
    thawed = made(thaw(api.lab_tech, [frozen | {"seq": frozen["seq"] + 2}]))["specimens"][0]

    split = made(run(api.lab_tech, "aliquoting", [using(thawed)], [output("adsc", thawed["amount"], passage=0)]))["specimens"][0]
    # It is as old as what it was made of is used up: found and timed out like what was thawed.
    assert ("thaw", split["code"]) in open_now(api)
    assert api.lab_tech.get("/open-acts").status_code == 200
    refrozen = freeze(api.lab_tech, [split])
    grown = made(run(api.lab_tech, "passage", [using(split)], [culture(10**7, 1)]))["specimens"][0]
    (second,) = vials(api, grown, 1)
    banked = made(freeze(api.lab_tech, [second]))["specimens"][0]

    assert (thawed["condition"], split["condition"]) == ("thawed", "thawed")
    assert (refrozen.status_code, refrozen.json()["code"]) == (409, "illegal_transition")
    assert banked["condition"] == "frozen"
    assert api.lab_tech.get(f"/specimens/{banked['code']}").json()["custody"]["freeze_count"] == 2


def test_runs_are_listed_with_their_balance_and_found_by_the_specimen_that_went_in(api: Api) -> None:
    person = donor(api)
    raw = raw_fat(api, person)
    body = {"equipment": [seed.EQUIPMENT], "reagent_lots": []}
    wash = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")], **body))
    frozen = made(freeze(api.lab_tech, wash["specimens"]))

    by_specimen = api.lab_tech.get("/processings", params={"specimen": raw["code"]}).json()["items"]
    everything = api.lab_tech.get("/processings", params={"donor": person}).json()["items"]
    one = api.lab_tech.get(f"/processings/{frozen['processing']}").json()

    assert [r["processing"] for r in by_specimen] == [wash["processing"]]
    assert by_specimen[0]["balance"] == {
        "rule": "shrinks",
        "used": 50_000,
        "used_unit": "ul_raw",
        "made": 40_000,
        "made_unit": "ul_washed",
        "loss": 0,
        "ratio_milli": 800,
    }
    assert [r["process"] for r in everything] == ["freezing", "wash"]
    assert one["parameters"] == {
        "programme": "CRF-1 slow v2",
        "cryoprotectant": "DMSO 5 %",
        "cryoprotectant_contact_s": 540,
        "curve_sha256": "cd" * 32,
    }
    assert one["balance"] is None
    assert api.north_tech.get(f"/processings/{frozen['processing']}").status_code == 404


def _donor_entries(api: Api, person: str) -> list[tuple[str, str]]:
    from sqlalchemy import text

    statement = text("SELECT kind, encode(leaf_hash, 'hex') AS leaf FROM event WHERE stream_kind = 'donor' AND stream_id = :id")
    rows = api.test_bank.write(lambda s: s.execute(statement, {"id": person}).all())
    return [(row.kind, row.leaf) for row in rows]
