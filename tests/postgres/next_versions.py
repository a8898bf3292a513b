"""Versions of the program to come: this tree, with made-up migrations after its newest, and a program that uses what they add."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from alembic.config import Config

from biobank.foundation.schema_version import THIS

ROOT = Path(__file__).resolve().parents[2]
EXPAND, BUILD, CONTRACT = "made_up_column", "made_up_index", "made_up_goes"
MIGRATIONS = (
    (
        EXPAND,
        THIS.newest,
        None,
        'op.execute("ALTER TABLE event ADD COLUMN made_up text")',
        'op.execute("ALTER TABLE event DROP COLUMN made_up")',
    ),
    (
        BUILD,
        EXPAND,
        None,
        'index_beside_work("ix_event_made_up", "event", "(kind, recorded_at)")',
        'op.execute("DROP INDEX ix_event_made_up")',
    ),
    (
        CONTRACT,
        BUILD,
        BUILD,
        'op.execute("ALTER TABLE event DROP COLUMN made_up")',
        'op.execute("ALTER TABLE event ADD COLUMN made_up text")',
    ),
)
"""Revision, the one before, `serves_from`, the way up and the way down. Programs of `EXPAND` alone use the column."""

_ITSELF = "SELECT current_setting('transaction_read_only')"
_READING = "SELECT (SELECT max(made_up) FROM event), current_setting('transaction_read_only')"


def written(folder: Path, migrations: Sequence[tuple[str, str, str | None, str, str]] = MIGRATIONS) -> Config:
    """Write alembic.ini and all migrations, these behind the real ones, into `folder`; return the configuration."""
    shutil.copytree(ROOT / "alembic", folder / "alembic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", folder)
    for revision, before, serves_from, up, down in migrations:
        (folder / "alembic" / "versions" / f"2099_{revision}.py").write_text(
            f"from alembic import op\nfrom biobank.postgres.rolling import index_beside_work\n\nassert index_beside_work\n"
            f"revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None\n"
            f"serves_from = {serves_from!r}\n\n\n"
            f"def upgrade():\n    {up}\n\n\ndef downgrade():\n    {down}\n"
        )
    return Config(str(folder / "alembic.ini"))


def program_of_expand(folder: Path) -> None:
    """Put the program of the revision `EXPAND` beside its migrations: it reads the new column whenever it is asked how it is."""
    (folder / "biobank").mkdir()
    for beside in ("labels", "pyproject.toml"):
        (folder / beside).symlink_to(ROOT / beside)
    own = {"foundation", "operations", "postgres"}
    for there in (ROOT / "biobank").iterdir():
        if there.name in own:
            shutil.copytree(there, folder / "biobank" / there.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif there.name != "__pycache__":
            (folder / "biobank" / there.name).symlink_to(there)
    _replace(folder / "biobank/foundation/schema_version.py", f'"{THIS.newest}"', f'"{EXPAND}"')
    _replace(
        folder / "biobank/operations/health.py", _ITSELF, _ITSELF.replace("SELECT", "SELECT (SELECT max(made_up) FROM event),")
    )


def _replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
