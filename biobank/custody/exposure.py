"""How long a frozen tube was out of the cold: computed from scans, never typed.

Check-out, arrival and the end of freezing start the clock; the next place that keeps the tube stops it (`events.py: OUT`,
`INTO_THE_COLD`); a lifted rack or box exposes every tube in it (`storage/lifting.py`), whose own record says so. What a person
says stands beside it as theirs: a figure in the event, an earlier time as when it occurred. Neither makes ours shorter.
"""

from datetime import datetime

from biobank.acts.act import Act
from biobank.custody.entry import Head
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal

TOLERANCE_S = 120
"""By how much a person's figure may differ from ours without a word: nobody scans in the second in which a lid opens."""


class ExposureContradicts(Conflict):
    """The time out of the cold that was said is not what the scans say, and no reason was given."""

    code = "exposure_contradicts"
    title = "Another time out of the cold"


def length(seconds: int) -> str:
    """Write a time out of the cold to be put into a sentence: `12 min 30 s`, `10 h 5 min`."""
    minutes, rest = divmod(seconds, 60)
    if minutes >= 120:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{minutes} min {rest} s" if minutes and rest else f"{minutes} min" if minutes else f"{rest} s"


def require_reason_to_differ(specimen: Snapshot, stated_s: int | None, at: datetime, reason: str | None) -> None:
    """Raise ExposureContradicts when a person's figure differs from ours and says not why. Without a figure nothing is asked."""
    if stated_s is None or reason is not None or specimen.projection.condition != Condition.FROZEN.value:
        return
    ours = specimen.projection.running_s(rfc3339(at))
    if abs(stated_s - ours) > TOLERANCE_S:
        raise ExposureContradicts(
            f"You say {length(stated_s)} out of the cold; by the scans of {specimen.code} it was {length(ours)}. Say why, or "
            "leave your figure out.",
            where_now=specimen.where_now,
            subject=specimen.code,
            computed_s=ours,
        )


def cold_at(act: Act, stated: datetime | None, paper: str | None) -> datetime:
    """Return when something came into the cold, or arrived, as it counts: nobody is earlier by saying so.

    A stated time counts where two people stand for it on a form (`paper`), where a device timed it and where it was taken over
    from old records; else the time of the record (`entry.Head.known_until`).
    """
    if stated is None:
        return act.at
    return max(act.at, stated) if paper is None and act.source == "live" else stated


def earlier_by_words(before: Snapshot, after: Snapshot, event: type[Event], head: Head, reason: str | None) -> Refusal | None:
    """Return ExposureContradicts where the stated time makes the time out of the cold that ends with `event` shorter than we can
    compute, and nobody says why; or None. Pure. What puts cold first is never asked.
    """
    ended = before.projection.out_since is not None and after.projection.out_since is None
    if reason is not None or event.cold_first or not ended:
        return None
    ours, theirs = (before.projection.running_s(rfc3339(at)) for at in (head.known_until, head.occurred_at))
    if ours - theirs <= TOLERANCE_S:
        return None
    return ExposureContradicts(
        f"By the time that you state {before.code} was out of the cold for {length(theirs)}; as far as the bank knows, "
        f"{length(ours)}, and that counts. Say why the time is an earlier one, or leave it out.",
        where_now=before.where_now,
        subject=before.code,
        computed_s=ours,
    )
