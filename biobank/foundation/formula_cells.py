"""What a spreadsheet would run, or could not hold, in every file of ours that one opens."""

import re
from datetime import date, datetime
from typing import Any, Final

STARTS_A_FORMULA: Final = "=+@\t\r\n＝＋－＠-"
"""A text that begins with one of these, blanks before it or not, is a formula to some spreadsheet (OWASP, "CSV injection"; the
wide ones are Excel's where it is Japanese). The hyphen stands last, so that the whole can stand in a class of a pattern."""
FORMULA: Final = f"^ *[{STARTS_A_FORMULA}]"
"""The same as a pattern, for Python and for PostgreSQL."""
LONGEST_CELL: Final = 32_767
"""Characters of a cell of a workbook, as Excel counts them: in UTF-16 (Microsoft, "Excel specifications and limits")."""
TOO_LONG: Final = "Too long for a cell of a workbook. The CSV and JSON Lines exports hold it."
_FIRST_DAY: Final = date(1900, 3, 1)
"""Excel knows no day before 1900, and counts a 29 February 1900 that there was not."""
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What a file of XML cannot hold."""


def defused(cell: Any) -> Any:
    """Return a cell, a text that would be run with an apostrophe in front of it. Pure."""
    return f"'{cell}" if isinstance(cell, str) and re.match(FORMULA, cell) else cell


def held(cell: Any) -> Any:
    """Return what a cell of a workbook can hold: of what it cannot, a sentence, a sign for it, or the day as text. Pure."""
    if isinstance(cell, str):
        if len(cell) * 2 > LONGEST_CELL and len(cell.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_CELL:
            return TOO_LONG
        return _NO_XML.sub("\ufffd", cell)
    if isinstance(cell, date):
        day = cell.date() if isinstance(cell, datetime) else cell
        return cell if day >= _FIRST_DAY else cell.isoformat(*(" " if isinstance(cell, datetime) else ""))
    return cell
