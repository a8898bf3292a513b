"""Events of what follows a giving, on the withdrawal's stream: the outcome protocol, and that it was undone.

A figure measured on a patient is in the vault, never here.
"""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.events import CODE, HASH, REASON
from biobank.withdrawals.events import COMMIT, ID, WHEN, WithdrawalEvent
from biobank.withdrawals.workflow import WithdrawalState

CODED = Field(default=None, min_length=2, max_length=40, pattern=r"^[a-z0-9_]+$")
PHOTOGRAPH = r"^[0-9a-f]{64}$"


class GivingUndone(WithdrawalEvent):
    """Two of quality undid a giving on evidence: by the record it never happened, and the withdrawal waits as it did before."""

    kind: Literal["withdrawal.giving_undone"] = "withdrawal.giving_undone"

    specimen: str = CODE
    release: str = ID
    reversal: str = HASH
    state: WithdrawalState = Field(description="Where the withdrawal stands again.")


class MeasurePlanned(WithdrawalEvent):
    """The clinic planned what is measured after each unit is given: on which scale, on which day, and for how long."""

    kind: Literal["withdrawal.measure_planned"] = "withdrawal.measure_planned"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_REQUEST

    measure: str = ID
    what: str = REASON
    unit: str = REASON
    low: int = Field(ge=-(10**9), le=10**9)
    high: int = Field(ge=-(10**9), le=10**9)
    due_days: int = Field(ge=1, le=3650)
    window_days: int = Field(ge=0, le=365)
    photograph: bool


class MeasureTakenBack(WithdrawalEvent):
    """The clinic does not take a planned measure after all. Nothing was recorded of it."""

    kind: Literal["withdrawal.measure_taken_back"] = "withdrawal.measure_taken_back"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_REQUEST

    measure: str = ID
    reason: str = REASON


class MeasureRecorded(WithdrawalEvent):
    """A planned measure was taken after a unit was given, or was not done and why. `corrects`: why an earlier word is wrong."""

    kind: Literal["withdrawal.measure_recorded"] = "withdrawal.measure_recorded"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    measure: str = ID
    specimen: str = CODE
    value: str | None = COMMIT
    not_done: str | None = CODED
    photograph_sha256: str | None = Field(default=None, pattern=PHOTOGRAPH)
    measured_at: str = WHEN
    corrects: str | None = CODED


class PhotographRead(WithdrawalEvent):
    """Somebody looked at a photograph of a patient."""

    kind: Literal["withdrawal.photograph_read"] = "withdrawal.photograph_read"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_ADMINISTER

    photograph_sha256: str = Field(pattern=PHOTOGRAPH)
