"""What reading a file takes of the memory: it does not follow the number of lines, and no small file can fill it."""

import gc
import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from biobank.importing import merged, packed, reading
from biobank.importing.reading import Rows, lines_of, open_book
from biobank.importing.sheets import FileFault
from tests.importing.old_excel_files import workbook
from tests.importing.test_defects_by_format import as_csv, as_xls, as_xlsx, changed_parts
from tests.importing.test_import import profile
from tests.importing.test_other_formats import ODS_CELLS, ONE_SHEET, ods

CELLS = [f"text {column}" for column in range(18)]
MIB = 1024**2


def csv_of(lines: int) -> bytes:
    return (";".join(CELLS) + "\n").encode() * lines


def ods_of(lines: int) -> bytes:
    line = "<table:table-row>" + "".join(ODS_CELLS["plain"].format(text) for text in CELLS) + "</table:table-row>"
    return changed_parts(
        ods({}), {"content.xml": lambda text: text.replace("<table:table-row>", line * lines + "<table:table-row>", 1)}
    )


def xlsx_of(lines: int) -> bytes:
    """Texts of the lines in one table of texts would be kept by the format itself: each cell has its own."""
    line = "<row r='{0}'>" + "".join(
        f"<c r='{chr(65 + n)}{{0}}' t='inlineStr'><is><t>{text}</t></is></c>" for n, text in enumerate(CELLS)
    )
    all_of_them = "".join((line + "</row>").format(number) for number in range(1, lines + 1))
    return changed_parts(
        as_xlsx({}),
        {
            "xl/worksheets/sheet1.xml": lambda text: re.sub(
                "<sheetData>.*</sheetData>", f"<sheetData>{all_of_them}</sheetData>", text
            )
        },
    )


def xls_of(lines: int) -> bytes:
    return workbook([CELLS] * lines)


def most_while(work: Callable[[], object]) -> int:
    """Return the most memory that Python's objects took during some work, bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_through(data: bytes) -> None:
    for _ in lines_of(open_book(data).tables[0]):
        pass


@pytest.mark.parametrize(
    ("made", "of_a_line"),
    [(csv_of, 1000), (ods_of, 100), (xls_of, 5000)],
    ids=["csv", "ods", "xls"],
)
def test_a_line_that_was_read_is_forgotten(made: Callable[[int], bytes], of_a_line: int) -> None:
    """A line kept is some 6000 bytes. CSV leaves the text, XLS the values (its reader holds them all)."""
    few, many = made(300), made(500)
    read_through(few)

    assert most_while(lambda: read_through(many)) - most_while(lambda: read_through(few)) < 200 * of_a_line


def test_nothing_of_a_line_of_xlsx_stays_while_the_next_are_read() -> None:
    """The tree of the sheet once kept an empty element of every line, some 300 bytes, which 100,000 lines made 30 MB."""
    taken = {}
    lines = enumerate(lines_of(open_book(xlsx_of(400)).tables[0]))
    next(lines)
    tracemalloc.start()
    try:
        for number, _ in lines:
            if number in (100, 390):
                gc.collect()
                taken[number] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert taken[390] - taken[100] < 290 * 50


def _without_size(data: bytes) -> bytes:
    """Programs that write line by line do not state the size of a sheet."""
    changed = changed_parts(data, {"xl/worksheets/sheet1.xml": lambda text: re.sub(r"<dimension[^>]*/>", "", text)})
    assert len(changed) < len(data)
    return changed


def test_opening_a_book_that_does_not_state_its_size_keeps_nothing_of_its_lines() -> None:
    """It once read the whole sheet for its size and kept an element of every line, 80 bytes for each, whatever stood in it."""
    lines = "<sheetData>" + "<row/>" * 200_000
    part = {"xl/worksheets/sheet1.xml": lambda text: text.replace("<sheetData>", lines)}
    data = _without_size(changed_parts(as_xlsx({}), part))

    assert most_while(lambda: open_book(data)) < 10 * MIB


def _with_part(name: str, text: bytes) -> bytes:
    made = io.BytesIO(as_xlsx({}))
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return made.getvalue()


def _line_without_end() -> bytes:
    return changed_parts(
        as_xlsx({}),
        {"xl/worksheets/sheet1.xml": lambda text: text.replace('<row r="2"', "<row>" + "<c/>" * 200_000 + '</row><row r="2"')},
    )


FULL: dict[str, Callable[[], bytes]] = {
    "a line without end": _line_without_end,
    "a line without end in a sheet without a size": lambda: _without_size(_line_without_end()),
    "a line without end in ODS": lambda: ods({"Remarks": "<table:table-cell/>" * 60_000}),
    "merged cells without end": lambda: changed_parts(
        as_xlsx({}),
        {
            "xl/worksheets/sheet1.xml": lambda text: text.replace(
                "</worksheet>", "<mergeCell ref='A1:A999'/>" * 500 + "</worksheet>"
            )
        },
    ),
    "merged cells without end in XLS": lambda: as_xls({}, merged=[(0, 65_535, 0, 255)] * 300),
    "a line that stands in it a million times": lambda: ods({}, row='<table:table-row table:number-rows-repeated="1000000">'),
    "styles without end": lambda: _with_part("xl/customStyles.xml", b"<a/>" * 5_000_000),
}


@pytest.mark.parametrize("name", FULL)
def test_a_small_file_cannot_fill_the_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_BETWEEN_LINES", MIB // 2)
    monkeypatch.setattr(merged, "MOST_LINES_OF_ALL", 20_000)
    data = FULL[name]()

    def refused() -> None:
        with pytest.raises(FileFault, match=r"than can be read|stands in the file|larger than"):
            list(Rows(data, profile(**ONE_SHEET)))

    assert most_while(refused) < 60 * MIB


def test_a_file_of_more_lines_than_an_import_keeps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 3)
    head, _, line = as_csv({}).decode().partition("\r\n")

    assert len(list(Rows((head + "\r\n" + line * 3).encode(), profile(**ONE_SHEET)))) == 3
    with pytest.raises(FileFault, match="more than 3 lines"):
        list(Rows((head + "\r\n" + line * 4).encode(), profile(**ONE_SHEET)))
