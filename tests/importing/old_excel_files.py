"""XLS files for tests, written byte by byte: records of BIFF8 in a compound file ([MS-XLS], [MS-CFB])."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SECTOR = 512
_FREE, _END, _FAT, _NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
ERRORS = {"#NULL!": 0, "#DIV/0!": 7, "#VALUE!": 15, "#REF!": 23, "#NAME?": 29, "#NUM!": 36, "#N/A": 42}


@dataclass(frozen=True)
class Look:
    """A value with its number format, perhaps struck out, or from a letter on."""

    value: Any
    pattern: str = "General"
    struck: bool = False
    struck_from: int | None = None


def _record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def _text(text: str, *, length: str = "<H") -> bytes:
    return struct.pack(length, len(text)) + b"\x01" + text.encode("utf-16-le")


def _font(*, struck: bool) -> bytes:
    return _record(
        0x31, struct.pack("<HHHHHBBBB", 200, 8 if struck else 0, 0x7FFF, 400, 0, 0, 0, 0, 0) + _text("Arial", length="<B")
    )


def _look(font: int, pattern: int, *, of_a_style: bool) -> bytes:
    kind = 0xFFF5 if of_a_style else 1
    return _record(0xE0, struct.pack("<HHHBBBBIIH", font, pattern, kind, 0, 0, 0, 0, 0, 0, 0))


def workbook(
    rows: Sequence[Sequence[Any]],
    *,
    name: str = "Hair follicles",
    hidden_lines: Sequence[int] = (),
    hidden_columns: Sequence[int] = (),
    merged: Sequence[tuple[int, int, int, int]] = (),
    from_1904: bool = False,
    password: bool = False,
) -> bytes:
    """Return an XLS file of one sheet. `merged`: first and last row, first and last column, from 0."""
    return compound(
        {"Workbook": records(rows, name, hidden_lines, hidden_columns, merged, from_1904=from_1904, password=password)}
    )


def records(
    rows: Sequence[Sequence[Any]],
    name: str,
    hidden_lines: Sequence[int] = (),
    hidden_columns: Sequence[int] = (),
    merged: Sequence[tuple[int, int, int, int]] = (),
    *,
    from_1904: bool = False,
    password: bool = False,
) -> bytes:
    """Return the records of such a file, without what they are wrapped in."""
    looks: dict[tuple[str, bool], int] = {("General", False): 1}
    for row in rows:
        for value in row:
            if isinstance(value, Look):
                looks.setdefault((value.pattern, value.struck), len(looks) + 1)
    patterns = {pattern: 164 + at for at, pattern in enumerate(sorted({pattern for pattern, _ in looks}))}
    begin = struct.pack("<HHIII", 0x0600, 5, 0, 0, 0x0600)[:16]
    head = _record(0x809, begin)
    if password:
        head += _record(0x2F, bytes(6))
    head += _record(0x42, struct.pack("<H", 1200)) + _record(0x22, struct.pack("<H", from_1904))
    head += _font(struck=False) + _font(struck=True)
    head += b"".join(_record(0x41E, struct.pack("<H", at) + _text(pattern)) for pattern, at in patterns.items())
    head += _look(0, 0, of_a_style=True)
    head += b"".join(_look(int(struck), patterns[pattern], of_a_style=False) for pattern, struck in looks)
    tail = _record(0x0A, b"")
    named = _text(name, length="<B")
    at = len(head) + 4 + 6 + len(named) + len(tail)
    head += _record(0x85, struct.pack("<IBB", at, 0, 0) + named) + tail
    sheet = [_record(0x809, struct.pack("<HHIII", 0x0600, 16, 0, 0, 0x0600)[:16])]
    sheet += [_record(0x7D, struct.pack("<HHHHHH", at, at, 2000, 0, 1, 0)) for at in hidden_columns]
    sheet += [_record(0x208, struct.pack("<HHHHHHI", line, 0, 1, 255, 0, 0, 0x20)) for line in hidden_lines]
    for line, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.append(_cell(line, column, value, looks))
    if merged:
        sheet.append(_record(0xE5, struct.pack("<H", len(merged)) + b"".join(struct.pack("<HHHH", *one) for one in merged)))
    return head + b"".join(sheet) + tail


def _cell(line: int, column: int, value: Any, looks: dict[tuple[str, bool], int]) -> bytes:
    look = value if isinstance(value, Look) else Look(value)
    at = struct.pack("<HHH", line, column, looks[look.pattern, look.struck])
    if look.value is None:
        return b""
    if isinstance(look.value, bool):
        return _record(0x205, at + bytes([look.value, 0]))
    if isinstance(look.value, int | float):
        return _record(0x203, at + struct.pack("<d", look.value))
    if look.value in ERRORS:
        return _record(0x205, at + bytes([ERRORS[look.value], 1]))
    if look.struck_from is not None:
        return _record(0xD6, at + _text(look.value) + struct.pack("<HHH", 1, look.struck_from, 1))
    return _record(0x204, at + _text(look.value))


def compound(streams: dict[str, bytes]) -> bytes:
    """Return a compound file of these streams; each is filled up to the size from which it has sectors of its own."""
    entries, chains, body = [], list[int](), b""
    for name, data in streams.items():
        filled = data.ljust(max(4096, -(-len(data) // SECTOR) * SECTOR), b"\0")
        first, count = len(chains), len(filled) // SECTOR
        chains += [*range(first + 1, first + count), _END]
        entries.append(_entry(name, 2, first, len(filled)))
        body += filled
    root = _entry("Root Entry", 5, _END, 0, child=1)
    directory = b"".join([root, *entries]).ljust(-(-(len(entries) + 1) * 128 // SECTOR) * SECTOR, b"\0")
    at_directory = len(chains)
    chains += [*range(at_directory + 1, at_directory + len(directory) // SECTOR), _END]
    body += directory
    fats = 1
    while fats * SECTOR // 4 < len(chains) + fats:
        fats += 1
    at_fats = len(chains)
    table = struct.pack(
        f"<{fats * SECTOR // 4}I", *[*chains, *[_FAT] * fats, *[_FREE] * (fats * SECTOR // 4 - len(chains) - fats)]
    )
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, fats, at_directory, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109I", *[*range(at_fats, at_fats + fats), *[_FREE] * (109 - fats)])
    return header + body + table


def _entry(name: str, kind: int, first: int, size: int, *, child: int = _NONE) -> bytes:
    coded = (name + "\0").encode("utf-16-le")
    head = coded.ljust(64, b"\0") + struct.pack("<HBBIII", len(coded), kind, 1, _NONE, _NONE, child) + bytes(36)
    return head + struct.pack("<IQ", first, size)
