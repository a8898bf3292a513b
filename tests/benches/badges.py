"""Stations and badges: a browser enrolled at a workstation, a PIN, and somebody who signs in there."""

import re
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select

from biobank.auth.station_models import station
from biobank.benches.stations import enrol_station, retire_station
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import BROWSER, Visitor

PIN = "508142"


def enrolled(api: Api, bench: str, by: str = "admin") -> tuple[UUID, str]:
    """Enrol a browser at a workstation; return the station's id and its cookie."""
    bank = api.test_bank
    cookie: str = bank.write(lambda s: enrol_station(s, bank.act(by), bench))
    newest = select(station.c.id).where(station.c.workstation == bench).order_by(station.c.enrolled_at.desc()).limit(1)
    return bank.write(lambda s: s.execute(newest).scalar_one()), cookie


def ended(api: Api, one: UUID) -> None:
    """Retire it."""
    api.test_bank.write(lambda s: retire_station(s, api.test_bank.act("admin"), one))


def set_pin(visitor: Visitor, pin: str = PIN, **more: str) -> httpx.Response:
    """Choose a PIN on one's account page."""
    return visitor.submit("/account/pin", {"pin_password": pin, "password": seed.PASSWORD} | more, draw="/account")


def browser(api: Api, cookie: str | None) -> Visitor:
    """A browser that keeps a station's cookie, and nobody is signed in."""
    made = Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60)
    if cookie is not None:
        made.cookies.set("station", cookie)
    return made


def scan(at: Visitor, user: str, pin: str = PIN, **more: Any) -> httpx.Response:
    """Scan somebody's badge and enter a PIN."""
    return at.submit("/station", {"badge": seed.USERS[user].code, "password": pin} | more)


def code_of(answer: httpx.Response) -> str | None:
    """The code of the refusal on an error page; None where there is none."""
    found = re.search(
        r'give the code</?[^<]*<span class="code">([a-z_]+)|give the code <span class="code">([a-z_]+)', answer.text
    )
    return None if found is None else found[1] or found[2]
