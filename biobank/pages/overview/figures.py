"""What the bank holds and how it works, in figures: each one statement over what the reader may know of, drawn with its table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlalchemy import ColumnElement, Text, case, cast, func, literal, select
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.models import custody
from biobank.custody.near_misses import NO_MISS
from biobank.custody.queries import known_attempts
from biobank.custody.states import TERMINAL, State
from biobank.foundation.clock import now
from biobank.foundation.terms import words
from biobank.monitoring.models import reading as storage_reading
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.specimens.materials import MATERIALS
from biobank.specimens.models import specimen, viability_assay
from biobank.specimens.queries import EXPIRY, whole
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.storage.models import storage_container, storage_position
from biobank.storage.queries import places_seen
from biobank.viability.plots import HEIGHT, line, svg, text, x_at, y_at
from biobank.withdrawals.case import visible as visible_withdrawals
from biobank.withdrawals.models import withdrawal

router = APIRouter(include_in_schema=False)

MONTHS: Final = 12
DAYS_READ: Final = 7
PLACES_READ: Final = 50
P = Permission


@dataclass(frozen=True)
class Figure:
    """One question with its answer: a drawing, or none where the table says it better, and the table."""

    title: str
    said: str
    columns: Sequence[Column]
    rows: Sequence[Any]
    drawn: Markup | None = None


def month_starts(first: date, count: int) -> list[date]:
    """Return the first days of `count` months, the one of `first` being the first. Pure."""
    at = first.year * 12 + first.month - 1
    return [date((at + k) // 12, (at + k) % 12 + 1, 1) for k in range(count)]


def bars(title: str, shown: Sequence[tuple[str, int]]) -> Markup | None:
    """Draw a bar for each name with its number above it; None when there is nothing to draw. Pure."""
    most = max((number for _, number in shown), default=0)
    if most == 0:
        return None
    parts = [line("plot-axis", x_at(0), y_at(0), x_at(1), y_at(0))]
    for k, (name, number) in enumerate(shown):
        left, right = x_at((k + 0.12) / len(shown)), x_at((k + 0.88) / len(shown))
        top, foot = y_at(0.9 * number / most), y_at(0)
        parts.append(
            Markup('<rect class="plot-bar" x="{}" y="{}" width="{}" height="{}"/>').format(
                left, top, round(right - left, 1), round(foot - top, 1)
            )
        )
        middle = round((left + right) / 2, 1)
        parts.append(text(middle, top - 4, f"{number}"))
        parts.append(text(middle, HEIGHT - 16, name))
    return svg(title, *parts)


def _month(at: ColumnElement[Any], zone: ZoneInfo) -> ColumnElement[str]:
    return func.to_char(func.timezone(zone.key, at), literal("YYYY-MM"), type_=Text())


def read_figures(session: Session, actor: Actor, zone: ZoneInfo) -> list[Figure]:
    """Read every figure that the actor may know."""
    at = now()
    first = at.astimezone(zone).date()
    found: list[Figure] = []
    if actor.may(P.SPECIMEN_READ, at=ANYWHERE):
        found += [_stock(session, actor), _expiries(session, actor, zone, first), _viability(session, actor, zone, first)]
    if places_seen(actor):
        found += [_capacity(session, actor), _temperature(session, actor, at)]
    if actor.may(P.WITHDRAWAL_READ, at=ANYWHERE):
        found.append(_turnaround(session, actor, zone, first))
    if actor.may(P.LOG_READ, at=ANYWHERE):
        found.append(_near_misses(session, actor, zone, first))
    return found


def _stock(session: Session, actor: Actor) -> Figure:
    living = [state.value for state in State if state not in TERMINAL]
    rows = session.execute(
        select(specimen.c.material, custody.c.state, func.count().label("n"))
        .select_from(whole())
        .where(specimens_at_sites_of(actor), custody.c.state.in_(living))
        .group_by(specimen.c.material, custody.c.state)
        .order_by(specimen.c.material, custody.c.state)
    ).all()
    states = [state for state in living if any(row.state == state for row in rows)]
    table = [
        {"material": MATERIALS[name].title, "all": sum(row.n for row in rows if row.material == name)}
        | {state: sum(row.n for row in rows if row.material == name and row.state == state) for state in states}
        for name in dict.fromkeys(row.material for row in rows)
    ]
    columns = [Column("material", "Material"), *(Column(state, words(state), "number") for state in states)]
    names = dict.fromkeys(row.material for row in rows)
    drawn = bars("Specimens by material", [(words(name), one["all"]) for name, one in zip(names, table, strict=True)])
    said = "Specimens that are not used up or gone, by material and state."
    return Figure("Stock", said, [*columns, Column("all", "Together", "number")], table, drawn)


def _expiries(session: Session, actor: Actor, zone: ZoneInfo, first: date) -> Figure:
    months = [f"{day:%Y-%m}" for day in month_starts(first, MONTHS)]
    start = datetime.combine(month_starts(first, 1)[0], time(), zone)
    end = datetime.combine(month_starts(first, MONTHS + 1)[-1], time(), zone)
    month = _month(EXPIRY, zone).label("month")
    rows = session.execute(
        select(month, func.count().label("n"))
        .select_from(whole())
        .where(
            specimens_at_sites_of(actor),
            custody.c.state.not_in([state.value for state in TERMINAL]),
            start <= EXPIRY,
            end > EXPIRY,
        )
        .group_by(month)
    )
    counted = {row.month: row.n for row in rows}
    table = [{"month": one, "count": counted.get(one, 0)} for one in months] if counted else []
    drawn = bars("Specimens that expire, by month", [(one[2:].replace("-", "/"), counted.get(one, 0)) for one in months])
    said = "Specimens whose last day comes in the next twelve months."
    return Figure("Expiries by month", said, [Column("month", "Month"), Column("count", "Specimens", "number")], table, drawn)


def _viability(session: Session, actor: Actor, zone: ZoneInfo, first: date) -> Figure:
    month = _month(viability_assay.c.measured_at, zone).label("month")
    share = 100.0 * viability_assay.c.live / func.nullif(viability_assay.c.live + viability_assay.c.dead, 0)
    since = datetime.combine(first.replace(day=1, year=first.year - 1), time(), zone)
    rows = session.execute(
        select(
            month,
            specimen.c.material,
            func.count().label("n"),
            func.percentile_cont(0.5).within_group(share).label("usual"),
            func.min(share).label("lowest"),
        )
        .select_from(viability_assay.join(whole(), custody.c.code == viability_assay.c.specimen_code))
        .where(specimens_at_sites_of(actor), viability_assay.c.measured_at >= since)
        .group_by(month, specimen.c.material)
        .order_by(month, specimen.c.material)
    ).all()
    table = [
        {
            "month": row.month,
            "material": MATERIALS[row.material].title,
            "counts": row.n,
            "usual": f"{row.usual:.0f} %",
            "lowest": f"{row.lowest:.0f} %",
        }
        for row in rows
        if row.usual is not None
    ]
    columns = [Column("month", "Month"), Column("material", "Material"), Column("counts", "Counts", "number")]
    columns += [Column("usual", "Middle of the counts"), Column("lowest", "Lowest")]
    newest = [row for row in rows if row.usual is not None][-MONTHS:]
    drawn = bars("Living, percent, by month", [(f"{row.month[2:].replace('-', '/')}", round(row.usual)) for row in newest])
    said = "What counts of living and dead found, by month and material. Membrane integrity is not potency."
    return Figure("Viability", said, columns, table, drawn)


def _temperature(session: Session, actor: Actor, at: datetime) -> Figure:
    """What was read in the last week, by place; a reading that was withdrawn counts for nothing."""
    box, read = storage_container.c, storage_reading.c
    rows = session.execute(
        select(
            box.code,
            box.name,
            func.count().label("n"),
            func.min(read.value).label("coldest"),
            func.max(read.value).label("warmest"),
            func.max(read.at).label("last"),
        )
        .select_from(storage_reading.join(storage_container, box.code == read.container_code))
        .where(
            *(read.kind == "temperature_mc", read.withdrawn_at.is_(None), read.at > at - timedelta(days=DAYS_READ)),
            *(places_seen(actor).of(box.site_code), box.active),
        )
        .group_by(box.code, box.name)
        .order_by(func.max(read.value).desc(), box.code)
        .limit(PLACES_READ)
    )
    table = [
        {
            "place": code_markup(row.code),
            "name": row.name,
            "readings": row.n,
            "coldest": quantity(row.coldest, "millidegrees_c"),
            "warmest": quantity(row.warmest, "millidegrees_c"),
            "last": row.last,
        }
        for row in rows
    ]
    columns = [Column("place", "Place"), Column("name", "Name"), Column("readings", "Readings", "number")]
    columns += [Column("coldest", "Coldest"), Column("warmest", "Warmest"), Column("last", "Last read", "when")]
    said = "What was read in the last seven days, the warmest place first. Each place has its own chart."
    return Figure("Temperature", said, columns, table)


def _capacity(session: Session, actor: Actor) -> Figure:
    box, slot = storage_container.c, storage_position.c
    taken = custody.c.code.is_not(None)
    rows = session.execute(
        select(
            box.site_code.label("site"),
            func.coalesce(box.temperature_class, "-").label("class"),
            func.count().label("places"),
            func.count().filter(taken).label("taken"),
            func.count().filter(~taken, slot.blocked.is_not(None)).label("blocked"),
        )
        .select_from(
            storage_position.join(storage_container, box.code == slot.container_code).outerjoin(
                custody, custody.c.position_code == slot.code
            )
        )
        .where(places_seen(actor).of(box.site_code), box.active)
        .group_by(box.site_code, box.temperature_class)
        .order_by(box.site_code, box.temperature_class)
    )
    table = [
        {
            "site": row.site,
            "class": "not said" if row[1] == "-" else words(row[1]),
            "places": row.places,
            "taken": row.taken,
            "free": row.places - row.taken - row.blocked,
        }
        for row in rows
    ]
    columns = [Column("site", "Site", "plain_code"), Column("class", "Temperature")]
    columns += [Column(key, label, "number") for key, label in (("places", "Places"), ("taken", "Taken"), ("free", "Free"))]
    drawn = bars("Free places by site and temperature", [(f"{one['site']} {one['class']}", one["free"]) for one in table[:6]])
    said = "Places in boxes that are in use, by site. What has no places is not counted."
    return Figure("Capacity", said, columns, table, drawn)


def _turnaround(session: Session, actor: Actor, zone: ZoneInfo, first: date) -> Figure:
    month = _month(withdrawal.c.requested_at, zone).label("month")
    hours = func.extract("epoch", withdrawal.c.approved_at - withdrawal.c.requested_at) / 3600
    since = datetime.combine(first.replace(day=1, year=first.year - 1), time(), zone)
    rows = session.execute(
        select(
            month,
            func.count().label("requested"),
            func.count(withdrawal.c.approved_at).label("approved"),
            func.percentile_cont(0.5).within_group(hours).label("usual"),
            func.max(hours).label("longest"),
        )
        .where(visible_withdrawals(actor), withdrawal.c.requested_at >= since)
        .group_by(month)
        .order_by(month)
    )
    table = [
        {
            "month": row.month,
            "requested": row.requested,
            "approved": row.approved,
            "usual": _time_taken(row.usual),
            "longest": _time_taken(row.longest),
        }
        for row in rows
    ]
    columns = [
        Column("month", "Month of the request"),
        Column("requested", "Requested", "number"),
        Column("approved", "Approved", "number"),
        Column("usual", "Half are approved within"),
        Column("longest", "Longest"),
    ]
    return Figure("Turnaround of requests", "From a request for a withdrawal to its approval.", columns, table)


def _time_taken(hours: Any) -> str | None:
    if hours is None:
        return None
    if hours < 1:
        return f"{float(hours) * 60:.0f} min"
    return f"{float(hours):.1f} h" if hours < 48 else f"{float(hours) / 24:.1f} days"


def _near_misses(session: Session, actor: Actor, zone: ZoneInfo, first: date) -> Figure:
    months = [f"{day:%Y-%m}" for day in month_starts(first.replace(day=1) - timedelta(days=334), MONTHS)]
    month = _month(attempt.c.at, zone).label("month")
    wrong = case((attempt.c.evidence, "tube"), else_="other")
    since = datetime.combine(date.fromisoformat(f"{months[0]}-01"), time(), zone)
    rows = session.execute(
        select(month, cast(wrong, Text).label("what"), func.count().label("n"))
        .where(known_attempts(actor), attempt.c.code.not_in(NO_MISS), attempt.c.at >= since)
        .group_by(month, wrong)
    )
    counted = {(row.month, row.what): row.n for row in rows}
    table = list(_by_month(months, counted)) if counted else []
    drawn = bars("Near misses by month", [(one["month"][2:].replace("-", "/"), one["tube"]) for one in table])
    columns = [Column("month", "Month"), Column("tube", "In front of a tube", "number"), Column("other", "Other", "number")]
    said = "Refusals that were kept. Drawn: what a person in front of a tube, a patient or a place got wrong."
    return Figure("Near misses", said, columns, table, drawn)


def _by_month(months: Sequence[str], counted: dict[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    for month in months:
        yield {"month": month, "tube": counted.get((month, "tube"), 0), "other": counted.get((month, "other"), 0)}


@router.get("/figures")
async def show_figures(request: Request, reading: PageReading) -> Response:
    """Draw the figures."""
    return render(request, "figures.html", figures=await reading.agreeing(read_figures, request.state.zone))
