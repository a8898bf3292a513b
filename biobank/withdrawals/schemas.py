"""Wire shapes of withdrawals. No answer of an act names a person; words come in and go to the vault."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import Circumstances, FreeText, Instant, scans_alone
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.paging import Listed
from biobank.foundation.scanned_text import Scanned
from biobank.monitoring.loggers import Dates
from biobank.quality.schemas import Code, Sha256, Token
from biobank.shipping.schemas import ArrivedBox, Reference, Zone
from biobank.specimens.processing_schemas import MakingRun, ProcessingRecorded
from biobank.viability.schemas import DosePublic, SetDose
from biobank.withdrawals.events import MOST_VOLUME_UL
from biobank.withdrawals.label_text import LabelRead
from biobank.withdrawals.seen import DeviationSeen, HarmSeen, LotSeen, NearMissSeen, RemainsSeen, UnitSeen
from biobank.withdrawals.workflow import Route

Reason = Annotated[str, CODED, FromList("withdrawal")]
Amount = Annotated[int, Field(ge=0, le=10**15, description="In the specimen's unit.")]


class WithdrawalAct(Circumstances):
    """What every act on a withdrawal may carry."""

    expected_seq: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Sequence of the withdrawal's last event you saw; 409 when old."
    )


class WithdrawalRequest(Circumstances):
    """A person's own cells are wanted back, for that person. Name the tubes, or say how many and let the bank choose."""

    donor: Code
    recipient: Code | None = Field(default=None, description="The donor; nobody else is possible.")
    material: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    route: Route
    specimens: list[Code] = Field(default_factory=list, max_length=20)
    units: int = Field(default=1, ge=1, le=20, description="How many tubes, when `specimens` is empty: longest banked first.")
    minimum_amount: int | None = Field(default=None, ge=1, le=10**15, description="What the tubes must hold together.")
    needed_at: Instant | None = None
    indication: FreeText | None = Field(default=None, description="Goes to the vault under the donor's key.")


class ApproveRequest(WithdrawalAct):
    """Quality has looked at everything and says yes. What was looked at is named by `GET /withdrawals/{code}/picture`.

    What takes the last usable unit, or goes below the reserve, takes two of quality: each says how many usable units remain, and
    the second sends `pending_act`.
    """

    picture: Sha256 | None = Field(default=None, description="SHA-256 of the picture seen; 409 without it or when it changed.")
    picture_at: Instant | None = Field(default=None, description="Its `seen_at`; with `picture`.")
    picture_parts: dict[str, Sha256] = Field(
        default_factory=dict, max_length=500, description="Its `parts`; then a refusal says which of them changed."
    )
    remains: int | None = Field(default=None, ge=0, le=10_000, description="Usable units that remain for the donor afterwards.")
    signature: Token = None
    pending_act: UUID | None = None

    @model_validator(mode="after")
    def _seen_once(self) -> Self:
        if (self.picture is None) != (self.picture_at is None):
            raise ValueError("say both which picture was seen and when it was seen, or neither")
        return self


class RejectRequest(WithdrawalAct):
    """Quality says no."""

    reason: Reason
    signature: Token = None


class CancelRequest(WithdrawalAct):
    """It is called off before anything leaves."""

    reason: Reason


class ReplaceRequest(WithdrawalAct):
    """One tube cannot be used, and another of the donor's is asked for instead: the whole is requested and approved anew."""

    tube: Scanned = Field(description="The withdrawal's, which becomes free.")
    by: Scanned = Field(description="The donor's, which is taken instead.")
    reason: Reason


class PickRequest(WithdrawalAct):
    """One scan of a tube: by the one who takes it out (with its place), or by the second person, who is shown nothing.

    A tube whose code nothing reads is named by its place and by what is read on it, blind, by both (`label` instead of `tube`).
    """

    tube: Scanned | None = None
    label: LabelRead | None = Field(default=None, description="What is read on a tube whose code nothing reads.")
    place: Scanned | None = Field(default=None, description="The position's or box's code, scanned. Needed for a stored tube.")
    confirm: bool = Field(default=False, description="This is the second person's blind scan.")

    @model_validator(mode="after")
    def _scanned_or_read(self) -> Self:
        if (self.tube is None) == (self.label is None):
            raise ValueError("scan the tube, or say what is read on it: one of the two")
        scans_alone(self)
        return self


class PlaceScan(BaseModel):
    """A scan on the way to a tube: which tube, which level of its place, and what was scanned there."""

    model_config = ConfigDict(extra="forbid")

    tube: Code
    level: Literal["rack", "box", "slot"]
    scan: Scanned


class PlaceChecked(BaseModel):
    """It is the right one: go on."""

    level: Literal["rack", "box", "slot"]
    code: str


