"""Giving a tube to its donor: the release is used up, every part of the tube is accounted for, the chain is in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import ImplausibleTime, Move
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refused
from biobank.withdrawals.bedside import differing, release_table, stop
from biobank.withdrawals.case import (
    administration,
    moment_of,
    open_case,
    record_on_case,
    record_on_tubes,
    require_treatment_consent,
    require_usable,
    set_state,
)
from biobank.withdrawals.events import Administered, Given
from biobank.withdrawals.gate import require_step_permission
from biobank.withdrawals.scans import read_tube
from biobank.withdrawals.schemas import AdministerRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.workflow import Step, after


class NoRelease(Conflict):
    """There is no such release for this specimen."""

    code = "no_release"
    title = "No bedside release"


class ReleaseUsed(Conflict):
    """A release is used once."""

    code = "release_used"
    title = "Release already used"


class ReleaseExpired(Conflict):
    """A release lasts 15 minutes."""

    code = "release_expired"
    title = "Release expired"


class ReleaseEnded(Conflict):
    """Something happened after the check that ended the release."""

    code = "release_ended"
    title = "Release ended"


class AmountsDoNotAddUp(Conflict):
    """Given, residue and loss are not what was in the tube."""

    code = "amounts_do_not_add_up"
    title = "Amounts do not add up"


def administer(session: Session, act: Act, code: str, request: AdministerRequest) -> WithdrawalAnswer | Refused:
    """Give a tube to its donor, using up the release that two people made. The rest of it is accounted for."""
    product = read_tube(session, act, request.product)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[product])
    require_step_permission(act, Step.ADMINISTER, case)
    case.require_step(Step.ADMINISTER)
    if product not in case.tubes:
        scanned = others.get(product)
        whose = None if scanned is None else scanned.donor_code
        wrong = differing(case.donor, case.tubes, case.donor, product, whose)
        return stop(session, act, case, request, wrong, None, product, scanned)
    tube = case.tubes[product]
    consents = require_treatment_consent(session, act, case.donor, case.row["material"], [product])
    require_usable(session, act, case, [product], Administered, None)
    amount = tube.projection["amount"]
    _require_accounted(request, product, amount, tube.unit)
    release = _consume(session, act, request.release, product)
    started, ended = moment_of(act, request, request.started_at), moment_of(act, request, None)
    if started > ended:
        raise ImplausibleTime(f"It began ({rfc3339(started)}) after it ended ({rfc3339(ended)}). Say when it began.")
    event = Administered(
        withdrawal=code,
        release=str(release.id),
        recipient=case.donor,
        wristband=release.wristband_code,
        given=request.given,
        residue=request.residue,
        loss=request.loss,
        residue_went=request.residue_went,
        anatomical_site=request.anatomical_site,
        started_at=rfc3339(started),
        reaction=request.reaction,
    )
    relies_on = (case.approval, bytes(release.made_event), *consents)
    appended = record_on_tubes(session, act, case, [Move(tube, event, site=case.clinic, relies_on=relies_on)], request)
    session.execute(
        insert(administration).values(
            release_id=release.id,
            specimen_code=product,
            withdrawal_code=code,
            donor_code=case.donor,
            amount=amount,
            given=request.given,
            residue=request.residue,
            loss=request.loss,
            residue_went=request.residue_went,
            by=act.actor.code,
            started_at=started,
            ended_at=ended,
            event_hash=appended[0].leaf_hash,
        )
    )
    state = after(Step.ADMINISTER, case.state, read_again(session, act, code).items)
    given = record_on_case(session, act, case, Given(specimen=product, release=str(release.id), state=state))
    set_state(session, case, state)
    return answer_of(session, act, code, [*appended, given])


def _require_accounted(request: AdministerRequest, product: str, amount: int, unit: str) -> None:
    total = request.given + request.residue + request.loss
    if total != amount:
        raise AmountsDoNotAddUp(
            f"{product} holds {amount} {unit}; given, residue and loss come to {total}. Every part of it is accounted for.",
            subject=product,
            amount=amount,
        )
    if (request.residue > 0) != (request.residue_went is not None):
        raise AmountsDoNotAddUp(
            "Say in `residue_went` where the residue went, exactly when there is one.", subject=product, amount=amount
        )


def _consume(session: Session, act: Act, release_id: UUID, product: str) -> Any:
    """Use up the release, or raise why it cannot be used. The row is locked, so two administrations find one release."""
    row = session.execute(select(release_table).where(release_table.c.id == release_id).with_for_update()).first()
    if row is None or row.specimen_code != product:
        raise NoRelease(
            f"There is no such bedside release for {product}. Two people scan band and product first.", subject=product
        )
    if row.consumed_at is not None:
        raise ReleaseUsed(f"This release of {product} was used already.", subject=product)
    if row.killed_at is not None:
        raise ReleaseEnded(
            f"This release of {product} was ended ({row.killed_because.replace('_', ' ')}). Stop, and check again.",
            subject=product,
            because=row.killed_because,
        )
    if row.expires_at < act.at:
        raise ReleaseExpired(
            f"This release of {product} was good until {rfc3339(row.expires_at)}. Two people check again.", subject=product
        )
    session.execute(update(release_table).where(release_table.c.id == release_id).values(consumed_at=act.at))
    return row
