"""Alembic's environment. The address comes from the caller (`biobank migrate`) or from BIOBANK_OWNER_DATABASE_URL.

Migrations wait for nobody for long (lock_timeout) and run one at a time (advisory lock), so that two deployments starting
at once corrupt nothing and a long query does not turn a migration into an outage.
"""

import os

from sqlalchemy import create_engine, text

from alembic import context
from biobank.foundation.db import sqlalchemy_url
from biobank.registries.tables import metadata as bank_metadata
from biobank.vault.keystore import keys_metadata

KEYS = context.config.config_ini_section == "keys"
target = keys_metadata if KEYS else bank_metadata
LOCK = 7_203_114


def address() -> str:
    """Return the SQLAlchemy address of the database to migrate."""
    variable = "BIOBANK_KEYS_OWNER_DATABASE_URL" if KEYS else "BIOBANK_OWNER_DATABASE_URL"
    given = context.config.attributes.get("url") or os.environ.get(variable)
    if not given:
        raise SystemExit(f"Set {variable}, or use `biobank migrate`.")
    return sqlalchemy_url(given)


engine = create_engine(address())
with engine.connect() as connection:
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.execute(text("SET statement_timeout = '15min'"))
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
    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()
engine.dispose()
