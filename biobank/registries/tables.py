"""Imports every module with tables, so that the metadata is whole: for Alembic, the command line and the tests."""

from sqlalchemy import MetaData

from biobank.acts import models as acts
from biobank.alarms import models as alarms
from biobank.auth import models as auth
from biobank.auth import station_models as stations
from biobank.benches import models as benches
from biobank.custody import models as custody
from biobank.donors import models as donors
from biobank.exports import models as exports
from biobank.foundation.db import metadata as _metadata
from biobank.jobs import models as jobs
from biobank.labels import models as labels
from biobank.messages import models as messages
from biobank.monitoring import models as monitoring
from biobank.quality import models as quality
from biobank.reconciliation import models as reconciliation
from biobank.registers import models as registers
from biobank.shipping import models as shipping
from biobank.specimens import limit_models
from biobank.specimens import models as specimens
from biobank.storage import models as storage
from biobank.transparency import models as transparency
from biobank.unfinished import models as unfinished
from biobank.vault import models as vault
from biobank.viability import models as viability
from biobank.webhooks import models as webhooks
from biobank.withdrawals import models as withdrawals

MODULES = (
    transparency,
    auth,
    stations,
    vault,
    acts,
    jobs,
    custody,
    donors,
    registers,
    benches,
    quality,
    shipping,
    specimens,
    limit_models,
    storage,
    messages,
    monitoring,
    alarms,
    reconciliation,
    viability,
    withdrawals,
    unfinished,
    labels,
    exports,
    webhooks,
)
metadata: MetaData = _metadata
