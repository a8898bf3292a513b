"""Drafting a profile from the headings of a file. What the file does not say is left for a person, and marked.

A heading is recognised by its words alone, English and German; whether it means here what it means elsewhere is for the person
to say who goes through the draft. Of the cells, only words that repeat (units, states, materials) are listed.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from biobank.importing.cells import word_of
from biobank.importing.letters import cleaned
from biobank.importing.reading import HEADINGS_WITHIN, folded, lines_of
from biobank.importing.sheets import Book, Cell, FileFault, Line, Table

LOOKED_AT = 2000
"""Lines of a sheet that a draft looks at."""
MOST_WORDS = 25

SYNONYMS: Mapping[str, str] = {
    "patient": "pt id|patient|patient id|patient no|patient number|patientid|pid|mrn|patientennr|patienten-nr|patientennummer|"
    "pat-nr|patnr|pat.-nr.|pat nr|fallnummer|donor|donor id|spender|spender-nr",
    "family_name": "last name|family name|surname|lastname|nachname|name|familienname|zuname",
    "given_names": "first name|given name|given names|firstname|forename|vorname|vornamen",
    "date_of_birth": "dob|date of birth|birth date|birthdate|born|geburtsdatum|geb.datum|geb.-datum|geb|geboren|geb. am|geb.",
    "sex": "sex|gender|geschlecht",
    "collected": "collected|collection date|date collected|harvested|harvest date|entnahme|entnahmedatum|entnommen|entnommen am",
    "frozen": "frozen|frozen on|date frozen|freeze date|banked|eingefroren|eingefroren am|einfrierdatum|kryodatum",
    "expires": "expires|expires on|expiry|expiry date|expiration date|use by|verfall|verfallsdatum|verfällt am|haltbar bis",
    "vial": "vial|vial no|vial id|tube|tube no|no|röhrchen|röhrchen-nr|ampulle|aliquot|lfd. nr.|lfd nr|probennr",
    "identifier": "label|barcode|sample id|vial code|proben-id|etikett|probe|probencode|probennummer",
    "material": "material|specimen type|sample type|type|materialart|probenart|art",
    "tank": "tank|dewar|freezer|behälter|stickstofftank",
    "rack": "rack|cane|tower|gestell|turm",
    "box": "box|kryobox|schachtel|box-nr",
    "position": "pos|position|slot|well|platz",
    "amount": "amount|quantity|count|menge|anzahl|zellzahl|volumen|volume",
    "unit": "unit|units|einheit|einheiten",
    "passage": "p#|passage|p|passage no|passage-nr",
    "purpose": "purpose|kept for|use|zweck|verwendung|verwendungszweck",
    "freezes": "times frozen|freezes|freeze count|freeze cycles|freeze-thaw cycles|einfrierzyklen|wie oft eingefroren",
    "viability": "viab %|viability|viability %|viab|vitalität|viabilität|vitalität %|vitalität (%)|viabilität (%)",
    "status": "status|state|zustand",
    "remarks": "remarks|comment|comments|notes|note|bemerkung|bemerkungen|kommentar|anmerkung",
}
COMBINED: Mapping[str, str] = {
    "name": "{family_name}, {given_names}",
    "patient name": "{family_name}, {given_names}",
    "full name": "{family_name}, {given_names}",
    "patient": "{family_name}, {given_names}",
    "lagerort": "{tank}/{rack}/{box}/{position}",
    "location": "{tank}/{rack}/{box}/{position}",
    "storage": "{tank}/{rack}/{box}/{position}",
    "platz": "{tank}/{rack}/{box}/{position}",
    "ort": "{tank}/{rack}/{box}/{position}",
    "position": "{tank}/{rack}/{box}/{position}",
}
_FIELD_OF = {folded(word): field for field, words in SYNONYMS.items() for word in words.split("|")}


@dataclass
class _Drafted:
    """What a sheet's headings were taken for."""

    table: Table
    columns: dict[str, str]
    splits: list[tuple[str, str]]
    others: list[str]
    cells: dict[str, list[Cell]]
    under: dict[str, list[Cell]]


@dataclass(frozen=True)
class Looked:
    """What a file shows to the one who says what it means. `document`: the draft; `words`: by heading, those that come most."""

    document: dict[str, Any]
    words: Mapping[str, list[str]]


def look_at(book: Book, issuer: str) -> Looked:
    """Return the draft of a profile and what stands under each heading. Raises FileFault."""
    words: dict[str, Counter[str]] = {}
    for found in map(_of_table, book.tables):
        for heading, cells in found.under.items() if found is not None else ():
            words.setdefault(heading, Counter()).update(cleaned(str(cell.value))[0] for cell in cells)
    common = {heading: [word for word, _ in said.most_common(MOST_WORDS)] for heading, said in words.items()}
    return Looked(tomllib.loads(draft_profile(book, issuer)), common)


