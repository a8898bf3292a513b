"""Whatever is called, in whatever order, by whomever: nobody is given another's cells, nor a failed, expired or held tube.

Random acts on the stage of `sequences.py`. Some go on as they should, live or from paper, so that deep states are reached; the
others take any step, with any tube, any band and any release, by any role. What was grown, what an old inventory brought in and
what two records of one person had are tubes like all others. One sequence is told beforehand: it reaches every act of `EVERY`,
under the same assertions.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from sqlalchemy import update

from biobank.donors.consents import revoke_consent
from biobank.donors.schemas import RevokeConsent
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.quality.disposal import discard
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.quality.schemas import DiscardRequest
from biobank.specimens.lots import record_test
from biobank.specimens.models import Specimen
from biobank.specimens.processing_schemas import RecordLotTest
from biobank.storage.schemas import StoreRequest
from biobank.storage.service import store_specimen
from biobank.withdrawals.schemas import WithdrawalRequest
from biobank.withdrawals.service import request_withdrawal
from biobank.withdrawals.steps import STEPS
from tests import seed
from tests.conftest import Api
from tests.donors import stories as donors
from tests.importing.test_import import ADSC, checked, imported
from tests.quality.test_merging import merge
from tests.withdrawals.sequences import GROWN, LABELLED, MERGED, Sequence
from tests.withdrawals.stories import a_story, by_two, sign_and_post
from tests.withdrawals.test_after_the_issue import ship
from tests.withdrawals.test_offered import LOGINS

ANY = sorted(set(STEPS) - {"approve", "reject", "cancel", "replace"})
"""Steps that take no signature, or are no end by themselves."""
OUT = ("issued", "delivered")
ALIVE = {"pick", "confirm", "thaw", "label", "expand", "issue", "receive", "check", "release", "administer", "paper"}
PAPER = {f"{step} on paper" for step in ALIVE - {"expand", "paper"}}
BESIDE = {
    *("given before", "return", "discard", "cold place", "import", "asked for anew", "merge", "shipment", "ends alone"),
    *("held", "expired", "revoked", "lot failed"),
}
EVERY = ALIVE | PAPER | BESIDE
"""What is tried here; what is not among these is not."""


class Withdrawals(Sequence):
    """Every act, by chance."""

    @initialize(ahead=st.integers(1, 3), on_paper=st.sampled_from([False, False, True]))
    def set_the_stage(self, ahead: int, on_paper: bool) -> None:
        self.stand()
        if on_paper:
            self.goes_on_without_network(1, ahead == 2)
        self.go_on(1, ahead)

    @rule(which=st.integers(0, MERGED), steps=st.integers(2, 5))
    def goes_on(self, which: int, steps: int) -> None:
        self.go_on(which, steps)

    @rule(which=st.integers(0, MERGED), unknown=st.booleans())
    def goes_on_without_network(self, which: int, unknown: bool) -> None:
        """As it goes on, on paper; `unknown`: something comes against it before it is entered, and after it was done."""
        story, name = self.stories[which], self.next_of(which)
        if name is None or name == "expand":
            return
        if name in ("check", "administer"):
            self.take(which, "paper", "clinician", story.vials[0], story.band)
        people = ["clinician", "clinic_staff"] if name == "check" else [self.rights(which)[name]]
        paper = self.from_paper(people[0])
        if unknown:
            self._hold(story.vials[0])
        for login in people:
            self.take(which, name, login, story.vials[0], story.band, **paper)

    @rule(which=st.integers(0, 1))
    def two_enter_what_was_given_before_it_was_known(self, which: int) -> None:
        story = self.stories[which]
        if not story.release:
            return
        code, began = story.vials[0], self.checked_at[story.code]
        said: dict[str, Any] = {"started_at": rfc3339(began), "occurred_at": rfc3339(began)}
        answer = story.given_before(**said, paper=self.forms[story.code] or None)
        if answer.status_code == 200:
            assert code in self.unfit and began <= self.unfit[code], f"{code} was given though it was known"
            self.given.add(code)
            self.reached.add("given before")

    @rule(
        which=st.integers(0, MERGED),
        name=st.sampled_from(ANY),
        login=st.sampled_from(LOGINS),
        tube=st.integers(0, 13),
        band=st.integers(0, MERGED),
        minutes_ago=st.sampled_from([0, 0, 3, 40]),
    )
    def anything(self, which: int, name: str, login: str, tube: int, band: int, minutes_ago: int) -> None:
        self.take(which, name, login, self.one(tube), self.stories[band].band, minutes_ago)

    @rule(which=st.sampled_from([0, 1, LABELLED]))
    def leaves_with_a_courier(self, which: int) -> None:
        story = self.stories[which]
        if ship(story).status_code == 201:
            assert story.vials[0] not in self.unfit, f"{story.vials[0]} left, and nobody may use it"
            self.reached.add("shipment")

    @rule(turned=st.booleans())
    def two_records_become_one(self, turned: bool) -> None:
        """Whichever stays: the cells of both are one person's, and those of the other record are asked for."""
        if len(self.pair) == 1:
            return
        stays, goes = self.pair[::-1] if turned else self.pair
        if merge(self.api, stays, goes).status_code != 200:
            return
        self.pair = [stays]
        self.owner |= {tube: stays for tube, owner in self.owner.items() if owner == goes}
        self.reached.add("merge")
        story = self.stories[MERGED]
        story.donor, story.band = stays, donors.band(self.api, stays)
        asked = story.request()
        assert asked.status_code != 201 or not self.unfit.keys() & {story.vials[0]}, "nobody may use it"
        if asked.status_code == 201:
            story.approve()

    @rule()
    def an_old_inventory_brings_one_in(self) -> None:
        """It comes quarantined, without a basis, and stays that."""
        number = next(self.number)
        row = ADSC | {"Pt ID": f"P{number}", "Last name": f"Quill{number}", "Box": number}
        (brought,) = imported(self.bank, checked(self.folder, adsc=[row]))
        assert brought.outcome == "imported" and brought.code is not None, brought.reason
        self.tubes.append(brought.code)
        self.owner[brought.code] = self.api.quality.get(f"/specimens/{brought.code}").json()["donor"]
        self.spoil(brought.code)
        self.reached.add("import")

    @rule(tube=st.integers(0, 13), route=st.sampled_from(["ship_frozen", "ship_fresh", "expand_in_run", "thaw_and_ship"]))
    def is_asked_for_anew(self, tube: int, route: str) -> None:
        code = self.one(tube)
        wanted = {"donor": self.owner[code], "material": "adsc", "route": route, "specimens": [code]}
        answer = self.do(lambda s, act: request_withdrawal(s, act, WithdrawalRequest.model_validate(wanted)), "clinician")
        assert answer is None or code not in self.unfit, f"{code} was asked for, and nobody may use it"
        if answer is not None:
            self.reached.add("asked for anew")

    @rule(which=st.integers(0, 1), into_the_cold=st.booleans())
    def what_left_has_a_way_out(self, which: int, into_the_cold: bool) -> None:
        """A tube that is out for its withdrawal is taken back when frozen and discarded by two when thawed, wherever it is."""
        story = self.stories[which]
        code = story.vials[0]
        before = self.standing(code)
        if before.projection.reserved_for != story.code or before.projection.state not in OUT:
            return
        if into_the_cold:
            asked = StoreRequest.model_validate({"container": self.box, "expected_seq": before.seq})
            assert self.do(store_specimen, "lab_tech", code, asked) is not None, f"{code} was refused a cold place"
            if before.projection.condition == "frozen":
                out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": self.standing(code).seq}
                assert self.api.lab_tech.post(f"/specimens/{code}/events", json=out).status_code == 201
        if before.projection.condition == "frozen":
            back = {"tube": code, "site": "LAB", "reason": "postponed", "quality": "quarantined"}
            answer = sign_and_post(self.api.quality, "decided", f"/withdrawals/{story.code}/return", back)
            assert answer.status_code == 200, f"{code} cannot come back: {answer.text}"
            assert self.standing(code).projection.reserved_for is None
            self.reached.add("return")
        elif code not in self.unfit:
            said = {"reason": "thawed_unused", "method": "clinical_waste", "expected_seq": self.standing(code).seq}
            first, second = ("lab_tech", "lab_tech2") if into_the_cold else ("clinician", "clinic_staff")
            answer = by_two(getattr(self.api, first), getattr(self.api, second), f"/specimens/{code}/discard", said)
            assert answer.status_code == 200, answer.text
            self.ended.add(code)
            self.reached.add("discard")

    def _hold(self, code: str) -> None:
        wanted = HoldRequest.model_validate({"scope_kind": "specimen", "scope_id": code, "kind": "quality", "reason": "test"})
        assert self.do(place_hold, "quality", wanted) is not None or code in self.given | self.ended
        self.spoil(code)
        self.reached.add("held")

    @rule(tube=st.integers(0, 9), how=st.sampled_from(["held", "expired", "revoked"]))
    def goes_wrong(self, tube: int, how: str) -> None:
        code = self.tubes[tube]
        if how == "held":
            self._hold(code)
        elif how == "expired":
            table, past = table_of(Specimen), clock.now() - timedelta(seconds=1)
            self.bank.write(lambda s: s.execute(update(table).where(table.c.code == code).values(expires_at=past)))
        else:
            given = self.api.clinician.get(f"/donors/{self.owner[code]}").json()["consents"]
            for consent in (one for one in given if one["kind"] == "treatment"):
                self.do(revoke_consent, "clinician", self.owner[code], consent["id"], RevokeConsent())
            self.spoil(*(one for one in self.tubes if self.owner[one] == self.owner[code]))
        self.spoil(code)
        self.reached.add(how)

    @rule(which=st.integers(0, LABELLED))
    def a_test_of_the_lot_fails(self, which: int) -> None:
        tubes = self.stories[which].vials
        found = {"test": "sterility", "sampled_at": clock.now(), "result": "failed", "report_sha256": "ef" * 32} | seed.TESTED
        lot = self.api.quality.get(f"/specimens/{tubes[0]}").json()["lot"]
        assert self.do(record_test, "lab_tech", lot, RecordLotTest.model_validate(found)) is not None
        self.spoil(*tubes)
        self.reached.add("lot failed")

    @rule(tube=st.integers(0, 13), login=st.sampled_from(LOGINS))
    def ends_alone(self, tube: int, login: str) -> None:
        code = self.one(tube)
        before = self.standing(code)
        asked = DiscardRequest.model_validate({"reason": "surplus", "method": "incineration", "expected_seq": before.seq})
        self.do(discard, login, code, asked)
        assert self.standing(code).projection.state == before.projection.state, "one person alone ended a therapeutic unit"
        self.reached.add("ends alone")

    @rule(tube=st.integers(0, 13))
    def needs_a_cold_place(self, tube: int) -> None:
        code = self.one(tube)
        before = self.standing(code)
        if before.projection.state not in ("checked_out", "in_process", "received") or before.projection.site_code != "LAB":
            return
        asked = StoreRequest.model_validate({"container": self.box, "expected_seq": before.seq})
        assert self.do(store_specimen, "lab_tech", code, asked) is not None, f"{code} was refused a cold place"
        self.reached.add("cold place")


