"""A culture while it grows: medium, looks, and what a contamination holds; some of its vessels discarded by two people.

A contamination holds the culture's lot and its companions: lots of the same inputs, lots that share a medium or reagent lot with
it, and what stands in the same incubator. Quality judges them and lifts each hold, as every hold.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, func, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Proposed, propose_or_complete, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot, hold_refusal, reservation_refusal
from biobank.custody.models import custody
from biobank.custody.recording import Move, acknowledge, head_of, record, require_expected
from biobank.custody.snapshots import get_visible
from biobank.custody.states import TERMINAL, Condition, HoldAct, HoldKind, HoldScope
from biobank.donors.visibility import lock_donor
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.culture_schemas import CulturePublic, CultureRecorded, CultureRecordPublic, DiscardVessels, RecordCulture
from biobank.quality.deviations import add_deviation
from biobank.quality.disposal import site_of_ending
from biobank.quality.ending import PAIRS, WITNESSED, Facts, Route, sampling_ends, sampling_refusals
from biobank.quality.ending_facts import read_facts
from biobank.quality.releases import end_held_releases
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.culture_events import CultureSeen, MediumChanged, VesselsDiscarded
from biobank.specimens.lots import hold_lot, sharing_with
from biobank.specimens.models import culture_record, lot, processing, specimen

MEDIUM, LOOK, DISCARD = "medium_changed", "looked_at", "vessels_discarded"
CONTAMINATED: Final = "culture_contaminated"
"""Why a lot is held in which something grows that should not."""
COMPANION: Final = "companion_of_contaminated"
"""Why a lot is held that shares inputs, medium or an incubator with one that is contaminated."""
SUSPECTED: Final = "contamination_suspected"


class NotACulture(Conflict):
    """The specimen does not grow in vessels now."""

    code = "not_a_culture"
    title = "Not in culture"


class MoreVesselsThanThere(Conflict):
    """More vessels than the culture still has, or all of them where some are to go on."""

    code = "vessels_do_not_add_up"
    title = "Vessels do not add up"


class NotSeenContaminated(Conflict):
    """The reason is not what somebody recorded of the culture."""

    code = "vessels_reason_not_seen"
    title = "Nobody recorded that"


def record_culture(session: Session, act: Act, code: str, request: RecordCulture) -> CultureRecorded:
    """Record new medium or a look at a culture; a contamination holds it with its companions and opens a deviation.

    Raises NotFound, NotPermitted, NotACulture, MoreVesselsThanThere, NotInRegister, NotFitForUse, and what `record` raises.
    """
    one = _opened(session, act, code, request.expected_seq, Permission.PROCESSING_RECORD)
    left = vessels_left(session, one)
    _require_vessels(one, request.vessels, left)
    site = one.projection.site_code or one.home_site_code or ""
    at = request.occurred_at or act.at
    devices = [] if request.incubator is None else [request.incubator]
    use = Use(
        site=site,
        used_at=at,
        people=request.performed_by or [act.actor.code],
        codes=[*request.medium_lots, *devices],
        devices=devices,
    )
    warned = require_fit(session, act, use) if use.codes else []
    event: MediumChanged | CultureSeen
    if request.what == MEDIUM:
        event = MediumChanged(vessels=request.vessels, medium_lots=tuple(request.medium_lots), incubator=request.incubator)
    else:
        assert request.finding is not None
        event = CultureSeen(
            vessels=request.vessels,
            confluence_percent=request.confluence_percent,
            finding=request.finding,
            incubator=request.incubator,
        )
    appended = record(session, act, [Move(one, event, site=site or None)], request)
    _keep(
        session,
        act,
        code,
        request.what,
        appended[0].leaf_hash,
        at=at,
        vessels=request.vessels,
        medium_lots=list(request.medium_lots),
        incubator=request.incubator,
        confluence_percent=request.confluence_percent,
        finding=request.finding,
    )
    keep_warnings(session, act, warned, request, used_in=code, site=site)
    held: list[str] = []
    deviation = None
    if request.finding in {"contaminated", SUSPECTED}:
        held = _hold(session, act, one, request, appended)
        end_held_releases.get()(session, at=act.at, because="quality_hold")
    if request.finding == "contaminated":
        said = f"{request.vessels} of {left} vessels of {code} are contaminated. Held with it: {len(held)} lots."
        deviation, opened = add_deviation(
            session,
            act,
            request,
            severity="major",
            topic="contamination",
            site=site,
            description=said,
            affected=[("specimen", code)],
        )
        appended.append(opened)
    return CultureRecorded(culture=describe(session, one), held=held, deviation=deviation, receipt=acknowledge(act, appended))


def _hold(session: Session, act: Act, one: Snapshot, request: RecordCulture, appended: list[Appended]) -> list[str]:
    """Hold the culture's lot and, of a contamination, its companions; return the lots that are held."""
    sure = request.finding == "contaminated"
    own = None if one.lot_code is None else session.execute(select(lot).where(lot.c.code == one.lot_code)).one()
    head = head_of(
        session, act, request, subject=one.donor_code, site=one.projection.site_code, relies_on=(appended[0].leaf_hash,)
    )
    reason = CONTAMINATED if sure else SUSPECTED
    if own is None:
        _id, placed = custody_holds.place(
            session,
            kind=HoldKind.QUALITY,
            scope_kind=HoldScope.SPECIMEN,
            scope_id=one.code,
            reason=reason,
            head=head,
            specimen=get_visible(session, act.actor, one.code, lock=True),
        )
        appended.append(placed)
    wanted = [(own, reason)] if own is not None else []
    if sure:
        wanted += [(row, COMPANION) for row in companions(session, one)]
    held = []
    for row, why in wanted:
        if not custody_holds.stands(session, HoldScope.LOT, row.code, HoldKind.QUALITY, why):
            hold_lot(session, row, why, head, appended)
            held.append(row.code)
    return held


