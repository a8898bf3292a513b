"""Every event × every state × condition, hold, reservation and lag, from the classes; no database."""

from itertools import product
from typing import Any

import pytest

from biobank.custody.event import Event, rules
from biobank.custody.legality import ActiveHold, Snapshot, refusal_of
from biobank.custody.projection import Projection
from biobank.custody.states import HOLD_BLOCKS, TERMINAL, Condition, HoldAct, HoldKind, State
from biobank.registries import event_kinds
from tests.custody.rulebook import OVER, RULEBOOK

assert event_kinds.MODULES

SPECIMEN_KINDS = sorted(k for k, cls in rules.by_kind.items() if cls.stream.value == "specimen")


def specimen(state: str, condition: str = "fresh", **projection: Any) -> Snapshot:
    values = Projection(state=state, condition=condition, **projection)
    return Snapshot(code="AD26-0000000", donor_code="DN-0000000", seq=3 if state else 0, head_hash=b"", projection=values)


def fitting_condition(cls: type[Event]) -> str:
    return "fresh" if cls.from_conditions is None else min(c.value for c in cls.from_conditions)


def test_every_kind_of_specimen_event_is_in_the_rulebook() -> None:
    assert set(SPECIMEN_KINDS) == set(RULEBOOK)


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_an_event_is_legal_from_exactly_the_states_the_rulebook_names(kind: str) -> None:
    cls = rules.by_kind[kind]
    legal = {state.value for state in State if refusal_of(cls, specimen(state.value, fitting_condition(cls))) is None}

    assert legal == RULEBOOK[kind][0]
    assert (None if cls.to_state is None else cls.to_state.value) == RULEBOOK[kind][1]
    assert (refusal_of(cls, specimen("")) is None) == cls.starts


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_a_condition_outside_its_rule_refuses_the_event(kind: str) -> None:
    cls = rules.by_kind[kind]
    if cls.starts or cls.cold_first:
        return
    for state, condition in product(sorted(RULEBOOK[kind][0] - OVER), Condition):
        allowed = cls.from_conditions is None or condition in cls.from_conditions
        assert (refusal_of(cls, specimen(state, condition.value)) is None) == allowed, (state, condition)


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_a_hold_stops_exactly_the_acts_it_names_and_never_the_cold(kind: str) -> None:
    cls = rules.by_kind[kind]
    state = min(RULEBOOK[kind][0] - OVER, default="")
    for hold in HoldKind:
        blocks = tuple(sorted(a.value for a in HOLD_BLOCKS[hold]))
        held = specimen(state, fitting_condition(cls))
        held = Snapshot(**{**held.__dict__, "holds": (ActiveHold("1", hold.value, "donor", "DN-0000000", blocks),)})

        refusal = refusal_of(cls, held)

        stopped = cls.act is not None and cls.act.value in blocks and not cls.cold_first
        assert (refusal is not None) == stopped
        if refusal is not None:
            assert refusal.code == "on_hold"
            assert refusal_of(cls, held, ignore_holds={"1"}) is None


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_a_reservation_blocks_only_other_withdrawals(kind: str) -> None:
    cls = rules.by_kind[kind]
    state = min(RULEBOOK[kind][0] - OVER, default="")
    reserved = specimen(state, fitting_condition(cls), reserved_for="WD26-0000000")

    stranger = refusal_of(cls, reserved, withdrawal="WD26-1111111")

    asks = cls.act is not None or cls.unreserved
    assert (stranger is not None) == (asks and not cls.cold_first)
    assert refusal_of(cls, reserved, withdrawal="WD26-0000000") is None


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_a_lagging_log_stops_only_acts_towards_use(kind: str) -> None:
    cls = rules.by_kind[kind]
    state = min(RULEBOOK[kind][0] - OVER, default="")

    refusal = refusal_of(cls, specimen(state, fitting_condition(cls)), lagging=True)

    assert (refusal is not None) == cls.toward_use


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_a_refusal_at_the_bench_says_where_the_tube_goes_now(kind: str) -> None:
    cls = rules.by_kind[kind]
    for state in State:
        refusal = refusal_of(cls, specimen(state.value, fitting_condition(cls)))
        if refusal is not None and not cls.starts:
            assert refusal.where_now, state


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_whoever_leaves_the_road_leaves_the_shipment(kind: str) -> None:
    cls = rules.by_kind[kind]
    if cls.to_state is not None and cls.to_state is not State.IN_TRANSIT and State.IN_TRANSIT in cls.from_states:
        assert cls.whole_effect()["shipment_code"] == {"set": None}


@pytest.mark.parametrize("kind", SPECIMEN_KINDS)
def test_what_ends_is_nobodys_but_the_recipients_and_what_lives_is_somebodys(kind: str) -> None:
    cls = rules.by_kind[kind]
    custodian = cls.whole_effect().get("custodian_kind")
    if cls.to_state is State.ADMINISTERED:
        assert custodian == {"set": "recipient"}
    elif cls.to_state in TERMINAL:
        assert custodian == {"set": "nobody"}
    else:
        assert custodian != {"set": "nobody"}
        assert not cls.starts or custodian is not None


def test_acts_towards_use_are_issue_and_administration_and_what_leads_there() -> None:
    toward = {k for k in SPECIMEN_KINDS if rules.by_kind[k].toward_use}
    for kind in toward:
        assert rules.by_kind[kind].act in (HoldAct.ISSUE, HoldAct.ADMINISTER, None), kind
