"""Specimens as rows of the tables on the pages of harvests, runs and lots."""

from collections.abc import Iterable
from typing import Any

from biobank.auth.actor import Actor
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.parts import Column
from biobank.specimens.materials import amount_text
from biobank.specimens.schemas import SpecimenSummary
from biobank.storage.queries import places_seen

SPECIMEN_COLUMNS = [
    Column("code", "Code", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
    Column("condition", "Condition", "chip"),
    Column("amount", "Amount"),
    Column("passage", "Passage", "number"),
    Column("container", "Box"),
]


def specimen_rows(items: Iterable[SpecimenSummary], reader: Actor) -> list[dict[str, Any]]:
    """Return the rows for SPECIMEN_COLUMNS. A box is a link for whoever may see the places of its site."""
    seen = places_seen(reader)
    return [
        one.model_dump()
        | {
            "amount": amount_text(one.amount, one.unit),
            "container": None if one.container is None else code_markup(one.container, link=seen.covers(one.site)),
        }
        for one in items
    ]
