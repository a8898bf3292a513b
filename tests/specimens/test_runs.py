"""Runs over HTTP: what the bench is refused, what stays unchanged then, and what a run costs."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from biobank.acts.act import Act
from biobank.custody.legality import Snapshot
from biobank.foundation.errors import Refusal
from biobank.specimens.freezing import record_freezing
from biobank.specimens.making import record_making
from biobank.specimens.processing_schemas import FreezingRun, MakingRun
from tests.conftest import Api
from tests.donors.stories import consent, register
from tests.factories import make_donor, make_received
from tests.specimens.stories import (
    adsc,
    culture,
    donor,
    fat,
    freeze,
    harvest,
    kinds,
    made,
    output,
    raw_fat,
    received,
    refused,
    run,
    thaw,
    using,
    vials,
    washed_fat,
)
from tests.statements import count_statements


def test_two_donors_on_one_bench_are_stopped_before_anything_happens(api: Api) -> None:
    mary, other = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    hers, theirs = washed_fat(api, mary), washed_fat(api, other)

    answer = run(api.lab_tech, "svf_isolation", [using(hers), using(theirs)], [output("svf", 10**6)])

    assert refused(answer) == (409, "several_donors")
    assert answer.json()["specimens"] == [hers["code"], theirs["code"]]
    assert "Put every tube back" in answer.json()["where_now"]
    assert api.lab_tech.get(f"/specimens/{hers['code']}").json()["custody"]["seq"] == hers["seq"]
    attempts = api.quality.get("/attempts", params={"subject": hers["code"]}).json()["items"]
    assert [a["code"] for a in attempts] == ["several_donors"]


def attack(api: Api, statement: str, *parameters: object) -> str | None:
    """Run one statement as the application's login; return the name of the rule that refused it."""
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        try:
            connection.execute(statement, parameters)
            connection.commit()
        except psycopg.errors.IntegrityError as refused_by:
            return refused_by.diag.constraint_name
    raise AssertionError(f"the database took: {statement}")


@pytest.fixture
def two_peoples_tubes(api: Api) -> tuple[dict[str, Any], dict[str, Any], str, str]:
    mary, other = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    return washed_fat(api, mary), washed_fat(api, other), mary, other


@pytest.mark.parametrize(
    "child_donor, parent_donor, rule",
    [
        ("own", "own", "derived_from_the_same_donor"),
        ("own", "childs", "parent_is_of_its_donor"),
        ("parents", "own", "child_is_of_its_donor"),
    ],
)
def test_the_database_refuses_a_parent_of_another_donor_however_the_row_lies(
    api: Api, two_peoples_tubes: Any, child_donor: str, parent_donor: str, rule: str
) -> None:
    child, parent, mary, other = two_peoples_tubes
    said_child = mary if child_donor == "own" else other
    said_parent = other if parent_donor == "own" else mary

    refused_by = attack(
        api,
        "INSERT INTO specimen_parent (child_code, parent_code, child_donor, parent_donor) VALUES (%s,%s,%s,%s)",
        child["code"],
        parent["code"],
        said_child,
        said_parent,
    )

    assert refused_by == rule


def test_the_database_refuses_a_specimen_of_another_donors_lot_or_harvest(api: Api, two_peoples_tubes: Any) -> None:
    mine, theirs, _mary, _other = two_peoples_tubes

    by_lot = attack(api, "UPDATE specimen SET lot_code = %s WHERE code = %s", theirs["lot"], mine["code"])
    by_harvest = attack(api, "UPDATE specimen SET harvest_code = %s WHERE code = %s", theirs["harvest"], mine["code"])

    assert (by_lot, by_harvest) == ("specimen_is_of_its_lots_donor", "specimen_is_of_its_harvests_donor")


