"""Checking rows: which can be taken, which are gone, which cannot be taken and why. Pure.

A row is checked alone, then against the others: one patient number for two people, one old identifier or one slot for two tubes.
Who is right in such a case stands in the tank or in a paper file, so none of them is taken. What is said about a cell names its
address in the file and never what stands in it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

from pydantic import ValidationError

from biobank.custody.recording import Circumstances
from biobank.donors.blind_index import external_value
from biobank.donors.schemas import ExternalId, RegisterDonor
from biobank.foundation.names import name_key
from biobank.importing import cells
from biobank.importing.cells import Unclear, name_of, said, word_of
from biobank.importing.profile import Profile, UnitMeaning
from biobank.importing.reading import Row, Where
from biobank.importing.sheets import Cell
from biobank.specimens.aliases import may_be_an_alias
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.processing_schemas import Purpose
from biobank.specimens.run_rules import THERAPEUTIC

T = TypeVar("T")

EARLIEST = date(1970, 1, 1)
"""Before this no tissue of a living person was frozen and kept; a spreadsheet's own first days are mistakes."""
LONGEST_NAME_OF_A_PLACE = 80
LONGEST_REMARK = 2000
_OF_ONE_TUBE = frozenset({"patient", "vial", "identifier"})
_PLACES = frozenset({"tank", "rack", "box", "position"})
_SEVERAL = re.compile(
    r"\w\s*[,;&+]\s*\w|\w\s(?:and|und|plus|to|bis)\s\w|^([a-z]+)(?!0*(\d+)\s*[-/]\s*\1 ?0*\2$)\d+\s*[-/]\s*\1 ?\d+$",
    re.IGNORECASE,
)
"""`1, 2`, `P1 & P2`, `P1-P3` or `1 to 3`: what an identifier of one tube does not hold."""
_SEVERAL_PLACES = re.compile(r"\d\s*[,;&+]\s*\w*\d|\d\s(?:and|und|or|oder|to|bis)\s\w*\d|\d\s+/\s+\w*\d", re.IGNORECASE)
"""`2 & 3` or `LN2-1 / LN2-2`: a place whose name holds numbers of two. `2/3` may be the name of one."""
_COUNTED = re.compile(
    r"^(?:(?P<first>\d{1,3})\s*(?:-|\.{2,3})\s*(?P<last>\d{1,3})|x\s*(?P<times>\d{1,3})|all|alle|both|beide|several|mehrere"
    r"|(?P<count>\d{1,3})\s*(?:x|\u00d7|vials?|tubes?|straws?|pcs\.?|r\u00f6hrchen|ampullen?|st\u00fcck|stk\.?))$",
    re.IGNORECASE,
)
"""A first and a last vial, or how many there are: no number of one vial, unless there is one."""


def _counts_several(text: str) -> bool:
    """Say whether the text in the column of the vial means more than one."""
    found = _COUNTED.match(text)
    if found is None:
        return False
    if found["first"]:
        return int(found["first"]) < int(found["last"])
    return int(found["count"] or found["times"] or 2) > 1


@dataclass(frozen=True, slots=True)
class Vial:
    """A tube that can be taken: everything about it is known."""

    person: RegisterDonor
    patient: str
    material: str
    unit: str
    amount: int
    passage: int | None
    collected: date
    frozen: date
    place: tuple[str, ...]
    """Names of tank, rack (when there are racks) and box, in capitals."""
    slot: str
    alias: str
    words: str | None
    """What was remarked, viability included: for the vault."""
    expires: date | None = None
    """The last day of its term, by the old record."""
    held: bool = False
    """By the old record something stands against it."""
    purpose: Purpose = THERAPEUTIC
    """What it is kept for; what nobody says is kept for treatment, as every tube is that is made here."""
    freezes: int = 1
    """How often it was frozen: once at least, because it is."""


@dataclass(slots=True)
class CheckedRow:
    """A row with what was found. It is taken when it has a vial and no reasons.

    Person and slot are known of refused rows too: their tube is in the tank all the same.
    """

    where: Where
    vial: Vial | None = None
    person: RegisterDonor | None = None
    slot: tuple[tuple[str, ...], str] | None = None
    gone: bool = False
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """ready · gone (not live any more: its history stays in the old file) · refused."""
        if self.reasons:
            return "refused"
        return "gone" if self.gone else "ready"


