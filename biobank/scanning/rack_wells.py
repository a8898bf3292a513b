"""Wells of a rack, however a reader writes them: `A01`, `1A`, `R1C1`, row and column apart, a plate drawn as a plate. Pure."""

import re
from collections.abc import Collection, Iterator, Sequence

_WELL = re.compile(r"^([A-Z]{1,2})[ :._/-]?0*([1-9][0-9]{0,2})$")
_WELL_TURNED = re.compile(r"^0*([1-9]|1[0-9]|2[0-4])[ :._/-]?([A-P])$")
_WELL_COUNTED = re.compile(r"^R0*([1-9]|1[0-9])C0*([1-9]|1[0-9]|2[0-4])$")
_BRACKETS = re.compile(r"^[(\[{](.*)[)\]}]$")
_PLATE_WELL = re.compile(r"^(?:PS-[0-9A-Z]{7}|[A-P](?:[1-9]|1[0-9]|2[0-4]))$")
_ROW = re.compile(r"^[A-Z]{1,2}$")
_COLUMN = re.compile(r"^0*([1-9][0-9]?)$")
_POSITION = re.compile(r"^PS-?[0-9A-Z]{7}$")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def well_of(cell: str) -> str | None:
    """Return a well's plain label (`a01`, `1A`, `R1C1` → `A1`) or a position's code as it is; None when it names no well."""
    text = cell.upper()
    if _POSITION.match(text):
        return f"PS-{text[-7:]}"
    if held := _BRACKETS.match(text):
        text = held[1].strip()
    if match := _WELL_COUNTED.match(text):
        return _LETTERS[int(match[1]) - 1] + match[2]
    if match := _WELL_TURNED.match(text):
        return match[2] + match[1]
    match = _WELL.match(text)
    return None if match is None else match[1] + match[2]


def is_plate_well(cell: str) -> bool:
    """Say whether a cell names a well that a plate has, or a position of this bank."""
    well = well_of(cell)
    return well is not None and _PLATE_WELL.match(well) is not None


def place_in(row: Sequence[str], ours: Collection[str]) -> int:
    """Return where in a row its well stands; `ours`: cells that name tubes."""
    return next(at for at, cell in enumerate(row) if cell not in ours and well_of(cell))


def joined(row: Sequence[str]) -> list[str]:
    """Return the row with a letter and the number beside it made into one well (`A`, `1` → `A1`), when it names none."""
    if any(is_plate_well(cell) for cell in row):
        return list(row)
    for first, second in ((_ROW, _COLUMN), (_COLUMN, _ROW)):
        for index in range(len(row) - 1):
            pair = row[index].upper(), row[index + 1].upper()
            if first.match(pair[0]) and second.match(pair[1]):
                letter, number = pair if first is _ROW else pair[::-1]
                return [*row[:index], letter + number.lstrip("0"), *row[index + 2 :]]
    return list(row)


def unfolded(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the rows of a plate drawn as a plate, `,1,2,3` above `A,…` or `,A,B,C` above `1,…`, as one row a well; other rows as
    they are.
    """
    heads: list[str] = []
    unrolled: list[Sequence[str]] = []
    for row in rows:
        if found := _heads(row):
            heads = found
        elif heads and row and (_ROW if heads[0] == "1" else _COLUMN).match(row[0].upper()):
            unrolled += _wells_of(row, heads)
        else:
            heads = []
            unrolled.append(row)
    return unrolled


def _heads(row: Sequence[str]) -> list[str]:
    """Return the numbers, or the letters, that stand above the columns of a plate; none when the row is no such line."""
    filled = [cell.lstrip("0").upper() for cell in row[1:] if cell]
    if len(filled) < 2 or row[0][-1:].isdigit() or len(row[0]) == 1:
        return []
    if filled == [str(n + 1) for n in range(len(filled))]:
        return filled
    return filled if filled == list(_LETTERS[: len(filled)]) else []


def _wells_of(row: Sequence[str], heads: Sequence[str]) -> Iterator[list[str]]:
    side = row[0].upper().lstrip("0")
    for head, cell in zip(heads, row[1:], strict=False):
        yield [side + head if heads[0] == "1" else head + side, cell]
