"""A verdict for every tube of a list: may this be done with it, and if not, why and where does the tube go now.

Each verdict is the answer of the functions that recording asks (`refusals_of_recording`, `placing_refusals`, `assign_slots`,
`offer_refusals`), so a tube that is ready is recorded unless it changes meanwhile. Nothing is changed here. A whole list is read
in a handful of statements, because it is looked at again with every scan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Row as SqlRow
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.benches.at_bench import stop_of
from biobank.benches.queries import open_session_at
from biobank.custody.events import CheckedOut, Received
from biobank.custody.legality import BACK_TO_ITS_PLACE, TO_QUARANTINE, Snapshot, refusals_of
from biobank.custody.recording import refusals_of_recording
from biobank.custody.snapshots import may_know
from biobank.custody.states import State
from biobank.foundation import clock
from biobank.foundation.codes import MalformedCode, Prefix, parse_code
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, NotFound, Refusal
from biobank.foundation.scanned_text import foreign_kind
from biobank.scanning.commands import WORDINGS, Action
from biobank.scanning.rack_files import Line, TwoTubesInOnePlace
from biobank.scanning.rack_words import is_unread
from biobank.scanning.racks import differences
from biobank.shipping.handover_queries import overdue_offers
from biobank.shipping.handover_rules import Receiver, offer_refusals, read_receiver, several_custodians
from biobank.specimens.resolving import Resolved, resolve_all
from biobank.specimens.scanned_labels import labels_in, outdated, read_current
from biobank.storage import queries
from biobank.storage.blindness import withheld
from biobank.storage.events import Moved, Stored
from biobank.storage.placing import Box, assign_slots, placing_refusals, read_box

Verdict = Literal["ready", "again", "unknown", "blocked"]
VERDICTS: tuple[Verdict, ...] = ("ready", "again", "unknown", "blocked")


class NothingToRecord(MalformedRequest):
    """The list has no tube that is ready, or does not say what is to be done."""

    code = "nothing_to_record"
    title = "Nothing to record"


class TubeNotRead(MalformedCode):
    """A rack scanner saw a tube and could not read it: somebody must look."""

    code = "tube_not_read"
    title = "Not read by the rack scanner"


@dataclass(frozen=True)
class Wanted:
    """What a list is for. `place`: a box (store), a badge (hand over) or a workstation (bench) as scanned; `purpose`: of a
    check-out; `site`: where tubes are received.
    """

    action: Action = Action.LOOK
    place: str | None = None
    purpose: str | None = None
    site: str | None = None


@dataclass(frozen=True)
class Row:
    """A tube of the list. `seq` is the history that was looked at: the commit goes through only on that one.

    `refusals`: every reason why not, in the order that recording raises them; `note`: why there is nothing to do.
    """

    text: str
    verdict: Verdict
    code: str | None = None
    well: str | None = None
    refusals: tuple[Refusal, ...] = ()
    note: str | None = None
    seq: int | None = None
    material: str | None = None
    state: str | None = None
    slot: str | None = None
    place: str | None = None

    @property
    def reasons(self) -> list[str]:
        """Why it is not ready, one sentence each, the first reason first."""
        return [refusal.detail for refusal in self.refusals] or ([] if self.note is None else [self.note])

    @property
    def why(self) -> str | None:
        """The first reason."""
        return self.reasons[0] if self.reasons else None

    @property
    def where_now(self) -> str | None:
        """Where the tube goes that is not ready. What was only misread is read again."""
        if not self.refusals or isinstance(self.refusals[0], MalformedCode):
            return None
        if self.code is None and foreign_kind(self.text) is not None:
            return self.refusals[0].where_now
        return self.refusals[0].where_now or (TO_QUARANTINE if self.code is None else BACK_TO_ITS_PLACE)


@dataclass(frozen=True)
class Place:
    """Where the tubes of a list go: a container, whoever has the badge, or the workstation that is open."""

    code: str
    name: str
    box: Box | None = None
    receiver: Receiver | None = None
    bench: "SqlRow[Any] | None" = None


@dataclass(frozen=True)
class ScanList:
    """A list with a verdict for every tube. `refusal` says why nothing of it can be recorded yet: the box is not named, say.

    `differences`: where a rack's file and the record of the box disagree, in words.
    """

    wanted: Wanted
    rows: list[Row]
    place: Place | None = None
    refusal: Refusal | None = None
    specimens: Mapping[str, Snapshot] = field(default_factory=dict)
    differences: Sequence[str] = ()

    @property
    def fault(self) -> str | None:
        """Why nothing of it can be recorded yet, in words."""
        return None if self.refusal is None else self.refusal.detail

    @property
    def ready(self) -> list[Row]:
        """The tubes that would be recorded."""
        return [row for row in self.rows if row.verdict == "ready"]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each verdict."""
        return {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in VERDICTS}


