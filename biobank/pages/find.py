"""From any code to its page: the find box, a gun, and the address on a label opened by a telephone.

Finding never acts: a label's address is opened by whoever holds a camera, and by programs that preview links.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.donors.wristbands import describe_band
from biobank.foundation.codes import SPECIMENS, Code, Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import NotFound, Refusal, raise_first
from biobank.foundation.paging import Paging
from biobank.foundation.scanned_text import LONGEST_SCAN, tidy
from biobank.pages.ui.code_pages import code_href, page_of
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import STATION, PageReading, Visiting, asks, posted_form
from biobank.pages.ui.templating import render
from biobank.scanning.commands import Action, meaning_of
from biobank.specimens.queries import list_specimens
from biobank.specimens.resolving import resolve_code
from biobank.specimens.scanned_labels import outdated
from biobank.specimens.schemas import SpecimenSummary
from biobank.storage.queries import find_position, get_container

router = APIRouter(include_in_schema=False)

SEVERAL = 25


COLUMNS = [
    Column("code", "Code", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
    Column("donor", "Donor", "code"),
    Column("container", "Box", "code"),
]


@dataclass(frozen=True)
class Found:
    """Where a scan leads: a page, or several specimens to choose from."""

    href: str | None
    several: list[SpecimenSummary]


def find(session: Session, actor: Actor, text: str, settings: Settings) -> Found:
    """Find what `text` names: a code of ours, a label's address, another issuer's identifier, or the start of a code.

    Raises what resolving raises: NotFound, ForeignLabel, MalformedCode, CheckCharacterWrong, AmbiguousIdentifier, LabelNotInUse,
    LabelSuperseded, LabelOfNoPrint.
    """
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except Refusal as unread:
        return _by_words(session, actor, text, settings, unread)
    href = _address_of(session, actor, code, settings)
    raise_first(list(outdated(session, [code]).values()))
    return Found(href, [])


def _address_of(session: Session, actor: Actor, code: Code, settings: Settings) -> str:
    if code.prefix == Prefix.POSITION:
        place = find_position(session, None, code.text)
        if place is None:
            raise NotFound(f"There is no position {code.text} that you may see. Scan its box instead.", subject=code.text)
        get_container(session, actor, place.container_code)
        return f"/storage/{place.container_code}?slot={place.label}"
    if code.prefix == Prefix.WRISTBAND:
        return code_href(describe_band(session, actor, code.text).donor)
    if code.prefix == Prefix.COMMAND:
        meaning = meaning_of(code)
        return f"/scan?do={meaning.value}" if isinstance(meaning, Action) else "/scan"
    if code.prefix == Prefix.BADGE and actor.badge_at is not None:
        return f"{STATION}?badge={code.label}"  # the next person at this station
    href = page_of(code.text)
    if href is None:
        raise NotFound(f"{code.text} is a good code, and what it names has no page here yet.", subject=code.text)
    if code.prefix in SPECIMENS:
        resolve_code(session, actor, code.text, settings)
    return href


def _by_words(session: Session, actor: Actor, text: str, settings: Settings, unread: Refusal) -> Found:
    if not actor.may(Permission.SPECIMEN_READ, at=ANYWHERE):
        raise unread
    try:
        return Found(code_href(resolve_code(session, actor, text, settings).code), [])
    except Refusal as refusal:
        several = list_specimens(session, actor, words=text, paging=Paging(limit=SEVERAL)).items if len(text) <= 40 else []
        if not several:
            raise refusal from None
    return Found(code_href(several[0].code) if len(several) == 1 else None, several)


@router.get("/find")
async def show_find(request: Request, reading: PageReading, q: Annotated[str, Query(max_length=LONGEST_SCAN)] = "") -> Response:
    """Go to what was scanned, or say what to do with it."""
    return await _go(request, reading, q)


@router.post("/find")
async def find_typed(request: Request, page: Visiting, reading: PageReading) -> Response:
    """Do the same with what was typed: it may be somebody's name, which stands in no address."""
    form = await posted_form(request, page, "q")
    return await _go(request, reading, form.get("q", "")[:LONGEST_SCAN])


async def _go(request: Request, reading: PageReading, typed: str) -> Response:
    text = tidy(typed)
    if not text:
        return _draw(request, "")
    try:
        found = await reading.keeping(find, text, reading.bank.settings)
    except Refusal as refusal:
        return _draw(request, text, refusal)
    return _lead(request, text, found)


def _lead(request: Request, text: str, found: Found) -> Response:
    """Go where it leads, or let somebody choose."""
    return _draw(request, text, several=found.several) if found.href is None else RedirectResponse(found.href, 303)


def _draw(request: Request, typed: str, refusal: Refusal | None = None, several: Sequence[SpecimenSummary] = ()) -> Response:
    return render(
        request,
        "find.html",
        200 if refusal is None else refusal.status,
        typed=typed,
        problem=None if refusal is None else refusal.problem(),
        several=several,
        specimen_columns=COLUMNS,
    )


@router.get("/S/{text:path}")
@router.get("/s/{text:path}")
async def open_label(request: Request, reading: PageReading, text: str) -> Response:
    """Open the address on a label, however a telephone writes it: it is read as a gun's scan of it is. Shows, never acts."""
    settings = reading.bank.settings
    try:
        found = await reading.keeping(find, f"https://{settings.host_name}/S/{text}", settings)
    except Refusal as refusal:
        return _draw(request, tidy(text)[:LONGEST_SCAN], refusal)
    return _lead(request, tidy(text)[:LONGEST_SCAN], found)


asks(open_label, None)  # what a telephone or a chat program puts behind a code
