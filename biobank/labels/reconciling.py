"""What became of the labels of a batch: printed = applied + destroyed + unaccounted, counted by two people.

Each of the two counts what stands on its thing and holds the unused ones in their hand before those are destroyed, and is shown
nothing of what the other found: the proposal keeps only a digest of it under the bank's secret. Both sign the same figures; when
they differ, both counts are void. What neither found is a deviation, opened with the same act. A label recorded as destroyed
alarms at every scan.
Badges belong to no site: who manages logins counts them.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Select, false, func, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import PendingActDiffers, Proposed, proposer_of, two_person, void_differing
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.custody.recording import acknowledge
from biobank.foundation.config import read_secret
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound, Refusal, Refused, raise_first
from biobank.foundation.paging import Paging, read_page
from biobank.labels.events import LabelsReconciled
from biobank.labels.files import prints
from biobank.labels.models import LabelReconciliation
from biobank.labels.schemas import LabelBatch, LabelBatchList, LabelsReconciledAnswer, ReconcileLabels
from biobank.quality.deviations import add_deviation
from biobank.quality.streams import digest_of, record_on_stream
from biobank.transparency.models import event

reconciliation = table_of(LabelReconciliation)


class LabelsReconciledAlready(Conflict):
    """Two people said already what became of this batch."""

    code = "labels_reconciled_already"
    title = "Reconciled already"


class LabelsDoNotAddUp(Conflict):
    """More labels than were printed, or labels of another batch."""

    code = "labels_do_not_add_up"
    title = "The labels do not add up"


class LabelCountsDiffer(Conflict):
    """The second person found something else than the first. Neither count stands."""

    code = "label_counts_differ"
    title = "The two counts differ"


RECONCILE = "labels.reconcile"


def _batches() -> tuple[Select[Any], Any]:
    """Every batch with its counts. The first label of a batch has the batch's number as its serial."""
    first = prints.alias("first_of_batch")
    counted = (
        select(
            prints.c.batch,
            func.count().label("printed"),
            func.count(prints.c.verified_at).label("scanned_back"),
            func.count(prints.c.superseded_at).label("superseded"),
        )
        .group_by(prints.c.batch)
        .subquery()
    )
    statement = (
        select(
            first.c.batch,
            first.c.template,
            counted.c.printed,
            counted.c.scanned_back,
            counted.c.superseded,
            first.c.printed_at,
            first.c.printed_by,
            event.c.site_code.label("site"),
            reconciliation.c.applied,
            reconciliation.c.destroyed,
            reconciliation.c.unaccounted,
            reconciliation.c.reconciled_at,
            reconciliation.c.first_user,
            reconciliation.c.second_user,
            reconciliation.c.deviation_code.label("deviation"),
        )
        .select_from(first)
        .join(counted, counted.c.batch == first.c.serial)
        .outerjoin(event, event.c.leaf_hash == first.c.event_hash)
        .outerjoin(reconciliation, reconciliation.c.batch == first.c.serial)
    )
    return statement, first


def _seen(actor: Actor) -> tuple[Select[Any], Any]:
    statement, first = _batches()
    badges = event.c.site_code.is_(None) if actor.may(Permission.USER_MANAGE, at=EVERYWHERE) else false()
    here = actor.scope(Permission.LABEL_PRINT).of(event.c.site_code)
    return statement.where(here | badges | (first.c.printed_by == actor.code)), first


def counting_permission(one: LabelBatch) -> Permission:
    """Return what both people who count a batch must be allowed, at its site. Pure."""
    return Permission.USER_MANAGE if one.site is None else Permission.LABEL_PRINT


def list_batches(session: Session, actor: Actor, *, open_only: bool | None = None, paging: Paging = Paging()) -> LabelBatchList:
    """List the batches that were printed where the actor prints, and the actor's own, newest first."""
    if not actor.may(Permission.USER_MANAGE, at=EVERYWHERE):
        actor.require(Permission.LABEL_PRINT, at=ANYWHERE)
    statement, first = _seen(actor)
    if open_only is not None:
        still = reconciliation.c.batch.is_(None)
        statement = statement.where(still if open_only else ~still)
    orders = {"batch": first.c.serial, "printed_at": first.c.printed_at}
    page = read_page(session, statement, paging, key=first.c.serial, orders=orders, default="-batch")
    return LabelBatchList(items=[_public(row) for row in page.rows], **page.ends)


def describe_batch(session: Session, actor: Actor, batch: int) -> LabelBatch:
    """Return a batch; raise NotFound when the actor may not know of it."""
    statement, first = _seen(actor)
    row = session.execute(statement.where(first.c.serial == batch)).first()
    if row is None:
        raise NotFound(f"There is no batch of labels {batch} that you may see. Its number is the serial of its first label.")
    return _public(row)


def serials_of(session: Session, actor: Actor, batch: int) -> list[tuple[int, str, int]]:
    """Return serial, code and number of every label of a batch that the actor may know of, in order."""
    describe_batch(session, actor, batch)
    rows = session.execute(
        select(prints.c.serial, prints.c.code, prints.c.print_number).where(prints.c.batch == batch).order_by(prints.c.serial)
    )
    return [(row.serial, row.code, row.print_number) for row in rows]


