"""A giving that two of quality undid: its withdrawal waits again for what it waited for before."""

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Appended
from biobank.custody.recording import Circumstances
from biobank.custody.states import State
from biobank.donors.models import donor
from biobank.withdrawals.case import administration, read_case, record_on_case, set_state
from biobank.withdrawals.case_columns import CASE_COLUMNS
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.outcome_events import GivingUndone
from biobank.withdrawals.workflow import WithdrawalState


def lead_back(session: Session, act: Act, tube: str, undone: bytes, given: Circumstances, reversal: Appended) -> list[Appended]:
    """Lead the withdrawal back to before the giving whose event is `undone`; nothing where that was another event.

    The donor's row and the tube are locked, and the reversal is recorded. The row of the giving stays, and counts no more.
    """
    row = (
        session.execute(
            select(*CASE_COLUMNS, administration.c.release_id)
            .join(administration, administration.c.withdrawal_code == withdrawal.c.code)
            .join(donor, donor.c.code == withdrawal.c.donor_code)
            .where(administration.c.specimen_code == tube, administration.c.event_hash == undone)
        )
        .mappings()
        .first()
    )
    if row is None:
        return []
    case = read_case(session, row)
    arrived = case.given or any(item.away and item.state is State.DELIVERED for item in case.items)
    state = WithdrawalState.DELIVERED if arrived else WithdrawalState.ISSUED
    event = GivingUndone(specimen=tube, release=str(row["release_id"]), reversal=reversal.leaf_hash.hex(), state=state)
    back = record_on_case(session, act, case, event, given, relies_on=(undone, reversal.leaf_hash))
    set_state(session, case, state)
    return [back]
