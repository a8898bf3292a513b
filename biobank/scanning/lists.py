"""A verdict for every tube of a list: may this be done with it, and if not, why and where does the tube go now.

Judging changes nothing and promises nothing: the commit checks everything again. It reads a whole list in a handful of
statements, because a list is judged again with every scan: what changed meanwhile shows at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import Event
from biobank.custody.events import CheckedOut, HandoverOffered, Received
from biobank.custody.legality import BACK_TO_ITS_PLACE, TO_QUARANTINE, Snapshot, refusal_of
from biobank.custody.snapshots import load, may_know
from biobank.custody.states import State
from biobank.foundation.codes import SPECIMENS, MalformedCode, Prefix, parse_code, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, NotFound, NotPermitted, Refusal
from biobank.foundation.terms import words
from biobank.scanning.commands import WORDINGS, Action
from biobank.scanning.rack_files import Line
from biobank.shipping.handover_rules import gives
from biobank.specimens.resolving import resolve_code
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.events import Moved, Safeguarded, Stored
from biobank.storage.rules import suits

Verdict = Literal["ready", "again", "unknown", "blocked"]


@dataclass(frozen=True)
class Wanted:
    """What a list is for. `place`: a box (store) or a badge (hand over) as scanned; `purpose`: of a check-out; `site`: where
    tubes are received.
    """

    action: Action = Action.LOOK
    place: str | None = None
    purpose: str | None = None
    site: str | None = None


@dataclass(frozen=True)
class Row:
    """A tube of the list. `seq` is the history that was judged: the commit goes through only on that one."""

    text: str
    verdict: Verdict
    code: str | None = None
    well: str | None = None
    why: str | None = None
    where_now: str | None = None
    seq: int | None = None
    material: str | None = None
    state: str | None = None
    slot: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class Place:
    """Where the tubes of a list go: a box with its free slots and the labels of all (by position code), or a badge."""

    code: str
    name: str
    kind: Literal["container", "badge"]
    row: Any = None
    free: Sequence[Slot] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    temperature: str | None = None

    @property
    def safe(self) -> bool:
        """Whether everything is accepted here, whatever its papers say."""
        return self.row is not None and self.row.purpose != "storage"


@dataclass(frozen=True)
class ScanList:
    """A judged list. `fault` says why nothing of it can be recorded yet: the box is not named, or not to be found."""

    wanted: Wanted
    rows: list[Row]
    place: Place | None = None
    fault: str | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ready(self) -> list[Row]:
        """The tubes that would be recorded."""
        return [row for row in self.rows if row.verdict == "ready"]


def judge(session: Session, actor: Actor, wanted: Wanted, lines: Sequence[Line], settings: Settings) -> ScanList:
    """Judge every line. Raises NotPermitted when the action is not the actor's at all."""
    actor.require(WORDINGS[wanted.action].permission, at=ANYWHERE)
    place, fault = _place(session, actor, wanted, settings)
    found = _resolve(session, actor, lines, settings)
    rows: list[Row] = []
    seen: set[str] = set()
    for line, (code, refusal) in zip(lines, found.answers, strict=True):
        if code is None:
            rows.append(_unknown(line, refusal))
        elif code in seen:
            rows.append(Row(line.text, "again", code, line.well, "Already in this list.", None))
        else:
            seen.add(code)
            rows.append(_row(actor, wanted, place, line, found.specimens[code]))
    if place is not None and place.kind == "container":
        rows = _with_slots(rows, found.specimens, place)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("ready", "again", "unknown", "blocked")}
    return ScanList(wanted, rows, place, fault or _missing(wanted, place), counts)


def _missing(wanted: Wanted, place: Place | None) -> str | None:
    if wanted.action is Action.STORE and place is None:
        return "Scan the box they go into."
    if wanted.action is Action.HAND_OVER and place is None:
        return "Scan the badge of whoever takes them."
    if wanted.action is Action.CHECK_OUT and wanted.purpose is None:
        return "Say what they are checked out for."
    if wanted.action is Action.RECEIVE and wanted.site is None:
        return "Say where they arrived."
    return None


