"""Stations: the list with enrolling and retiring, and the page where people sign in by badge and PIN."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.proving import own_login, prove_own_password
from biobank.acts.web import BankDep
from biobank.auth.permissions import Permission
from biobank.auth.pins import WRONG, WrongPin
from biobank.auth.scope import ANYWHERE
from biobank.auth.sessions import PageSession, WrongFormToken
from biobank.auth.stations import STATION_S
from biobank.benches.stations import (
    StationPublic,
    enrol_station,
    list_stations,
    may_get_stations,
    retire_station,
    sign_in_by_badge,
    station_here,
)
from biobank.foundation.codes import Code, Prefix
from biobank.foundation.errors import Refusal
from biobank.pages.ui.parts import Column
from biobank.pages.ui.posted import SECOND, chosen_id, read_form
from biobank.pages.ui.session import (
    STATION,
    Visiting,
    cookie_name,
    local_path,
    posted_form,
    see,
    set_cookie,
    signing_in,
    signing_in_from,
    station_cookie_name,
    station_cookie_of,
)
from biobank.pages.ui.templating import render
from biobank.specimens.scanned_labels import read_current

router = APIRouter(include_in_schema=False)

STATIONS = "/stations"
COLUMNS = (
    Column("name", "Workstation"),
    Column("workstation", "Code", "plain_code"),
    Column("site", "At", "plain_code"),
    Column("state", "State", "chip"),
    Column("enrolled_at", "Enrolled", "when"),
    Column("enrolled_by", "By", "plain_code"),
    Column("ended_at", "Ended", "when"),
)


async def _draw(request: Request, page: PageSession, bank: Bank, refusal: Refusal | None = None) -> Response:
    def read(session: Session) -> tuple[list[StationPublic], list[tuple[str, str]], str | None]:
        page.actor.require(Permission.SITE_MANAGE, at=ANYWHERE)
        here = station_here(session, station_cookie_of(request, bank.settings))
        return list_stations(session, page.actor), may_get_stations(session, page.actor), here

    stations, choices, here = await bank.database.read(read)
    return render(
        request,
        "stations.html",
        200 if refusal is None else refusal.status,
        refusal=None if refusal is None else refusal.problem(),
        columns=COLUMNS,
        stations=[one.model_dump() for one in stations],
        choices=choices,
        here=here,
    )


@router.get(STATIONS)
async def show_stations(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Draw the stations, and the form that makes this browser one."""
    return await _draw(request, page, bank)


@router.post(f"{STATIONS}/enrol")
async def enrol(request: Request, page: Visiting, bank: BankDep) -> Response:
    """Make this browser the station of a workstation; whoever does it proves password and second factor."""
    form = await posted_form(request, page, "workstation")
    wanted = form.get("workstation", "")[:20]
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, username):
            await prove_own_password(bank, username, form.get("password", "")[:256], page.id, form.get(SECOND))
            cookie = await bank.database.write(lambda s: enrol_station(s, act, wanted))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    response = see(STATIONS)
    set_cookie(response, bank.settings, station_cookie_name(bank.settings), cookie, STATION_S)
    return response


@router.post(f"{STATIONS}/retire")
async def retire(request: Request, page: Visiting, bank: BankDep) -> Response:
    """End a station, wherever its browser is."""
    form = await posted_form(request, page, "station")
    wanted = chosen_id(form.get("station", ""))
    try:
        async with own_login(bank, page.id, "POST", request.url.path) as (act, _username):
            await bank.database.write(lambda s: retire_station(s, act, wanted))
    except Refusal as refusal:
        return await _draw(request, page, bank, refusal)
    return see(STATIONS)


@router.get(STATION)
async def show_sign_in(
    request: Request,
    bank: BankDep,
    next_page: Annotated[str, Query(alias="next", max_length=500)] = "/",
    badge: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Draw the page where a badge is scanned; the sign-in with password where the browser is no station."""
    name = await _name_here(request, bank)
    if name is None:
        return see("/login")
    return signing_in(request, bank.settings, "station.html", name=name, next_url=local_path(next_page), badge=badge)


async def _name_here(request: Request, bank: Bank) -> str | None:
    shown = station_cookie_of(request, bank.settings)
    return await bank.database.read(lambda s: station_here(s, shown))


@router.post(STATION)
async def sign_in(request: Request, bank: BankDep) -> Response:
    """Open a session by badge and PIN; whoever was signed in at this station is signed out."""
    form = await read_form(request)
    form.require_fields("next", "badge")
    next_page, settings = local_path(form.get("next")), bank.settings
    scanned = form.get("badge", "")[:100]

    def read(session: Session) -> Code:
        code = read_current(session, scanned, settings)
        if code.prefix != Prefix.BADGE:
            raise WrongPin(WRONG)
        return code

    try:
        if not signing_in_from(request, settings, form):
            raise WrongFormToken("This page was open for too long. Scan your badge again.")
        code = (await bank.database.read(read)).text
        shown, replaced = station_cookie_of(request, settings), request.cookies.get(cookie_name(settings))
        made = await sign_in_by_badge(bank, shown, code, form.get("password", "")[:20], replaced)
    except Refusal as refusal:
        badge = "" if isinstance(refusal, (WrongPin, WrongFormToken)) else scanned
        name = await _name_here(request, bank)
        return signing_in(request, settings, "station.html", refusal, name=name, next_url=next_page, badge=badge)
    response = see(next_page)
    set_cookie(response, settings, cookie_name(settings), made.session, settings.badge_session_s)
    set_cookie(response, settings, station_cookie_name(settings), made.station, STATION_S)
    return response
