"""Who holds a specimen, and who may handle it: every kind of event × the custodian, a colleague, another site, a courier."""

from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Permission, Role
from biobank.custody.custodians import custodian_refusal
from biobank.custody.event import rules
from biobank.custody.events import CheckedOut
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.registries import event_kinds
from biobank.scanning.commands import Action
from biobank.scanning.lists import Wanted, check_list
from biobank.scanning.rack_files import Line
from biobank.storage.events import Stored
from tests.conftest import Api
from tests.custody.rulebook import RULEBOOK
from tests.factories import make_box
from tests.shipping.stories import EVERYONE, kinds_of, now_of, refused, ship, stage, tubes

assert event_kinds.MODULES

CUSTODIAN, COLLEAGUE, ELSEWHERE, SENDER = "custodian", "colleague of the site", "same role elsewhere", "sender, a courier has it"
HANDLING = {CUSTODIAN, COLLEAGUE}
ANYBODY = {CUSTODIAN, COLLEAGUE, ELSEWHERE, SENDER}
WHO: dict[str, set[str]] = {
    # In hand: whoever holds it, or the people of the site that answers for it.
    **dict.fromkeys(
        (
            "specimen.checked_out",
            "specimen.sampled",
            "specimen.moved",
            "specimen.process_started",
            "specimen.part_used",
            "specimen.frozen",
            "specimen.thawed",
            "specimen.consumed",
            "specimen.final_label_applied",
            "specimen.issued",
            "specimen.administered",
            "specimen.culture_seen",
            "specimen.medium_changed",
            "specimen.vessels_discarded",
        ),
        HANDLING,
    ),
    # Given away by the one who has it in hand; onto the road also by those who called the courier.
    "specimen.handover_offered": {CUSTODIAN},
    "specimen.dispatched": {CUSTODIAN, SENDER},
    # Cold first, and receiving: by whoever has the right there.
    **dict.fromkeys(
        (
            "specimen.safeguarded",
            "specimen.received",
            "specimen.refused",
            "specimen.delivered",
            "specimen.returned",
            "specimen.handover_accepted",
            "specimen.handover_declined",
            "specimen.found",
        ),
        ANYBODY,
    ),
    # What its container does, whose own rule asks for the right at the site that holds it.
    **dict.fromkeys(("specimen.carried_along", "specimen.left_cold", "specimen.exposed", "specimen.recognised"), ANYBODY),
    # What follows from coming to a site, or from a limit that quality sets there.
    "specimen.use_by_shortened": ANYBODY,
    # Reporting and describing.
    **dict.fromkeys(
        (
            "specimen.inspected",
            "specimen.annotated",
            "specimen.missing",
            "specimen.sighted",
            "specimen.timed_out",
            "specimen.handover_expired",
            "specimen.amended",
            "specimen.reversed",
            "specimen.viability_measured",
            "specimen.aliased",
            "specimen.labelled",
            "specimen.label_verified",
        ),
        ANYBODY,
    ),
    # Decisions; destroying has its own rule of two people, which asks who holds it (quality/disposal.py).
    **dict.fromkeys(
        (
            "specimen.lost",
            "specimen.hold_placed",
            "specimen.hold_lifted",
            "specimen.reserved",
            "specimen.unreserved",
            "specimen.discarded",
            "specimen.identified",
            "specimen.transferred_out",
            "specimen.quality_decided",
            "specimen.rejected_by_test",
            "specimen.reopened",
            "specimen.reattributed",
            "specimen.donor_merged",
            "specimen.handed_over_at_closing",
            "specimen.end_announced",
            "specimen.end_withdrawn",
            "specimen.use_up_allowed",
            "specimen.basis_decided",
        ),
        ANYBODY,
    ),
    # Put away by whoever has the right where it is, not by whoever only keeps it elsewhere.
    "specimen.stored": ANYBODY - {ELSEWHERE},
    # Nobody holds what is only coming into being.
    **dict.fromkeys(
        ("specimen.collected", "specimen.derived", "specimen.imported", "specimen.unidentified_found"),
        ANYBODY,
    ),
}


def somebody(code: str, site: str | None) -> Actor:
    """One with every role there is at a site, so that only custody can stand in the way."""
    return Actor(code=code, grants=frozenset(RoleGrant(role, site) for role in Role))


HOLDER = somebody("US-0000001", "LAB")
PEOPLE = {
    CUSTODIAN: HOLDER,
    COLLEAGUE: somebody("US-0000002", "LAB"),
    ELSEWHERE: somebody("US-0000003", "NORTH"),
    SENDER: somebody("US-0000004", "LAB"),
}


def held(by: str, **more: Any) -> Snapshot:
    """A tube at LAB that NORTH keeps, so that the people of both may know of it and have the right by the table of roles."""
    kind, name = ("courier", "CRYOGO") if by == SENDER else ("user", HOLDER.code)
    values = Projection(state="received", custodian_kind=kind, custodian_id=name, site_code="LAB")
    values = replace(values, **more)
    return Snapshot("AD26-0000000", "DN-0000000", 3, b"", values, home_site_code="NORTH", clinic_site_code="CLINIC")


@pytest.mark.parametrize("kind", sorted(RULEBOOK))
def test_an_act_is_open_to_exactly_those_whom_the_table_names(kind: str) -> None:
    event = rules.by_kind[kind]

    may = {who for who, actor in PEOPLE.items() if custodian_refusal(actor, event, held(who)) is None}

    assert may == WHO[kind]


def test_what_a_site_holds_its_people_handle_and_nobody_elses() -> None:
    tube = held(COLLEAGUE, state="stored", custodian_kind="site", custodian_id="LAB")

    assert custodian_refusal(PEOPLE[COLLEAGUE], CheckedOut, tube) is None
    refusal = custodian_refusal(PEOPLE[ELSEWHERE], CheckedOut, tube)

    assert refusal is not None
    assert refusal.code == "not_the_custodian"
    assert "in the custody of LAB" in refusal.detail


