"""Events by which material or a whole record turns out to be another donor's, and both records say so."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, body, set_to
from biobank.custody.event import Event
from biobank.custody.events import HASH
from biobank.custody.states import LIVE, State, StreamKind
from biobank.foundation.kept_files import FileHash

DONOR = Field(pattern=r"^DN-[0-9A-Z]{7}$")
HARVEST = Field(pattern=r"^KT-[0-9A-Z]{7}$")
TWO = Field(description="Of the two people, in the order in which they signed.")
COUNT = Field(ge=0, le=10**6, description="Specimens that went along.")


class Reattributed(Event):
    """Two of quality found on evidence that the harvest it came of is another person's. It is decided about anew."""

    kind: Literal["specimen.reattributed"] = "specimen.reattributed"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    of_the_keeper: ClassVar[bool] = True
    open_to_all: ClassVar[bool] = True
    annotates: ClassVar[bool] = True
    call: ClassVar[str] = "/harvests/{harvest}/reattribution"
    label: ClassVar[str] = "Give its harvest to another person"
    from_states: ClassVar[frozenset[State]] = LIVE - {State.ISSUED, State.DELIVERED}
    effect: ClassVar[Effect] = {"quality": body("quality"), "marked": set_to(True)}

    harvest: str = HARVEST
    before: str = DONOR
    donor: str = DONOR
    quality: Literal["quarantined", "rejected"]
    evidence_sha256: FileHash
    signatures: tuple[str, str] = TWO


class DonorMerged(Event):
    """Its donor had two records; it goes on under the other code of the same person."""

    kind: Literal["specimen.donor_merged"] = "specimen.donor_merged"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE
    open_to_all: ClassVar[bool] = True
    annotates: ClassVar[bool] = True
    call: ClassVar[str] = "/donors/{donor}/merge"
    label: ClassVar[str] = "Merge the records of its donor"

    before: str = DONOR
    donor: str = DONOR


class Merged(Event):
    """Two of quality found that another record is of the same person; both codes lead here."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.merged"] = "donor.merged"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    duplicate: str = DONOR
    specimens: int = COUNT
    evidence_sha256: FileHash
    signatures: tuple[str, str] = TWO


class MergedInto(Event):
    """The person goes on under another code; this record ends."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    kind: Literal["donor.merged_into"] = "donor.merged_into"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    into: str = DONOR
    merged: str = HASH


class _HarvestMoved(Event):
    """A harvest is on another record than it was; both records say so."""

    stream: ClassVar[StreamKind] = StreamKind.DONOR
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    harvest: str = HARVEST
    home_site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$", description="The bank that keeps it, whose quality signed.")
    specimens: int = COUNT
    evidence_sha256: FileHash
    signatures: tuple[str, str] = TWO


class HarvestLeft(_HarvestMoved):
    """A harvest on this record turned out to be another person's. Whose stands with the specimens."""

    kind: Literal["donor.harvest_left"] = "donor.harvest_left"


class HarvestJoined(_HarvestMoved):
    """A harvest on somebody else's record turned out to be this person's."""

    kind: Literal["donor.harvest_joined"] = "donor.harvest_joined"