def companions(session: Session, one: Snapshot) -> "Sequence[Row[Any]]":
    """Return the other lots that a contamination of this culture holds: of its run, its medium and its incubator."""
    r, p, s, c = culture_record.c, processing.c, specimen.c, custody.c
    found: dict[str, Row[Any]] = {}
    if one.lot_code is not None:
        own = session.execute(select(lot).where(lot.c.code == one.lot_code)).one()
        found |= {row.code: row for row in sharing_with(session, own)}
    rows = session.execute(select(r.medium_lots, r.incubator).where(r.specimen_code == one.code)).all()
    media = sorted({medium for row in rows for medium in row.medium_lots})
    incubators = sorted({row.incubator for row in rows if row.incubator is not None})
    run = session.execute(select(p.reagent_lots).where(p.lot_code == one.lot_code)).scalar() or []
    shared = sorted({*media, *run})
    growing = select(s.lot_code).join(custody, c.code == s.code)
    growing = growing.where(c.condition == Condition.IN_CULTURE.value, c.state.not_in([state.value for state in TERMINAL]))
    fed = select(s.lot_code).join(culture_record, r.specimen_code == s.code).where(r.medium_lots.overlap(shared))
    made = select(p.lot_code).where(p.reagent_lots.overlap(media))
    near = growing.join(culture_record, r.specimen_code == s.code).where(r.incubator.in_(incubators))
    conditions: list[ColumnElement[bool]] = [lot.c.code.in_(fed), lot.c.code.in_(made), lot.c.code.in_(near)]
    if one.projection.container_code is not None:
        conditions.append(lot.c.code.in_(growing.where(c.container_code == one.projection.container_code)))
    beside = session.execute(select(lot.c.code, lot.c.donor_code).where(or_(*conditions)).order_by(lot.c.code))
    found |= {row.code: row for row in beside}
    return [found[code] for code in sorted(found) if code != one.lot_code]


@two_person(
    "specimen.discard_vessels",
    "Discard vessels of a culture",
    "I have looked at these vessels, and they are to be destroyed.",
    DiscardVessels,
    grave=True,
    needs_seq=True,
)
def discard_vessels(session: Session, act: Act, code: str, request: DiscardVessels) -> CultureRecorded | Proposed:
    """Discard some vessels of a culture, or propose it: what is contaminated before a witness, as what leaves a usable rest and
    is broken or detached; anything else with quality.

    Raises NotFound, NotACulture, MoreVesselsThanThere, NotSeenContaminated, and what `sampling_refusals` and
    `propose_or_complete` say.
    """
    one = _opened(session, act, code, request.expected_seq, Permission.CUSTODY_RECORD)
    left = vessels_left(session, one)
    facts = read_facts(session, one, act.at)
    raise_first(discarding_refusals(session, one, request, left, facts))
    assert left is not None
    first, second = WITNESSED if before_a_witness(one, request, facts) else PAIRS[Route.DISCARD]
    said = {"vessels": request.vessels, "amount": request.amount, "reason": request.reason}
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    step = propose_or_complete(
        session,
        act,
        "specimen.discard_vessels",
        code,
        said | {"seq": one.seq},
        signature,
        request.pending_act,
        hands=request.performed_by,
        first_needs=first,
        needs=second,
        site=one.projection.site_code if second is Permission.CUSTODY_RECORD else site_of_ending(one),
        first_site=one.projection.site_code,
    )
    if isinstance(step, Proposed):
        return step
    signed = step.signatures
    event = VesselsDiscarded(**said, left=left - request.vessels, signatures=signed)
    appended = record(session, act, [Move(one, event)], request)
    kept = {"vessels": request.vessels, "finding": request.reason, "amount": request.amount}
    _keep(session, act, code, DISCARD, appended[0].leaf_hash, at=request.occurred_at or act.at, **kept)
    return CultureRecorded(culture=describe(session, one), receipt=acknowledge(act, appended))


def before_a_witness(one: Snapshot, request: DiscardVessels, facts: Facts) -> bool:
    """Say whether two who work at the bench discard these vessels; else the second is of quality. Pure."""
    if request.reason == "contaminated":
        return True
    return request.reason != "surplus" and not sampling_ends(one, request.amount, facts)


