"""What the page components take: small frozen records, so that a page is written against names mypy knows.

A page function builds these from the service's answer and passes them to its template, which hands them to the macro of
the same name (`ui.timeline(entries)`, `ui.box_map(grid)` …). `docs` of every macro is the style guide, `/styleguide`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from biobank.foundation.terms import Tone


@dataclass(frozen=True)
class Column:
    """A column of `ui.table`: the row's key or attribute, its heading, and how a cell is written.

    `kind`: text · code · plain_code (not linked) · when · log_time · day · chip · words · number · sentences (has room for
    some) · markup-safe values pass through `text` as they are. `sort` is the order of a list that its heading chooses; `usual`
    False leaves a column of a list to those who choose it.
    """

    key: str
    label: str
    kind: Literal["text", "code", "plain_code", "when", "log_time", "day", "chip", "words", "number", "sentences"] = "text"
    sort: str | None = None
    usual: bool = True


@dataclass(frozen=True)
class Entry:
    """One event of a timeline, with both clocks.

    `occurred_at` is when it happened, `recorded_at` when the bank learned it. `receipt_href` leads to the signed receipt,
    `correct_href` to the form that corrects it, `words_href` to what was written beside it;
    `sealed` None means that proofs do not apply. `facts` are label/value pairs. `performed_by` is shown when it is not the
    recorder; `confirmed` False says that the colleague has not confirmed with credentials of their own.
    """

    kind: str
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str
    seq: int
    performed_by: str | None = None
    confirmed: bool = True
    state_after: str | None = None
    facts: Sequence[tuple[str, Any]] = ()
    note: str | None = None
    source: str = "live"
    late: bool = False
    leaf_hash: str | None = None
    sealed: bool | None = None
    receipt_href: str | None = None
    correct_href: str | None = None
    words_href: str | None = None

    @property
    def delayed(self) -> bool:
        """True when the record is more than a minute younger than the fact: then both clocks are shown in full."""
        return abs((self.recorded_at - self.occurred_at).total_seconds()) > 60


BoxPlaceState = Literal["free", "taken", "held", "reserved", "blocked"]


@dataclass(frozen=True)
class BoxPlace:
    """A place of a box map.

    `held`: its tube is under hold; `reserved`: its tube or the place itself is promised; `blocked`: cannot take a tube.
    """

    label: str
    state: BoxPlaceState = "free"
    code: str | None = None
    href: str | None = None
    words: str | None = None


@dataclass(frozen=True)
class BoxGrid:
    """A box as one looks into it: rows A, B, … from the top, columns 1, 2, … from the left.

    `slots` by label ("A1"); a label without an entry is free. `lit` is the place looked for.
    """

    code: str
    rows: int
    columns: int
    slots: Mapping[str, BoxPlace] = field(default_factory=dict)
    lit: str | None = None

    @property
    def row_letters(self) -> list[str]:
        """A … Z, AA …: as many as there are rows."""
        return [_letters(index) for index in range(self.rows)]

    def slot(self, letter: str, number: int) -> BoxPlace:
        """Return the place in row `letter` and column `number`, free when nothing is known of it."""
        label = f"{letter}{number}"
        return self.slots.get(label) or BoxPlace(label)

    @property
    def lit_row(self) -> str | None:
        """The letters of the place looked for."""
        return self.lit.rstrip("0123456789") if self.lit else None

    @property
    def lit_column(self) -> int | None:
        """The number of the place looked for."""
        return int(self.lit[len(self.lit_row or "") :]) if self.lit else None

    @property
    def free_count(self) -> int:
        """How many places could take a tube."""
        every = [self.slot(letter, n) for letter in self.row_letters for n in range(1, self.columns + 1)]
        return sum(slot.state == "free" for slot in every)


def _letters(index: int) -> str:
    """Return the spreadsheet name of a row: 0 → A, 25 → Z, 26 → AA."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


@dataclass(frozen=True)
class DrawnStep:
    """A step of a long act: done ones carry who and when, the waiting one says what is needed."""

    title: str
    state: Literal["done", "now", "waiting", "stopped", "skipped"]
    by: Sequence[str] = ()
    at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True)
class ActionLink:
    """Something the login may do next.

    With `fields` (hidden values) or `method="post"` it is a form of one button; otherwise a link to the page with the form.
    `refused` explains why it cannot be done now: the act is then shown as text, so that nobody wonders where it went.
    `confirm` is asked before sending.
    """

    label: str
    href: str
    icon: str = "arrow"
    method: Literal["get", "post"] = "get"
    weight: Literal["main", "plain", "grave"] = "plain"
    fields: Mapping[str, str] = field(default_factory=dict)
    confirm: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Stat:
    """A number worth a glance; `tone` and `hint` say whether and why it matters."""

    label: str
    value: str | int
    href: str | None = None
    tone: Tone = "wait"
    hint: str | None = None


@dataclass(frozen=True)
class Node:
    """A specimen in a lineage tree."""

    code: str
    title: str
    state: str
    children: Sequence["Node"] = ()
    here: bool = False


@dataclass(frozen=True)
class Flash:
    """A message carried over one redirect in the server-side session."""

    kind: Literal["ok", "note", "care", "stop"]
    title: str
    text: str = ""