def _place(session: Session, actor: Actor, wanted: Wanted, settings: Settings) -> tuple[Place | None, str | None]:
    kind = WORDINGS[wanted.action].place
    if kind is None or not wanted.place:
        return None, None
    try:
        code = resolve_payload(wanted.place, settings.host_name, settings.former_hosts)
        if code.prefix.value not in kind.split():
            return None, f"{code.text} is not what is asked for here. {WORDINGS[wanted.action].hint}"
        if code.prefix == Prefix.BADGE:
            return Place(code.text, code.text, "badge"), None
        text = code.text
        if code.prefix == Prefix.POSITION:
            position = queries.find_position(session, None, text)
            if position is None:
                return None, f"There is no position {text}. Scan the box instead."
            text = position.container_code
        row = queries.get_container(session, actor, text)
        actor.require(Permission.STORAGE_RECORD, at=row.site_code)
    except Refusal as refusal:
        return None, refusal.detail
    free, labels = queries.free_slots(session, row.code), queries.labels_of(session, row.code)
    (shown,) = queries.public_containers(session, [row])
    name = f"{' · '.join(shown.path[1:])} · {len(free)} free"
    return Place(row.code, name, "container", row, free, labels, queries.temperature_class_of(session, row.code)), None


@dataclass(frozen=True)
class _Found:
    answers: list[tuple[str | None, Refusal | None]]
    specimens: dict[str, Snapshot]


def _resolve(session: Session, actor: Actor, lines: Sequence[Line], settings: Settings) -> _Found:
    """Find every specimen: our own codes in one read, whatever else was scanned one by one (it is rare)."""
    own: dict[str, str] = {}
    for line in lines:
        try:
            code = resolve_payload(line.text, settings.host_name, settings.former_hosts)
        except Refusal:
            continue
        if code.prefix in SPECIMENS:
            own[line.text] = code.text
    specimens = {c: s for c, s in load(session, own.values(), holds=True).items() if may_know(actor, s)} if own else {}
    answers: list[tuple[str | None, Refusal | None]] = []
    for line in lines:
        code_text = own.get(line.text)
        if code_text in specimens:
            answers.append((code_text, None))
            continue
        answers.append(_other(session, actor, line.text, settings, specimens))
    return _Found(answers, specimens)


def _other(
    session: Session, actor: Actor, text: str, settings: Settings, specimens: dict[str, Snapshot]
) -> tuple[str | None, Refusal | None]:
    try:
        found = resolve_code(session, actor, text, settings)
    except Refusal as refusal:
        return None, refusal
    if found.specimen is None:
        kind = parse_code(found.code).prefix.name.replace("_", " ").lower()
        return None, MalformedRequest(f"{found.code} is a {kind}, not a tube. Scan the tube.")
    specimens.update(load(session, [found.code], holds=True))
    return found.code, None


def _unknown(line: Line, refusal: Refusal | None) -> Row:
    assert refusal is not None
    known_bad = not isinstance(refusal, NotFound | MalformedCode)
    # What was only misread is read again; what cannot be known goes where it is safe.
    where = None if isinstance(refusal, MalformedCode) else refusal.problem().get("where_now") or TO_QUARANTINE
    return Row(line.text, "blocked" if known_bad else "unknown", None, line.well, refusal.detail, where)


def _row(actor: Actor, wanted: Wanted, place: Place | None, line: Line, specimen: Snapshot) -> Row:
    refusal = _refusal(actor, wanted, place, specimen)
    projection = specimen.projection
    return Row(
        line.text,
        "ready" if refusal is None else "blocked",
        specimen.code,
        line.well,
        None if refusal is None else refusal.detail,
        None if refusal is None else refusal.problem().get("where_now") or BACK_TO_ITS_PLACE,
        specimen.seq,
        specimen.material,
        projection["state"],
        place=projection["container_code"],
    )


