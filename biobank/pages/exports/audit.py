"""An auditor's desk beside the search: near misses, gaps, copies that were taken."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.near_misses import MissCount, Span, miss_counts
from biobank.custody.queries import attempts
from biobank.custody.schemas import AttemptList, AttemptPublic
from biobank.exports.gaps import Gaps, read_gaps
from biobank.exports.past_exports import PastExport, list_exports
from biobank.exports.saved_views import title_of
from biobank.foundation import clock
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column, Stat
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Query(max_length=60, pattern=r"^[A-Za-z0-9_-]*$")]

_WHICH = [Column("stream_id", "Record", "code"), Column("seq", "#", "number"), Column("kind", "Event", "words")]
_RECORDED = [Column("recorded_at", "Recorded", "log_time"), Column("recorded_by", "Recorded by", "plain_code")]
GAP_COLUMNS = {
    "sequences": [
        Column("stream_kind", "Kind", "words"),
        _WHICH[0],
        Column("present", "Events", "number"),
        Column("last", "Last number", "number"),
    ],
    "quarantined": [Column("at", "When", "log_time"), Column("reason", "Why"), Column("leaf_hash", "Leaf hash")],
    "unconfirmed": [*_WHICH, Column("performed_by", "Hands of", "plain_code"), Column("said", "They say", "chip"), *_RECORDED],
    "late": [*_WHICH, Column("occurred_at", "Happened", "log_time"), *_RECORDED],
}


def read_near_misses(session: Session, actor: Actor, asked: Wanted) -> AttemptList:
    """Read one page of the refusals that were kept."""
    of = asked.of
    evidence = True if of["evidence"] == "yes" else None
    return attempts(session, actor, subject=of["subject"], code=of["code"], evidence=evidence, paging=asked.paging)


def row_of(one: AttemptPublic) -> Mapping[str, Any]:
    """Return the cells of one refusal."""
    return one.model_dump() | {"kept": "evidence" if one.evidence else "attempt"}


Listing(
    address="/log/near-misses",
    title="Near misses",
    key="id",
    dense=True,
    lead="What was refused: a wrong tube, a wrong place, an old view. Each refusal is kept.",
    columns=[
        Column("at", "When", "log_time", sort="id"),
        Column("actor_code", "By", "plain_code"),
        Column("subject", "About", "code"),
        Column("code", "Refusal", "words"),
        Column("kept", "Kept as", "chip"),
        Column("status", "Answer", "number", usual=False),
        Column("detail", "What was said"),
        Column("site_code", "Site", "plain_code", usual=False),
    ],
    read=read_near_misses,
    row=row_of,
    default="-id",
    filters=[
        Filter("subject", "About (a code: tube, withdrawal, donor, box)", "code"),
        Filter("code", "Refusal"),
        Filter("evidence", "Only what a person in front of the tube got wrong", "choice", [("yes", "Yes")]),
    ],
    empty="Nothing was refused",
    hint="Take a filter away, or be glad.",
).on(router)


def read_counts(session: Session, actor: Actor, asked: Wanted) -> Listed[MissCount]:
    """Count what was refused and what was set aside."""
    found = miss_counts(session, actor, asked.since("days"), Span(asked.of["each"] or "week"), asked.zone.key).items
    chosen = [one for one in found if asked.of["what"] in (None, one.what)]
    return Listed(items=chosen, total=len(chosen))


def count_row(one: MissCount) -> Mapping[str, Any]:
    """Return the cells of one count."""
    named = {
        "what": words(one.what),
        "step": ": ".join(words(part) for part in one.step.split(": ")),
        "why": words(one.why.split(".")[-1]),
    }
    return one.model_dump() | named | {"key": f"{one.begins:%Y-%m-%d} {one.site} {one.step} {one.why}"}


Listing(
    address="/log/counts",
    title="Near misses and overrides, counted",
    key="key",
    dense=True,
    lead="How often each step was refused, and how often a rule was set aside by an act that says so, by place and time.",
    columns=[
        Column("begins", "From", "log_time", sort="begins"),
        Column("what", "What", sort="what"),
        Column("step", "Step", sort="step"),
        Column("why", "Why", sort="why"),
        Column("site", "Site", "plain_code", sort="site"),
        Column("times", "Times", "number", sort="times"),
    ],
    read=read_counts,
    row=count_row,
    default="-begins",
    filters=[
        Filter(
            "days", "In the last", "choice", [("7", "Week"), ("30", "30 days"), ("90", "90 days"), ("365", "Year")], usual="90"
        ),
        Filter("each", "Counted by", "choice", [(one.value, words(one.value)) for one in Span], usual="week"),
        Filter("what", "What", "choice", [("near_miss", "Near miss"), ("override", "Override")]),
    ],
    links=[Link("Every one of them", "/log/near-misses", "log", Permission.LOG_READ)],
    empty="Nothing was refused or set aside",
    hint="Choose a longer time.",
    whole=True,
).on(router)


@router.get("/log/gaps")
async def show_gaps(request: Request, reading: PageReading, days: Annotated[int, Query(ge=1, le=3650)] = 30) -> Response:
    """Draw what is missing, unconfirmed, set aside or late."""
    gaps = await reading.agreeing(read_gaps, clock.now() - timedelta(days=days))
    return render(request, "log_gaps.html", gaps=gaps, days=days, stats=_gap_stats(gaps), shown=GAP_COLUMNS)


def _gap_stats(gaps: Gaps) -> list[Stat]:
    counted = (
        ("Streams with a gap", len(gaps.sequences)),
        ("Missing in the log's index", gaps.missing_indexes),
        ("Neither waiting nor sealed", len(gaps.unaccounted)),
        ("Set aside by the sealer", len(gaps.quarantined)),
    )
    stats = [Stat(label, n, tone="stop" if n else "good") for label, n in counted]
    stats.append(Stat("Hands not confirmed", len(gaps.unconfirmed), tone="care" if gaps.unconfirmed else "good"))
    return [*stats, Stat("Entered late", len(gaps.late), tone="care" if gaps.late else "good")]


def read_exports(session: Session, actor: Actor, _asked: Wanted) -> Listed[PastExport]:
    """Read the latest exports."""
    found = list_exports(session, actor)
    return Listed(items=found, total=len(found))


def export_row(one: PastExport) -> Mapping[str, Any]:
    """Return the cells of one export."""
    return vars(one) | {"asked": asked_by(one.filters), "sha256": None if one.sha256 is None else f"{one.sha256[:16]}…"}


Listing(
    address="/log/exports",
    title="Exports",
    lead="Who took a copy of the record, how much of it, and its hash. Starting and finishing are events of the log. "
    "A file holds what was sealed when it was begun: so many entries from the beginning of the log.",
    template="log_exports.html",
    key="id",
    dense=True,
    columns=[
        Column("started_at", "Started", "log_time", sort="started_at"),
        Column("finished_at", "Finished", "log_time", sort="finished_at"),
        Column("state", "State", "chip", sort="state"),
        Column("format", "Format", sort="format"),
        Column("asked", "Filter"),
        Column("by", "By", "plain_code", sort="by"),
        Column("log_size", "Entries of the log", "number", sort="log_size"),
        Column("rows", "Events in it", "number", sort="rows"),
        Column("size_bytes", "Bytes", "number", sort="size_bytes"),
        Column("sha256", "SHA-256"),
    ],
    read=read_exports,
    row=export_row,
    default="-started_at",
    links=[Link("Take everything as FHIR", "/log/exports/fhir", "download", Permission.LOG_EXPORT)],
    empty="No copy was taken yet",
    hint="Search the log and download what you found.",
    whole=True,
).on(router)


@router.get("/log/exports/now")
async def read_exports_mark(reading: PageReading) -> JSONResponse:
    """Say which version of the list is the present one, for a page that waits for an export to end."""
    found = await reading(list_exports)
    return JSONResponse({"mark": f"{len(found)}-{sum(one.state == 'running' for one in found)}", "stop": False})


def asked_by(filters: Mapping[str, str]) -> str:
    """Return an export's filters as a saved filter is called; instants are cut to their day."""
    named = {"since": "from", "until": "to"}
    return title_of({named.get(name, name): value[:10] if name in named else value for name, value in filters.items()})
