"""What the columns and words of a file mean, as a form in ordinary words: drawn from a profile, and read back into one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from biobank.foundation.terms import words
from biobank.importing.drafting import Looked
from biobank.importing.profile import FIELDS, OPTIONAL
from biobank.pages.people.site_choices import Choices
from biobank.pages.ui.forms import Field
from biobank.pages.ui.posted import Form
from biobank.specimens.materials import MATERIALS, NITROGEN, Unit

CALLED: Mapping[str, str] = {
    "patient": "Patient number",
    "family_name": "Family name",
    "given_names": "Given names",
    "date_of_birth": "Date of birth",
    "sex": "Sex",
    "collected": "Day of collection",
    "frozen": "Day of freezing",
    "expires": "Last day of its term",
    "vial": "Number of the tube",
    "identifier": "Whole text on the tube",
    "material": "What is in the tube",
    "tank": "Tank",
    "rack": "Rack",
    "box": "Box",
    "position": "Place in the box",
    "amount": "Amount",
    "unit": "Unit of the amount",
    "passage": "Passage",
    "purpose": "What it is kept for",
    "freezes": "How often it was frozen",
    "viability": "Viability",
    "status": "Whether it is still there",
    "remarks": "Remarks",
}
assert set(CALLED) == set(FIELDS)
SEVERAL = "several"
CONSTANT = ("tank", "rack", "box")
"""What may be the same for a whole file and stand nowhere in it."""
SIGNS = {"point": ".", "comma": ",", "blank": " ", "apostrophe": "'"}
_SIGN_OF = {sign: name for name, sign in SIGNS.items()}
MATERIAL_CHOICES = [(name.value, one.title) for name, one in MATERIALS.items() if one.of_a_person]
UNIT_CHOICES = [(unit.value, words(unit.value)) for unit in Unit]
STATES = [
    ("stored", "It is in the tank"),
    ("held", "It is in the tank, and something stands against it"),
    ("gone", "It is not there any more"),
]
SEXES = [(one, words(one)) for one in ("female", "male", "other", "unknown")]
PURPOSES = [("therapeutic", "Treatment"), ("qc", "Tests"), ("retained", "A sample that stays here")]
MEANT: Mapping[str, tuple[str, str, Sequence[tuple[str, str]]]] = {
    "unit": ("units", "means the unit", UNIT_CHOICES),
    "status": ("status", "means", STATES),
    "material": ("materials", "is", MATERIAL_CHOICES),
    "purpose": ("purposes", "means kept for", PURPOSES),
    "sex": ("sexes", "means", SEXES),
}
"""Fields whose words are explained: the part of the profile, the words between, the choices."""


@dataclass(frozen=True)
class Section:
    """A part of the form."""

    title: str
    lead: str
    fields: Sequence[Field]


def sections(document: Mapping[str, Any], looked: Looked, sites: Choices, clinics: Choices) -> list[Section]:
    """Return the form, filled with what `document` says so far."""
    return [
        Section("The old bank", "Whose tubes these are, and where they stand.", list(_bank(document, sites, clinics))),
        Section(
            "How it is written",
            "Leave open what you do not know: a row that can be read two ways is not taken.",
            _signs(document),
        ),
        Section("What stands in each column", "", list(_columns(document, looked))),
        Section("What the words mean", "", list(_meant(document, looked))),
        Section("What is in each sheet", "", list(_sheets(document))),
    ]


def as_sent(parts: list[Section], form: Form) -> list[Section]:
    """Return the form that was sent, with what was typed for a number and is none."""

    def kept(field: Field) -> Field:
        return replace(field, value=form[field.name]) if field.kind == "number" and field.name in form else field

    return [replace(part, fields=[kept(field) for field in part.fields]) for part in parts]


def _bank(document: Mapping[str, Any], sites: Choices, clinics: Choices) -> Iterator[Field]:
    def text(name: str, label: str, hint: str | None = None, kind: str = "text", options: Any = ()) -> Field:
        return Field(name, label, kind, str(document.get(name) or ""), True, hint, options)

    yield text("issuer", "Short name of the old bank", "Capitals and digits. It stands beside each old identifier.")
    yield text("clinic_site", "Whose patients these are", None, "select", clinics)
    yield text("bank_site", "Where the tanks stand", None, "select", sites)
    yield text("room", "Room", "Tanks, racks and boxes that are missing are made in it.")
    yield text("box_rows", "Rows of a box", None, "number")
    yield text("box_cols", "Columns of a box", None, "number")
    yield Field(
        "numbered",
        "Places of a box, where they are numbers",
        "select",
        document.get("numbered") or "",
        options=[("", "They are not"), ("by_row", "Along the rows: 2 lies right of 1"), ("by_column", "Down: 2 lies below 1")],
    )
    yield text("temperature_class", "How cold", None, "select", [(one, words(one)) for one in sorted(NITROGEN)])
    for name in CONSTANT:
        hint = "Only when no column says it and it is the same for all."
        yield Field(
            f"constant-{name}", f"{CALLED[name]} of all tubes", "text", document.get("constants", {}).get(name, ""), hint=hint
        )


def _signs(document: Mapping[str, Any]) -> list[Field]:
    orders = [("", "Not known"), ("day_first", "Day first: 05/06 is 5 June"), ("month_first", "Month first: 05/06 is May 6")]
    decimal = [("", "Not known"), ("comma", "A comma: 7,5"), ("point", "A point: 7.5")]
    thousands = [("", "Not known, or none"), *((name, f"{name.capitalize()}: 2{sign}000") for name, sign in SIGNS.items())]
    return [
        Field("date_order", "Dates of numbers", "select", document.get("date_order") or "", options=orders),
        Field("decimal", "Sign of decimals", "select", _SIGN_OF.get(document.get("decimal_sign") or "", ""), options=decimal),
        Field(
            "thousands", "Sign of thousands", "select", _SIGN_OF.get(document.get("thousands_sign") or "", ""), options=thousands
        ),
        Field(
            "encoding",
            "Encoding of a text file",
            "text",
            document.get("encoding") or "",
            hint="As it was found. When names show wrong letters, write another, such as utf-8, cp1252 or mac_roman.",
        ),
    ]


def _columns(document: Mapping[str, Any], looked: Looked) -> Iterator[Field]:
    choices = [("", "Not used"), *CALLED.items(), (SEVERAL, "Several of these")]
    field_of = {heading: field for field, heading in document.get("columns", {}).items()}
    patterns = {one["heading"]: one["pattern"] for one in document.get("split", ())}
    for number, (heading, said) in enumerate(looked.words.items()):
        value = SEVERAL if heading in patterns else field_of.get(heading, "")
        shown = f"Such as: {', '.join(said[:3])}" if said else "Nothing stands in it."
        yield Field(f"column-{number}", heading, "select", value, hint=shown, options=choices)
        if heading in patterns:
            yield Field(
                f"pattern-{number}",
                f"How they stand in {heading}",
                "text",
                patterns[heading],
                True,
                "Each in braces, with the signs between them: {family_name}, {given_names} or {tank}/{rack}/{box}/{position}.",
            )


def words_under(document: Mapping[str, Any], looked: Looked, field: str) -> list[str]:
    """Return the words in the column that a document takes for a field."""
    return looked.words.get(document.get("columns", {}).get(field, ""), [])


def _meant(document: Mapping[str, Any], looked: Looked) -> Iterator[Field]:
    for field, (part, between, choices) in MEANT.items():
        known = document.get(part, {})
        for number, word in enumerate(words_under(document, looked, field)):
            meant = known.get(word, "")
            chosen = meant.get("unit", "") if isinstance(meant, dict) else meant
            optional = field == "sex"
            yield Field(
                f"{field}-{number}", f"{CALLED[field]}: “{word}” {between}", "select", chosen, not optional, options=choices
            )
            if field == "unit":
                factor = str(meant.get("factor", 1)) if isinstance(meant, dict) else "1"
                yield Field(
                    f"factor-{number}", f"One “{word}” is so many of them", "number", factor, True, "1000000 for million cells."
                )
    if "unit" not in document.get("columns", {}):
        yield Field(
            "constant-unit", "Unit of every amount", "select", document.get("constants", {}).get("unit", ""), options=UNIT_CHOICES
        )
    if "status" not in document.get("columns", {}):
        yield Field(
            "all-stored", "Every tube of the file is still in the tank", "checkbox", "status" in document.get("constants", {})
        )


def _sheets(document: Mapping[str, Any]) -> Iterator[Field]:
    of_column = "material" in document.get("columns", {})
    for number, sheet in enumerate(document.get("sheets", ())):
        name = sheet["name"]
        yield Field(f"use-{number}", f"Import sheet {name}", "checkbox", not sheet.get("left_out"))
        if not of_column:
            yield Field(
                f"sheet-{number}",
                f"What is in the tubes of {name}",
                "select",
                sheet.get("material") or "",
                options=MATERIAL_CHOICES,
            )
        yield Field(
            f"alias-{number}",
            f"What stands on the tubes of {name}",
            "text",
            sheet["alias"],
            True,
            "{patient} and {vial} stand for the two numbers, {identifier} for the whole text of a column.",
        )


def document_of(form: Form, before: Mapping[str, Any], looked: Looked) -> dict[str, Any]:
    """Return what a posted form says, whole or not. `before`: the draft, which names the sheets."""
    for part in (*MEANT, "pattern", "factor"):  # words of a column that means something else now
        form.names_after(f"{part}-")
    said: dict[str, Any] = {
        name: form.get(name, "") for name in ("issuer", "clinic_site", "bank_site", "room", "temperature_class")
    }
    said |= {name: _number(form.get(name, "")) for name in ("box_rows", "box_cols")}
    written = {"decimal_sign": SIGNS.get(form.get("decimal", "")), "thousands_sign": SIGNS.get(form.get("thousands", ""))}
    written |= {name: form.get(name) for name in ("date_order", "encoding", "numbered")}
    said |= {name: value for name, value in written.items() if value}
    headings = list(looked.words)
    chosen = {heading: form.get(f"column-{number}", "") for number, heading in enumerate(headings)}
    said["columns"] = {field: heading for heading, field in chosen.items() if field in CALLED}
    said["split"] = [
        {"heading": heading, "pattern": form.get(f"pattern-{number}", "")}
        for number, heading in enumerate(headings)
        if chosen[heading] == SEVERAL
    ]
    said["constants"] = {name: form[f"constant-{name}"] for name in (*CONSTANT, "unit") if f"constant-{name}" in form}
    for field, (part, _, _) in MEANT.items():
        under = list(enumerate(words_under(said, looked, field)))
        said[part] = {word: form.get(f"{field}-{number}", "") for number, word in under}
        if field == "unit":
            said[part] = {
                word: {"unit": said[part][word], "factor": _number(form.get(f"factor-{number}", "1"))} for number, word in under
            }
    said["sexes"] = {word: meaning for word, meaning in said["sexes"].items() if meaning}
    if unit := said["constants"].get("unit"):
        said["units"][unit] = {"unit": unit, "factor": 1}
    if "all-stored" in form:
        said["constants"]["status"] = "stored"
        said["status"]["stored"] = "stored"
    said["sheets"] = [
        {"name": sheet["name"], "alias": form.get(f"alias-{number}", ""), "left_out": f"use-{number}" not in form}
        | ({"material": form[f"sheet-{number}"]} if f"sheet-{number}" in form else {})
        for number, sheet in enumerate(before["sheets"])
    ]
    return said


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 14 else 0


def faults_of(form: Form, said: Mapping[str, Any], looked: Looked) -> dict[str, str]:
    """Return what is still to be said, by field; empty when the profile can be tried."""
    faults: dict[str, str] = {}
    needed = {
        "issuer": "a short name",
        "clinic_site": "a site",
        "bank_site": "a site",
        "room": "a name",
        "temperature_class": "a class",
    }
    faults |= {name: f"Say {what}." for name, what in needed.items() if not said[name]}
    faults |= {name: "Say a number from 1 to 100." for name in ("box_rows", "box_cols") if not 1 <= said[name] <= 100}
    meant: dict[str, list[str]] = {}
    for number, heading in enumerate(looked.words):
        meant.setdefault(form.get(f"column-{number}", ""), []).append(f"column-{number}")
        if form.get(f"column-{number}") == SEVERAL and f"pattern-{number}" not in form:
            faults[f"column-{number}"] = f"Say below how the parts stand in {heading}."
    for field, names in meant.items():
        if field in CALLED and len(names) > 1:
            faults |= {name: f"Two columns cannot both be: {CALLED[field].lower()}." for name in names}
    for field, (part, _, _) in MEANT.items():
        for number, word in enumerate(words_under(said, looked, field)):
            value = said[part].get(word)
            if field != "sex" and not (value.get("unit") if isinstance(value, dict) else value):
                faults[f"{field}-{number}"] = f"Say what “{word}” means."
    split = " ".join(one["pattern"] for one in said["split"])
    known = {*said["columns"], *said["constants"], *(field for field in CALLED if f"{{{field}}}" in split)}
    missing = [CALLED[field] for field in FIELDS if field not in OPTIONAL and field not in known]
    if missing:
        faults[""] = f"No column says: {', '.join(missing).lower()}."
    for number, sheet in enumerate(said["sheets"]):
        if not sheet["left_out"] and "material" not in known and not sheet.get("material"):
            faults[f"sheet-{number}"] = "Say what is in these tubes."
    if all(sheet["left_out"] for sheet in said["sheets"]):
        faults["use-0"] = "Choose a sheet."
    return faults


def profile_document(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that `Profile.of` takes: without the sheets that are left out."""
    kept = [{k: v for k, v in one.items() if k != "left_out" and v} for one in said["sheets"] if not one["left_out"]]
    return {**said, "sheets": kept}
