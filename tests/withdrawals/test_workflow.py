"""The pure rules of the steps."""

from hypothesis import given
from hypothesis import strategies as st

from biobank.custody.states import TERMINAL, Condition, State
from biobank.withdrawals.bedside import differing
from biobank.withdrawals.workflow import (
    LEGAL,
    OVER,
    Item,
    Route,
    Step,
    WithdrawalState,
    after,
    settled,
    shown,
    step_refusal,
    waits_for,
)

items = st.lists(
    st.builds(
        Item,
        specimen=st.sampled_from(["AD26-A", "AD26-B", "AD26-C"]),
        state=st.sampled_from(list(State)),
        condition=st.sampled_from(list(Condition)),
        picked=st.booleans(),
        confirmed=st.booleans(),
        given=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(list(Step)), st.sampled_from(list(WithdrawalState)))
def test_a_step_is_refused_exactly_where_it_does_not_begin(step: Step, state: WithdrawalState) -> None:
    refusal = step_refusal(step, "WD26-X", state)
    assert (refusal is None) == (state in LEGAL[step])
    if refusal is not None:
        assert state.value in refusal.detail


@given(items)
def test_a_withdrawal_is_done_with_administering_when_no_tube_is_left_away(tubes: list[Item]) -> None:
    state = after(Step.ADMINISTER, WithdrawalState.DELIVERED, tubes)
    away = [t for t in tubes if t.state in (State.ISSUED, State.IN_TRANSIT, State.DELIVERED)]
    assert (state is WithdrawalState.DELIVERED) == bool(away)
    if not away:
        assert (state is WithdrawalState.ADMINISTERED) == any(t.given for t in tubes)


@given(items)
def test_what_is_terminal_is_settled(tubes: list[Item]) -> None:
    assert all(settled(t) for t in tubes if t.state in TERMINAL)


@given(st.sampled_from(list(WithdrawalState)), st.sampled_from(list(Route)), items)
def test_only_what_is_over_waits_for_nothing(state: WithdrawalState, route: Route, tubes: list[Item]) -> None:
    assert (waits_for(state, route, tubes) == []) == (state in OVER)


def test_nothing_but_an_outcome_or_the_return_of_what_turned_up_happens_to_what_is_over() -> None:
    for state in OVER:
        legal = {step for step in Step if state in LEGAL[step]}
        assert legal <= {Step.OUTCOME, Step.RETURN}


def test_every_state_is_reached_by_the_steps() -> None:
    reached, frontier = {WithdrawalState.REQUESTED}, [WithdrawalState.REQUESTED]
    given_and_away = [
        [Item("A", State.ADMINISTERED, Condition.THAWED, given=True)],
        [Item("A", State.RECEIVED, Condition.FROZEN)],
        [Item("A", State.DELIVERED, Condition.THAWED)],
    ]
    while frontier:
        state = frontier.pop()
        for step in Step:
            if state in LEGAL[step]:
                for tubes in given_and_away:
                    new = after(step, state, tubes)
                    if new not in reached:
                        reached.add(new)
                        frontier.append(new)
    assert reached == set(WithdrawalState)


def test_an_issued_withdrawal_whose_tubes_travel_is_called_in_transit() -> None:
    travelling = [Item("A", State.IN_TRANSIT, Condition.FROZEN)]
    assert shown(WithdrawalState.ISSUED, travelling) == "in_transit"
    assert shown(WithdrawalState.DELIVERED, travelling) == "delivered"


people = st.sampled_from(["DN-A", "DN-B"])


@given(people, people, st.one_of(st.none(), people), st.booleans())
def test_a_bedside_check_agrees_only_when_all_is_one_persons(
    recipient: str, band: str, product: str | None, asked_for: bool
) -> None:
    wrong = differing(recipient, ["AD26-A"] if asked_for else [], band, "AD26-A", product)
    assert (wrong == []) == (band == recipient and product == recipient and asked_for)