def draft_profile(book: Book, issuer: str) -> str:
    """Return a profile in TOML. Raises FileFault when no sheet has a line of headings that can be recognised."""
    drafted = [found for table in book.tables if (found := _of_table(table)) is not None]
    if not drafted:
        raise FileFault("No sheet has a line of headings that can be recognised in its first lines. Write the profile by hand.")
    first = max(drafted, key=lambda one: len(one.columns) + 2 * len(one.splits))
    return "\n".join([*_head(book, first, issuer), *_fields(first), *_words(drafted), *_sheets(drafted, first)]) + "\n"


def _of_table(table: Table) -> _Drafted | None:
    lines = list(islice(lines_of(table), LOOKED_AT))
    best = max((line for line in lines if line.number <= HEADINGS_WITHIN), key=_recognised, default=None)
    if best is None or _recognised(best) < 4:
        return None
    below = [line for line in lines if line.number > best.number]
    found = _Drafted(table, {}, [], [], {}, {})
    for column, cell in sorted(best.cells.items()):
        if not isinstance(cell.value, str):
            continue
        values = [line.cell(column) for line in below if line.cell(column).value is not None]
        heading = cell.value
        found.under[heading] = values
        pattern = _pattern(folded(heading), values)
        field = _FIELD_OF.get(folded(heading))
        if pattern is not None:
            found.splits.append((heading, pattern))
        elif field is not None and field not in found.columns:
            found.columns[field] = heading
            found.cells[field] = values
        else:
            found.others.append(heading)
    return found


def _recognised(line: Line) -> int:
    texts = [folded(cell.value) for cell in line.cells.values() if isinstance(cell.value, str)]
    return len({text for text in texts if text in _FIELD_OF or text in COMBINED})


def _pattern(heading: str, values: Sequence[Cell]) -> str | None:
    """Return the pattern of a combined column when most of its cells read so."""
    pattern = COMBINED.get(heading)
    texts = [cell.value for cell in values if isinstance(cell.value, str)]
    if pattern is None or not texts:
        return None
    if "family_name" in pattern:
        return pattern if sum(text.count(",") == 1 for text in texts) * 2 > len(texts) else None
    for sign in "/|;-":
        parts = Counter(text.count(sign) + 1 for text in texts).most_common(1)[0][0]
        if parts in (3, 4):
            names = ("tank", "rack", "box", "position") if parts == 4 else ("tank", "box", "position")
            return sign.join(f"{{{name}}}" for name in names)
    return None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _head(book: Book, found: _Drafted, issuer: str) -> Iterator[str]:
    name = re.sub(r"[^A-Z0-9_]+", "_", issuer.upper()).strip("_")[:40]
    yield "# Drafted from the headings of a file. Go through every line: what a heading means, only your bank knows."
    yield from (f"# {sentence}" for sentence in book.said)
    yield f"issuer = {_quoted(name if len(name) > 1 else 'OLD_BANK')}  # who gave the old identifiers"
    yield 'clinic_site = ""  # TO SAY: whose patients these are, a site of this bank such as "MEADOW"'
    yield 'bank_site = ""  # TO SAY: where the tanks stand'
    yield 'room = "Old cryo room"  # missing tanks, racks and boxes are made in it'
    rows, cols = _grid(found)
    yield f"box_rows = {rows}  # TO SAY: rows of a box"
    yield f"box_cols = {cols}  # TO SAY: columns of a box"
    if any(re.fullmatch(r"\d{1,4}", word_of(cell)) for cell in found.cells.get("position", ()) if cell.defect is None):
        yield 'numbered = ""  # TO SAY: by_row when place 2 lies right of place 1, by_column when it lies below it'
    yield 'temperature_class = "ln2_vapour"  # TO SAY: or ln2_liquid'
    for sentence in book.said:
        if match := re.match(r"Encoding: (\S+)", sentence):
            yield f"encoding = {_quoted(match[1])}  # found; look at the names in the first rows"
    dates = [str(cell.value) for field in ("date_of_birth", "collected", "frozen") for cell in found.cells.get(field, ())]
    yield _date_order(dates)
    amounts = [str(cell.value) for field in ("amount", "viability") for cell in found.cells.get(field, ())]
    yield from _signs([text for text in amounts if re.search(r"\d[.,]\d", text)], found)


