"""What may be decided about a tube that comes back: the rules of any decision of quality."""

from datetime import datetime

from biobank.auth.actor import Actor
from biobank.custody.states import Quality
from biobank.foundation.errors import Refusal
from biobank.quality.decisions import Deciding, rejection_stands
from biobank.quality.events import Decision
from biobank.withdrawals.case import Case


def returning_refusals(actor: Actor, case: Case, code: str, quality: Quality | str, at: datetime) -> list[Refusal]:
    """Return every reason why the actor may not decide so about a tube that comes back: the rules of any decision. Pure.

    A rejection stands whatever is decided short of it, and a release asks for everything that a release to the bank does.
    """
    tube, found = case.tubes[code], case.findings[code]
    deciding = Deciding(actor, [tube], {tube.lot_code: found.tests}, at, {code: found.touches})
    if quality == Quality.RELEASED_TO_BANK:
        return deciding.refusals(Decision.RELEASED_TO_BANK, planned=False, accepted=False)
    return [] if quality == Quality.REJECTED else rejection_stands(tube)


def returns_offered(actor: Actor, case: Case, code: str, at: datetime) -> list[Quality]:
    """Return what the actor may decide about a tube that comes back, apart from the record of its journey. Pure."""
    every = (Quality.QUARANTINED, Quality.RELEASED_TO_BANK, Quality.REJECTED)
    return [one for one in every if not returning_refusals(actor, case, code, one, at)]
