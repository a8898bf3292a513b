"""What this package tells those below it."""

from biobank.acts.proving import credentials_changed
from biobank.exports.service import names_told
from biobank.people.credentials import record_credentials
from biobank.people.queries import names_of_colleagues

credentials_changed.give(record_credentials)
names_told.give(names_of_colleagues)