def test_the_database_refuses_another_donors_tube_as_input_of_a_run(api: Api, two_peoples_tubes: Any) -> None:
    _mine, theirs, mary, other = two_peoples_tubes
    (hers,) = api.lab_tech.get("/processings", params={"donor": mary}).json()["items"]
    insert = "INSERT INTO processing_input (processing_id, specimen_code, donor_code, consumed) VALUES (%s,%s,%s,false)"

    as_hers = attack(api, insert, hers["processing"], theirs["code"], mary)
    as_theirs = attack(api, insert, hers["processing"], theirs["code"], other)

    assert (as_hers, as_theirs) == ("input_is_of_the_specimens_donor", "input_is_of_its_runs_donor")


@pytest.mark.parametrize("table", ["processing", "processing_input", "lot_test", "viability_assay", "kit", "kit_label"])
def test_what_was_recorded_of_runs_assays_and_kits_cannot_be_deleted(api: Api, table: str) -> None:
    vial = raw_fat(api, donor(api))
    made(run(api.lab_tech, "wash", [using(vial)], [output("lipoaspirate", 40_000, "ul_washed")]))

    with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(f"TRUNCATE {table} CASCADE")


def test_inputs_say_which_history_they_saw(api: Api) -> None:
    lipo = raw_fat(api, donor(api))
    out = [output("lipoaspirate", 40_000, "ul_washed")]

    without = run(api.lab_tech, "wash", [{"specimen": lipo["code"]}], out)
    old = run(api.lab_tech, "wash", [using(lipo, expected_seq=1)], out)

    assert (refused(without), without.json()["head"]) == ((428, "expected_seq_required"), 2)
    assert (refused(old), old.json()["head"]) == ((409, "stale_sequence"), 2)


def test_the_second_of_two_technicians_with_one_tube_is_told_what_became_of_it(api: Api) -> None:
    lipo = raw_fat(api, donor(api))
    body = ([using(lipo)], [output("lipoaspirate", 40_000, "ul_washed")])
    made(run(api.lab_tech, "wash", *body))

    second = run(api.lab_tech2, "wash", *body)

    assert refused(second) == (409, "stale_sequence")
    assert second.json()["state"] == "consumed"


def test_a_run_happens_where_its_specimens_are(api: Api) -> None:
    person = donor(api)
    (collected,) = made(harvest(api.clinician, person))["specimens"]
    out = [output("lipoaspirate", 40_000, "ul_washed")]

    too_early = run(api.lab_tech, "wash", [using(collected)], out)
    elsewhere = run(api.north_tech, "wash", [using(collected)], out, site="NORTH")

    assert refused(too_early) == (409, "specimen_elsewhere")
    assert too_early.json()["site"] == "CLINIC"
    assert refused(elsewhere) == (404, "not_found")
    assert refused(run(api.lab_tech, "wash", [using(collected)], out, site="NORTH")) == (403, "not_permitted")
    assert refused(run(api.clinician, "wash", [using(collected)], out, site="CLINIC")) == (403, "not_permitted")


def test_a_hold_stops_processing_of_the_specimen_and_of_everything_made_of_it(api: Api) -> None:
    lipo = raw_fat(api, donor(api))
    wash = made(run(api.lab_tech, "wash", [using(lipo)], [output("lipoaspirate", 40_000, "ul_washed")]))
    held = api.lab_tech.post(
        "/holds", json={"kind": "quality", "scope_kind": "specimen", "scope_id": lipo["code"], "reason": "looks_cloudy"}
    )
    assert held.status_code == 201, held.text

    answer = run(api.lab_tech, "svf_isolation", [using(wash["specimens"][0])], [output("svf", 10**6)])

    assert refused(answer) == (409, "on_hold")
    made(freeze(api.lab_tech, wash["specimens"]))


