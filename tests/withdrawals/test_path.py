"""The whole path of a treatment withdrawal over HTTP, with the right people."""

from typing import Any

from sqlmodel import Session

from biobank.custody.event import rules
from biobank.custody.projection import Projection
from biobank.custody.rebuild import projection_of
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.withdrawals.events import WithdrawalEvent
from tests.conftest import Api
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_story,
    bank_vials,
    kinds_of,
    later,
    lift_all,
    put_away,
    refused,
    sign_and_post,
    state_of,
)


def test_a_vial_goes_back_to_its_donor_through_every_step(api: Api) -> None:
    story = a_story(api, 2)
    (vial, _other) = story.vials

    assert story.request().json()["waits_for"] == ["quality's approval, with a signature"]
    assert state_of(api, vial)["reserved_for"] is None
    assert story.approve().json()["state"] == "approved"
    assert state_of(api, vial)["reserved_for"] == story.code
    assert story.pick().json()["state"] == "picking"
    assert story.confirm().json()["waits_for"] == ["issue: hand it over to the clinic or a courier"]
    assert story.issue().json()["state"] == "issued"
    assert story.receive().json()["state"] == "delivered"
    assert state_of(api, vial)["site_code"] == "CLINIC"
    assert story.thaw().status_code == 200
    first = story.check()
    assert (first.json()["status"], first.json()["release"]) == ("waiting_for_second_person", None)
    second = story.check(api.clinic_staff)
    assert second.json()["status"] == "released", second.text
    given = story.administer()
    assert (given.status_code, given.json()["state"]) == (200, "administered"), given.text
    assert story.outcome(words="Healed well.").json()["state"] == "closed"

    projection = state_of(api, vial)
    assert projection["state"] == "administered"
    assert (projection["custodian_kind"], projection["custodian_id"]) == ("recipient", story.donor)
    assert (projection["amount"], projection["reserved_for"]) == (200_000, None)
    assert projection["administered_under"] == story.release
    assert kinds_of(api, "specimen", vial)[-6:] == [
        "specimen.reserved",
        "specimen.checked_out",
        "specimen.issued",
        "specimen.delivered",
        "specimen.thawed",
        "specimen.administered",
    ]
    assert kinds_of(api, "withdrawal", story.code) == [
        "withdrawal.requested",
        "withdrawal.approved",
        "withdrawal.picked",
        "withdrawal.pick_confirmed",
        "withdrawal.issued",
        "withdrawal.received",
        "withdrawal.bedside_check_opened",
        "withdrawal.bedside_check_passed",
        "withdrawal.administered",
        "withdrawal.outcome_recorded",
        "withdrawal.closed",
    ]


def test_the_projection_of_an_administered_vial_is_what_the_log_says(api: Api) -> None:
    story = a_story(api).up_to("administer")
    (vial,) = story.vials

    def both(session: Session) -> tuple[Projection, Projection]:
        rebuilt = projection_of(session, vial)
        assert rebuilt is not None
        return load(session, [vial])[vial].projection, rebuilt.projection

    stored, rebuilt = api.test_bank.write(both)
    assert stored == rebuilt


def test_the_state_of_a_withdrawal_is_the_fold_of_its_stream(api: Api) -> None:
    story = a_story(api, 2)
    story.request(specimens=story.vials)
    story.approve()
    for vial in story.vials:
        story.pick(tube=vial)
        story.confirm(tube=vial)
    story.issue()
    story.receive(tubes=story.vials[:1])
    story.thaw()
    story.check()
    story.check(api.clinic_staff)
    story.administer()
    story.take_back(tube=story.vials[1])
    story.outcome()

    state = ""
    for event in api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"]:
        cls = rules.by_kind[event["kind"]]
        assert issubclass(cls, WithdrawalEvent)
        state = event["body"].get("state") or (cls.leads_to.value if cls.leads_to else state)
    shown = api.auditor.get(f"/withdrawals/{story.code}").json()
    assert state == shown["state"] == "closed"
    assert [i["state"] for i in shown["items"]] == [state_of(api, v)["state"] for v in sorted(story.vials)]


def test_an_administration_commits_to_the_approval_the_check_and_the_consent(api: Api) -> None:
    story = a_story(api).up_to("administer")

    history = api.auditor.get(f"/specimens/{story.vials[0]}/custody").json()["items"]
    own = api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"]
    relied = set(history[-1]["relies_on"])
    leaf_of = {e["kind"]: e["leaf_hash"] for e in own}
    assert history[-1]["kind"] == "specimen.administered"
    assert {leaf_of["withdrawal.approved"], leaf_of["withdrawal.bedside_check_passed"]} <= relied
    assert len(relied) == 3
    approved = next(e for e in own if e["kind"] == "withdrawal.approved")
    assert len(relied & set(approved["relies_on"])) == 1, "the approval and the administration rest on one consent"


