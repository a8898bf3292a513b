"""A list page, declared once: what it reads, its columns, filters and orders, what may be done with the rows that are ticked.

`Listing(…).on(router)` makes the GET of its address. Everything that a reader chose stands in the address, so that a view can be
kept as a bookmark or sent to a colleague:

| in the address | is |
|---|---|
| the name of a filter | its value |
| `sort` | an order of the list, `-` in front for the other way |
| `col`, repeated | the columns to show, instead of the usual ones |
| `cursor` | where the page begins |
| `as` | `csv` or `xlsx`: what is shown, from its first row to at most MOST_EXPORTED, as a file |
| `act` and `row`, repeated | lead to the page of that act with these rows |

What somebody chose is kept as a view under a name that follows from it, for its owner or for the people of a site; the view is
that address and nothing else (`exports/saved_views.py`).

Any other name is refused: a filter that nobody knows would show another list than was asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session
from starlette.datastructures import QueryParams

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.exports.saved_views import View, views_of
from biobank.foundation.clock import now
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.paging import COUNTED, Listed, Paging
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PageReading, asks, see
from biobank.pages.ui.spreadsheets import as_csv, as_xlsx
from biobank.pages.ui.templating import render

SHOWN = 50
READ_AT_ONCE = 500
MOST_EXPORTED = 10_000
OWN_PARAMETERS = ("sort", "col", "cursor", "as", "act", "row")
ALL = "all"
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What a filter with a usual value is when nothing is left out."""
LONGEST_VALUE = 80
FORMATS: Mapping[str, Callable[..., Response]] = {"csv": as_csv, "xlsx": as_xlsx}


