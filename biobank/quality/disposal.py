"""How specimens leave for good other than to their donor: destroyed, transferred out, given up as lost, used up.

Each takes two people, in two calls. What may be done, and by which pair, is one rule for all of them: `quality/ending.py`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Completed, Proposed, propose_or_complete, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Scope
from biobank.custody.custodians import hands_refusal
from biobank.custody.event import Event
from biobank.custody.events import Lost
from biobank.custody.legality import Snapshot, refusals_of
from biobank.custody.models import custody
from biobank.custody.recording import Move, record, require_expected
from biobank.custody.snapshots import get_visible
from biobank.custody.states import TERMINAL
from biobank.donors.models import donor
from biobank.donors.visibility import lock_donor
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.decisions import answer_of
from biobank.quality.ending import (
    USES,
    Facts,
    QualityDiscards,
    Route,
    ends,
    is_protected,
    pair_of,
    thawed_for_somebody,
    waits,
)
from biobank.quality.ending_facts import read_facts, rule_of_site
from biobank.quality.events import Discarded, EndAnnounced, EndWithdrawn, TransferredOut, UseUpAllowed
from biobank.quality.models import ending_notice, use_up_allowed
from biobank.quality.releases import end_releases
from biobank.quality.schemas import (
    AnnouncedEnd,
    AnnounceRequest,
    DecisionAnswer,
    DiscardRequest,
    Ended,
    EndingRequest,
    LostRequest,
    TransferRequest,
    UseUpRequest,
    WithdrawEndRequest,
)
from biobank.quality.stored_files import is_about, require_stored
from biobank.specimens.models import specimen as specimen_table

MAY_USE_UP_FOR = timedelta(hours=24)
"""As long as a proposal of two people lives."""


class NothingWaits(Conflict):
    """Its end need not be announced, or was not."""

    code = "nothing_announced"
    title = "Nothing announced"


def _left_for(route: Route, specimen: Snapshot, facts: Facts) -> str | None:
    """The withdrawal that a specimen left the bank for, wherever it is, or was thawed for: its reservation is in nobody's way.

    It can be used for nothing else, so it may be discarded or, missing, given up. Everything else waits for its return.
    """
    reserved: str | None = specimen.projection.reserved_for
    theirs = reserved == facts.left_for or thawed_for_somebody(specimen, facts)
    return reserved if route in (Route.DISCARD, Route.GIVE_UP) and theirs else None


def _opened(session: Session, act: Act, code: str, expected_seq: int | None) -> Snapshot:
    """Load the specimen under its donor's lock: what remains is counted while nothing else goes."""
    seen = get_visible(session, act.actor, code)
    if seen.donor_code is not None:
        lock_donor(session, seen.donor_code)
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    require_expected(specimen, expected_seq)
    return specimen


def _asked_for(session: Session, specimen: Snapshot, sha256: str | None) -> bool:
    """Say whether the donor's written request is on file: a stored file about this donor, not one about anybody else."""
    return sha256 is not None and specimen.donor_code is not None and is_about(session, sha256, specimen.donor_code)


def site_of_ending(specimen: Snapshot) -> str | None:
    """Return whose people end it: the bank's that keeps it for treatment, or those where it is."""
    here = specimen.projection.site_code
    return (specimen.home_site_code or here) if is_protected(specimen) else here


EVENTS: dict[Route, type[Event]] = {
    Route.DISCARD: Discarded,
    Route.TRANSFER_OUT: TransferredOut,
    Route.GIVE_UP: Lost,
    Route.USE_UP: UseUpAllowed,
}


def ending_refusals(
    actor: Actor,
    route: Route,
    specimen: Snapshot,
    facts: Facts,
    *,
    reason: str | None = None,
    second: bool = False,
    announcing: bool = False,
) -> list[Refusal]:
    """Return every reason why the actor may not take a route now, or as the second person complete it: who may, what the state
    allows, then the rule of ending. `announcing`: its end is only announced, by quality. Pure."""
    needed = Permission.QUALITY_DECIDE if announcing else pair_of(route, specimen, facts)[second]
    refusal: Refusal | None = actor.refusal(needed, at=site_of_ending(specimen), subject=specimen.code)
    if refusal is not None and needed is Permission.QUALITY_DECIDE and actor.may(Permission.CUSTODY_RECORD, at=specimen.sites):
        refusal = QualityDiscards(
            f"{specimen.code} was kept for treatment; it ends only with somebody of quality, signed.",
            subject=specimen.code,
            where_now=specimen.where_now,
        )
    withdrawal = _left_for(route, specimen, facts)
    rule = ends(route, specimen, facts, reason=reason, withdrawal=withdrawal, announcing=announcing)
    held = None if route is not Route.DISCARD or is_protected(specimen) else hands_refusal(actor, Discarded, specimen)
    who = [one for one in (refusal, held) if one is not None]
    found = [*who, *refusals_of(EVENTS[route], specimen, withdrawal=withdrawal), *rule]
    return list({one.detail: one for one in found}.values())


