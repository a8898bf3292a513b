"""What packages below ask of shipping: the holds on shipments that cover a specimen, and who may know of them."""

from datetime import datetime

from sqlmodel import Session

from biobank.custody.arriving import possible_on_arrival, travelled_alone, travelled_with
from biobank.custody.hold_coverage import HoldReach, shipment_sites, shipping_reach
from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.shipping.arrival_findings import findings_alone, possible_temperature
from biobank.shipping.arrivals import judge_arrival
from biobank.shipping.shipment_queries import row_of
from biobank.shipping.travel_limits import limits_by_hand, limits_of_shipment

travelled_with.give(judge_arrival)
travelled_alone.give(
    lambda session, tube, event, site: [
        (one.kind, one.reason)
        for one in findings_alone(
            limits_by_hand(session, [tube], site), event, frozen=tube.projection.condition == Condition.FROZEN.value
        )
    ]
)


@possible_on_arrival.give
def _possible(session: Session, tube: Snapshot, temperature_mc: int, site: str | None, at: datetime) -> None:
    shipment = tube.projection.shipment_code
    of = limits_by_hand(session, [tube], site) if shipment is None else limits_of_shipment(session, row_of(session, shipment))
    possible_temperature(of, temperature_mc, at)


# A hold on a shipment covers what ever travelled with it, one on a box of it (`shipping/boxes.py: scope_of`) what lay in that.
shipping_reach.give(
    HoldReach(
        tables="",
        scopes="""
    SELECT line.target, 'shipment', i.shipment_code, CAST(NULL AS timestamptz)
    FROM line JOIN shipment_item i ON i.specimen_code = line.member
    UNION
    SELECT line.target, 'shipment', i.shipment_code || '_' || i.box, NULL
    FROM line JOIN shipment_item i ON i.specimen_code = line.member WHERE i.box IS NOT NULL""",
        held="""
    SELECT i.specimen_code FROM active a JOIN shipment_item i ON i.shipment_code = split_part(a.scope_id, '_', 1)
    WHERE a.scope_kind = 'shipment'""",
    )
)
shipment_sites.give("""
    SELECT s.code AS scope_id, CAST(NULL AS text) AS donor_code, v.site
    FROM shipment s, LATERAL (VALUES (s.from_site), (s.to_site)) AS v(site)
    UNION ALL
    SELECT b.shipment_code || '_' || b.box, NULL, v.site
    FROM shipment_box b JOIN shipment s ON s.code = b.shipment_code, LATERAL (VALUES (s.from_site), (s.to_site)) AS v(site)""")
