"""Use cases of custody: recording observations, one or a rack of them, and undoing the latest change of state."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.custody.event import Event, Mode, rules
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import (
    Move,
    acknowledge,
    is_behind,
    record,
    refusals_of_recording,
    require_expected,
    takes_it_there,
)
from biobank.custody.schemas import (
    AllowedEvent,
    AllowedEvents,
    BatchAnswer,
    BatchEventRequest,
    EventAnswer,
    EventReceipt,
    EventRequest,
    event_of,
)
from biobank.custody.snapshots import get_all_visible, get_visible
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import MalformedRequest


def receipt_of(appended: Appended) -> EventReceipt:
    """Turn an appended event into its wire shape."""
    return EventReceipt(
        stream=appended.stream,
        id=appended.stream_id,
        seq=appended.seq,
        kind=appended.kind,
        leaf_hash=appended.leaf_hash.hex(),
        recorded_at=rfc3339(appended.recorded_at),
    )


def record_event(session: Session, act: Act, code: str, request: EventRequest) -> EventAnswer:
    """Record one observation of one specimen. The ordinary route; `scan_path/` takes the simple ones, with the same answer."""
    specimen = get_visible(session, act.actor, code, lock=True)
    require_expected(specimen, request.expected_seq)
    appended = record(session, act, [Move(specimen, event_of(request), site=_site_of(request))], request)
    return answer_of(act, code, appended)


def record_batch(session: Session, act: Act, requests: Sequence[BatchEventRequest]) -> BatchAnswer:
    """Record observations of many specimens, all or nothing, in one transaction.

    Raises MalformedRequest when a specimen stands twice in the batch.
    """
    codes = [r.specimen for r in requests]
    if len(set(codes)) != len(codes):
        raise MalformedRequest("A specimen stands twice in this batch. Send each specimen once.")
    specimens = get_all_visible(session, act.actor, codes, lock=True)
    appended: list[Appended] = []
    by_code = dict(zip(codes, specimens, strict=True))
    for request in requests:
        require_expected(by_code[request.specimen], request.expected_seq)
    # Requests of one rack usually share their circumstances; each group is one append.
    for group in _by_circumstances(requests):
        moves = [Move(by_code[r.specimen], event_of(r), site=_site_of(r)) for r in group]
        appended += record(session, act, moves, group[0])
    return BatchAnswer(items=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended))


def answer_of(act: Act, code: str, appended: Sequence[Appended]) -> EventAnswer:
    """Build the answer for one specimen."""
    last = [a for a in appended if a.stream_id == code][-1]
    return EventAnswer(
        specimen=code,
        state=last.after.state,
        seq=last.seq,
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def allowed_events(specimen: Snapshot, actor: Actor, *, lagging: bool) -> list[type[Event]]:
    """Return every event class the actor may record or cause on this specimen now: the buttons of its page. Pure.

    A kind that no call of its own causes (it follows from a timer or a set-up) is not among them.
    """
    return [
        cls
        for _, cls in sorted(rules.by_kind.items())
        if cls.stream.value == "specimen"
        and cls.permission is not None
        and (cls.mode is Mode.DIRECT or cls.call)
        and not refusals_of_recording(actor, cls, specimen, site=_own_site(actor, cls), lagging=lagging)
    ]


def _own_site(actor: Actor, event: type[Event]) -> str | None:
    """Return a site that the actor could state in an observation which says where it happened; None for any other event."""
    if event.permission is None or not takes_it_there(event):
        return None
    return next(iter(sorted(actor.scope(event.permission).sites)), None)


def describe_allowed(session: Session, actor: Actor, code: str, bank: Bank) -> AllowedEvents:
    """Answer GET /specimens/{code}/allowed-events."""
    return allowed_on(session, get_visible(session, actor, code, holds=True), actor, bank)


def allowed_on(session: Session, specimen: Snapshot, actor: Actor, bank: Bank, *, behind: bool | None = None) -> AllowedEvents:
    """Say what the actor may do with a specimen that was loaded with its holds, and by which call.

    `behind`: whether the log is, where that is known; else it is asked only when an act towards use would be among them.
    """
    allowed = allowed_events(specimen, actor, lagging=False)
    if any(cls.toward_use for cls in allowed) and (is_behind(session, bank, clock.now()) if behind is None else behind):
        allowed = allowed_events(specimen, actor, lagging=True)
    items = [
        AllowedEvent(
            kind=cls.model_fields["kind"].default,
            label=cls.label,
            mode=cls.mode.value,
            call=call_of(cls, specimen),
            payload_schema=_schema_of(cls) if cls.mode is Mode.DIRECT else None,
        )
        for cls in allowed
    ]
    return AllowedEvents(specimen=specimen.code, seq=specimen.seq, items=items)


@cache
def _schema_of(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema of what a client posts; it costs a tenth of a page and never changes."""
    return event.model_json_schema()


def call_of(event: type[Event], specimen: Snapshot) -> str:
    """Return the address that a client posts to for `event`, with the codes that are known filled in."""
    path = "/specimens/{specimen}/events" if event.mode is Mode.DIRECT else event.call
    path = path.replace("{specimen}", specimen.code)
    withdrawal = specimen.projection.reserved_for
    return f"/api/v1{path.replace('{withdrawal}', withdrawal) if withdrawal else path}"


def _site_of(request: Any) -> str | None:
    site = getattr(request, "site", None)
    return site if isinstance(site, str) else None


def _by_circumstances(requests: Sequence[BatchEventRequest]) -> list[list[BatchEventRequest]]:
    groups: dict[str, list[BatchEventRequest]] = {}
    names = ("occurred_at", "late_entry", "reason_text", "comment", "performed_by", "device", "paper")
    for request in requests:
        groups.setdefault(repr([getattr(request, n) for n in names]), []).append(request)
    return list(groups.values())
