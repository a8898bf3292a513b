"""What every other way in refuses, tried by an import: it is refused, or it is on record because it is in the tank, and held."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from biobank.donors.identifiers import IdentifierTaken
from biobank.importing.known import OtherClinic
from biobank.importing.places import Places
from biobank.importing.plan import check_rows
from biobank.importing.profile import Profile
from biobank.importing.profile_faults import ProfileFault
from biobank.importing.reading import read_rows
from biobank.importing.service import Result, at_console, import_ready, import_rows
from tests.conftest import Api
from tests.donors import stories as donors
from tests.donors.stories import consent
from tests.granting import also
from tests.importing.test_import import ADSC, DOCUMENT, GOOD, checked, imported, profile, reasons, written
from tests.monitoring.test_excursions import read
from tests.withdrawals.stories import later, refused, sign_and_post

Json = dict[str, Any]


def brought(api: Api, tmp_path: Path, row: Json = GOOD, **changes: Any) -> Result:
    """One row of the old file, imported at the console."""
    (one,) = imported(api.test_bank, checked(tmp_path, row, **changes))
    return one


def tube(api: Api, one: Result) -> Json:
    """The tube that was imported, as quality reads it."""
    assert one.outcome == "imported", one.reason
    found: Json = api.quality.get(f"/specimens/{one.code}").json()
    return found


def held(api: Api, one: Result) -> list[tuple[str, str]]:
    """Kind and reason of every hold that is on the tube itself."""
    items = api.quality.get("/holds", params={"scope": tube(api, one)["code"], "active": True}).json()["items"]
    return [(hold["kind"], hold["reason"]) for hold in items]


def kinds(api: Api, one: Result) -> set[str]:
    """The kinds of all holds that cover it."""
    return {hold["kind"] for hold in tube(api, one)["holds"]}


def as_person(api: Api, tmp_path: Path, login: str, **changes: Any) -> list[Result]:
    """One row imported by somebody who is signed in, as the job does."""
    bank, meaning = api.test_bank, profile(**changes)
    rows = check_rows(read_rows(written(tmp_path, [GOOD]), meaning), meaning, date(2026, 11, 25))
    done: list[Result] = bank.write(lambda s: import_rows(s, bank.act(login), rows, meaning, Places(meaning)))
    return done


def test_what_is_not_for_the_bench_or_of_nobody_is_no_material_of_a_file() -> None:
    sheets = [DOCUMENT["sheets"][0] | {"material": one} for one in ("unidentified", "prf", "lipoaspirate_of_two")]
    for sheet in sheets:
        with pytest.raises(ProfileFault):
            Profile.of(DOCUMENT | {"sheets": [sheet]})


def test_a_passage_is_of_what_is_grown_and_of_nothing_else(tmp_path: Path) -> None:
    assert "have none" in reasons(tmp_path, GOOD | {"P#": "P3"})[0]
    (_, grown) = checked(tmp_path, GOOD, adsc=[ADSC | {"P#": None}])
    assert "is not given" in " ".join(grown.reasons)
    (_, grown) = checked(tmp_path, GOOD, adsc=[ADSC | {"P#": "P51"}])
    assert "is no passage" in " ".join(grown.reasons)


def test_only_a_bank_in_use_takes_an_inventory(api: Api, tmp_path: Path) -> None:
    for site in ("CLINIC", "NORTH"):
        meaning = profile(bank_site=site)
        rows = check_rows(read_rows(written(tmp_path, [GOOD]), meaning), meaning, date(2026, 11, 25))
        api.test_bank.write(lambda s: s.execute(text("UPDATE site SET active = false WHERE code = 'NORTH'")))

        (one,) = [one for some in import_ready(at_console(api.test_bank.bank), rows, meaning, lambda *_: None) for one in some]

        assert (one.outcome, "not a bank in use" in (one.reason or "")) == ("refused", True), site
    assert brought(api, tmp_path).outcome == "imported"


def test_a_term_that_is_over_stays_over(api: Api, tmp_path: Path) -> None:
    """The column of passages says the last day of the term here: follicles have none."""
    meaning: Json = {"columns": {k: v for k, v in DOCUMENT["columns"].items() if k != "passage"} | {"expires": "P#"}}
    assert "expired before it was frozen" in reasons(tmp_path, GOOD | {"P#": "2018-11-16"}, **meaning)[0]
    assert "may be two different days" in reasons(tmp_path, GOOD | {"P#": "05/06/2028"}, date_order=None, **meaning)[0]
    rows = checked(tmp_path, GOOD | {"P#": "2022-05-31"}, GOOD | {"P#": None, "Vial": 2, "Pos": "D3"}, **meaning)

    over, without = imported(api.test_bank, rows)

    assert tube(api, over)["expires_at"] == "2022-06-01T00:00:00Z", "to the end of its last day"
    assert tube(api, without)["expires_at"] is None
    again = imported(api.test_bank, rows)
    assert [one.outcome for one in again] == ["already", "already"]
    other = brought(api, tmp_path, GOOD | {"P#": "2032-05-31"}, **meaning)
    assert "day of expiry" in (other.reason or ""), "a second file does not lengthen it"


@pytest.mark.parametrize(
    ("taken", "is_held"), [("2018-11-17", False), ("2018-11-16", False), ("2018-11-15", True), ("2011-01-01", True)]
)
def test_what_was_frozen_later_than_it_was_fit_for_use_is_held(api: Api, tmp_path: Path, taken: str, is_held: bool) -> None:
    one = brought(api, tmp_path, GOOD | {"Collected": taken})

    assert (held(api, one) == [("quality", "frozen_after_use_by")]) is is_held
    assert any("fit for use" in said for said in one.said) is is_held


def test_cells_that_were_grown_for_weeks_are_not_too_old_and_too_far_grown_ones_are_held(api: Api, tmp_path: Path) -> None:
    limit = {"site": "LAB", "material": "adsc", "condition": "in_culture", "highest_passage": 3}
    assert sign_and_post(api.quality, "decided", "/material-limits", limit).status_code in (200, 201)
    grown = [ADSC | {"Collected": "2018-10-01"}, ADSC | {"P#": "P4", "Vial": 2, "Pos": "A2"}]
    within, beyond = imported(api.test_bank, checked(tmp_path, adsc=grown))

    assert held(api, within) == []
    assert held(api, beyond) == [("quality", "passage_beyond_limit")]


def test_what_the_old_record_doubts_comes_held_and_quality_alone_lifts_it(api: Api, tmp_path: Path) -> None:
    one = brought(api, tmp_path, GOOD | {"Status": "Failed sterility"}, status=DOCUMENT["status"] | {"Failed sterility": "held"})

    assert held(api, one) == [("quality", "held_before_import")]
    (hold,) = api.quality.get("/holds", params={"scope": one.code, "active": True}).json()["items"]
    path, body = f"/holds/{hold['id']}/lift", {"reason": "looks_fine"}
    refused(sign_and_post(api.lab_tech, "hold_lifted", path, body), 403, "not_permitted")
    assert sign_and_post(api.quality, "hold_lifted", path, body).status_code == 200


def test_what_a_donor_took_back_or_is_held_for_holds_what_comes_in_later(api: Api, tmp_path: Path) -> None:
    first = brought(api, tmp_path)
    whose = tube(api, first)["donor"]
    assert consent(api.clinician, whose, "banking").status_code == 201
    second = brought(api, tmp_path, GOOD | {"Vial": 2, "Pos": "D3"})
    assert held(api, second) == [], "it stands"
    (given,) = api.clinician.get(f"/donors/{whose}").json()["consents"]
    assert api.clinician.post(f"/donors/{whose}/consents/{given['id']}/revoke", json={}).status_code == 200
    third = brought(api, tmp_path, GOOD | {"Vial": 3, "Pos": "D4"})
    assert held(api, third) == [("consent", "consent_revoked")]

    legal = {"scope_kind": "donor", "scope_id": whose, "kind": "legal", "reason": "court_order"}
    assert api.quality.post("/holds", json=legal).status_code == 201
    fourth = brought(api, tmp_path, GOOD | {"Vial": 4, "Pos": "D5"})
    assert kinds(api, fourth) == {"consent", "legal"}


def test_nothing_was_taken_of_somebody_who_was_dead(api: Api, tmp_path: Path) -> None:
    whose = tube(api, brought(api, tmp_path))["donor"]
    assert donors.died(api.clinician, whose, died_on="2019-05-04").status_code in (200, 201)

    after = brought(api, tmp_path, GOOD | {"Vial": 2, "Pos": "D3", "Collected": "2019-05-05", "Frozen": "2019-05-05"})
    before = brought(api, tmp_path, GOOD | {"Vial": 3, "Pos": "D4", "Collected": "2019-05-04", "Frozen": "2019-05-04"})

    assert (after.outcome, "was dead" in (after.reason or "")) == ("refused", True)
    assert "donor_deceased" in kinds(api, before)


def test_a_patient_of_a_clinic_where_one_registers_nobody_is_not_reached_by_their_number(api: Api, tmp_path: Path) -> None:
    """Whoever registers at one clinic and reads identities at another brings nothing in for the other's patients."""
    other = donors.register(
        api.other_clinician,
        clinic_site="OTHER",
        family_name="Quillfeather",
        given_names="Mary",
        date_of_birth="1961-07-23",
        sex="female",
        external_ids=[{"issuer": "OLD_BANK", "value": "P1"}],
    )
    also(api, "admin", "clinician", "CLINIC")
    also(api, "admin", "lab_tech", "LAB")
    with pytest.raises(IdentifierTaken):
        as_person(api, tmp_path, "admin")
    also(api, "admin", "quality", "OTHER")
    with pytest.raises(OtherClinic):
        as_person(api, tmp_path, "admin")
    assert api.lab_tech.get("/specimens", params={"donor": other}).json()["items"] == []


