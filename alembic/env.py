"""Alembic's environment. The address comes from the caller (`biobank migrate`) or from BIOBANK_OWNER_DATABASE_URL.

Migrations run one at a time (advisory lock), so that two deployments starting at once corrupt nothing. None waits for a lock
for more than seconds, because whoever asks for a table that a migration waits for waits behind it: a long query would turn a
migration into an outage. It lets go and tries again (`biobank.postgres.migrate.retried`).
"""

import os
import time

from sqlalchemy import URL, Engine, NullPool, create_engine, text

from alembic import context
from biobank.foundation.connections import sqlalchemy_url
from biobank.postgres.migrate import LOCK_TIMEOUT, retried
from biobank.registries.tables import metadata as bank_metadata
from biobank.vault.keystore import keys_metadata

KEYS = context.config.config_ini_section == "keys"
target = keys_metadata if KEYS else bank_metadata
LOCK = 7_203_114


def address() -> URL:
    """Return the SQLAlchemy address of the database to migrate."""
    variable = "BIOBANK_KEYS_OWNER_DATABASE_URL" if KEYS else "BIOBANK_OWNER_DATABASE_URL"
    given = context.config.attributes.get("url") or os.environ.get(variable)
    if not given:
        raise SystemExit(f"Set {variable}, or use `biobank migrate`.")
    return sqlalchemy_url(given)


def migrate(engine: Engine) -> None:
    """Run all that is outstanding in one transaction."""
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=target,
            compare_type=True,
            compare_server_default=False,
            version_table="alembic_version_keys" if KEYS else "alembic_version",
        )
        with context.begin_transaction():
            context.run_migrations()


# Without a pool the connection, and with it the advisory lock, ends with each try.
engine = create_engine(address(), poolclass=NullPool)
retried(lambda: migrate(engine), pause=context.config.attributes.get("pause", time.sleep))
