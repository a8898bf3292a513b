"""Sending specimens from one site to another: who may give them to a courier, and what may travel where."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody.custodians import NotTheCustodian
from biobank.custody.exposure import cold_at
from biobank.custody.leaving import leaving_refusal
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Move, acknowledge, head_of, record, require_expected
from biobank.custody.snapshots import get_all_visible
from biobank.custody.states import Condition, CustodianKind, State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, MalformedRequest, NotFound, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.registers.using import keep_warnings
from biobank.shipping.boxes import boxes_of_tubes, seal_boxes
from biobank.shipping.carriers import require_carrier
from biobank.shipping.events import Created, Dispatched, Packed
from biobank.shipping.handover_rules import EvidenceRequired
from biobank.shipping.onward import require_onward
from biobank.shipping.schemas import ShipmentAnswer, ShipmentRequest
from biobank.shipping.shipment_queries import LONGEST_UNDERWAY, detail_of, item, shipment
from biobank.storage.rules import CRYOGENIC, Standing, class_faults

clinics_of_withdrawals: FromAbove[Callable[[Session, Collection[str]], dict[str, str]]] = FromAbove("withdrawals")
"""The site of the clinic of each withdrawal, by its code."""


class NotAtThatSite(Conflict):
    """The specimen is not where the shipment starts."""

    code = "not_at_that_site"
    title = "Somewhere else"


class WrongDestination(Conflict):
    """A shipment goes to another site, and what was issued for a person goes to that person's clinic only."""

    code = "wrong_destination"
    title = "Wrong destination"


class ArrivesBeforeItLeaves(Conflict):
    """A shipment is due, and its shipper cold, after it left."""

    code = "arrives_before_it_leaves"
    title = "Wrong dates"


class TooLongUnderway(Conflict):
    """A shipment is due, or its shipper said to be cold, later than any is on its way."""

    code = "too_long_underway"
    title = "On its way for so long?"


def dispatch(session: Session, act: Act, request: ShipmentRequest) -> ShipmentAnswer:
    """Give specimens to a courier. They are underway from now on, and the courier holds them."""
    act.require(Permission.SHIPMENT_RECORD, at=request.from_site)
    to_kind = _require_sites(session, request)
    codes = [line.specimen for line in request.specimens]
    if len(set(codes)) != len(codes):
        raise MalformedRequest("A specimen stands twice in this request. Send each specimen once.")
    specimens = get_all_visible(session, act.actor, codes, lock=True, holds=True)
    for specimen, line in zip(specimens, request.specimens, strict=True):
        require_expected(specimen, line.expected_seq)
        _require_packable(specimen, request, to_kind)
    # A shipment to a patient is the rest of an issue: what must not be issued any more does not leave either.
    require_onward(session, act, specimens, request.occurred_at)
    _require_their_clinic(session, specimens, request)
    with_courier = all(_custodian(s) == (CustodianKind.COURIER.value, request.courier) for s in specimens)
    if request.evidence is None and not with_courier:
        raise EvidenceRequired(
            f"{request.courier} holds the specimens only once it accepted them: give the reference of its acceptance."
        )
    left = request.occurred_at or act.at
    if any(end is not None and end <= left for end in (request.expected_by, request.cold_until)):
        raise ArrivesBeforeItLeaves("Its arrival and the end of the hold time lie after it leaves. Check the dates.")
    if any(end is not None and end - left > LONGEST_UNDERWAY for end in (request.expected_by, request.cold_until)):
        raise TooLongUnderway(f"Nothing is on its way for more than {LONGEST_UNDERWAY.days} days. Check the dates.")
    carrier = require_carrier(session, act, request, left)
    box_of = boxes_of_tubes(request.boxes, codes)
    code = new_code(session, "SH")
    event = Dispatched(
        shipment=code,
        courier=request.courier,
        evidence=request.evidence,
        from_site=request.from_site,
        to_site=request.to_site,
    )
    tubes = sorted(specimens, key=lambda s: s.code)
    since = rfc3339(cold_at(act, request.occurred_at, request.paper))
    warm = event.model_copy(update={"out_since": since})
    moves = [Move(s, warm if _travels_warm(s, request) else event, site=request.from_site) for s in tubes]
    appended = record(session, act, moves, request)
    head = head_of(session, act, request, subject=None, site=request.from_site)
    created = Created(
        from_site=request.from_site,
        to_site=request.to_site,
        courier=request.courier,
        temperature_class=request.temperature_class,
        shipper=request.shipper,
        logger=request.logger,
        seal=request.seal,
        waybill=request.waybill,
        qualification=request.qualification,
        charge_g=request.charge_g,
        cold_until=None if carrier.cold_until is None else rfc3339(carrier.cold_until),
        expected_by=None if request.expected_by is None else rfc3339(request.expected_by),
    )
    packed = Packed(specimens=tuple(s.code for s in tubes))
    session.execute(
        insert(shipment).values(
            code=code,
            from_site=request.from_site,
            to_site=request.to_site,
            courier=request.courier,
            evidence=request.evidence,
            temperature_class=request.temperature_class,
            shipper=request.shipper,
            logger=request.logger,
            seal=request.seal,
            waybill=request.waybill,
            qualification=request.qualification,
            charge_g=request.charge_g,
            cold_until=carrier.cold_until,
            expected_by=request.expected_by,
            dispatched_at=head.occurred_at,
            dispatched_by=act.actor.code,
        )
    )
    sealed = seal_boxes(session, code, request.boxes, head)
    session.execute(
        insert(item),
        [
            {
                "shipment_code": code,
                "specimen_code": s.code,
                "issued_for": s.projection.reserved_for if s.state is State.ISSUED else None,
                "box": box_of.get(s.code),
                "dispatched_event": done.leaf_hash,
            }
            for s, done in zip(tubes, appended, strict=False)
        ],
    )
    appended += append(session, [*(Fact(StreamKind.SHIPMENT, code, e, head) for e in (created, packed)), *sealed])
    keep_warnings(session, act, carrier.warned, request, used_in=code, site=request.from_site)
    return ShipmentAnswer(**detail_of(session, code).model_dump(), receipt=acknowledge(act, appended))


