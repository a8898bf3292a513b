"""Quality's verdicts over HTTP, and the pure rule behind a release."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text

from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.foundation import clock
from biobank.foundation.db import table_of
from biobank.quality.decisions import release_refusals
from biobank.quality.events import Decision
from biobank.quality.lot_tests import LotTests
from biobank.specimens.models import LotTest
from tests import seed
from tests.conftest import Api
from tests.withdrawals.stories import a_donor, bank_vials, kinds_of, later, refused, sign_and_post, state_of


def fresh(api: Api, count: int = 1, **fields: Any) -> list[str]:
    """Vials nobody has decided about."""
    usual: dict[str, Any] = {"released": False, "basis": "undetermined"}
    return bank_vials(api, a_donor(api), count, **(usual | fields))


def decide(api: Api, path: str, decision: str, **more: Any) -> Any:
    """Decide and sign."""
    meaning = "rejected" if decision == "rejected" else "released"
    return sign_and_post(api.quality, meaning, path, {"decision": decision, "reason": "reviewed"} | more)


def basis(api: Api, path: str, value: str = "us_351_ind", authorisation: str | None = "IND 12345", **more: Any) -> Any:
    """Determine the basis and sign."""
    return sign_and_post(
        api.quality, "decided", path, {"basis": value, "reason": "assessed", "authorisation": authorisation} | more
    )


def all_passed(api: Api, vial: str, *besides: str) -> None:
    """Every test that a release of cultured cells rests on, passed; `besides` are left out."""
    for kind in sorted({"sterility", "endotoxin", "mycoplasma"} - set(besides)):
        add_test(api, lot_of(api, vial), kind, "passed")


def acceptances(api: Api, vial: str) -> dict[str, Any]:
    """The physician's and the patient's acceptance of a conditional release, stored and named."""
    person = api.quality.get(f"/specimens/{vial}").json()["donor"]
    return {
        "physician": seed.USERS["clinician"].code,
        "physician_accepted_at": clock.rfc3339(clock.now()),
        "physician_acceptance": stored(api, b"physician " + vial.encode()).json()["sha256"],
        "patient_accepted_at": clock.rfc3339(clock.now()),
        "patient_acceptance": stored(api, b"patient " + vial.encode(), donor=person).json()["sha256"],
    }


def stored(api: Api, data: bytes, **more: Any) -> Any:
    """A technician stores a file."""
    body = {"media_type": "application/pdf", "content": base64.b64encode(data).decode(), "site": "LAB"} | more
    return api.lab_tech.post("/attachments", json=body)


def lot_of(api: Api, vial: str) -> str:
    """The lot of a vial."""
    query = text("SELECT lot_code FROM specimen WHERE code = :code")
    return api.test_bank.write(lambda s: s.execute(query, {"code": vial}).scalar_one())  # type: ignore[no-any-return]


def add_test(api: Api, lot: str, kind: str, result: str) -> None:
    """A test of the lot, with a result or waiting for one."""

    def write(session: Any) -> None:
        leaf = session.execute(text("SELECT leaf_hash FROM event LIMIT 1")).scalar_one()
        session.execute(
            insert(table_of(LotTest)).values(
                id=uuid4(),
                lot_code=lot,
                kind=kind,
                sampled_at=clock.now(),
                result=result,
                due_at=clock.now() + timedelta(days=14),
                event_hash=leaf,
                recorded_at=clock.now(),
                recorded_by="SYSTEM",
                **seed.TESTED,
            )
        )

    api.test_bank.write(write)


def test_a_release_needs_a_regulatory_basis_first(api: Api) -> None:
    (vial,) = fresh(api, lot=True)
    all_passed(api, vial)
    refused(decide(api, f"/specimens/{vial}/decision", "released_to_bank"), 409, "regulatory_basis_undetermined")

    assert basis(api, f"/specimens/{vial}/basis").status_code == 200
    answer = decide(api, f"/specimens/{vial}/decision", "released_to_bank")

    assert (answer.status_code, answer.json()["items"][0]["quality"]) == (200, "released_to_bank"), answer.text
    assert kinds_of(api, "specimen", vial)[-2:] == ["specimen.basis_decided", "specimen.quality_decided"]
    assert state_of(api, vial)["quality"] == "released_to_bank"


def test_a_basis_that_exists_by_a_number_needs_the_number(api: Api) -> None:
    (vial,) = fresh(api)
    refused(basis(api, f"/specimens/{vial}/basis", authorisation=None), 409, "authorisation_required")
    assert basis(api, f"/specimens/{vial}/basis").status_code == 200


def test_a_lot_is_decided_in_one_append_or_not_at_all(api: Api) -> None:
    vials = fresh(api, 3, lot=True)
    all_passed(api, vials[0])
    lot = lot_of(api, vials[0])
    basis(api, f"/lots/{lot}/basis")
    held_back = vials[1]
    api.test_bank.write(
        lambda s: s.execute(text("UPDATE specimen SET regulatory_basis = 'undetermined' WHERE code = :c"), {"c": held_back})
    )

    refused(decide(api, f"/lots/{lot}/decision", "released_to_bank"), 409, "regulatory_basis_undetermined")
    assert {state_of(api, v)["quality"] for v in vials} == {"quarantined"}

    basis(api, f"/lots/{lot}/basis")
    answer = decide(api, f"/lots/{lot}/decision", "released_to_bank")
    assert [i["specimen"] for i in answer.json()["items"]] == sorted(vials)
    assert {state_of(api, v)["quality"] for v in vials} == {"released_to_bank"}


def test_a_lot_that_waits_for_a_test_is_released_only_conditionally_with_a_plan(api: Api) -> None:
    (vial,) = fresh(api, lot=True)
    lot = lot_of(api, vial)
    basis(api, f"/lots/{lot}/basis")
    all_passed(api, vial, "sterility")
    add_test(api, lot, "sterility", "pending")

    assert refused(decide(api, f"/lots/{lot}/decision", "released_to_bank"), 409, "lot_test_pending")["tests"] == ["sterility"]
    path, plan = f"/lots/{lot}/decision", {"notification_plan": "Call the clinic at once."}
    refused(decide(api, path, "released_conditionally"), 409, "notification_plan_required")
    refused(decide(api, path, "released_conditionally", **plan), 409, "acceptance_required")
    signed = plan | acceptances(api, vial)
    for wrong, code in (
        ({"patient_acceptance": stored(api, b"the bank's own").json()["sha256"]}, "acceptance_required"),
        ({"patient_acceptance": "0f" * 32}, "attachment_unknown"),
        ({"physician": seed.USERS["lab_tech"].code}, "acceptance_required"),
        ({"physician": seed.USERS["quality"].code}, "acceptance_required"),
        ({"patient_accepted_at": "2099-01-01T00:00:00Z"}, "implausible_time"),
        ({"patient_accepted_at": "2001-01-01T00:00:00Z"}, "before_it_existed"),
        ({"physician_accepted_at": "2001-01-01T00:00:00Z"}, "before_it_existed"),
        ({"physician_accepted_at": None}, "acceptance_required"),
    ):
        refused(decide(api, path, "released_conditionally", **(signed | wrong)), 409, code)
    answer = decide(api, path, "released_conditionally", **signed)

    assert answer.json()["items"][0]["quality"] == "released_conditionally"
    last = api.quality.get(f"/specimens/{vial}/custody").json()["items"][-1]
    assert last["body"]["pending_tests"] == ["sterility"]
    assert last["relies_on"] != []
    assert "Call" not in str(last)
    assert (last["body"]["physician"], last["body"]["patient_acceptance"]) == (signed["physician"], signed["patient_acceptance"])


def test_what_no_test_was_begun_of_or_is_overdue_is_not_released_conditionally(api: Api) -> None:
    (vial,) = fresh(api, lot=True, basis="us_351_ind")
    lot, path = lot_of(api, vial), f"/specimens/{vial}/decision"
    signed = {"notification_plan": "Call the clinic."} | acceptances(api, vial)
    missing = refused(decide(api, path, "released_conditionally", **signed), 409, "lot_test_missing")
    assert missing["tests"] == ["endotoxin", "mycoplasma", "sterility"]
    for kind in missing["tests"]:
        add_test(api, lot, kind, "pending")
    later(api, days=15)
    refused(decide(api, path, "released_conditionally", **signed), 409, "lot_test_overdue")
    add_test(api, lot, "sterility", "passed")
    refused(decide(api, path, "released_conditionally", **signed), 409, "lot_test_overdue")


def test_a_lot_with_a_failed_test_is_only_rejected(api: Api) -> None:
    (vial,) = fresh(api, lot=True, basis="us_351_ind")
    lot = lot_of(api, vial)
    add_test(api, lot, "endotoxin", "failed")
    for decision in ("released_to_bank", "released_conditionally"):
        answer = decide(api, f"/specimens/{vial}/decision", decision, notification_plan="None.")
        refused(answer, 409, "lot_test_failed")
    assert decide(api, f"/specimens/{vial}/decision", "rejected").json()["items"][0]["quality"] == "rejected"


def test_a_repeated_test_counts_by_its_latest_result(api: Api) -> None:
    (vial,) = fresh(api, lot=True, basis="us_351_ind")
    lot = lot_of(api, vial)
    add_test(api, lot, "sterility", "failed")
    all_passed(api, vial)
    assert decide(api, f"/specimens/{vial}/decision", "released_to_bank").status_code == 200


def test_only_quality_decides_and_signs_what_it_means(api: Api) -> None:
    (vial,) = fresh(api, basis="us_351_ind")
    path, body = f"/specimens/{vial}/decision", {"decision": "rejected", "reason": "reviewed"}
    refused(api.lab_tech.post(path, json=body), 403, "not_permitted")
    refused(api.auditor.post(path, json=body), 403, "not_permitted")
    refused(api.north_tech.post(path, json=body), 404, "not_found")
    refused(api.quality.post(path, json=body), 428, "signature_required")
    refused(sign_and_post(api.quality, "released", path, body), 403, "signature_invalid")


def test_a_lot_nobody_made_is_not_found(api: Api) -> None:
    refused(decide(api, "/lots/LT-0000000/decision", "rejected"), 404, "not_found")
    (vial,) = fresh(api, lot=True)
    refused(
        api.north_tech.post(f"/lots/{lot_of(api, vial)}/decision", json={"decision": "rejected", "reason": "x1"}),
        404,
        "not_found",
    )


kinds = st.sets(st.sampled_from(["sterility", "endotoxin", "mycoplasma"]))


@given(
    st.sampled_from(list(Decision)),
    st.sampled_from(["undetermined", "us_351_ind", "us_361"]),
    kinds,
    kinds,
    kinds,
    st.booleans(),
    st.booleans(),
)
def test_a_release_is_possible_exactly_when_the_rule_says_so(
    decision: Decision, law: str, passed: set[str], failed: set[str], pending: set[str], planned: bool, accepted: bool
) -> None:
    vial = Snapshot("AD26-1", "DN-A", 1, b"", Projection(state="stored"), material="adsc", unit="cells", regulatory_basis=law)
    tests = LotTests(passed=tuple(passed - failed), failed=tuple(failed), pending=tuple(pending))
    refusals = release_refusals(decision, vial, tests, clock.now(), planned=planned, accepted=accepted)
    conditional = decision is Decision.RELEASED_CONDITIONALLY
    known = passed | pending if conditional else passed
    said = planned and accepted if conditional else not pending
    right = decision is Decision.REJECTED or (law == "us_351_ind" and not failed and said and len(known) == 3)
    assert (not refusals) == right
