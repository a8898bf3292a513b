"""Corrections: what an event said wrongly is *amended*, a change of state that never happened is *reversed*.

Nothing is edited. An amendment names the event and the field, and stands beside it. A reversal undoes only the latest change
of state, and only what that event itself changed: what was recorded since stays, and when it rests on the undone event the
reversal is refused. The former position must still be free.

The end of a specimen (administered, consumed, discarded, transferred out, lost) is undone by two people of quality, each with
a signature, on evidence, and the specimen is marked for ever. A reversal is not itself reversed: record what is right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, ValidationError
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.malformed import refusal_of_errors
from biobank.acts.signing import Meaning
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.coming_in import came_in, count_again
from biobank.custody.corrected_arrivals import judge_again, require_possible
from biobank.custody.entry import parse_entry
from biobank.custody.event import Event, parse_payload, rules
from biobank.custody.events import Amended, Reversed
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.rebuild import entries_of, fold
from biobank.custody.recording import Circumstances, Move, permission_refusal, record, require_expected
from biobank.custody.schemas import EventAnswer
from biobank.custody.service import answer_of
from biobank.custody.snapshots import get_visible, load
from biobank.custody.states import TERMINAL, State
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import Handling
from biobank.foundation.terms import words
from biobank.transparency.models import event

LeafHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Leaf hash of the event, in hex.")]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1)]

donor_lock: FromAbove[Callable[[Session, str], object]] = FromAbove("donors")
"""Lock a donor's row, the first in the lock order."""


former_journey_refusals: FromAbove[Callable[[Session, Snapshot], list[Refusal]]] = FromAbove("shipping")
"""Why a specimen as it would be once more cannot be on its way again: its journey is over."""

former_place_refusals: FromAbove[Callable[[Session, Snapshot, bool], list[Refusal]]] = FromAbove("storage")
"""Why a specimen as it would be once more may not stand where it was; the place is locked."""


giving_undone: FromAbove[Callable[[Session, Act, str, bytes, Circumstances, Appended], list[Appended]]] = FromAbove("withdrawals")
"""Lead a withdrawal back to before a giving whose event, named by its leaf hash, was undone; of another event nothing follows."""


class NotTheLatest(Conflict):
    """The event named is not the latest change of state."""

    code = "not_the_latest"
    title = "Not the latest change of state"


class CannotBeReversed(Conflict):
    """There is nothing before it to go back to, or it is a reversal itself."""

    code = "cannot_be_reversed"
    title = "Cannot be reversed"


class LaterEventsRestOnIt(Conflict):
    """What was recorded since changed the same things."""

    code = "later_events_rest_on_it"
    title = "Later events rest on it"


class FormerPositionTaken(Conflict):
    """Another specimen is in the place it would go back to."""

    code = "former_position_taken"
    title = "Its former position is taken"


class EvidenceMissing(Conflict):
    """The end of a specimen is undone on evidence only."""

    code = "evidence_missing"
    title = "Evidence missing"


class NotAmendable(Conflict):
    """The field changes the state of the specimen, or says what it is and whose."""

    code = "not_amendable"
    title = "Not amended"


class ReverseRequest(Circumstances):
    """Undo the latest change of state.

    For a terminal state send `evidence_sha256` and sign; the second person sends the same with `pending_act`.
    """

    expected_seq: Seq | None = None
    reverses: LeafHash
    reason: Handling
    evidence_sha256: FileHash | None = None
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pending_act: UUID | None = None


class ReversalDone(EventAnswer):
    """The change is undone."""

    status: Literal["done"] = "done"


class AmendRequest(Circumstances):
    """Correct one field of one event."""

    expected_seq: Seq | None = None
    corrects: LeafHash
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    value: Annotated[str, Field(max_length=200)] | int | bool | None
    reason: Handling
    confirmed: bool = Field(default=False, description="The value was asked back as hardly possible, and it is so.")

    def listed(self) -> Iterator[str]:
        """A corrected reason or medium stands in the bank's lists, as one that is recorded first does."""
        if self.field in {"reason", "transport_medium"} and isinstance(self.value, str):
            yield self.value


@dataclass(frozen=True)
class Undoing:
    """The event to be undone, what its undoing restores, and when the state came about that is so restored."""

    kind: str
    leaf_hash: bytes
    since: datetime
    undone_at: datetime
    restores: dict[str, Any]


