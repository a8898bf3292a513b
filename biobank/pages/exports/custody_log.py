"""The log as people search it, their saved filters, and as a file through the page session."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import rules
from biobank.custody.recording import BACK_WITHOUT_REASON
from biobank.custody.schemas import EventPublic
from biobank.custody.sentences import what_happened
from biobank.exports.api import FileFormat, streamed
from biobank.exports.formats import FORMATS
from biobank.exports.queries import search_log
from biobank.exports.selection import Selection
from biobank.foundation import clock
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.paging import Listed
from biobank.foundation.terms import counted, words
from biobank.pages.ui.entries import said_of
from biobank.pages.ui.listing import Filter, Listing, Wanted, read_filters
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading, Visiting, asks, claims_of
from biobank.pages.ui.templating import UTC_ZONE
from biobank.pages.ui.typed_times import day_typed

router = APIRouter(include_in_schema=False)

SPECIMEN = re.compile(r"(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}")
CODES = ("specimen", "donor", "actor", "site", "kind", "entered")
ENTERED = [("paper", "From a paper form"), ("late", "Over 15 minutes after its time")]
KINDS = [(kind, f"{words(kind.partition('.')[0])}: {words(kind).lower()}") for kind in sorted(rules.by_kind)]
FILTERS = [
    Filter("days", "Recorded in the last", "choice", [("1", "24 hours"), ("7", "7 days"), ("30", "30 days"), ("365", "a year")]),
    Filter("from", "Recorded from", "day"),
    Filter("to", "Recorded to", "day"),
    Filter("kind", "Event", "choice", KINDS),
    Filter("entered", "Entered", "choice", ENTERED),
    Filter("specimen", "Specimen", "code"),
    Filter("donor", "Donor", "code"),
    Filter("actor", "Badge", "code"),
    Filter("site", "Site", "code"),
]


def selection_of(asked: Mapping[str, str | None], zone: ZoneInfo) -> Selection:
    """Return the part of the log that filters name; raise MalformedRequest for what is no day or no code.

    Days are of site time and include their whole day. `days` counts back from now, so that a saved filter means the same
    tomorrow; a day given as `from` is stronger.
    """
    given: dict[str, Any] = {name: asked[name] for name in CODES if asked.get(name)}
    try:
        for name, day, later in (("since", asked.get("from"), 0), ("until", asked.get("to"), 1)):
            if day:
                given[name] = datetime.combine(day_typed(str(day)), time(), zone) + timedelta(days=later)
        if asked.get("days") and "since" not in given:
            given["since"] = clock.now() - timedelta(days=int(str(asked["days"])))
        return Selection.model_validate(given)
    except ValidationError as error:
        raise MalformedRequest(
            f"{words(error.errors()[0]['loc'][0])} is no code. Scan it, or type it as it stands on the label."
        ) from None
    except (ValueError, OverflowError):
        raise MalformedRequest("Enter days such as 12 Mar 2026, with the month as a word where it can be two.") from None


def read_log(session: Session, actor: Actor, asked: Wanted) -> Listed[EventPublic]:
    """Read one page of the log, newest first unless asked otherwise."""
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    paging = asked.paging
    newest = paging.sort != "recorded_at"
    found = search_log(session, actor, selection_of(asked.of, asked.zone), paging.cursor, paging.limit, newest=newest)
    return Listed(items=found.items, next=found.next)


def _came(event: EventPublic) -> str:
    """Say how an entry came, where it was not recorded as it happened."""
    after = datetime.fromisoformat(event.recorded_at) - datetime.fromisoformat(event.occurred_at)
    late = f"{counted(int(after.total_seconds()) // 60, 'minute')} later" if after > BACK_WITHOUT_REASON else ""
    return ", ".join(filter(None, ("from paper" if event.source == "paper" else "", late)))


def row_of(event: EventPublic) -> Mapping[str, Any]:
    """Return the cells of one event."""
    return event.model_dump(include={"recorded_at", "occurred_at", "kind", "id", "seq", "by", "site"}) | {
        "came": _came(event),
        "said": " ".join(filter(None, (what_happened(event.kind), said_of(event.body)))),
        "seal": "sealed" if event.log_index is not None else "unsealed",
        "leaf": f"{event.leaf_hash[:12]}…",
    }


def beside(_session: Session, actor: Actor) -> Mapping[str, Any]:
    """Read what stands above the search: how the log may be taken away."""
    return {
        "formats": tuple(FORMATS.values()) if actor.may(Permission.LOG_EXPORT, at=ANYWHERE) else (),
        "is_specimen": SPECIMEN.fullmatch,
    }


Listing(
    address="/log",
    title="Custody log",
    lead="Every event, newest first. Nothing here was ever edited.",
    template="log.html",
    key="leaf",
    dense=True,
    shown=25,
    files=False,  # a copy of the log is an event of the log
    columns=[
        Column("recorded_at", "Recorded", "log_time", sort="recorded_at"),
        Column("occurred_at", "Happened", "log_time"),
        Column("kind", "Event", "words"),
        Column("said", "What happened", "sentences"),
        Column("came", "Entered"),
        Column("id", "Subject", "code"),
        Column("seq", "#", "number"),
        Column("by", "By", "plain_code"),
        Column("site", "Site", "plain_code"),
        Column("seal", "Seal", "chip"),
        Column("leaf", "Leaf hash", "plain_code"),
    ],
    read=read_log,
    row=row_of,
    default="-recorded_at",
    filters=FILTERS,
    quick=[("From paper", {"entered": "paper"}), ("Long after its time", {"entered": "late"})],
    more=beside,
    check=lambda asked: selection_of(asked, UTC_ZONE),
    empty="No events match",
    hint="Take a filter away.",
).on(router)


@router.get("/log/export")
async def export_log(
    request: Request, page: Visiting, reading: PageReading, file: Annotated[FileFormat, Query(alias="format")] = "csv"
) -> Response:
    """Send the log, filtered as the page was, as a file; that it was taken is an event of the log."""
    selection = selection_of(read_filters(FILTERS, request.query_params), request.state.zone)
    return await streamed(reading.bank, claims_of(page), file, selection)


asks(export_log, [one.name for one in FILTERS], [one.name for one in FILTERS])
