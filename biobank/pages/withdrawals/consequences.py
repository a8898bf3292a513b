"""Looking back from a reaction or event, and forward from a lot or an entry of the registers, as pages to print."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.foundation.terms import words
from biobank.pages.quality.dispositions import REACHED, reached_row
from biobank.pages.ui.addresses import DeviationCode, EntryKey, LotCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality.schemas import ReachedSpecimen
from biobank.withdrawals import consequences
from biobank.withdrawals.consequences import Consequences

router = APIRouter(include_in_schema=False)

ENTRIES = [
    Column("entry", "Entry", "code"),
    Column("others", "Other units", "number"),
    Column("given", "Of them given", "number"),
]
ADVERSE = [
    Column("deviation", "Deviation", "code"),
    Column("kind", "What", "words"),
    Column("seriousness", "Seriousness", "words"),
    Column("causality", "Cause in the material", "words"),
    Column("withdrawal", "Withdrawal", "code"),
    Column("known_at", "Known since", "when"),
]
OUTCOMES = [
    Column("specimen", "Unit given", "code"),
    Column("withdrawal", "Withdrawal", "code"),
    Column("results", "Outcome"),
    Column("measured", "Measured", "number"),
    Column("not_done", "Not done", "number"),
]


def _rows(units: Iterable[ReachedSpecimen]) -> list[Mapping[str, Any]]:
    return [reached_row(one.model_dump()) for one in units]


@router.get("/adverse-events/{code}/look-back")
async def show_event_reach(request: Request, code: DeviationCode, reading: PageReading) -> Response:
    """Draw what the cause of an adverse event can lie in, and what that can have reached."""
    reach = await reading(consequences.event_reach, code)
    entries = [{"entry": one.entry, "others": one.others, "given": len(one.given)} for one in reach.entries]
    others = {unit.specimen: unit for one in reach.entries for unit in one.given}
    return render(
        request,
        "dossier.html",
        kind="Look-back of an adverse event",
        code=code,
        trail=[("Adverse events", "/adverse-events"), (code, f"/adverse-events/{code}"), ("Look back", None)],
        facts=[
            ("Units", ", ".join(reach.units) or "none"),
            ("Made of", ", ".join(reach.made_of) or "nothing on record"),
            ("Lots", ", ".join(reach.lots) or "none"),
            ("People who handled them", ", ".join(reach.people) or "none"),
        ],
        acts=[],
        tables=[
            ("Siblings", REACHED, _rows(reach.siblings), "No siblings", ""),
            ("Reagents, media and equipment", ENTRIES, entries, "None on record", ""),
            ("Other recipients of what they touched", REACHED, _rows(others.values()), "Nobody", ""),
        ],
    )


def _draw(request: Request, found: Consequences, trail: list[tuple[str, str | None]]) -> Response:
    outcomes = [one.model_dump() | {"results": ", ".join(words(said) for said in one.results)} for one in found.outcomes]
    return render(
        request,
        "dossier.html",
        kind="What was seen afterwards",
        code=found.cause,
        trail=trail,
        facts=[
            ("Cause", code_markup(found.cause)),
            ("Units reached", found.units),
            ("Of them given", len(found.given)),
            ("Reactions and events", len(found.adverse)),
        ],
        acts=[],
        tables=[
            ("Reactions and events", ADVERSE, [one.model_dump() for one in found.adverse], "None known", ""),
            ("Outcomes", OUTCOMES, outcomes, "Nothing of it was given", ""),
            ("Units given", REACHED, _rows(found.given), "Nothing of it was given", ""),
        ],
        note="What was seen after a giving says nothing about what the cells do.",
    )


@router.get("/lots/{code}/consequences")
async def show_consequences_of_lot(request: Request, code: LotCode, reading: PageReading) -> Response:
    """Draw every reaction, event and outcome of what a lot reached."""
    found = await reading(consequences.consequences_of_lot, code)
    return _draw(request, found, [("Lots", "/lots"), (code, f"/lots/{code}"), ("Seen afterwards", None)])


@router.get("/registers/{code}/consequences")
async def show_consequences_of_entry(request: Request, code: EntryKey, reading: PageReading) -> Response:
    """Draw every reaction, event and outcome of what an entry of the registers touched."""
    found = await reading(consequences.consequences_of_entry, code)
    return _draw(request, found, [("Registers", "/registers"), (code, f"/registers/{code}"), ("Seen afterwards", None)])
