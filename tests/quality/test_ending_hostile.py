"""Every login alone and every pair of logins tries every route to end a unit kept for treatment: only the declared pairs succeed.

The use cases are really run, both halves in one transaction, and rolled back.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, make_signature
from biobank.acts.two_person import Proposed
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.custody.events import CheckedOut, Missing, Sampled
from biobank.custody.recording import NOW, Move, record
from biobank.custody.schemas import EventRequest, request_model
from biobank.custody.service import record_event
from biobank.custody.snapshots import load
from biobank.foundation.errors import Refusal
from biobank.quality.disposal import allow_use_up, announce_end, discard, give_up_as_lost, transfer_out
from biobank.quality.ending import PAIRS, Route
from biobank.quality.schemas import AnnounceRequest, DiscardRequest, LostRequest, TransferRequest, UseUpRequest
from biobank.shipping.events import Dispatched
from biobank.specimens.freezing import record_thawing
from biobank.specimens.making import record_making
from biobank.specimens.processing_schemas import MakingRun, ThawingRun
from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.quality.test_deviations import stored
from tests.specimens.stories import donor as lab_donor
from tests.specimens.stories import made, output, run, svf, using
from tests.withdrawals.stories import AMOUNT, a_donor, bank_vials, everyone

LOGINS = {
    "lab_tech": Role.LAB_TECH,
    "lab_tech2": Role.LAB_TECH,
    "clinician": Role.CLINICIAN,
    "clinician2": Role.CLINICIAN,
    "clinic_staff": Role.CLINIC_STAFF,
    "quality": Role.QUALITY,
    "quality2": Role.QUALITY,
    "auditor": Role.AUDITOR,
    "admin": Role.ADMIN,
}
AT_THE_BANK = {Role.LAB_TECH, Role.QUALITY}
"""Roles whose logins here hold their rights where the unit is kept."""


class Undone(Exception):
    """Ends a transaction that nobody wants."""


def as_(bank: TestBank, name: str, *, days: int = 0) -> Act:
    act = bank.act(name)
    return replace(act, at=act.at + timedelta(days=days))


def signed(session: Session, act: Act, request: BaseModel) -> tuple[Act, Any]:
    act = replace(act, request_hash=hashlib.sha256(request.model_dump_json().encode()).digest())
    assert act.request_hash is not None
    token = make_signature(session, user=act.actor.code, meaning=Meaning.DECIDED, act_hash=act.request_hash, at=act.at).signature
    return act, request.model_copy(update={"signature": token})


def seq_of(session: Session, unit: str) -> int:
    return load(session, [unit])[unit].seq


Attempt = Callable[[Session, str], Any]
Pair = Callable[[TestBank, str, str], Attempt]
REASONS = ("rejected", "expired", "donor_request", "consent_revoked", "end_of_term", "failed_test", "damaged", "left_over")


def by_two(use_case: Callable[..., Any], request: Callable[[int], Any], *, days: int = 0) -> Pair:
    """Both halves of an act of two people."""

    def pair(bank: TestBank, first: str, second: str) -> Attempt:
        def attempt(session: Session, unit: str) -> Any:
            wanted = request(seq_of(session, unit))
            act, body = signed(session, as_(bank, first, days=days), wanted)
            proposed = use_case(session, act, unit, body)
            assert isinstance(proposed, Proposed)
            act, body = signed(session, as_(bank, second, days=days), wanted)
            return use_case(session, act, unit, body.model_copy(update={"pending_act": proposed.pending_act}))

        return attempt

    return pair


def succeeds(bank: TestBank, unit: str, attempt: Attempt, before: Attempt | None = None) -> bool:
    """Run it in a transaction of its own and undo it; say whether it was taken."""

    def work(session: Session) -> None:
        if before is not None:
            before(session, unit)
        attempt(session, unit)
        raise Undone

    try:
        bank.write(work)
    except Undone:
        return True
    except Refusal:
        return False
    raise AssertionError("neither done nor refused")


@pytest.fixture
def unit(api: Api) -> str:
    """A released frozen unit; the donor has another, and consents to banking and treatment."""
    donor = a_donor(api)
    assert donors.consent(api.clinician, donor, "banking").status_code == 201
    return bank_vials(api, donor, 2)[0]


def out(session: Session, unit: str, api: Api, *events: Any) -> None:
    """Take it out of its place, by the bank itself, and record what follows."""
    for event in (CheckedOut(purpose="move"), *events):
        record(session, everyone(api.test_bank), [Move(load(session, [unit], holds=True)[unit], event)], NOW)


def announced(bank: TestBank, reason: str) -> Attempt:
    def work(session: Session, unit: str) -> None:
        wanted = AnnounceRequest.model_validate({"reason": reason, "expected_seq": seq_of(session, unit)})
        act, body = signed(session, as_(bank, "quality"), wanted)
        announce_end(session, act, unit, body)

    return work


def declared(route: Route) -> set[tuple[str, str]]:
    """The pairs of logins that the rule's table allows."""

    def may(name: str, needed: Permission) -> bool:
        role = LOGINS[name]
        return role in AT_THE_BANK and needed in ROLE_PERMISSIONS[role]

    first, second = PAIRS[route]
    return {(a, b) for a, b in product(LOGINS, LOGINS) if a != b and may(a, first) and may(b, second)}


