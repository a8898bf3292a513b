"""Imports every package's events.py and closes the rule table. Import this before using the ledger.

The ledger's questions to the packages above it are answered with it (`registries.answers`).
"""

from biobank.alarms import events as alarms
from biobank.benches import events as benches
from biobank.custody import events as custody
from biobank.custody import use_by_events as times_of_use
from biobank.custody.event import rules
from biobank.donors import events as donors
from biobank.exports import events as exports
from biobank.labels import events as labels
from biobank.monitoring import events as monitoring
from biobank.people import badge_events as badges
from biobank.people import client_events as clients
from biobank.people import events as people
from biobank.quality import attribution_events as attributions
from biobank.quality import closing_events as closings
from biobank.quality import events as quality
from biobank.quality import incident_events as incidents
from biobank.registers import events as registers
from biobank.registries import answers
from biobank.shipping import events as shipping
from biobank.specimens import culture_events as cultures
from biobank.specimens import events as specimens
from biobank.storage import events as storage
from biobank.unfinished import events as unfinished
from biobank.viability import events as viability
from biobank.webhooks import events as webhooks
from biobank.withdrawals import approval_events as approvals
from biobank.withdrawals import events as withdrawals
from biobank.withdrawals import outcome_events as outcomes
from biobank.withdrawals import stop_events as stops

MODULES = (
    custody,
    times_of_use,
    exports,
    donors,
    people,
    clients,
    badges,
    registers,
    benches,
    quality,
    attributions,
    closings,
    incidents,
    shipping,
    specimens,
    cultures,
    storage,
    monitoring,
    viability,
    alarms,
    withdrawals,
    approvals,
    outcomes,
    stops,
    unfinished,
    labels,
    webhooks,
)
assert answers.MODULES
rules.close()
