"""How much of a donor's material stays: what counts as remaining, and the reserve that quality sets."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from biobank.custody.legality import ActiveHold
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.quality.findings import NOTHING_FOUND, Count, Findings
from biobank.quality.lot_tests import LotTests
from biobank.quality.reserves import NO_RESERVE, Reserve, remaining, remaining_after
from tests.conftest import Api
from tests.custody.test_database_refuses import attack
from tests.seed import PASSWORD, USERS
from tests.withdrawals.stories import AMOUNT, a_donor, bank_vials, by_two, kinds_of, refused, sign_and_post


def test_what_is_doubted_reserved_or_thawed_does_not_remain(api: Api) -> None:
    donor = a_donor(api)
    codes = bank_vials(api, donor, 3)
    units = api.test_bank.write(lambda s: list(load(s, codes, holds=True).values()))
    first, chosen, other = units
    at = clock.now()
    hold = ActiveHold("1", "recall", "donor", donor, ("issue", "destroy"))
    spoiled = {
        "held": replace(first, holds=(hold,)),
        "rejected": replace(first, projection=replace(first.projection, quality="rejected")),
        "quarantined": replace(first, projection=replace(first.projection, quality="quarantined")),
        "thawed": replace(first, projection=replace(first.projection, condition="thawed")),
        "empty": replace(first, projection=replace(first.projection, amount=0)),
        "reserved": replace(first, projection=replace(first.projection, reserved_for="WD-0000000")),
        "elsewhere": replace(first, projection=replace(first.projection, state="issued")),
        "expired": replace(first, expires_at=at),
        "for tests": replace(first, purpose="qc"),
        "no basis": replace(first, regulatory_basis="undetermined"),
        "lot failed": first,
        "found broken": first,
        "counted too low": first,
        "came back undecided": first,
    }
    count = Count(30, 100, 8000, at, shown=False)
    found: dict[str, Findings] = {
        "lot failed": Findings(tests=LotTests(failed=("sterility",))),
        "found broken": Findings(wrong=("container_intact",)),
        "counted too low": Findings(count=count),
        "came back undecided": Findings(came_back=True),
    }
    fit = dict.fromkeys(codes, NOTHING_FOUND)
    whole = remaining(donor, "adsc", units, fit, [chosen.code], at)
    assert (whole.units, whole.amounts, whole.taken, whole.takes_the_last) == (2, {"cells": 2 * AMOUNT}, 1, False)
    for why, one in spoiled.items():
        known = fit | {first.code: found.get(why, NOTHING_FOUND)}
        left = remaining(donor, "adsc", [one, chosen, other], known, [chosen.code], at)
        assert left.units == 1, why
        assert remaining(donor, "adsc", [one, chosen], known, [chosen.code], at).takes_the_last, why
        assert remaining(donor, "adsc", [one], known, [one.code], at).taken == (why in ("reserved", "elsewhere")), why


@pytest.mark.parametrize(
    ("reserve", "below"),
    [
        (NO_RESERVE, False),
        (Reserve(units=1), False),
        (Reserve(units=2), True),
        (Reserve(amount=AMOUNT, unit="cells"), False),
        (Reserve(amount=AMOUNT + 1, unit="cells"), True),
        (Reserve(units=1, amount=AMOUNT + 1, unit="cells"), True),
    ],
)
def test_below_the_reserve_is_fewer_units_or_less_in_all_than_was_set(api: Api, reserve: Reserve, below: bool) -> None:
    donor = a_donor(api)
    codes = bank_vials(api, donor, 2)
    units = api.test_bank.write(lambda s: list(load(s, codes, holds=True).values()))
    left = remaining(donor, "adsc", units, dict.fromkeys(codes, NOTHING_FOUND), codes[:1], clock.now(), reserve)
    assert (left.below_reserve, left.takes_the_last) == (below, False)
    assert not remaining(
        donor, "adsc", units, dict.fromkeys(codes, NOTHING_FOUND), [], clock.now(), Reserve(units=9)
    ).below_reserve


def test_quality_sets_a_reserve_with_a_signature_and_everybody_who_reads_withdrawals_sees_it(api: Api) -> None:
    donor = a_donor(api)
    codes = bank_vials(api, donor, 2)
    path, body = f"/donors/{donor}/reserves", {"material": "adsc", "units": 2}
    refused(api.lab_tech.post(path, json=body), 403, "not_permitted")
    refused(api.quality.post(path, json=body), 428, "signature_required")
    set_ = sign_and_post(api.quality, "decided", path, body)
    assert (set_.status_code, set_.json()["units"], set_.json()["usable_units"]) == (200, 2, 2), set_.text
    (seen,) = api.clinician.get(path).json()["items"]
    assert seen["sentence"].endswith("The reserve is 2 units."), seen
    left = api.test_bank.write(lambda s: remaining_after(s, donor, "adsc", codes[:1]))
    assert (left.below_reserve, left.units) == (True, 1)
    assert by_two(api.quality, api.quality2, path, {"material": "adsc"}).json()["units"] is None
    assert kinds_of(api, "donor", donor)[-2:] == ["donor.reserve_set"] * 2


@pytest.mark.parametrize("left", ["LAB", "NORTH"])
def test_who_proposed_a_lower_reserve_must_still_be_quality_wherever_the_material_is(api: Api, left: str) -> None:
    donor = a_donor(api)
    vials = bank_vials(api, donor, 2)
    path = f"/donors/{donor}/reserves"
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE specimen SET home_site_code = 'NORTH' WHERE code = %s", (vials[0],))
    assert sign_and_post(api.quality, "decided", path, {"material": "adsc", "units": 2}).status_code == 200
    half = sign_and_post(api.quality, "decided", path, {"material": "adsc", "units": 1}).json()
    whole = {"material": "adsc", "units": 1, "pending_act": half["pending_act"]}
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = %s WHERE user_code = %s", (left, USERS["quality"].code))
    refused(sign_and_post(api.quality2, "decided", path, whole), 409, "pending_act_over")
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = NULL WHERE user_code = %s", (USERS["quality"].code,))
    assert sign_and_post(api.quality2, "decided", path, whole).json()["units"] == 1


@pytest.mark.parametrize(
    ("change", "constraint"),
    [("units = 0", "a_reserve_is_something"), ("amount = 5", "an_amount_kept_has_a_unit")],
)
def test_the_database_keeps_no_reserve_of_nothing_and_no_amount_without_a_unit(api: Api, change: str, constraint: str) -> None:
    donor = a_donor(api)
    sign_and_post(api.quality, "decided", f"/donors/{donor}/reserves", {"material": "adsc", "units": 2})
    error = attack(api.test_bank, f"UPDATE donor_reserve SET {change}")
    assert error.diag.constraint_name == constraint


def test_a_reserve_in_a_measure_of_another_material_is_refused(api: Api) -> None:
    path = f"/donors/{a_donor(api)}/reserves"
    for wrong in ({"amount": 5}, {"unit": "cells"}, {"amount": 5, "unit": "follicles"}):
        assert api.quality.post(path, json={"material": "adsc"} | wrong).status_code == 422


def test_the_page_says_what_there_is_and_sets_it(api: Api, visit: Any) -> None:
    donor = a_donor(api)
    bank_vials(api, donor, 2)
    page = visit("quality")
    assert "2 usable units will remain" in page.get_page(f"/donors/{donor}/reserve")
    done = page.submit(f"/donors/{donor}/reserve", {"material": "adsc", "units": "1", "password": PASSWORD})
    assert "The reserve is set." in done.text and "The reserve is 1 unit." in done.text
