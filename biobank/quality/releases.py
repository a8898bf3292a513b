"""Whoever stops a specimen ends its open bedside releases. They are rows of `withdrawals`, above, which says how.

A release never survives the reason for which it could not be given now: administration checks everything again, and an
ended release says so to whoever holds it.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
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


class GivenUnder(NamedTuple):
    """The withdrawal that a bedside release belongs to, and the codes of what stood against its giving when that was entered."""

    withdrawal: str
    came_after: Sequence[str] = ()


def given_members(under: GivenUnder | None) -> dict[str, Any]:
    """Return what a unit that was reached says of its giving."""
    return {"withdrawal": None, "came_after": []} if under is None else {**under._asdict(), "came_after": list(under.came_after)}


end_releases: FromAbove[EndReleases] = FromAbove("withdrawals")
end_held_releases: FromAbove[EndHeldReleases] = FromAbove("withdrawals")
open_withdrawals_of: FromAbove[Callable[[Session, Collection[str]], list[str]]] = FromAbove("withdrawals")
"""The withdrawals of these donors that are not over, by code."""
open_withdrawals_with: FromAbove[Callable[[Session, Collection[str]], list[str]]] = FromAbove("withdrawals")
"""The withdrawals that are not over and ask for one of these specimens, by code."""
givings_of_releases: FromAbove[Callable[[Session, Collection[UUID]], dict[UUID, GivenUnder]]] = FromAbove("withdrawals")
"""What was given under each of these bedside releases."""
