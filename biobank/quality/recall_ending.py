"""The end of a recall: what becomes of each unit it froze, and the closing by two of quality, who alone end its holds.

While a recall is open no single signature lifts one of its holds, by whatever route (`quality/holds.py: HeldByRecall`).
A unit that is gone otherwise than to a patient needs no decision; one that was given is followed up.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Completed, Proposed, propose_or_complete, two_person
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import Appended
from biobank.custody.models import hold
from biobank.custody.recording import Circumstances, acknowledge, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, HoldScope, Quality, State
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.deviations import digest_of, find_deviation
from biobank.quality.incident_events import RecallClosed, RecallDisposed
from biobank.quality.models import notice, recall_closing, recall_disposition, recall_item
from biobank.quality.recalls import read_recall, row_of_recall
from biobank.quality.schemas import Code, Reason, RecallDetail, RecalledUnit, Recorded, Token
from biobank.quality.streams import record_on_stream

Disposition = Literal["cleared", "rejected", "followed_up"]


class RecallClosedAlready(Conflict):
    """Nothing of it is left to decide."""

    code = "recall_closed"
    title = "Recall closed already"


class DispositionDoesNotFit(Conflict):
    """What is decided of a unit has to fit where it is and what quality says of it."""

    code = "disposition_does_not_fit"
    title = "Does not fit this unit"


class RecallUnsettled(Conflict):
    """A recall is closed when every unit it reached is frozen and decided."""

    code = "recall_unsettled"
    title = "Not every unit is decided"


class DisposeRequest(Circumstances):
    """What becomes of units of a recall: those named, or with none named all that nobody decided yet."""

    specimens: list[Code] | None = Field(default=None, min_length=1, max_length=5000)
    disposition: Disposition = Field(
        description="cleared: not affected; rejected: quality rejected it, and it may be destroyed afterwards; "
        "followed_up: it was given to its donor, and who treats them was told."
    )
    reason: Reason
    signature: Token = None


class CloseRecallRequest(Circumstances):
    """Every unit is decided: the recall ends, and its holds with it."""

    reason: Reason
    signature: Token = None
    pending_act: UUID | None = Field(default=None, description="The proposal that this completes, as the second person.")


class RecallDisposedAnswer(RecallDetail, Recorded):
    """How it stands now, and of how many units this decided."""

    decided: int


class RecallClosedAnswer(RecallDetail, Recorded):
    """It is closed; how many holds ended."""

    status: Literal["done"] = "done"
    holds_lifted: int


def needs_decision(unit: RecalledUnit) -> bool:
    """Say whether somebody has to say what becomes of the unit: it is still there, or was given to a patient. Pure."""
    return State(unit.state) not in TERMINAL or unit.state == State.ADMINISTERED.value


def misfit(unit: RecalledUnit, disposition: str) -> Refusal | None:
    """Return why the disposition does not fit the unit as it is now, or None. Pure."""
    given = unit.state == State.ADMINISTERED.value
    if not needs_decision(unit):
        return DispositionDoesNotFit(f"{unit.specimen} is {unit.state}: there is nothing to decide of it.", subject=unit.specimen)
    if given != (disposition == "followed_up"):
        said = "was given to its donor: it is followed up" if given else "was not given: clear or reject it"
        return DispositionDoesNotFit(f"{unit.specimen} {said}.", subject=unit.specimen)
    if disposition == "rejected" and unit.quality != Quality.REJECTED.value:
        return DispositionDoesNotFit(f"Quality has not rejected {unit.specimen} yet. Reject it first.", subject=unit.specimen)
    return None


def closing_refusals(one: RecallDetail) -> list[Refusal]:
    """Return every reason why a recall may not be closed as it stands: what the page says and the use case raises. Pure."""
    if one.closed_at is not None:
        return [RecallClosedAlready(f"The recall of {one.deviation} is closed.", subject=one.deviation)]
    found: list[Refusal] = []
    open_units = [unit.specimen for unit in one.items if needs_decision(unit) and unit.disposition is None]
    if open_units:
        found.append(
            RecallUnsettled(
                f"Nobody decided yet what becomes of {_some(open_units)}.", subject=one.deviation, specimens=open_units[:100]
            )
        )
    found += [why for unit in one.items if unit.disposition and needs_decision(unit) and (why := misfit(unit, unit.disposition))]
    if one.reached_since:
        found.append(
            RecallUnsettled(
                f"Its cause has reached more since, which no recall froze: {_some(one.reached_since)}. Start a recall of them.",
                subject=one.deviation,
                specimens=one.reached_since[:100],
            )
        )
    return found


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:5]) + (f" and {len(codes) - 5} more" if len(codes) > 5 else "")


def _locked(session: Session, act: Act, recall: UUID | str) -> "tuple[Row[Any], RecallDetail]":
    """Lock the recall by its deviation's row, and its units; return it as it stands."""
    act.require(Permission.RECALL_START, at=EVERYWHERE)
    row = row_of_recall(session, act.actor, recall)
    find_deviation(session, act.actor, row.deviation_code, lock=True)
    frozen = session.execute(select(recall_item.c.specimen_code).where(recall_item.c.recall_id == row.id)).scalars().all()
    load(session, frozen, lock=True)
    return row, read_recall(session, act.actor, row.id)


