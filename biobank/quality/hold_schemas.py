"""Wire shapes of holds: placing them, lifting them, one or several at once."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from biobank.custody.recording import Circumstances
from biobank.custody.states import HoldKind, HoldScope
from biobank.foundation.paging import Listed
from biobank.quality.schemas import Code, Reason, Recorded, Token


class HoldRequest(Circumstances):
    """Stop acts on a specimen, or on everything of a lot, harvest, donor, container, shipment or bench session."""

    scope_kind: HoldScope
    scope_id: Code
    kind: HoldKind
    reason: Reason


class LiftRequest(Circumstances):
    """Quality says the reason for the hold is gone."""

    reason: Reason
    signature: Token = None


class HoldPublic(BaseModel):
    """A hold."""

    id: UUID
    kind: str
    scope_kind: str
    scope_id: str
    blocks: list[str]
    reason: str
    placed_at: datetime
    placed_by: str
    lifted_at: datetime | None = None
    lifted_by: str | None = None


class HoldAnswer(HoldPublic, Recorded):
    """A hold that was just placed or lifted."""

    releases_killed: int = Field(default=0, description="Bedside releases that ended because of it.")


class HoldSeveral(Circumstances):
    """Stop acts on several specimens: one hold on each."""

    specimens: list[Code] = Field(min_length=1, max_length=500)
    kind: HoldKind
    reason: Reason


class LiftSeveral(LiftRequest):
    """Quality says the reason for each of these holds is gone."""

    holds: list[UUID] = Field(min_length=1, max_length=100)


class HoldsAnswer(Recorded):
    """Holds that were just placed or lifted together."""

    items: list[HoldPublic]
    releases_killed: int = Field(description="Bedside releases that ended because of them.")


class HoldList(Listed[HoldPublic]):
    """Holds, newest first."""
