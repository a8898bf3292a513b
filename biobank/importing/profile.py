"""What an old bank's columns and words mean: a TOML file that the bank writes and keeps (docs/importing.md has one in full)."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from biobank.foundation.codes import Prefix
from biobank.foundation.errors import MalformedRequest
from biobank.importing.cells import DateOrder
from biobank.specimens.materials import MATERIALS, NITROGEN, MaterialName, Unit
from biobank.storage.schemas import TemperatureClass

FIELDS = (
    "patient",
    "family_name",
    "given_names",
    "date_of_birth",
    "sex",
    "collected",
    "frozen",
    "vial",
    "tank",
    "rack",
    "box",
    "position",
    "amount",
    "unit",
    "passage",
    "viability",
    "status",
    "remarks",
)
OPTIONAL = frozenset({"sex", "passage", "viability", "remarks", "rack"})
Site = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
Outcome = Literal["stored", "gone"]


class ProfileFault(MalformedRequest):
    """The profile cannot be used; the sentence says where."""

    code = "import_profile_unusable"
    title = "The import profile cannot be used"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitMeaning(_Strict):
    """What a unit of the file is in ours: `amount × factor` of `unit`."""

    unit: Unit
    factor: int = Field(default=1, ge=1, le=10**12)


class Sheet(_Strict):
    """One sheet: what lies in its tubes, and how a tube's old identifier is made of `{patient}` and `{vial}`."""

    name: str
    material: MaterialName
    alias: Annotated[str, Field(min_length=8, max_length=60, pattern=r"^[ -~]*\{vial\}[ -~]*$")]

    @model_validator(mode="after")
    def _names_the_patient(self) -> Self:
        if "{patient}" not in self.alias:
            raise ValueError("an alias without {patient} would name several tubes")
        return self


class Profile(_Strict):
    """The whole profile."""

    issuer: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9_]{1,39}$")]
    clinic_site: Site
    bank_site: Site
    date_order: DateOrder | None = None
    room: str
    box_rows: int = Field(ge=1, le=100)
    box_cols: int = Field(ge=1, le=100)
    temperature_class: TemperatureClass
    columns: dict[str, str]
    units: dict[str, UnitMeaning]
    status: dict[str, Outcome]
    sheets: list[Sheet] = Field(min_length=1)

    @property
    def alias_issuer(self) -> str:
        """Who gave the tubes' old identifiers, as `specimen.aliased` writes it."""
        return self.issuer.lower()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        unknown = sorted(set(self.columns) - set(FIELDS))
        missing = sorted(set(FIELDS) - OPTIONAL - set(self.columns))
        if unknown or missing:
            raise ValueError(f"columns: unknown {unknown}, missing {missing}")
        for sheet in self.sheets:
            if self.temperature_class not in MATERIALS[sheet.material].frozen or self.temperature_class not in NITROGEN:
                raise ValueError(f"{sheet.material} is not kept frozen in {self.temperature_class}")
        return self

    @classmethod
    def read(cls, path: Path) -> "Profile":
        """Read a profile; raise ProfileFault."""
        try:
            return cls.of(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ProfileFault(f"The profile cannot be read: {error}.") from error

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Profile":
        """Build from parsed TOML; raise ProfileFault."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
            raise ProfileFault(f"The profile is not whole: {faults}.") from error


def prefix_of(material: MaterialName) -> Prefix:
    """Return the prefix of the codes that tubes of a material get."""
    return MATERIALS[material].prefixes[0]
