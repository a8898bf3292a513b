"""Whatever is called, in whatever order, by whomever: nobody is given another's cells, nor a failed, expired or held tube.

A machine of random acts on two donors' withdrawals and a third donor's cells that are to be grown, by the real use cases on a
real database. Some acts go on as they should, live or from paper, so that deep states are reached; the others take any step, with
any tube, any band and any release, by any role. What was grown, and what an old inventory brought in, are tubes like all others.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.snapshots import load
from biobank.donors.consents import revoke_consent
from biobank.donors.schemas import RevokeConsent
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import Refusal, Refused
from biobank.quality.disposal import discard
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.quality.schemas import DiscardRequest
from biobank.specimens.lots import record_test
from biobank.specimens.models import Specimen
from biobank.specimens.processing_schemas import RecordLotTest
from biobank.storage.schemas import StoreRequest
from biobank.storage.service import store_specimen
from biobank.withdrawals.case import find_row, read_case
from biobank.withdrawals.schemas import WithdrawalRequest
from biobank.withdrawals.service import request_withdrawal
from biobank.withdrawals.steps import STEPS
from biobank.withdrawals.workflow import next_steps
from tests import seed
from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.factories import make_box
from tests.importing.test_import import ADSC, checked, imported
from tests.withdrawals.growing import asked
from tests.withdrawals.stories import Story, a_story, by_two, later, sealed, sign_and_post
from tests.withdrawals.test_from_paper import filed
from tests.withdrawals.test_hostile import WHO
from tests.withdrawals.test_offered import LOGINS, body_of

RIGHT = {name: login for name, (login, _) in WHO.items() if name in STEPS}
GROWING = RIGHT | {"thaw": "lab_tech", "expand": "lab_tech"}
"""Who takes the steps of what is grown first: it is thawed at the bank."""
ON_PAPER = (("lab_tech", "lab_tech2", "LAB"), ("clinician", "clinic_staff", "CLINIC"))
"""Who stands for a form, by site."""
ANY = sorted(set(STEPS) - {"approve", "reject", "cancel", "replace"})
"""Steps that take no signature, or are no end by themselves."""
OUT = ("issued", "delivered")


class Withdrawals(RuleBasedStateMachine):
    """Random acts on withdrawals of three donors, each with a tube asked for and one that is not; the third's is to be grown."""

    api: Api
    bank: TestBank
    folder: Path
    number = count(1)

    @initialize(ahead=st.integers(1, 3), on_paper=st.sampled_from([False, False, True]))
    def set_the_stage(self, ahead: int, on_paper: bool) -> None:
        later(self.api)
        self.stories = [a_story(self.api, 2, lot=True).up_to(reached) for reached in ("approve", "thaw")]
        for story in self.stories:
            story.band = donors.band(self.api, story.donor)
        growing = asked(self.api, 2, lot=True)
        for step in (growing.approve, growing.pick, growing.confirm):
            assert step().status_code in (200, 201)
        growing.band = self.stories[0].band
        self.stories.append(growing)
        self.checked_at: dict[str, datetime] = {}
        self.forms: dict[str, str] = {}
        self.tubes = [tube for story in self.stories for tube in story.vials]
        self.owner = {tube: story.donor for story in self.stories for tube in story.vials}
        self.unfit: dict[str, datetime] = {}
        self.given: set[str] = set()
        self.ended: set[str] = set()
        self.acts = {login: self.bank.act(login) for login in LOGINS}
        admin = self.bank.act("admin")
        self.box = self.bank.write(lambda s: make_box(s, admin, purpose="quarantine", rows=9, cols=9).code)

        if on_paper:
            self.goes_on_without_network(1, ahead == 2)
        self._go_on(1, ahead)

    def _do(self, use_case: Callable[..., Any], login: str, *words: Any) -> Any:
        """Run one use case as one act; None when it is refused."""
        act = Act.of(self.acts[login].actor, self.bank.bank, path="test") if login in self.acts else self.bank.act(login)
        try:
            answer = self.bank.write(lambda s: use_case(s, act, *words))
        except Refusal:
            return None
        return None if isinstance(answer, Refused) else answer

    def _spoil(self, *codes: str) -> None:
        """From now on nobody may use these."""
        for code in codes:
            self.unfit.setdefault(code, clock.now())

    def _take(self, story: Story, name: str, login: str, tube: str, band: str, minutes_ago: int = 0, **paper: Any) -> None:
        """Take a step; `paper`: of which form, and when it says that it was done."""
        sealed(self.api)  # as the sealer does all the time: what goes towards a person waits for it
        body = body_of(story, name, tube, paper.get("occurred_at")).model_copy(update=paper)
        if minutes_ago:
            stated = clock.now() - timedelta(minutes=minutes_ago)
            body = body.model_copy(update={"occurred_at": stated, "late_entry": True, "reason_text": "entered later"})
        if name == "check":
            body = body.model_copy(update={"wristband": band, "device": None if paper else f"tablet-of-{login}"})
        answer = self._do(STEPS[name].use_case, login, story.code, body)
        if answer is not None and name == "check" and answer.release is not None:
            story.release = str(answer.release)
            self.checked_at[story.code] = paper.get("occurred_at", clock.now())
            self.forms[story.code] = paper.get("paper", "")
        if answer is None:
            return
        if name in ("issue", "expand"):
            # What had left by its form before anybody knew is on record, with a deviation.
            since = self.unfit.get(story.vials[0])
            assert since is None or (paper and paper["occurred_at"] < since), f"{name} of {story.code} with what nobody may use"
        if name == "administer":
            self.given.add(tube)
            assert tube not in self.unfit, f"{name} of {tube}, which is held, expired or without consent"
        if name == "expand":
            self.ended.add(tube)
            (grown,) = answer.run.specimens
            self.tubes.append(grown.code)
            self.owner[grown.code] = story.donor
            self._spoil(grown.code)  # It has neither a basis nor a release of its own.

    def _next(self, story: Story) -> str | None:
        """The step that the withdrawal waits for, if it is one of ours."""

        def waits(session: Session) -> list[str]:
            case = read_case(session, find_row(session, self.acts["quality"].actor, story.code))
            return next_steps(case.state, case.route, case.items)

        names = [name for name in self.bank.write(waits) if name in GROWING]
        if not names:
            return None
        return "administer" if story.release else "check" if "check" in names else names[0]

    @rule(steps=st.integers(2, 5))
    def one_goes_on(self, steps: int) -> None:
        self._go_on(0, steps)

    @rule(steps=st.integers(2, 5))
    def another_goes_on(self, steps: int) -> None:
        self._go_on(1, steps)

    @rule(steps=st.integers(2, 5))
    def what_is_to_be_grown_goes_on(self, steps: int) -> None:
        self._go_on(2, steps)

    def _go_on(self, which: int, steps: int) -> None:
        """Some steps as they should be; at the bedside two people scan, one after the other."""
        story, rights = self.stories[which], GROWING if which == 2 else RIGHT
        for step in range(steps):
            name = self._next(story)
            if name is not None:
                login = "clinic_staff" if name == "check" and step % 2 else rights[name]
                self._take(story, name, login, story.vials[0], story.band)

    def _from_paper(self, login: str) -> dict[str, Any]:
        """A form that somebody and a second person filed of what was done some seconds ago."""
        clock.set_offset(clock.offset() + timedelta(seconds=20), test_mode=True)
        stated = clock.now() - timedelta(seconds=10)
        (people,) = (one for one in ON_PAPER if login in one)
        return {"paper": filed(self.api, stated - timedelta(seconds=5), *people), "occurred_at": stated}

    @rule(which=st.integers(0, 2), unknown=st.booleans())
    def goes_on_without_network(self, which: int, unknown: bool) -> None:
        """As it goes on, on paper; `unknown`: something comes against it before it is entered, and after it was done."""
        story = self.stories[which]
        name = self._next(story)
        if name is None or name == "expand":
            return
        if name in ("check", "administer"):
            self._take(story, "paper", "clinician", story.vials[0], story.band)
        people = ["clinician", "clinic_staff"] if name == "check" else [(GROWING if which == 2 else RIGHT)[name]]
        paper = self._from_paper(people[0])
        if unknown:
            self._hold(story.vials[0])
        for login in people:
            self._take(story, name, login, story.vials[0], story.band, **paper)

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

    @rule(
        which=st.integers(0, 2),
        name=st.sampled_from(ANY),
        login=st.sampled_from(LOGINS),
        tube=st.integers(0, 9),
        band=st.integers(0, 1),
        minutes_ago=st.sampled_from([0, 0, 3, 40]),
    )
    def anything(self, which: int, name: str, login: str, tube: int, band: int, minutes_ago: int) -> None:
        self._take(self.stories[which], name, login, self._one(tube), self.stories[band].band, minutes_ago)

    def _one(self, tube: int) -> str:
        return self.tubes[tube % len(self.tubes)]

    @rule()
    def an_old_inventory_brings_one_in(self) -> None:
        """It comes quarantined, without a basis, and stays that."""
        number = next(self.number)
        row = ADSC | {"Pt ID": f"P{number}", "Last name": f"Quill{number}", "Box": number}
        (brought,) = imported(self.bank, checked(self.folder, adsc=[row]))
        assert brought.outcome == "imported" and brought.code is not None, brought.reason
        self.tubes.append(brought.code)
        self.owner[brought.code] = self.api.quality.get(f"/specimens/{brought.code}").json()["donor"]
        self._spoil(brought.code)

    @rule(tube=st.integers(0, 9), route=st.sampled_from(["ship_frozen", "ship_fresh", "expand_in_run"]))
    def is_asked_for_anew(self, tube: int, route: str) -> None:
        code = self._one(tube)
        wanted = {"donor": self.owner[code], "material": "adsc", "route": route, "specimens": [code]}
        answer = self._do(lambda s, act: request_withdrawal(s, act, WithdrawalRequest.model_validate(wanted)), "clinician")
        assert answer is None or code not in self.unfit, f"{code} was asked for, and nobody may use it"

    @rule(which=st.integers(0, 1), into_the_cold=st.booleans())
    def what_left_has_a_way_out(self, which: int, into_the_cold: bool) -> None:
        """A tube that is out for its withdrawal is taken back when frozen and discarded by two when thawed, wherever it is."""
        story = self.stories[which]
        code = story.vials[0]
        before = self._standing(code)
        if before.projection.reserved_for != story.code or before.projection.state not in OUT:
            return
        if into_the_cold:
            asked = StoreRequest.model_validate({"container": self.box, "expected_seq": before.seq})
            assert self._do(store_specimen, "lab_tech", code, asked) is not None, f"{code} was refused a cold place"
            if before.projection.condition == "frozen":
                out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": self._standing(code).seq}
                assert self.api.lab_tech.post(f"/specimens/{code}/events", json=out).status_code == 201
        if before.projection.condition == "frozen":
            assert self._do_signed("quality", f"/withdrawals/{story.code}/return", code) is not None, f"{code} cannot come back"
            assert self._standing(code).projection.reserved_for is None
        elif code not in self.unfit:
            said = {"reason": "thawed_unused", "method": "clinical_waste", "expected_seq": self._standing(code).seq}
            first, second = ("lab_tech", "lab_tech2") if into_the_cold else ("clinician", "clinic_staff")
            answer = by_two(getattr(self.api, first), getattr(self.api, second), f"/specimens/{code}/discard", said)
            assert answer.status_code == 200, answer.text
            self.ended.add(code)

    def _do_signed(self, login: str, path: str, tube: str) -> Any:
        body = {"tube": tube, "site": "LAB", "reason": "postponed", "quality": "quarantined"}
        answer = sign_and_post(getattr(self.api, login), "decided", path, body)
        return answer.json() if answer.status_code == 200 else None

    def _hold(self, code: str) -> None:
        wanted = HoldRequest.model_validate({"scope_kind": "specimen", "scope_id": code, "kind": "quality", "reason": "test"})
        assert self._do(place_hold, "quality", wanted) is not None or code in self.given | self.ended
        self._spoil(code)

    @rule(tube=st.integers(0, 5), how=st.sampled_from(["held", "expired", "revoked"]))
    def goes_wrong(self, tube: int, how: str) -> None:
        code = self.tubes[tube]
        if how == "held":
            self._hold(code)
        elif how == "expired":
            table, past = table_of(Specimen), clock.now() - timedelta(seconds=1)
            self.bank.write(lambda s: s.execute(update(table).where(table.c.code == code).values(expires_at=past)))
        else:
            given = self.api.clinician.get(f"/donors/{self.owner[code]}").json()["consents"]
            consent = next(one for one in given if one["kind"] == "treatment")
            self._do(revoke_consent, "clinician", self.owner[code], consent["id"], RevokeConsent())
            self._spoil(*(one for one in self.tubes if self.owner[one] == self.owner[code]))
        self._spoil(code)

    @rule(which=st.integers(0, 2))
    def a_test_of_the_lot_fails(self, which: int) -> None:
        tubes = self.stories[which].vials
        found = {"test": "sterility", "sampled_at": clock.now(), "result": "failed", "report_sha256": "ef" * 32} | seed.TESTED
        lot = self.api.quality.get(f"/specimens/{tubes[0]}").json()["lot"]
        assert self._do(record_test, "lab_tech", lot, RecordLotTest.model_validate(found)) is not None
        self._spoil(*tubes)

    @rule(tube=st.integers(0, 9), login=st.sampled_from(LOGINS))
    def ends_alone(self, tube: int, login: str) -> None:
        code = self._one(tube)
        before = self._standing(code)
        asked = DiscardRequest.model_validate({"reason": "surplus", "method": "incineration", "expected_seq": before.seq})
        self._do(discard, login, code, asked)
        assert self._standing(code).projection.state == before.projection.state, "one person alone ended a therapeutic unit"

    @rule(tube=st.integers(0, 9))
    def needs_a_cold_place(self, tube: int) -> None:
        code = self._one(tube)
        before = self._standing(code)
        if before.projection.state not in ("checked_out", "in_process", "received") or before.projection.site_code != "LAB":
            return
        asked = StoreRequest.model_validate({"container": self.box, "expected_seq": before.seq})
        assert self._do(store_specimen, "lab_tech", code, asked) is not None, f"{code} was refused a cold place"

    def _standing(self, code: str) -> Any:
        return self.bank.write(lambda s: load(s, [code])[code])

    @invariant()
    def nobody_was_given_anothers_cells(self) -> None:
        if not hasattr(self, "owner"):
            return
        given = text(
            "SELECT a.specimen_code, a.donor_code, c.donor_code, w.recipient_code, b.donor_code FROM administration a"
            " JOIN custody c ON c.code = a.specimen_code JOIN withdrawal w ON w.code = a.withdrawal_code"
            " JOIN bedside_release r ON r.id = a.release_id JOIN wristband b ON b.code = r.wristband_code"
            " WHERE a.specimen_code = ANY(:tubes)"
        )
        for row in self.bank.write(lambda s: s.execute(given, {"tubes": self.tubes}).all()):
            assert set(row[1:]) == {self.owner[row[0]]}


@pytest.mark.slow
def test_no_sequence_of_acts_gives_the_wrong_cells_ends_a_unit_alone_or_refuses_a_cold_place(api: Api, tmp_path: Path) -> None:
    Withdrawals.api, Withdrawals.bank, Withdrawals.folder = api, api.test_bank, tmp_path
    run_state_machine_as_test(
        Withdrawals,
        settings=settings(max_examples=4, stateful_step_count=24, deadline=None, suppress_health_check=list(HealthCheck)),
    )
