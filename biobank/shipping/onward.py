"""What was issued to a patient goes on its way only while it may still be given: in a shipment, and from hand to hand.

A hand-over takes a tube onward when a courier takes it, or somebody who takes over nothing where it is now. Between people of one
place it stays there, and whoever holds it may always give it to a colleague who puts it away.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.custody.legality import OnHold, Snapshot
from biobank.custody.states import HoldAct, State
from biobank.foundation.errors import Refusal, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.shipping.handover_rules import Receiver, takes_onward, taking_away_refusal

refusals_after_issue: FromAbove[Callable[[Session, Bank, datetime, Collection[Snapshot], datetime | None], list[Refusal]]] = (
    FromAbove("withdrawals")
)
"""Why issued tubes may not go on to their donor, as of now and of the time that is stated."""


def held_after_issue(specimen: Snapshot) -> OnHold | None:
    """Return that a tube was held after it was issued, so that it goes nowhere. Pure."""
    blocking = [h for h in specimen.holds if HoldAct.ISSUE.value in h.blocks]
    if specimen.state is not State.ISSUED or not blocking:
        return None
    return OnHold(
        f"{specimen.code} was put on {blocking[0].kind.replace('_', ' ')} hold after it was issued and goes nowhere. "
        "Keep it cold here and call quality.",
        where_now=specimen.where_now,
        subject=specimen.code,
        holds=[h.id for h in blocking],
    )


def require_onward(
    session: Session, act: Act, specimens: Collection[Snapshot], stated: datetime | None, receiver: Receiver | None = None
) -> None:
    """Raise the first of `refusals_onward`."""
    raise_first(refusals_onward(session, act.bank, act.at, specimens, stated, receiver))


def refusals_onward(
    session: Session,
    bank: Bank,
    at: datetime,
    specimens: Collection[Snapshot],
    stated: datetime | None = None,
    receiver: Receiver | None = None,
) -> list[Refusal]:
    """Return why one of these may not leave with the receiver, or one of the issued among them may not go on; with a receiver, of
    those that it takes onward. `specimens` with their holds.
    """
    away = [] if receiver is None else [found for one in specimens if (found := taking_away_refusal(one, receiver))]
    issued = [one for one in specimens if one.state is State.ISSUED and (receiver is None or takes_onward(receiver, one))]
    held = [on_hold for one in issued if (on_hold := held_after_issue(one)) is not None]
    return [*away, *held, *refusals_after_issue.get()(session, bank, at, issued, stated)]
