"""The custody rules as the plan of the house states them, written by hand: the oracle of the matrix and stateful tests.

kind → (states it is legal from, state after or None). It repeats the classes on purpose: a change of a rule must be made
twice, once by the one who wants it and once by the one who has thought about it.
"""

ALIVE = {"collected", "in_transit", "received", "in_process", "stored", "checked_out", "issued", "delivered", "missing"}
OVER = {"administered", "consumed", "discarded", "transferred_out", "lost"}
ANY = ALIVE | OVER
AT_HAND = ALIVE - {"missing"}

RULEBOOK: dict[str, tuple[set[str], str | None]] = {
    "specimen.collected": (set(), "collected"),
    "specimen.derived": (set(), "in_process"),
    "specimen.imported": (set(), "received"),
    "specimen.unidentified_found": (set(), "received"),
    "specimen.received": ({"collected", "in_transit"}, "received"),
    "specimen.checked_out": ({"stored"}, "checked_out"),
    "specimen.sampled": ({"collected", "received", "in_process", "checked_out"}, None),
    "specimen.inspected": (ANY, None),
    "specimen.annotated": (ANY, None),
    "specimen.missing": (AT_HAND, "missing"),
    "specimen.found": ({"missing", "lost"}, "received"),
    "specimen.lost": ({"missing"}, "lost"),
    "specimen.handover_offered": (AT_HAND, None),
    "specimen.handover_accepted": (AT_HAND, None),
    "specimen.handover_declined": (AT_HAND, None),
    "specimen.handover_expired": (ANY, None),
    "specimen.timed_out": (ALIVE, None),
    "specimen.sighted": (ANY, None),
    "specimen.use_by_shortened": (ALIVE, None),
    "specimen.amended": (ANY, None),
    "specimen.reversed": (ANY, None),
    "specimen.hold_placed": (ANY, None),
    "specimen.hold_lifted": (ANY, None),
    "specimen.process_started": ({"received", "checked_out", "collected"}, "in_process"),
    "specimen.frozen": ({"in_process", "received", "checked_out"}, None),
    "specimen.thawed": ({"in_process", "checked_out", "issued", "delivered", "received"}, None),
    "specimen.consumed": ({"in_process"}, "consumed"),
    "specimen.part_used": ({"in_process"}, None),
    "specimen.viability_measured": (ANY, None),
    "specimen.medium_changed": (ALIVE, None),
    "specimen.culture_seen": (ALIVE, None),
    "specimen.vessels_discarded": (ALIVE, None),
    "specimen.aliased": ({"collected", "received", "in_process", "stored"}, None),
    "specimen.stored": ({"received", "in_process", "checked_out"}, "stored"),
    "specimen.moved": ({"stored"}, "stored"),
    "specimen.safeguarded": (ALIVE, "stored"),
    "specimen.carried_along": ({"stored", "checked_out"}, None),
    "specimen.left_cold": ({"stored"}, None),
    "specimen.exposed": ({"stored", "checked_out"}, None),
    "specimen.dispatched": ({"collected", "received", "checked_out", "issued"}, "in_transit"),
    "specimen.refused": ({"in_transit"}, "received"),
    "specimen.delivered": ({"in_transit", "issued"}, "delivered"),
    "specimen.reserved": ({"stored", "checked_out", "in_process"}, None),
    "specimen.unreserved": (ALIVE, None),
    "specimen.issued": ({"checked_out", "in_process"}, "issued"),
    "specimen.administered": ({"delivered", "issued"}, "administered"),
    # Received and checked out too: what a courier brought back waits for the same decision as what came from a clinic.
    "specimen.returned": ({"issued", "in_transit", "delivered", "received", "checked_out"}, "received"),
    # What nobody can find is lost, not discarded.
    "specimen.discarded": (AT_HAND, "discarded"),
    # An item without a name ends as the specimen that it is.
    "specimen.identified": (AT_HAND, "consumed"),
    "specimen.recognised": ({"received", "stored"}, None),
    "specimen.transferred_out": ({"in_transit"}, "transferred_out"),
    "specimen.quality_decided": (ANY, None),
    "specimen.rejected_by_test": (ANY, None),
    "specimen.reopened": (ANY, None),
    "specimen.reattributed": (ANY - {"issued", "delivered"}, None),
    "specimen.donor_merged": (ANY, None),
    "specimen.handed_over_at_closing": (ALIVE - {"missing", "issued", "delivered"}, "transferred_out"),
    "specimen.end_announced": (ALIVE, None),
    "specimen.end_withdrawn": (ALIVE, None),
    "specimen.use_up_allowed": (ALIVE, None),
    "specimen.basis_decided": (ALIVE, None),
    "specimen.final_label_applied": ({"in_process", "checked_out"}, None),
    "specimen.labelled": (ANY, None),
    "specimen.label_verified": (ANY, None),
}
