"""An unidentified item turns out to be a specimen of ours: two people of quality say so, on evidence.

Its own record ends and the specimen, which was missing or given up as lost, is found at the same place. What the item went
through the specimen went through: its time out of the cold, its excursions and holds. Saying so proves nothing about what is in
the tube, so the specimen comes back under an identity hold, which quality lifts by itself when it has the proof.
"""

from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.custody.coming_in import came_in
from biobank.custody.events import Found
from biobank.custody.holds_then import stays_of
from biobank.custody.legality import Snapshot, refusal_of
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.recording import Move, record, require_expected, require_permission
from biobank.custody.snapshots import get_all_visible
from biobank.custody.states import State
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import Prefix, parse_code
from biobank.foundation.errors import Conflict, raise_first
from biobank.quality.decisions import answer_of
from biobank.quality.events import Identified, Recognised
from biobank.quality.schemas import Resolved, ResolveRequest
from biobank.quality.stored_files import require_stored
from biobank.storage import queries
from biobank.storage.events import Safeguarded, Stored
from biobank.storage.holding_still import lock_places
from biobank.storage.rules import place_faults


class NotUnidentified(Conflict):
    """Only an item that nobody could name is resolved."""

    code = "not_unidentified"
    title = "Has a name already"


class NotLookedFor(Conflict):
    """A specimen that is where its record says cannot be this item as well."""

    code = "not_looked_for"
    title = "Nobody misses it"


@two_person(
    "specimen.resolve",
    "Say which specimen an unidentified item is",
    "I have read the evidence and agree that it is this specimen.",
    ResolveRequest,
    grave=True,
    needs_seq=True,
)
def resolve(session: Session, act: Act, code: str, request: ResolveRequest) -> Resolved | Proposed:
    """Say which specimen an unidentified item is, or propose it; two people of quality sign, where the
    item is kept and where the specimen is.

    Raises NotFound for either, NotUnidentified, NotLookedFor, IllegalTransition, OnHold, StaleSequence, NotPermitted,
    AttachmentUnknown, and what `two_sign` raises.
    """
    item, target = get_all_visible(session, act.actor, [code, request.same_as], lock=True, holds=True)
    _require_sense(item, target)
    require_permission(act, Identified, item)
    require_expected(item, request.expected_seq)
    for event, specimen in ((Identified, item), (Found, target)):
        refusal = refusal_of(event, specimen)
        if refusal is not None:
            raise refusal
    require_stored(session, [request.evidence_sha256])
    site = item.home_site_code or item.projection.site_code
    body = {"same_as": request.same_as, "evidence_sha256": request.evidence_sha256}
    step = two_sign(
        session,
        act,
        "specimen.resolve",
        code,
        body,
        request,
        Permission.SPECIMEN_RESOLVE,
        site=site,
        and_at=[target.keeper] if target.keeper is not None else [],
    )
    if isinstance(step, Proposed):
        return step
    signatures = step.signatures
    identified = Identified(same_as=target.code, evidence_sha256=request.evidence_sha256, signatures=signatures)
    moves = [Move(item, identified), *_found_again(session, act, item, target)]
    appended = record(session, act, moves, request)
    stays = stays_of(list(steps_of(entries_of(session, item.code))))
    if stays:
        places = {stay.code: stay.since for stay in sorted(stays, key=lambda one: one.since, reverse=True)}
        appended += came_in.get()(session, act, places, [target.code], appended[0])
    where = item.projection.position_code or item.projection.container_code
    now = f"It stays in {where}" if where else "Put it into the nearest quarantine place"
    return Resolved(
        **answer_of(act, appended).model_dump(),
        where_now=f"Label it {target.code}. {now}; it is under an identity hold until quality has the proof.",
    )


def _require_sense(item: Snapshot, target: Snapshot) -> None:
    if parse_code(item.code).prefix is not Prefix.UNIDENTIFIED:
        raise NotUnidentified(f"{item.code} is no unidentified item. Correct its record instead.", subject=item.code)
    if target.state not in (State.MISSING, State.LOST):
        raise NotLookedFor(
            f"{target.code} is neither missing nor lost by its record. Count where it should be first, and report it missing "
            "when it is not there.",
            subject=target.code,
            where_now=item.where_now,
        )


def _found_again(session: Session, act: Act, item: Snapshot, target: Snapshot) -> list[Move]:
    """The specimen is found where the item is, stays there, and was out of the cold for as long as the item was.

    Raises why it may not stand there, where that is no place that takes everything.
    """
    place, slot, site = item.projection.container_code, item.projection.position_code, item.projection.site_code
    found = Move(target, Found(site=site, place=place), site=site)
    moves = [found]
    if place is not None:
        lock_places(session, [place])
        standing = queries.standings_of(session, [place])[place]
        raise_first([] if standing.safe else place_faults(target, standing))
        out_since = None if standing.keeps(target.projection.condition) else rfc3339(act.at)
        there: dict[str, Any] = {"container": place, "position": slot, "site": site, "out_since": out_since}
        moves.append(Move(target, Safeguarded(**there, reason="identified") if standing.safe else Stored(**there), site=site))
    seconds = item.projection.exposure_s + item.projection.running_s(rfc3339(act.at))
    return [*moves, Move(target, Recognised(item=item.code, seconds=seconds), site=site)]