def test_two_vials_are_given_one_after_the_other_and_the_withdrawal_ends_with_the_second(api: Api) -> None:
    story = a_story(api, 2)
    story.request(specimens=story.vials)
    story.approve()
    for vial in story.vials:
        assert story.pick(tube=vial).status_code == 201
        assert story.confirm(tube=vial).status_code == 201
    assert story.issue().status_code == 200
    assert story.receive(tubes=story.vials).status_code == 200
    states = []
    for vial in story.vials:
        story.thaw(tube=vial)
        story.check(product=vial)
        story.check(api.clinic_staff, product=vial)
        states.append(story.administer(product=vial).json()["state"])

    assert states == ["delivered", "administered"]


def test_the_bank_chooses_the_longest_banked_usable_vials_when_none_is_named(api: Api) -> None:
    story = a_story(api)
    later(api, days=1)
    bank_vials(api, story.donor)

    answer = story.request(specimens=[], units=1)

    assert answer.json()["specimens"] == story.vials


def test_a_frozen_vial_comes_back_on_its_loggers_evidence_and_can_be_asked_for_again(api: Api) -> None:
    story = a_story(api).up_to("receive")

    answer = story.take_back()

    assert (answer.status_code, answer.json()["state"]) == (200, "returned"), answer.text
    projection = state_of(api, story.vials[0])
    assert (projection["state"], projection["reserved_for"], projection["site_code"]) == ("received", None, "LAB")
    put_away(api, story.vials[0])
    assert story.request().status_code == 201


def count(api: Api, vial: str, counted: dict[str, Any]) -> int:
    """Record a count of a vial; return the answer's status."""
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    return api.lab_tech.post(f"/specimens/{vial}/viability-assays", json=counted | {"expected_seq": seq}).status_code


def test_a_vial_is_thawed_at_the_bench_on_that_route_and_leaves_thawed(api: Api) -> None:
    story = a_story(api)
    story.request(route="thaw_and_ship")
    story.approve()
    story.pick()
    story.confirm()
    assert story.issue().json()["code"] == "wrong_condition_for_route"

    assert story.thaw(api.lab_tech).status_code == 200
    assert story.issue().json()["code"] == "count_after_thaw_missing"
    before = {"method": "trypan_blue", "live": 190, "dead": 10, "dilution_milli": 2000}
    assert count(api, story.vials[0], before) == 201
    assert story.issue().json()["code"] == "no_criterion_for_count", "nothing was demanded of it"
    after = before | {"minutes_after_thaw": 10}
    assert count(api, story.vials[0], after) == 201
    assert story.issue().json()["code"] == "no_criterion_for_count", "it passed nothing"
    demand(api)
    assert story.issue().json()["code"] == "no_criterion_for_count", "nothing was demanded before it was counted"
    assert count(api, story.vials[0], after | {"live": 10, "dead": 190}) == 201
    assert story.issue().json()["code"] == "on_hold"
    assert count(api, story.vials[0], after) == 201
    assert story.issue().json()["code"] == "on_hold", "a second count lifts nothing"
    lift_all(api, story.vials[0])
    assert story.issue().json()["code"] == "final_label_missing"
    assert story.label().status_code == 200
    assert story.issue().json()["state"] == "issued"


def demand(api: Api) -> None:
    """Quality demands that 80 % live."""
    demanded = {"site": "LAB", "material": "adsc", "minimum_bp": 8000}
    assert sign_and_post(api.quality, "decided", "/viability/criteria", demanded).status_code == 201


def test_a_count_that_says_it_was_made_after_the_thaw_and_was_not_lets_nothing_leave_thawed(api: Api) -> None:
    demand(api)
    story = a_story(api)
    story.request(route="thaw_and_ship")
    assert count(api, story.vials[0], {"method": "trypan_blue", "live": 190, "dead": 10, "minutes_after_thaw": 5}) == 201
    assert story.approve(api.quality2, api.quality).status_code == 200
    for step in (story.pick, story.confirm):
        assert step().status_code == 201
    assert story.thaw(api.lab_tech).status_code == 200
    refused(story.issue(), 409, "count_after_thaw_missing")