class ThawRequest(WithdrawalAct):
    """A tube is thawed for this withdrawal, at the bench or at the chair."""

    tube: Scanned
    method: Annotated[str, FromList(kind="thawing_method")] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()-]{0,59}$", description="A thawing method of the registers."
    )
    bath_temperature_mc: int | None = Field(default=None, ge=0, le=60_000, description="Millidegrees Celsius.")
    duration_s: int | None = Field(default=None, ge=0, le=7200)


class ExpandRequest(MakingRun, WithdrawalAct):
    """The run that grew the withdrawal's cells: `inputs` are all its tubes, `outputs` are all for treatment."""


class FinalLabelRequest(WithdrawalAct):
    """The final label of a thawed tube is on it: its symbol, scanned there."""

    tube: Scanned


class IssueRequest(WithdrawalAct):
    """Everything of the withdrawal leaves the bank. You keep custody until someone accepts; a courier accepts by evidence."""

    courier: Annotated[str, FromList(kind="courier")] | None = Field(
        default=None, pattern=r"^[A-Z0-9_-]{2,40}$", description="The courier organisation's code."
    )
    evidence: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9 ./:_-]{2,80}$", description="Reference of the courier's recorded acceptance."
    )


class ReceiveRequest(WithdrawalAct):
    """Tubes arrived at the clinic and were looked at."""

    tubes: list[Scanned] = Field(min_length=1, max_length=20)
    container_intact: bool
    label_legible: bool
    temperature_mc: int | None = Field(default=None, ge=-273_150, le=100_000, description="Arrival temperature, m°C.")
    confirmed: bool = Field(default=False, description="The temperature was read again, and it is so.")
    logger_sha256: FileHash | None = Field(
        default=None,
        description="SHA-256 that POST /attachments answered for the logger's file; it is read and judged. Null: none was given.",
    )
    zone: Zone | None = Field(default=None, description="Of the times in that file, where it names none: Europe/Vienna.")
    dates: Dates | None = Field(default=None, description="How 03/04 is to be read in it, where it leaves it open.")
    seal_intact: bool | None = Field(
        default=None, description="Of the shipper, where it came in one: a seal that nobody looks at holds what travelled."
    )
    seal: Reference | None = Field(default=None, description="Number of the seal on it; another than was sent is a broken one.")
    boxes: list[ArrivedBox] = Field(default_factory=list, max_length=20, description="Boxes of the shipment that were looked at.")


class BedsideRequest(WithdrawalAct):
    """One person's scans at the bedside. The second person does the same from their own login, without seeing the first's.

    `device` says which device scanned, another for each of the two; only what is entered from paper names none.
    """

    wristband: Scanned
    product: Scanned

    @model_validator(mode="after")
    def _for_oneself(self) -> Self:
        scans_alone(self)
        return self


class AdministerRequest(WithdrawalAct):
    """What was given. given + residue + loss is what was in the tube; nothing of it has a default: whoever gave it says it."""

    product: Scanned
    release: UUID = Field(description="From the bedside check that passed.")
    given: int = Field(ge=1, le=10**15, description="In the specimen's unit.")
    residue: Amount
    loss: Amount
    residue_went: Literal["discarded", "retained_sample"] | None = None
    volume_ul: int = Field(ge=1, le=MOST_VOLUME_UL, description="Volume given, microlitres.")
    anatomical_site: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    started_at: Instant = Field(description="When the giving began; `occurred_at` is when it ended.")
    reaction: bool = Field(description="Something was seen that should not be.")


class ReturnRequest(WithdrawalAct):
    """A tube came back frozen. Only with the temperature record of its journey may it be released to the bank again."""

    tube: Scanned
    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$", description="The site that has it now.")
    reason: Reason
    quality: Literal["quarantined", "released_to_bank", "rejected"] = Field(description="Quality's decision about it.")
    logger_sha256: FileHash | None = Field(
        default=None,
        description="SHA-256 that POST /attachments answered for the record; it is read and judged. Null: there is none.",
    )
    zone: Zone | None = Field(default=None, description="Of the times in that file, where it names none: Europe/Vienna.")
    dates: Dates | None = Field(default=None, description="How 03/04 is to be read in it, where it leaves it open.")
    signature: Token = None


class OutcomeRequest(WithdrawalAct):
    """What the clinic saw afterwards."""

    result: Literal["as_expected", "no_effect", "adverse_event", "serious_adverse_event", "not_administered", "lost_to_follow_up"]
    observed_at: Instant | None = None
    words: FreeText | None = Field(default=None, description="Go to the vault under the donor's key.")
    close: bool = Field(default=True, description="Nothing more is expected.")


class AdverseRequest(WithdrawalAct):
    """Something was seen that should not be: a reaction of the patient, or an event in the handling."""

    kind: Literal["reaction", "event"]
    seriousness: Literal["serious", "not_serious"]
    in_lot: bool = Field(description="The cause may be in the material: everything of its lot is held at once.")
    seen_at: Instant
    words: FreeText = Field(description="Go to the vault under the donor's key; read by those who treat or decide.")


