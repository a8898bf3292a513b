"""Cursors of lists that run newest first: the instant and the name of the last item shown, opaque to the caller."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_

from biobank.foundation.errors import MalformedRequest

PATTERN = r"^[0-9]{1,20}~[0-9A-Za-z-]{1,40}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CursorUnknown(MalformedRequest):
    """The cursor was not one of ours."""

    code = "cursor_unknown"
    title = "Not a cursor"


def write_cursor(at: datetime, name: object) -> str:
    """Return the cursor of a row: microseconds since 1970 and its name."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}~{name}"


def older_than(cursor: str, at: ColumnElement[Any], name: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for rows after `cursor` in the order (at DESC, name DESC). Raises CursorUnknown."""
    micros, _, last = cursor.partition("~")
    try:
        instant = _EPOCH + timedelta(microseconds=int(micros))
        value = name.type.python_type(last)
    except (ValueError, OverflowError):
        raise CursorUnknown("Send `cursor` as the list gave it in `next`.") from None
    return tuple_(at, name) < tuple_(literal(instant, at.type), literal(value, name.type))
