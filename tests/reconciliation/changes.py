"""Another value for a column, of its own type: what somebody might write there."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column

WORDS = {
    "jurisdiction": "EU",
    **{"quiet": "silenced", "state": "not_opened", "stopped_because": "gone", "answer": "accept"},
    **{"reagent_lot": "medium", "clinic": "bank", "bank": "clinic"},
}
"""Another word where a column knows a list of words: by the column's name, or by what stands there."""


def another(column: "Column[Any]", value: Any) -> Any:
    """Return another value of the same type."""
    if (word := WORDS.get(str(value), WORDS.get(column.name))) is not None and word != value:
        return word
    kind = column.type.python_type
    if kind is bool:
        return not value
    if kind is int:
        return (value or 0) + 1
    if kind is datetime:
        return (value or datetime.fromisoformat("2126-01-01T00:00:00Z")) + timedelta(days=1)
    if kind is date:
        return (value or date(2026, 1, 1)) + timedelta(days=1)
    if kind is UUID:
        return uuid4()
    if kind is list:
        return [*(value or []), "other"]
    return b"\x01" * 32 if kind is bytes else f"{value or ''}x"