def reconciling_refusals(actor: Actor, one: LabelBatch) -> list[Refusal]:
    """Return why the actor may not say what became of a batch. Pure."""
    missing = actor.refusal(counting_permission(one), at=one.site)
    refusals: list[Refusal] = [] if missing is None else [missing]
    if one.reconciled_at is not None:
        refusals.append(LabelsReconciledAlready(f"Two people said on {one.reconciled_at:%Y-%m-%d} what became of these labels."))
    return refusals


@two_person(
    RECONCILE,
    "Say what became of a batch of labels",
    "I have counted the labels myself, held the unused ones in my hand, and found the same.",
    ReconcileLabels,
    grave=True,
)
def reconcile_labels(
    session: Session, act: Act, batch: int | str, request: ReconcileLabels
) -> LabelsReconciledAnswer | Proposed | Refused:
    """Record what became of the labels of a batch, or propose it: two people sign the same figures, each found alone.

    Returns LabelCountsDiffer as evidence. Raises NotFound, NotPermitted, LabelsReconciledAlready, LabelsDoNotAddUp, and what
    `two_sign` raises.
    """
    number = int(batch)
    session.execute(select(prints.c.serial).where(prints.c.serial == number).with_for_update())
    one = describe_batch(session, act.actor, number)
    raise_first(reconciling_refusals(act.actor, one))
    destroyed = sorted(set(request.destroyed))
    unaccounted = _unaccounted(
        one, request.applied, destroyed, [serial for serial, _, _ in serials_of(session, act.actor, number)]
    )
    proposer = proposer_of(session, request.pending_act) or act.actor.code
    found = _found(act.bank.settings.secrets, number, proposer, request.applied, destroyed)
    needs = counting_permission(one)
    try:
        step = two_sign(
            session,
            act,
            RECONCILE,
            str(number),
            {"printed": one.printed, "set": found},
            request,
            needs,
            site=one.site,
            meaning=Meaning.WITNESSED,
        )
    except PendingActDiffers:
        if not void_differing(session, act, RECONCILE, str(number), request.pending_act):
            raise
        return Refused(
            LabelCountsDiffer(
                f"You found something else than the first person did of batch {number}. Neither count stands: both of you count"
                " once more, each alone.",
                subject=str(number),
            )
        )
    if isinstance(step, Proposed):
        return step
    deviation, opened = None, []
    if unaccounted:
        if one.site is None:
            raise LabelsDoNotAddUp("A label of this batch is missing, and the batch belongs to no site. Open a deviation first.")
        deviation, appended = add_deviation(
            session,
            act,
            request,
            severity="minor",
            topic="label_unaccounted",
            site=one.site,
            description=f"Of {one.printed} labels of batch {number} {unaccounted} were neither applied nor destroyed.",
        )
        opened.append(appended)
    said = LabelsReconciled(
        batch=number,
        printed=one.printed,
        applied=request.applied,
        destroyed=len(destroyed),
        destroyed_sha256=digest_of([str(serial) for serial in destroyed]),
        unaccounted=unaccounted,
        deviation=deviation,
        first_user=step.first_user,
        first_signature=str(step.first_signature),
        second_user=step.second_user,
        second_signature=str(step.second_signature),
    )
    done = record_on_stream(session, act, f"label-batch/{number}", said, request, site=one.site)
    session.execute(update(prints).where(prints.c.serial.in_(destroyed)).values(destroyed_at=act.at))
    session.execute(
        insert(reconciliation).values(
            batch=number,
            printed=one.printed,
            applied=request.applied,
            destroyed=len(destroyed),
            unaccounted=unaccounted,
            deviation_code=deviation,
            first_user=step.first_user,
            second_user=step.second_user,
            reconciled_at=act.at,
            event_hash=done.leaf_hash,
        )
    )
    after = describe_batch(session, act.actor, number)
    return LabelsReconciledAnswer(**after.model_dump(), receipt=acknowledge(act, [done, *opened]))


def _found(secrets: Path, batch: int, proposer: str, applied: int, destroyed: Sequence[int]) -> str:
    """A digest of what one person found: nobody tries it out, neither without the bank's secret nor by proposals of their own."""
    said = f"biobank/label-count\n{batch}\n{proposer}\n{applied}\n{','.join(map(str, destroyed))}".encode()
    return hmac.new(read_secret(secrets, "digests"), said, sha256).hexdigest()


def _unaccounted(one: LabelBatch, applied: int, destroyed: Sequence[int], of_batch: Sequence[int]) -> int:
    """Return how many labels nobody found. Raises LabelsDoNotAddUp. Pure."""
    strange = sorted(set(destroyed) - set(of_batch))
    if strange:
        raise LabelsDoNotAddUp(
            f"Label #{strange[0]} does not belong to batch {one.batch}. Scan the unused labels of this batch only."
        )
    left = one.printed - applied - len(destroyed)
    if left < 0:
        raise LabelsDoNotAddUp(
            f"{one.printed} labels were printed; {applied} applied and {len(destroyed)} destroyed are {-left} more. Count again."
        )
    return left


def _public(row: Any) -> LabelBatch:
    found = row._mapping
    people = None if row.first_user is None else [row.first_user, row.second_user]
    return LabelBatch(**{name: found[name] for name in LabelBatch.model_fields if name != "counted_by"}, counted_by=people)