def taken_by(api: Api, unit: str, pair: Any, before: Attempt | None = None) -> set[tuple[str, str]]:
    """The pairs of logins, one login twice included, with which a route is taken."""
    bank = api.test_bank
    return {(a, b) for a, b in product(LOGINS, LOGINS) if succeeds(bank, unit, pair(bank, a, b), before)}


def discarding(reason: str, days: int) -> Any:
    def request(seq: int) -> DiscardRequest:
        return DiscardRequest.model_validate({"reason": reason, "method": "autoclave", "expected_seq": seq})

    return by_two(discard, request, days=days)


def test_only_the_declared_pairs_discard_what_was_announced_for_its_reason_when_the_days_are_past(api: Api, unit: str) -> None:
    before = announced(api.test_bank, "surplus")
    assert taken_by(api, unit, discarding("surplus", 8), before) == declared(Route.DISCARD)
    assert taken_by(api, unit, discarding("surplus", 6), before) == set()
    assert taken_by(api, unit, discarding("surplus", 8)) == set()


def test_no_pair_discards_for_a_reason_that_the_record_does_not_show(api: Api, unit: str) -> None:
    for reason in REASONS:
        for first, second in declared(Route.DISCARD):
            attempt = discarding(reason, 8)(api.test_bank, first, second)
            assert not succeeds(api.test_bank, unit, attempt, announced(api.test_bank, "surplus")), (reason, first, second)
        assert not succeeds(api.test_bank, unit, announced(api.test_bank, reason)), reason


def test_only_the_declared_pairs_transfer_out_give_up_and_allow_to_use_up(api: Api, unit: str) -> None:
    way = {
        "from_site": "LAB",
        "to_site": "OTHER",
        "courier": "COLD_EXPRESS",
        "evidence": "waybill",
    }
    gone = Dispatched.model_validate(way | {"shipment": "SH-0000000"})
    receipt = {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": stored(api).json()["sha256"]}
    transfer = by_two(transfer_out, lambda n: TransferRequest.model_validate(receipt | {"expected_seq": n}))
    lose = by_two(give_up_as_lost, lambda n: LostRequest(reason="searched", expected_seq=n))
    use_up = by_two(allow_use_up, lambda n: UseUpRequest(use="quality_control", expected_seq=n), days=8)
    assert taken_by(api, unit, transfer, lambda s, u: out(s, u, api, gone)) == declared(Route.TRANSFER_OUT)
    assert taken_by(api, unit, lose, lambda s, u: out(s, u, api, Missing(reason="not_there"))) == declared(Route.GIVE_UP)
    assert taken_by(api, unit, use_up, announced(api.test_bank, "quality_control")) == declared(Route.USE_UP)
    assert taken_by(api, unit, use_up) == set()


def sampling(bank: TestBank, name: str, amount: int, *, days: int = 0) -> Attempt:
    wanted = request_model(Sampled, EventRequest)

    def attempt(session: Session, unit: str) -> Any:
        body = {"kind": "specimen.sampled", "amount": amount, "purpose": "count", "expected_seq": seq_of(session, unit)}
        request = wanted.model_validate(body)
        return record_event(session, as_(bank, name, days=days), unit, request)

    return attempt


def thawing(bank: TestBank, name: str, *, days: int = 0) -> Attempt:
    def attempt(session: Session, unit: str) -> Any:
        request = ThawingRun.model_validate(
            {
                "process": "thawing",
                "procedure_version": "P-1",
                "site": "LAB",
                "method": "bath",
                "specimens": [{"specimen": unit, "expected_seq": seq_of(session, unit)}],
            }
        )
        return record_thawing(session, as_(bank, name, days=days), request)

    return attempt


def running(bank: TestBank, name: str, process: str, kept: int, purpose: str = "therapeutic", loss: int = 0) -> Attempt:
    def attempt(session: Session, unit: str) -> Any:
        used = {"specimen": unit, "expected_seq": seq_of(session, unit), "amount": kept + loss, "consumed": kept + loss == AMOUNT}
        made = {"material": "adsc", "unit": "cells", "amount": kept, "count": 1, "passage": 2, "purpose": purpose}
        run = {"process": process, "procedure_version": "P-1", "site": "LAB", "inputs": [used], "outputs": [made], "loss": loss}
        request = MakingRun.model_validate(run)
        return record_making(session, bank.act(name), request)

    return attempt


def test_nobody_alone_samples_thaws_or_works_up_a_unit_to_nothing(api: Api, unit: str) -> None:
    bank = api.test_bank
    fresh = bank_vials(api, donor_of(api, unit), 1, frozen=False)[0]
    checked_out: Attempt = lambda s, u: out(s, u, api)  # noqa: E731 - a name for a line
    for name in LOGINS:
        for amount in (AMOUNT, AMOUNT - 1, AMOUNT // 2 + 1):
            assert not succeeds(bank, unit, sampling(bank, name, amount), checked_out), (name, amount)
        assert not succeeds(bank, unit, thawing(bank, name), checked_out), name
        for process, kept, purpose, loss in (
            ("qc_sampling", AMOUNT, "qc", 0),
            ("qc_sampling", AMOUNT - 1, "qc", 0),
            ("aliquoting", AMOUNT, "qc", 0),
            ("aliquoting", AMOUNT, "retained", 0),
            ("aliquoting", 1, "therapeutic", AMOUNT - 1),
        ):
            attempt = running(bank, name, process, kept, purpose, loss)
            assert not succeeds(bank, fresh, attempt, checked_out), (name, process, kept, purpose)
    assert succeeds(bank, unit, sampling(bank, "lab_tech", AMOUNT // 2), checked_out)
    assert succeeds(bank, fresh, running(bank, "lab_tech", "aliquoting", AMOUNT), checked_out)
    assert succeeds(bank, fresh, running(bank, "lab_tech", "qc_sampling", AMOUNT // 10, "qc"), checked_out)


def test_who_fills_a_rest_anew_does_not_make_it_whole(api: Api) -> None:
    """Half is lost in filling or sampled, and the rest is filled once more: by one person, nothing would be left in the end."""
    whole = svf(api, lab_donor(api), 20_000_000)
    half = made(run(api.lab_tech, "aliquoting", [using(whole)], [output("svf", 10_000_000)], loss=10_000_000))["specimens"][0]
    again = run(api.lab_tech, "aliquoting", [using(half)], [output("svf", 5_000_000)], loss=5_000_000)
    assert (again.status_code, again.json()["code"]) == (409, "ends_material"), again.text
    samples = run(
        api.lab_tech,
        "qc_sampling",
        [using(half, amount=1_000_000, consumed=False)],
        [output("svf", 1_000_000, purpose="qc")],
    )
    assert (samples.status_code, samples.json()["code"]) == (409, "ends_material"), samples.text

    # Divided into ten without a loss, each is a part of what there was; two of them together are two parts.
    tenths = made(run(api.lab_tech, "aliquoting", [using(half)], [output("svf", 1_000_000, count=10)]))["specimens"]
    lost = run(api.lab_tech, "aliquoting", [using(tenths[0])], [output("svf", 600_000)], loss=400_000)
    assert (lost.status_code, lost.json()["code"]) == (409, "ends_material"), lost.text
    pooled = run(api.lab_tech, "aliquoting", [using(one) for one in tenths[1:3]], [output("svf", 1_900_000)], loss=100_000)
    assert (pooled.status_code, pooled.json()["code"]) == (409, "ends_material"), pooled.text
    assert run(api.lab_tech, "aliquoting", [using(one) for one in tenths[3:]], [output("svf", 7_000_000)]).status_code == 201


def test_samples_taken_one_after_the_other_count_together(api: Api, unit: str) -> None:
    bank = api.test_bank

    def halved(session: Session, unit: str) -> None:
        out(session, unit, api)
        sampling(bank, "lab_tech", AMOUNT // 2)(session, unit)

    assert not succeeds(bank, unit, sampling(bank, "lab_tech", 1), halved)


def test_what_two_people_allowed_is_thawed_by_one_within_the_day(api: Api, unit: str) -> None:
    bank = api.test_bank
    pair = by_two(allow_use_up, lambda n: UseUpRequest(use="quality_control", expected_seq=n), days=8)

    def allowed(session: Session, unit: str) -> None:
        announced(bank, "quality_control")(session, unit)
        out(session, unit, api)
        pair(bank, "lab_tech", "quality")(session, unit)

    assert succeeds(bank, unit, thawing(bank, "lab_tech2", days=8), allowed)
    assert succeeds(bank, unit, sampling(bank, "lab_tech2", AMOUNT, days=8), allowed)
    assert not succeeds(bank, unit, thawing(bank, "clinician", days=8), allowed)


@pytest.mark.parametrize("kind", ["legal", "recall"])
def test_a_hold_on_destruction_stops_every_route(api: Api, unit: str, kind: str) -> None:
    bank = api.test_bank
    held = {"scope_kind": "specimen", "scope_id": unit, "kind": kind, "reason": "court"}
    pair = by_two(allow_use_up, lambda n: UseUpRequest(use="quality_control", expected_seq=n))
    lose = by_two(give_up_as_lost, lambda n: LostRequest(reason="searched", expected_seq=n))
    before = announced(bank, "surplus")

    def wait(session: Session, unit: str) -> None:
        before(session, unit)

    assert succeeds(bank, unit, discarding("surplus", 8)(bank, "lab_tech", "quality"), wait)
    assert api.quality.post("/holds", json=held).status_code == 201
    assert not succeeds(bank, unit, wait)
    assert not succeeds(bank, unit, pair(bank, "lab_tech", "quality"))
    missing: Attempt = lambda s, u: out(s, u, api, Missing(reason="not_there"))  # noqa: E731 - a name for a line
    assert not succeeds(bank, unit, lose(bank, "lab_tech", "quality"), missing)


def donor_of(api: Api, unit: str) -> str:
    return str(api.test_bank.write(lambda s: load(s, [unit])[unit].donor_code))
