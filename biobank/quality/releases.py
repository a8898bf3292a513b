"""Whoever stops a specimen ends its open bedside releases. They are rows of `withdrawals`, above, which says how.

A release never survives the reason for which it could not be given now: administration checks everything again, and an
ended release says so to whoever holds it.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlmodel import Session

from biobank.foundation.from_above import FromAbove


class EndReleases(Protocol):
    """End every open release of these specimens and return how many there were. `because` is a coded reason."""

    def __call__(self, session: Session, specimens: Collection[str], *, at: datetime, because: str) -> int:
        """Return how many were ended."""


class EndHeldReleases(Protocol):
    """End every open release of a specimen that a hold now keeps from being administered."""

    def __call__(self, session: Session, *, at: datetime, because: str) -> int:
        """Return how many were ended."""


end_releases: FromAbove[EndReleases] = FromAbove("withdrawals")
end_held_releases: FromAbove[EndHeldReleases] = FromAbove("withdrawals")
open_withdrawals_of: FromAbove[Callable[[Session, Collection[str]], list[str]]] = FromAbove("withdrawals")
"""The withdrawals of these donors that are not over, by code."""
open_withdrawals_with: FromAbove[Callable[[Session, Collection[str]], list[str]]] = FromAbove("withdrawals")
"""The withdrawals that are not over and ask for one of these specimens, by code."""
withdrawals_of_releases: FromAbove[Callable[[Session, Collection[UUID]], dict[UUID, str]]] = FromAbove("withdrawals")
"""The withdrawal that each bedside release belongs to."""
