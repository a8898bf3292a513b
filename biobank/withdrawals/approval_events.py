"""Events of an approval beside the approval itself: what remains was accepted by two, and it was looked at anew."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.withdrawals.events import ID, OverAPicture, WithdrawalEvent


class RemainderAccepted(WithdrawalEvent):
    """Two of quality accepted what remains: the approval takes the last usable unit, or goes below the reserve."""

    kind: Literal["withdrawal.remainder_accepted"] = "withdrawal.remainder_accepted"
    permission: ClassVar[Permission] = Permission.WITHDRAWAL_APPROVE

    remains: int = Field(ge=0, le=10_000, description="Usable units of the material that stay for the donor.")
    takes_the_last: bool
    below_reserve: bool
    picture: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the parts of the picture that both signed over, whenever each of them read it.",
    )
    first_by: str = Field(pattern=r"^US-[0-9A-Z]{7}$", description="Who proposed it; the entry is by the second.")
    first_signature: str = ID
    second_signature: str = ID


class ApprovalRenewed(OverAPicture):
    """Before anything left, what the approval was given over had changed; quality looked at it anew and signed again."""

    kind: Literal["withdrawal.approval_renewed"] = "withdrawal.approval_renewed"
