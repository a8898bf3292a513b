"""A source: the rows of which resources of a type are made, who may read them, and what they can be searched by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, false, or_

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, Scope
from biobank.foundation.errors import MalformedRequest
from biobank.interchange.fhir.saying import Resource, Saying

Condition = Callable[[str], ColumnElement[bool]]
"""What one value of a search parameter asks of a row."""

_COMPARING: Final = ("ge", "gt", "le", "lt", "eq")


@dataclass(frozen=True)
class Source:
    """Rows that become resources of one type.

    - `name`: what their ids begin with, where a type has several sources;
    - `permissions`: one of them is needed at a place;
    - `rows`: the rows the actor may know of;
    - `key`: unique, and the order; `at`: a column that comes before it in the order;
    - `donor`: the column that says whose they are;
    - `has_id`: which row has an id (without `name`); filters: search parameter → condition.
    """

    permissions: tuple[Permission, ...]
    rows: Callable[[Actor], "Select[Any]"]
    key: ColumnElement[Any]
    build: Callable[[Saying, "Row[Any]"], Resource]
    has_id: Condition
    name: str = ""
    at: ColumnElement[Any] | None = None
    donor: ColumnElement[Any] | None = None
    filters: Mapping[str, Condition] = field(default_factory=dict)

    def scope(self, actor: Actor) -> Scope:
        """Return where the actor may read it."""
        return actor.scope(*self.permissions)

    def ensure(self, actor: Actor) -> None:
        """Raise NotPermitted for who may read it nowhere."""
        if not self.scope(actor):
            actor.require(self.permissions[0], at=ANYWHERE)

    @property
    def parameters(self) -> frozenset[str]:
        """What it can be searched by."""
        return frozenset({"_id", *self.filters, *(("patient", "subject") if self.donor is not None else ())})

    def matching(self, asked: Mapping[str, list[str]]) -> list[ColumnElement[bool]]:
        """Return the conditions of a search; commas within a value mean "or", several values "and"."""
        return [
            or_(false(), *(self._condition(name)(one) for one in value.split(",") if one))
            for name, values in asked.items()
            for value in values
        ]

    def _condition(self, name: str) -> Condition:
        if name == "_id":
            return lambda text: self.by_id(text)
        if name in ("patient", "subject") and name not in self.filters:
            assert self.donor is not None
            return referring(self.donor, "Patient")
        return self.filters[name]

    def by_id(self, identity: str) -> ColumnElement[bool]:
        """Return which row has this id; none for an id of another source."""
        if not self.name:
            return self.has_id(identity)
        start = f"{self.name}-"
        return self.has_id(identity.removeprefix(start)) if identity.startswith(start) else false()


def equal(column: ColumnElement[Any]) -> Condition:
    """A row whose column has this text; of a token `system|code`, the code."""
    return lambda text: column == text.rpartition("|")[2]


def holds(column: ColumnElement[Any]) -> Condition:
    """A row whose column is this UUID."""

    def condition(text: str) -> ColumnElement[bool]:
        try:
            return column == UUID(text)
        except ValueError:
            return false()

    return condition


def referring(column: ColumnElement[Any], kind: str) -> Condition:
    """A row whose column is what a reference names: `Patient/DN-…` or the id alone."""

    def condition(text: str) -> ColumnElement[bool]:
        named, slash, code = text.rpartition("/")
        return false() if slash and named != kind else column == code

    return condition


def dated(column: ColumnElement[Any]) -> Condition:
    """A row whose instant lies as `ge2026-01-31`, `lt2026-01-31T12:00:00Z` or `2026-01-31` says. A day is a day of UTC."""

    def condition(text: str) -> ColumnElement[bool]:
        how, rest = (text[:2], text[2:]) if text[:2] in _COMPARING else ("eq", text)
        try:
            if "T" in rest:
                begins = datetime.fromisoformat(rest)
                ends = begins + (timedelta(microseconds=1) if "." in rest else timedelta(seconds=1))
            else:
                day = date.fromisoformat(rest)
                begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
                ends = begins + timedelta(days=1)
            if begins.tzinfo is None:
                raise ValueError
        except (ValueError, OverflowError):
            raise MalformedRequest(
                "Send a date such as 2026-01-31, or an instant with its zone such as 2026-01-31T12:00:00Z, with ge, gt, le or lt "
                "in front where it is a bound."
            ) from None
        bounds: dict[str, ColumnElement[bool]] = {
            "ge": column >= begins,
            "gt": column >= ends,
            "le": column < ends,
            "lt": column < begins,
            "eq": and_(column >= begins, column < ends),
        }
        return bounds[how]

    return condition
