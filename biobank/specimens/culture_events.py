"""Events of a culture while it grows: new medium, what was seen, vessels that were discarded."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, minus
from biobank.custody.event import Event
from biobank.custody.states import Condition, HoldAct
from biobank.specimens.events import CODES

Finding = Literal["as_expected", "few_attached", "detached", "colour_changed", "contamination_suspected", "contaminated"]
WhyDiscarded = Literal["contaminated", "broken", "detached", "surplus"]
VESSELS = Field(ge=1, le=10_000, description="In how many of its vessels.")
INCUBATOR = Field(default=None, pattern=r"^EQ-[0-9A-Z]{7}$", description="Where they stand.")


class _InCulture(Event):
    """Something that is done with the vessels of a culture, or seen in them: by the people who have them."""

    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD
    from_conditions: ClassVar[frozenset[Condition]] = frozenset({Condition.IN_CULTURE})
    call: ClassVar[str] = "/specimens/{specimen}/culture"


class MediumChanged(_InCulture):
    """Vessels got new medium."""

    kind: Literal["specimen.medium_changed"] = "specimen.medium_changed"
    label: ClassVar[str] = "Change the medium"

    vessels: int = VESSELS
    medium_lots: tuple[str, ...] = CODES
    incubator: str | None = INCUBATOR


class CultureSeen(_InCulture):
    """Somebody looked at vessels: how much of the surface is covered, and what was found."""

    kind: Literal["specimen.culture_seen"] = "specimen.culture_seen"
    label: ClassVar[str] = "Record a look at the culture"

    vessels: int = VESSELS
    confluence_percent: int | None = Field(default=None, ge=0, le=100)
    finding: Finding
    incubator: str | None = INCUBATOR


class VesselsDiscarded(_InCulture):
    """Some vessels were destroyed by two people; the rest is still the specimen."""

    kind: Literal["specimen.vessels_discarded"] = "specimen.vessels_discarded"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD
    act: ClassVar[HoldAct] = HoldAct.DESTROY
    effect: ClassVar[Effect] = {"amount": minus("amount")}
    call: ClassVar[str] = "/specimens/{specimen}/culture/discard"
    label: ClassVar[str] = "Discard vessels"

    vessels: int = VESSELS
    left: int = Field(ge=1, le=10_000, description="Vessels that go on.")
    amount: int = Field(ge=1, le=10**15)
    reason: WhyDiscarded
    signatures: tuple[str, str] = Field(description="Both signatures' ids.")