def test_a_courier_holds_the_vial_once_it_accepted_it(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    assert story.issue(courier="COLD_EXPRESS").json()["code"] == "courier_evidence_required"

    story.issue(courier="COLD_EXPRESS", evidence="waybill 4711")

    projection = state_of(api, story.vials[0])
    assert (projection["custodian_kind"], projection["custodian_id"]) == ("courier", "COLD_EXPRESS")


def test_a_cancelled_withdrawal_frees_its_vials(api: Api) -> None:
    story = a_story(api).up_to("approve")

    answer = api.clinician.post(f"/withdrawals/{story.code}/cancel", json={"reason": "patient_ill"})

    assert answer.json()["state"] == "cancelled"
    assert state_of(api, story.vials[0])["reserved_for"] is None
    assert story.request().status_code == 201


def test_a_rejected_withdrawal_reserves_nothing(api: Api) -> None:
    story = a_story(api).up_to("request")

    path = f"/withdrawals/{story.code}/reject"
    answer = sign_and_post(api.quality, "rejected", path, {"reason": "not_indicated"})

    assert answer.json()["state"] == "rejected"
    assert state_of(api, story.vials[0])["reserved_for"] is None


def test_feasibility_counts_what_is_usable_and_says_why_the_rest_is_not(api: Api) -> None:
    story = a_story(api, 2)
    bank_vials(api, story.donor, released=False)
    bank_vials(api, story.donor, basis="undetermined", released=False)

    answer = api.clinician.get("/withdrawals/feasibility", params={"donor": story.donor, "material": "adsc"}).json()

    assert (answer["usable"], answer["amount"]) == (2, 2 * AMOUNT)
    assert answer["reasons"] == {"not_released": 1, "regulatory_basis_undetermined": 1}
    assert answer["consent"] is None


def test_a_replayed_administration_is_answered_once_and_written_once(api: Api) -> None:
    story = a_story(api).up_to("check")
    body = {
        "product": story.vials[0],
        "release": story.release,
        "given": AMOUNT,
        "residue": 0,
        "loss": 0,
        "volume_ul": 1500,
        "anatomical_site": "scalp",
        "started_at": rfc3339(clock.now()),
        "reaction": False,
    }
    path = f"/withdrawals/{story.code}/administer"
    first = api.clinician.post(path, json=body, headers={"Idempotency-Key": "give-1"})

    again = api.clinician.post(path, json=body, headers={"Idempotency-Key": "give-1"})

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert kinds_of(api, "specimen", story.vials[0]).count("specimen.administered") == 1


def test_a_serious_adverse_event_opens_a_critical_deviation(api: Api) -> None:
    story = a_story(api).up_to("administer")

    story.outcome(result="serious_adverse_event", words="Fever.")

    (deviation,) = api.quality.get("/deviations").json()["items"]
    assert (deviation["severity"], deviation["topic"]) == ("critical", "serious_adverse_event")
    detail = api.quality.get(f"/deviations/{deviation['code']}").json()
    assert {s["id"] for s in detail["affected"]} == {story.code, story.vials[0]}


def shipped(story: Story) -> str:
    """The issued vial leaves with a courier; return the shipment's code."""
    (vial,) = story.vials
    seq = story.api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {
        "from_site": "LAB",
        "to_site": "CLINIC",
        "specimens": [{"specimen": vial, "expected_seq": seq}],
        "courier": "COLD_EXPRESS",
        "evidence": "waybill 4711",
    }
    answer = story.api.lab_tech.post("/shipments", json=body)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["code"]
    return code


def test_a_withdrawal_whose_vial_travels_is_in_transit_until_the_clinic_has_it(api: Api) -> None:
    story = a_story(api).up_to("issue")
    shipped(story)
    seen = api.clinician.get(f"/withdrawals/{story.code}").json()
    assert (seen["state"], seen["waits_for"]) == ("in_transit", [f"{story.vials[0]}: receive it at the clinic"])

    assert story.receive().json()["state"] == "delivered"

    projection = state_of(api, story.vials[0])
    assert (projection["state"], projection["shipment_code"], projection["custodian_kind"]) == ("delivered", None, "user")


def test_a_vial_whose_shipment_was_refused_waits_for_qualitys_decision(api: Api) -> None:
    story = a_story(api).up_to("issue")
    shipment = shipped(story)
    refused_there = api.lab_tech.post(
        f"/shipments/{shipment}/refuse", json={"reason": "clinic_closed", "temperature_mc": -150_000}
    )
    assert refused_there.status_code == 200, refused_there.text
    assert state_of(api, story.vials[0])["state"] == "received"
    put_away(api, story.vials[0])
    feasible = api.quality.get("/withdrawals/feasibility", params={"donor": story.donor}).json()
    assert feasible["usable"] == 0

    assert story.take_back().json()["code"] == "illegal_transition"
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq}
    api.lab_tech.post(f"/specimens/{story.vials[0]}/events", json=out)
    assert story.take_back().json()["state"] == "returned"
