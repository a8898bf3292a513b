"""Recording a list: every tube that was ready, in one transaction, or nothing; and undoing the whole of it by reversals.

A list is recorded as the batch calls of the API record it (`POST /custody-events`, `/{box}/placements`, `/handovers`): the
same rules, the same refusals. What the list said of a tube is its `seq`: a tube that moved on meanwhile refuses the list.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.benches.schemas import ScanAtBench
from biobank.benches.service import scan_at_bench
from biobank.custody.events import CheckedOut, Received
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, Circumstances, require_expected
from biobank.custody.reversal import ReverseRequest, reverse
from biobank.custody.schemas import BatchEventRequest, EventReceipt, request_model
from biobank.custody.service import record_batch
from biobank.donors.models import donor
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, Refused
from biobank.scanning.commands import WORDINGS, Action
from biobank.scanning.lists import NothingToRecord, Place, Row, ScanList, Wanted, check_list
from biobank.scanning.rack_files import LONGEST_LIST, Line
from biobank.shipping import handovers
from biobank.shipping.schemas import DeclineRequest, HandoverRequest, SpecimenAsSeen
from biobank.specimens.models import specimen
from biobank.storage.schemas import Placement, PlacementsRequest
from biobank.storage.service import place_specimens

UNDONE = "scan_list_undone"

_BATCH: Mapping[Action, Any] = {
    Action.RECEIVE: request_model(Received, BatchEventRequest),
    Action.CHECK_OUT: request_model(CheckedOut, BatchEventRequest),
}


class SeenTube(BaseModel):
    """A tube as the list showed it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=300)]
    well: Annotated[str, Field(max_length=20)] | None = None
    seq: Annotated[int, Field(ge=0, le=2**31 - 1)]
    slot: Annotated[str, Field(max_length=20)] | None = None


class RecordedTube(BaseModel):
    """What was recorded for one tube; `undo` names the event that a reversal takes back."""

    specimen: str
    seq: int
    place: str | None = None
    undo: str


class RecordedList(BaseModel):
    """A recorded list with our signature under it."""

    action: Action
    items: list[RecordedTube]
    handover: str | None = None
    place: str | None = None
    receipt: str | None = None


