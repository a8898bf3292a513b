"""The end of a recall: what becomes of each unit it froze, and the closing by two of quality, who alone end its holds.

While a recall is open no single signature lifts one of its holds, by whatever route (`quality/holds.py: HeldByRecall`).
A unit that is gone otherwise than to a patient needs no decision; one that was given is followed up.
"""

from collections import Counter
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import hold
from biobank.custody.recording import Circumstances, acknowledge, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import HoldScope
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.deviations import find_deviation
from biobank.quality.dispositions import (
    DisposeRequest,
    DispositionDoesNotFit,
    record_dispositions,
    some,
    undecided_refusals,
)
from biobank.quality.incident_events import RecallClosed
from biobank.quality.models import notice, recall_closing, recall_item
from biobank.quality.recalls import read_recall, row_of_recall
from biobank.quality.schemas import Reason, RecallDetail, Recorded, Token
from biobank.quality.streams import digest_of, record_on_stream


class RecallClosedAlready(Conflict):
    """Nothing of it is left to decide."""

    code = "recall_closed"
    title = "Recall closed already"


class RecallUnsettled(Conflict):
    """A recall is closed when every unit that its cause reached is frozen."""

    code = "recall_unsettled"
    title = "Not every unit is frozen"


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


def closing_refusals(one: RecallDetail) -> list[Refusal]:
    """Return every reason why a recall may not be closed as it stands: what the page says and the use case raises. Pure."""
    if one.closed_at is not None:
        return [RecallClosedAlready(f"The recall of {one.deviation} is closed.", subject=one.deviation)]
    found = undecided_refusals(one.deviation, one.items)
    if one.reached_since:
        found.append(
            RecallUnsettled(
                f"Its cause has reached more since, which no recall froze: {some(one.reached_since)}. Start a recall of them.",
                subject=one.deviation,
                specimens=one.reached_since[:100],
            )
        )
    return found


def _locked(session: Session, act: Act, recall: UUID | str) -> "tuple[Row[Any], RecallDetail, dict[str, Snapshot]]":
    """Lock the recall by its deviation's row, and its units; return it as it stands."""
    act.require(Permission.RECALL_START, at=EVERYWHERE)
    row = row_of_recall(session, act.actor, recall)
    find_deviation(session, act.actor, row.deviation_code, lock=True)
    frozen = session.execute(select(recall_item.c.specimen_code).where(recall_item.c.recall_id == row.id)).scalars().all()
    units = load(session, frozen, lock=True)
    return row, read_recall(session, act.actor, row.id), units


def dispose(session: Session, act: Act, recall: UUID, request: DisposeRequest) -> RecallDisposedAnswer:
    """Say what becomes of units of an open recall, as of a deviation's: quality, signed "decided". The last word counts.

    Raises NotFound, NotPermitted, RecallClosedAlready, and what `record_dispositions` raises.
    """
    row, one, frozen = _locked(session, act, recall)
    if one.closed_at is not None:
        raise_first(closing_refusals(one))
    if request.disposition == "kept_held":
        raise DispositionDoesNotFit(
            "The holds of a recall end with it. Clear, reject or follow up each unit.", subject=one.deviation
        )
    units = [(frozen[unit.specimen], unit) for unit in one.items]
    appended, decided = record_dispositions(
        session, act, one.deviation, units, request, site=None, relies_on=bytes(row.started_event)
    )
    now = read_recall(session, act.actor, row.id)
    return RecallDisposedAnswer(**now.model_dump(), decided=decided, receipt=acknowledge(act, [appended]))


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

    `recall`: its id, or the code of its deviation. Raises NotFound, NotPermitted, RecallClosedAlready, UnitsUndecided,
    RecallUnsettled, DispositionDoesNotFit, and what `two_sign` raises.
    """
    row, one, _frozen = _locked(session, act, recall)
    raise_first(closing_refusals(one))
    counts = Counter(unit.disposition or "gone" for unit in one.items)
    step = two_sign(
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
        request,
        Permission.RECALL_START,
        site=None,
        meaning=Meaning.CLOSED,
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
        signatures=step.signatures,
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