def test_who_imported_a_tube_does_not_free_it(api: Api, tmp_path: Path) -> None:
    for role, site in (("clinician", "CLINIC"), ("lab_tech", "LAB"), ("quality", None)):
        also(api, "admin", role, site)
    (one,) = as_person(api, tmp_path, "admin")
    said = {"basis": "us_361", "reason": "determined"}
    refused(sign_and_post(api.admin, "decided", f"/specimens/{one.code}/basis", said), 403, "not_independent")
    assert sign_and_post(api.quality, "decided", f"/specimens/{one.code}/basis", said).status_code in (200, 201)
    decided = {"decision": "released_to_bank", "reason": "criteria_met"}
    refused(sign_and_post(api.admin, "decided", f"/specimens/{one.code}/decision", decided), 403, "not_independent")


def test_an_imported_tube_has_no_test_no_basis_and_no_way_round_them(api: Api, tmp_path: Path) -> None:
    (one,) = imported(api.test_bank, checked(tmp_path, adsc=[ADSC]))
    path, released = f"/specimens/{one.code}/decision", {"decision": "released_to_bank", "reason": "criteria_met"}
    answer = sign_and_post(api.quality, "decided", path, released)
    refused(answer, 409, "regulatory_basis_undetermined")
    basis = {"basis": "us_361", "reason": "determined", "authorisation": "X 1"}
    refused(sign_and_post(api.quality, "decided", f"/specimens/{one.code}/basis", basis), 409, "basis_not_for_material")
    trial = basis | {"basis": "us_351_ind"}
    assert sign_and_post(api.quality, "decided", f"/specimens/{one.code}/basis", trial).status_code in (200, 201)
    answer = sign_and_post(api.quality, "decided", path, released)
    assert answer.status_code == 409, answer.text
    assert "test" in answer.json()["code"], answer.text


