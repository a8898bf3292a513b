"""The newest routes on which material ends, moves or changes hands, tried by every login, every pair, and roundabout."""

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_person import Proposed
from biobank.quality.closing import CarryOutClosing, carry_out_closing
from biobank.quality.culture_schemas import DiscardVessels
from biobank.quality.cultures import discard_vessels
from biobank.quality.merging import MergeDonors, merge_donors
from biobank.quality.reattributing import ReattributeHarvest, reattribute_harvest
from tests.conftest import Api
from tests.donors import stories as donors
from tests.quality.test_closing import accept, announce
from tests.quality.test_cultures import discarding, grown, look, seq
from tests.quality.test_ending_hostile import LOGINS, Attempt, as_, seq_of, signed, succeeds
from tests.quality.test_reattributing import OTHER, in_a_harvest, say
from tests.seed import A_REPORT, USERS
from tests.specimens import stories
from tests.withdrawals.stories import a_donor, bank_vials, by_two, kinds_of, later, refused, sign_and_post

Json = dict[str, Any]


@pytest.fixture
def banked(api: Api) -> tuple[str, str, str, str]:
    """A donor, the harvest of two banked vials of theirs, one of the vials, and another donor."""
    donor = a_donor(api)
    assert donors.consent(api.clinician, donor, "banking").status_code == 201
    vials = bank_vials(api, donor, 2)
    return donor, in_a_harvest(api, donor, vials), vials[0], donors.register(api.clinician, **OTHER)


@pytest.mark.parametrize("kind", ["legal", "recall"])
def test_a_hold_on_a_donor_goes_along_with_a_harvest_that_was_theirs(api: Api, banked: Any, kind: str) -> None:
    donor, harvest, vial, other = banked
    hold: Json = {"scope_kind": "donor", "scope_id": donor, "kind": kind, "reason": "court_order"}
    assert api.quality.post("/holds", json=hold).status_code == 201

    done = say(api, harvest, other)

    assert done.status_code == 200, done.text
    held = {one["kind"] for one in api.quality.get(f"/specimens/{vial}").json()["holds"]}
    assert held == {kind, "identity"}
    assert api.quality.get(f"/donors/{donor}").json()["holds"], "theirs stands as it stood"


def test_an_end_that_was_announced_of_somebody_elses_cells_is_announced_anew(api: Api, banked: Any) -> None:
    _donor, harvest, vial, other = banked
    bank_vials(api, other, 2)
    said = {"reason": "surplus"} | seq(api, {"code": vial})
    announced = sign_and_post(api.quality, "decided", f"/specimens/{vial}/end", said)
    assert announced.status_code in (200, 201), announced.text
    later(api, days=8)

    done = say(api, harvest, other)
    assert done.status_code == 200, done.text

    body = {"reason": "surplus", "method": "autoclave"} | seq(api, {"code": vial})
    (hold,) = api.quality.get("/holds", params={"scope": harvest, "active": True}).json()["items"]
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "identified"})
    assert lifted.status_code == 200, lifted.text
    assert kinds_of(api, "specimen", vial)[-2:] == ["specimen.end_withdrawn", "specimen.reattributed"]
    refused(by_two(api.lab_tech, api.quality, f"/specimens/{vial}/discard", body), 409, "not_announced")


def test_two_technicians_leave_no_more_of_a_culture_than_its_vessels_say(api: Api) -> None:
    one = grown(api)
    all_but_one = {"vessels": 5, "amount": 29_999_999}
    for reason in ("broken", "detached", "contaminated"):
        if reason != "broken":
            stories.made(look(api, one, reason, vessels=5))
        assert discarding(api, one, reason=reason, **all_but_one).status_code in {403, 409}, reason
    assert discarding(api, one, reason="broken", vessels=5, amount=25_000_000).status_code == 403, "quality sees what is left"
    assert api.lab_tech.get(f"/specimens/{one['code']}/culture").json()["vessels"] == 6


def test_a_suspicion_discards_nothing(api: Api) -> None:
    one = grown(api)
    stories.made(look(api, one, "contamination_suspected", vessels=1))
    assert stories.refused(discarding(api, one)) == (409, "vessels_reason_not_seen")


def test_two_of_quality_loosen_a_rule_of_ending_and_one_makes_it_stricter(api: Api) -> None:
    path, looser = "/ending-rules", {"site": "LAB", "cooling_off_days": 1, "usable_rest_percent": 1}
    alone = sign_and_post(api.quality, "decided", path, looser)
    assert alone.json()["status"] == "pending", alone.text
    again = looser | {"pending_act": alone.json()["pending_act"]}
    refused(sign_and_post(api.quality, "decided", path, again), 403, "second_person_must_differ")
    refused(sign_and_post(api.lab_tech_north_quality, "decided", path, again), 403, "not_permitted")
    strict = {"site": "LAB", "cooling_off_days": 30, "usable_rest_percent": 80}
    assert sign_and_post(api.quality, "decided", path, strict).json()["status"] == "done"
    for fewer in (strict | {"cooling_off_days": 29}, strict | {"usable_rest_percent": 79}):
        assert sign_and_post(api.quality, "decided", path, fewer).json()["status"] == "pending"
    done = by_two(api.quality, api.quality2, path, looser)
    assert (done.status_code, done.json()["cooling_off_days"]) == (200, 1), done.text


