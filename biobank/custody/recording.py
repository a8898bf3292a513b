"""From an intention to a fact: who may, is it legal, when did it happen; then `ledger.append`.

Every use case that touches a specimen goes through `record`; the scan path of single observations (`scan_path/observing.py`)
checks the same rules with the same functions.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.custody import arriving
from biobank.custody import holds as custody_holds
from biobank.custody.coming_in import CameIn
from biobank.custody.custodians import custodian_refusal
from biobank.custody.entry import Head, PerformedBy
from biobank.custody.event import Event, Mode
from biobank.custody.exposure import earlier_by_words
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot, refusals_of
from biobank.custody.material_limits import (
    WARM_TIME_BUDGET,
    crosses_red,
    held_while_out,
    material_limits,
    too_long,
    with_clock,
)
from biobank.custody.missing import hold_placed_with, tell_of_missing
from biobank.custody.places_then import earliest
from biobank.custody.states import HoldKind, HoldScope, StreamKind
from biobank.custody.use_by import came_elsewhere, nearer_ends
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotPermitted, PreconditionMissing, Refusal, StaleSequence, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.transparency.queries import seal_lag_s
from biobank.transparency.receipt import AcknowledgedEvent, sign_acknowledgement
from biobank.vault import put_document

AHEAD = timedelta(minutes=2)
BACK_WITHOUT_REASON = timedelta(minutes=15)
BANK_SUBJECT = "BANK"
"""The vault subject of free text about items that have no donor."""


def _writable(text: str) -> str:
    """Normalise to NFC, which entries and vault documents are written in; refuse characters Unicode has not assigned."""
    if any(unicodedata.category(character) in ("Cn", "Cs") for character in text):
        raise ValueError("holds a character that Unicode has not assigned")
    return unicodedata.normalize("NFC", text)


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _within_reach(instant: datetime) -> datetime:
    """Return the instant in UTC and whole milliseconds, as entries carry it, so that a table and the log say the same."""
    if not EARLIEST <= instant < LATEST:
        raise ValueError("lies outside 1970 to 2200")
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]
"""A time that a request states."""
FreeText = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_writable)]
Badge = Annotated[str, Field(pattern=r"^US-[0-9A-Z]{7}$")]


def _each_once(badges: list[str]) -> list[str]:
    if len(set(badges)) != len(badges):
        raise ValueError("names a colleague twice")
    return badges


class ImplausibleTime(Conflict):
    """The stated time cannot be: in the future, far back without a reason, or before the previous event."""

    code = "implausible_time"
    title = "Implausible time"


class Circumstances(BaseModel):
    """What may accompany any act: when it happened, whose hands, and free text (kept in the vault, never in the log)."""

    model_config = ConfigDict(extra="forbid")

    occurred_at: Instant | None = Field(
        default=None, description="When it happened; default now. Over 15 minutes back needs `reason_text`."
    )
    late_entry: bool = Field(default=False, description="It happened before the last recorded event; flagged for ever.")
    reason_text: FreeText | None = None
    comment: FreeText | None = None
    performed_by: Annotated[list[Badge], AfterValidator(_each_once)] = Field(
        default_factory=list,
        max_length=5,
        description="Badges of those whose hands it was. They confirm with POST /confirmations, or stay listed as unconfirmed.",
    )
    device: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,40}$")
    paper: Annotated[str, Field(pattern=r"^DV-[0-9A-Z]{7}$")] | None = Field(
        default=None, description="The filed form this is entered from (POST /paper-forms). It needs `occurred_at`."
    )


def scans_alone(given: Circumstances) -> None:
    """Raise ValueError when somebody scans for another: of two who scan independently each does so, except on paper."""
    if given.performed_by and given.paper is None:
        raise ValueError("each of the two scans for themselves: name nobody else's hands")


NOW = Circumstances()
"""No circumstances: it happened now, by the one who is signed in."""


paper_forms: FromAbove[Callable[[Session, Act, str, datetime | None], tuple[bytes, tuple[str, str]]]] = FromAbove("quality")
"""The event of a filed form and its two people, for one of them and a time on it; raises why it may not be entered."""


ending_guard: FromAbove[Callable[[Session, Act, Snapshot, Event, str | None], None]] = FromAbove("quality")
"""Raise why an event that may end material (`Event.may_end`) may not happen, on behalf of a withdrawal or of none."""


@dataclass(frozen=True)
class Move:
    """An event about to happen to a specimen."""

    specimen: Snapshot
    event: Event
    expected_seq: int | None = None
    site: str | None = None
    relies_on: tuple[bytes, ...] = ()
    words: bytes | None = None
    """The commitment to free text about this event alone, which the caller has put into the vault."""


def require_reason(at: datetime, stated: datetime, given: Circumstances) -> None:
    """Insist that a time further back than a moment says why. Raises ImplausibleTime."""
    if at - stated > BACK_WITHOUT_REASON and given.reason_text is None:
        raise ImplausibleTime(
            f"The stated time lies more than {BACK_WITHOUT_REASON.seconds // 60} minutes back. "
            "Say why the time lies back, or leave the time out if it happened just now."
        )


def plausible_time(at: datetime, stated: datetime | None, last: datetime | None, given: Circumstances) -> tuple[datetime, bool]:
    """Return (occurred_at, late) or raise ImplausibleTime.

    `at`: the bank's clock; `stated`: the world's, default `at`; `last`: when the stream's last event occurred.
    """
    occurred = stated if stated is not None else (max(at, last) if last is not None and last - at <= AHEAD else at)
    if occurred - at > AHEAD:
        raise ImplausibleTime(
            f"The stated time lies more than {AHEAD.seconds // 60} minutes ahead of the bank's clock ({rfc3339(at)}). "
            "Check the clock of the device."
        )
    require_reason(at, occurred, given)
    late = last is not None and occurred < last
    if late and not given.late_entry:
        raise ImplausibleTime(
            f"The stated time lies before this record's last event ({rfc3339(last) if last else ''}). "
            "If that is right, say that it happened before the last entry, and why it is entered now.",
            last_occurred_at=None if last is None else rfc3339(last),
        )
    if late and given.reason_text is None:
        raise ImplausibleTime("A late entry says why. Say why the time lies back.")
    return occurred, late


def head_of(
    session: Session,
    act: Act,
    given: Circumstances,
    *,
    subject: str | None,
    site: str | None,
    last: datetime | None = None,
    relies_on: tuple[bytes, ...] = (),
    kept: dict[str, bytes | None] | None = None,
) -> Head:
    """Build the head of an entry; free text goes to the vault under `subject`'s key (a donor, or the bank itself).

    `kept`: the documents this act wrote before, by subject. What was said once is one document, however many events carry it.
    """
    if given.paper is not None:
        form, people = paper_forms.get()(session, act, given.paper, given.occurred_at)
        act, relies_on = replace(act, source="paper"), (*relies_on, form)
        reason = given.reason_text or f"Entered from the form {given.paper}."
        hands = list(dict.fromkeys([*people, *given.performed_by]))
        given = given.model_copy(update={"late_entry": True, "reason_text": reason, "performed_by": hands})
    occurred_late = plausible_time(act.at, given.occurred_at, last, given)
    comment = _keep_words(session, act, given, subject or BANK_SUBJECT, {} if kept is None else kept)
    return _head(act, given, occurred_late, site, relies_on, comment)


def wordless_head(act: Act, given: Circumstances, *, site: str | None, last: datetime | None) -> Head:
    """Build the head of an entry whose circumstances hold no free text, so that nothing is written beside it. Pure."""
    assert given.reason_text is None
    assert given.comment is None
    assert given.paper is None
    return _head(act, given, plausible_time(act.at, given.occurred_at, last, given), site, (), None)


def _head(
    act: Act,
    given: Circumstances,
    occurred_late: tuple[datetime, bool],
    site: str | None,
    relies_on: tuple[bytes, ...],
    comment: bytes | None,
) -> Head:
    occurred, late = occurred_late
    return Head(
        by=act.actor.code,
        site=site,
        occurred_at=occurred,
        recorded_at=act.at,
        performed=tuple(PerformedBy(user, confirmed=user == act.actor.code) for user in given.performed_by),
        source=act.source,
        late=late,
        comment=comment,
        relies_on=relies_on,
        device=given.device or act.device,
    )


def _keep_words(session: Session, act: Act, given: Circumstances, subject: str, kept: dict[str, bytes | None]) -> bytes | None:
    if subject not in kept:
        words = {k: v for k, v in (("reason", given.reason_text), ("comment", given.comment)) if v is not None}
        kept[subject] = put_document(session, act.keystore, subject, words) if words else None
    return kept[subject]


def permission_refusal(actor: Actor, event: type[Event], specimen: Snapshot, site: str | None = None) -> NotPermitted | None:
    """Return why the actor may not record `event` at a site of the specimen or at `site`, or None. The bank itself may.

    An observation that says where it happened (received, found) takes the specimen there: that is for the people of that site.
    """
    if event.permission is None or actor.code == SYSTEM_CODE:
        return None
    if takes_it_there(event):
        places: tuple[str | None, ...] = (site,)
    elif event.of_the_keeper:
        places = (specimen.keeper,)
    else:
        places = specimen.sites if event.taken_from_its_site else (*specimen.sites, site)
    return actor.refusal(event.permission, at=places, subject=specimen.code, where_now=specimen.where_now)


def takes_it_there(event: type[Event]) -> bool:
    """Say whether an observation states a site, and so takes the specimen to it."""
    return event.mode is Mode.DIRECT and "site" in event.model_fields


def require_permission(act: Act, event: type[Event], specimen: Snapshot, site: str | None = None) -> None:
    """Raise what `permission_refusal` answers."""
    refusal = permission_refusal(act.actor, event, specimen, site)
    if refusal is not None:
        raise refusal


def refusals_of_recording(
    actor: Actor,
    event: type[Event],
    specimen: Snapshot,
    *,
    site: str | None = None,
    withdrawal: str | None = None,
    lagging: bool = False,
) -> list[Refusal]:
    """Return every reason why the actor may not record `event` on the specimen now, in the order `record` raises them. Pure."""
    found = (
        permission_refusal(actor, event, specimen, site),
        *refusals_of(event, specimen, withdrawal=withdrawal, lagging=lagging),
        custodian_refusal(actor, event, specimen),
    )
    return [refusal for refusal in found if refusal is not None]


def require_expected(specimen: Snapshot, expected: int | None) -> None:
    """Raise PreconditionMissing without `expected_seq`, StaleSequence with an old one."""
    if expected is None:
        raise PreconditionMissing(
            f"Send expected_seq: the sequence of the last event of {specimen.code} that you saw. It is {specimen.seq} now.",
            subject=specimen.code,
            head=specimen.seq,
        )
    if expected != specimen.seq:
        raise stale(specimen)


def stale(specimen: Snapshot) -> StaleSequence:
    """The refusal of a writer who saw an older history."""
    return StaleSequence(
        f"The record of {specimen.code} moved on: it stands at {specimen.seq}. Look at its present state and decide again.",
        subject=specimen.code,
        head=specimen.seq,
        state=specimen.projection.state,
        where_now=specimen.where_now,
    )


def is_lagging(session: Session, act: Act, events: Sequence[type[Event]]) -> bool:
    """Say whether the log is behind its promise; asked only when an act towards use needs to know."""
    return any(e.toward_use for e in events) and is_behind(session, act.bank, act.at)


def is_behind(session: Session, bank: Bank, at: datetime) -> bool:
    """Say whether the log owes a seal for longer than the bank promises."""
    return seal_lag_s(session, at) > bank.settings.merge_delay_s


def record(
    session: Session,
    act: Act,
    moves: Sequence[Move],
    given: Circumstances,
    *,
    withdrawal: str | None = None,
    lagging: bool | None = None,
    seals_follow: bool = False,
) -> list[Appended]:
    """Check and append events of specimens whose custody rows the caller has locked.

    Several moves may concern one specimen (they build on each other; then only the first one's state is checked against the
    stored row, the next against the one before). `lagging`: whether the log is behind, when the caller asked; `seals_follow`: the
    caller records what was seen of the seals of a shipment, which else is judged as not looked at.

    Answers what was recorded of each move, in their order (with its own hold), then what follows from time and arrivals.

    Raises NotPermitted, PreconditionMissing (never: the caller checked), StaleSequence, IllegalTransition, OnHold,
    ReservedElsewhere, LogLagging, ImplausibleTime, ExposureContradicts.
    """
    if lagging is None:
        lagging = is_lagging(session, act, [type(m.event) for m in moves])
    facts: list[Fact] = []
    too_warm: dict[str, Head] = {}  # Put away all the same; quality decides.
    arrived: dict[str, list[tuple[str, Event, Head]]] = {}
    seen: dict[str, Snapshot] = {}
    kept: dict[str, bytes | None] = {}
    came = CameIn()
    elsewhere: dict[str, Head] = {}  # Whose time of use may be shorter there.
    limits = cache(partial(material_limits.get(), session))
    for move in moves:
        specimen = seen.get(move.specimen.code, move.specimen)
        event = type(move.event)
        raise_first(refusals_of_recording(act.actor, event, specimen, site=move.site, withdrawal=withdrawal, lagging=lagging))
        if event.may_end:
            ending_guard.get()(session, act, specimen, move.event, withdrawal)
        site = move.site or specimen.projection.site_code
        head = head_of(
            session,
            act,
            _in_order(session, given, specimen, move.event) if event.cold_first else given,
            subject=specimen.donor_code,
            site=site,
            last=specimen.last_occurred_at,
            relies_on=move.relies_on,
            kept=kept,
        )
        if move.words is not None:
            head = replace(head, comment=move.words)
        sites = frozenset(filter(None, (site, specimen.home_site_code)))
        arriving.require_possible(session, specimen, move.event, site, act.at)
        happened = with_clock(move.event, specimen, head, partial(limits, sites=sites))
        before = move.specimen if specimen.seq else None
        facts.append(Fact(StreamKind.SPECIMEN, specimen.code, happened, head, before, specimen.donor_code))
        seen[specimen.code] = advanced(specimen, happened, head)
        if came_elsewhere(specimen, seen[specimen.code]):
            elsewhere[specimen.code] = head
        place = seen[specimen.code].projection.container_code
        if place is not None and "container_code" in event.effect:
            came.add(specimen.code, place, head)
        came.see(session, specimen.code, happened, head)
        contradicts = earlier_by_words(specimen, seen[specimen.code], event, head, given.reason_text)
        raise_first([] if contradicts is None else [contradicts])
        if crosses_red(specimen, seen[specimen.code], partial(limits, sites=sites)) and not held_while_out(session, specimen):
            too_warm[specimen.code] = head
        if (placed := hold_placed_with(event, specimen)) is not None:
            facts.append(custody_holds.specimen_hold_fact(seen[specimen.code], placed, head, reason="found"))
        facts += [
            custody_holds.specimen_hold_fact(seen[specimen.code], kind, head, reason=reason)
            for kind, reason in too_long(specimen, seen[specimen.code], happened, head, partial(limits, sites=sites))
        ]
        kind = arriving.inspection_hold(happened)
        if kind is not None and not custody_holds.stands(session, HoldScope.SPECIMEN, specimen.code, kind, arriving.INSPECTION):
            facts.append(custody_holds.specimen_hold_fact(seen[specimen.code], kind, head, reason=arriving.INSPECTION))
        arrives = arriving.has_arrived(happened, specimen, seen[specimen.code])
        if arrives and specimen.projection.shipment_code is None:
            facts += [
                custody_holds.specimen_hold_fact(seen[specimen.code], kind, head, reason=reason)
                for kind, reason in arriving.travelled_alone.get()(session, specimen, happened, site)
            ]
        if arrives and (shipment := specimen.projection.shipment_code) is not None:
            arrived.setdefault(shipment, []).append((specimen.code, happened, head))
    facts += [
        custody_holds.specimen_hold_fact(seen[code], HoldKind.TEMPERATURE, head, reason=WARM_TIME_BUDGET)
        for code, head in sorted(too_warm.items())
    ]
    facts += nearer_ends(session, seen, elsewhere, limits)
    appended = append(session, facts)
    custody_holds.keep_placed(session, facts, appended)
    appended += tell_of_missing(session, act, facts, appended)
    appended += came.follow(session, act, given, next(iter(appended), None))
    for shipment, events in sorted(arrived.items()):
        # Nobody arrives within the hold time by saying so: a stated time counts from a form on paper only.
        at = max(head.occurred_at if head.source == "paper" else head.recorded_at for _, _, head in events)
        appended += arriving.travelled_with.get()(
            session, act, shipment, arriving.Arrival([(code, one) for code, one, _ in events], at, given, seals_follow)
        )
    return appended


def _in_order(session: Session, given: Circumstances, specimen: Snapshot, event: Event) -> Circumstances:
    """Date what puts cold first when it could have been: one tube of a rack, or one slot, keeps the others out of no cold."""
    if given.occurred_at is None or given.paper is not None:
        return given
    return given.model_copy(update={"occurred_at": earliest(session, specimen, event, given.occurred_at)})


def advanced(specimen: Snapshot, event: Event, head: Head) -> Snapshot:
    """Return the snapshot as it will be after `event`, for checking the next of several."""
    after = specimen.projection.after(type(event).whole_effect(), event.payload(), head.members())
    last = head.occurred_at if specimen.last_occurred_at is None else max(specimen.last_occurred_at, head.occurred_at)
    return replace(specimen, projection=after, seq=specimen.seq + 1, last_occurred_at=last)


def acknowledge(act: Act, appended: Sequence[Appended]) -> str:
    """Sign for what was appended: one signature, however many events."""
    return sign_acknowledgement(
        act.bank.receipts,
        act.bank.settings.log_origin,
        act.at,
        act.bank.settings.merge_delay_s,
        [AcknowledgedEvent(a.stream, a.stream_id, a.seq, a.leaf_hash) for a in appended],
    )