def check_list(session: Session, actor: Actor, wanted: Wanted, lines: Sequence[Line], settings: Settings) -> ScanList:
    """Give every line its verdict. Raises NotPermitted when the action is not the actor's at all."""
    actor.require(WORDINGS[wanted.action].permission, at=ANYWHERE)
    place, refusal = _place(session, actor, wanted, settings)
    box = None if place is None else place.box
    lines, wrong_slots = _read_wells(session, lines, settings)
    found = _resolve(session, actor, lines, settings, hidden=box is not None and box.safe)
    overdue: frozenset[str] = frozenset()
    if wanted.action is Action.HAND_OVER and found.specimens:
        overdue = overdue_offers(session, found.specimens.keys(), clock.now())
    rows: list[Row] = []
    seen: set[str] = set()
    wells: set[str] = set()
    for line, (code, unresolved) in zip(lines, found.answers, strict=True):
        if code is None:
            assert unresolved is not None
            rows.append(_unknown(line, unresolved))
        elif code in seen:
            rows.append(Row(line.text, "again", code, line.well, note="Already in this list."))
        else:
            seen.add(code)
            specimen = found.specimens[code]
            refusals = refusals_for(actor, wanted, place, specimen, overdue=code in overdue)
            if box is None and line.well is not None and line.well in wells:
                refusals = [TwoTubesInOnePlace(f"Two tubes of this list stand in {line.well}. Look into the rack."), *refusals]
            if line.well in wrong_slots:
                refusals = [wrong_slots[line.well], *refusals]
            wells |= set() if line.well is None else {line.well}
            rows.append(_row(line, specimen, refusals, known=may_know(actor, specimen)))
    if box is not None:
        rows = _with_slots(rows, found.specimens, box)
    named = [(line, row.code) for line, row in zip(lines, rows, strict=True)]
    unlike = [] if box is None or withheld(session, actor, box.code) else differences(session, box, named)
    listed = ScanList(wanted, rows, place, refusal or _missing(wanted, place), found.specimens, unlike)
    if listed.refusal is None and wanted.action is Action.HAND_OVER:
        several = several_custodians([found.specimens[row.code] for row in listed.ready if row.code is not None])
        return replace(listed, refusal=several)
    return listed


def _read_wells(session: Session, lines: Sequence[Line], settings: Settings) -> tuple[list[Line], Mapping[str | None, Refusal]]:
    """Return the lines with codes of positions where their labels were scanned, and what stands against such labels by code."""
    labels = labels_in({line.well for line in lines if line.well is not None}, settings)
    against = outdated(session, labels.values())
    read = [line if line.well not in labels else replace(line, well=labels[line.well].text) for line in lines]
    return read, {code.text: against[code.label] for code in labels.values() if code.label in against}


def refusals_for(
    actor: Actor, wanted: Wanted, place: Place | None, specimen: Snapshot, *, overdue: bool = False
) -> list[Refusal]:
    """Return every reason why the actor may not do with the tube what the list is for, in the order recording raises them.

    `overdue`: it stands in an offer whose time has passed. Slots are given afterwards, to all tubes at once.
    """
    if wanted.action is Action.RECEIVE:
        if wanted.site is None:
            return refusals_of(Received, specimen)
        return refusals_of_recording(actor, Received, specimen, site=wanted.site)
    if wanted.action is Action.CHECK_OUT:
        return refusals_of_recording(actor, CheckedOut, specimen)
    if wanted.action is Action.HAND_OVER:
        return offer_refusals(actor, specimen, None if place is None else place.receiver, overdue=overdue)
    if wanted.action is Action.STORE:
        if place is None or place.box is None:
            return refusals_of(Moved if specimen.state is State.STORED else Stored, specimen)
        return placing_refusals(actor, specimen, place.box)
    if wanted.action is Action.BENCH and place is not None and place.bench is not None:
        stop = stop_of(place.bench, {specimen.code: specimen.donor_code})
        return [] if stop is None else [stop]
    return []


def _missing(wanted: Wanted, place: Place | None) -> NothingToRecord | None:
    if wanted.action is Action.STORE and place is None:
        return NothingToRecord("Scan the box they go into.")
    if wanted.action is Action.HAND_OVER and place is None:
        return NothingToRecord("Scan the badge of whoever takes them.")
    if wanted.action is Action.BENCH and place is None:
        return NothingToRecord("Scan the workstation that they are handled at.")
    if wanted.action is Action.CHECK_OUT and wanted.purpose is None:
        return NothingToRecord("Say what they are checked out for.")
    if wanted.action is Action.RECEIVE and wanted.site is None:
        return NothingToRecord("Say where they arrived.")
    return None


