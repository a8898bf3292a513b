"""Scans that a device kept while it had no network: one of them is recorded when it arrives, with the time at which it was made.

Each is an observation of the person who made it: received, stored, checked out. Nothing towards use is taken, nor anything that
needs a second person. It is judged as any scan is, against the record as it stands; whatever somebody did with the tube after
the scan refuses it (what the bank's timers wrote does not), because the record cannot be told what was true before. The device
says when it scanned by its own clock, and how far that clock was from the bank's when they last spoke; the bank compares the two
again when the scan arrives.
"""

import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import and_, func, not_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.answers_and_attempts import answered_before
from biobank.auth.actor import SYSTEM_CODE
from biobank.auth.models import login_session
from biobank.custody.legality import Snapshot
from biobank.custody.recording import AHEAD, Circumstances, ImplausibleTime, Instant
from biobank.custody.states import StreamKind
from biobank.foundation.changing_secrets import changed_at, secrets_of
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict, raise_first
from biobank.scanning.commands import WORDINGS, Action, only_site
from biobank.scanning.committing import RecordedList, observe, require_ready, store
from biobank.scanning.lists import Wanted, check_list
from biobank.scanning.rack_files import Line
from biobank.transparency.models import event

OLDEST = timedelta(days=30)
"""Well within the time for which answers are kept by their keys, so that a scan sent twice is recorded once."""
FOR_USE = frozenset({"withdrawal"})
"""Purposes of a check-out that lead to use."""
OF_TIMERS = ("specimen.timed_out", "specimen.handover_expired", "specimen.hold_placed")
"""What the bank writes of itself while time passes: none of it moves a tube."""
DEVICE_KEYS = "device-keys"
_KEY_DOMAIN = b"biobank/kept-scans/v1\0"


class NotWithoutNetwork(Conflict):
    """A kept scan asks for what only a page with network may do."""

    code = "not_without_network"
    title = "Not without network"


class HappenedSince(Conflict):
    """Something happened to the tube after the kept scan was made."""

    code = "happened_since"
    title = "Something happened since"


class DeviceClockChanged(Conflict):
    """The device's clock was set between the scan and its arrival, so nobody knows when the scan was made."""

    code = "device_clock_changed"
    title = "The device's clock was changed"


class KeptScan(BaseModel):
    """One tube that was scanned without network.

    `scanned_at`: by the device's clock; `offset_ms`: the bank's clock less the device's as last measured, within `uncertain_ms`;
    `instead_of`: the key of a list that was sent with this tube in it and never answered.
    """

    model_config = ConfigDict(extra="forbid")

    action: Action
    text: Annotated[str, Field(min_length=1, max_length=300)]
    place: Annotated[str, Field(max_length=300)] | None = None
    purpose: Annotated[str, Field(max_length=20)] | None = None
    site: Annotated[str, Field(max_length=8)] | None = None
    well: Annotated[str, Field(max_length=20)] | None = None
    scanned_at: Instant
    offset_ms: Annotated[int, Field(ge=-(10**12), le=10**12)]
    uncertain_ms: Annotated[int, Field(ge=0, le=60_000)]
    instead_of: Annotated[str, Field(min_length=1, max_length=200)] | None = None


def key_for(secrets: Path, owner: str, session: str, began_at: datetime | None) -> bytes:
    """Return the 32 bytes under which a device keeps the scans of `owner` that were made in a page session, by when it began.

    Nothing is stored: the same person gets the same key again in a later session, and nobody else ever does. A session that
    began before the secret was changed, or of which nothing is known any more, stays with the one before.
    """
    known = secrets_of(secrets, DEVICE_KEYS)
    secret = known[0] if began_at is not None and began_at >= changed_at(secrets, DEVICE_KEYS) else known[-1]
    return hmac.digest(secret, _KEY_DOMAIN + f"{owner}\0{session}".encode(), "sha256")


def session_began(session: Session, owner: str, of: str) -> datetime | None:
    """Return when a page session of a login began; None when there is none."""
    table = login_session
    try:
        wanted = UUID(of)
    except ValueError:
        return None
    return session.execute(
        select(table.c.created_at).where(table.c.id == wanted, table.c.user_code == owner)
    ).scalar_one_or_none()


