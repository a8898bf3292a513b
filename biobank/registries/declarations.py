"""Imports every module that declares a timer, a kind of job or an act of two people (`@timer`, `@job_kind`, `@two_person`).

`tests/test_architecture.py` reads the sources and fails when one that declares is not imported here.
"""

from biobank.acts import answers_and_attempts
from biobank.acts.timers import TIMERS
from biobank.acts.two_person import ACTS
from biobank.alarms import against_the_log as compared_alarms
from biobank.alarms import watch as alarms
from biobank.benches import service as benches
from biobank.custody import reversal
from biobank.donors import erasure, safety_contact
from biobank.importing import jobs as imports
from biobank.importing import uploads
from biobank.interchange.fhir import bulk as fhir_bulk
from biobank.jobs import queue
from biobank.jobs.running import JOB_KINDS
from biobank.labels import against_the_log as compared_print_rules
from biobank.labels import batches
from biobank.labels import reconciling as label_reconciling
from biobank.messages import sending
from biobank.monitoring import sensors
from biobank.people import clients, jurisdictions, roles
from biobank.people import service as people
from biobank.quality import (
    closing,
    cultures,
    disposal,
    ending_rules,
    identifying,
    identity_changes,
    judging,
    merging,
    passing_on,
    reattributing,
    recall_ending,
    reopening,
    reserves,
)
from biobank.reconciliation import followed as compared_streams
from biobank.reconciliation import kept_files
from biobank.reconciliation import observed as compared_observations
from biobank.reconciliation import quoted_sets as compared_sets
from biobank.reconciliation import tables as compared_tables
from biobank.reconciliation import walk as reconciliation
from biobank.shipping import arrivals, handovers
from biobank.specimens import warm_time
from biobank.storage import limits as place_limits
from biobank.unfinished import service as unfinished
from biobank.viability import criteria as viability_criteria
from biobank.viability import service as viability
from biobank.webhooks import delivering as webhook_deliveries
from biobank.webhooks import service as webhooks
from biobank.withdrawals import against_the_log, given_before, stops
from biobank.withdrawals import service as withdrawals

MODULES = (
    answers_and_attempts,
    alarms,
    compared_alarms,
    benches,
    reconciliation,
    kept_files,
    compared_observations,
    compared_streams,
    compared_sets,
    compared_tables,
    against_the_log,
    reversal,
    erasure,
    safety_contact,
    queue,
    imports,
    uploads,
    batches,
    label_reconciling,
    compared_print_rules,
    sensors,
    sending,
    roles,
    jurisdictions,
    clients,
    people,
    closing,
    cultures,
    disposal,
    identifying,
    ending_rules,
    identity_changes,
    judging,
    merging,
    passing_on,
    reattributing,
    recall_ending,
    reopening,
    reserves,
    arrivals,
    handovers,
    warm_time,
    place_limits,
    viability,
    viability_criteria,
    unfinished,
    withdrawals,
    given_before,
    stops,
    fhir_bulk,
    webhooks,
    webhook_deliveries,
)
assert TIMERS
assert JOB_KINDS
assert ACTS
