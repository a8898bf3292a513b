"""Temperature and level of a place over a day, a week or a month: drawn, with the same in a table beside it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.clock import now
from biobank.monitoring.judging import Measure
from biobank.monitoring.logger_files import LoggerFileList, logger_files_of
from biobank.monitoring.series import Series, Span, series_of
from biobank.pages.monitoring.said import MEASURED, UNITS
from biobank.pages.ui.addresses import ContainerCode
from biobank.pages.ui.filters import day_and_time, quantity_text
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.storage.queries import read_container
from biobank.storage.schemas import ContainerPublic
from biobank.viability.plots import ACROSS, LEFT, line, svg, text, x_at, y_at

router = APIRouter(include_in_schema=False)

COLUMNS = [
    Column("since", "From", "when"),
    Column("until", "To", "when"),
    Column("lowest", "Lowest"),
    Column("highest", "Highest"),
    Column("count", "Readings"),
    Column("said", "What was wrong", "text"),
]
FILE_COLUMNS = [
    Column("file", "File"),
    Column("serial", "Logger"),
    Column("first_at", "From", "when"),
    Column("last_at", "To", "when"),
    Column("values", "Values"),
    Column("outside", "Outside"),
]
_LINK = Markup('<a class="code" href="/attachments/{}">{}</a>')
_PER = {"temperature_mc": 1000, "level_ppm": 10_000}
_NARROWEST = {"temperature_mc": 10_000, "level_ppm": 100_000}
"""The axis spans at least this much: a tank that trembles by a tenth of a degree is drawn as calm as it is."""


@router.get("/storage/{code}/chart")
async def show_chart(
    request: Request, code: ContainerCode, reading: PageReading, span: Annotated[Span, Query()] = "day"
) -> Response:
    """Draw what a place read, with its limits, its excursions, and the times in which nothing was read."""
    at = now()

    def query(session: Session, actor: Actor) -> tuple[ContainerPublic, list[Series], LoggerFileList]:
        found = [series_of(session, actor, code, measure, span, at) for measure in get_args(Measure)]
        shown = [
            one for one in found if one.parts or (one.measure == "temperature_mc" or one.limits.lowest_level_ppm is not None)
        ]
        return read_container(session, actor, code), shown, logger_files_of(session, actor, code)

    place, series, files = await reading.agreeing(query)
    zone = request.state.zone
    return render(
        request,
        "storage_chart.html",
        place=place,
        spans=[(one.capitalize(), f"/storage/{code}/chart?span={one}", one == span) for one in get_args(Span)],
        charts=[(MEASURED[one.measure], drawn(one, zone), list(rows_of(one))) for one in series],
        columns=COLUMNS,
        files=[one.model_dump() | {"file": _LINK.format(one.sha256, one.sha256[:16])} for one in files.items],
        file_columns=FILE_COLUMNS,
    )


def rows_of(series: Series) -> Iterator[dict[str, Any]]:
    """Yield the same as a table, oldest first: what was read in each part of the time, and the gaps."""
    parts: list[dict[str, Any]] = [
        {
            "since": part.first,
            "until": part.last,
            "lowest": quantity_text(part.lowest, UNITS[series.measure]),
            "highest": quantity_text(part.highest, UNITS[series.measure]),
            "count": str(part.count),
            "said": ", ".join(
                one.code for one in series.outside if part.last >= one.since and not (one.until and part.first > one.until)
            ),
        }
        for part in series.parts
    ]
    nothing = {"lowest": None, "highest": None, "count": "0", "said": "Nothing was read"}
    gaps = [{"since": since, "until": until} | nothing for since, until in series.gaps]
    yield from sorted([*parts, *gaps], key=lambda row: row["since"])


def drawn(series: Series, zone: ZoneInfo) -> Markup:
    """Draw a series. Limits are dashed, excursions and gaps are bands; the line breaks where nothing was read."""
    limits = _limits(series)
    values = [value for part in series.parts for value in (part.lowest, part.highest)] + limits
    low, high = min(values, default=0), max(values, default=0)
    spare = max((_NARROWEST[series.measure] - (high - low)) / 2, (high - low) * 0.08)
    low, high = low - int(spare), high + int(spare)

    def across(at: datetime) -> float:
        return x_at(min(max((at - series.since) / (series.until - series.since), 0.0), 1.0))

    def up(value: float) -> float:
        return y_at((value - low) / (high - low))

    def band(kind: str, since: datetime, until: datetime) -> Markup:
        width = max(across(until) - across(since), 2)
        return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            kind, across(since), y_at(1), round(width, 1), round(y_at(0) - y_at(1), 1)
        )

    parts: list[Markup] = [band("plot-gap", since, until) for since, until in series.gaps]
    parts += [band("plot-outside", one.since, one.until or series.until) for one in series.outside]
    parts += [line("plot-alarm", x_at(0), up(limit), x_at(1), up(limit)) for limit in limits]
    broken = {end for _since, end in series.gaps}
    run: list[str] = []
    for part in series.parts:
        if part.first in broken and run:
            parts.append(Markup('<polyline class="plot-line" points="{}"/>').format(" ".join(run)))
            run = []
        middle = round((across(part.first) + across(part.last)) / 2, 1)
        run += [f"{middle},{up(part.highest)}", f"{middle},{up(part.lowest)}"]
        parts.append(Markup('<circle class="plot-dot" cx="{}" cy="{}" r="1.5"/>').format(middle, up(part.highest)))
    if run:
        parts.append(Markup('<polyline class="plot-line" points="{}"/>').format(" ".join(run)))
    parts += [line("plot-axis", x_at(0), y_at(0), x_at(1), y_at(0)), line("plot-axis", x_at(0), y_at(0), x_at(0), y_at(1))]
    per = _PER[series.measure]
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        parts.append(text(LEFT - 6, y_at(share) + 4, f"{value / per:.0f}".replace("-", "\N{MINUS SIGN}"), "end"))
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = series.since + share * (series.until - series.since)
        parts.append(text(LEFT + share * ACROSS, y_at(0) + 18, day_and_time(at, zone), anchor))
    unit = "°C" if series.measure == "temperature_mc" else "% full"
    title = (
        f"{MEASURED[series.measure]} in {unit}; limits dashed. Excursions: {len(series.outside)}. "
        f"Times in which nothing was read: {len(series.gaps)}. The table says the same."
    )
    return svg(title, *parts)


def _limits(series: Series) -> list[int]:
    named = (
        (series.limits.lowest_mc, series.limits.highest_mc)
        if series.measure == "temperature_mc"
        else (series.limits.lowest_level_ppm,)
    )
    return [value for value in named if value is not None]
