"""Judging rows: which can be taken, which are gone, which cannot be taken and why. Pure.

A row is judged alone, then against the others: one patient number for two people, one old identifier or one slot for two tubes.
Who is right in such a case stands in the tank or in a paper file, so none of them is taken.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from biobank.importing import cells
from biobank.importing.cells import Unclear, said
from biobank.importing.profile import Profile
from biobank.importing.reading import Row
from biobank.specimens.materials import MATERIALS

OLDEST_BIRTH = date(1880, 1, 1)


@dataclass(frozen=True)
class Person:
    """Who a row is about, as the file says."""

    patient: str
    family_name: str
    given_names: str | None
    date_of_birth: date
    sex: str


@dataclass(frozen=True)
class Vial:
    """A tube that can be taken: everything about it is known."""

    person: Person
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


@dataclass
class CheckedRow:
    """A row with what was found. It is taken when it has a vial and no reasons.

    Person and slot are known of refused rows too: their tube is in the tank all the same.
    """

    row: Row
    vial: Vial | None = None
    person: Person | None = None
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


def check_rows(rows: Sequence[Row], profile: Profile, today: date) -> list[CheckedRow]:
    """Judge every row alone and against the others."""
    checked = [_alone(row, profile, today) for row in rows]
    _refuse_two_people_of_one_number(checked)
    _refuse_shared(checked, lambda j: j.vial and j.vial.alias.lower(), "The same patient and vial number stand in {lines} too.")
    _refuse_shared(checked, lambda j: j.slot, "The same slot is claimed in {lines} too. Look into the box.")
    return checked


def _alone(row: Row, profile: Profile, today: date) -> CheckedRow:
    found = CheckedRow(row)

    def read(name: str, rule: Callable[[Any], Any]) -> Any:
        try:
            return rule(row.cells.get(name))
        except Unclear as unclear:
            found.reasons.append(f"{profile.columns.get(name, name)} {unclear}.")
            return None

    status = said(row.cells.get("status"))
    meaning = profile.status.get(status)
    if meaning is None:
        found.reasons.append(f"{profile.columns['status']} is a word that the profile does not explain.")
    if meaning == "gone":
        found.gone = True
        return found
    person = found.person = _person(found, row, profile, today, read)
    material = MATERIALS[row.sheet.material]
    unit = profile.units.get(said(row.cells.get("unit")))
    if unit is None:
        found.reasons.append(f"{profile.columns['unit']} is a word that the profile does not explain.")
    elif unit.unit not in material.units:
        found.reasons.append(f"{material.title} are not counted in {unit.unit.value}.")
    amount = read("amount", lambda value: cells.amount_of(value, unit.factor if unit is not None else 1))
    passage = read("passage", cells.passage_of)
    if material.passaged and passage is None and not found.reasons:
        found.reasons.append("The passage is not known.")
    collected = read("collected", lambda value: cells.day_of(value, profile.date_order))
    frozen = read("frozen", lambda value: cells.day_of(value, profile.date_order))
    for name, day in (("collected", collected), ("frozen", frozen)):
        if day is None:
            _once(found.reasons, profile.columns[name], f"{profile.columns[name]} is not given.")
        elif day > today:
            found.reasons.append(f"{profile.columns[name]} lies in the future.")
    if collected and frozen and frozen < collected:
        found.reasons.append("It would have been frozen before it was collected.")
    viability = read("viability", cells.percent_of)
    found.slot = _slot(found, row, profile, read)
    vial = said(row.cells.get("vial"))
    if not vial:
        found.reasons.append(f"{profile.columns['vial']} is not given.")
    if found.reasons or person is None or unit is None or found.slot is None:
        return found
    remark = said(row.cells.get("remarks"))
    words = [remark] if remark else []
    words += [f"Viability by the old record: {viability}"] if viability else []
    found.notes += ["Viability has no counts: kept as a remark, not as a measurement."] if viability else []
    alias = row.sheet.alias.format(patient=person.patient, vial=vial)
    found.vial = Vial(
        person,
        row.sheet.material.value,
        unit.unit.value,
        amount,
        passage,
        collected,
        frozen,
        *found.slot,
        alias,
        ". ".join(words) or None,
    )
    return found


def _person(
    found: CheckedRow, row: Row, profile: Profile, today: date, read: Callable[[str, Callable[[Any], Any]], Any]
) -> Person | None:
    patient, family = said(row.cells.get("patient")), said(row.cells.get("family_name"))
    given = said(row.cells.get("given_names")) or None
    if not patient:
        found.reasons.append(
            f"{profile.columns['patient']} is not given. Write it in when the paper file says whose vial this is; a neighbouring "
            "line is no proof."
        )
    if not family:
        found.reasons.append(f"{profile.columns['family_name']} is not given.")
    born = read("date_of_birth", lambda value: cells.day_of(value, profile.date_order))
    if born is None:
        _once(found.reasons, profile.columns["date_of_birth"], f"{profile.columns['date_of_birth']} is not given.")
    elif not OLDEST_BIRTH <= born <= today:
        found.reasons.append(f"{profile.columns['date_of_birth']} is no date of birth.")
    sex = read("sex", cells.sex_of)
    if said(row.cells.get("sex")) not in ("", "F", "M", "female", "male"):
        found.notes.append(f"{profile.columns['sex']} is written in other capitals elsewhere.")
    raw = row.cells.get("family_name")
    if isinstance(raw, str) and raw != family:
        found.notes.append(f"{profile.columns['family_name']} has blanks around it.")
    return Person(patient, family, given, born, sex) if patient and family and born and sex else None


def _slot(
    found: CheckedRow, row: Row, profile: Profile, read: Callable[[str, Callable[[Any], Any]], Any]
) -> tuple[tuple[str, ...], str] | None:
    names = []
    for name in ("tank", "rack", "box"):
        if name not in profile.columns:
            continue
        text = said(row.cells.get(name))
        if not text:
            found.reasons.append(f"{profile.columns[name]} is not given.")
        elif text != text.upper():
            found.notes.append(f"{profile.columns[name]} is written in small letters here.")
        names.append(text.upper())
    slot = read("position", lambda value: cells.slot_of(value, profile.box_rows, profile.box_cols))
    return (tuple(names), slot) if all(names) and slot else None


def _once(reasons: list[str], start: str, sentence: str) -> None:
    """Add a sentence unless another one about the same column stands there."""
    if not any(reason.startswith(start) for reason in reasons):
        reasons.append(sentence)


def _refuse_two_people_of_one_number(checked: Sequence[CheckedRow]) -> None:
    for ones in _groups(checked, lambda j: j.person and j.person.patient.lower()):
        people = {_identity(one.person) for one in ones if one.person is not None}
        if len(people) > 1:
            for one in ones:
                one.reasons.append(f"This patient number stands for different names, birth dates or sexes in {_lines(ones)}.")


def _identity(person: Person) -> tuple[str, str, date, str]:
    return person.family_name.casefold(), (person.given_names or "").casefold(), person.date_of_birth, person.sex


def _refuse_shared(checked: Sequence[CheckedRow], key: Callable[[CheckedRow], Any], sentence: str) -> None:
    for ones in _groups(checked, key):
        for one in ones if len(ones) > 1 else ():
            one.reasons.append(sentence.format(lines=_lines([other for other in ones if other is not one])))


def _groups(checked: Sequence[CheckedRow], key: Callable[[CheckedRow], Any]) -> list[list[CheckedRow]]:
    groups: dict[Any, list[CheckedRow]] = defaultdict(list)
    for one in checked:
        if key(one):
            groups[key(one)].append(one)
    return list(groups.values())


def _lines(ones: Sequence[CheckedRow]) -> str:
    return ", ".join(f"{one.row.sheet.name}:{one.row.line}" for one in ones[:10]) + (" …" if len(ones) > 10 else "")