def check_rows(rows: Iterable[Row], profile: Profile, today: date) -> list[CheckedRow]:
    """Check every row alone and against the others."""
    shared = _Shared()
    checked = [_RowCheck(row, profile, today, shared).checked() for row in rows]
    _refuse_two_people_of_one_number(checked)
    _refuse_one_person_of_two_numbers(checked, profile.issuer)
    _refuse_shared(checked, lambda j: j.vial and j.vial.alias.lower(), "The same patient and vial number stand in {lines} too.")
    _refuse_shared(checked, _slot_as_seen, "The same position is claimed in {lines} too. Look into the box.")
    return checked


@dataclass(slots=True)
class _Shared:
    """What many rows say alike: one object for all of them, so that a hundred thousand rows stay small."""

    people: dict[Any, RegisterDonor] = field(default_factory=dict)
    places: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)


class _RowCheck:
    """One row on its way to being checked by itself."""

    def __init__(self, row: Row, profile: Profile, today: date, shared: _Shared) -> None:
        self._row, self._profile, self._today, self._shared = row, profile, today, shared
        self._found = CheckedRow(row.where, reasons=list(row.reasons), notes=list(row.notes))

    def checked(self) -> CheckedRow:
        """Check it."""
        found, profile = self._found, self._profile
        meaning = self._meaning("status", profile.status)
        if self._cell("status").struck and not all(cell.struck for cell in self._row.cells.values() if cell.value is not None):
            self._once("status", "is struck through. Say what holds")
            meaning = None
        if meaning == "gone":
            found.gone = True
            found.reasons.clear()
            return found
        for name, cell in self._row.cells.items():
            found.notes += [f"{self._called(name)} {note}." for note in cell.notes]
            if cell.struck:
                found.reasons.append(f"{self._called(name)} is struck through. Say in the file what became of the tube.")
        person = found.person = self._person()
        material = self._row.sheet.material or self._meaning("material", profile.materials)
        unit = self._unit(material)
        amount = self._read("amount", lambda cell: cells.amount_of(cell, unit.factor if unit is not None else 1, profile.signs))
        passage = self._read("passage", cells.passage_of)
        if material is not None and MATERIALS[material].passaged is (passage is None):
            none = f"is given, and {MATERIALS[material].title.lower()} have none"
            self._once("passage", "is not given" if passage is None else none)
        said_nothing: dict[str, Purpose] = {"": THERAPEUTIC}
        purpose = self._meaning("purpose", said_nothing | profile.purposes)
        freezes = self._read("freezes", cells.freezes_of)
        collected, frozen = self._day("collected"), self._day("frozen")
        expires = self._read("expires", lambda cell: cells.day_of(cell, profile.date_order))
        if collected and frozen and frozen < collected:
            found.reasons.append("It would have been frozen before it was collected.")
        if expires and frozen and expires < frozen:
            found.reasons.append("It would have expired before it was frozen.")
        if collected and person and collected < date.fromisoformat(person.date_of_birth):
            found.reasons.append("It would have been collected before its donor was born.")
        viability = self._read("viability", lambda cell: cells.percent_of(cell, profile.signs))
        remark = self._read("remarks", said)
        found.slot = self._slot()
        alias = self._alias()
        words = ". ".join([*([remark] if remark else []), *([f"Viability by the old record: {viability}"] if viability else [])])
        if len(words) > LONGEST_REMARK:
            found.reasons.append(f"{self._called('remarks')} is longer than {LONGEST_REMARK} characters. Shorten it.")
        elif words and not _can_be_kept(words):
            found.reasons.append(f"{self._called('remarks')} holds a character that cannot be kept. Write it again.")
        if found.reasons or person is None or unit is None or found.slot is None or not material or not alias:
            return found
        if amount is None or collected is None or frozen is None or purpose is None or freezes is None:
            return found
        found.notes += ["Viability has no counts: kept as a remark, not as a measurement."] if viability else []
        found.vial = Vial(
            person,
            person.external_ids[0].value,
            material.value,
            unit.unit.value,
            amount,
            passage,
            collected,
            frozen,
            *found.slot,
            alias,
            words or None,
            expires,
            meaning == "held",
            purpose,
            freezes,
        )
        return found

    def _cell(self, name: str) -> Cell:
        return self._row.cells.get(name) or Cell("")

    def _called(self, name: str) -> str:
        """The heading of a field and the address of its cell in this row."""
        at = self._cell(name).at
        heading = self._profile.headings.get(name, name.replace("_", " ").capitalize())
        return f"{heading} ({at})" if at else heading

    def _read(self, name: str, rule: Callable[[Cell], T]) -> T | None:
        try:
            return rule(self._cell(name))
        except Unclear as unclear:
            self._found.reasons.append(f"{self._called(name)} {unclear}.")
            return None

    def _once(self, name: str, sentence: str) -> None:
        """Add a sentence about a field unless another one stands there."""
        start = self._called(name)
        if not any(reason.startswith(start) for reason in self._found.reasons):
            self._found.reasons.append(f"{start} {sentence}.")

    def _meaning(self, name: str, words: dict[str, T]) -> T | None:
        word = self._read(name, word_of)
        if word is not None and word not in words:
            self._once(name, "is a word that the profile does not explain" if word else "is not given")
        return None if word is None else words.get(word)

    def _unit(self, material: MaterialName | None) -> UnitMeaning | None:
        unit = self._meaning("unit", self._profile.units)
        if unit is not None and material is not None and unit.unit not in MATERIALS[material].units:
            title = MATERIALS[material].title
            self._found.reasons.append(f"{self._called('unit')}: {title} are not counted in {unit.unit.value}.")
        return unit

    def _day(self, name: str) -> date | None:
        day = self._read(name, lambda cell: cells.day_of(cell, self._profile.date_order))
        if day is None:
            self._once(name, "is not given")
        elif day > self._today:
            self._once(name, "lies in the future")
        elif day < EARLIEST:
            self._once(name, f"lies before {EARLIEST.year}")
        return day

    def _person(self) -> RegisterDonor | None:
        patient = self._identifier("patient")
        if patient == "":
            self._once(
                "patient",
                "is not given. Write it in when the paper file says whose vial this is; a neighbouring line is no proof",
            )
        family, given = self._read("family_name", name_of), self._read("given_names", name_of)
        if family == "":
            self._once("family_name", "is not given")
        for name, text in (("family_name", family), ("given_names", given)):
            if text and text.lower() in cells.LIKE_UNSAID:
                self._found.notes.append(f"{self._called(name)} is taken as a name, not as a sign for 'not known'.")
        born = self._read("date_of_birth", lambda cell: cells.day_of(cell, self._profile.date_order))
        if born is None:
            self._once("date_of_birth", "is not given")
        sex = self._read("sex", lambda cell: cells.sex_of(cell, self._profile.sexes or cells.SEXES))
        if not (patient and family and born and sex) or given is None:
            return None
        if not self._profile.sexes and word_of(self._cell("sex")) not in ("", "F", "M", "female", "male"):
            self._found.notes.append(f"{self._called('sex')} is written in other capitals elsewhere.")
        members = {"family_name": family, "given_names": given or None, "date_of_birth": born.isoformat(), "sex": sex}
        return self._registration(patient, members)

    def _registration(self, patient: str, members: dict[str, Any]) -> RegisterDonor | None:
        """The request that would register the person, one object for all tubes of one person; checked by its own rules."""
        key = (patient, *members.values())
        people = self._shared.people
        if key not in people:
            try:
                external = [ExternalId(issuer=self._profile.issuer, value=patient)]
            except ValidationError:
                self._once("patient", "is longer than 80 characters, or holds one that cannot be kept")
                return None
            try:
                people[key] = RegisterDonor(clinic_site=self._profile.clinic_site, external_ids=external, **members)
            except ValidationError as error:
                for name in {str(fault["loc"][0]) for fault in error.errors(include_input=False)}:
                    born = "is no date of birth" if name == "date_of_birth" else None
                    self._once(name, born or "is longer than 200 characters, or holds one that cannot be kept in a name")
                return None
        return people[key]

    def _identifier(self, name: str) -> str | None:
        """Return what a label says, empty when nothing is said, None when that is unclear."""
        read = self._read(name, cells.identifier_and_notes)
        if read is None:
            return None
        text, notes = read
        if name in _OF_ONE_TUBE and (_SEVERAL.search(text) or (name == "vial" and _counts_several(text))):
            self._once(name, "may name several. Write a line for each")
            return None
        if name in _PLACES and _SEVERAL_PLACES.search(text):
            self._once(name, "may name several. Write the one in which the tube is")
            return None
        self._found.notes += [f"{self._called(name)} {note}." for note in notes]
        return text

    def _slot(self) -> tuple[tuple[str, ...], str] | None:
        names = []
        for name in ("tank", "rack", "box"):
            if name not in self._profile.headings:
                continue
            text = self._identifier(name)
            if text == "":
                self._once(name, "is not given")
            elif text and len(text) > LONGEST_NAME_OF_A_PLACE:
                self._once(name, f"is longer than {LONGEST_NAME_OF_A_PLACE} characters")
            elif text and text != text.upper():
                self._found.notes.append(f"{self._called(name)} is written in small letters here.")
            names.append((text or "").upper())
        slot = self._read("position", lambda cell: cells.slot_of(cell, *self._profile.box))
        place = self._shared.places.setdefault(tuple(names), tuple(names))
        return (place, slot) if all(names) and slot else None

    def _alias(self) -> str | None:
        said_by = {name: self._identifier(name) if name != "patient" else None for name in self._row.sheet.names}
        if "patient" in said_by:
            said_by["patient"] = self._found.person.external_ids[0].value if self._found.person else ""
        for name, text in said_by.items():
            if text == "" and name != "patient":
                self._once(name, "is not given")
        if not all(said_by.values()):
            return None
        alias = self._row.sheet.alias.format(**said_by)
        if not may_be_an_alias(self._profile.alias_issuer, alias):
            name = next(iter(said_by.keys() - {"patient"}))
            self._once(name, "makes no identifier that a label can hold: up to 80 letters, digits and signs of plain Latin")
        return alias