def when_scanned(scan: KeptScan, sent_at: datetime, at: datetime) -> datetime:
    """Return when a kept scan was made, by the bank's clock. Pure.

    `sent_at`: the device's clock when it sent the scan; `at`: the bank's when it arrived. Raises DeviceClockChanged, and
    ImplausibleTime for what lies ahead or over 30 days back.
    """
    offset = timedelta(milliseconds=scan.offset_ms)
    if abs(at - sent_at - offset) > AHEAD:
        raise DeviceClockChanged(
            "The clock of this device was set after the scan, so nobody knows when it was made. "
            "Look where the tube is, and scan it again."
        )
    made = scan.scanned_at + offset
    if made > at + AHEAD:
        raise ImplausibleTime("The scan lies ahead of the bank's clock. Check this device's clock, then scan the tube again.")
    if at - made > OLDEST:
        raise ImplausibleTime(f"The scan is over {OLDEST.days} days old. Look where the tube is, and scan it again.")
    return min(made, at)  # it was made before it arrived, however little the clocks agree


def refusals_without_network(scan: KeptScan) -> list[NotWithoutNetwork]:
    """Return why a scan of this kind is not kept for later. Pure."""
    wording = WORDINGS[scan.action]
    if not wording.offline:
        return [NotWithoutNetwork(f"'{wording.label}' waits for the network. Do it now, on the scan page.")]
    if scan.action is Action.CHECK_OUT and scan.purpose in FOR_USE:
        return [NotWithoutNetwork("Nothing towards use is done without network. Check it out now, on the scan page.")]
    return []


def happened_since(specimen: Snapshot, made: datetime, last: datetime | None) -> list[HappenedSince]:
    """Return why a scan made then is too late for a tube on which somebody last acted at `last`. Pure."""
    if last is None or rfc3339(last) <= rfc3339(made):  # To the millisecond, as entries carry it: no finer order is known.
        return []
    return [
        HappenedSince(
            f"{specimen.code} was scanned without network at {rfc3339(made)}, and its record goes on at {rfc3339(last)}. "
            "Look at its page and at the tube, then record what is true now.",
            subject=specimen.code,
            where_now=specimen.where_now,
        )
    ]


def last_act_of_people(session: Session, code: str) -> datetime | None:
    """Return when a tube's record last went on by more than the bank's own timers, which are no conflict with a scan."""
    timers = and_(event.c.recorded_by == SYSTEM_CODE, event.c.kind.in_(OF_TIMERS))
    of_it = (event.c.stream_kind == StreamKind.SPECIMEN.value, event.c.stream_id == code)
    return session.execute(select(func.max(event.c.occurred_at)).where(*of_it, not_(timers))).scalar()


def record_kept(session: Session, act: Act, scan: KeptScan, sent_at: datetime, settings: Settings) -> RecordedList:
    """Record one kept scan with its own time, or answer how the list it stood in was recorded.

    Raises NotWithoutNetwork, DeviceClockChanged, ImplausibleTime, HappenedSince, and what recording a list raises.
    """
    raise_first(refusals_without_network(scan))
    made = when_scanned(scan, sent_at, act.at)
    wanted = Wanted(scan.action, scan.place, scan.purpose, scan.site or only_site(act.actor))
    listed = check_list(session, act.actor, wanted, [Line(scan.text, scan.well)], settings)
    (row,) = listed.rows
    if row.code is not None and scan.instead_of is not None:
        earlier = answered_before(session, act, scan.instead_of)
        done = [] if earlier is None else _of_list(earlier, scan.action, row.code)
        if done:
            return done[0]
    if row.code is not None:
        raise_first(happened_since(listed.specimens[row.code], made, last_act_of_people(session, row.code)))
    if listed.refusal is not None:
        raise listed.refusal
    require_ready(row)
    act = replace(act, source="instrument")  # nobody stated the time: the device's clock did, as the bank measured it
    given = Circumstances(occurred_at=made, reason_text=_words(scan), late_entry=True)
    seqs = [(row, row.seq or 0)]
    if scan.action is Action.STORE:
        return store(session, act, listed, seqs, given, chosen=False)
    return observe(session, act, wanted, seqs, given)


def _of_list(answer: str, action: Action, code: str) -> list[RecordedList]:
    recorded = RecordedList.model_validate_json(answer)
    items = [item for item in recorded.items if item.specimen == code and recorded.action is action]
    return [recorded.model_copy(update={"items": items})] if items else []


def _words(scan: KeptScan) -> str:
    seconds, side = abs(scan.offset_ms) / 1000, "behind" if scan.offset_ms >= 0 else "ahead of"
    return (
        f"Scanned without network, and sent when it was back. The device's clock said {rfc3339(scan.scanned_at)}; when they last "
        f"spoke it was {seconds:.1f} s {side} the bank's, within {scan.uncertain_ms / 1000:.1f} s."
    )
