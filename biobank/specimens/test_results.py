"""What the result of each kind of test says beside passed or failed, and what a report must hold before it is recorded. Pure.

Sterility and mycoplasma are found by growth or by what stands for it: a failed one may name an organism. Endotoxin and viability
are numbers: what passed says which. A report that fails a lot without a number is recorded as it is, for it must hold the lot.
The limits that a number is judged by are the laboratory's and quality's: nothing here turns a number into passed or failed.
"""

from collections.abc import Mapping
from typing import Any, Final

from biobank.foundation.errors import Conflict, Refusal

NUMBERS: Final[Mapping[str, str]] = {"endotoxin": "endotoxin_milli_eu_per_ml", "viability": "viable_bp"}
"""Kinds of test whose result is a number → the member that holds it."""
BY_GROWTH: Final = frozenset({"sterility", "mycoplasma"})
"""Kinds of test that may find an organism."""

_CALLED: Final[Mapping[str, str]] = {
    "endotoxin_milli_eu_per_ml": "how much endotoxin was found",
    "viable_bp": "the share of living cells",
}


class ResultIncomplete(Conflict):
    """The report of this test says more than was sent."""

    code = "test_result_incomplete"
    title = "The result is not complete"


class NotOfThisTest(Conflict):
    """This test does not find what was sent with it, or has no result yet."""

    code = "not_of_this_test"
    title = "Not of this test"


class ResultDueUnsaid(Conflict):
    """Nobody could say when the result of this test is late."""

    code = "result_due_unsaid"
    title = "When the result is due is not said"


class ResultDueTooLate(Conflict):
    """A test is waited for as long as its method takes, not for as long as somebody likes."""

    code = "result_due_too_late"
    title = "Due too late"


def refusal_of_result(kind: str, result: str, said: Mapping[str, Any]) -> Refusal | None:
    """Return why the members in `said` are not what a test of this kind finds; None where they are.

    `said` holds the members named in NUMBERS, `organism` (or None) and `below_detection` (true or false).
    """
    number = NUMBERS.get(kind)
    if result == "pending":
        early = any(value is not None and value is not False for value in said.values())
        return NotOfThisTest("A test that waits has found nothing yet. Send what was found with its result.") if early else None
    for other in NUMBERS.values():
        if other != number and said[other] is not None:
            return NotOfThisTest(f"A {kind} test does not say {_CALLED[other]}. Leave that out.")
    if number is not None and said[number] is None and result == "passed":
        return ResultIncomplete(f"Say {_CALLED[number]}, as the report does.")
    if said["below_detection"] and kind != "endotoxin":
        return NotOfThisTest("Only an endotoxin test is reported as less than what it can find. Leave that out.")
    if said["organism"] is not None and (kind not in BY_GROWTH or result != "failed"):
        return NotOfThisTest("An organism goes with growth, in a failed test of sterility or mycoplasma. Leave it out.")
    return None
