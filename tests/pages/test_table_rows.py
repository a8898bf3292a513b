"""What tables write of a cell, and that nothing in one is taken for markup."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from biobank.pages.ui.marks import chip, icon
from biobank.pages.ui.parts import Column
from biobank.pages.ui.table_rows import Cells, rows_of, value_of

ZONE = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
BAD = '<img src=x onerror="alert(1)">'


def drawn(kind: str, value: object) -> str:
    return Cells(None, ZONE).write(value, kind)


@pytest.mark.parametrize("kind", ["text", "sentences", "code", "plain_code", "chip", "words"])
def test_a_cell_of_any_kind_escapes_what_it_is_given(kind: str) -> None:
    assert "<img" not in drawn(kind, BAD) and 'onerror="' not in drawn(kind, BAD)


def test_a_tick_its_name_a_heading_and_a_last_cell_are_escaped_too() -> None:
    rows = rows_of(
        Cells(None, ZONE), [Column("a", BAD)], [{"a": BAD}], (BAD, lambda _row: (BAD, BAD)), (BAD, lambda row: str(row["a"]))
    )
    assert "<img" not in rows and 'onerror="' not in rows
    assert "<img" not in icon(BAD, BAD) + chip(BAD, BAD, BAD, BAD)


def test_cells_are_written_as_their_kind_says() -> None:
    assert "1 Jul 2026, 12:00" in drawn("when", AT).replace("\u202f", " ")
    assert "2026-07-01 12:00:00" in drawn("log_time", AT)
    assert drawn("number", 5000).replace("\u202f", " ") == "5 000"
    assert drawn("text", Markup("<b>x</b>")) == "<b>x</b>" and drawn("text", None) == "–"
    assert drawn("number", 1) == "1" and drawn("text", [1, 2]) == "[1, 2]"


def test_a_row_is_a_mapping_or_an_object_and_a_missing_cell_is_a_fault() -> None:
    @dataclass
    class Thing:
        a: int

    assert value_of(Thing(3), "a") == value_of({"a": 3}, "a") == 3
    with pytest.raises(UndefinedError):
        value_of({"a": 3}, "b")