class UndoneTube(BaseModel):
    """A tube to take back: the event, and the sequence the record stood at after it."""

    model_config = ConfigDict(extra="forbid")

    specimen: Annotated[str, Field(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
    seq: Annotated[int, Field(ge=1, le=2**31 - 1)]
    undo: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UndoRequest(BaseModel):
    """A recorded list to take back."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    items: Annotated[list[UndoneTube], Field(min_length=1, max_length=LONGEST_LIST)]
    handover: UUID | None = None


class UndoneList(BaseModel):
    """What was taken back."""

    specimens: list[str]


def commit_list(
    session: Session, act: Act, wanted: Wanted, tubes: Sequence[SeenTube], settings: Settings
) -> RecordedList | Refused:
    """Record the list, all or nothing.

    Raises NothingToRecord, StaleSequence for a tube that moved on since the list was shown, and for the first tube that is not
    ready the first reason of its row (IllegalTransition, NotPermitted, ContainerFull, PositionOccupied …); the refusal's
    `subject` names the tube.
    """
    listed = check_list(session, act.actor, wanted, [Line(tube.text, tube.slot or tube.well) for tube in tubes], settings)
    if listed.refusal is not None:
        raise listed.refusal
    if not listed.rows or wanted.action is Action.LOOK:
        raise NothingToRecord("There is nothing to record: scan a tube first, and choose what is to be done.")
    seqs = [(row, tube.seq) for row, tube in zip(listed.rows, tubes, strict=True)]
    for row, seq in seqs:
        if row.code is not None and row.seq is not None:
            require_expected(listed.specimens[row.code], seq)
    for row in listed.rows:
        require_ready(row)
    if wanted.action is Action.STORE:
        return store(session, act, listed, seqs)
    if wanted.action is Action.HAND_OVER:
        return _hand_over(session, act, listed, seqs)
    if wanted.action is Action.BENCH:
        return _at_bench(session, act, listed, seqs)
    return observe(session, act, wanted, seqs)


def _at_bench(session: Session, act: Act, listed: ScanList, rows: Sequence[tuple[Row, int]]) -> RecordedList | Refused:
    """Record that the tubes are handled at the workstation. That they were there is not taken back."""
    assert listed.place is not None
    assert listed.place.bench is not None
    request = ScanAtBench(specimens=[row.code or "" for row, _ in rows])
    answer = scan_at_bench(session, act, listed.place.bench.code, request)
    if isinstance(answer, Refused):
        return answer
    items = [RecordedTube(specimen=row.code or "", seq=seq, undo="0" * 64) for row, seq in rows]
    return RecordedList(action=Action.BENCH, items=items, place=listed.place.code, receipt=answer.receipt)


def require_ready(row: Row) -> None:
    """Raise the first reason why a tube of a list is not recorded."""
    if row.refusals:
        raise row.refusals[0]
    if row.verdict != "ready":
        raise NothingToRecord(f"{row.code or 'A scan'}: {row.note} Take it off the list, then record the rest.", subject=row.code)


def observe(
    session: Session, act: Act, wanted: Wanted, rows: Sequence[tuple[Row, int]], given: Circumstances = NOW
) -> RecordedList:
    """Record a list of receipts or check-outs, each tube with the sequence that was seen."""
    said: dict[str, Any] = {"site": wanted.site} if wanted.action is Action.RECEIVE else {"purpose": wanted.purpose}
    kind = "specimen.received" if wanted.action is Action.RECEIVE else "specimen.checked_out"
    model = _BATCH[wanted.action]
    said |= given.model_dump(exclude_unset=True)
    requests = [model(kind=kind, specimen=row.code, expected_seq=seq, **said) for row, seq in rows]
    answer = record_batch(session, act, requests)
    return RecordedList(
        action=wanted.action, items=[_tube(item) for item in answer.items], place=wanted.site, receipt=answer.receipt
    )


def _tube(item: EventReceipt, place: str | None = None) -> RecordedTube:
    return RecordedTube(specimen=item.id, seq=item.seq, undo=item.leaf_hash, place=place)


def store(
    session: Session,
    act: Act,
    listed: ScanList,
    rows: Sequence[tuple[Row, int]],
    given: Circumstances = NOW,
    *,
    chosen: bool = True,
) -> RecordedList:
    """Record tubes as stored. `chosen`: the list gave each its slot; else what nobody named a slot for has none that is known."""
    place = listed.place
    assert isinstance(place, Place)
    unnamed = [not chosen and row.well is None and row.slot is not None for row, _ in rows]
    placements = [
        Placement(specimen=row.code or "", position=None if unknown else row.slot, slot_unknown=unknown, expected_seq=seq)
        for (row, seq), unknown in zip(rows, unnamed, strict=True)
    ]
    request = PlacementsRequest(placements=placements, **given.model_dump(exclude_unset=True))
    answer = place_specimens(session, act, place.code, request)
    items = [_tube(item.event, f"{item.container} {item.label or ''}".strip()) for item in answer.items]
    return RecordedList(action=Action.STORE, items=items, place=place.code, receipt=answer.receipt)


def _hand_over(session: Session, act: Act, listed: ScanList, rows: Sequence[tuple[Row, int]]) -> RecordedList:
    assert listed.place is not None
    seen = [SpecimenAsSeen(specimen=row.code or "", expected_seq=seq) for row, seq in rows]
    answer = handovers.offer(session, act, HandoverRequest(specimens=seen, to_kind="user", to_id=listed.place.code))
    items = [RecordedTube(specimen=row.code or "", seq=seq + 1, undo="0" * 64) for row, seq in rows]
    return RecordedList(action=Action.HAND_OVER, items=items, handover=answer.id, place=listed.place.code, receipt=answer.receipt)


def undo_list(session: Session, act: Act, request: UndoRequest) -> UndoneList:
    """Take a recorded list back, all or nothing: a reversal of each event, or the offer withdrawn.

    Raises what a reversal raises (NotTheLatest, LaterEventsRestOnIt, FormerPositionTaken, StaleSequence, NotPermitted).
    """
    codes = sorted(item.specimen for item in request.items)
    if request.action is Action.BENCH:
        raise MalformedRequest("That a tube was at a workstation is not taken back.")
    if request.action is Action.HAND_OVER:
        if request.handover is None:
            raise MalformedRequest("The hand-over to take back is not named. Open it under Today and take it back there.")
        handovers.decline(session, act, request.handover, DeclineRequest(reason=UNDONE))
        return UndoneList(specimens=codes)
    _lock_donors(session, codes)
    for item in sorted(request.items, key=lambda one: one.specimen):
        reverse(session, act, item.specimen, ReverseRequest(expected_seq=item.seq, reverses=item.undo, reason=UNDONE))
    return UndoneList(specimens=codes)


def _lock_donors(session: Session, codes: Sequence[str]) -> None:
    """Lock every donor before the first specimen, in one order, as each reversal by itself would."""
    of_list = select(specimen.c.donor_code).where(specimen.c.code.in_(codes))
    donors = select(donor.c.code).where(donor.c.code.in_(of_list)).order_by(donor.c.code)
    session.execute(locked(donors, donor)).all()


def words_of(recorded: RecordedList) -> str:
    """Say in one sentence what was recorded."""
    count = len(recorded.items)
    where = f" to {recorded.place}" if recorded.handover else ""
    if recorded.action in {Action.STORE, Action.BENCH}:
        where = f" in {recorded.place}" if recorded.action is Action.STORE else f" ({recorded.place})"
    return f"{WORDINGS[recorded.action].done}: {count} {'tube' if count == 1 else 'tubes'}{where}."
