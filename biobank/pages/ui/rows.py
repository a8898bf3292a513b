"""Rows of a form that repeat: containers of a harvest, inputs and outputs of a run.

The field `amount` of the third row of `outputs` is `amount-outputs-2`. A row nobody wrote into does not count, so a page may draw
as many as it likes, and its button for more rows draws the form again without recording anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from biobank.pages.ui.forms import Field, FormFault, Rows
from biobank.pages.ui.posted import Form

T = TypeVar("T")

MOST_ROWS = 100
ROWS_ADDED = 4


def wants_rows(form: Form) -> bool:
    """Say whether the form was sent for more rows only."""
    return "add" in form


def row_of(form: Form, part: str, number: int) -> Form:
    """Return the fields of one row, counted from 0, under their plain names."""
    end = f"-{part}-{number}"
    return Form([(name.removesuffix(end), value) for name, value in form.pairs if name.endswith(end)], form, end)


def count_rows(form: Form, part: str, at_least: int) -> int:
    """Return how many rows `part` has now: those it was drawn with, and more when they were asked for; at most MOST_ROWS."""
    text = form.get(f"rows-{part}", "")
    drawn = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    more = ROWS_ADDED if form.get("add") == part else 0
    return min(max(drawn, at_least) + more, MOST_ROWS)


def draw_rows(
    part: str,
    legend: str,
    each: str,
    fields: Callable[[Form | dict[str, str]], Sequence[Field]],
    typed: Form | None,
    *,
    at_least: int,
    given: Sequence[dict[str, str]] = (),
    hint: str | None = None,
) -> Rows:
    """Draw the rows of `part`: as they were typed, or with what is known (`given`), one mapping a row, and empty ones."""
    if typed is None:
        known: list[Form | dict[str, str]] = [*given, *({} for _ in range(at_least - len(given)))]
    else:
        known = [row_of(typed, part, number) for number in range(count_rows(typed, part, at_least))]
    rows = [[_in_row(field, part, number) for field in fields(one)] for number, one in enumerate(known)]
    return Rows(part, legend, each, rows, hint)


def _in_row(field: Field, part: str, number: int) -> Field:
    # No row must be filled: what a filled row needs is said when it is sent.
    return replace(field, name=f"{field.name}-{part}-{number}", required=False)


def parse_rows(
    form: Form, part: str, filled_by: Sequence[str], build: Callable[[Form], T], *, drawn: Sequence[str] = (), needed: bool = True
) -> list[T]:
    """Build one thing of each row in which a field of `filled_by` is filled; `drawn` are fields that a row has filled beforehand.

    Raises FormFault with the faults of every row under the names that the row's inputs have, or where at least one is `needed`.
    """
    built: list[T] = []
    errors: dict[str, str] = {}
    left: list[Form] = []
    known = {*filled_by, *drawn}
    for number in range(count_rows(form, part, 0)):
        row = row_of(form, part, number)
        row.know(*filled_by)
        if not any(name in row for name in filled_by):
            left.append(row)
            continue
        try:
            built.append(build(row))
        except FormFault as fault:
            errors |= {
                f"{name or filled_by[0]}-{part}-{number}": f"Row {number + 1}: {text}" for name, text in fault.fields.items()
            }
        known |= form.asked_with(f"-{part}-{number}")
    for row in left:
        row.know(*known)
    if errors:
        raise FormFault(errors)
    if needed and not built:
        raise FormFault({part: "Fill in at least one row."})
    return built
