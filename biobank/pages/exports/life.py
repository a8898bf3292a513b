"""One specimen's life on paper, and how it stood at any time, by either clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import rules
from biobank.custody.queries import attempts, history_of
from biobank.custody.schemas import AttemptPublic, EventPublic
from biobank.foundation import clock
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.specimens.out_of_cold import out_of_cold
from biobank.pages.ui.entries import facts_of
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import day_and_time, log_time, when
from biobank.pages.ui.forms import FormFault, drawn
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.pages.ui.typed_times import NO_TIME, instant_typed
from biobank.specimens.materials import amount_text
from biobank.specimens.queries import describe_specimen
from biobank.specimens.schemas import SpecimenPublic

router = APIRouter(include_in_schema=False)

SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
Moment = Annotated[str, Query(max_length=32)]
PAGE = 500
"""Events on one page; what is longer goes on by the next."""

MISSES = [
    Column("at", "When", "log_time"),
    Column("actor_code", "By", "plain_code"),
    Column("code", "Refusal", "words"),
    Column("detail", "What was said"),
]


@dataclass(frozen=True)
class Life:
    """A specimen with every event, oldest first, and what was refused on the way (for those who read the log)."""

    specimen: SpecimenPublic
    events: list[EventPublic]
    next: str | None
    refused: list[AttemptPublic]


def read_life(session: Session, actor: Actor, code: str, after: int = 0) -> Life:
    """Read a life; raise NotFound for a specimen the actor may not know of."""
    history = history_of(session, actor, code, after, PAGE)
    refused = (
        attempts(session, actor, subject=code, paging=Paging(limit=200)).items
        if actor.may(Permission.LOG_READ, at=ANYWHERE)
        else []
    )
    return Life(describe_specimen(session, actor, code), history.items, history.next, refused[::-1])


@router.get("/specimens/{code}/life")
async def show_life(
    request: Request, code: SpecimenCode, reading: PageReading, cursor: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
) -> Response:
    """Draw the whole record of one specimen, made to be printed."""
    life = await reading.agreeing(read_life, code, cursor)
    one = life.specimen
    return render(
        request,
        "specimen_life.html",
        zone=request.state.site_zone,
        specimen=one,
        identity=[
            ("Donor", code_markup(one.donor)),
            ("Material", one.title),
            ("Purpose", words(one.purpose)),
            ("Legal basis", words(one.regulatory_basis)),
            ("Lot", code_markup(one.lot)),
            ("Harvest", code_markup(one.harvest)),
            ("Made from", ", ".join(one.parents) or None),
            ("Amount", amount_text(one.custody.amount, one.unit)),
            ("State", words(one.custody.state)),
            ("Custodian", f"{words(one.custody.custodian.kind)} · {one.custody.custodian.id}"),
            ("Time out of cold, in all", out_of_cold(one.exposure)),
            ("Expires", when(one.expires_at, request.state.site_zone)),
        ],
        events=[_line(event) for event in life.events],
        next_cursor=life.next,
        refused=life.refused,
        refused_columns=MISSES,
    )


def _line(event: EventPublic) -> dict[str, Any]:
    hands = ", ".join(f"{one['user']}{'' if one['confirmed'] else ' (not confirmed)'}" for one in event.performed)
    cls = rules.by_kind.get(event.kind)
    return {
        "seq": event.seq,
        "kind": event.kind,
        "led_to": cls.to_state.value if cls is not None and cls.to_state is not None else None,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "by": event.by,
        "hands": hands or None,
        "site": event.site,
        "source": event.source,
        "late": event.late,
        "facts": list(facts_of(event.body)),
        "leaf_hash": event.leaf_hash,
        "log_index": event.log_index,
    }


@router.get("/specimens/{code}/as-of")
async def show_as_of(
    request: Request,
    code: SpecimenCode,
    reading: PageReading,
    at: Moment = "",
    as_known_at: Moment = "",
    which_at: Moment = "",
    which_as_known_at: Moment = "",
) -> Response:
    """Draw a specimen as it stood: what had happened by `at`, as far as the bank knew by `as_known_at` (both site time).

    `which_…`: which of two instants is meant, where the clock showed that time twice.
    """
    zone: ZoneInfo = request.state.zone
    refusal: Refusal | None = None
    then: SpecimenPublic | None = None
    last: EventPublic | None = None
    try:
        world = _instant("at", at, which_at, zone)
        known = _instant("as_known_at", as_known_at, which_as_known_at, zone)
        then, last = await reading.agreeing(_then, code, world, known)
    except FormFault as fault:
        refusal = fault
    except NotFound as nothing:
        if not at and not as_known_at:
            raise
        refusal = nothing
    now = await reading(describe_specimen, code)
    return render(
        request,
        "specimen_as_of.html",
        code=code,
        typed={"at": at, "as_known_at": as_known_at, "which_at": which_at, "which_as_known_at": which_as_known_at},
        answer=_answer(then, last, min(world or clock.now(), clock.now()), known, zone) if then and last else None,
        rows=_compared(then, now) if then is not None else [],
        columns=[Column("what", "What"), Column("then", "Then"), Column("now", "Now"), Column("changed", "Since then", "chip")],
        **drawn(refusal),
    )


def _then(
    session: Session, actor: Actor, code: str, world: datetime | None, known: datetime | None
) -> tuple[SpecimenPublic, EventPublic | None]:
    """Read how it stood, and the last event that says so."""
    then = describe_specimen(session, actor, code, world, known)
    return then, next(iter(history_of(session, actor, code, then.custody.seq - 1, 1).items), None)


def _answer(then: SpecimenPublic, last: EventPublic, at: datetime, known: datetime | None, zone: ZoneInfo) -> dict[str, Any]:
    """Return the answer to "who held it, and where?" as sentences, with the event that shows it. Pure."""
    held = then.custody
    where = " · ".join(filter(None, (held.site, held.container, held.position, held.shipment))) or "no place on record"
    clocks = f"{day_and_time(at, zone)} ({zone.key})"
    if known is not None:
        clocks += f", as far as the bank knew at {day_and_time(known, zone)}"
    return {
        "sentence": f"At {clocks}, {then.code} was {words(held.state).lower()}.",
        "facts": [
            ("Held by", f"{words(held.custodian.kind)} {held.custodian.id}"),
            ("Where", where),
            ("Last event by then", f"{words(last.kind.partition('.')[2])}, number {last.seq} of this specimen"),
            ("It happened", log_time(last.occurred_at, zone)),
            ("It was recorded", log_time(last.recorded_at, zone)),
            ("Recorded by", last.by),
            ("In the sealed log", "not sealed yet" if last.log_index is None else f"entry {last.log_index}"),
            ("Its hash", last.leaf_hash),
        ],
    }


def _instant(name: str, typed: str, which: str, zone: ZoneInfo) -> datetime | None:
    if not typed.strip():
        return None
    try:
        instant = instant_typed(typed.strip(), which, zone)
    except ValueError as error:
        raise FormFault({name: f"{str(error)[:1].upper()}{str(error)[1:]}"}) from None
    if not 1970 <= instant.year < 2200:
        raise FormFault({name: f"{NO_TIME[:1].upper()}{NO_TIME[1:]}"})
    return instant


def _compared(then: SpecimenPublic, now: SpecimenPublic) -> list[dict[str, Any]]:
    """Return what custody said then beside what it says now. Pure."""

    def told(one: SpecimenPublic) -> dict[str, Any]:
        held = one.custody
        return {
            "State": words(held.state),
            "Condition": words(held.condition),
            "Quality": words(held.quality),
            "Custodian": f"{words(held.custodian.kind)} · {held.custodian.id}",
            "Site": held.site,
            "Box": held.container,
            "Place": held.position,
            "Shipment": held.shipment,
            "Reserved for": held.reserved_for,
            "Amount": amount_text(held.amount, one.unit),
            "On hold": ", ".join(sorted({words(hold.kind) for hold in one.holds})) or None,
            "Legal basis": words(one.regulatory_basis),
            "Time out of cold": out_of_cold(one.exposure),
            "Last event": f"#{held.seq}",
        }

    before, after = told(then), told(now)
    return [
        {
            "what": name,
            "then": before[name],
            "now": after[name],
            "changed": "changed" if before[name] != after[name] else None,
        }
        for name in before
    ]
