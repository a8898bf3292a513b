"""Alembic's environment. The address comes from the caller (`biobank migrate`) or from BIOBANK_OWNER_DATABASE_URL.

Migrations run one at a time (advisory lock), so that two deployments starting at once corrupt nothing. None waits for a lock
for more than seconds, because whoever asks for a table that a migration waits for waits behind it: a long query would turn a
migration into an outage. It lets go and tries again (`biobank.postgres.migrate.retried`).

Each is a transaction of its own, which also writes whom the schema serves from now on, and is refused while programs are at work
that it would serve no more (`biobank.postgres.rolling`), on every way here: `biobank migrate`, Alembic itself, up and down.
"""

import os
import time
from typing import Any

from alembic.runtime.migration import MigrationInfo
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, NullPool, create_engine, text

from alembic import context
from biobank.foundation.connections import sqlalchemy_url
from biobank.postgres.migrate import LOCK_TIMEOUT, AnotherMigrates, retried
from biobank.postgres.rolling import note_served, refuse_while_others_work
from biobank.registries.tables import metadata as bank_metadata
from biobank.vault.keystore import keys_metadata

KEYS = context.config.config_ini_section == "keys"
TABLE = "alembic_version_keys" if KEYS else "alembic_version"
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
    """Run all that is outstanding, each migration in a transaction of its own."""
    script = ScriptDirectory.from_config(context.config)
    with engine.connect() as connection:

        def applied(*, step: MigrationInfo, **_: Any) -> None:
            (now,) = step.destination_revision_ids or (None,)
            if not context.config.attributes.get("although_others_work"):
                refuse_while_others_work(connection, script, step)
            note_served(connection, TABLE, script, now)

        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        # Asked and not waited for: an index that is built beside the work waits for every statement, a waiting one too.
        if not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar():
            raise AnotherMigrates
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=target,
            compare_type=True,
            compare_server_default=False,
            version_table=TABLE,
            transaction_per_migration=True,
            on_version_apply=applied,
        )
        with context.begin_transaction():
            context.run_migrations()


# Without a pool the connection, and with it the advisory lock, ends with each try.
engine = create_engine(address(), poolclass=NullPool)
retried(lambda: migrate(engine), pause=context.config.attributes.get("pause", time.sleep))
