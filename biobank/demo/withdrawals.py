"""The example bank's requests: some wait for quality, some are approved."""

import hashlib
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import Proposed
from biobank.demo.stage import Stage
from biobank.foundation import clock
from biobank.withdrawals.review import read_picture_of
from biobank.withdrawals.schemas import ApprovedAnswer, ApproveRequest, WithdrawalRequest
from biobank.withdrawals.service import approve_withdrawal, request_withdrawal
from biobank.withdrawals.workflow import Route


def make_withdrawals(stage: Stage) -> None:
    """A handful of withdrawals in flight: requested, and some approved."""
    ready = stage.bank.database.write_now(_releasable)
    for number, donor in enumerate(ready[:9]):
        code = stage.bank.database.write_now(partial(_requested, stage=stage, donor=donor))
        if number % 3 != 2:
            stage.bank.database.write_now(partial(_approved, stage=stage, code=code))


def _releasable(session: Session) -> list[str]:
    return list(
        session.execute(
            text(
                "SELECT DISTINCT c.donor_code FROM custody c JOIN specimen s USING (code) WHERE s.material = 'adsc' "
                "AND c.state = 'stored' AND c.quality = 'released_to_bank' ORDER BY 1 LIMIT 9"
            )
        ).scalars()
    )


def _requested(session: Session, stage: Stage, donor: str) -> str:
    act = stage.act("clara", clock.now())
    return request_withdrawal(
        session, act, WithdrawalRequest(donor=donor, material="adsc", route=next(iter(Route)), units=1)
    ).code


def _approved(session: Session, stage: Stage, code: str) -> None:
    first = _signed_by("quinn", session, stage, code, None)
    if isinstance(first, Proposed):
        _signed_by("quade", session, stage, code, first.pending_act)


def _signed_by(name: str, session: Session, stage: Stage, code: str, pending: UUID | None) -> ApprovedAnswer | Proposed:
    """One of quality reads what there is and signs, as the page lets them."""
    read_at = clock.now()
    act = replace(stage.act(name, read_at), request_hash=hashlib.sha256(f"{code} {name}".encode()).digest())
    seen = read_picture_of(session, act.actor, code, act.bank)
    said = ApproveRequest(
        expected_seq=1,
        picture=seen.sha256,
        picture_at=seen.picture.seen_at,
        remains=seen.picture.remains.units,
        signature=stage.signs(session, act, name, Meaning.APPROVED),
        pending_act=pending,
    )
    return approve_withdrawal(session, replace(act, at=clock.now()), code, said)
