"""Where the rules of an estimate turn: at a limit, one step past it, and where the record says nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from biobank.custody.states import Condition
from biobank.viability.history import History
from biobank.viability.parameters import current
from biobank.viability.refusals import DelayTooLong, Minus80TooLong, NotFrozen, RecordMissing, StorageUncontrolled
from biobank.viability.rules import Own, history_refusal, refusal_before_fit, usual_assay

PARAMETERS = current()
LIMITS = PARAMETERS.limits
KEPT = History(
    condition=Condition.FROZEN,
    frozen_at=datetime(2026, 1, 1, tzinfo=UTC),
    warm_hours=1.0,
    freezes=1,
    procedure_version="PR26-0000000/1",
)


def test_own_counts_stand_alone_from_both_numbers_on_and_not_one_before() -> None:
    assert Own(LIMITS.own_thaws, LIMITS.own_donors).enough(LIMITS)
    assert not Own(LIMITS.own_thaws - 1, LIMITS.own_donors).enough(LIMITS)
    assert not Own(LIMITS.own_thaws, LIMITS.own_donors - 1).enough(LIMITS)
    assert (Own().thaws, Own().donors) == (0, 0), "what was not counted is nought"


def test_a_history_without_fault_is_refused_nothing() -> None:
    assert history_refusal("AD26-0000000", KEPT, LIMITS) is None


@pytest.mark.parametrize("holed", [replace(KEPT, frozen_at=None), replace(KEPT, warm_hours=None)])
def test_each_hole_in_the_record_is_one_too_many(holed: History) -> None:
    assert isinstance(history_refusal("AD26-0000000", holed, LIMITS), RecordMissing)


def test_a_limit_itself_is_still_covered_and_more_is_not() -> None:
    def kept(over: float) -> list[tuple[History, type[Exception]]]:
        return [
            (replace(KEPT, uncontrolled_minutes=LIMITS.uncontrolled_minutes + over), StorageUncontrolled),
            (replace(KEPT, minus_80_days=LIMITS.minus_80_days + over), Minus80TooLong),
            (replace(KEPT, warm_hours=LIMITS.warm_hours_before_processing + over), DelayTooLong),
        ]

    assert [history_refusal("AD26-0000000", history, LIMITS) for history, _ in kept(0)] == [None, None, None]
    for history, refused in kept(0.01):
        assert isinstance(history_refusal("AD26-0000000", history, LIMITS), refused)


NEVER_FROZEN = [one for one in Condition if one not in (Condition.FRESH, Condition.FROZEN, Condition.THAWED)]


@pytest.mark.parametrize("condition", NEVER_FROZEN)
def test_follicles_are_estimated_fresh_and_in_no_other_state_that_was_never_frozen(condition: Condition) -> None:
    material = "intact_follicles"
    assay = usual_assay(material, PARAMETERS)
    assert refusal_before_fit("HF26-0000000", material, assay, replace(KEPT, condition=Condition.FRESH), PARAMETERS) is None
    other = refusal_before_fit("HF26-0000000", material, assay, replace(KEPT, condition=condition), PARAMETERS)
    assert isinstance(other, NotFrozen)
