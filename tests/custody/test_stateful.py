"""Custody under random acts: legal ones happen, illegal ones leave nothing, and the log alone rebuilds every row.

The model is the hand-written rulebook; the system is the real ledger on a real PostgreSQL.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.custody import events as custody
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import Rebuilt, projection_of
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.custody.states import Condition
from biobank.foundation.errors import Refusal
from biobank.specimens import events as specimens
from biobank.storage import events as storage
from biobank.storage.queries import free_slots
from tests.conftest import TestBank
from tests.custody.rulebook import OVER, RULEBOOK
from tests.factories import make_box, make_specimen

LOT = "LT-0000000"


def payloads(box: str, slots: list[str]) -> "dict[str, Callable[[int], Event]]":
    """A payload of every kind that needs no other table than the place's; the number varies it."""
    return {
        "specimen.received": lambda n: custody.Received(site="LAB"),
        "specimen.checked_out": lambda n: custody.CheckedOut(purpose="testing"),
        "specimen.sampled": lambda n: custody.Sampled(amount=1 + n, purpose="count"),
        "specimen.inspected": lambda n: custody.Inspected(container_intact=True, label_legible=True, contents_as_expected=True),
        "specimen.missing": lambda n: custody.Missing(reason="not_in_its_slot"),
        "specimen.found": lambda n: custody.Found(site="LAB"),
        "specimen.lost": lambda n: custody.Lost(reason="searched"),
        "specimen.handover_offered": lambda n: custody.HandoverOffered(
            handover="0" * 36, to_kind="courier", to_id=f"CO{n}", expires_at="2030"
        ),
        "specimen.handover_accepted": lambda n: custody.HandoverAccepted(handover="0" * 36, to_kind="courier", to_id=f"CO{n}"),
        "specimen.process_started": lambda n: specimens.ProcessStarted(lot=LOT, process="wash", procedure_version="1"),
        "specimen.frozen": lambda n: specimens.Frozen(programme="p1", cryoprotectant="dmso", cryoprotectant_contact_s=n),
        "specimen.thawed": lambda n: specimens.Thawed(method="bath"),
        "specimen.consumed": lambda n: specimens.Consumed(lot=LOT),
        "specimen.stored": lambda n: storage.Stored(container=box, position=slots[n % len(slots)], site="LAB"),
        "specimen.moved": lambda n: storage.Moved(container=box, position=slots[n % len(slots)], site="LAB"),
        "specimen.safeguarded": lambda n: storage.Safeguarded(container=box, position=None, site="LAB"),
    }