def test_whoever_is_of_the_site_but_without_the_right_there_does_not_handle_it() -> None:
    reader_here = Actor(
        code="US-0000005", grants=frozenset({RoleGrant(Role.AUDITOR, "LAB"), *(RoleGrant(r, "NORTH") for r in Role)})
    )

    assert reader_here.may(Permission.CUSTODY_RECORD, at=["LAB", "NORTH"])
    assert custodian_refusal(reader_here, CheckedOut, held(COLLEAGUE)) is not None


def test_a_role_everywhere_is_of_every_site_but_takes_nothing_out_of_a_couriers_hands() -> None:
    everywhere = somebody("US-0000006", None)

    assert custodian_refusal(everywhere, CheckedOut, held(COLLEAGUE)) is None
    assert custodian_refusal(everywhere, CheckedOut, held(SENDER)) is not None
    assert custodian_refusal(everywhere, rules.by_kind["specimen.dispatched"], held(SENDER, state="in_transit")) is not None


def stored(api: Api, *, site: str = "LAB", **fields: Any) -> tuple[str, str]:
    """A tube in a box of a site, in that site's custody, and its slot."""
    holder = "lab_tech" if site == "LAB" else "north_tech"
    (code,) = tubes(api, holder=holder, site=site, **fields)

    def work(session: Session) -> str:
        box = make_box(session, api.test_bank.act("admin"), site=site)
        event = Stored(container=box.code, position=None, site=site)
        record(session, stage(api.test_bank), [Move(load(session, [code])[code], event, site=site)], NOW)
        return box.code

    return code, api.test_bank.write(work)


CHECK_OUT = {"kind": "specimen.checked_out", "purpose": "inspection"}


def test_the_clinic_takes_no_tube_out_of_the_banks_tank_on_any_way_and_is_offered_none(api: Api) -> None:
    code, _box = stored(api)
    seq = now_of(api, code)["seq"]

    by_path = api.clinician.post(f"/specimens/{code}/events", json=CHECK_OUT | {"expected_seq": seq})
    by_batch = api.clinician.post("/custody-events", json={"events": [CHECK_OUT | {"specimen": code, "expected_seq": seq}]})
    wanted, bank = Wanted(Action.CHECK_OUT, purpose="inspection"), api.test_bank
    listed = bank.write(lambda s: check_list(s, bank.act("clinician").actor, wanted, [Line(code)], bank.bank.settings).rows[0])
    buttons = {one["kind"] for one in api.clinician.get(f"/specimens/{code}/allowed-events").json()["items"]}

    assert [(one.status_code, one.json()["code"]) for one in (by_path, by_batch)] == [(403, "not_the_custodian")] * 2
    assert [one.code for one in listed.refusals] == ["not_the_custodian"]
    assert "specimen.checked_out" not in buttons
    assert "specimen.missing" in buttons
    assert now_of(api, code)["seq"] == seq
    assert api.lab_tech2.post(f"/specimens/{code}/events", json=CHECK_OUT | {"expected_seq": seq}).status_code == 201


def test_the_bank_that_keeps_a_tube_does_not_move_it_out_of_another_sites_tank(api: Api) -> None:
    code, _box = stored(api, site="NORTH")
    mine = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin")).code)
    quarantine = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"), purpose="quarantine").code)
    seq = now_of(api, code)["seq"]

    moved = api.lab_tech.post(f"/specimens/{code}/store", json={"container": mine, "expected_seq": seq})
    reported = api.lab_tech.post(
        f"/specimens/{code}/events",
        json={"kind": "specimen.annotated", "topic": "handling", "comment": "Seen here", "expected_seq": seq},
    )
    cold_first = api.lab_tech.post(f"/specimens/{code}/store", json={"container": quarantine, "expected_seq": seq + 1})

    refused(moved, 403, "not_the_custodian")
    assert (reported.status_code, cold_first.status_code) == (201, 201), cold_first.text
    assert kinds_of(api, "specimen", code)[-1] == "specimen.safeguarded"


def test_a_colleague_ends_what_another_began_and_sends_only_what_nobody_else_has_in_hand(api: Api) -> None:
    (code,) = tubes(api, holder="lab_tech")
    seq = now_of(api, code)["seq"]

    sampled = api.lab_tech2.post(
        f"/specimens/{code}/events", json={"kind": "specimen.sampled", "amount": 1, "purpose": "count", "expected_seq": seq}
    )

    assert sampled.status_code == 201, sampled.text
    refused(ship(api, api.lab_tech2, [code]), 403, "not_the_custodian")
    assert now_of(api, code)["custodian_id"] == EVERYONE["lab_tech"]


def test_what_moves_with_its_box_to_another_site_is_that_sites_afterwards(api: Api) -> None:
    code, box = stored(api)
    tank = api.test_bank.write(
        lambda s: make_box(s, api.test_bank.act("admin"), kind="room", site="NORTH", rows=None, cols=None).code
    )
    assert api.lab_tech_north_quality.post(f"/storage-containers/{box}/lift", json={}).status_code == 200

    answer = api.lab_tech_north_quality.post(f"/storage-containers/{box}/move", json={"to": tank})

    assert answer.status_code == 200, answer.text
    now = now_of(api, code)
    assert (now["site_code"], now["custodian_kind"], now["custodian_id"]) == ("NORTH", "site", "NORTH")
    taken = api.north_tech.post(f"/specimens/{code}/events", json=CHECK_OUT | {"expected_seq": now["seq"]})
    assert taken.status_code == 201, taken.text
