"""Specimens as rows of the tables on the pages of harvests, runs and lots."""

from collections.abc import Iterable
from typing import Any

from biobank.pages.ui.parts import Column
from biobank.specimens.materials import amount_text
from biobank.specimens.schemas import SpecimenSummary

SPECIMEN_COLUMNS = [
    Column("code", "Code", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
    Column("condition", "Condition", "chip"),
    Column("amount", "Amount"),
    Column("passage", "Passage", "number"),
    Column("container", "Box", "code"),
]


def specimen_rows(items: Iterable[SpecimenSummary]) -> list[dict[str, Any]]:
    """Return the rows for SPECIMEN_COLUMNS."""
    return [one.model_dump() | {"amount": amount_text(one.amount, one.unit)} for one in items]