def _two(
    session: Session,
    act: Act,
    route: Route,
    specimen: Snapshot,
    facts: Facts,
    request: EndingRequest,
    **body: Any,
) -> Completed | Proposed:
    """Take this person's signature and propose the ending, or complete what the first person proposed. `body`: what both sign."""
    second_half = request.pending_act is not None
    reason = body.get("reason", body.get("use"))
    raise_first(ending_refusals(act.actor, route, specimen, facts, reason=reason, second=second_half))
    first, second = pair_of(route, specimen, facts)
    return propose_or_complete(
        session,
        act,
        f"specimen.{route.value}",
        specimen.code,
        body | {"seq": specimen.seq},
        use_signature(session, act, request.signature, Meaning.DECIDED),
        request.pending_act,
        hands=request.performed_by,
        first_needs=first,
        needs=second,
        site=site_of_ending(specimen),
    )


@two_person(
    "specimen.discard",
    "Discard a specimen",
    "I have looked at it and at its record, and it is to be destroyed.",
    DiscardRequest,
    grave=True,
    needs_seq=True,
)
def discard(session: Session, act: Act, code: str, request: DiscardRequest) -> Ended | Proposed:
    """Destroy a specimen, or propose it: two people. Raises what `ends` and `propose_or_complete` say."""
    specimen = _opened(session, act, code, request.expected_seq)
    facts = read_facts(session, specimen, act.at, attached=_asked_for(session, specimen, request.evidence))
    said: dict[str, Any] = {"reason": request.reason, "method": request.method, "evidence": request.evidence}
    step = _two(session, act, Route.DISCARD, specimen, facts, request, **said)
    if isinstance(step, Proposed):
        return step
    event = Discarded(**said, signatures=step.signatures)
    appended = record(session, act, [Move(specimen, event)], request, withdrawal=_left_for(Route.DISCARD, specimen, facts))
    end_releases.get()(session, [code], at=act.at, because="discarded")
    return Ended(**answer_of(act, appended).model_dump())


@two_person(
    "specimen.transfer_out",
    "Close the record of a specimen that another establishment has",
    "I have read the other establishment's receipt and agree.",
    TransferRequest,
    grave=True,
    needs_seq=True,
)
def transfer_out(session: Session, act: Act, code: str, request: TransferRequest) -> Ended | Proposed:
    """Close the record of a specimen that another establishment has taken over, on its receipt, or propose it.

    Raises AttachmentUnknown, and what `ends` and `propose_or_complete` say.
    """
    specimen = _opened(session, act, code, request.expected_seq)
    facts = read_facts(session, specimen, act.at, attached=_asked_for(session, specimen, request.donors_request))
    said: dict[str, Any] = {
        "to": request.to,
        "reason": request.reason,
        "donors_request": request.donors_request,
        "evidence": request.evidence,
    }
    step = _two(session, act, Route.TRANSFER_OUT, specimen, facts, request, **said)
    require_stored(session, [request.evidence])
    if isinstance(step, Proposed):
        return step
    event = TransferredOut(**said, signatures=step.signatures)
    return Ended(**answer_of(act, record(session, act, [Move(specimen, event)], request)).model_dump())


@two_person(
    "specimen.give_up",
    "Give up the search for a specimen",
    "I have searched too, and it is not to be found.",
    LostRequest,
    grave=True,
    needs_seq=True,
)
def give_up_as_lost(session: Session, act: Act, code: str, request: LostRequest) -> Ended | Proposed:
    """Give up the search for a missing specimen, or propose it. It can still be found."""
    specimen = _opened(session, act, code, request.expected_seq)
    facts = read_facts(session, specimen, act.at)
    step = _two(session, act, Route.GIVE_UP, specimen, facts, request, reason=request.reason)
    if isinstance(step, Proposed):
        return step
    event = Lost(reason=request.reason, signatures=step.signatures)
    return Ended(**answer_of(act, record(session, act, [Move(specimen, event)], request)).model_dump())


@two_person(
    "specimen.use_up",
    "Allow that a specimen is used up",
    "I have seen what remains for the donor, and allow it.",
    UseUpRequest,
    grave=True,
    needs_seq=True,
)
def allow_use_up(session: Session, act: Act, code: str, request: UseUpRequest) -> Ended | Proposed:
    """Allow for a day that a specimen is thawed, sampled or worked up with nothing left for its donor, or propose it."""
    specimen = _opened(session, act, code, request.expected_seq)
    facts = read_facts(session, specimen, act.at)
    said: dict[str, Any] = {"use": request.use, "remains": facts.remaining.units}
    step = _two(session, act, Route.USE_UP, specimen, facts, request, **said)
    if isinstance(step, Proposed):
        return step
    until = act.at + MAY_USE_UP_FOR
    event = UseUpAllowed(**said, until=rfc3339(until), signatures=step.signatures)
    appended = record(session, act, [Move(specimen, event)], request)
    row = {"use": request.use, "until": until, "event_hash": appended[0].leaf_hash}
    keyed = insert(use_up_allowed).values(specimen_code=code, **row)
    session.execute(keyed.on_conflict_do_update(index_elements=["specimen_code"], set_=row))
    _no_longer_announced(session, code, act.at)
    return Ended(**answer_of(act, appended).model_dump())