def discarding_refusals(
    session: Session, one: Snapshot, request: DiscardVessels, left: int | None, facts: Facts
) -> list[Refusal]:
    """Return every reason why these vessels may not be discarded now. Of contaminated ones no more goes than their share."""
    found: list[Refusal | None] = [
        reservation_refusal(one),
        hold_refusal(HoldAct.DESTROY, "discarded in part", one),
    ]
    _require_vessels(one, request.vessels, left)
    if request.vessels == left or request.amount >= one.projection.amount:
        found.append(MoreVesselsThanThere(f"That is all of {one.code}: discard the whole culture instead.", subject=one.code))
    elif request.reason == "surplus":
        found += sampling_refusals(one, request.amount, facts)
    elif request.reason == "contaminated" and left and request.amount * left > one.projection.amount * request.vessels:
        share = one.projection.amount * request.vessels // left
        found.append(
            MoreVesselsThanThere(
                f"{request.vessels} of {left} vessels of {one.code} hold {share} by equal shares, and you say {request.amount}. "
                "Say no more than their share; what is wrong with the rest is corrected by a count.",
                subject=one.code,
                share=share,
            )
        )
    if request.reason in {"contaminated", "detached"} and request.vessels > _seen(session, one.code, request.reason):
        found.append(
            NotSeenContaminated(
                f"Record first in how many vessels of {one.code} you saw that; then discard those.", subject=one.code
            )
        )
    return [refusal for refusal in found if refusal is not None]


def _seen(session: Session, code: str, reason: str) -> int:
    """Return in how many vessels somebody saw it, less those discarded for it. A suspicion is not seen: it is tested."""
    r = culture_record.c
    looked = (r.specimen_code == code, r.what == LOOK, r.finding == reason)
    seen = select(func.coalesce(func.max(r.vessels), 0)).where(*looked)
    gone = select(func.coalesce(func.sum(r.vessels), 0)).where(r.specimen_code == code, r.what == DISCARD, r.finding == reason)
    return int(session.execute(seen).scalar_one()) - int(session.execute(gone).scalar_one())


def vessels_left(session: Session, one: Snapshot) -> int | None:
    """Return how many vessels a culture still has; None where nobody counted them."""
    r = culture_record.c
    begun = session.execute(select(specimen.c.vessel_count).where(specimen.c.code == one.code)).scalar()
    gone = select(func.coalesce(func.sum(r.vessels), 0)).where(r.specimen_code == one.code, r.what == DISCARD)
    return None if begun is None else int(begun) - int(session.execute(gone).scalar_one())


def read_culture(session: Session, actor: Actor, code: str) -> CulturePublic:
    """Answer GET /specimens/{code}/culture. Raises NotFound."""
    return describe(session, get_visible(session, actor, code))


def describe(session: Session, one: Snapshot) -> CulturePublic:
    """Return a culture with all that was seen and done, newest first."""
    begun = session.execute(select(specimen.c.vessel_count).where(specimen.c.code == one.code)).scalar()
    r = culture_record.c
    rows = session.execute(select(culture_record).where(r.specimen_code == one.code).order_by(r.at.desc(), r.id).limit(500))
    items = [CultureRecordPublic(**{name: getattr(row, name) for name in CultureRecordPublic.model_fields}) for row in rows]
    return CulturePublic(specimen=one.code, begun_with=begun, vessels=vessels_left(session, one), items=items)


def _opened(session: Session, act: Act, code: str, expected_seq: int | None, permission: Permission) -> Snapshot:
    """Return the culture, locked after its donor. Raises NotFound, NotPermitted, StaleSequence, NotACulture."""
    seen = get_visible(session, act.actor, code)
    act.require(permission, at=seen.sites, subject=code)
    if seen.donor_code is not None:
        lock_donor(session, seen.donor_code)
    one = get_visible(session, act.actor, code, lock=True, holds=True)
    require_expected(one, expected_seq)
    if one.projection.condition != Condition.IN_CULTURE or one.state in TERMINAL:
        raise NotACulture(f"{code} is not in culture now.", subject=code, where_now=one.where_now)
    return one


def _require_vessels(one: Snapshot, vessels: int, left: int | None) -> None:
    if left is None:
        raise MoreVesselsThanThere(f"Nobody counted the vessels of {one.code} when it was made.", subject=one.code)
    if vessels > left:
        raise MoreVesselsThanThere(
            f"{one.code} has {left} vessels, and you say {vessels}. Count again.", subject=one.code, left=left
        )


def _keep(session: Session, act: Act, code: str, what: str, event_hash: bytes, **said: Any) -> None:
    given = {"medium_lots": [], "incubator": None, "confluence_percent": None, "finding": None, "amount": None} | said
    row = {
        "id": uuid4(),
        "specimen_code": code,
        "what": what,
        "by": act.actor.code,
        "recorded_at": act.at,
        "event_hash": event_hash,
    }
    session.execute(insert(culture_record).values(**row, **given))
