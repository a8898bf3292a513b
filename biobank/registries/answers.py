"""Imports every module that tells a package below what it asked (`foundation.from_above`). Nothing is left unanswered."""

from biobank.benches import answers as benches
from biobank.custody import answers as custody
from biobank.donors import answers as donors
from biobank.foundation.from_above import FromAbove
from biobank.labels import answers as labels
from biobank.labels import outdated
from biobank.monitoring import answers as monitoring
from biobank.people import answers as people
from biobank.quality import answers as quality
from biobank.quality import attachments, failures, missing, paper
from biobank.registers import answers as registers
from biobank.shipping import answers as shipping
from biobank.specimens import answers as specimens
from biobank.storage import answers as storage
from biobank.storage import undoing
from biobank.unfinished import answers as unfinished
from biobank.viability import answers as viability
from biobank.withdrawals import answers as withdrawals
from biobank.withdrawals import givings_since

BELOW = (people, custody, registers, donors, benches, specimens, storage, undoing, monitoring)
MODULES = (
    *BELOW,
    quality,
    attachments,
    failures,
    missing,
    paper,
    shipping,
    labels,
    outdated,
    viability,
    withdrawals,
    givings_since,
    unfinished,
)
assert not FromAbove.missing, [question.giver for question in FromAbove.missing]