@lru_cache(maxsize=4096)
def _can_be_kept(words: str) -> bool:
    try:
        Circumstances(comment=words)
    except ValidationError:
        return False
    return True


def _refuse_two_people_of_one_number(checked: Sequence[CheckedRow]) -> None:
    for ones in _groups(checked, lambda j: j.person and j.person.external_ids[0].value.lower()):
        people = {identity_of_person(one.person) for one in ones if one.person is not None}
        if len(people) > 1:
            for one in ones:
                one.reasons.append(f"This patient number stands for different names, birth dates or sexes in {_lines(ones)}.")


def _refuse_one_person_of_two_numbers(checked: Sequence[CheckedRow], issuer: str) -> None:
    """Numbers that differ in signs alone (P-1, P1) may be two people's; with one identity they are one number, badly written."""
    normal = cache(partial(external_value, issuer))
    for ones in _groups(checked, lambda j: j.person and normal(j.person.external_ids[0].value)):
        spellings: dict[Any, set[str]] = defaultdict(set)
        for one in ones:
            if one.person is not None:
                spellings[identity_of_person(one.person)].add(one.person.external_ids[0].value.lower())
        for one in ones:
            if one.person is not None and len(spellings[identity_of_person(one.person)]) > 1:
                one.reasons.append(f"The number of this patient is written in different ways in {_lines(ones)}.")