def test_platelets_that_came_frozen_fit_no_basis_of_the_same_visit(api: Api, tmp_path: Path) -> None:
    sheets = [DOCUMENT["sheets"][0] | {"material": "prp"}]
    row = GOOD | {"Unit": "µL", "Amount": 800, "Collected": "2018-11-17"}
    one = brought(api, tmp_path, row, sheets=sheets, units={"µL": {"unit": "ul"}})
    for basis in ("us_361", "us_blood_preparation", "eu_tissue_cell", "us_same_surgical_procedure"):
        body = {"basis": basis, "reason": "determined", "authorisation": "K 123"}
        refused(sign_and_post(api.quality, "decided", f"/specimens/{one.code}/basis", body), 409, "basis_not_for_material")


def test_what_is_imported_into_a_tank_that_is_outside_its_limits_is_held_with_what_stood_there(api: Api, tmp_path: Path) -> None:
    stood = tube(api, brought(api, tmp_path))
    tank = next(one["code"] for one in api.lab_tech.get("/storage-containers").json()["items"] if one["kind"] == "tank")
    later(api, minutes=1)
    (excursion,) = read(api, tank, -15_000)["excursions"]
    later(api, minutes=5)

    came = tube(api, brought(api, tmp_path, GOOD | {"Vial": 2, "Pos": "D3"}))

    items = api.quality.get(f"/excursions/{excursion}").json()["items"]
    assert {one["specimen"] for one in items} == {stood["code"], came["code"]}
    assert [one["kind"] for one in came["holds"]] == ["temperature"]


def test_what_a_site_allows_frozen_material_counts_from_when_it_was_frozen_and_not_from_its_import(
    api: Api, tmp_path: Path
) -> None:
    allowed = {"site": "LAB", "material": "intact_follicles", "condition": "frozen", "use_by_s": 365 * 86_400}
    assert sign_and_post(api.quality, "decided", "/material-limits", allowed).status_code == 200

    one = tube(api, brought(api, tmp_path))

    assert one["custody"]["use_by"].startswith("2019-11-1"), "frozen in November 2018"
    assert one["expires_at"].startswith("2019-11-1")