def event_class(action: Action, place: Place | None, specimen: Snapshot) -> type[Event] | None:
    """The kind of event that the action would record on the specimen; None when it records nothing."""
    if action is Action.RECEIVE:
        return Received
    if action is Action.CHECK_OUT:
        return CheckedOut
    if action is Action.HAND_OVER:
        return HandoverOffered
    if action is Action.STORE:
        if place is not None and place.safe:
            return Safeguarded
        return Moved if specimen.state is State.STORED else Stored
    return None


def _refusal(actor: Actor, wanted: Wanted, place: Place | None, specimen: Snapshot) -> Refusal | None:
    event = event_class(wanted.action, place, specimen)
    if event is None:
        return None
    illegal = refusal_of(event, specimen)
    if illegal is not None:
        return illegal
    if event.permission is not None and not actor.may(event.permission, at=(wanted.site, *specimen.sites)):
        return NotPermitted(f"{specimen.code} belongs to a site where this is not your task.", subject=specimen.code)
    if wanted.action is Action.HAND_OVER and not gives(
        actor, specimen.projection["custodian_kind"], specimen.projection["custodian_id"]
    ):
        holder = specimen.projection["custodian_id"] or specimen.projection["custodian_kind"]
        return NotPermitted(
            f"{specimen.code} is in the custody of {holder}. Only its holder hands it over.", subject=specimen.code
        )
    if place is not None and place.kind == "container" and not place.safe:
        condition = specimen.projection["condition"]
        if not suits(condition, place.temperature):
            warm = words(place.temperature)
            cold = condition.replace("_", " ")
            return MalformedRequest(f"{specimen.code} is {cold} and {place.code} is {warm}. Choose another box.")
    return None


def _with_slots(rows: list[Row], specimens: Mapping[str, Snapshot], place: Place) -> list[Row]:
    """Give every tube that is ready its place in the box: the well it was scanned in, its own, or the next free one."""
    ready = {row.code: specimens[row.code] for row in rows if row.verdict == "ready" and row.code is not None}
    leaving = {place.labels.get(s.projection["position_code"] or "") for s in ready.values()}
    open_labels = {slot.label for slot in place.free} | (leaving - {None})
    answer: list[Row] = []
    taken: set[str] = set()
    for row in rows:
        done = row if row.code not in ready else _in_its_slot(row, ready[row.code], place, open_labels, taken)
        taken |= {done.slot} if done.slot else set()
        answer.append(done)
    rest = [slot for slot in place.free if slot.label not in taken]
    waiting = [n for n, row in enumerate(answer) if row.verdict == "ready" and row.slot is None]
    for n, slot in zip(waiting, choose_positions(rest, len(waiting)), strict=False):
        answer[n] = replace(answer[n], slot=slot.label)
    if place.safe:
        return answer
    full = f"{place.code} has no free place left. Take another box for this one."
    return [_blocked(row, full) if row.verdict == "ready" and row.slot is None else row for row in answer]


def _in_its_slot(row: Row, specimen: Snapshot, place: Place, open_labels: set[str | None], taken: set[str]) -> Row:
    """Put one tube where it was scanned, or back into the slot kept for it; leave it for the next free one otherwise."""
    here = specimen.projection["container_code"] == place.code
    own = place.labels.get(specimen.projection["position_code"] or "") if here else None
    well = None if row.well is None else place.labels.get(row.well, row.well)
    stored_here = here and specimen.state is State.STORED
    if stored_here and (well is None or well == own):
        return replace(row, verdict="again", why=f"Already in {place.code}{'' if own is None else f' at {own}'}.", where_now=None)
    if well is None:
        return replace(row, slot=own if own is not None and own not in taken else None)
    if well in taken:
        return _blocked(row, f"Two tubes of this list stand at {well}. Give one of them another place.")
    if well not in open_labels and well != own:
        return _blocked(row, f"{well} of {place.code} is taken, or there is no such place.")
    return replace(row, slot=well)


def _blocked(row: Row, why: str) -> Row:
    return replace(row, verdict="blocked", why=why, where_now=TO_QUARANTINE)
