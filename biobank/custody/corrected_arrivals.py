"""What a corrected arrival of a tube holds: the same as if it had been said at once. A correction lifts nothing."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds as custody_holds
from biobank.custody.arriving import Arrival, travelled_alone, travelled_with
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, append
from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.recording import Circumstances, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import HoldScope


def judge_again(
    session: Session, act: Act, specimen: Snapshot, entry: dict[str, Any], right: Event, given: Circumstances
) -> list[Appended]:
    """Judge the arrival of `entry` as `right` has it: with what it travelled with, or, of a tube carried by hand, alone."""
    before = [one for read, one in steps_of(entries_of(session, specimen.code)) if read["seq"] < entry["seq"]]
    shipment = before[-1].shipment_code if before else None
    if shipment is not None:
        recorded = datetime.fromisoformat(entry["recorded_at"])
        arrival = Arrival([(specimen.code, right)], recorded, given, seals_follow=True)
        return travelled_with.get()(session, act, shipment, arrival)
    then = replace(specimen, projection=before[-1]) if before else specimen
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
