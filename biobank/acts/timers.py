"""What the bank does by itself at intervals. A timer is declared on the function that it runs:

    @timer(every=timedelta(seconds=30))
    def expire_handovers(session: Session, act: Act) -> int:

`registries/declarations.py` imports every module that declares one; `operations/worker.py` runs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from biobank.acts.act import Act

Recurring = Callable[[Session, Act], int]
"""A use case of the bank itself, in one transaction; returns how many things it did."""


@dataclass(frozen=True)
class Timer:
    """A recurring act of the bank itself."""

    name: str
    every: timedelta
    run: Recurring


TIMERS: dict[str, Timer] = {}
"""Every timer by the name of its function. Whole once `registries.declarations` is imported."""


def timer(*, every: timedelta) -> Callable[[Recurring], Recurring]:
    """Let the worker run the function at intervals of `every`; of several workers, one at a time."""

    def declare(run: Recurring) -> Recurring:
        assert run.__name__ not in TIMERS, f"two timers are called {run.__name__}"
        TIMERS[run.__name__] = Timer(run.__name__, every, run)
        return run

    return declare
