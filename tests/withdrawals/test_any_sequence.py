"""Whatever is called, in whatever order, by whomever: nobody is given another's cells, nor a failed, expired or held tube.

A machine of random acts on two donors' withdrawals, by the real use cases on a real database. Some acts go on as they should, so
that deep states are reached; the others take any step, with any tube, any band and any release, by any role.
"""

from collections.abc import Callable
from datetime import timedelta
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
from biobank.withdrawals.steps import STEPS
from biobank.withdrawals.workflow import next_steps
from tests import seed
from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.factories import make_box
from tests.withdrawals.stories import Story, a_story, by_two, sign_and_post
from tests.withdrawals.test_hostile import WHO
from tests.withdrawals.test_offered import LOGINS, body_of

RIGHT = {name: login for name, (login, _) in WHO.items() if name in STEPS}
ANY = sorted(set(STEPS) - {"approve", "reject", "cancel", "replace"})
"""Steps that take no signature, or are no end by themselves."""
OUT = ("issued", "delivered")


class Withdrawals(RuleBasedStateMachine):
    """Random acts on the withdrawals of two donors, each with a tube asked for and one that is not."""

    api: Api
    bank: TestBank

    @initialize()
    def set_the_stage(self) -> None:
        self.stories = [a_story(self.api, 2, lot=True).up_to("approve") for _ in range(2)]
        for story in self.stories:
            story.band = donors.band(self.api, story.donor)
        self.tubes = [tube for story in self.stories for tube in story.vials]
        self.owner = {tube: story.donor for story in self.stories for tube in story.vials}
        self.unfit: set[str] = set()
        self.given: set[str] = set()
        self.ended: set[str] = set()
        self.acts = {login: self.bank.act(login) for login in LOGINS}
        admin = self.bank.act("admin")
        self.box = self.bank.write(lambda s: make_box(s, admin, purpose="quarantine", rows=9, cols=9).code)

    def _do(self, use_case: Callable[..., Any], login: str, *words: Any) -> Any:
        """Run one use case as one act; None when it is refused."""
        act = Act.of(self.acts[login].actor, self.bank.bank, path="test") if login in self.acts else self.bank.act(login)
        try:
            answer = self.bank.write(lambda s: use_case(s, act, *words))
        except Refusal:
            return None
        return None if isinstance(answer, Refused) else answer

    def _take(self, story: Story, name: str, login: str, tube: str, band: str, minutes_ago: int = 0) -> None:
        body = body_of(story, name, tube)
        if minutes_ago:
            stated = clock.now() - timedelta(minutes=minutes_ago)
            body = body.model_copy(update={"occurred_at": stated, "late_entry": True, "reason_text": "entered later"})
        if name == "check":
            body = body.model_copy(update={"wristband": band, "device": f"tablet-of-{login}"})
        answer = self._do(STEPS[name].use_case, login, story.code, body)
        if answer is not None and name == "check" and answer.release is not None:
            story.release = str(answer.release)
        if answer is not None and name == "issue":
            assert self.unfit.isdisjoint(story.vials[:1]), f"{story.code} was issued with a tube that nobody may use"
        if answer is not None and name == "administer":
            self.given.add(tube)
            assert tube not in self.unfit, f"{name} of {tube}, which is held, expired or without consent"

    @rule(which=st.integers(0, 1), second=st.booleans())
    def goes_on(self, which: int, second: bool) -> None:
        story = self.stories[which]

        def waits(session: Session) -> list[str]:
            case = read_case(session, find_row(session, self.acts["quality"].actor, story.code))
            return next_steps(case.state, case.route, case.items)

        names = [name for name in self.bank.write(waits) if name in RIGHT]
        if not names:
            return
        name = "administer" if story.release else "check" if "check" in names else names[0]
        login = "clinic_staff" if name == "check" and second else RIGHT.get(name, "clinician")
        self._take(story, name, login, story.vials[0], story.band)

    @rule(
        which=st.integers(0, 1),
        name=st.sampled_from(ANY),
        login=st.sampled_from(LOGINS),
        tube=st.integers(0, 3),
        band=st.integers(0, 1),
        minutes_ago=st.sampled_from([0, 0, 3, 40]),
    )
    def anything(self, which: int, name: str, login: str, tube: int, band: int, minutes_ago: int) -> None:
        self._take(self.stories[which], name, login, self.tubes[tube], self.stories[band].band, minutes_ago)

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

    @rule(tube=st.integers(0, 3), how=st.sampled_from(["held", "expired", "revoked"]))
    def goes_wrong(self, tube: int, how: str) -> None:
        code = self.tubes[tube]
        if how == "held":
            asked = HoldRequest.model_validate({"scope_kind": "specimen", "scope_id": code, "kind": "quality", "reason": "test"})
            assert self._do(place_hold, "quality", asked) is not None or code in self.given | self.ended
        elif how == "expired":
            table, past = table_of(Specimen), clock.now() - timedelta(seconds=1)
            self.bank.write(lambda s: s.execute(update(table).where(table.c.code == code).values(expires_at=past)))
        else:
            (consent,) = self.api.clinician.get(f"/donors/{self.owner[code]}").json()["consents"]
            self._do(revoke_consent, "clinician", self.owner[code], consent["id"], RevokeConsent())
            self.unfit |= {one for one in self.tubes if self.owner[one] == self.owner[code]}
        self.unfit.add(code)

    @rule(which=st.integers(0, 1))
    def a_test_of_the_lot_fails(self, which: int) -> None:
        tubes = self.stories[which].vials
        found = {"test": "sterility", "sampled_at": clock.now(), "result": "failed", "report_sha256": "ef" * 32} | seed.TESTED
        lot = self.api.quality.get(f"/specimens/{tubes[0]}").json()["lot"]
        assert self._do(record_test, "lab_tech", lot, RecordLotTest.model_validate(found)) is not None
        self.unfit |= set(tubes)

    @rule(tube=st.integers(0, 3), login=st.sampled_from(LOGINS))
    def ends_alone(self, tube: int, login: str) -> None:
        code = self.tubes[tube]
        before = self._standing(code)
        asked = DiscardRequest.model_validate({"reason": "surplus", "method": "incineration", "expected_seq": before.seq})
        self._do(discard, login, code, asked)
        assert self._standing(code).projection.state == before.projection.state, "one person alone ended a therapeutic unit"

    @rule(tube=st.integers(0, 3))
    def needs_a_cold_place(self, tube: int) -> None:
        code = self.tubes[tube]
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
def test_no_sequence_of_acts_gives_the_wrong_cells_ends_a_unit_alone_or_refuses_a_cold_place(api: Api) -> None:
    Withdrawals.api, Withdrawals.bank = api, api.test_bank
    run_state_machine_as_test(
        Withdrawals,
        settings=settings(max_examples=4, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )
