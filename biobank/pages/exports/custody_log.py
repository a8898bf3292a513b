"""The log as people search it, their saved filters, and as a file through the page session."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import rules
from biobank.exports.api import FileFormat, streamed
from biobank.exports.formats import FORMATS
from biobank.exports.queries import search_log
from biobank.exports.saved_filters import Kept, forget_filter, list_saved, save_filter
from biobank.exports.schemas import LogPage
from biobank.exports.selection import Selection
from biobank.foundation import clock
from biobank.foundation.terms import words
from biobank.pages.ui.forms import FormFault, drawn
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading, Visiting, claims_of
from biobank.pages.ui.templating import UTC_ZONE, render

router = APIRouter(include_in_schema=False)

SPECIMEN = re.compile(r"(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}")
SPANS = [("1", "24 hours"), ("7", "7 days"), ("30", "30 days"), ("365", "a year")]
Text = Annotated[str, Query(max_length=60)]
CODES = ("specimen", "donor", "actor", "site", "kind")

COLUMNS = [
    Column("recorded_at", "Recorded", "log_time"),
    Column("occurred_at", "Happened", "log_time"),
    Column("kind", "Event", "words"),
    Column("id", "Subject", "code"),
    Column("seq", "#", "number"),
    Column("by", "By", "plain_code"),
    Column("site", "Site", "plain_code"),
    Column("seal", "Seal", "chip"),
    Column("leaf", "Leaf hash", "plain_code"),
]


class Filters:
    """The filters as they stand in the address: days at site time, codes as typed. Days include their whole day.

    `days` counts back from now, so that a saved filter means the same tomorrow; a day given as `from` is stronger.
    """

    def __init__(
        self,
        since: Annotated[str, Query(alias="from", max_length=10)] = "",
        until: Annotated[str, Query(alias="to", max_length=10)] = "",
        days: Annotated[str, Query(max_length=4)] = "",
        specimen: Text = "",
        donor: Text = "",
        actor: Text = "",
        site: Text = "",
        kind: Text = "",
    ) -> None:
        self.typed = {
            "from": since,
            "to": until,
            "days": days,
            "specimen": specimen,
            "donor": donor,
            "actor": actor,
            "site": site,
            "kind": kind,
        }

    def selection(self, zone: ZoneInfo) -> Selection:
        """Return the selection; raise FormFault when something typed is no day or no code."""
        try:
            given: dict[str, Any] = {name: self.typed[name].strip() for name in CODES if self.typed[name].strip()}
            for name, day, later in (("since", self.typed["from"], 0), ("until", self.typed["to"], 1)):
                if day:
                    given[name] = datetime.fromisoformat(day).replace(tzinfo=zone) + timedelta(days=later)
            if self.typed["days"] and "since" not in given:
                given["since"] = clock.now() - timedelta(days=int(self.typed["days"]))
            return Selection.model_validate(given)
        except ValidationError as error:
            raise FormFault(
                {str(fault["loc"][0]): f"{words(fault['loc'][0])}: not a code." for fault in error.errors()}
            ) from None
        except (ValueError, OverflowError):
            raise FormFault({"from": "Enter days as year-month-day."}) from None

    @property
    def asked(self) -> dict[str, str]:
        """What was typed, without the empty ones."""
        return {name: value.strip() for name, value in self.typed.items() if value.strip()}


Filtered = Annotated[Filters, Depends()]


@router.get("/log")
async def show_log(
    request: Request,
    reading: PageReading,
    filters: Filtered,
    cursor: Annotated[str | None, Query(max_length=120, pattern=r"^[A-Za-z0-9_|:.-]+$")] = None,
) -> Response:
    """Search the log, newest first."""
    fault: FormFault | None = None
    selection = Selection()
    try:
        selection = filters.selection(request.state.zone)
    except FormFault as error:
        fault = error

    def query(session: Session, actor: Actor) -> tuple[LogPage, list[Kept]]:
        actor.require(Permission.LOG_READ, at=ANYWHERE)
        found = LogPage(items=[]) if fault else search_log(session, actor, selection, cursor, 50, newest=True)
        return found, list_saved(session, actor)

    found, kept = await reading(query)
    specimen = filters.asked.get("specimen", "").upper()
    rows = [
        event.model_dump(include={"recorded_at", "occurred_at", "kind", "id", "seq", "by", "site"})
        | {"seal": "sealed" if event.log_index is not None else "unsealed", "leaf": f"{event.leaf_hash[:12]}…"}
        for event in found.items
    ]
    return render(
        request,
        "log.html",
        formats=tuple(FORMATS.values()),
        rows=rows,
        columns=COLUMNS,
        next_cursor=found.next,
        typed=filters.typed,
        kinds=[(kind, f"{words(kind.partition('.')[0])}: {words(kind).lower()}") for kind in sorted(rules.by_kind)],
        may_export=request.state.actor.may(Permission.LOG_EXPORT, at=ANYWHERE),
        spans=SPANS,
        asked=filters.asked,
        saved=[(one, "/log?" + urlencode(one.query), one.query == filters.asked) for one in kept],
        specimen=specimen if SPECIMEN.fullmatch(specimen) else None,
        **drawn(fault),
    )


@router.post("/log/filters")
async def save(performing: PagePerforming) -> Response:
    """Keep the filter that stands on the page."""
    asked = {name: performing.form[name] for name in (*CODES, "from", "to", "days") if name in performing.form}
    # A filter is asked once before it is kept, so that what cannot be asked is not kept either.
    Filters(asked.get("from", ""), asked.get("to", ""), asked.get("days", ""), **{n: asked.get(n, "") for n in CODES}).selection(
        UTC_ZONE
    )
    await performing(save_filter, asked)
    return await performing.done("/log?" + urlencode(asked), "The filter is kept.")


@router.post("/log/filters/{filter_id}/forget")
async def forget(filter_id: UUID, performing: PagePerforming) -> Response:
    """Forget one of one's own filters."""
    await performing(forget_filter, filter_id)
    return await performing.done("/log", "The filter is forgotten.")


@router.get("/log/export")
async def export_log(
    request: Request,
    page: Visiting,
    reading: PageReading,
    filters: Filtered,
    file: Annotated[FileFormat, Query(alias="format")] = "csv",
) -> Response:
    """Send the log, filtered as the page was, as a file; that it was taken is an event of the log."""
    return await streamed(reading.bank, claims_of(page), file, filters.selection(request.state.zone))