def _place(session: Session, actor: Actor, wanted: Wanted, settings: Settings) -> tuple[Place | None, Refusal | None]:
    kind = WORDINGS[wanted.action].place
    if kind is None or not wanted.place:
        return None, None
    try:
        code = read_current(session, wanted.place, settings)
        if code.prefix.value not in kind.split():
            raise NothingToRecord(f"{code.text} is not what is asked for here. {WORDINGS[wanted.action].hint}")
        if code.prefix == Prefix.BADGE:
            receiver = read_receiver(session, "user", code.text)
            return Place(code.text, code.text, receiver=receiver), receiver.refusal
        if code.prefix == Prefix.EQUIPMENT:
            bench = open_session_at(session, actor, code.text)
            return Place(code.text, f"{bench.name} · open for {bench.donor_code}", bench=bench), None
        text = code.text
        if code.prefix == Prefix.POSITION:
            position = queries.find_position(session, None, text)
            if position is None:
                raise NotFound(f"There is no position {text}. Scan the box instead.", subject=text)
            text = position.container_code
        row = queries.get_container(session, actor, text)
        actor.require(Permission.STORAGE_RECORD, at=row.site_code)
    except Refusal as refusal:
        return None, refusal
    box = read_box(session, row)
    path = " · ".join(queries.path_of(session, row.code))
    return Place(row.code, f"{path} · {len(box.free)} free", box=box), None


@dataclass(frozen=True)
class _Found:
    answers: list[tuple[str | None, Refusal | None]]
    specimens: dict[str, Snapshot]


def _resolve(session: Session, actor: Actor, lines: Sequence[Line], settings: Settings, *, hidden: bool) -> _Found:
    """Find every specimen. `hidden`: also live tubes that the actor may not know of, because a safe place takes them."""
    resolved = resolve_all(session, actor, {line.text for line in lines}, settings, hidden=hidden, holds=True)
    found = [_found(line, resolved[line.text]) for line in lines]
    specimens = {one.code: one.specimen for one in found if isinstance(one, Resolved) and one.specimen is not None}
    return _Found([_tube(one) for one in found], specimens)


def _found(line: Line, resolved: Resolved | Refusal) -> Resolved | Refusal:
    """Return what a line names: what the bank knows, before the words of readers are looked at."""
    return _not_read(line) if isinstance(resolved, Refusal) and is_unread(line.text) else resolved


def _not_read(line: Line) -> TubeNotRead:
    where = "a tube" if line.well is None else f"the tube in {line.well}"
    return TubeNotRead(f"The reader could not read {where}. Scan it by hand, or look whether one is there; then drop this line.")


def _tube(found: Resolved | Refusal) -> tuple[str | None, Refusal | None]:
    if isinstance(found, Refusal):
        return None, found
    if found.specimen is None:
        kind = parse_code(found.code).prefix.name.replace("_", " ").lower()
        return None, MalformedRequest(f"{found.code} is a {kind}, not a tube. Scan the tube.")
    return found.code, None


def _unknown(line: Line, refusal: Refusal) -> Row:
    verdict: Verdict = "unknown" if isinstance(refusal, NotFound | MalformedCode) else "blocked"
    return Row(line.text, verdict, None, line.well, (refusal,))


def _row(line: Line, specimen: Snapshot, refusals: Sequence[Refusal], *, known: bool) -> Row:
    """Build the row of a tube; of one that the actor may not know of it says nothing but the verdict."""
    return Row(
        line.text,
        "blocked" if refusals else "ready",
        specimen.code,
        line.well,
        tuple(refusals),
        seq=specimen.seq,
        material=specimen.material if known else None,
        state=specimen.projection.state if known else None,
        place=specimen.projection.container_code if known else None,
    )


def _with_slots(rows: list[Row], specimens: Mapping[str, Snapshot], box: Box) -> list[Row]:
    """Give every tube that is ready its place in the box, as recording will.

    A tube that gets none stays where it is, so its own slot is not free for the others: they are asked again without it.
    """
    answer = [_in_place_already(row, specimens[row.code], box) if _is_ready(row) else row for row in rows]  # type: ignore[index]
    while True:
        going = [n for n, row in enumerate(answer) if _is_ready(row)]
        slots = assign_slots(box, [(specimens[answer[n].code or ""], answer[n].well) for n in going])
        refused = False
        for n, slot in zip(going, slots, strict=True):
            if isinstance(slot, Refusal):
                answer[n] = replace(answer[n], verdict="blocked", refusals=(slot,))
                refused = True
        if not refused:
            break
    for n, slot in zip(going, slots, strict=True):
        assert not isinstance(slot, Refusal)
        answer[n] = replace(answer[n], slot=None if slot is None else slot.label)
    return answer


def _is_ready(row: Row) -> bool:
    return row.verdict == "ready" and row.code is not None


def _in_place_already(row: Row, specimen: Snapshot, box: Box) -> Row:
    """Say that there is nothing to do with a tube that is stored in this box, at the well it was scanned in if any."""
    if specimen.state is not State.STORED or specimen.projection.container_code != box.code:
        return row
    own = box.slot_of(specimen)
    if row.well is not None and box.slot(row.well) != own:
        return row
    note = f"Already in {box.code}{'' if own is None else f' at {own.label}'}."
    return replace(row, verdict="again", note=note)