def announce_end(session: Session, act: Act, code: str, request: AnnounceRequest) -> AnnouncedEnd:
    """Announce that what is kept frozen for treatment is to be destroyed or used up; whom it concerns sees it until then."""
    specimen = _opened(session, act, code, request.expected_seq)
    facts = read_facts(session, specimen, act.at, attached=_asked_for(session, specimen, request.evidence))
    route = Route.USE_UP if request.reason in USES else Route.DISCARD
    raise_first(ending_refusals(act.actor, route, specimen, facts, reason=request.reason, announcing=True))
    if not waits(specimen, facts):
        raise NothingWaits(f"{code} ends without a wait: two people are enough.", subject=code)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    days, _ = rule_of_site(session, specimen.home_site_code or specimen.projection.site_code)
    not_before = act.at + timedelta(days=days)
    event = EndAnnounced(reason=request.reason, not_before=rfc3339(not_before), signature=str(signature.id))
    appended = record(session, act, [Move(specimen, event)], request)
    row: dict[str, Any] = {
        "reason": request.reason,
        "announced_by": act.actor.code,
        "announced_at": act.at,
        "not_before": not_before,
        "withdrawn_at": None,
        "event_hash": appended[0].leaf_hash,
    }
    keyed = insert(ending_notice).values(specimen_code=code, **row)
    session.execute(keyed.on_conflict_do_update(index_elements=["specimen_code"], set_=row))
    return AnnouncedEnd(**answer_of(act, appended).model_dump(), not_before=not_before, remains=facts.remaining.sentence)


def _no_longer_announced(session: Session, code: str, at: datetime) -> bool:
    """End the announcement that stands: taken back, or carried out. Say whether there was one."""
    stands = update(ending_notice).where(ending_notice.c.specimen_code == code, ending_notice.c.withdrawn_at.is_(None))
    return session.execute(stands.values(withdrawn_at=at).returning(ending_notice.c.specimen_code)).first() is not None


def forget_what_was_agreed(session: Session, codes: Collection[str], at: datetime) -> list[str]:
    """End what was announced and allowed of these: they turned out to be another donor's. Return what was announced."""
    named = sorted(codes)
    allowed = update(use_up_allowed).where(use_up_allowed.c.specimen_code.in_(named), use_up_allowed.c.until > at)
    session.execute(allowed.values(until=at))
    stands = update(ending_notice).where(ending_notice.c.specimen_code.in_(named), ending_notice.c.withdrawn_at.is_(None))
    return sorted(session.execute(stands.values(withdrawn_at=at).returning(ending_notice.c.specimen_code)).scalars())


def withdraw_end(session: Session, act: Act, code: str, request: WithdrawEndRequest) -> DecisionAnswer:
    """Take an announcement back. Raises NothingWaits when none stands."""
    specimen = _opened(session, act, code, request.expected_seq)
    act.require(Permission.QUALITY_DECIDE, at=site_of_ending(specimen), subject=code)
    if not _no_longer_announced(session, code, act.at):
        raise NothingWaits(f"No end of {code} is announced.", subject=code)
    return answer_of(act, record(session, act, [Move(specimen, EndWithdrawn(reason=request.reason))], request))


def announced_ends(session: Session, actor: Actor, limit: int) -> list[tuple[str, str, str, datetime]]:
    """Return the announced ends that concern the actor, soonest first: code, donor, reason, from when on. They concern quality
    where it is kept and the clinicians of its donor's clinic."""
    quality, clinic = actor.scope(Permission.QUALITY_DECIDE), actor.scope(Permission.WITHDRAWAL_REQUEST)
    rows = session.execute(
        select(ending_notice.c.specimen_code, custody.c.donor_code, ending_notice.c.reason, ending_notice.c.not_before)
        .select_from(
            ending_notice.join(custody, custody.c.code == ending_notice.c.specimen_code)
            .join(specimen_table, specimen_table.c.code == ending_notice.c.specimen_code)
            .join(donor, donor.c.code == custody.c.donor_code)
        )
        .where(
            ending_notice.c.withdrawn_at.is_(None),
            custody.c.state.not_in([state.value for state in TERMINAL]),
            _concerns(quality, clinic),
        )
        .order_by(ending_notice.c.not_before)
        .limit(limit)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _concerns(quality: Scope, clinic: Scope) -> Any:
    return quality.of(custody.c.site_code, specimen_table.c.home_site_code) | clinic.of(donor.c.clinic_site_code)