class IndicationPublic(BaseModel):
    """Why a withdrawal was asked for, in the words of who asked."""

    withdrawal: str
    indication: str


class ItemPublic(BaseModel):
    """One tube of a withdrawal."""

    specimen: str
    state: str
    condition: str
    quality: str
    site: str | None
    amount: int
    unit: str
    picked: bool
    confirmed: bool
    administered: bool
    came_after: list[str] = Field(description="Given, and entered after this was recorded, which would have stood against it.")
    usable_until: datetime | None = Field(
        default=None,
        description="From when every step up to the giving refuses it, as it stands now; null: no clock runs.",
    )


class ReleasePublic(BaseModel):
    """A bedside release."""

    id: UUID
    specimen: str
    made_at: datetime
    expires_at: datetime
    consumed_at: datetime | None
    killed_at: datetime | None
    killed_because: str | None


class OutcomePublic(BaseModel):
    """An outcome; its words for those who treat at the clinic or decide on deviations there, null for others."""

    result: str
    observed_at: datetime
    recorded_by: str
    words: str | None = None


class WithdrawalPublic(BaseModel):
    """A withdrawal in a list."""

    code: str
    donor: str
    recipient: str
    state: str
    clinic_site: str
    material: str
    route: str
    needed_at: datetime | None
    requested_at: datetime
    requested_by: str
    approved_at: datetime | None
    approved_by: str | None
    specimens: list[str]


class WithdrawalDetail(WithdrawalPublic):
    """A withdrawal with its tubes and what it waits for."""

    seq: int
    items: list[ItemPublic]
    stopped: list[str] = Field(description="Why nobody takes its next step now, a sentence each; empty when it goes on.")
    waits_for: list[str] = Field(
        description="In words; the first is the next thing to do. Of one that is stopped, that it is, and why, comes first."
    )
    releases: list[ReleasePublic]
    outcomes: list[OutcomePublic]


class WithdrawalList(Listed[WithdrawalPublic]):
    """Withdrawals, newest first."""


class WithdrawalAnswer(BaseModel):
    """The answer to an act: where the withdrawal stands, and our signature under what was recorded."""

    code: str
    state: str
    seq: int
    specimens: list[str]
    waits_for: list[str]
    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) naming every event.")


class ApprovedAnswer(WithdrawalAnswer):
    """It is approved."""

    status: Literal["done"] = "done"


class ExpandedAnswer(WithdrawalAnswer):
    """Its cells are in culture. `run`: as POST /processings answers it; what it made is asked for once quality released it."""

    run: ProcessingRecorded


class BedsideAnswer(WithdrawalAnswer):
    """The answer to a bedside scan. `release` is there once the second person's scans agreed too."""

    check: UUID
    status: Literal["waiting_for_second_person", "released"]
    release: UUID | None = None
    expires_at: datetime = Field(description="Until then the second person must scan, or the release be used.")


class PaperCheckAnswer(WithdrawalAnswer):
    """A sheet for the bedside was made; `GET /withdrawals/{code}/paper-checks/{sheet}` prints it."""

    sheet: UUID
    good_until: datetime
    content_sha256: Sha256


class FeasibleSpecimen(BaseModel):
    """A specimen of the donor: usable now, or why not."""

    specimen: str
    material: str
    state: str
    condition: str
    amount: int
    unit: str
    banked_at: str | None
    expires_at: datetime | None
    usable: bool
    order: int | None = Field(default=None, description="Its place among the usable ones, from 1; null when it is not.")
    dose: DosePublic | None = Field(description="Living cells to be expected after thawing; null without an estimate.")
    code: str | None = Field(default=None, description="The refusal's code.")
    why_not: str | None = None
    refusals: list[str] = Field(default_factory=list, description="Every reason why not, the first of them first.")


class Feasibility(BaseModel):
    """What a withdrawal could be made of now."""

    donor: str
    usable: int
    amount: int = Field(description="What the usable ones hold together; units differ between materials, so ask for one.")
    dose: SetDose = Field(description="Living cells to be expected of the usable ones together. Not a therapeutic dose.")
    reasons: dict[str, int] = Field(description="How many are not usable, by the refusal's code.")
    consent: str | None = Field(default=None, description="The refusal's code when treatment consent does not cover it.")
    allergies: list[str] = Field(
        default=[], description="Where a residue of processing meets an allergy of the donor, a sentence each."
    )
    tests: list[LotSeen] = Field(default=[], description="What the tests of their lots say, as an approval sees it.")
    units: list[UnitSeen] = Field(description="What is known of each, as an approval sees it; nothing is chosen yet.")
    remains: list[RemainsSeen] = Field(description="By material: what remains once the unit to be taken first is gone.")
    deviations: list[DeviationSeen] = Field(description="Open ones about the donor, these tubes, their lots and boxes.")
    harm: list[HarmSeen]
    near_misses: list[NearMissSeen]
    items: list[FeasibleSpecimen]