def dispose(session: Session, act: Act, recall: UUID, request: DisposeRequest) -> RecallDisposedAnswer:
    """Say what becomes of units of an open recall: quality, signed "decided". The last word on a unit counts.

    Raises NotFound, NotPermitted, RecallClosedAlready, DispositionDoesNotFit, RecallUnsettled, and what `use_signature` raises.
    """
    row, one = _locked(session, act, recall)
    if one.closed_at is not None:
        raise_first(closing_refusals(one))
    frozen = {unit.specimen: unit for unit in one.items}
    asked = request.specimens
    if asked is None:
        asked = [unit.specimen for unit in one.items if needs_decision(unit) and unit.disposition is None]
    if not asked:
        raise RecallUnsettled("Every unit of it is decided. Name those that are to be decided anew.", subject=one.deviation)
    for code in dict.fromkeys(asked):
        if code not in frozen:
            raise DispositionDoesNotFit(f"{code} is no unit that this recall froze.", subject=code)
        if (why := misfit(frozen[code], request.disposition)) is not None:
            raise why
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = RecallDisposed(
        recall=str(row.id),
        disposition=request.disposition,
        reason=request.reason,
        subjects=len(set(asked)),
        subjects_sha256=digest_of(asked),
        signature=str(signature.id),
    )
    appended = record_on_stream(session, act, one.deviation, event, request, site=None, relies_on=(bytes(row.started_event),))
    said = {"disposition": request.disposition, "reason": request.reason, "event_hash": appended.leaf_hash}
    rows = [{"recall_id": row.id, "specimen_code": code} | said for code in sorted(set(asked))]
    statement = insert(recall_disposition)
    keys = [recall_disposition.c.recall_id, recall_disposition.c.specimen_code]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_={k: statement.excluded[k] for k in said}), rows)
    now = read_recall(session, act.actor, row.id)
    return RecallDisposedAnswer(**now.model_dump(), decided=len(rows), receipt=acknowledge(act, [appended]))


def settled_set(one: RecallDetail) -> str:
    """Return the SHA-256, hex, of what becomes of each unit: "CODE what", sorted, one a line. Pure."""
    return digest_of([f"{unit.specimen} {unit.disposition or unit.state}" for unit in one.items])


@two_person(
    "recall.close",
    "Close a recall",
    "I have read what becomes of each unit, and agree that the recall is closed and its holds end.",
    CloseRecallRequest,
    grave=True,
)
def close_recall(session: Session, act: Act, recall: UUID | str, request: CloseRecallRequest) -> RecallClosedAnswer | Proposed:
    """Close a recall of which every unit is decided, or propose it: two of quality sign. Its holds end with it.

    `recall`: its id, or the code of its deviation. Raises NotFound, NotPermitted, RecallClosedAlready, RecallUnsettled,
    DispositionDoesNotFit, and what `propose_or_complete` raises.
    """
    row, one = _locked(session, act, recall)
    raise_first(closing_refusals(one))
    counts = Counter(unit.disposition or "gone" for unit in one.items)
    step = propose_or_complete(
        session,
        act,
        "recall.close",
        one.deviation,
        {
            "reason": request.reason,
            "cleared": counts["cleared"],
            "rejected": counts["rejected"],
            "followed_up": counts["followed_up"],
            "gone": counts["gone"],
            "set": settled_set(one),
        },
        use_signature(session, act, request.signature, Meaning.CLOSED),
        request.pending_act,
        first_needs=Permission.RECALL_START,
        needs=Permission.RECALL_START,
    )
    if isinstance(step, Proposed):
        return step
    unread = select(func.count()).where(notice.c.deviation_code == one.deviation, notice.c.acknowledged_at.is_(None))
    event = RecallClosed(
        recall=str(row.id),
        reason=request.reason,
        subjects=len(one.items),
        subjects_sha256=settled_set(one),
        cleared=counts["cleared"],
        rejected=counts["rejected"],
        followed_up=counts["followed_up"],
        gone=counts["gone"],
        notices_unread=session.execute(unread).scalar_one(),
        signatures=(str(step.first_signature), str(step.second_signature)),
    )
    closed = record_on_stream(session, act, one.deviation, event, request, site=None, relies_on=(bytes(row.started_event),))
    session.execute(
        recall_closing.insert().values(
            recall_id=row.id,
            closed_at=act.at,
            closed_by=step.second_user,
            first_by=step.first_user,
            event_hash=closed.leaf_hash,
        )
    )
    lifted = _lift(session, act, row.id, request, closed, step)
    now = read_recall(session, act.actor, row.id)
    return RecallClosedAnswer(**now.model_dump(), holds_lifted=len(lifted), receipt=acknowledge(act, [closed, *lifted]))


def _lift(
    session: Session, act: Act, recall: UUID, request: CloseRecallRequest, closed: Appended, step: Completed
) -> list[Appended]:
    """Lift what the recall still holds; the second person's signature stands under it."""
    rows = session.execute(
        select(hold.c.id, hold.c.placed_event, hold.c.scope_id)
        .join(recall_item, recall_item.c.hold_id == hold.c.id)
        .where(recall_item.c.recall_id == recall, hold.c.lifted_at.is_(None))
        .order_by(hold.c.scope_id)
    ).all()
    units = load(session, [row.scope_id for row in rows], lock=True)
    lifted = []
    for row in rows:
        unit = units[row.scope_id]
        head = head_of(
            session,
            act,
            request,
            subject=unit.donor_code,
            site=unit.projection.site_code,
            last=unit.last_occurred_at,
            relies_on=(bytes(row.placed_event), closed.leaf_hash),
        )
        lifting = custody_holds.Lifting(row.id, bytes(row.placed_event), request.reason, str(step.second_signature), unit.code)
        lifted.append(
            custody_holds.lift(session, lifting, HoldScope.SPECIMEN, unit.code, head, specimen=unit, donor_code=unit.donor_code)
        )
    return lifted