class CustodyMachine(RuleBasedStateMachine):
    """Random events on a handful of specimens sharing four slots."""

    bank: TestBank
    specimens = Bundle("specimens")

    @initialize()
    def set_the_stage(self) -> None:
        self.act = Act.of(SYSTEM, self.bank.bank, path="stateful")
        admin = self.bank.act("admin")
        box = self.bank.write(lambda s: make_box(s, admin, rows=2, cols=2))
        self.kinds = payloads(box.code, self.bank.write(lambda s: _slots(s, box.code)))
        self.model: dict[str, dict[str, Any]] = {}

    @rule(target=specimens)
    def collect(self) -> str:
        snapshot = self.bank.write(lambda s: make_specimen(s, self.act, amount=50))
        self.model[snapshot.code] = {"state": "collected", "condition": "fresh", "seq": 1, "slot": None, "amount": 50}
        return str(snapshot.code)

    @rule(code=specimens, kind=st.sampled_from(sorted(payloads("BX-0000000", ["PS-0000000"]))), n=st.integers(0, 7))
    def happens(self, code: str, kind: str, n: int) -> None:
        event = self.kinds[kind](n)
        expected = self._expected(code, kind, event)

        try:
            self.bank.write(lambda s: _attempt(s, self.act, code, event))
            happened = True
        except Refusal:
            happened = False
        except Exception as error:  # the database is the last net: only its own refusals are expected here
            assert "violates" in str(error), error
            happened = False

        assert happened == (expected is not None), (kind, self.model[code])
        if expected is not None:
            self.model[code] = expected

    @rule(code=specimens, kind=st.sampled_from(["specimen.inspected", "specimen.received"]))
    def a_writer_with_an_old_view_changes_nothing(self, code: str, kind: str) -> None:
        event = self.kinds[kind](0)
        if self.model[code]["seq"] < 2:
            return

        with pytest.raises(Refusal) as refused:
            self.bank.write(lambda s: _attempt(s, self.act, code, event, stale=True))

        assert refused.value.code in ("stale_sequence", "illegal_transition")

    @invariant()
    def the_log_alone_rebuilds_every_row(self) -> None:
        for code, model in getattr(self, "model", {}).items():
            row, rebuilt = self.bank.write(partial(_row_and_rebuilt, code=code))
            assert rebuilt == Rebuilt(row.projection, row.seq, row.state_seq)
            assert (row.projection.state, row.seq, row.projection.condition, row.projection.amount) == (
                model["state"],
                model["seq"],
                model["condition"],
                model["amount"],
            )

    @invariant()
    def no_two_tubes_share_a_slot(self) -> None:
        taken = [m["slot"] for m in getattr(self, "model", {}).values() if m["slot"] is not None]
        assert len(set(taken)) == len(taken)

    def _expected(self, code: str, kind: str, event: Event) -> dict[str, Any] | None:
        """What the rulebook and plain sense say: the model after the event, or None when it must be refused."""
        before = self.model[code]
        legal, to_state = RULEBOOK[kind]
        if before["state"] not in legal or (before["state"] in OVER and kind not in ("specimen.inspected", "specimen.found")):
            return None
        after = dict(before) | {"seq": before["seq"] + 1}
        if kind == "specimen.frozen":
            if before["condition"] not in ("fresh", "in_culture", "freezing"):
                return None
            after["condition"] = Condition.FROZEN.value
        if kind == "specimen.thawed":
            if before["condition"] != "frozen":
                return None
            after["condition"] = Condition.THAWED.value
        if kind == "specimen.sampled":
            after["amount"] -= event.payload()["amount"]
            if after["amount"] < 0:
                return None
        if kind == "specimen.consumed":
            after["amount"] = 0
        if kind in ("specimen.process_started", "specimen.consumed", "specimen.thawed") and before.get("held"):
            return None
        comes_back = before["state"] == "missing" and to_state is not None and to_state not in OVER
        if kind == "specimen.found" or comes_back:
            # The identity hold is a second event in the same transaction, whatever brings it back; of what is frozen nobody
            # knows whether it was in the cold: a third.
            after |= {"held": True, "seq": after["seq"] + (2 if before["condition"] == "frozen" else 1)}
        if to_state is not None:
            after["state"] = to_state
            if to_state not in ("stored", "checked_out"):
                after["slot"] = None
        if kind in ("specimen.stored", "specimen.moved", "specimen.safeguarded"):
            slot = event.payload()["position"]
            others = {m["slot"] for c, m in self.model.items() if c != code}
            if slot is not None and slot in others:
                return None
            after["slot"] = slot
        return after


def _row_and_rebuilt(session: Session, code: str) -> tuple[Snapshot, Rebuilt | None]:
    return load(session, [code])[code], projection_of(session, code)


def _slots(session: Session, box: str) -> list[str]:
    return [s.code for s in free_slots(session, box)]


def _attempt(session: Session, act: Act, code: str, event: Event, *, stale: bool = False) -> None:
    snapshot = load(session, [code], lock=True, holds=True)[code]
    if stale:
        snapshot = replace(snapshot, seq=snapshot.seq - 1)
    record(session, act, [Move(snapshot, event)], NOW)


def test_custody_keeps_its_promises_under_random_acts(bank: TestBank) -> None:
    CustodyMachine.bank = bank
    run_state_machine_as_test(
        CustodyMachine,
        settings=settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )
