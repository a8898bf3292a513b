"""Cold first: everything in hand into a quarantine or evacuation place, known or not. Nothing is refused for its papers.

A scanned code is taken for what it is: a tube, a slot (the tube recorded in it), a box or rack (which moves with everything in
it) or a tank (what stands in it moves, it stays). Lock order: specimens by code, then containers by code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.exposure import cold_at
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.projection import Projection
from biobank.custody.recording import Move, acknowledge, record
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, Condition
from biobank.foundation.codes import SPECIMENS, CheckCharacterWrong, Prefix, parse_code, resolve_payload
from biobank.foundation.errors import Conflict, NotFound, NotPermitted, Refusal, raise_first
from biobank.specimens.events import UnidentifiedFound
from biobank.specimens.models import specimen as specimen_table
from biobank.specimens.resolving import codes_named
from biobank.specimens.scanned_labels import note_outdated
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.containers import HoldsTubesOnly, StandsInARoom
from biobank.storage.holding_still import hold_still
from biobank.storage.models import storage_container
from biobank.storage.moving import ContainerInsideItself, carry
from biobank.storage.placing import Box, read_box, said_of
from biobank.storage.rules import COOLING, CRYOGENIC, may_stand_in
from biobank.storage.schemas import EvacuateAnswer, EvacuatedContainer, EvacuatedTube, EvacuateRequest, NotTaken
from biobank.storage.service import event_for


class NotASafePlace(Conflict):
    """Only quarantine and evacuation places take everything."""

    code = "not_a_safe_place"
    title = "Not a quarantine place"


def evacuation_refusals(actor: Actor, code: str, site: str, *, safe: bool) -> list[Refusal]:
    """Return every reason why the actor may not bring tubes to safety in this place. Pure."""
    found: list[Refusal | None] = [actor.refusal(Permission.STORAGE_RECORD, at=site)]
    if not safe:
        said = f"{code} is an ordinary storage place. Use a quarantine or evacuation place, or store the tubes one by one."
        found.append(NotASafePlace(said, subject=code))
    return [refusal for refusal in found if refusal is not None]


@dataclass
class _Scans:
    """What was scanned, by what it is: tubes (with the text, and whose code it gave), containers, and what is neither."""

    tubes: list[tuple[str, str | None]] = field(default_factory=list)
    containers: list[tuple[str, str]] = field(default_factory=list)
    neither: list[NotTaken] = field(default_factory=list)


MISREAD: Final = "One character of this code is wrong, and it names no tube. Scan it again: what it stands on was not taken."
ASSUMED: Final = "Nobody said whether it is frozen: it is recorded as its place suggests. If it is not so, tell quality."


def evacuate(session: Session, act: Act, code: str, request: EvacuateRequest) -> EvacuateAnswer:
    """Put every scanned tube, box and rack into a quarantine or evacuation place.

    A code that is not a live specimen of ours (unknown, foreign, or recorded as gone) becomes an unidentified item: the
    tube is real, whatever its label says. The scanned text itself is not kept in the log; it may be anything. A code of ours that
    stands on no tube (a badge, a command, an empty slot) or on a place of another site is answered, and makes no item.
    Raises NotASafePlace, NotFound and NotPermitted for the place; never anything for a tube. A container that cannot go there
    (it is the place itself, or holds it) is answered with a warning and stays where it is.
    """
    row = queries.get_container(session, act.actor, code)
    raise_first(evacuation_refusals(act.actor, code, row.site_code, safe=queries.standings_of(session, [code])[code].safe))
    scans = _sorted_out(session, act, list(dict.fromkeys(request.scanned)))
    moving = {place: _moving(session, act, place, code) for _, place in scans.containers}

    def tubes_meant() -> set[str]:
        inside = {tube for _, place in scans.containers for tube in queries.specimens_inside(session, place)}
        return inside | {tube for _, tube in scans.tubes if tube is not None}

    known = hold_still(session, {code, *moving, *(name for names in moving.values() for name in names)}, tubes_meant)
    done: list[Appended] = []
    box = read_box(session, row)
    answers = [_bring(session, act, scanned, place, moving[place], box, request, done) for scanned, place in scans.containers]
    if answers:
        known = load(session, known)
    tubes = _put_down(session, act, scans.tubes, box, known, request, done)
    return EvacuateAnswer(
        items=tubes, containers=answers, not_taken=scans.neither, receipt=acknowledge(act, done) if done else None
    )


def _sorted_out(session: Session, act: Act, scans: list[str]) -> _Scans:
    found = _Scans()
    seen: set[str] = set()
    note_outdated(session, act, scans)
    named = codes_named(session, act.actor, scans, act.bank.settings, hidden=True)
    for scanned in scans:
        code = parse_code(named[scanned]) if scanned in named else None
        name = None if code is None else code.text
        if code is not None and code.prefix == Prefix.CONTAINER and _is_container(session, act, code.text):
            if code.text not in seen:
                found.containers.append((scanned, code.text))
        elif code is None and _misread(act, scanned) not in {None, *SPECIMENS}:
            found.neither.append(NotTaken(scanned=scanned, warning=MISREAD))
        elif code is None or code.prefix in SPECIMENS:
            if name is None or name not in seen:
                found.tubes.append((scanned, name))
        else:
            slot = code.prefix == Prefix.POSITION
            name = session.execute(select(custody.c.code).where(custody.c.position_code == name)).scalar() if slot else None
            if name is None:
                found.neither.append(NotTaken(scanned=scanned, warning=_why_neither(code.prefix)))
            elif name not in seen:
                found.tubes.append((scanned, name))
        seen |= {name} if name is not None else set()
    return found


def _misread(act: Act, scanned: str) -> Prefix | None:
    """What a scan names that has the shape of a code of ours and a wrong character in it."""
    settings = act.bank.settings
    try:
        resolve_payload(scanned, settings.host_name, settings.former_hosts)
    except CheckCharacterWrong as misread:
        return misread.prefix
    except Refusal:
        pass
    return None


def _why_neither(prefix: str) -> str:
    """Say why a code of ours is no tube and no container that can be brought here. Pure."""
    if prefix == Prefix.POSITION:
        return "This is the label of a place in which no tube is recorded. Scan what is in your hand."
    if prefix == Prefix.CONTAINER:
        return "This is no place that you may record. Keep it cold, and call somebody of its site or quality."
    return "This code stands on no tube, box or rack. Scan what is in your hand."


def _is_container(session: Session, act: Act, code: str) -> bool:
    try:
        queries.get_container(session, act.actor, code)
    except NotFound:
        return False
    return True


def _moving(session: Session, act: Act, place: str, target: str) -> list[str]:
    """Return what moves when a container is scanned: itself, or of a room or tank what stands in it."""
    if queries.get_container(session, act.actor, place).kind not in COOLING:
        return [place]
    of = storage_container.c
    children = session.execute(select(of.code, of.kind).where(of.parent_code == place, of.code != target)).all()
    into = queries.get_container(session, act.actor, target).kind
    # What has a temperature of its own and does not fit into the place stays; what stands in it comes.
    inner = [_moving(session, act, one.code, target) if not may_stand_in(one.kind, into) else [one.code] for one in children]
    return sorted({code for codes in inner for code in codes})


def _bring(
    session: Session,
    act: Act,
    scanned: str,
    place: str,
    moving: list[str],
    box: Box,
    request: EvacuateRequest,
    done: list[Appended],
) -> EvacuatedContainer:
    """Move one scanned container, or of a room or tank what stands in it."""
    row, target = queries.get_container(session, act.actor, place), box.row
    if place == target.code:
        return EvacuatedContainer(scanned=scanned, container=place, moved=[], tubes=0)
    moved, tubes, warnings = [], 0, []
    for name in moving:
        if row.parent_code == target.code and name == place:
            moved.append(name)  # It stands here already.
            continue
        try:
            # Read again: what was scanned before may have moved it already.
            known = load(session, queries.specimens_inside(session, name))
            carried = carry(session, act, name, target.code, known, request)
        except (ContainerInsideItself, HoldsTubesOnly, NotPermitted, StandsInARoom) as refusal:
            warnings.append(refusal.detail)
            continue
        moved.append(name)
        tubes += carried.tubes
        warnings += carried.warnings
        done += carried.appended
    if row.kind in COOLING:
        known = load(session, queries.loose_in(session, place))
        moves = [_safeguarded(act, known[name], box, None, request) for name in sorted(known)]
        if moves:
            done += record(session, act, moves, request)
            tubes += len(moves)
    return EvacuatedContainer(scanned=scanned, container=place, moved=moved, tubes=tubes, warnings=warnings)


def _put_down(
    session: Session,
    act: Act,
    scans: list[tuple[str, str | None]],
    box: Box,
    known: Mapping[str, Snapshot],
    request: EvacuateRequest,
    done: list[Appended],
) -> list[EvacuatedTube]:
    """Put every scanned tube into the place, each at the next slot while there are any."""
    free = [slot for slot in box.free if slot.kept_for is None]
    slots = iter(choose_positions(free, len(scans)))
    moves: list[Move] = []
    tubes: list[EvacuatedTube] = []
    for scanned, name in scans:
        slot = next(slots, None)
        specimen = known.get(name or "")
        if specimen is None or specimen.state in TERMINAL:
            specimen, first = _unidentified(session, act, box, request.condition)
            moves.append(first)
        as_found = specimen if specimen.seq else _in_condition(specimen, _condition_there(box, request.condition))
        moves.append(replace(_safeguarded(act, as_found, box, slot, request), specimen=specimen))
        tubes.append(
            EvacuatedTube(
                scanned=scanned,
                specimen=specimen.code,
                unidentified=specimen.material == "unidentified",
                position=None if slot is None else slot.code,
                label=None if slot is None else slot.label,
                warnings=[*said_of(as_found, box, slot), *([ASSUMED] if specimen.seq == 0 and request.condition is None else [])],
            )
        )
    if moves:
        done += record(session, act, moves, request)
    return tubes


def _safeguarded(act: Act, specimen: Snapshot, box: Box, slot: Slot | None, request: EvacuateRequest) -> Move:
    event = event_for(specimen, box, slot, None, cold_at(act, request.occurred_at, request.paper))
    return Move(specimen, event.model_copy(update={"reason": request.reason}), site=box.row.site_code)


def _condition_there(box: Box, said: Condition | None) -> Condition:
    """What an item is that nobody can name: as somebody said, else as the place suggests."""
    return said or (Condition.FROZEN if box.standing.judged in CRYOGENIC else Condition.FRESH)


def _in_condition(item: Snapshot, condition: Condition) -> Snapshot:
    return replace(item, projection=replace(item.projection, condition=condition.value))


def _unidentified(session: Session, act: Act, box: Box, said: Condition | None) -> tuple[Snapshot, Move]:
    """Register an item nobody can name. `said`: its condition; where nobody said one the entry says that it is assumed."""
    code = new_code(session, "UN", year=act.at.year % 100)
    row = box.row
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
        condition=_condition_there(box, said),
        assumed=said is None,
        place=row.code,
    )
    return snapshot, Move(snapshot, event, site=row.site_code)
