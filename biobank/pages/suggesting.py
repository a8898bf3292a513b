"""What the box of every page lists while somebody types: a few things of each kind whose code, fragment or name begins so.

What is typed travels in the body of the request, so that a name somebody begins to type stands in no address. Names of donors are
not looked up here: that is an act of its own, which is recorded (`pages/donors/donors.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import ColumnElement, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.donors.models import donor
from biobank.donors.visibility import visible as visible_donors
from biobank.foundation.paging import Paging
from biobank.foundation.scanned_text import tidy
from biobank.foundation.terms import words
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.session import PageReading, Visiting, posted_form
from biobank.people.queries import users_seen
from biobank.registers.models import register_entry
from biobank.specimens.models import lot
from biobank.specimens.queries import list_specimens
from biobank.specimens.scoping import at_sites_of, lots_at_sites_of
from biobank.storage.models import storage_container
from biobank.storage.queries import places_seen
from biobank.withdrawals.case import visible as visible_withdrawals
from biobank.withdrawals.models import withdrawal

router = APIRouter(include_in_schema=False)

P = Permission
SHORTEST: Final = 2
LONGEST: Final = 40
OF_EACH: Final = 5


@dataclass(frozen=True)
class Suggestion:
    """One thing: which kind it is, what stands on it, and its page."""

    kind: str
    name: str
    detail: str
    href: str


def suggest(session: Session, actor: Actor, typed: str) -> list[Suggestion]:
    """Return what the actor may see that begins with `typed`, a few of each kind; nothing for a single letter."""
    text = tidy(typed)
    if not SHORTEST <= len(text) <= LONGEST:
        return []
    sources: Sequence[tuple[Permission | None, Callable[[Session, Actor, str], Iterator[Suggestion]]]] = (
        (P.SPECIMEN_READ, _specimens),
        (P.DONOR_READ, _donors),
        (None, _places),
        (P.SPECIMEN_READ, _lots),
        (P.WITHDRAWAL_READ, _withdrawals),
        (P.SPECIMEN_READ, _registers),
        (P.USER_READ, _people),
    )
    may = (read for permission, read in sources if permission is None or actor.may(permission, at=ANYWHERE))
    return [one for read in may for one in read(session, actor, text)]


def _begins(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """A code begins so, with or without its prefix."""
    start = text.upper()
    return or_(column.startswith(start, autoescape=True), column.contains(f"-{start}", autoescape=True))


def _specimens(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    for one in list_specimens(session, actor, words=text, paging=Paging(limit=OF_EACH)).items:
        detail = f"{words(one.material)}, {words(one.state).lower()}"
        yield Suggestion("Specimen", one.code, detail, code_href(one.code))


def _donors(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    statement = select(donor.c.code, donor.c.clinic_site_code).where(_begins(donor.c.code, text), visible_donors(actor))
    for row in session.execute(statement.order_by(donor.c.code).limit(OF_EACH)):
        yield Suggestion("Donor", row.code, row.clinic_site_code, code_href(row.code))


def _places(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    place = storage_container.c
    named = place.name.icontains(text, autoescape=True)
    statement = (
        select(place.code, place.name, place.kind, place.site_code)
        .where(or_(_begins(place.code, text), named), places_seen(actor).of(place.site_code), place.active)
        .order_by(place.name_key, place.code)
        .limit(OF_EACH)
    )
    for row in session.execute(statement):
        yield Suggestion(words(row.kind), row.name, f"{row.code}, {row.site_code}", code_href(row.code))


def _lots(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    statement = (
        select(lot.c.code, lot.c.material)
        .join(donor, donor.c.code == lot.c.donor_code)
        .where(_begins(lot.c.code, text), lots_at_sites_of(actor, lot.c.code, lot.c.site_code, donor.c.clinic_site_code))
        .order_by(lot.c.code)
        .limit(OF_EACH)
    )
    for row in session.execute(statement):
        yield Suggestion("Lot", row.code, words(row.material), code_href(row.code))


def _withdrawals(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    statement = (
        select(withdrawal.c.code, withdrawal.c.state)
        .where(_begins(withdrawal.c.code, text), visible_withdrawals(actor))
        .order_by(withdrawal.c.code.desc())
        .limit(OF_EACH)
    )
    for row in session.execute(statement):
        yield Suggestion("Withdrawal", row.code, words(row.state), code_href(row.code))


def _registers(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    entry = register_entry.c
    here = or_(entry.site_code.is_(None), at_sites_of(actor, entry.site_code))
    statement = (
        select(entry.key, entry.name, entry.kind)
        .where(or_(entry.name.icontains(text, autoescape=True), _begins(entry.key, text)), here, entry.retired_at.is_(None))
        .order_by(entry.name, entry.key)
        .limit(OF_EACH)
    )
    for row in session.execute(statement):
        yield Suggestion(words(row.kind), row.name, "", f"/registers/{row.key}")


def _people(session: Session, actor: Actor, text: str) -> Iterator[Suggestion]:
    named = or_(user.c.username.istartswith(text, autoescape=True), _begins(user.c.code, text))
    statement = select(user.c.code, user.c.username).where(named, users_seen(actor)).order_by(user.c.username).limit(OF_EACH)
    for row in session.execute(statement):
        yield Suggestion("Login", row.username, row.code, code_href(row.code))


@router.post("/find/now")
async def suggest_now(request: Request, page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer what the box lists for what was typed so far."""
    form = await posted_form(request, page, "q")
    found = await reading(suggest, form.get("q", "")[: LONGEST + 1])
    return JSONResponse({"items": [asdict(one) for one in found]}, headers={"Cache-Control": "no-store"})
