"""Which schema this program was written for, and which others it can work on.

Two versions of the program run side by side while a bank is upgraded (docs/adr/0049). The database says which programs its schema
serves (`alembic_version.serves`, written with each migration by `biobank.postgres.rolling`), a program says which schemas it can
work on, and they fit when the two lists meet. Every connection bears the program's revision in its name, so a migration sees
from the database alone who is at work.
"""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"biobank[a-z ]* on ([a-z0-9_]+)\Z")


@dataclass(frozen=True)
class Schema:
    """What a program knows of the schema: `newest`, the newest revision that it brings, and `works_on`.

    `works_on` holds the revisions from the last that added something to the newest: the program needs what was added, and
    does not need what the ones after it take away.
    """

    newest: str
    works_on: frozenset[str]

    def connection_name(self, part: str = "") -> str:
        """Return how connections are named to the server: `biobank sealer on guards`."""
        return f"biobank {part} on {self.newest}" if part else f"biobank on {self.newest}"


THIS: Final = Schema("guards", frozenset({"guards"}))
"""Of this program. `tests/postgres/test_rolling_upgrade.py` holds it to the folder of migrations."""


def revision_in(connection_name: str) -> str | None:
    """Return the revision that a connection's name says, None for one that is no program's of ours."""
    found = _NAME.match(connection_name)
    return None if found is None else found[1]
