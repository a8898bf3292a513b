"""What is reserved leaves by its issue, and what is kept for treatment reaches a clinic so: by every way of leaving."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import Api, Client
from tests.factories import make_box
from tests.seed import USERS
from tests.shipping.stories import as_seen, now_of, offer, refused, tubes
from tests.withdrawals.stories import a_story, bank_vials


def send(api: Api, tube: str, to: str, client: Client | None = None, **said: Any) -> httpx.Response:
    """A courier is to take a tube to another site."""
    body = {"from_site": "LAB", "to_site": to, "specimens": as_seen(api, [tube]), "courier": "CRYOGO", "evidence": "E-1"} | said
    return (client or api.lab_tech).post("/shipments", json={"temperature_class": "ln2_vapour"} | body)


def taken_out(api: Api, tube: str) -> str:
    """A tube that a technician took out of its place."""
    body = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": now_of(api, tube)["seq"]}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201
    return tube


@pytest.mark.parametrize("to", ["NORTH", "CLINIC", "OTHER"])
def test_what_is_reserved_goes_with_no_shipment_before_its_issue(api: Api, to: str) -> None:
    story = a_story(api, 3).up_to("confirm")
    said = refused(send(api, story.vials[0], to), 409, "leaves_by_its_issue")
    assert said["withdrawal"] == story.code and said["where_now"]
    assert now_of(api, story.vials[0])["state"] == "checked_out"
    assert story.issue().status_code == 200
    if to == "CLINIC":
        assert send(api, story.vials[0], to).status_code == 201
    else:
        refused(send(api, story.vials[0], to), 409, "wrong_destination")


def test_what_is_reserved_goes_into_no_hands_that_take_it_away(api: Api) -> None:
    story = a_story(api, 3).up_to("pick")
    tube = story.vials[:1]
    refused(offer(api, api.lab_tech, tube, "courier", "CRYOGO"), 409, "leaves_by_its_issue")
    refused(offer(api, api.lab_tech, tube, "user", USERS["clinician"].code), 409, "leaves_by_its_issue")
    refused(offer(api, api.lab_tech, tube, "site", "CLINIC"), 409, "leaves_by_its_issue")
    assert offer(api, api.lab_tech, tube, "user", USERS["lab_tech2"].code).status_code == 201, "a colleague takes it here"


def test_an_offer_from_before_the_approval_is_not_accepted_after_it(api: Api) -> None:
    story = a_story(api, 3).up_to("request")
    tube = taken_out(api, story.vials[0])
    answer = offer(api, api.lab_tech, [tube], "courier", "CRYOGO")
    assert answer.status_code == 201, answer.text
    assert story.approve().status_code == 200
    accepted = api.lab_tech.post(f"/handovers/{answer.json()['id']}/accept", json={"evidence": "E-9"})
    refused(accepted, 409, "leaves_by_its_issue")
    assert now_of(api, tube)["custodian_kind"] == "user"


def test_what_nobody_asked_for_goes_to_banks_and_to_no_clinic(api: Api) -> None:
    story = a_story(api, 3)
    tube = taken_out(api, story.vials[0])
    for clinic in ("CLINIC", "OTHER"):
        refused(send(api, tube, clinic), 409, "leaves_by_its_issue")
    refused(offer(api, api.lab_tech, [tube], "user", USERS["clinician"].code), 409, "leaves_by_its_issue")
    assert send(api, tube, "NORTH").status_code == 201


def test_it_is_neither_stored_nor_carried_into_a_place_at_a_clinic(api: Api) -> None:
    story, admin, both = a_story(api, 2), api.test_bank.act("admin"), api.acts_here
    cold: dict[str, Any] = {"kind": "freezer", "name": "Freezer", "rows": None, "cols": None, "temperature_class": "minus_80"}
    there = api.test_bank.write(lambda s: make_box(s, admin, site="CLINIC", **cold).code)
    held = api.test_bank.write(lambda s: make_box(s, admin, site="CLINIC", name="Held", purpose="quarantine").code)
    tube = story.vials[0]
    seq = now_of(api, tube)["seq"]
    refused(both.post(f"/specimens/{tube}/store", json={"container": there, "expected_seq": seq}), 409, "leaves_by_its_issue")
    box = now_of(api, tube)["container_code"]
    refused(both.post(f"/storage-containers/{box}/move", json={"to": there}), 409, "leaves_by_its_issue")
    assert now_of(api, tube)["site_code"] == "LAB"
    safe = both.post(f"/specimens/{tube}/store", json={"container": held, "expected_seq": seq})
    assert safe.status_code == 201, f"nothing keeps a tube out of a safe place: {safe.text}"


def test_what_a_clinic_took_goes_its_way_and_what_came_back_goes_home(api: Api) -> None:
    (taken,) = tubes(api, holder="clinic_staff", site="CLINIC")
    assert send(api, taken, "LAB", api.clinic_staff, from_site="CLINIC", temperature_class=None).status_code == 201
    story = a_story(api, 2).up_to("receive")
    onward = offer(api, api.clinic_staff, story.vials[:1], "courier", "CRYOGO")
    said = refused(onward, 409, "leaves_by_its_issue")
    assert "quality takes it back first" in said["detail"]
    assert story.take_back(api.acts_here, site="CLINIC").status_code == 200
    refused(send(api, story.vials[0], "OTHER", api.acts_here, from_site="CLINIC"), 409, "leaves_by_its_issue")
    assert send(api, story.vials[0], "LAB", api.acts_here, from_site="CLINIC").status_code == 201


def test_the_database_lets_nothing_reserved_or_kept_for_treatment_leave_otherwise(api: Api) -> None:
    story = a_story(api, 3).up_to("confirm")
    free = taken_out(api, bank_vials(api, story.donor, 1)[0])
    sql = "UPDATE custody SET state = 'in_transit', site_code = %s, container_code = NULL, position_code = NULL WHERE code = %s"
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        for tube, to in ((story.vials[0], "CLINIC"), (story.vials[0], "NORTH"), (free, "CLINIC")):
            connection.execute(sql, (to, tube))
            with pytest.raises(psycopg.errors.IntegrityError, match="leaves by its issue"):
                connection.execute("SET CONSTRAINTS what_is_reserved_leaves_by_its_issue IMMEDIATE")
            connection.rollback()
        connection.execute(sql, ("NORTH", free))
        connection.execute("SET CONSTRAINTS what_is_reserved_leaves_by_its_issue IMMEDIATE")
        connection.rollback()
