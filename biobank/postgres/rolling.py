"""Migrations while the bank is at work: whom a schema serves, and that nobody at work loses theirs.

A migration after the first release says in its `serves_from` what it is:

- `None`: it **expands**. Programs of the revision before work on it as they did (a new table, a column that may be left out).
- a revision: it **contracts**. It takes away what no program of that revision or a later one uses.

From that follows which programs a schema serves; that stands beside its revision, in `alembic_version.serves`. A migration either
way after which a program that is connected now would be served no more is refused and rolled back.
"""

from typing import Final

from alembic.runtime.migration import MigrationInfo
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text

from alembic import op
from biobank.foundation.schema_version import Schema, revision_in
from biobank.postgres.migrate import LOCK_TIMEOUT

_PROGRAMS: Final = text(
    "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND application_name LIKE 'biobank%'"
)


class OthersAtWork(Exception):
    """Programs are connected that the schema would no longer serve."""

    def __init__(self, programs: list[str], revision: str) -> None:
        super().__init__(
            f"The schema stays as it was before the revision {revision}, because programs are at work that could not go on: "
            f"{', '.join(programs)}. Stop them, or replace them by the newer version, and migrate again."
        )


def served_by(script: ScriptDirectory, revision: str | None) -> list[str]:
    """Return the revisions whose programs work on the schema at `revision`, the newest first."""
    served: list[str] = []
    ends: set[str | None] = set()
    while revision is not None and ends.isdisjoint(served):
        found = script.get_revision(revision)
        served.append(found.revision)
        ends.add(_serves_from(found))
        revision = found.down_revision  # type: ignore[assignment]  # the chain has no branches
    return served


def schema_of(script: ScriptDirectory, revision: str) -> Schema:
    """Return what a program whose newest migration is `revision` can work on."""
    works_on, at = [revision], script.get_revision(revision)
    while _serves_from(at) not in (None, at.revision):
        at = script.get_revision(str(at.down_revision))
        works_on.append(at.revision)
    return Schema(revision, frozenset(works_on))


def _serves_from(migration: Script) -> str | None:
    return getattr(migration.module, "serves_from", None)


def note_served(connection: Connection, table: str, script: ScriptDirectory, revision: str | None) -> None:
    """Write whom the schema serves now beside its revision, unless it stands there."""
    served = served_by(script, revision)
    if served != read_served(connection, table):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS serves text[] NOT NULL DEFAULT '{{}}'"))
        connection.execute(text(f"UPDATE {table} SET serves = :served"), {"served": served})  # noqa: S608  (a name of ours)


def read_served(connection: Connection, table: str) -> list[str] | None:
    """Return whom the schema serves as the database says it, None where it never said so."""
    there = text("SELECT true FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = 'serves' AND NOT attisdropped")
    if connection.execute(there, {"table": table}).first() is None:
        return None
    return connection.execute(text(f"SELECT serves FROM {table}")).scalar()  # noqa: S608  (a name of ours)


def refuse_while_others_work(connection: Connection, script: ScriptDirectory, step: MigrationInfo) -> None:
    """Raise OthersAtWork when a program is connected that the schema served before this step and would not afterwards."""
    (before,), (after,) = step.source_revision_ids or (None,), step.destination_revision_ids or (None,)
    served, kept = set(served_by(script, before)), set(served_by(script, after))
    known = {found.revision for found in script.walk_revisions()}
    lost = []
    for name in sorted(connection.execute(_PROGRAMS).scalars()):
        revision = revision_in(name)
        works_on = schema_of(script, revision).works_on if revision in known and revision is not None else frozenset()
        if works_on & served and not works_on & kept:
            lost.append(name)
    if lost:
        raise OthersAtWork(sorted({f"{name} ({lost.count(name)})" for name in lost}), str(after))


def index_beside_work(name: str, table: str, definition: str, *, unique: bool = False) -> None:
    """In a migration that expands: build an index while others write. `definition` is what follows the table's name.

    It waits for transactions that are open, and nobody waits for it; a try that was broken off leaves an index that is not valid,
    which the next takes away.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {table} {definition}")
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
