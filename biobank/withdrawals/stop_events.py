"""Events of what stands against a withdrawal, whoever would take its next step: that something does, and that nothing does."""

from typing import Literal

from pydantic import Field

from biobank.withdrawals.events import WithdrawalEvent


class Stopped(WithdrawalEvent):
    """Something stands against going on with it: a hold, a consent that was taken back, a time that is over.

    Whoever waits for it is told.
    """

    kind: Literal["withdrawal.stopped"] = "withdrawal.stopped"

    because: tuple[str, ...] = Field(min_length=1, max_length=40, description="Codes of what stands against it, sorted.")


class GoesOn(WithdrawalEvent):
    """Nothing stands against going on with it any more."""

    kind: Literal["withdrawal.goes_on"] = "withdrawal.goes_on"