def test_thawing_waits_for_the_hold_and_for_the_reservation(api: Api) -> None:
    (vial,) = vials(api, adsc(api, donor(api)), 1)
    (frozen,) = made(freeze(api.lab_tech, [vial]))["specimens"]
    held = api.lab_tech.post(
        "/holds", json={"kind": "identity", "scope_kind": "specimen", "scope_id": frozen["code"], "reason": "label_lost"}
    )
    assert held.status_code == 201, held.text
    seq = api.lab_tech.get(f"/specimens/{frozen['code']}").json()["custody"]["seq"]

    assert refused(thaw(api.lab_tech, [frozen | {"seq": seq}])) == (409, "on_hold")


def test_a_revoked_consent_stops_processing_and_freezing(api: Api) -> None:
    person = register(api.clinician)
    given = made(consent(api.clinician, person))
    lipo = raw_fat(api, person)
    api.clinician.post(f"/donors/{person}/consents/{given['consent']}/revoke", json={})
    seq = api.lab_tech.get(f"/specimens/{lipo['code']}").json()["custody"]["seq"]
    lipo |= {"seq": seq}

    assert refused(run(api.lab_tech, "wash", [using(lipo)], [output("lipoaspirate", 40_000, "ul_washed")])) == (
        409,
        "consent_revoked",
    )
    assert refused(freeze(api.lab_tech, [lipo])) == (409, "consent_revoked")


def test_frozen_material_is_thawed_first_and_what_has_no_frozen_form_is_not_frozen(api: Api) -> None:
    person = donor(api)
    (vial,) = vials(api, adsc(api, person), 1)
    (frozen,) = made(freeze(api.lab_tech, [vial]))["specimens"]
    clot = {"material": "prf", "unit": "ul", "amount": 3000}
    fibrin = received(api.lab_tech, made(harvest(api.clinician, person, clot, fat()))["specimens"][0])

    assert refused(run(api.lab_tech, "passage", [using(frozen)], [culture(10**7, 1)])) == (409, "thaw_first")
    assert refused(freeze(api.lab_tech, [frozen])) == (409, "illegal_transition")
    assert refused(freeze(api.lab_tech, [fibrin])) == (409, "not_freezable")


def test_an_unidentified_item_goes_into_no_run(api: Api) -> None:
    found = made(api.lab_tech.post("/specimens/unidentified", json={"site": "LAB", "condition": "fresh"}))
    item = {"code": found["specimen"], "seq": found["seq"]}

    assert refused(run(api.lab_tech, "aliquoting", [using(item)], [output("svf", 1)])) == (409, "material_not_taken")
    assert refused(freeze(api.lab_tech, [item])) == (409, "material_not_taken")


@pytest.mark.parametrize(
    "changes",
    [
        {"process": "magic"},
        {"outputs": []},
        {"inputs": []},
        {"loss": -1},
        {"procedure_version": "v1 of Mary\n"},
        {"equipment": ["EQ-0000000"]},
        {"surprise": 1},
    ],
)
def test_a_run_of_another_shape_is_malformed(api: Api, changes: dict[str, Any]) -> None:
    body = {
        "process": "wash",
        "procedure_version": "1",
        "site": "LAB",
        "inputs": [{"specimen": "AD26-KH0KJQL", "expected_seq": 1}],
        "outputs": [output("lipoaspirate", 1, "ul_washed")],
    }

    assert refused(api.lab_tech.post("/processings", json=body | changes)) == (422, "malformed_request")


def test_a_run_that_names_a_tube_twice_or_two_materials_is_malformed(api: Api) -> None:
    one = {"code": "AD26-KH0KJQL", "seq": 1}

    assert refused(run(api.lab_tech, "aliquoting", [using(one), using(one)], [output("svf", 1)])) == (422, "malformed_request")
    assert refused(run(api.lab_tech, "aliquoting", [using(one)], [output("svf", 1), output("adsc", 1)])) == (
        422,
        "malformed_request",
    )
    assert refused(freeze(api.lab_tech, [one, one])) == (422, "malformed_request")
    too_many = run(api.lab_tech, "aliquoting", [using(one)], [output("svf", 1, count=500), output("svf", 1)])
    assert refused(too_many) == (422, "malformed_request")


