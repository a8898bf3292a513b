"""Wire shapes of the registers."""

import re
from datetime import date, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.donors.allergies import Substance
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.paging import Listed
from biobank.registers.fitness import WAYS_OF_WORKING, Answer, Problem

RegisterKind = Literal[
    "reagent_lot",
    "medium",
    "equipment",
    "workstation",
    "shipper",
    "procedure",
    "cooling_programme",
    "cryoprotectant",
    "thawing_method",
    "courier",
    "laboratory",
    "test_method",
    "reason",
]
PREFIXES: Final = {"reagent_lot": "RG", "medium": "RG", "equipment": "EQ", "workstation": "EQ", "shipper": "EQ"}
"""Kinds that are scanned → the prefix of the code they get."""

CALIBRATED: Final = frozenset({"equipment", "workstation", "shipper"})

Named = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()-]*$")]
Words = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()&,-]*$")]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$", examples=["LAB"])]
Key = Annotated[str, Field(pattern=r"^((RG|EQ)-[0-9A-Z]{7}|[0-9a-f-]{36})$", description="Our code, or the id of what has none.")]
Badge = Annotated[str, Field(pattern=r"^US-[0-9A-Z]{7}$")]
Change = Literal["opened", "qualified", "calibrated", "recalled", "retired"]


class EnterRegister(Circumstances):
    """A thing to come into use. What is scanned gets a code of ours; the rest goes by its name."""

    kind: RegisterKind
    name: Named = Field(description="As people call it, such as SOP-014 v3, Incubator 2 or Collagenase.")
    site: SiteCode | None = Field(default=None, description="Where it is used. Left out: at every site.")
    package: Annotated[str, Field(min_length=4, max_length=200)] | None = Field(
        default=None, description="What a scanner read from the package (GS1): fills in article number, lot and expiry."
    )
    supplier: Words | None = None
    supplier_lot: Words | None = None
    gtin: Annotated[str, Field(pattern=r"^[0-9]{8,14}$")] | None = None
    contains: Annotated[list[Substance], Field(max_length=20)] = Field(default_factory=list)
    leaves_nothing: bool = Field(
        default=False, description="None of the substances that are asked about. Where nothing is ticked, nobody has said."
    )
    expires_on: date | None = None
    use_within_days: Annotated[int, Field(ge=1, le=3660)] | None = Field(
        default=None, description="How many days it may be used after opening."
    )
    result_within_days: Annotated[int, Field(ge=1, le=366)] | None = Field(
        default=None, description="Of a test method: how many days after the sample its result is due."
    )
    calibration_due_on: date | None = Field(default=None, description="Of a shipper: when it is to be qualified again.")
    holds_h: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Of a shipper: hours that it stays cold after it was charged, by its qualification."
    )
    least_charge_g: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Of a shipper: grams of nitrogen that it must hold when it leaves."
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind not in {"reagent_lot", "medium"} and (
            self.use_within_days is not None or self.contains or self.leaves_nothing
        ):
            raise ValueError("only a reagent lot or a medium is opened and leaves something behind")
        if self.leaves_nothing and self.contains:
            raise ValueError("it leaves nothing, or what is ticked: one of the two")
        if self.kind != "test_method" and self.result_within_days is not None:
            raise ValueError("only a test method has a result to wait for")
        if self.kind not in CALIBRATED and self.calibration_due_on is not None:
            raise ValueError("only equipment, workstations and shippers are calibrated")
        if self.kind != "shipper" and (self.holds_h is not None or self.least_charge_g is not None):
            raise ValueError("only a shipper is charged with nitrogen and stays cold for hours")
        if self.kind == "reason" and re.fullmatch(r"[a-z0-9_]{2,40}", self.name) is None:
            raise ValueError("a reason is a few plain words of letters and digits, such as found warm")
        if self.kind == "courier" and re.fullmatch(r"[A-Z0-9_-]{2,40}", self.name) is None:
            raise ValueError("a courier goes by its code, of capital letters, digits and lines, such as CRYO-GO")
        return self


class ChangeRegister(Circumstances):
    """What happened to it. `calibrated` says when it is due again."""

    change: Change
    calibration_due_on: date | None = None
    reason: Annotated[str, CODED, FromList("registers")] | None = None

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if (self.change == "calibrated") != (self.calibration_due_on is not None):
            raise ValueError("the next calibration's day goes with calibrated, and only with it")
        return self


class Authorise(Circumstances):
    """A person who may work by a procedure, from one day to another. A day gone by as the end takes it away."""

    person: Badge
    since: date | None = Field(default=None, description="The first day. Left out: today, or the day on which it began before.")
    until: date = Field(description="The last day.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until < self.since:
            raise ValueError("it ends before it begins")
        return self


class SetRegisterRule(Circumstances):
    """What a site does about one problem."""

    site: SiteCode
    problem: Problem
    answer: Answer

    @model_validator(mode="after")
    def _accepted(self) -> Self:
        if self.answer == "accept" and self.problem not in WAYS_OF_WORKING:
            raise ValueError(
                "only how a site works may be accepted without a word: what is wrong with a thing is warned of or refused"
            )
        return self


class RegisterPublic(BaseModel):
    """One entry, and what stands against its use now."""

    entry: str
    kind: RegisterKind
    name: str
    site: str | None
    supplier: str | None
    supplier_lot: str | None
    gtin: str | None
    contains: list[str]
    leaves_nothing: bool
    expires_on: date | None
    use_within_days: int | None
    result_within_days: int | None
    calibration_due_on: date | None
    holds_h: int | None
    least_charge_g: int | None
    opened_at: datetime | None
    qualified_at: datetime | None
    recalled_at: datetime | None
    retired_at: datetime | None
    recorded_at: datetime
    recorded_by: str
    problems: list[Problem]


class RegisterList(Listed[RegisterPublic]):
    """Entries of the registers."""


class AuthorisationPublic(BaseModel):
    """Who may work by a procedure, from which day to which."""

    person: str
    since: date
    until: date


class WarningPublic(BaseModel):
    """What was used despite a warning, in which run, kit or count."""

    used_in: str
    problem: Problem
    person: str | None
    sentence: str
    recorded_at: datetime
    recorded_by: str


class RegisterDossier(RegisterPublic):
    """One entry with who may work by it, and the latest hundred uses despite a warning."""

    authorised: list[AuthorisationPublic]
    warnings: list[WarningPublic]


class RegisterRecorded(BaseModel):
    """An entry as it stands now, and our signature."""

    entry: RegisterPublic
    receipt: str


class RegisterRulePublic(BaseModel):
    """What is done about a problem: of a site, or (`site` null) everywhere unless a site says otherwise."""

    site: str | None
    problem: Problem
    answer: Answer
    fixed: bool = False


class RegisterRules(BaseModel):
    """The usual answers, then those of sites."""

    items: list[RegisterRulePublic]


class RegisterRuleRecorded(RegisterRulePublic):
    """What the site does from now on."""

    receipt: str
