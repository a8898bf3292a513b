"""Holds, legal bases and decisions on pages: found in a list, done with one signature, shown to whoever may do them."""

from biobank.foundation.codes import Prefix
from biobank.labels.catalogue import catalogue
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import all_passed
from tests.withdrawals.stories import a_donor, a_story, bank_vials

SIGNED = {"password": seed.PASSWORD, "reason": "reviewed"}


def hold_on(api: Api, kind: str, code: str) -> str:
    """Place a hold and return its id."""
    body = {"scope_kind": kind, "scope_id": code, "kind": "quality", "reason": "to_check"}
    answer = api.lab_tech.post("/holds", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def standing(api: Api, tubes: list[str]) -> set[tuple[str, str]]:
    """Basis and verdict of tubes."""
    found = [api.quality.get(f"/specimens/{tube}").json() for tube in tubes]
    return {(one["regulatory_basis"], one["custody"]["quality"]) for one in found}


def test_a_donors_hold_is_lifted_from_the_donors_page_and_leaves_the_list(api: Api, visit: Visit) -> None:
    donor = a_story(api).donor
    hold = hold_on(api, "donor", donor)
    way = f'href="/holds/{hold}/lift"'
    quality, tech = visit("quality"), visit("lab_tech")
    assert way in quality.get_page(f"/donors/{donor}") and way in quality.get_page("/holds")
    listed = tech.get_page(f"/holds?on={donor}")
    assert donor in listed and way not in listed
    lifted = quality.submit(f"/holds/{hold}/lift", SIGNED)
    assert lifted.url.path == f"/donors/{donor}" and "The hold is lifted." in lifted.text
    assert donor not in quality.get_page("/holds") and donor in quality.get_page("/holds?state=lifted")
    quality.get_page(f"/holds/{hold}/lift", 409)


def test_a_hold_is_offered_for_lifting_only_where_it_may_be_lifted(api: Api, visit: Visit) -> None:
    story = a_story(api, lot=True)
    tube = story.vials[0]
    lot = api.quality.get(f"/specimens/{tube}").json()["lot"]
    holds = {code: hold_on(api, kind, code) for kind, code in (("specimen", tube), ("lot", lot))}
    mixed, quality = visit("lab_tech_north_quality"), visit("quality")
    for code, page in ((tube, f"/specimens/{tube}"), (lot, f"/lots/{lot}")):
        way = f"/holds/{holds[code]}/lift"
        assert way in quality.get_page(page) and way in quality.get_page(f"/holds?on={code}")
        drawn = mixed.get_page(page) + mixed.get_page(f"/holds?on={code}")
        assert code in drawn and way not in drawn
        mixed.get_page(way, 403)


def test_a_lot_gets_its_legal_basis_and_its_release_with_one_password_each(api: Api, visit: Visit) -> None:
    tubes = bank_vials(api, a_donor(api), 12, released=False, basis="undetermined", lot=True)
    lot = api.quality.get(f"/specimens/{tubes[0]}").json()["lot"]
    quality = visit("quality")
    page = quality.get_page(f"/lots/{lot}")
    assert f'href="/lots/{lot}/basis"' in page and f'href="/lots/{lot}/decision"' in page
    assert "legal basis first" in quality.get_page(f"/lots/{lot}/decision")
    early = quality.submit(f"/lots/{lot}/decision", SIGNED | {"decision": "released_to_bank"})
    assert early.status_code == 409 and standing(api, tubes) == {("undetermined", "quarantined")}

    said = quality.submit(f"/lots/{lot}/basis", SIGNED | {"basis": "us_351_ind", "authorisation": "IND 12345"})
    assert said.url.path == f"/lots/{lot}" and "12 specimens." in said.text, said.text[:3000]
    assert "rests on endotoxin and mycoplasma and sterility" in quality.get_page(f"/lots/{lot}/decision")
    all_passed(api, tubes[0])
    released = quality.submit(f"/lots/{lot}/decision", SIGNED | {"decision": "released_to_bank"})
    assert released.url.path == f"/lots/{lot}" and "12 specimens." in released.text, released.text[:3000]
    assert standing(api, tubes) == {("us_351_ind", "released_to_bank")}

    tech = visit("lab_tech")
    assert f"/lots/{lot}/basis" not in tech.get_page(f"/lots/{lot}")
    tech.get_page(f"/lots/{lot}/basis", 403)
    tech.get_page(f"/lots/{lot}/decision", 403)


def test_ticked_specimens_get_their_legal_basis_at_once(api: Api, visit: Visit) -> None:
    tubes = bank_vials(api, a_donor(api), 3, released=False, basis="undetermined")
    quality = visit("quality")
    ticked = quality.get("/specimens", params=[("act", "basis"), *(("row", tube) for tube in tubes[:2])])
    assert ticked.url.path == "/specimens/basis" and all(tube in ticked.text for tube in tubes[:2])
    fields = {"specimens": " ".join(tubes[:2]), "basis": "us_351_ind"}
    unnumbered = quality.submit("/specimens/basis", SIGNED | fields)
    assert unnumbered.status_code == 422 or unnumbered.status_code == 409
    assert "number or statute" in unnumbered.text
    done = quality.submit("/specimens/basis", SIGNED | fields | {"authorisation": "IND 12345"})
    assert done.url.path == "/specimens" and "2 specimens." in done.text, done.text[:3000]
    assert [standing(api, [tube]) for tube in tubes] == [{("us_351_ind", "quarantined")}] * 2 + [
        {("undetermined", "quarantined")}
    ]
    assert 'name="act" value="basis"' not in visit("lab_tech").get_page("/specimens")
    visit("lab_tech").get_page("/specimens/basis", 403)


def test_one_of_several_that_is_another_sites_keeps_all_of_them_as_they_were(api: Api, visit: Visit) -> None:
    (tube,) = bank_vials(api, a_donor(api), 1, released=False, basis="undetermined")
    fields = SIGNED | {"specimens": tube, "basis": "us_351_ind", "authorisation": "IND 12345"}
    mixed = visit("lab_tech_north_quality").submit("/specimens/basis", fields)
    assert mixed.status_code == 403 and standing(api, [tube]) == {("undetermined", "quarantined")}


def test_prints_are_listed_by_where_they_were_printed_and_by_how_they_stand(api: Api, visit: Visit) -> None:
    tube = a_story(api).vials[0]
    tech = visit("lab_tech")
    form = {"template": catalogue().for_prefix(Prefix.ADIPOSE)[0].name, "reason": "first_print", "format": "pdf", "dpi": "300"}
    assert "Ready to print." in tech.submit(f"/labels/{tube}", form).text
    assert tube in tech.get_page(f"/labels/prints?code={tube}&standing=not_scanned_back")
    assert "No prints" in tech.get_page(f"/labels/prints?code={tube}&standing=verified")
    assert "No prints" in visit("north_tech").get_page(f"/labels/prints?code={tube}")
