"""Cold first: everything in hand into a quarantine or evacuation place, known or not. Nothing is refused for its papers."""

from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import Move, acknowledge, record
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, Condition
from biobank.foundation.codes import is_code, parse_code
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.specimens.events import UnidentifiedFound
from biobank.specimens.models import specimen as specimen_table
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.events import Safeguarded
from biobank.storage.rules import CRYOGENIC
from biobank.storage.schemas import EvacuateAnswer, EvacuatedTube, EvacuateRequest


class NotASafePlace(Conflict):
    """Only quarantine and evacuation places take everything."""

    code = "not_a_safe_place"
    title = "Not a quarantine place"


def evacuation_refusals(actor: Actor, code: str, site: str, purpose: str) -> list[Refusal]:
    """Return every reason why the actor may not bring tubes to safety in this place. Pure."""
    found: list[Refusal | None] = [actor.refusal(Permission.STORAGE_RECORD, at=site)]
    if purpose == "storage":
        said = f"{code} is an ordinary storage place. Use a quarantine or evacuation place, or store the tubes one by one."
        found.append(NotASafePlace(said, subject=code))
    return [refusal for refusal in found if refusal is not None]


def evacuate(session: Session, act: Act, code: str, request: EvacuateRequest) -> EvacuateAnswer:
    """Put every scanned tube into a quarantine or evacuation place.

    A code that is not a live specimen of ours (unknown, foreign, or recorded as gone) becomes an unidentified item: the
    tube is real, whatever its label says. The scanned text itself is not kept in the log; it may be anything.
    Raises NotASafePlace, NotFound and NotPermitted for the place; never anything for a tube.
    """
    row = queries.get_container(session, act.actor, code)
    raise_first(evacuation_refusals(act.actor, code, row.site_code, row.purpose))
    scans = list(dict.fromkeys(request.scanned))
    known = load(session, [c for s in scans if (c := _code_in(s)) is not None], lock=True)
    queries.get_container(session, act.actor, code, lock=True)
    slots = iter(choose_positions(queries.free_slots(session, code), len(scans)))
    moves: list[Move] = []
    tubes: list[EvacuatedTube] = []
    for scanned in scans:
        slot = next(slots, None)
        specimen = known.get(_code_in(scanned) or "")
        if specimen is None or specimen.state in TERMINAL:
            specimen, first = _unidentified(session, act, row)
            moves.append(first)
        moves.append(Move(specimen, _safeguarded(row, slot, request.reason), site=row.site_code))
        tubes.append(
            EvacuatedTube(
                scanned=scanned,
                specimen=specimen.code,
                unidentified=specimen.material == "unidentified",
                position=None if slot is None else slot.code,
                label=None if slot is None else slot.label,
            )
        )
    return EvacuateAnswer(items=tubes, receipt=acknowledge(act, record(session, act, moves, request)))


def _code_in(scanned: str) -> str | None:
    tail = scanned.strip().rsplit("/", 1)[-1]
    return parse_code(tail).text if is_code(tail) else None


def _safeguarded(row: Any, slot: Slot | None, reason: str) -> Safeguarded:
    return Safeguarded(container=row.code, position=None if slot is None else slot.code, site=row.site_code, reason=reason)


def _unidentified(session: Session, act: Act, row: Any) -> tuple[Snapshot, Move]:
    """Register an item nobody can name, in the condition that its place suggests."""
    code = new_code(session, "UN", year=act.at.year % 100)
    cold = queries.temperature_class_of(session, row.code) in CRYOGENIC
    session.execute(
        insert(specimen_table).values(
            code=code,
            donor_code=None,
            material="unidentified",
            unit="item",
            purpose="retained",
            home_site_code=row.site_code,
            created_at=act.at,
            created_by=act.actor.code,
        )
    )
    snapshot = Snapshot(
        code=code,
        donor_code=None,
        seq=0,
        head_hash=None,
        projection=Projection(),
        material="unidentified",
        unit="item",
        purpose="retained",
        home_site_code=row.site_code,
    )
    event = UnidentifiedFound(
        material="unidentified",
        unit="item",
        amount=1,
        site=row.site_code,
        condition=Condition.FROZEN if cold else Condition.FRESH,
        place=row.code,
    )
    return snapshot, Move(snapshot, event, site=row.site_code)
