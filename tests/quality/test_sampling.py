"""Whoever samples a unit that is kept for treatment takes of what somebody approved, holds or wants to stay."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.withdrawals.stories import AMOUNT, a_donor, a_story, bank_vials, refused, sign_and_post, state_of


def seq_of(api: Api, tube: str) -> int:
    """The number of a tube's latest event."""
    return int(api.quality.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"])


def take(api: Api, tube: str, amount: int) -> Any:
    """A technician takes the tube out and samples it."""
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=out).status_code == 201
    body = {"kind": "specimen.sampled", "amount": amount, "purpose": "count", "expected_seq": seq_of(api, tube)}
    return api.lab_tech.post(f"/specimens/{tube}/events", json=body)


def test_a_tube_that_was_approved_is_not_sampled(api: Api) -> None:
    story = a_story(api, 2).up_to("approve")
    refused(take(api, story.vials[0], 1000), 409, "reserved_elsewhere")
    assert state_of(api, story.vials[0])["amount"] == AMOUNT
    assert take(api, story.vials[1], 1000).status_code == 201


@pytest.mark.parametrize(
    ("kind", "stops"), [("recall", True), ("legal", True), ("identity", False), ("investigation", False), ("quality", False)]
)
def test_a_hold_that_keeps_a_unit_whole_keeps_it_from_being_sampled(api: Api, kind: str, stops: bool) -> None:
    (vial,) = bank_vials(api, a_donor(api))
    body = {"scope_kind": "specimen", "scope_id": vial, "kind": kind, "reason": "test"}
    assert api.quality.post("/holds", json=body).status_code == 201
    answer = take(api, vial, 1000)
    assert refused(answer, 409, "on_hold") if stops else answer.status_code == 201


def test_sampling_leaves_the_amount_that_is_to_stay(api: Api) -> None:
    donor = a_donor(api)
    (vial,) = bank_vials(api, donor)
    reserved = {"material": "adsc", "amount": AMOUNT - 2000, "unit": "cells"}
    assert sign_and_post(api.quality, "decided", f"/donors/{donor}/reserves", reserved).status_code == 200
    assert take(api, vial, 1500).status_code == 201
    body = {"kind": "specimen.sampled", "amount": 1000, "purpose": "count", "expected_seq": seq_of(api, vial)}
    refused(api.lab_tech.post(f"/specimens/{vial}/events", json=body), 409, "below_reserve")
