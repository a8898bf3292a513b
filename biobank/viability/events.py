"""Events of viability: what quality demands, and the reports it signs. Counts are `specimen.viability_measured` (specimens)."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind

HASH = r"^[0-9a-f]{64}$"


class CriterionSet(Event):
    """Quality decided, signed, what a count of a material must show at a site."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.viability_criterion_set"] = "system.viability_criterion_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    minimum_bp: int = Field(ge=1, le=9999)
    confidence_bp: int = Field(ge=5000, le=9999)
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$")


class Reported(Event):
    """Quality signed a report of what was counted in the lot after thawing. `counts` are the leaf hashes of those counts."""

    stream: ClassVar[StreamKind] = StreamKind.LOT
    kind: Literal["lot.viability_reported"] = "lot.viability_reported"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    report: str = Field(pattern=r"^[0-9a-f-]{36}$")
    counts: tuple[str, ...] = Field(min_length=1, max_length=1000)
    content_sha256: str = Field(pattern=HASH, description="SHA-256 of the report's content as canonical JSON.")
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$")
