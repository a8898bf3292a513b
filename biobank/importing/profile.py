"""What an old bank's columns and words mean: a TOML file that the bank writes and keeps (docs/importing.md has one in full)."""

import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from biobank.foundation.codes import Prefix
from biobank.importing.cells import DateOrder, Numbering, Signs
from biobank.importing.profile_faults import no_toml, not_whole, unreadable
from biobank.specimens.materials import MATERIALS, NITROGEN, MaterialName, Unit
from biobank.specimens.processing_schemas import Purpose
from biobank.storage.schemas import TemperatureClass

FIELDS = (
    "patient",
    "family_name",
    "given_names",
    "date_of_birth",
    "sex",
    "collected",
    "frozen",
    "expires",
    "vial",
    "identifier",
    "material",
    "tank",
    "rack",
    "box",
    "position",
    "amount",
    "unit",
    "passage",
    "purpose",
    "freezes",
    "viability",
    "status",
    "remarks",
)
OPTIONAL = frozenset(
    {"sex", "expires", "passage", "purpose", "freezes", "viability", "remarks", "rack", "vial", "identifier", "material"}
)
"""What a file may leave out. Of `vial` and `identifier`, and of the column and the sheet's `material`, one is needed."""
Site = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
Outcome = Literal["stored", "held", "gone"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitMeaning(_Strict):
    """What a unit of the file is in ours: `amount × factor` of `unit`."""

    unit: Unit
    factor: int = Field(default=1, ge=1, le=10**12)


class Sheet(_Strict):
    """One sheet: what lies in its tubes (or a column says so), and how a tube's old identifier is made.

    `alias` is made of `{patient}` and `{vial}`, or of `{identifier}` where a column holds it whole.
    """

    name: str
    material: MaterialName | None = None
    alias: Annotated[str, Field(min_length=8, max_length=60, pattern=r"^[ -~]*$")]

    @model_validator(mode="after")
    def _names_one_tube(self) -> Self:
        named = re.findall(r"\{([^{}]*)\}", self.alias)
        if set(named) - {"patient", "vial", "identifier"} or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", self.alias)):
            raise ValueError("an alias is made of {patient} and {vial}, or of {identifier}")
        if "identifier" not in named and not {"patient", "vial"} <= set(named):
            raise ValueError("an alias without {patient} and {vial}, or {identifier}, would name several tubes")
        return self

    @cached_property
    def names(self) -> frozenset[str]:
        """The fields an alias is made of."""
        return frozenset(re.findall(r"\{([^{}]*)\}", self.alias))


class Split(_Strict):
    """One column that holds several things: `pattern = "{family_name}, {given_names}"`.

    Between two things stands at least one character, and no thing holds a character that stands beside it in the pattern.
    """

    heading: Annotated[str, Field(min_length=1)]
    pattern: Annotated[str, Field(min_length=3, max_length=200)]

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        parts = re.split(r"\{([a-z_]+)\}", self.pattern)
        if len(parts) < 5 or any(not between for between in parts[2:-1:2]) or "{" in "".join(parts[::2]):
            raise ValueError("name two fields or more in braces, with something between them")
        return self

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields in the column, in order."""
        return tuple(re.findall(r"\{([a-z_]+)\}", self.pattern))

    @cached_property
    def expression(self) -> "re.Pattern[str]":
        """What a cell has to look like: blanks beside separators do not matter."""
        parts = re.split(r"\{([a-z_]+)\}", self.pattern)
        text = ""
        for at, part in enumerate(parts):
            if at % 2:
                beside = "".join(sorted(set((parts[at - 1].strip()[-1:] or "") + (parts[at + 1].strip()[:1] or ""))))
                text += f"(?P<{part}>[^{re.escape(beside)}]+?)" if beside else f"(?P<{part}>\\S+)"
            elif part.strip() or not part:
                text += r"\s*" + re.escape(part.strip()) + r"\s*"
            else:
                text += r"\s+"
        return re.compile(text)


class Profile(_Strict):
    """The whole profile."""

    issuer: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9_]{1,39}$")]
    clinic_site: Site
    bank_site: Site
    date_order: DateOrder | None = None
    decimal_sign: Literal[".", ","] | None = None
    thousands_sign: Literal[".", ",", " ", "'", "’"] | None = None
    encoding: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,30}$")] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    room: str
    box_rows: int = Field(ge=1, le=100)
    box_cols: int = Field(ge=1, le=100)
    numbered: Numbering | None = None
    temperature_class: TemperatureClass
    columns: dict[str, str] = Field(default_factory=dict)
    split: list[Split] = Field(default_factory=list)
    constants: dict[str, str] = Field(default_factory=dict)
    materials: dict[str, MaterialName] = Field(default_factory=dict)
    sexes: dict[str, Literal["female", "male", "other", "unknown"]] = Field(default_factory=dict)
    purposes: dict[str, Purpose] = Field(default_factory=dict)
    units: dict[str, UnitMeaning]
    status: dict[str, Outcome]
    sheets: list[Sheet] = Field(min_length=1)

    @property
    def alias_issuer(self) -> str:
        """Who gave the tubes' old identifiers, as `specimen.aliased` writes it."""
        return self.issuer.lower()

    @property
    def box(self) -> tuple[int, int, Numbering | None]:
        """Rows and columns of a box, and how its places are numbered where they are numbers."""
        return self.box_rows, self.box_cols, self.numbered

    @property
    def signs(self) -> Signs:
        """How numbers are written in texts."""
        return Signs(self.decimal_sign, self.thousands_sign)

    @cached_property
    def headings(self) -> dict[str, str]:
        """The heading under which each field stands; for a constant the field's own name."""
        return (
            {field: field.replace("_", " ").capitalize() for field in self.constants}
            | self.columns
            | {field: split.heading for split in self.split for field in split.fields}
        )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        said = [*self.columns, *self.constants, *(field for split in self.split for field in split.fields)]
        unknown, missing = sorted(set(said) - set(FIELDS)), sorted(set(FIELDS) - OPTIONAL - set(said))
        twice = sorted({field for field in said if said.count(field) > 1})
        faults = {"no field of an import": unknown, "missing, in a column or as a constant": missing, "said twice": twice}
        if said_of := [f"{what}: {', '.join(fields)}" for what, fields in faults.items() if fields]:
            raise ValueError("; ".join(said_of))
        columns = [text.casefold() for text in [*self.columns.values(), *(split.heading for split in self.split)]]
        if len(set(columns)) != len(columns):
            raise ValueError("two fields have one heading: say with [[split]] how the column is divided")
        if self.decimal_sign is not None and self.decimal_sign == self.thousands_sign:
            raise ValueError("decimal_sign and thousands_sign are the same")
        if len({sheet.name for sheet in self.sheets}) != len(self.sheets):
            raise ValueError("a sheet is named twice")
        for sheet in self.sheets:
            if lacking := sorted(sheet.names - set(said)):
                raise ValueError(f"sheet {sheet.name}: no column says {' or '.join(lacking)}")
            if sheet.material is None and "material" not in said:
                raise ValueError(f"sheet {sheet.name}: neither it nor a column says the material")
        for material in {sheet.material for sheet in self.sheets if sheet.material} | set(self.materials.values()):
            if not MATERIALS[material].of_a_person:
                raise ValueError(f"{material} is of nobody known: what nobody can name is registered where it is found")
            if self.temperature_class not in MATERIALS[material].frozen or self.temperature_class not in NITROGEN:
                raise ValueError(f"{material} is not kept frozen in the temperature class {self.temperature_class}")
        return self

    @classmethod
    def read(cls, path: Path) -> "Profile":
        """Read a profile; raise ProfileFault."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(error) from error
        return cls.parsed(text)

    @classmethod
    def parsed(cls, text: str) -> "Profile":
        """Build from TOML text; raise ProfileFault."""
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise no_toml(error) from error
        return cls.of(document)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Profile":
        """Build from parsed TOML; raise ProfileFault."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise not_whole(error.errors(include_input=False)) from error


def prefix_of(material: MaterialName) -> Prefix:
    """Return the prefix of the codes that tubes of a material get."""
    return MATERIALS[material].prefixes[0]
