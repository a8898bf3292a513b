"""Dossiers in one click: each address answers with a PDF. One that copies the log of others is taken by a form, and recorded."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field, TypeAdapter

from biobank.exports.api import ClosedWhenLeft, Parts, begun, recorded_to_its_end
from biobank.exports.selection import Selection
from biobank.exports.service import Written, start_copy
from biobank.foundation import clock
from biobank.foundation.errors import MalformedRequest
from biobank.pages.dossiers import contents
from biobank.pages.dossiers.printed import draw
from biobank.pages.ui.addresses import DonorCode, LotCode, SpecimenCode, UserCode
from biobank.pages.ui.session import PagePerformer, PagePerforming, PageReading, claims_of
from biobank.pages.ui.typed_times import day_typed

router = APIRouter(include_in_schema=False)

_one_at_a_time = CapacityLimiter(1)
"""A long dossier takes a core for seconds; the others of this worker wait, and its other pages do not."""
_Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
_day = TypeAdapter[date](_Day)


async def _drawn(request: Request, dossier: contents.Dossier) -> bytes:
    return await to_thread.run_sync(draw, dossier, request.state.site_zone, limiter=_one_at_a_time)


def _named(code: str) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="{code}-dossier.pdf"'}


async def _printed(
    request: Request, reading: PageReading, read: Callable[..., contents.Dossier], code: str, *more: Any
) -> Response:
    data = await _drawn(request, await reading.agreeing(read, reading.bank.keystore, code, *more))
    return Response(data, media_type="application/pdf", headers=_named(code))


async def _copied(
    request: Request,
    reading: PageReading,
    performing: PagePerformer,
    selection: Selection,
    read: Callable[..., contents.Dossier],
    code: str,
    *more: Any,
) -> Response:
    """Print what is a copy of a part of the log: its start is recorded before it is drawn, its end with its hash."""
    performing.form.require_read()
    dossier = await reading.agreeing(read, reading.bank.keystore, code, *more)
    act, copy = await begun(
        reading.bank, claims_of(performing.page), lambda session, act: start_copy(session, act, "pdf", selection)
    )
    written = Written()

    async def chunks() -> Parts:
        data = await _drawn(request, dossier)
        written.rows = dossier.entries
        written.add(data)
        yield data
        written.complete = True

    body = recorded_to_its_end(reading.bank, act, copy, written, chunks())
    return ClosedWhenLeft(body, media_type="application/pdf", headers=_named(code))


@router.get("/specimens/{code}/dossier")
async def print_specimen(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Print a specimen's life."""
    return await _printed(request, reading, contents.of_specimen, code)


@router.get("/lots/{code}/dossier")
async def print_lot(request: Request, code: LotCode, reading: PageReading) -> Response:
    """Print what a lot reached."""
    return await _printed(request, reading, contents.of_lot, code)


@router.get("/donors/{code}/dossier")
async def print_donor(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Print a donor's file without the log."""
    return await _printed(request, reading, contents.of_donor, code)


@router.post("/donors/{code}/dossier")
async def copy_donor(request: Request, code: DonorCode, reading: PageReading, performing: PagePerforming) -> Response:
    """Print a donor's file with what the log says; that it was taken is an event of the log."""
    return await _copied(request, reading, performing, Selection(donor=code), contents.of_donor_with_log, code)


@router.get("/users/{code}/day")
async def print_day(
    request: Request, code: UserCode, reading: PageReading, on: Annotated[_Day | None, Query()] = None
) -> Response:
    """Print what the reader recorded on a day of site time; today unless the address says which."""
    zone = request.state.site_zone
    return await _printed(request, reading, contents.of_own_day, code, on or clock.now().astimezone(zone).date(), zone)


@router.post("/users/{code}/day")
async def copy_day(request: Request, code: UserCode, reading: PageReading, performing: PagePerforming) -> Response:
    """Print what a login recorded on a day of site time; that it was taken is an event of the log."""
    zone = request.state.site_zone
    try:
        said = performing.form.get("on")
        day = clock.now().astimezone(zone).date() if said is None else _day.validate_python(day_typed(said))
    except ValueError:
        raise MalformedRequest("Enter a day such as 12 Mar 2026, between 2000 and 2199.") from None
    chosen = contents.day_of(code, day, zone)
    return await _copied(request, reading, performing, chosen, contents.of_day, code, day, zone)
