"""What two people did on paper at the bedside with a tube that the bank had stopped by then: no giving, and not lost.

The network was down, so they could not know. A giving rests on a check that allowed it, and there is none: the entry is refused.
The refusal is evidence: the tube is held, so that nobody gives it again, and quality of both houses is called by name, with the
form and the time that it states. Quality then finds out what is in the patient, records it as a serious event of the withdrawal,
and what is left of the tube is destroyed by two.
"""

from typing import Final

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import NOW, Circumstances
from biobank.custody.states import HoldKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Refusal, Refused
from biobank.quality.independence import AGAINST_A_STOP
from biobank.quality.models import deviation, deviation_subject
from biobank.quality.urgent import call_quality
from biobank.withdrawals.case import Case
from biobank.withdrawals.strays import hold_specimens

_STOPS: Final = frozenset({"on_hold", "consent_revoked", "donor_not_living", "lot_test_failed", "expired"})
"""Why a bank stops a tube. What else refuses a form (a wrong time, a step that was not due) is mended on the form."""


def told_of_it(session: Session, act: Act, case: Case, product: str, given: Circumstances, stop: Refusal) -> Refused:
    """Hold the tube and call quality, once for a withdrawal; return the refusal as evidence. Raises what is no stop of ours."""
    if given.paper is None or given.occurred_at is None or stop.code not in _STOPS:
        raise stop
    hold_specimens(session, act, [product], HoldKind.QUALITY, NOW, reason=AGAINST_A_STOP, site=case.clinic)
    if not _told(session, case.code):
        because = stop.code.replace("_", " ")
        call_quality(
            session,
            act,
            topic=AGAINST_A_STOP,
            about=case.code,
            description=f"{product}: by the form {given.paper} it was used at the bedside at {rfc3339(given.occurred_at)}. "
            f"The bank had stopped it by then: {because}.",
            units=[product],
            site=case.clinic,
            sites=[case.tubes[product].keeper],
            affected=[("withdrawal", case.code)],
        )
    return Refused(stop)


def _told(session: Session, code: str) -> bool:
    """Say whether quality was called about this withdrawal, and has not closed it."""
    one, of = deviation.c, deviation_subject.c
    of_it = select(one.code).join(deviation_subject, of.deviation_code == one.code)
    is_open = (one.topic == AGAINST_A_STOP, one.closed_at.is_(None), of.subject_id == code)
    return session.execute(of_it.where(*is_open).limit(1)).first() is not None
