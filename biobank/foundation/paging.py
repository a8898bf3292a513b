"""The one pager: a list in the order of a column and a key, a page at a time.

A page begins after the last row of the one before it (keyset), so a page costs the same wherever it lies and no row is shown
twice when others are added meanwhile. Rows without a value in the column of the order come last, whichever way it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, literal_column, or_, select, tuple_
from sqlmodel import Session

from biobank.foundation.errors import MalformedRequest

T = TypeVar("T")

COUNTED = 1000
"""What a list counts up to: beyond it, it says "more than"."""

Cursor = Annotated[
    str, StringConstraints(max_length=2000, pattern=r"^[\x21-\x7e]+$"), Field(description="`next` of the page before.")
]
LONGEST_KEY = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CursorUnknown(MalformedRequest):
    """The cursor was not one of ours."""

    code = "cursor_unknown"
    title = "Not a cursor"


class Listed(BaseModel, Generic[T]):
    """The answer of a list. `total` is for pages and stands in no answer of the API."""

    items: list[T]
    next: str | None = None
    total: int | None = Field(None, exclude=True)


@dataclass(frozen=True)
class Paging:
    """Which part of a list is wanted.

    `cursor` is the `next` of the page before. `sort` is a name of the list's orders, with `-` in front for the other way; None
    is the list's own order. `count` asks for the number of all rows that match.
    """

    cursor: str | None = None
    limit: int = 100
    sort: str | None = None
    count: bool = False


@dataclass(frozen=True)
class Page:
    """Rows, the cursor of the next page, and how many match: at most COUNTED + 1, which means more; None when not asked."""

    rows: Sequence["Row[Any]"]
    next: str | None
    total: int | None

    @property
    def ends(self) -> dict[str, Any]:
        """The members of `Listed`."""
        return {"next": self.next, "total": self.total}


def read_page(
    session: Session,
    statement: "Select[Any]",
    paging: Paging,
    *,
    key: ColumnElement[Any],
    orders: Mapping[str, ColumnElement[Any]],
    default: str,
) -> Page:
    """Run `statement`, which has no order yet, for one page.

    `key` is unique and breaks ties; `orders` are the columns a list can be sorted by; `default` is the list's own order, such as
    `-created_at`. Rows carry `page_at` and `page_key` besides their own columns. Raises CursorUnknown, and MalformedRequest for
    an order that the list does not have.
    """
    sort = paging.sort or default
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    column = orders.get(name)
    if column is None:
        raise MalformedRequest("This list is not sorted that way. Choose one of its headings.", orders=sorted(orders))
    by_key = key.desc() if descending else key.asc()
    order = column.desc() if descending else column.asc()
    if _may_be_null(column):
        order = order.nulls_last()
    paged = statement.add_columns(column.label("page_at"), key.label("page_key")).order_by(order, by_key)
    if paging.cursor is not None:
        paged = paged.where(_after(paging.cursor, sort, default, column, key))
    rows = session.execute(paged.limit(paging.limit + 1)).all()
    shown = rows[: paging.limit]
    more = len(rows) > paging.limit
    total = None
    if paging.count:
        total = len(rows) if paging.cursor is None and not more else _count(session, statement)
    prefix = "" if sort == default else f"{sort}!"
    mark = "" if column is key else f"{_text_of(shown[-1].page_at)}~" if more else ""
    return Page(shown, f"{prefix}{mark}{shown[-1].page_key}" if more else None, total)


def _count(session: Session, statement: "Select[Any]") -> int:
    some = statement.with_only_columns(literal_column("1"), maintain_column_froms=True).limit(COUNTED + 1).subquery()
    return int(session.execute(select(func.count()).select_from(some)).scalar_one())


def _may_be_null(column: ColumnElement[Any]) -> bool:
    return bool(getattr(column, "nullable", True))


def _text_of(value: Any) -> str:
    if isinstance(value, datetime):
        return str((value - _EPOCH) // timedelta(microseconds=1))
    return "" if value is None else quote(str(value), safe="")


def _after(cursor: str, sort: str, default: str, column: ColumnElement[Any], key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for the rows behind `cursor`, which is `order!value~key`, without the parts that go without saying."""
    rest = cursor if sort == default else cursor.removeprefix(f"{sort}!")
    text, tilde, last = rest.rpartition("~")
    descending, bare = sort.startswith("-"), column is key
    try:
        if (sort != default and rest == cursor) or bool(tilde) is bare or len(last) > LONGEST_KEY:
            raise ValueError
        name = _value_of(key, last)
        if bare:
            return key < name if descending else key > name
        if not text and _may_be_null(column):
            return and_(column.is_(None), key < name if descending else key > name)
        mark = _value_of(column, unquote(text))
    except (ValueError, OverflowError):
        raise CursorUnknown("This is no next page of this list in this order. Begin at its first page.") from None
    further = tuple_(column, key) < tuple_(mark, name) if descending else tuple_(column, key) > tuple_(mark, name)
    return or_(further, column.is_(None)) if _may_be_null(column) else further


def _value_of(column: ColumnElement[Any], text: str) -> ColumnElement[Any]:
    kind = column.type.python_type
    value: Any = _EPOCH + timedelta(microseconds=int(text)) if kind is datetime else kind(text)
    if kind is int and not -(2**63) <= value < 2**63:
        raise ValueError
    return literal(value, column.type)
