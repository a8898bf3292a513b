"""Lists and details: who sees what, page by page, and as of earlier times."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.paging import Paging
from biobank.specimens.models import Specimen
from biobank.specimens.queries import describe_specimen, list_specimens
from tests.conftest import Api
from tests.factories import make_box, make_donor, make_specimen
from tests.specimens.stories import Json, adsc, donor, freeze, in_a_while, made, raw_fat, refused, vials, washed_fat
from tests.statements import count_statements


def codes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["code"] for one in answer.json()["items"]]


def test_everybody_sees_the_specimens_of_their_own_places_only(api: Api) -> None:
    act = api.test_bank.act("clinician")
    here = api.test_bank.write(lambda s: make_specimen(s, act).code)
    other_act = api.test_bank.act("other_clinician")
    there = api.test_bank.write(
        lambda s: make_specimen(s, other_act, donor=make_donor(s, clinic="OTHER"), site="OTHER", home_site="NORTH").code
    )

    assert codes(api.lab_tech.get("/specimens")) == [here]
    assert codes(api.clinician.get("/specimens")) == [here]
    assert codes(api.north_tech.get("/specimens")) == [there]
    assert codes(api.other_clinician.get("/specimens")) == [there]
    assert sorted(codes(api.quality.get("/specimens"))) == sorted([here, there])
    assert api.admin.get("/specimens").json()["items"] == []
    assert api.anonymous.get("/specimens").status_code == 401
    for path in ("", "/lineage", "/viability"):
        assert refused(api.lab_tech.get(f"/specimens/{there}{path}")) == (404, "not_found")


def many(api: Api, count: int, site: str = "LAB") -> list[str]:
    """Specimens in one batch, straight through the ledger, at a few instants so that the order has ties."""
    from biobank.specimens.creation import Draft, create_specimens
    from biobank.specimens.events import Collected
    from tests.factories import fresh_code, make_harvest

    act = api.test_bank.act("clinician")

    def work(session: Any) -> list[str]:
        person = make_donor(session)
        visit = make_harvest(session, person)
        drafts = []
        for _ in range(count):
            row = {
                "code": fresh_code("AD", 26),
                "donor_code": person,
                "material": "lipoaspirate",
                "unit": "ul_raw",
                "harvest_code": visit,
                "home_site_code": site,
            }
            event = Collected(
                donor=person,
                material="lipoaspirate",
                unit="ul_raw",
                amount=1,
                site="CLINIC",
                harvest=visit,
                home_site=site,
                method="lipoaspiration",
                anatomical_site="abdomen",
                started_at=rfc3339(act.at),
            )
            drafts.append(Draft(row, event))
        from biobank.custody.recording import NOW

        made_, _ = create_specimens(session, act, drafts, NOW, site="CLINIC", clinic_site="CLINIC")
        return [one.code for one in made_]

    made_codes: list[str] = api.test_bank.write(work)
    return made_codes


def test_the_thousandth_specimen_is_on_some_page_and_none_is_on_two(api: Api) -> None:
    everything = set(many(api, 1003))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        page = api.lab_tech.get("/specimens", params={"limit": 100, **cursor}).json()
        seen += [one["code"] for one in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = {"after": page["next"]}

    assert pages == 11
    assert len(seen) == 1003
    assert set(seen) == everything


def test_new_specimens_do_not_shift_the_pages_that_follow(api: Api) -> None:
    older = many(api, 6)
    first = api.lab_tech.get("/specimens", params={"limit": 4}).json()
    in_a_while(1)
    many(api, 3)

    second = api.lab_tech.get("/specimens", params={"limit": 4, "after": first["next"]}).json()

    assert sorted(one["code"] for one in first["items"] + second["items"]) == sorted(older)


@pytest.mark.parametrize("after", ["", "abc", "1~2~3", "9" * 20 + "~A", "1~" + "A" * 65, "1'; --~A"])
def test_a_cursor_that_is_none_of_ours_is_malformed(api: Api, after: str) -> None:
    assert api.lab_tech.get("/specimens", params={"after": after}).status_code == 422


def test_filters_find_and_leave_out(api: Api) -> None:
    mary, other = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    hers, theirs = raw_fat(api, mary), washed_fat(api, other)
    consumed = [one for one in codes(api.lab_tech.get("/specimens")) if one not in (hers["code"], theirs["code"])]

    def find(**params: str) -> set[str]:
        return set(codes(api.lab_tech.get("/specimens", params=params)))

    assert find(donor=mary) == {hers["code"]}
    assert find(material="lipoaspirate", state="received") == {hers["code"]}
    assert find(state="consumed") == set(consumed)
    assert find(material="adsc") == set()
    assert find(text=theirs["lot"]) == {theirs["code"]}
    assert find(text=hers["harvest"]) == {hers["code"]}
    assert find(text=hers["code"][:9].lower()) == {hers["code"]}
    assert find(text=hers["code"].split("-")[1][:5]) == {hers["code"]}
    assert find(text="%") == set()
    assert find(text="_") == set()
    assert refused(api.lab_tech.get("/specimens", params={"state": "gone"})) == (422, "malformed_request")


def test_the_container_filter_includes_all_that_is_below(api: Api) -> None:
    admin = api.test_bank.act("admin")
    tube = raw_fat(api, donor(api))
    box = api.test_bank.write(lambda s: make_box(s, admin)).code
    stored = api.lab_tech.post(f"/specimens/{tube['code']}/store", json={"container": box, "expected_seq": tube["seq"]})
    assert stored.status_code in (200, 201), stored.text
    tank = api.lab_tech.get(f"/specimens/{tube['code']}").json()["custody"]["container"]

    assert codes(api.lab_tech.get("/specimens", params={"container": box})) == [tube["code"]]
    assert tank == box
    assert codes(api.lab_tech.get("/specimens", params={"container": "BX-0000000"})) == []


def test_the_hold_filter_finds_heirs_too_and_forgets_them_when_lifted(api: Api) -> None:
    person, other = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    raw, free = raw_fat(api, person), raw_fat(api, other)
    lot = {"kind": "quality", "scope_kind": "specimen", "scope_id": raw["code"], "reason": "cloudy"}
    assert api.lab_tech.post("/holds", json=lot).status_code == 201
    held = api.lab_tech.get("/specimens", params={"hold": "quality"}).json()["items"]

    assert [one["code"] for one in held] == [raw["code"]]
    assert held[0]["holds"] == ["quality"]
    assert codes(api.lab_tech.get("/specimens", params={"hold": "any"})) == [raw["code"]]
    assert codes(api.lab_tech.get("/specimens", params={"hold": "legal"})) == []
    assert api.lab_tech.get(f"/specimens/{free['code']}").json()["holds"] == []


@pytest.mark.parametrize("scope", ["donor", "harvest", "lot", "specimen"])
def test_a_hold_of_any_scope_covers_what_was_made_of_it_in_list_and_detail_alike(api: Api, scope: str) -> None:
    person = donor(api)
    raw = raw_fat(api, person)
    grandchild = _grandchild(api, raw)
    ids = {"donor": person, "harvest": raw["harvest"], "specimen": raw["code"], "lot": _washed_lot(api, grandchild)}
    body = {"kind": "recall", "scope_kind": scope, "scope_id": ids[scope], "reason": "recalled"}
    placed = api.quality.post("/holds", json=body)
    assert placed.status_code == 201, placed.text

    listed = codes(api.lab_tech.get("/specimens", params={"hold": "recall"}))
    shown = api.lab_tech.get(f"/specimens/{grandchild['code']}").json()["holds"]

    assert grandchild["code"] in listed
    assert [(hold["kind"], hold["scope_kind"]) for hold in shown] == [("recall", scope)]


def _grandchild(api: Api, raw: Json) -> Json:
    from tests.specimens.stories import output, run, using

    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]
    isolated: Json = made(run(api.lab_tech, "svf_isolation", [using(washed)], [output("svf", 10**6)]))["specimens"][0]
    return isolated


def _washed_lot(api: Api, grandchild: Json) -> str:
    parent = api.lab_tech.get(f"/specimens/{grandchild['code']}").json()["parents"][0]
    lot: str = api.lab_tech.get(f"/specimens/{parent}").json()["lot"]
    return lot


def test_a_list_costs_the_same_however_long_it_is(api: Api) -> None:
    actor = api.test_bank.actor("lab_tech")
    costs = []
    for count in (3, 60):
        many(api, count)
        seen: list[str] = []
        stop = count_statements(api.test_bank.bank.database.sync_engine, seen)
        page = api.test_bank.write(lambda s: list_specimens(s, actor, paging=Paging(limit=100)))
        stop()
        costs.append(len(seen))
    detail: list[str] = []
    stop = count_statements(api.test_bank.bank.database.sync_engine, detail)
    api.test_bank.write(lambda s: describe_specimen(s, actor, page.items[0].code))
    stop()

    assert costs == [2, 2]
    assert len(detail) <= 6


def test_a_specimen_is_shown_as_it_stood_and_as_it_was_known(api: Api) -> None:
    person = donor(api)
    before = rfc3339(clock.now())
    in_a_while(1)
    raw = raw_fat(api, person)
    in_a_while(1)
    then = rfc3339(clock.now())
    in_a_while(1)
    checked = {"kind": "specimen.sampled", "expected_seq": raw["seq"], "amount": 500, "purpose": "sterility"}
    made(api.lab_tech.post(f"/specimens/{raw['code']}/events", json=checked))

    now = api.lab_tech.get(f"/specimens/{raw['code']}").json()
    as_of = api.lab_tech.get(f"/specimens/{raw['code']}", params={"at": then}).json()
    as_known = api.lab_tech.get(f"/specimens/{raw['code']}", params={"as_known_at": then}).json()
    too_early = api.lab_tech.get(f"/specimens/{raw['code']}", params={"at": before})

    assert (now["custody"]["amount"], now["as_of"], now["holds"]) == (49_500, None, [])
    assert as_of["custody"]["amount"] == as_known["custody"]["amount"] == 50_000
    assert as_of["custody"]["seq"] == 2
    assert as_of["holds"] == []
    assert as_of["as_of"]["at"].startswith(then[:19])
    assert refused(too_early) == (404, "not_found")


def test_a_late_entry_changes_what_was_and_not_what_was_known(api: Api) -> None:
    raw = raw_fat(api, donor(api))
    happened = rfc3339(clock.now())
    in_a_while(5)
    known = rfc3339(clock.now())
    in_a_while(1)
    sampled = {
        "kind": "specimen.sampled",
        "expected_seq": raw["seq"],
        "amount": 500,
        "purpose": "count",
        "occurred_at": happened,
    }
    made(api.lab_tech.post(f"/specimens/{raw['code']}/events", json=sampled))

    what_was = api.lab_tech.get(f"/specimens/{raw['code']}", params={"at": known}).json()
    what_was_known = api.lab_tech.get(f"/specimens/{raw['code']}", params={"at": known, "as_known_at": known}).json()

    assert what_was["custody"]["amount"] == 49_500
    assert what_was_known["custody"]["amount"] == 50_000


def test_somebody_who_may_not_see_a_place_sees_the_graph_without_its_present_state(api: Api) -> None:
    person = donor(api)
    grown = adsc(api, person)
    filled = vials(api, grown, 2)
    made(freeze(api.lab_tech, filled))
    _move_to_north(api, filled[0]["code"])

    graph = api.north_tech.get(f"/specimens/{filled[0]['code']}/lineage").json()

    states = {node["code"]: node["state"] for node in graph["nodes"]}
    assert states[filled[0]["code"]] == "in_process"
    assert {state for code, state in states.items() if code != filled[0]["code"]} == {None}


def _move_to_north(api: Api, code: str) -> None:
    specimen = table_of(Specimen)
    api.test_bank.write(lambda s: s.execute(specimen.update().where(specimen.c.code == code).values(home_site_code="NORTH")))


def test_nobody_writes_a_second_donor_into_a_specimen(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    specimen = table_of(Specimen)
    stranger = api.test_bank.write(make_donor)
    stray = {"code": "UN26-0000000", "material": "adsc", "unit": "cells", "created_at": clock.now(), "created_by": "SYSTEM"}

    with pytest.raises(IntegrityError) as second:
        api.test_bank.write(
            lambda s: s.execute(specimen.update().where(specimen.c.code == tube["code"]).values(donor_code=stranger))
        )
    with pytest.raises(IntegrityError) as nobody:
        api.test_bank.write(lambda s: s.execute(insert(specimen).values(**stray)))

    assert rule(second.value) == "custody_is_of_the_specimens_donor"
    assert rule(nobody.value) == "only_the_unidentified_have_no_donor"


def rule(error: IntegrityError) -> str:
    name: str = error.orig.diag.constraint_name  # type: ignore[union-attr]  # psycopg's own error has it
    return name