def _is_code(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum()


@dataclass(frozen=True)
class Filter:
    """A filter: `code` is text in capitals; `choice` is one of `options`; `usual` stands for it when the address is silent."""

    name: str
    label: str
    kind: Literal["text", "code", "choice", "day"] = "text"
    options: Sequence[tuple[str, str]] = ()
    usual: str = ""

    def read(self, text: str | None) -> str:
        """Return the value, or raise MalformedRequest with a sentence."""
        value = self.usual if text is None else text.strip()
        if self.usual and not value:
            value = ALL
        if self.kind == "code":
            value = value.upper()
        if value and not self._takes(value):
            raise MalformedRequest(f"{self.label} cannot be what the address says. Choose it again under “Filter”.")
        return value

    def _takes(self, value: str) -> bool:
        if self.kind == "choice":
            return value == ALL or value in dict(self.options)
        return len(value) <= LONGEST_VALUE and (
            _is_code(value) if self.kind == "code" else value.isascii() and value.isprintable()
        )


def read_filters(filters: Sequence[Filter], query: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every filter as an address says it; raise MalformedRequest."""
    return {one.name: one.read(query.get(one.name)) for one in filters}


@dataclass(frozen=True)
class RowsAct:
    """Something to do with the rows that are ticked: `address` leads to the page that does it, with their keys."""

    name: str
    label: str
    icon: str
    address: Callable[[Sequence[str]], str]
    needs: Permission
    most: int = SHOWN


@dataclass(frozen=True)
class Link:
    """A button at the head of a list, for whoever holds `needs`, or one of them, somewhere or everywhere."""

    label: str
    href: str
    icon: str
    needs: Permission | tuple[Permission, ...] | None = None
    main: bool = False
    everywhere: bool = False

    def is_for(self, actor: Actor) -> bool:
        """Say whether the actor may use it."""
        at = EVERYWHERE if self.everywhere else ANYWHERE
        one_of = self.needs if isinstance(self.needs, tuple) else (self.needs,)
        return any(one is None or actor.may(one, at=at) for one in one_of)


@dataclass(frozen=True)
class Wanted:
    """What the address asks for. `of` holds the filters by name, None for those without a value."""

    of: Mapping[str, str | None]
    paging: Paging
    zone: ZoneInfo
    bank: Bank

    def since(self, name: str) -> datetime:
        """Return when the days that a filter names began; where it was taken away, before anything was kept."""
        days = self.of[name]
        return BEGINNING if days is None else now() - timedelta(days=int(days))


@dataclass(frozen=True)
class KeptView:
    """A kept view as the template draws it; `here`: it is what the page shows."""

    id: UUID
    title: str
    href: str
    site: str | None
    mine: bool
    here: bool


@dataclass(frozen=True)
class Drawn:
    """A list as the template draws it."""

    title: str
    address: str
    key: str
    named: str
    columns: Sequence[Column]
    every: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    next: str | None
    total: int | None
    filters: Sequence[tuple[Filter, str]]
    acts: Sequence[RowsAct]
    quick: Sequence[tuple[str, str, bool]]
    sort: str
    empty: str
    hint: str
    dense: bool
    files: bool
    views: Sequence[KeptView]
    keeps: Mapping[str, str]
    sites: Sequence[tuple[str, str]]
    counted: int = COUNTED

    @property
    def asked(self) -> dict[str, str]:
        """The filters that have a value, as they stand in the address."""
        return {one.name: value for one, value in self.filters if value not in ("", ALL)}

    @property
    def chosen(self) -> list[tuple[Filter, str]]:
        """The filters that have a value, each with how it is written."""
        return [(one, dict(one.options).get(value, value)) for one, value in self.filters if value not in ("", ALL)]


@dataclass(frozen=True)
class Listing:
    """One list. `read(session, actor, asked)` answers one page of it; `row` turns an item into the cells of its columns.

    `key` is the cell by which an address names a row, `named` the one by which a person does, where that is another;
    `default` is the list's own order as its query says it;
    `quick` are views that many ask for; `files` are made of what is shown, except of a list whose copies are taken by a use case;
    `shown` rows make a page, so few that it is not heavy;
    `whole`: `read` answers every row at once, in the list's own order, and the list sorts what its cells say;
    `check` raises for filters that cannot be asked; `template` may extend `listing.html` and `more` reads what it draws besides.
    """

    address: str
    title: str
    lead: str
    columns: Sequence[Column]
    read: Callable[[Session, Actor, Wanted], Listed[Any]]
    default: str
    key: str = "code"
    named: str = ""
    row: Callable[[Any], Mapping[str, Any]] = lambda item: item.model_dump()
    filters: Sequence[Filter] = ()
    acts: Sequence[RowsAct] = ()
    links: Sequence[Link] = ()
    quick: Sequence[tuple[str, Mapping[str, str]]] = ()
    empty: str = "Nothing here"
    hint: str = "Nothing matches. Take a filter away."
    dense: bool = False
    shown: int = SHOWN
    files: bool = True
    whole: bool = False
    check: Callable[[Mapping[str, str]], object] = lambda _asked: None
    template: str = "listing.html"
    more: Callable[[Session, Actor], Mapping[str, Any]] = field(default=lambda _session, _actor: {})

    @property
    def parameters(self) -> tuple[str, ...]:
        """What its address may say."""
        return (*OWN_PARAMETERS, *(one.name for one in self.filters))

    def on(self, router: APIRouter) -> None:
        """Answer GET at the list's address."""

        async def show(request: Request, reading: PageReading) -> Response:
            return await self.answer(request, reading)

        show.__doc__ = f"{self.title}: the list."
        LISTINGS[self.address] = self
        asks(show, self.parameters, set(self.parameters) - {"col", "row"})
        router.add_api_route(self.address, show, methods=["GET"], name=f"list {self.address}")

    async def answer(self, request: Request, reading: PageReading, **context: Any) -> Response:
        """Draw the list, send it as a file, or lead to the act on its ticked rows; `context` goes to the template."""
        query = request.query_params
        actor: Actor = request.state.actor
        if "act" in query:
            return see(self._address_of(actor, query["act"], query.getlist("row")))
        given = read_filters(self.filters, query)
        paging = Paging(query.get("cursor") or None, self.shown, query.get("sort") or None, count=True)
        asked = Wanted(
            {name: None if value in ("", ALL) else value for name, value in given.items()},
            paging,
            request.state.zone,
            reading.bank,
        )
        columns = self._columns(query.getlist("col"))
        if (file := query.get("as")) is not None:
            if file not in FORMATS or not self.files:
                raise MalformedRequest("A list is sent as CSV or as an Excel workbook.")
            rows, every = await self._every_row(reading, asked)
            return FORMATS[file](self.address, columns, rows, request.state.zone, every)

        def whole(session: Session, reader: Actor) -> tuple[Listed[Any], list[View], Mapping[str, Any]]:
            return self.read(session, reader, asked), views_of(session, reader, self.address), self.more(session, reader)

        found, views, more = await reading(whole)
        chosen = self.chosen(query)
        return render(
            request,
            self.template,
            list=Drawn(
                self.title,
                self.address,
                self.key,
                self.named or self.key,
                columns,
                self.columns,
                self._rows_of(found, paging.sort),
                found.next,
                found.total,
                [(one, given[one.name]) for one in self.filters],
                [one for one in self.acts if actor.may(one.needs, at=ANYWHERE)],
                self._quick(given),
                paging.sort or self.default,
                self.empty,
                self.hint,
                self.dense,
                self.files,
                [self._drawn(one, chosen) for one in views],
                chosen,
                [(site, f"Whoever works at {site}") for site in sorted(actor.scope(*Permission).sites)],
            ),
            lead=self.lead,
            links=[
                ActionLink(one.label, one.href, one.icon, "get", "main" if one.main else "plain")
                for one in self.links
                if one.is_for(actor)
            ],
            **more,
            **context,
        )

    def chosen(self, given: "Mapping[str, str] | QueryParams | Form") -> dict[str, str]:
        """Return what is chosen in an address or a form, as a view keeps it: filters, order, columns in one text.

        Raises MalformedRequest for what this list cannot show.
        """
        of = {one.name: one.read(given.get(one.name)) for one in self.filters if given.get(one.name) is not None}
        found = {name: value for name, value in of.items() if value}
        self.check({name: value for name, value in found.items() if value != ALL})
        if sort := given.get("sort"):
            if sort.removeprefix("-") not in {one.sort for one in self.columns if one.sort}:
                raise MalformedRequest("This list is not sorted that way.")
            found["sort"] = sort
        columns = [one for text in _every(given, "col") for one in text.split()]
        if names := [one.key for one in self.columns if one.key in columns]:
            found["col"] = " ".join(names)
        return found

    def address_of(self, query: Mapping[str, str]) -> str:
        """Return the address of a view."""
        pairs = [pair for name, value in query.items() for pair in _pairs(name, value)]
        return f"{self.address}?{urlencode(pairs)}" if pairs else self.address

    def title_of(self, query: Mapping[str, str]) -> str:
        """Return what a view is called, from what it asks for."""
        labels = {one.name: dict(one.options) for one in self.filters}
        parts = [labels[name].get(value, value) for name, value in query.items() if name in labels and value != ALL]
        if "sort" in query:
            column = next(one for one in self.columns if one.sort == query["sort"].removeprefix("-"))
            parts.append(f"by {column.label.lower()}" + (", last first" if query["sort"].startswith("-") else ""))
        if "col" in query:
            parts.append(f"{len(query['col'].split())} columns")
        return " · ".join(parts) or "Everything"

    def _rows_of(self, found: Listed[Any], sort: str | None) -> list[Mapping[str, Any]]:
        rows = [self.row(one) for one in found.items]
        if not self.whole or sort is None:
            return rows
        column = next((one for one in self.columns if one.sort == sort.removeprefix("-")), None)
        if column is None:
            raise MalformedRequest("This list is not sorted that way. Choose one of its headings.")
        said = [row for row in rows if row[column.key] is not None]
        said.sort(key=lambda row: _to_sort(row[column.key]), reverse=sort.startswith("-"))
        return [*said, *(row for row in rows if row[column.key] is None)]

    def _drawn(self, view: View, shown: Mapping[str, str]) -> KeptView:
        try:
            query = self.chosen(view.query)
        except MalformedRequest:  # the list has changed since it was kept
            query = {}
        return KeptView(view.id, self.title_of(query), self.address_of(query), view.site, view.mine, query == shown)

    def _columns(self, names: Sequence[str]) -> Sequence[Column]:
        wanted = [one for one in self.columns if one.key in names]
        return wanted or [one for one in self.columns if one.usual]

    def _quick(self, given: Mapping[str, str]) -> list[tuple[str, str, bool]]:
        """Return the views; one is chosen when its filters are those in force, whatever the order."""
        names, now = set(given), {name: value for name, value in given.items() if value not in ("", ALL)}
        return [
            (label, f"{self.address}?{urlencode(query)}", {n: v for n, v in query.items() if n in names and v != ALL} == now)
            for label, query in self.quick
        ]

    def _address_of(self, actor: Actor, name: str, rows: Sequence[str]) -> str:
        act = next((one for one in self.acts if one.name == name), None)
        if act is None:
            raise MalformedRequest("This list has no such act. Go back and choose again.")
        actor.require(act.needs, at=ANYWHERE)
        keys = [row for row in dict.fromkeys(rows) if _is_code(row) and len(row) <= 40]
        if not 0 < len(keys) <= act.most:
            raise MalformedRequest(f"Tick 1 to {act.most} rows, then choose “{act.label}”.")
        return act.address(keys)

    async def _every_row(self, reading: PageReading, asked: Wanted) -> tuple[list[Mapping[str, Any]], bool]:
        rows: list[Mapping[str, Any]] = []
        cursor: str | None = None
        while len(rows) < MOST_EXPORTED:
            found = await reading(self.read, replace(asked, paging=Paging(cursor, READ_AT_ONCE, asked.paging.sort)))
            rows += self._rows_of(found, asked.paging.sort)
            cursor = found.next
            if cursor is None:
                return rows, True
        return rows, False


LISTINGS: dict[str, Listing] = {}
"""Every list by its address, once its page is served."""


def _to_sort(cell: Any) -> Any:
    """Return what a cell is sorted by: a text as people look for it, everything else as it is."""
    return (cell.striptags() if isinstance(cell, Markup) else cell).casefold() if isinstance(cell, str) else cell


def _every(given: Any, name: str) -> list[str]:
    """Return every value of a name in an address, a form or a kept view."""
    if hasattr(given, "getlist"):
        return list(given.getlist(name))
    return given.values_of(name) if isinstance(given, Form) else [value for key, value in given.items() if key == name]


def _pairs(name: str, value: str) -> list[tuple[str, str]]:
    return [(name, one) for one in value.split()] if name == "col" else [(name, value)]


def spaced(address: str) -> Callable[[Sequence[str]], str]:
    """Return the address of an act that takes its codes in one parameter, a space between them: `/scan?codes=`."""
    return lambda codes: address + "+".join(codes)


def repeated(path: str, name: str) -> Callable[[Sequence[str]], str]:
    """Return the address of an act that takes each code in a parameter of its own."""
    return lambda codes: f"{path}?{urlencode([(name, code) for code in codes])}"
