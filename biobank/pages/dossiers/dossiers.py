"""Dossiers in one click: each address answers with a PDF."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from biobank.foundation import clock
from biobank.pages.dossiers import contents
from biobank.pages.dossiers.printed import draw
from biobank.pages.ui.addresses import DonorCode, LotCode, SpecimenCode, UserCode
from biobank.pages.ui.session import PageReading

router = APIRouter(include_in_schema=False)


async def _printed(reading: PageReading, read: Callable[..., contents.Dossier], code: str, *more: Any) -> Response:
    data = await to_thread.run_sync(draw, await reading.agreeing(read, reading.bank.keystore, code, *more))
    headers = {"Content-Disposition": f'inline; filename="{code}-dossier.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)


@router.get("/specimens/{code}/dossier")
async def print_specimen(code: SpecimenCode, reading: PageReading) -> Response:
    """Print a specimen's life."""
    return await _printed(reading, contents.of_specimen, code)


@router.get("/lots/{code}/dossier")
async def print_lot(code: LotCode, reading: PageReading) -> Response:
    """Print what a lot reached."""
    return await _printed(reading, contents.of_lot, code)


@router.get("/donors/{code}/dossier")
async def print_donor(code: DonorCode, reading: PageReading) -> Response:
    """Print a donor's file."""
    return await _printed(reading, contents.of_donor, code)


@router.get("/users/{code}/day")
async def print_day(
    request: Request, code: UserCode, reading: PageReading, on: Annotated[date | None, Query()] = None
) -> Response:
    """Print what a login recorded on a day of site time; today unless the address says which."""
    zone = request.state.zone
    return await _printed(reading, contents.of_day, code, on or clock.now().astimezone(zone).date(), zone)
