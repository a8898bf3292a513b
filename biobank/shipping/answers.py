"""What packages below ask of shipping: the holds on shipments that cover a specimen, and who may know of them."""

from biobank.custody.arriving import travelled_alone, travelled_with
from biobank.custody.hold_coverage import HoldReach, shipment_sites, shipping_reach
from biobank.shipping.arrival_findings import findings_alone
from biobank.shipping.arrivals import judge_arrival

travelled_with.give(judge_arrival)
travelled_alone.give(lambda tube, event: [(one.kind, one.reason) for one in findings_alone(tube, event)])

# A hold on a shipment covers what ever travelled with it.
shipping_reach.give(
    HoldReach(
        tables="",
        scopes="""
    SELECT line.target, 'shipment', i.shipment_code, CAST(NULL AS timestamptz)
    FROM line JOIN shipment_item i ON i.specimen_code = line.member""",
        held="""
    SELECT i.specimen_code FROM active a JOIN shipment_item i ON i.shipment_code = a.scope_id WHERE a.scope_kind = 'shipment'""",
    )
)
shipment_sites.give("""
    SELECT s.code AS scope_id, CAST(NULL AS text) AS donor_code, v.site
    FROM shipment s, LATERAL (VALUES (s.from_site), (s.to_site)) AS v(site)""")
