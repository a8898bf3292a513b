"""CSV that Excel opens rightly: marked as UTF-8, with instants that it knows as dates, and nothing in it that it would run."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from biobank.exports.formats.format import CHUNK, READ_BY_PEOPLE, EventRow, Format, Names, encoded, for_people
from biobank.foundation.formula_cells import defused


def encode(rows: Iterator[EventRow], names: Names) -> Iterator[bytes]:
    """Yield the file: a mark, the headings, a line per event. Instants are UTC, as their headings say."""
    out = io.StringIO()
    lines = csv.writer(out)
    out.write("\ufeff")
    lines.writerow(f"{name} (UTC)" if name.endswith("_at") else name for name in READ_BY_PEOPLE)
    for row in rows:
        lines.writerow(_cell(value) for value in for_people(row, names))
        if out.tell() >= CHUNK:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return defused(value)


FORMAT = Format("csvbom", "CSV for Excel", "text/csv; charset=utf-8", encoded(encode), ending="csv", named=True)
