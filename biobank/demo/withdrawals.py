"""The example bank's requests: some wait for quality, some are approved."""

import hashlib
from dataclasses import replace
from functools import partial

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.signing import Meaning, make_signature
from biobank.demo.data import Stage
from biobank.foundation import clock
from biobank.withdrawals.schemas import ApproveRequest, WithdrawalRequest
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
    act = replace(stage.act("quinn", clock.now()), request_hash=hashlib.sha256(code.encode()).digest())
    signed = make_signature(session, user=act.actor.code, meaning=Meaning.APPROVED, act_hash=act.request_hash, at=act.at)
    approve_withdrawal(session, act, code, ApproveRequest(expected_seq=1, signature=signed.signature))
