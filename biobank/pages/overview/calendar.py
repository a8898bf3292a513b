"""What falls due in a month: tests, expiries, kits, calibrations and requests, by day of the site. A statement for each kind."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.models import custody
from biobank.custody.states import TERMINAL
from biobank.donors.models import donor
from biobank.foundation.clock import now
from biobank.foundation.terms import words
from biobank.pages.overview.figures import month_starts
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.registers.models import register_entry
from biobank.specimens.materials import MATERIALS
from biobank.specimens.models import kit, lot_test, specimen
from biobank.specimens.queries import EXPIRY
from biobank.specimens.scoping import at_sites_of, lots_at_sites_of, specimens_at_sites_of
from biobank.withdrawals.case import visible as visible_withdrawals
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.workflow import WithdrawalState

router = APIRouter(include_in_schema=False)

P = Permission
W = WithdrawalState
OPEN: Final = [one.value for one in (W.REQUESTED, W.APPROVED, W.PICKING, W.ISSUED, W.DELIVERED)]
SHOWN_EACH: Final = 200
"""So many of one kind are shown in a month; the page says when there are more."""


@dataclass(frozen=True)
class Due:
    """One line of a day: what falls due, of which thing, and where it is seen."""

    day: date
    what: str
    subject: str
    href: str
    detail: str = ""


@dataclass(frozen=True)
class Month:
    """A month as its page shows it: the days on which something falls due, in order; `cut`: kinds of which there are more."""

    first: date
    days: Sequence[tuple[date, Sequence[Due]]]
    cut: Sequence[str]


@dataclass(frozen=True)
class _Asked:
    """From and before which instant, and the zone in which days are counted."""

    since: datetime
    before: datetime
    zone: ZoneInfo

    def holds(self, at: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition that an instant lies in it."""
        return at.between(self.since, self.before - timedelta(microseconds=1))

    def day(self, at: datetime) -> date:
        """The day of an instant at the site."""
        return at.astimezone(self.zone).date()


def read_month(session: Session, actor: Actor, first: date, zone: ZoneInfo) -> Month:
    """Read what falls due in the month that begins with `first`, of what the actor may know of."""
    since, before = (datetime.combine(day, time(), zone) for day in month_starts(first, 2))
    asked = _Asked(since, before, zone)
    kinds: Sequence[tuple[str, bool, Callable[[Session, Actor, _Asked], Iterator[Due]]]] = (
        ("test results", actor.may(P.SPECIMEN_READ, at=ANYWHERE), _tests),
        ("expiries of specimens", actor.may(P.SPECIMEN_READ, at=ANYWHERE), _expiries),
        ("kits", actor.may(P.KIT_MANAGE, at=ANYWHERE) or actor.may(P.HARVEST_RECORD, at=ANYWHERE), _kits),
        ("entries of registers", actor.may(P.SPECIMEN_READ, at=ANYWHERE), _registers),
        ("requests", actor.may(P.WITHDRAWAL_READ, at=ANYWHERE), _requests),
    )
    found: list[Due] = []
    cut: list[str] = []
    for name, may, read in kinds:
        lines = list(read(session, actor, asked)) if may else []
        found += lines[:SHOWN_EACH]
        if len(lines) > SHOWN_EACH:
            cut.append(name)
    days: dict[date, list[Due]] = {}
    for one in sorted(found, key=lambda due: (due.day, due.what, due.subject)):
        days.setdefault(one.day, []).append(one)
    return Month(first, list(days.items()), cut)


def _tests(session: Session, actor: Actor, asked: _Asked) -> Iterator[Due]:
    test, done = lot_test, lot_test.alias("done")
    rows = session.execute(
        select(test.c.lot_code, test.c.kind, test.c.due_at)
        .where(
            test.c.result == "pending",
            asked.holds(test.c.due_at),
            ~select(done.c.id).where(done.c.completes == test.c.id).exists(),
            lots_at_sites_of(actor, test.c.lot_code),
        )
        .order_by(test.c.due_at)
        .limit(SHOWN_EACH + 1)
    )
    for row in rows:
        yield Due(asked.day(row.due_at), "A test result is due", row.lot_code, code_href(row.lot_code), words(row.kind))