def _grid(found: _Drafted) -> tuple[int, int]:
    texts = [str(cell.value) for cell in found.cells.get("position", ())]
    matches = [match for text in texts if (match := re.fullmatch(r"([A-Za-z])(\d{1,2})", text))]
    rows = max((ord(match[1].upper()) - ord("A") + 1 for match in matches), default=9)
    cols = max((int(match[2]) for match in matches), default=9)
    return (rows, cols) if max(rows, cols) > 10 else ((10, 10) if max(rows, cols) == 10 else (9, 9))


def _date_order(dates: Sequence[str]) -> str:
    numbers = [match for text in dates if (match := re.match(r"^(\d{1,2})[/.-](\d{1,2})[/.-]\d{4}", text))]
    day_first, month_first = any(int(m[1]) > 12 for m in numbers), any(int(m[2]) > 12 for m in numbers)
    if day_first and not month_first:
        return 'date_order = "day_first"  # some dates can be read in this order only'
    if month_first and not day_first:
        return 'date_order = "month_first"  # some dates can be read in this order only'
    if day_first and month_first:
        return '# date_order = "day_first"  # TO SAY: the file has dates in both orders'
    return '# date_order = "day_first"  # TO SAY when the file has dates such as 05/06/2020'


def _signs(texts: Sequence[str], found: _Drafted) -> Iterator[str]:
    comma, point = (any(re.search(rf"\{sign}(?!\d{{3}}(?!\d))\d", text) for text in texts) for sign in ",.")
    if comma != point and "amount" in found.columns:
        decimal, thousands = (",", ".") if comma else (".", ",")
        yield f'decimal_sign = "{decimal}"  # some numbers can be read with this sign only'
        yield f'thousands_sign = "{thousands}"'
    else:
        yield '# decimal_sign = "."  # TO SAY when numbers are written as 2,000 or 2.000'
        yield '# thousands_sign = ","'


def _fields(found: _Drafted) -> Iterator[str]:
    yield "\n[columns]  # our word = your heading"
    split = {field for _, pattern in found.splits for field in re.findall(r"\{(\w+)\}", pattern)}
    yield from (f"{field} = {_quoted(heading)}" for field, heading in found.columns.items() if field not in split)
    known = split | set(found.columns)
    needed = ("patient", "family_name", "given_names", "date_of_birth", "collected", "frozen", "tank", "box", "position")
    for field in (*needed, "amount", "unit", "status"):
        if field not in known:
            yield f'# {field} = ""  # TO SAY: no heading was recognised; a value for all lines goes under [constants]'
    yield from (f"# not used: {_quoted(heading)}" for heading in found.others)
    for heading, pattern in found.splits:
        yield f"\n[[split]]  # one column that holds several things\nheading = {_quoted(heading)}\npattern = {_quoted(pattern)}"


def _words(drafted: Sequence[_Drafted]) -> Iterator[str]:
    units, states, materials, sexes = (_said(drafted, field) for field in ("unit", "status", "material", "sex"))
    if set(map(str.lower, sexes)) - {"", "f", "m", "female", "male"}:
        yield "\n[sexes]  # TO SAY: female, male, other or unknown"
        yield from (f'{_quoted(word)} = ""' for word in sexes)
    if purposes := _said(drafted, "purpose"):
        yield "\n[purposes]  # TO SAY: therapeutic, qc or retained"
        yield from (f'{_quoted(word)} = ""' for word in purposes)
    yield "\n[units]  # TO SAY: your word = our unit, times a factor"
    yield from (f'{_quoted(word)} = {{ unit = "", factor = 1 }}' for word in units)
    yield "\n[status]  # TO SAY: stored, or gone"
    yield from (f'{_quoted(word)} = ""' for word in states)
    if materials:
        yield "\n[materials]  # TO SAY: your word = our material, such as adsc or intact_follicles"
        yield from (f'{_quoted(word)} = ""' for word in materials)


def _said(drafted: Sequence[_Drafted], field: str) -> list[str]:
    words = Counter(cleaned(str(cell.value))[0] for found in drafted for cell in found.cells.get(field, ()))
    return [word for word, _ in words.most_common(MOST_WORDS)]


def _sheets(drafted: Sequence[_Drafted], first: _Drafted) -> Iterator[str]:
    alias = "{identifier}" if "identifier" in first.columns else "XX-{patient}-{vial}"
    for found in drafted:
        yield f"\n[[sheets]]\nname = {_quoted(found.table.name)}"
        if "material" not in found.columns:
            yield 'material = ""  # TO SAY: what lies in these tubes, such as adsc or intact_follicles'
        yield f"alias = {_quoted(alias)}  # TO SAY: what stands on the vial"
