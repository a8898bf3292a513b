"""Printed names beside badge codes and names of places beside theirs, on every page that shows one, and colleagues found by what
somebody types.

The page is drawn with badges; names.js asks once for all that stand on it. So a name is in no address, no log line and no page
that a program reads, and what may be told is one rule: `people/queries.py: works_with`.
"""

import re
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from biobank.foundation.errors import MalformedRequest
from biobank.pages.ui.session import PageReading, Visiting, posted_form
from biobank.people.queries import colleagues_like, names_for
from biobank.storage.queries import names_of_places

router = APIRouter(include_in_schema=False)

MOST: Final = 200
SHOWN: Final = 8
_BADGE: Final = re.compile(r"US-[0-9A-Z]{7}")
_PLACE: Final = re.compile(r"(?:BX|PS)-[0-9A-Z]{7}")
UNKEPT: Final = {"Cache-Control": "no-store"}


@router.post("/names")
async def tell_names(request: Request, page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer the printed names of the badges that stand on a page, of those the reader works with."""
    codes = list(dict.fromkeys((await posted_form(request, page, "code*")).all_of("code")))
    if len(codes) > MOST or not all(_BADGE.fullmatch(code) for code in codes):
        raise MalformedRequest(f"Ask for the names of up to {MOST} badges.")
    names = await reading(names_for, reading.bank.keystore, codes) if codes else {}
    return JSONResponse({"names": names}, headers=UNKEPT)


@router.post("/place-names")
async def tell_place_names(request: Request, page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer what the containers and positions that stand in the sentences of a page are called, of those the reader may see."""
    codes = list(dict.fromkeys((await posted_form(request, page, "code*")).all_of("code")))
    if len(codes) > MOST or not all(_PLACE.fullmatch(code) for code in codes):
        raise MalformedRequest(f"Ask for the names of up to {MOST} places.")
    return JSONResponse({"names": await reading(names_of_places, codes) if codes else {}}, headers=UNKEPT)


@router.post("/colleagues")
async def find_colleagues(request: Request, page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer colleagues whose badge, login or name begins as typed, for the fields that ask for a person."""
    typed = (await posted_form(request, page, "q")).get("q", "")[:60]
    found = await reading(colleagues_like, reading.bank.keystore, typed, SHOWN)
    return JSONResponse(
        {"items": [{"code": code, "username": username, "name": name} for code, username, name in found]}, headers=UNKEPT
    )