@two_person(
    "specimen.reverse",
    "Undo the end of a specimen",
    "I have read the evidence and agree that the recorded end was wrong.",
    ReverseRequest,
    grave=True,
    needs_seq=True,
)
def reverse(session: Session, act: Act, code: str, request: ReverseRequest) -> ReversalDone | Proposed:
    """Undo the latest change of state of a specimen, or propose it when it takes two.

    Raises NotFound, PreconditionMissing, StaleSequence, NotTheLatest, CannotBeReversed, LaterEventsRestOnIt,
    FormerPositionTaken, what stands against its former place, EvidenceMissing, AttachmentUnknown, NotPermitted,
    and what `two_sign` raises.
    """
    specimen = _locked(session, act, code)
    require_expected(specimen, request.expected_seq)
    undoing = _undoing(session, specimen, request.reverses)
    _require_former_place(session, specimen, undoing, lock=True)
    signatures: tuple[str, ...] = ()
    if specimen.state in TERMINAL:
        step = _two_of_quality(session, act, specimen, undoing, request)
        if isinstance(step, Proposed):
            return step
        signatures = step.signatures
        undoing.restores["marked"] = True
    done = Reversed(
        reverses=request.reverses,
        restores=undoing.restores,
        reason=request.reason,
        evidence_sha256=request.evidence_sha256,
        signatures=signatures,
    )
    appended = record(session, act, [Move(specimen, done, relies_on=(undoing.leaf_hash,))], request)
    appended += count_again.get()(session, act, code, undoing.undone_at, request)
    appended += giving_undone.get()(session, act, code, undoing.leaf_hash, request, appended[0])
    now = load(session, [code])[code]
    if now.state is State.STORED and now.projection.container_code is not None:
        appended += came_in.get()(session, act, {now.projection.container_code: undoing.since}, [code], appended[0])
    return ReversalDone(**answer_of(act, code, appended).model_dump())


def latest_change(session: Session, actor: Actor, code: str) -> tuple[Snapshot, Undoing]:
    """Return a specimen and what undoing its latest change of state would restore; raise what stands against it now.

    Raises NotFound, NotPermitted, CannotBeReversed, LaterEventsRestOnIt, FormerPositionTaken and what stands against its place.
    """
    specimen = get_visible(session, actor, code, holds=True)
    refusal = permission_refusal(actor, Reversed, specimen)
    if refusal is not None:
        raise refusal
    if specimen.state in TERMINAL:
        actor.require(Permission.QUALITY_DECIDE, at=_home(specimen))
    undoing = _undoing(session, specimen)
    _require_former_place(session, specimen, undoing, lock=False)
    return specimen, undoing


def _home(specimen: Snapshot) -> str | None:
    return specimen.home_site_code or specimen.projection.site_code


def _require_former_place(session: Session, specimen: Snapshot, undoing: Undoing, *, lock: bool) -> None:
    _require_free(session, specimen, undoing)
    restored = replace(specimen, projection=replace(specimen.projection, **undoing.restores))
    raise_first([*former_journey_refusals.get()(session, restored), *former_place_refusals.get()(session, restored, lock)])


def _locked(session: Session, act: Act, code: str) -> Snapshot:
    """Load the specimen under its donor's lock: an approval or a pick is finished, or sees the reversal."""
    seen = get_visible(session, act.actor, code)
    if seen.donor_code is not None:
        donor_lock.get()(session, seen.donor_code)
    return get_visible(session, act.actor, code, lock=True, holds=True)


def _undoing(session: Session, specimen: Snapshot, reverses: str | None = None) -> Undoing:
    """Find the latest change of state, which `reverses` has to name where it is given; judge whether it can be undone."""
    row = session.execute(
        select(event.c.kind, event.c.leaf_hash).where(
            event.c.stream_kind == "specimen", event.c.stream_id == specimen.code, event.c.seq == specimen.state_seq
        )
    ).one()
    members = {"subject": specimen.code, "where_now": specimen.where_now}
    if reverses not in (None, row.leaf_hash.hex()):
        raise NotTheLatest(
            f"Only the latest change of state of {specimen.code} can be undone: event {specimen.state_seq}, '{row.kind}'.",
            latest=row.leaf_hash.hex(),
            **members,
        )
    if row.kind == "specimen.reversed" or rules.by_kind[row.kind].starts:
        why = "is a reversal itself; record what is right instead" if row.kind == "specimen.reversed" else "began the record"
        raise CannotBeReversed(f"The latest change of state of {specimen.code} {why}.", **members)
    if instead := rules.by_kind[row.kind].undone_by:
        raise CannotBeReversed(
            f"The latest change of state of {specimen.code} is not undone by itself. {instead}",
            **members,
        )
    entries = entries_of(session, specimen.code)
    earlier = fold(entries[: specimen.state_seq - 1])
    before = earlier.projection.columns()
    after = fold(entries[: specimen.state_seq]).projection.columns()
    columns = set(Reversed.whole_effect()) - {"marked"}
    restores = {name: before[name] for name in sorted(columns) if before[name] != after[name] or name == "state"}
    moved_on = sorted(name for name in restores if getattr(specimen.projection, name) != after[name])
    if moved_on:
        raise LaterEventsRestOnIt(
            f"Since event {specimen.state_seq} other events changed {', '.join(moved_on)} of {specimen.code}. Undo or correct "
            "those first, or record what is right now.",
            changed=moved_on,
            **members,
        )
    since = datetime.fromisoformat(entries[earlier.state_seq - 1]["occurred_at"])
    undone_at = datetime.fromisoformat(entries[specimen.state_seq - 1]["occurred_at"])
    return Undoing(row.kind, bytes(row.leaf_hash), since, undone_at, restores)


