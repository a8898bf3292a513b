"""Two people, two identifiers, one visit; and the bands and kits that rest on it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.codes import new_code
from biobank.donors.identification import IdentificationExpired, IdentificationMissing, completed_identification
from biobank.donors.identifying import SLIPS
from biobank.donors.visits import waiting_identifications
from biobank.donors.wristbands import WristbandExpired, WristbandVoid, active_wristband
from biobank.foundation import clock
from biobank.foundation.codes import CheckCharacterWrong
from biobank.foundation.errors import NotFound
from tests.conftest import Api
from tests.donors.stories import STATED, band, half, identified, kinds, register
from tests.pages.visitor import Visit
from tests.seed import PASSWORD
from tests.withdrawals.stories import of_one_person


def kit(api: Api) -> str:
    code: str = api.test_bank.write(lambda s: new_code(s, "KT"))
    return code


def later(api: Api, **delta: float) -> None:
    """Move the clock; everyone signs in again, because access tokens live a quarter of an hour."""
    clock.set_offset(timedelta(**delta), test_mode=True)
    api.close()
    api._clients.clear()


def resolved(api: Api, code: str) -> str:
    donor: str = api.test_bank.write(lambda s: active_wristband(s, code, clock.now()).donor_code)
    return donor


def rests_on(api: Api, donor: str, purpose: Any, **named: Any) -> str:
    def ask(session: Session) -> str:
        return completed_identification(session, donor, purpose, clock.now(), **named).leaf_hash.hex()

    answer: str = api.test_bank.write(ask)
    return answer


def test_two_people_identify_a_patient_and_the_act_can_rest_on_it(api: Api) -> None:
    donor = register(api.clinician)

    first = half(api.clinician, donor, "bedside")
    second = half(api.clinic_staff, donor, "bedside", pending=first.json()["identification"])

    assert (first.status_code, first.json()["state"]) == (201, "pending"), first.text
    assert (second.status_code, second.json()["state"]) == (201, "completed"), second.text
    assert rests_on(api, donor, "bedside") == second.json()["events"][0]["leaf_hash"]
    assert kinds(api, donor) == ["donor.registered", "donor.identification_started", "donor.identified"]


def test_one_half_is_no_identification(api: Api) -> None:
    donor = register(api.clinician)
    half(api.clinician, donor, "bedside")

    with pytest.raises(IdentificationMissing):
        rests_on(api, donor, "bedside")


def test_one_person_cannot_be_both(api: Api) -> None:
    donor = register(api.clinician)
    first = half(api.clinician, donor).json()["identification"]

    assert half(api.clinician, donor, pending=first).json()["code"] == "second_person_needed"
    of_one_person(api, "clinician", "clinic_staff")
    assert half(api.clinic_staff, donor, pending=first).json()["code"] == "second_person_needed"
    actor = api.test_bank.act("clinic_staff").actor
    (waiting,) = api.test_bank.write(lambda s: waiting_identifications(s, actor, donor))
    assert actor.code in waiting.first_logins


def test_the_second_person_has_fifteen_minutes(api: Api) -> None:
    donor = register(api.clinician)
    first = half(api.clinician, donor).json()["identification"]
    later(api, minutes=15)

    assert half(api.clinic_staff, donor, pending=first).json()["code"] == "identification_expired"


def test_the_second_person_does_the_same_or_it_does_not_count(api: Api) -> None:
    donor = register(api.clinician)
    first = half(api.clinician, donor).json()["identification"]
    external = {"issuer": "CITY-HOSPITAL", "value": "7781234 mrn"}

    for difference in (
        {"document_kind": "none"},
        {"purpose": "bedside"},
        {"stated": {"name": STATED["name"], "external_id": external}},
        {"stated": STATED | {"external_id": external}},
    ):
        answer = half(api.clinic_staff, donor, pending=first, **difference)
        assert answer.json()["code"] == "identification_differs", answer.text
        assert "Quill" not in answer.text

    assert api.clinician.get(f"/donors/{donor}").json()["holds"] == []


def test_a_completed_identification_is_over(api: Api) -> None:
    donor = register(api.clinician)
    done = identified(api, donor)

    assert half(api.clinician2, donor, pending=done).json()["code"] == "identification_over"
    assert half(api.clinician2, donor, pending=str(uuid4())).json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("stated", "differing"),
    [
        (STATED | {"date_of_birth": "1961-07-24"}, ["date_of_birth"]),
        (STATED | {"name": {"family_name": "Quillfether", "given_names": "Marya"}}, ["name"]),
        (STATED | {"name": {"family_name": "Quillfeather Orsted", "given_names": "Ann"}}, ["name"]),
        (STATED | {"external_id": {"issuer": "OTHER", "value": "MRN 778-1234"}}, ["external_id"]),
        ({"name": {"family_name": "Doe", "given_names": "Marya"}, "date_of_birth": "2000-01-01"}, ["name", "date_of_birth"]),
    ],
)
def test_a_mismatch_is_kept_holds_everything_and_says_what_to_do(api: Api, stated: Any, differing: list[str]) -> None:
    donor = register(api.clinician)

    answer = half(api.clinician, donor, stated=stated, checked=True)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["differing"]) == (409, "identity_mismatch", differing)
    assert "Stop" in problem["where_now"]
    (hold,) = api.clinician.get(f"/donors/{donor}").json()["holds"]
    assert (hold["kind"], len(hold["blocks"])) == ("identity", 4)
    (attempt,) = api.quality.get("/attempts", params={"subject": donor}).json()["items"]
    assert (attempt["code"], attempt["evidence"]) == ("identity_mismatch", True)
    assert kinds(api, donor)[1:] == ["donor.identity_mismatched", "donor.hold_placed"]


def test_what_was_not_asked_and_a_slip_of_the_typing_hold_nothing_and_nobody_tries_until_it_fits(api: Api) -> None:
    donor = register(api.clinician)
    half_a_name = STATED | {"name": {"family_name": "Quillfeather-Orsted"}}
    slip = STATED | {"date_of_birth": "1961-07-24"}

    assert half(api.clinician, donor, stated=half_a_name, checked=True).json()["code"] == "given_names_not_asked"
    for client in (api.clinician, api.clinic_staff, *[api.clinician] * (SLIPS - 1)):
        told = half(client, donor, stated=slip).json()
        assert told["code"] == "check_what_was_typed" and "differing" not in told, told
    assert api.clinician.get(f"/donors/{donor}").json()["holds"] == []
    assert kinds(api, donor) == ["donor.registered"]

    assert half(api.clinician, donor, stated=slip).json()["code"] == "identity_mismatch"
    (hold,) = api.clinician.get(f"/donors/{donor}").json()["holds"]
    assert hold["kind"] == "identity"


def test_the_page_asks_to_check_first_and_quality_lifts_the_hold_on_a_page(api: Api, visit: Visit) -> None:
    donor = register(api.clinician)
    path, typed = f"/donors/{donor}/identify", {"purpose": "bedside", "document_kind": "passport"}
    stated = {"family_name": "Quillfeather-Orsted", "given_names": "Marya", "date_of_birth": "1961-07-24"}
    at_the_desk = visit("clinician")

    asked = at_the_desk.submit(path, typed | stated).text
    assert "Check what you typed" in asked and 'name="checked"' in asked and "1961-07-24" not in asked
    assert api.clinician.get(f"/donors/{donor}").json()["holds"] == []
    assert "may be another person" in at_the_desk.submit(path, typed | stated | {"checked": "yes"}).text

    (hold,) = api.clinician.get(f"/donors/{donor}").json()["holds"]
    assert f"/holds/{hold['id']}/lift" not in at_the_desk.get_page(f"/donors/{donor}")
    quality = visit("quality")
    assert f"/holds/{hold['id']}/lift" in quality.get_page(f"/donors/{donor}")
    lifted = {"reason": "checked_with_document", "password": PASSWORD}
    assert "The hold is lifted" in quality.submit(f"/holds/{hold['id']}/lift", lifted).text
    assert api.clinician.get(f"/donors/{donor}").json()["holds"] == []


def test_a_mismatch_in_the_second_half_fails_the_whole_and_voids_the_band(api: Api) -> None:
    donor = register(api.clinician)
    worn = band(api, donor)
    first = half(api.clinician, donor, "bedside").json()["identification"]

    wrong = STATED | {"date_of_birth": "1971-07-23"}
    answer = half(api.clinic_staff, donor, "bedside", pending=first, stated=wrong, checked=True)

    assert answer.json()["code"] == "identity_mismatch"
    with pytest.raises(WristbandVoid, match="identity mismatch"):
        resolved(api, worn)
    assert half(api.clinic_staff, donor, "bedside", pending=first).json()["code"] == "identification_over"


def test_a_later_mismatch_takes_away_what_was_completed_before_it(api: Api) -> None:
    donor = register(api.clinician)
    done = identified(api, donor)
    half(api.clinician, donor, stated=STATED | {"date_of_birth": "1971-07-23"}, checked=True)

    assert api.clinician.post("/wristbands", json={"identification": done}).json()["code"] == "identification_missing"
    again = identified(api, donor)
    assert api.clinician.post("/wristbands", json={"identification": again}).status_code == 201


def test_a_second_mismatch_places_no_second_hold(api: Api) -> None:
    donor = register(api.clinician)
    for _ in range(2):
        half(api.clinician, donor, stated=STATED | {"date_of_birth": "1971-07-23"}, checked=True)

    assert len(api.clinician.get(f"/donors/{donor}").json()["holds"]) == 1


def test_one_identifier_is_not_enough_and_a_kit_belongs_to_a_harvest(api: Api) -> None:
    donor = register(api.clinician)

    assert half(api.clinician, donor, stated={"date_of_birth": "1961-07-23"}).status_code == 422
    assert half(api.clinician, donor, "harvest").status_code == 422
    assert half(api.clinician, donor, "bedside", kit=kit(api)).status_code == 422


def test_a_person_with_one_name_states_one_name(api: Api) -> None:
    donor = register(api.clinician, given_names=None)
    stated = STATED | {"name": {"family_name": "Quillfeather-Orsted"}}

    assert half(api.clinician, donor, stated=stated).status_code == 201
    assert half(api.clinician, donor, checked=True).json()["code"] == "identity_mismatch"


def test_the_laboratory_identifies_nobody(api: Api) -> None:
    from tests.factories import make_specimen

    donor = register(api.clinician)
    act = api.test_bank.act("clinician")
    api.test_bank.write(lambda s: make_specimen(s, act, donor=donor))

    assert half(api.lab_tech, donor).json()["code"] == "not_permitted"
    assert half(api.clinician, donor, site="OTHER").json()["code"] == "not_permitted"


def test_a_harvest_binds_its_kit_to_the_donor_for_ever(api: Api) -> None:
    donor, other = register(api.clinician), register(api.clinician, external_ids=[])
    code = kit(api)

    identified(api, donor, "harvest", kit=code)

    assert rests_on(api, donor, "harvest", kit=code)
    with pytest.raises(IdentificationMissing):
        rests_on(api, donor, "harvest", kit=kit(api))
    refused = half(api.clinician, other, "harvest", kit=code).json()
    assert (refused["code"], refused["subject"]) == ("kit_of_another_donor", code)
    identified(api, donor, "harvest", kit=code)


def test_of_two_donors_at_once_the_kit_goes_to_the_one_completed_first(api: Api) -> None:
    donor, other = register(api.clinician), register(api.clinician, external_ids=[])
    code = kit(api)
    mine = half(api.clinician, donor, "harvest", kit=code).json()["identification"]
    theirs = half(api.clinician, other, "harvest", kit=code).json()["identification"]

    assert half(api.clinic_staff, other, "harvest", kit=code, pending=theirs).status_code == 201
    assert half(api.clinic_staff, donor, "harvest", kit=code, pending=mine).json()["code"] == "kit_of_another_donor"
    with pytest.raises(IdentificationMissing):
        rests_on(api, donor, "harvest", kit=code)


def test_a_mistyped_kit_is_malformed(api: Api) -> None:
    code = kit(api)
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")

    answer = half(api.clinician, register(api.clinician), "harvest", kit=wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, CheckCharacterWrong.code)


def test_an_identification_ends_with_the_visit(api: Api) -> None:
    donor = register(api.clinician)
    done = identified(api, donor)
    identified(api, donor, "bedside")
    later(api, hours=16, minutes=1)

    with pytest.raises(IdentificationExpired):
        rests_on(api, donor, "bedside")
    assert api.clinician.post("/wristbands", json={"identification": done}).json()["code"] == "identification_expired"


def test_a_band_resolves_to_its_donor(api: Api) -> None:
    donor = register(api.clinician)
    worn = band(api, donor)

    assert worn.startswith("WB-")
    assert resolved(api, worn) == donor
    shown = api.clinic_staff.get(f"/wristbands/{worn}").json()
    assert (shown["donor"], shown["in_force"]) == (donor, True)
    assert api.clinician.get(f"/donors/{donor}").json()["wristband"]["wristband"] == worn


def test_a_new_band_voids_the_old_one(api: Api) -> None:
    donor = register(api.clinician)
    old = band(api, donor)

    answer = api.clinician.post("/wristbands", json={"identification": identified(api, donor)})

    assert answer.json()["replaced"] == old
    with pytest.raises(WristbandVoid, match="replaced"):
        resolved(api, old)
    assert resolved(api, answer.json()["wristband"]) == donor
    assert kinds(api, donor)[-2:] == ["donor.wristband_voided", "donor.wristband_issued"]


def test_one_identification_gives_one_band_and_only_one_made_for_it(api: Api) -> None:
    donor = register(api.clinician)
    done = identified(api, donor)
    api.clinician.post("/wristbands", json={"identification": done}).raise_for_status()
    pending = half(api.clinician, donor).json()["identification"]
    bedside = identified(api, donor, "bedside")

    codes = [
        api.clinician.post("/wristbands", json={"identification": i}).json()["code"]
        for i in (done, pending, bedside, str(uuid4()))
    ]

    assert codes == ["identification_used", "identification_missing", "identification_for_another_purpose", "not_found"]
    assert api.other_clinician.post("/wristbands", json={"identification": done}).json()["code"] == "not_found"


def test_a_band_dies_with_the_visit_and_the_next_one_says_so(api: Api) -> None:
    donor = register(api.clinician)
    old = band(api, donor)
    later(api, hours=16, minutes=1)

    with pytest.raises(WristbandExpired):
        resolved(api, old)
    assert api.clinician.get(f"/donors/{donor}").json()["wristband"] is None
    band(api, donor)
    assert api.clinician.get(f"/wristbands/{old}").json()["void_reason"] == "expired"


def test_a_band_that_is_cut_off_is_void_once(api: Api) -> None:
    worn = band(api, register(api.clinician))

    assert api.other_clinician.post(f"/wristbands/{worn}/void", json={"reason": "removed"}).json()["code"] == "not_found"
    assert api.clinic_staff.post(f"/wristbands/{worn}/void", json={"reason": "removed"}).status_code == 200
    assert api.clinic_staff.post(f"/wristbands/{worn}/void", json={"reason": "removed"}).json()["code"] == "wristband_void"
    with pytest.raises(WristbandVoid, match="removed"):
        resolved(api, worn)


def test_a_band_of_nobody_is_not_found(api: Api) -> None:
    worn = band(api, register(api.clinician))

    assert api.clinician.get("/wristbands/WB-0000000").json()["code"] == "not_found"
    assert api.other_clinician.get(f"/wristbands/{worn}").json()["code"] == "not_found"
    assert api.clinician.post("/wristbands/WB-0000000/void", json={"reason": "removed"}).json()["code"] == "not_found"
    with pytest.raises(NotFound):
        resolved(api, "WB-0000000")


def test_the_database_refuses_two_bands_one_person_twice_and_a_band_that_comes_back(api: Api) -> None:
    donor = register(api.clinician)
    worn = band(api, donor)
    half(api.clinician, donor)
    copy = (
        "INSERT INTO wristband SELECT 'WB-0000000', donor_code, gen_random_uuid(), site_code, issued_at, issued_by,"
        " issued_event, expires_at FROM wristband"
    )
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        for statement, error, name in (
            (copy, psycopg.errors.UniqueViolation, "one_band_in_force_per_donor"),
            (
                "UPDATE identification SET second_by = first_by, completed_at = now(), completed_event = first_event,"
                " valid_until = now() WHERE completed_at IS NULL",
                psycopg.errors.CheckViolation,
                "identification_has_two_people",
            ),
        ):
            with pytest.raises(error, match=name):
                connection.execute(statement)
            connection.rollback()
    api.clinic_staff.post(f"/wristbands/{worn}/void", json={"reason": "removed"}).raise_for_status()
    back = text("UPDATE wristband SET voided_at = NULL, void_reason = NULL, voided_event = NULL")
    with pytest.raises(Exception, match="voided once"):
        api.test_bank.write(lambda s: s.execute(back))