def identity_of_person(person: RegisterDonor) -> tuple[str, str, str, str]:
    """Return what tells people of one number apart; capitals do not."""
    return person.family_name.casefold(), (person.given_names or "").casefold(), person.date_of_birth, person.sex


def _slot_as_seen(row: CheckedRow) -> tuple[tuple[str, ...], str] | None:
    return None if row.slot is None else (_place_as_seen(row.slot[0]), row.slot[1])


@lru_cache(maxsize=4096)
def _place_as_seen(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name_key(name) for name in names)


def _refuse_shared(checked: Sequence[CheckedRow], key: Callable[[CheckedRow], Any], sentence: str) -> None:
    for ones in _groups(checked, key):
        for one in ones:
            one.reasons.append(sentence.format(lines=_lines(ones, one)))


def _groups(checked: Sequence[CheckedRow], key: Callable[[CheckedRow], Any]) -> list[list[CheckedRow]]:
    """Return the rows that share a key, two or more of each."""
    first: dict[Any, CheckedRow] = {}
    groups: dict[Any, list[CheckedRow]] = {}
    for one in checked:
        if (its := key(one)) and (met := first.setdefault(its, one)) is not one:
            groups.setdefault(its, [met]).append(one)
    return list(groups.values())


def _lines(ones: Sequence[CheckedRow], besides: CheckedRow | None = None) -> str:
    shown = [f"{one.where.sheet}:{one.where.line}" for one in ones[:12] if one is not besides]
    return ", ".join(shown[:10]) + (" …" if len(ones) > 11 else "")