def test_a_refused_run_leaves_no_lot_no_tube_and_no_event(api: Api) -> None:
    lipo = raw_fat(api, donor(api))

    answer = run(api.lab_tech, "wash", [using(lipo)], [output("lipoaspirate", 60_000, "ul_washed")])

    assert refused(answer) == (409, "out_of_balance")
    assert api.lab_tech.get("/lots").json()["items"] == []
    assert len(api.lab_tech.get("/specimens").json()["items"]) == 1
    assert kinds(api, "specimen", lipo["code"]) == ["specimen.collected", "specimen.received"]


def banked_in_bulk(api: Api, count: int) -> tuple[Act, str, Snapshot]:
    """A consented donor's ADSC in suspension, received at the laboratory."""
    act = api.test_bank.act("lab_tech")
    person = donor(api)
    specimen = api.test_bank.write(
        lambda s: make_received(s, act, donor=person, material="adsc", unit="cells", passage=2, amount=count * 10)
    )
    return act, person, specimen


@pytest.mark.parametrize("comment", [None, "cells look round"])
def test_a_run_of_fifty_vials_costs_no_more_statements_than_one_of_two(api: Api, comment: str | None) -> None:
    costs = {}
    for count in (2, 50):
        act, _person, specimen = banked_in_bulk(api, count)
        making = MakingRun.model_validate(
            {
                "process": "aliquoting",
                "procedure_version": "1",
                "site": "LAB",
                "comment": comment,
                "inputs": [{"specimen": specimen.code, "expected_seq": specimen.seq}],
                "outputs": [{"material": "adsc", "unit": "cells", "amount": 10, "passage": 2, "count": count}],
            }
        )
        filling, answer = counted(api, lambda s, a=act, m=making: record_making(s, a, m))
        run_ = FreezingRun.model_validate(
            {
                "process": "freezing",
                "procedure_version": "1",
                "site": "LAB",
                "programme": "CRF-1 slow v2",
                "cryoprotectant": "DMSO 5 %",
                "cryoprotectant_contact_s": 60,
                "comment": comment,
                "specimens": [{"specimen": one.code, "expected_seq": one.seq} for one in answer.specimens],
            }
        )
        freezing, _ = counted(api, lambda s, a=act, r=run_: record_freezing(s, a, r))
        costs[count] = (filling, freezing)

    assert costs[50] == costs[2]
    assert costs[50][0] <= 30
    assert costs[50][1] <= 15


def counted(api: Api, work: Any) -> tuple[int, Any]:
    seen: list[str] = []
    stop = count_statements(api.test_bank.bank.database.sync_engine, seen)
    answer = api.test_bank.write(work)
    stop()
    return len(seen), answer


def test_the_database_is_the_last_net_under_the_service(api: Api) -> None:
    """Another donor's parent is refused by the use case; the same act with its check taken out is refused by the database."""
    act = api.test_bank.act("lab_tech")
    mine = api.test_bank.write(lambda s: make_received(s, act))
    theirs = api.test_bank.write(lambda s: make_received(s, act, donor=make_donor(s)))
    making = MakingRun.model_validate(
        {
            "process": "wash",
            "procedure_version": "1",
            "site": "LAB",
            "inputs": [{"specimen": one.code, "expected_seq": one.seq} for one in (mine, theirs)],
            "outputs": [{"material": "lipoaspirate", "unit": "ul_washed", "amount": 1}],
        }
    )

    with pytest.raises(Refusal) as stopped:
        api.test_bank.write(lambda s: record_making(s, act, making))
    with pytest.raises(Exception, match="derived_from_the_same_donor"):
        api.test_bank.write(
            lambda s: s.execute(
                text("INSERT INTO specimen_parent VALUES (:child, :parent, :d1, :d2)"),
                {"child": mine.code, "parent": theirs.code, "d1": mine.donor_code, "d2": theirs.donor_code},
            )
        )

    assert stopped.value.code == "several_donors"
