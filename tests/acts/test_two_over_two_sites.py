"""Acts of two people that reach a second site: both must be allowed there too, and who proposed it still when it is completed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.conftest import Api, Client
from tests.quality.test_cultures import grown, look, seq
from tests.quality.test_identifying import found_without_a_name, missing_vial, seq_of
from tests.seed import A_REPORT, LONG_AGO, USERS
from tests.withdrawals.stories import a_donor, bank_vials, refused, sign_and_post


@dataclass(frozen=True)
class AtTwoSites:
    """What two people of quality at LAB send about something of which a part is kept at NORTH."""

    path: str
    body: dict[str, Any]


def kept_at_north(api: Api, specimen: str) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE specimen SET home_site_code = 'NORTH' WHERE code = %s", (specimen,))


def lowering_a_reserve(api: Api) -> AtTwoSites:
    donor = a_donor(api)
    kept_at_north(api, bank_vials(api, donor, 2)[0])
    path, body = f"/donors/{donor}/reserves", {"material": "adsc", "units": 2}
    assert sign_and_post(api.quality, "decided", path, body).status_code in (200, 201)
    return AtTwoSites(path, body | {"units": 1})


def resolving_an_item(api: Api) -> AtTwoSites:
    vial = missing_vial(api)
    kept_at_north(api, vial)
    item = found_without_a_name(api)
    body = {"same_as": vial, "evidence_sha256": A_REPORT, "expected_seq": seq_of(api.quality, item)}
    return AtTwoSites(f"/specimens/{item}/resolve", body)


ACTS: dict[str, Callable[[Api], AtTwoSites]] = {"reserve": lowering_a_reserve, "resolve": resolving_an_item}


def grants(api: Api, user: str, *roles: tuple[str, str | None]) -> None:
    """Let a login have these roles and no other."""
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("DELETE FROM user_role WHERE user_code = %s", (USERS[user].code,))
        for role, site in roles:
            given = "INSERT INTO user_role (user_code, role, site_code, granted_at, granted_by) VALUES (%s, %s, %s, %s, 'SYSTEM')"
            connection.execute(given, (USERS[user].code, role, site, LONG_AGO))


AT_BOTH = (("quality", "LAB"), ("quality", "NORTH"))


def half(client: Client, what: AtTwoSites, pending: str | None = None) -> Any:
    return sign_and_post(client, "decided", what.path, what.body | ({"pending_act": pending} if pending else {}))


@pytest.mark.parametrize("act", sorted(ACTS))
def test_both_are_quality_at_both_sites_and_who_proposed_it_still_at_its_end(api: Api, act: str) -> None:
    what = ACTS[act](api)
    grants(api, "quality", ("quality", "LAB"), ("auditor", "NORTH"))
    grants(api, "quality2", *AT_BOTH)
    refused(half(api.quality, what), 403, "not_permitted")

    grants(api, "quality", *AT_BOTH)
    pending = half(api.quality, what).json()["pending_act"]
    grants(api, "quality2", ("quality", "LAB"), ("auditor", "NORTH"))
    refused(half(api.quality2, what, pending), 403, "not_permitted")

    grants(api, "quality2", *AT_BOTH)
    grants(api, "quality", ("quality", "LAB"), ("auditor", "NORTH"))
    refused(half(api.quality2, what, pending), 409, "pending_act_over")

    grants(api, "quality", *AT_BOTH)
    assert half(api.quality2, what, pending).status_code == 200


def test_quality_of_where_a_culture_stands_discards_no_surplus_of_what_another_bank_keeps(api: Api) -> None:
    one = grown(api)
    assert look(api, one).status_code == 201
    kept_at_north(api, one["code"])
    body = {"vessels": 2, "amount": 10_000_000, "reason": "surplus"} | seq(api, one)
    what = AtTwoSites(f"/specimens/{one['code']}/culture/discard", body)
    pending = half(api.lab_tech, what).json()["pending_act"]
    refused(half(api.lab_quality, what, pending), 403, "not_permitted")
    assert half(api.quality, what, pending).status_code == 200
