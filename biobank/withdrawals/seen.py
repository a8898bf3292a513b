"""What an approval rests on, as it is shown, signed over and kept: the shapes of a picture and its hash.

Who reads them from the record is `withdrawals/picture.py`.
"""

from datetime import datetime
from functools import cached_property
from hashlib import sha256

from pydantic import BaseModel, Field

from biobank.transparency import canonical
from biobank.viability.schemas import BandPublic, DosePublic, SetDose


class CountSeen(BaseModel):
    """A count of a unit, with the 95 % interval that the count supports. Basis points."""

    method: str
    live: int
    dead: int
    viability_bp: int
    lower_bp: int
    upper_bp: int
    measured_at: datetime


class ExpectedSeen(BaseModel):
    """What thawing it may be expected to show; an expectation, not a measurement."""

    expected_bp: int | None
    next_vial: list[BandPublic]
    evidence: str
    dose: DosePublic | None


class UnitSeen(BaseModel):
    """One unit of the donor's material. `chosen`: the request names it; `order`: its place among the usable ones, from 1."""

    specimen: str
    chosen: bool
    order: int | None
    head: str = Field(description="Leaf hash of its latest event.")
    state: str
    condition: str
    quality: str
    site: str | None
    identified: str = Field(description="Whether two people identified the donor at every harvest it comes from, in words.")
    basis: str
    authorisation: str | None = Field(description="Number or statute that quality named when it determined the basis.")
    lot: str | None
    amount: int
    unit: str
    banked_at: str | None
    expires_at: datetime | None
    use_by: str | None = Field(description="Until when it may be used as it is, where a clock runs; what is frozen needs none.")
    markers_evaluated: bool
    reactive_for: list[str] = Field(description="Agents of infection that the donor's results are reactive for.")
    holds: list[str]
    measured: CountSeen | None = Field(description="The count that was recorded last.")
    failed_before: list[CountSeen] = Field(description="Earlier counts that did not show what quality demanded, newest first.")
    expected: ExpectedSeen | None
    refusals: list[str] = Field(description="Every reason why it cannot be used now; empty when it can.")


class LotSeen(BaseModel):
    """What the tests of a lot say, by kind. `missing`: a release of its material rests on them, and nobody began them."""

    lot: str
    passed: list[str]
    failed: list[str]
    pending: list[str]
    overdue: list[str]
    missing: list[str]


class RequestSeen(BaseModel):
    """What was asked for, and by whom."""

    withdrawal: str
    seq: int
    material: str
    route: str
    clinic_site: str
    units: int
    amounts: dict[str, int] = Field(description="What the chosen units hold together, by unit of measure.")
    amount_asked: int | None = Field(description="The least that they must hold together, in their unit; null: not said.")
    indication: str | None = Field(description="Commitment to the words of why; GET /withdrawals/{code}/indication reads them.")
    needed_at: datetime | None
    requested_by: str
    requested_at: datetime


class DonorSeen(BaseModel):
    """The donor, who is the recipient, and why treatment consent does not cover it, if so."""

    donor: str
    status: str
    identity_changed_at: datetime | None = Field(description="When name, birth date or identifiers on record were last changed.")
    consents: list[str] = Field(description="Leaf hashes of the consents that cover it.")
    consent_refusals: list[str]


class RemainsSeen(BaseModel):
    """What is left once the chosen units are gone."""

    sentence: str
    units: int
    amounts: dict[str, int]
    doubtful: int
    takes_the_last: bool
    below_reserve: bool

    @property
    def takes_two(self) -> bool:
        """Whether approving takes a second signature of quality."""
        return self.takes_the_last or self.below_reserve


class DeviationSeen(BaseModel):
    """An open deviation about it."""

    code: str
    severity: str
    topic: str
    opened_at: datetime


class HarmSeen(BaseModel):
    """An adverse reaction or event with an earlier withdrawal of the donor, as it is judged now, also when it is settled."""

    deviation: str
    withdrawal: str
    kind: str
    seriousness: str
    causality: str
    in_lot: bool | None
    seen_at: datetime


class NearMissSeen(BaseModel):
    """Refusals that were kept about its tubes, its donor or itself, by code; attempts to approve it are not counted."""

    code: str
    times: int
    latest: datetime


class Picture(BaseModel):
    """What an approval rests on."""

    seen_at: datetime
    salt: str = Field(description="What keeps anybody from guessing at the contents by the hash, which stands in the log.")
    lasting_salt: str = Field(
        description="The like for what is the same at every reading: by it two people sign over one content."
    )
    request: RequestSeen
    donor: DonorSeen
    units: list[UnitSeen]
    tests: list[LotSeen]
    allergies: list[str] = Field(description="Where a residue of processing meets an allergy of the donor, a sentence each.")
    dose: SetDose = Field(description="Living cells to be expected of the chosen units together. Not a therapeutic dose.")
    remains: RemainsSeen
    deviations: list[DeviationSeen]
    harm: list[HarmSeen]
    near_misses: list[NearMissSeen]

    @cached_property
    def parts(self) -> dict[str, str]:
        """The SHA-256 of each part's canonical JSON, in hex, by its name in plain words."""
        whole = self.model_dump(mode="json")
        parts = {
            "the request": whole["request"],
            "the donor or the consent": whole["donor"],
            **{one["specimen"]: one for one in whole["units"]},
            **{f"the tests of {one['lot']}": one for one in whole["tests"]},
            "allergies": {"items": whole["allergies"]},
            "the expected dose": whole["dose"],
            "what remains": whole["remains"],
            "open deviations": {"items": whole["deviations"]},
            "adverse reactions and events": {"items": whole["harm"]},
            "near misses": {"items": whole["near_misses"]},
        }
        return {name: sha256(canonical.encode(part)).hexdigest() for name, part in parts.items()}

    @cached_property
    def lasting(self) -> str:
        """The SHA-256, in hex, of all its parts, whenever they were read."""
        return sha256(canonical.encode({"salt": self.lasting_salt, **self.parts})).hexdigest()

    @cached_property
    def content(self) -> str:
        """Its canonical JSON (RFC 8785 profile)."""
        return canonical.encode(self.model_dump(mode="json")).decode()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its canonical JSON, in hex."""
        return sha256(self.content.encode()).hexdigest()


class PictureAnswer(BaseModel):
    """A picture and what an approval sends back: `sha256` as `picture`, `seen_at` as `picture_at`, `parts` as `picture_parts`."""

    picture: Picture
    sha256: str
    parts: dict[str, str]