def _expiries(session: Session, actor: Actor, asked: _Asked) -> Iterator[Due]:
    """Specimens of one donor and material that expire on one day are one line: nobody reads forty of them."""
    day = func.timezone(asked.zone.key, EXPIRY).cast(register_entry.c.expires_on.type).label("day")
    rows = session.execute(
        select(day, specimen.c.donor_code, specimen.c.material, func.count().label("n"), func.min(specimen.c.code).label("code"))
        .select_from(
            specimen.join(custody, custody.c.code == specimen.c.code).outerjoin(donor, donor.c.code == specimen.c.donor_code)
        )
        .where(
            asked.holds(EXPIRY),
            custody.c.state.not_in([state.value for state in TERMINAL]),
            specimens_at_sites_of(actor),
        )
        .group_by(day, specimen.c.donor_code, specimen.c.material)
        .order_by(day)
        .limit(SHOWN_EACH + 1)
    )
    for row in rows:
        material = MATERIALS[row.material].title
        if row.n == 1:
            yield Due(row.day, "Expires", row.code, code_href(row.code), material)
        else:
            of = "" if row.donor_code is None else f"donor={row.donor_code}&"
            href = f"/specimens?{of}material={row.material}&sort=expires_at"
            yield Due(row.day, "Expire", row.donor_code or row.code, href, f"{row.n} of {material}")


def _kits(session: Session, actor: Actor, asked: _Asked) -> Iterator[Due]:
    rows = session.execute(
        select(kit.c.code, kit.c.expires_at, kit.c.site_code)
        .where(kit.c.used_at.is_(None), asked.holds(kit.c.expires_at), at_sites_of(actor, kit.c.site_code, kit.c.home_site_code))
        .order_by(kit.c.expires_at)
        .limit(SHOWN_EACH + 1)
    )
    for row in rows:
        yield Due(asked.day(row.expires_at), "A kit expires", row.code, code_href(row.code), f"at {row.site_code}")


def _registers(session: Session, actor: Actor, asked: _Asked) -> Iterator[Due]:
    entry = register_entry.c
    first, last = asked.day(asked.since), asked.day(asked.before - timedelta(microseconds=1))
    due = or_(entry.calibration_due_on.between(first, last), entry.expires_on.between(first, last))
    here = or_(entry.site_code.is_(None), at_sites_of(actor, entry.site_code))
    rows = session.execute(
        select(entry.key, entry.name, entry.kind, entry.calibration_due_on, entry.expires_on)
        .where(due, here, entry.retired_at.is_(None))
        .order_by(func.coalesce(entry.calibration_due_on, entry.expires_on))
        .limit(SHOWN_EACH + 1)
    )
    for row in rows:
        for day, what in ((row.calibration_due_on, "Calibration is due"), (row.expires_on, "Expires")):
            if day is not None and first <= day <= last:
                yield Due(day, what, row.name, f"/registers/{row.key}", words(row.kind))


def _requests(session: Session, actor: Actor, asked: _Asked) -> Iterator[Due]:
    rows = session.execute(
        select(withdrawal.c.code, withdrawal.c.needed_at, withdrawal.c.material, withdrawal.c.state)
        .where(asked.holds(withdrawal.c.needed_at), visible_withdrawals(actor), withdrawal.c.state.in_(OPEN))
        .order_by(withdrawal.c.needed_at)
        .limit(SHOWN_EACH + 1)
    )
    for row in rows:
        detail = f"{MATERIALS[row.material].title}, {words(row.state).lower()}"
        yield Due(asked.day(row.needed_at), "A withdrawal is needed", row.code, code_href(row.code), detail)


@router.get("/calendar")
async def show_calendar(
    request: Request, reading: PageReading, month: Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$|^$")] = ""
) -> Response:
    """Draw a month: the present one unless the address says another."""
    zone = request.state.zone
    today = now().astimezone(zone).date()
    first = date.fromisoformat(f"{month}-01") if month else today.replace(day=1)
    before, after = (first - timedelta(days=1)).replace(day=1), month_starts(first, 2)[1]
    shown = await reading.agreeing(read_month, first, zone)
    return render(request, "calendar.html", month=shown, today=today, before=before, after=after)
