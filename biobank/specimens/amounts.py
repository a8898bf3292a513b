"""Amounts as people type them: volumes in mL, cells as 2.4 M or 2.4e6, everything else as a whole number.

What is kept is an integer in the unit of the registry (µL, cells, follicles); nothing is rounded on the way.
"""

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from biobank.foundation.terms import words
from biobank.specimens.materials import MATERIALS, MaterialName, Unit

VOLUMES = frozenset({Unit.UL, Unit.UL_RAW, Unit.UL_WASHED})
_SHOWN = {Unit.UL: "mL", Unit.UL_RAW: "mL raw", Unit.UL_WASHED: "mL washed"}
COUNTED = frozenset({Unit.CELLS, Unit.PARTICLES})
LARGEST = 10**13
_AS_TYPED = re.compile(r"(?P<number>.*?)(?:(?P<many>k|M|G|million)?(?P<unit>mL|ml|cells|particles)?)", re.DOTALL)
_MANY = {None: 1, "k": 10**3, "M": 10**6, "million": 10**6, "G": 10**9}


def unit_shown(unit: Unit | str) -> str:
    """Return the unit in which an amount is typed: `mL raw` for `ul_raw`."""
    return _SHOWN.get(Unit(unit)) or words(unit).lower()


def read_amount(text: str, unit: Unit | str, *, least: int = 1) -> int:
    """Turn what a person typed into the kept integer, `least` or more; raise ValueError with a sentence.

    Takes a comma or a point, thin and plain spaces between thousands, powers of ten (2.4e6), thousands and millions of cells as
    labels write them (2.4 M, 800 k), and the unit behind the number.
    """
    unit = Unit(unit)
    typed = _AS_TYPED.fullmatch("".join(text.replace(",", ".").split()))
    assert typed is not None, "the number takes whatever the rest leaves"
    said, many = typed["unit"], typed["many"]
    fits = said is None or (said.lower() == "ml") == (unit in VOLUMES)
    try:
        number = Decimal(typed["number"]) * _MANY[many] if fits and (many is None or unit in COUNTED) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > LARGEST:
        raise ValueError(f"enter a number in {unit_shown(unit)}, such as {_example(unit)}.")
    kept = number * 1000 if unit in VOLUMES else number
    if kept != int(kept):
        raise ValueError("give at most three decimals." if unit in VOLUMES else "enter a whole number.")
    if not least <= kept <= LARGEST:
        low = "enter an amount above zero." if least else "enter zero or more."
        raise ValueError(low if kept < least else "this is more than one container holds.")
    return int(kept)


def _example(unit: Unit) -> str:
    return "12.5" if unit in VOLUMES else "2.4 M" if unit in COUNTED else "40"


def write_amount(amount: int, unit: Unit | str) -> str:
    """Write a kept integer as it would be typed; `read_amount` reads it back."""
    if Unit(unit) not in VOLUMES:
        return str(amount)
    return f"{Decimal(amount) / 1000:f}"


def said(amount: int, unit: Unit | str) -> str:
    """Write a kept integer with its unit, exact, to be put into a sentence: `12.5 mL raw`, `2,400,000 cells`."""
    number = write_amount(amount, unit) if Unit(unit) in VOLUMES else f"{amount:,}"
    return f"{number} {unit_shown(unit)}"


def what_choices(materials: Iterable[MaterialName]) -> list[tuple[str, str]]:
    """Return the choices "material in a unit" of a form, one for each unit a material may be counted in."""
    return [
        (f"{name.value}:{unit.value}", f"{MATERIALS[name].title} ({unit_shown(unit)})")
        for name in materials
        for unit in MATERIALS[name].units
    ]


def read_what(text: str) -> tuple[MaterialName, Unit]:
    """Return material and unit of a choice; raise ValueError with a sentence."""
    material, _, unit = text.partition(":")
    try:
        found = MaterialName(material), Unit(unit)
    except ValueError:
        raise ValueError("choose what is in the container.") from None
    if found[1] not in MATERIALS[found[0]].units:
        raise ValueError("choose what is in the container.")
    return found
