"""How long a frozen tube was out of the cold: computed from scans, never typed.

Check-out, arrival and the end of freezing start the clock; the next place that keeps the tube stops it (`custody/events.py: OUT`,
`INTO_THE_COLD`); a lifted rack or box exposes every tube in it (`lifting.py`), whose own record says so. What a person says
stands beside it as theirs.
"""

from datetime import datetime

from biobank.custody.legality import Snapshot
from biobank.custody.recording import Circumstances
from biobank.custody.states import Condition
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict

TOLERANCE_S = 120
"""By how much a person's figure may differ from ours without a word: nobody scans in the second in which a lid opens."""


class ExposureContradicts(Conflict):
    """The time out of the cold that was typed is not what the scans say, and no reason was given."""

    code = "exposure_contradicts"
    title = "Another time out of the cold"


def require_reason_to_differ(specimen: Snapshot, said_s: int | None, at: datetime, given: Circumstances) -> None:
    """Raise ExposureContradicts when a person's figure differs from ours and says not why. Without a figure nothing is asked."""
    if said_s is None or given.reason_text is not None or specimen.projection.condition != Condition.FROZEN.value:
        return
    ours = specimen.projection.running_s(rfc3339(at))
    if abs(said_s - ours) > TOLERANCE_S:
        raise ExposureContradicts(
            f"You say {said_s} s out of the cold; by the scans of {specimen.code} it was {ours} s. Say why in `reason_text`, "
            "or leave your figure out.",
            where_now=specimen.where_now,
            subject=specimen.code,
            computed_s=ours,
        )
