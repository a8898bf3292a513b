"""Rows of a form that repeat."""

import pytest

from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import count_rows, draw_rows, parse_rows, row_of, wants_rows
from biobank.specimens.harvest_schemas import ContainerCollected


def test_a_row_has_its_own_fields_only() -> None:
    form = Form([("amount-out-1", "1"), ("amount-out-11", "11"), ("amount-in-1", "9"), ("site", "LAB")])
    assert row_of(form, "out", 1) == {"amount": "1"}
    assert row_of(form, "out", 11) == {"amount": "11"}
    assert row_of(form, "in", 1) == {"amount": "9"}


@pytest.mark.parametrize(("said", "expected"), [("2", 4), ("6", 6), ("99999", 4), ("-1", 4), ("٣", 4), ("", 4), ("900", 100)])
def test_as_many_rows_as_were_drawn_and_never_too_many(said: str, expected: int) -> None:
    assert count_rows(Form([("rows-out", said)]), "out", 4) == expected


def test_more_rows_are_added_to_the_part_that_asked() -> None:
    form = Form([("rows-out", "2"), ("rows-in", "3"), ("add", "out")])
    assert wants_rows(form)
    assert (count_rows(form, "out", 1), count_rows(form, "in", 1)) == (6, 3)


def test_empty_rows_do_not_count_and_faults_name_their_input() -> None:
    def build(row: Form) -> str:
        if row["amount"] == "x":
            raise FormFault({"amount": "Amount: enter a number."})
        return row["amount"]

    rows = [("rows-out", "4"), ("amount-out-0", "1"), ("purpose-out-1", "qc"), ("amount-out-2", "2")]
    assert parse_rows(Form(rows), "out", ["amount"], build) == ["1", "2"]
    with pytest.raises(FormFault) as caught:
        parse_rows(Form([*rows, ("amount-out-3", "x")]), "out", ["amount"], build)
    assert caught.value.fields == {"amount-out-3": "Row 4: Amount: enter a number."}
    with pytest.raises(FormFault) as caught:
        parse_rows(Form([("rows-out", "3")]), "out", ["amount"], build)
    assert list(caught.value.fields) == ["out"]


def test_rows_are_drawn_as_typed_and_require_nothing_by_themselves() -> None:
    drawn = draw_rows(
        "out",
        "Out",
        "Row",
        lambda row: fields_of(ContainerCollected, "amount", values=row),
        Form([("rows-out", "2"), ("amount-out-1", "7")]),
        at_least=1,
    )
    assert [(row[0].name, row[0].value, row[0].required) for row in drawn.rows] == [
        ("amount-out-0", "", False),
        ("amount-out-1", "7", False),
    ]
    given = draw_rows(
        "in", "In", "Row", lambda row: [Field("s", "S", "scan", row.get("s", ""))], None, at_least=3, given=[{"s": "A"}]
    )
    assert [row[0].value for row in given.rows] == ["A", "", ""]