def _travels_warm(specimen: Snapshot, request: ShipmentRequest) -> bool:
    """Say whether nothing says that a frozen tube travels in the cold: no shipper, no class of cold. Its clock runs on. Pure."""
    frozen = specimen.projection.condition == Condition.FROZEN.value
    return frozen and request.shipper is None and request.temperature_class not in CRYOGENIC


def _require_sites(session: Session, request: ShipmentRequest) -> str:
    """Return the kind of the site that it goes to."""
    if request.from_site == request.to_site:
        raise WrongDestination(f"A shipment goes to another site than {request.from_site}; here, use a hand-over.")
    kind = session.execute(select(site.c.kind).where(site.c.code == request.to_site, site.c.active)).scalar()
    if kind is None:
        raise NotFound(f"There is no active site {request.to_site}.", subject=request.to_site)
    return str(kind)


def _custodian(specimen: Snapshot) -> tuple[str, str | None]:
    return specimen.projection.custodian_kind, specimen.projection.custodian_id


def _require_packable(specimen: Snapshot, request: ShipmentRequest, to_kind: str) -> None:
    """Raise why this specimen may not be put into this shipment; its state and who holds it are judged by `record`."""
    where = specimen.projection.site_code
    if where != request.from_site:
        raise NotAtThatSite(
            f"{specimen.code} is at {where}, not at {request.from_site}.", where_now=specimen.where_now, subject=specimen.code
        )
    kind, name = _custodian(specimen)
    if kind == CustodianKind.COURIER.value and name != request.courier and specimen.state in Dispatched.from_states:
        raise NotTheCustodian(
            f"{specimen.code} is in the custody of {name}, not of {request.courier}. Name the courier who has it.",
            where_now=specimen.where_now,
            subject=specimen.code,
            custodian_kind=kind,
        )
    away = leaving_refusal(specimen, to_kind)
    raise_first([*([] if away is None else [away]), *class_faults(specimen, Standing("the shipment", request.temperature_class))])


def _require_their_clinic(session: Session, specimens: Sequence[Snapshot], request: ShipmentRequest) -> None:
    """Raise WrongDestination when an issued tube would go anywhere but to the clinic of its withdrawal."""
    issued = {w: s.code for s in specimens if s.state is State.ISSUED and (w := s.projection.reserved_for) is not None}
    for code, clinic in clinics_of_withdrawals.get()(session, sorted(issued)).items():
        if clinic != request.to_site:
            raise WrongDestination(
                f"{issued[code]} was issued for {code}, whose clinic is {clinic}, not {request.to_site}.",
                subject=issued[code],
                withdrawal=code,
            )