Pairs = set[tuple[str, str]]


def taken_by(api: Api, start: Callable[[Session, Act, str | None], Any], logins: Sequence[str]) -> Pairs:
    """The pairs of logins, one login twice included, who do an act of two people. `start`: one half, of a login's act."""
    bank = api.test_bank

    def pair(first: str, second: str) -> Attempt:
        def attempt(session: Session, _unit: str) -> Any:
            proposed = start(session, as_(bank, first), None)
            if not isinstance(proposed, Proposed):
                raise AssertionError(f"{first} did it alone")
            return start(session, as_(bank, second), str(proposed.pending_act))

        return attempt

    return {(a, b) for a, b in product(logins, logins) if succeeds(bank, "", pair(a, b))}


def half(use_case: Callable[..., Any], subject: str, request: BaseModel) -> Callable[[Session, Act, str | None], Any]:
    """One half of an act of two people, signed."""

    def start(session: Session, act: Act, pending: str | None) -> Any:
        act, body = signed(session, act, request)
        return use_case(session, act, subject, body.model_copy(update={"pending_act": pending and UUID(pending)}))

    return start


QUALITY = {"quality", "quality2"}
BENCH = {"lab_tech", "lab_tech2"}
ELSEWHERE = ("north_tech", "lab_quality", "lab_tech_north_quality", "other_clinician", "acts_here")
"""Logins of other sites, of quality at one, and one with every role here: a person all the same."""


def two_of(logins: Collection[str]) -> Pairs:
    """Every two of these, in either order."""
    return {(a, b) for a, b in product(logins, logins) if a != b}


def test_only_two_of_quality_merge_move_a_harvest_or_hand_over_a_bank(api: Api, banked: Any) -> None:
    """Of every pair of logins here and at two other sites; one who is two of them by role or by person is one."""
    donor, harvest, _vial, other = banked
    twice = donors.register(api.clinician, external_ids=[])
    closing = announce(api).json()["id"]
    assert accept(api, closing).status_code == 200
    logins = [*LOGINS, *ELSEWHERE]
    everywhere, at_the_bank = {*QUALITY, "acts_here"}, {*QUALITY, "acts_here", "lab_quality"}
    evidence = {"evidence_sha256": A_REPORT}
    merge = half(merge_donors, donor, MergeDonors.model_validate(evidence | {"duplicate": twice}))
    move = half(reattribute_harvest, harvest, ReattributeHarvest.model_validate(evidence | {"donor": other}))
    close = half(carry_out_closing, closing, CarryOutClosing(receipt=A_REPORT))

    assert taken_by(api, merge, logins) == two_of(everywhere)
    assert taken_by(api, move, logins) == two_of(everywhere), "quality of the bank alone does not know the other donor"
    assert taken_by(api, close, logins) == set(), "the time to think it over is not past"
    later(api, days=8)
    assert taken_by(api, close, logins) == two_of(at_the_bank)

    mine = {"same_person_as": USERS["quality"].code}
    assert api.admin.patch(f"/users/{USERS['quality2'].code}", json=mine).status_code == 200
    for act in (merge, move, close):
        assert taken_by(api, act, sorted(QUALITY)) == set(), "one person with two logins"


def test_only_declared_pairs_discard_vessels_each_by_its_reason(api: Api) -> None:
    one = grown(api)
    stories.made(look(api, one, "contaminated", vessels=5))
    code, start = one["code"], api.test_bank.write(lambda s: seq_of(s, one["code"]))

    def discarding_by(reason: str, vessels: int, amount: int) -> Pairs:
        body = {"vessels": vessels, "amount": amount, "reason": reason, "expected_seq": start}
        return taken_by(api, half(discard_vessels, code, DiscardVessels.model_validate(body)), [*LOGINS, "north_tech"])

    bench = two_of(BENCH | QUALITY)
    with_quality = {(a, b) for a, b in bench if b in QUALITY}
    assert discarding_by("contaminated", 5, 25_000_000) == bench
    assert discarding_by("contaminated", 5, 25_000_001) == set()
    assert discarding_by("broken", 2, 10_000_000) == bench
    assert discarding_by("broken", 5, 25_000_000) == with_quality
    assert discarding_by("detached", 1, 5_000_000) == set(), "nobody saw that"
    assert discarding_by("surplus", 2, 10_000_000) == with_quality
    assert discarding_by("surplus", 5, 25_000_000) == set()
