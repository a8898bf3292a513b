"""The rows of a table as markup, for the macro `table`: a template would pay several calls for every cell."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import UndefinedError
from markupsafe import Markup, escape

from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.pages.ui import filters
from biobank.pages.ui.code_pages import opens_for
from biobank.pages.ui.marks import chip
from biobank.pages.ui.parts import Column

_CLASSED = frozenset({"number", "text", "sentences"})
_WRITTEN = _CLASSED - {"number"}


def value_of(row: Any, key: str) -> Any:
    """Return the cell of a row, which is a mapping or an object; raise UndefinedError, as a template does for a hole."""
    try:
        # Most rows are dicts, and asking an abstract class costs ten times as much.
        return row[key] if type(row) is dict or isinstance(row, Mapping) else getattr(row, key)
    except (KeyError, AttributeError):
        raise UndefinedError(f"a row has no {key}") from None


def code_cell(actor: Actor | None, value: Any, *, link: bool) -> Markup:
    """Write a code; as a link where it has a page that the reader may open."""
    return filters.code(value, link=link and (value is None or actor is None or opens_for(actor, str(value))))


class Cells:
    """Writes the cells of one table for one reader: many of them are the same, and are written once."""

    def __init__(self, actor: Actor | None, zone: ZoneInfo) -> None:
        self._actor, self._zone = actor, zone
        self._known: dict[tuple[Any, str], str] = {}

    def write(self, value: Any, kind: str) -> str:
        """Return the markup of a cell's value."""
        if value is None:
            return "–"
        if isinstance(value, Markup):
            return value
        if kind in _WRITTEN:
            return str(escape(value))
        key = (value, kind)
        try:
            return self._known[key]
        except KeyError:
            self._known[key] = made = str(escape(self._drawn(value, kind)))
            return made
        except TypeError:  # what cannot be a key is written each time
            return str(escape(self._drawn(value, kind)))

    def _drawn(self, value: Any, kind: str) -> Any:
        match kind:
            case "code" | "plain_code":
                return code_cell(self._actor, value, link=kind == "code")
            case "when":
                return filters.when(value, self._zone)
            case "log_time":
                return filters.log_time(value, self._zone)
            case "day":
                return filters.day(value)
            case "chip":
                return chip(value)
            case "words":
                return words(value)
            case "number":
                return filters.grouped(value)
        return value


def rows_of(
    cells: Cells,
    columns: Sequence[Column],
    rows: Sequence[Any],
    choose: tuple[str, Callable[[Any], tuple[str, str]]] | None = None,
    last: tuple[str, Callable[[Any], str]] | None = None,
) -> Markup:
    """Write the rows. Roles are written out because a table drawn as cards would lose them.

    `choose`: the heading of a cell with a tick, then the tick's value and what it is called, of a row; `last`: the heading of a
    last cell and what stands in it.
    """
    heads = [
        f'<td role="cell" data-label="{escape(one.label)}"' + (f' class="{one.kind}">' if one.kind in _CLASSED else ">")
        for one in columns
    ]
    found: list[str] = []
    for row in rows:
        found.append('<tr role="row">')
        if choose is not None:
            value, called = choose[1](row)
            found.append(
                f'<td role="cell" class="tick" data-label="{escape(choose[0])}">'
                f'<input type="checkbox" name="row" value="{escape(value)}" aria-label="{escape(called)}"></td>'
            )
        for head, column in zip(heads, columns, strict=True):
            found += (head, cells.write(value_of(row, column.key), column.kind), "</td>\n")
        if last is not None:
            found.append(f'<td role="cell" data-label="{escape(last[0])}">{escape(last[1](row))}</td>')
        found.append("</tr>\n")
    return Markup("".join(found))  # noqa: S704 - every value above is escaped
