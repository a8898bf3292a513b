"""What a corrected arrival of a tube says and holds: the same as if it had been said at once. A correction lifts nothing."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds as custody_holds
from biobank.custody.arriving import Arrival, possible_on_arrival, travelled_alone, travelled_with
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, append
from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.recording import Circumstances, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import HoldScope


def require_possible(session: Session, act: Act, specimen: Snapshot, entry: dict[str, Any], right: Event) -> None:
    """Raise ImplausibleReading for a corrected temperature that can hardly be right: a slip is one the second time too."""
    degrees = getattr(right, "temperature_mc", None)
    if degrees is not None:
        possible_on_arrival.get()(session, _before(session, specimen, entry), degrees, entry["site"], act.at)


def _before(session: Session, specimen: Snapshot, entry: dict[str, Any]) -> Snapshot:
    """Return a specimen as it was before an entry of its record."""
    before = [one for read, one in steps_of(entries_of(session, specimen.code)) if read["seq"] < entry["seq"]]
    return replace(specimen, projection=before[-1]) if before else specimen


def judge_again(
    session: Session, act: Act, specimen: Snapshot, entry: dict[str, Any], right: Event, given: Circumstances
) -> list[Appended]:
    """Judge the arrival of `entry` as `right` has it: with what it travelled with, or, of a tube carried by hand, alone."""
    then = _before(session, specimen, entry)
    shipment = then.projection.shipment_code if entry["seq"] > 1 else None
    if shipment is not None:
        recorded = datetime.fromisoformat(entry["recorded_at"])
        arrival = Arrival([(specimen.code, right)], recorded, given, seals_follow=True, corrected=True)
        return travelled_with.get()(session, act, shipment, arrival)
    now = load(session, [specimen.code], holds=True)[specimen.code]
    head = head_of(session, act, given, subject=now.donor_code, site=entry["site"], last=now.last_occurred_at)
    facts = [
        custody_holds.specimen_hold_fact(now, kind, head, reason=reason)
        for kind, reason in travelled_alone.get()(session, then, right, entry["site"])
        if not custody_holds.stands(session, HoldScope.SPECIMEN, specimen.code, kind, reason)
    ]
    appended = append(session, facts) if facts else []
    custody_holds.keep_placed(session, facts, appended)
    return appended
