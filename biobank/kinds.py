"""Imports every package's events.py and closes the rule table. Import this before using the ledger."""

from biobank.custody import events as custody
from biobank.custody.event import rules
from biobank.donors import events as donors
from biobank.specimens import events as specimens
from biobank.storage import events as storage

MODULES = (custody, donors, specimens, storage)
rules.close()
