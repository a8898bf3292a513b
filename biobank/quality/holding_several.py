"""Holds on several specimens in one act, and several holds lifted under one signature: all of them or none."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.holds import keep_placed, specimen_hold_fact
from biobank.custody.ledger import append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.snapshots import get_all_visible
from biobank.custody.states import HoldScope
from biobank.quality.hold_schemas import HoldPublic, HoldsAnswer, HoldSeveral, LiftSeveral
from biobank.quality.holds import Scope, hold_to_lift, holds_public, lift_one
from biobank.quality.releases import end_held_releases


def specimens_to_hold(session: Session, actor: Actor, codes: Sequence[str], *, lock: bool = False) -> list[Snapshot]:
    """Return specimens that the actor may hold, each once; raise NotFound, NotPermitted."""
    specimens = get_all_visible(session, actor, sorted(set(codes)), lock=lock, holds=True)
    for specimen in specimens:
        actor.require(Permission.HOLD_PLACE, at=specimen.sites, subject=specimen.code)
    return specimens


def hold_specimens(session: Session, act: Act, request: HoldSeveral) -> HoldsAnswer:
    """Place one hold on each of several specimens. Open bedside releases under them end."""
    specimens = specimens_to_hold(session, act.actor, request.specimens, lock=True)
    kept: dict[str, bytes | None] = {}
    facts = [
        specimen_hold_fact(
            specimen,
            request.kind,
            head_of(
                session,
                act,
                request,
                subject=specimen.donor_code,
                site=specimen.projection.site_code,
                last=specimen.last_occurred_at,
                kept=kept,
            ),
            reason=request.reason,
        )
        for specimen in specimens
    ]
    appended = append(session, facts)
    placed = keep_placed(session, facts, appended)
    ended = end_held_releases.get()(session, at=act.at, because=f"{request.kind.value}_hold")
    return HoldsAnswer(items=holds_public(session, placed), releases_killed=ended, receipt=acknowledge(act, appended))


def holds_to_lift(session: Session, actor: Actor, holds: Sequence[UUID]) -> list[HoldPublic]:
    """Return holds that the actor may lift, each once; raise what `hold_to_lift` raises of the first that may not be."""
    for one in dict.fromkeys(holds):
        hold_to_lift(session, actor, one)
    return holds_public(session, list(dict.fromkeys(holds)))


def lift_holds(session: Session, act: Act, request: LiftSeveral) -> HoldsAnswer:
    """Lift several holds: quality only, one signature "hold lifted" for all of them."""
    found = {one: hold_to_lift(session, act.actor, one)[1] for one in dict.fromkeys(request.holds)}
    signature = use_signature(session, act, request.signature, Meaning.HOLD_LIFTED)
    # What two holds stand on is read again under its lock for each, so that the second builds on the first.
    appended = [
        lift_one(session, act, *hold_to_lift(session, act.actor, one, lock=True), request, str(signature.id))
        for one in sorted(found, key=lambda one: _lock_order(found[one]))
    ]
    return HoldsAnswer(items=holds_public(session, list(found)), releases_killed=0, receipt=acknowledge(act, appended))


def _lock_order(scope: Scope) -> tuple[bool, str, str]:
    """Donors before specimens, each by their codes, as `custody.locks` says."""
    if scope.kind is HoldScope.SPECIMEN:
        return True, scope.id, ""
    return False, scope.donor_code or "", scope.id