def _require_free(session: Session, specimen: Snapshot, undoing: Undoing) -> None:
    position = undoing.restores.get("position_code")
    if position is None:
        return
    other = session.execute(
        select(custody.c.code).where(custody.c.position_code == position, custody.c.code != specimen.code)
    ).scalar()
    if other is not None:
        raise FormerPositionTaken(
            f"{specimen.code} would go back to {position}, where {other} is now. Store it where it really is instead.",
            where_now=specimen.where_now,
            subject=specimen.code,
            position=position,
        )


evidence_stored: FromAbove[Callable[[Session, str, str | None], None]] = FromAbove("quality")
"""Raises unless a file with this hash is stored, about this donor (None: of nobody) or the bank's own."""


def _two_of_quality(
    session: Session, act: Act, specimen: Snapshot, undoing: Undoing, request: ReverseRequest
) -> Completed | Proposed:
    """Take this person's signature and propose the reversal, or complete what the first person proposed."""
    site = _home(specimen)
    act.require(Permission.QUALITY_DECIDE, at=site)
    if request.evidence_sha256 is None:
        raise EvidenceMissing(
            "Undoing the end of a specimen needs evidence. Attach the document that shows it.",
            subject=specimen.code,
        )
    evidence_stored.get()(session, request.evidence_sha256, specimen.donor_code)
    body = {
        "kind": undoing.kind,
        "reverses": request.reverses,
        "reason": request.reason,
        "evidence_sha256": request.evidence_sha256,
    }
    return two_sign(
        session,
        act,
        "specimen.reverse",
        specimen.code,
        body,
        request,
        Permission.QUALITY_DECIDE,
        site=site,
        meaning=Meaning.REVERSED,
    )


def amend(session: Session, act: Act, code: str, request: AmendRequest) -> EventAnswer:
    """Correct a field of an earlier event that changed no state.

    Raises NotFound (specimen or event), PreconditionMissing, StaleSequence, NotAmendable, MalformedRequest for a value that the
    field cannot have, ImplausibleReading for a temperature that can hardly be right and was not read twice.
    """
    specimen = get_visible(session, act.actor, code, lock=True)
    require_expected(specimen, request.expected_seq)
    entry = _entry_to_correct(session, code, request.corrects)
    right = _corrected(code, entry, request)
    if type(right).arrives and request.field == "temperature_mc" and not request.confirmed:
        require_possible(session, act, specimen, entry, right)
    value: str | int | bool | None = getattr(right, request.field)
    event_ = Amended(corrects=request.corrects, field=request.field, value=value, reason=request.reason)
    move = Move(specimen, event_, relies_on=(bytes.fromhex(request.corrects),))
    appended = record(session, act, [move], request)
    if type(right).arrives:
        appended += judge_again(session, act, specimen, entry, right, request)
    return answer_of(act, code, appended)


def entry_to_correct(session: Session, actor: Actor, code: str, leaf_hash: str) -> tuple[Snapshot, dict[str, Any]]:
    """Return a specimen and the entry of its record that is to be corrected. Raises NotFound, NotPermitted, NotAmendable."""
    specimen = get_visible(session, actor, code)
    refusal = permission_refusal(actor, Amended, specimen)
    if refusal is not None:
        raise refusal
    entry = _entry_to_correct(session, code, leaf_hash)
    if not rules.by_kind[entry["kind"]].amendable:
        raise NotAmendable("Nothing of this entry is corrected: what changed the state is undone.", subject=code)
    return specimen, entry


def _entry_to_correct(session: Session, code: str, leaf_hash: str) -> dict[str, Any]:
    row = session.execute(
        select(event.c.entry).where(
            event.c.stream_kind == "specimen", event.c.stream_id == code, event.c.leaf_hash == bytes.fromhex(leaf_hash)
        )
    ).first()
    if row is None:
        raise NotFound(f"{code} has no such entry.", subject=code)
    return parse_entry(bytes(row.entry))


def _corrected(code: str, entry: dict[str, Any], request: AmendRequest) -> Event:
    """Return the event as it would be with the value as its class takes it."""
    cls = rules.by_kind[entry["kind"]]
    if request.field not in cls.amendable:
        can = ", ".join(words(one).lower() for one in sorted(cls.amendable)) or "nothing"
        raise NotAmendable(
            f"“{words(request.field)}” of this entry is not corrected: what changed the state is undone, and what says whose "
            f"cells these are takes two people. What can be corrected: {can}.",
            subject=code,
        )
    before = parse_payload(entry["kind"], entry["kv"], entry["body"])
    try:
        after = cls.model_validate(before.model_dump() | {request.field: request.value})
    except ValidationError as error:
        raise refusal_of_errors({**one, "loc": ("value",)} for one in error.errors(include_input=False)) from None
    wrong = after.amendment_refusal()
    if wrong is not None:
        raise wrong
    if getattr(after, request.field) == getattr(before, request.field):
        raise NotAmendable(f"“{words(request.field)}” says that already.", subject=code)
    return after