@pytest.fixture
def machine(api: Api, tmp_path: Path) -> type[Withdrawals]:
    Withdrawals.api, Withdrawals.bank, Withdrawals.folder = api, api.test_bank, tmp_path
    return Withdrawals


@pytest.mark.slow
def test_no_sequence_of_acts_gives_the_wrong_cells_ends_a_unit_alone_or_refuses_a_cold_place(machine: type[Withdrawals]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=3, stateful_step_count=24, deadline=None, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.slow
def test_every_act_that_is_tried_by_chance_is_reached_by_a_sequence_told_beforehand(machine: type[Withdrawals]) -> None:
    bank = machine()
    bank.set_the_stage(ahead=1, on_paper=False)
    frozen, thawed = bank.stories[:2]
    assert "check" in bank.reached, "the stage goes on by itself"

    # What travels frozen, with a courier, to the giving; at the bedside without a network.
    bank.go_on(0, 3)
    bank.leaves_with_a_courier(0)
    assert bank.standing(frozen.vials[0]).projection.state == "in_transit"
    bank.go_on(0, 2)
    bank.goes_on_without_network(0, unknown=False)
    bank.goes_on_without_network(0, unknown=False)
    assert frozen.vials[0] in bank.given

    # What was checked on paper, given, and held before that was entered.
    bank.stories[1].release = ""
    bank.goes_on_without_network(1, unknown=False)
    bank.goes_on_without_network(1, unknown=True)
    bank.two_enter_what_was_given_before_it_was_known(1)
    assert thawed.vials[0] in bank.given

    # What is thawed at the bank travels under its final label; the label is entered from paper, then scanned again.
    bank.go_on(LABELLED, 1)
    bank.goes_on_without_network(LABELLED, unknown=False)
    bank.anything(LABELLED, "label", "lab_tech", tube=2 * LABELLED, band=0, minutes_ago=0)
    bank.go_on(LABELLED, 1)
    bank.leaves_with_a_courier(LABELLED)
    bank.go_on(LABELLED, 1)
    bank.go_on(LABELLED, 2)
    bank.go_on(LABELLED, 1)
    assert bank.stories[LABELLED].vials[0] in bank.given

    # What two records of one person had is asked for under the one that stays, and goes its whole way to the thaw on paper.
    bank.two_records_become_one(turned=False)
    for _ in range(5):
        bank.goes_on_without_network(MERGED, unknown=False)
    bank.go_on(MERGED, 2)
    bank.go_on(MERGED, 1)
    assert bank.stories[MERGED].vials[0] in bank.given

    bank.go_on(GROWN, 2)
    bank.an_old_inventory_brings_one_in()
    bank.is_asked_for_anew(tube=1, route="ship_frozen")
    bank.ends_alone(tube=1, login="lab_tech")

    # What left and is not given; what is out and needs a cold place.
    for which, reached in enumerate(("issue", "thaw")):
        bank.stories[which] = a_story(bank.api, 2, lot=True).up_to(reached)
        bank.know(bank.stories[which])
        bank.what_left_has_a_way_out(which, into_the_cold=False)
    bank.needs_a_cold_place(bank.tubes.index(bank.stories[0].vials[0]))

    for how in ("held", "expired", "revoked"):
        bank.goes_wrong(1, how)
    bank.a_test_of_the_lot_fails(1)
    bank.nobody_was_given_anothers_cells()

    assert bank.reached == EVERY, (EVERY - bank.reached, bank.reached - EVERY)
