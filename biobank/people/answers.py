"""What this package tells those below it."""

from biobank.acts.proving import credentials_changed
from biobank.people.credentials import record_credentials

credentials_changed.give(record_credentials)
