"""A restore drill: is what the backups give at a named time the whole record until then, and does it prove itself?

The copy is asked, never believed: its log is taken out as a bundle and verified under the bank's keys, its custody is folded from
its events, and its events are held against those of the running bank. The register, which is in no backup, says how much of what
was published came later.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.exports.bundle import Wish
from biobank.exports.bundling import Bundle, bundle_now
from biobank.exports.cut import choose_cut
from biobank.exports.log_keys import policy_text
from biobank.exports.service import Written
from biobank.foundation.config import Settings
from biobank.operations.restore_check import Found, agree_with_events
from biobank.transparency.models import checkpoint, event, pending
from biobank.transparency.verify import Evidence, Policy, verify

IN_FLIGHT: Final = timedelta(minutes=1)
"""An event says when it was recorded, the log of the database when it was committed: so much earlier it has to be there."""
AT_ONCE: Final = 10_000


_SIZES: Final = select(
    select(func.coalesce(func.max(checkpoint.c.size), 0)).scalar_subquery(),
    select(func.count()).select_from(pending).scalar_subquery(),
    select(func.max(event.c.recorded_at)).scalar_subquery(),
)


@dataclass
class Drill:
    """What a drill found."""

    verdict: dict[str, Any]
    """The verifier's, on the whole log of the copy (`transparency/verify.py`)."""
    record: Found
    published: int
    """Entries of the copy's log under its newest checkpoint."""
    pending: int
    """Events of the copy that were recorded and not sealed yet."""
    newest_at: datetime | None
    """When the newest event of the copy was recorded."""
    registered: int | None = None
    """Entries that the register knows of now; None when it cannot be read."""
    compared: int | None = None
    """Events of the running bank, recorded by the named time less `IN_FLIGHT`, looked for; None when it was not asked."""
    missing: list[str] = field(default_factory=list)
    """Leaf hashes of those that the copy does not have."""

    @property
    def proves_itself(self) -> bool:
        """Whether the copy is the whole record until the named time, as far as it could be told."""
        return self.verdict["exit_code"] == 0 and self.record.sound and not self.missing

    @property
    def later(self) -> int | None:
        """Published entries that are not in the copy, because they came after it."""
        return None if self.registered is None else max(0, self.registered - self.published)


def drill(of: Settings, address: Callable[[str], str], at: datetime) -> Drill:
    """Look at a restored copy of the bank of settings `of`; `address` turns an address of it into the copy's.

    Raises NothingSealed for a copy from before the first checkpoint, SQLAlchemyError when the copy is not a bank.
    """
    assert of.database_url is not None
    copy = Bank.open(of.model_copy(update={"database_url": address(of.database_url), "auditor_database_url": None}))
    running = Bank.open(of)
    try:
        published, waiting, newest = copy.database.write_now(lambda session: session.execute(_SIZES).one())
        record = Found()
        agree_with_events(copy, record)
        found = Drill(_verified(copy), record, int(published), int(waiting), newest, _registered(of))
        _compare(found, running, copy, at - IN_FLIGHT)
    finally:
        copy.dispose_now()
        running.dispose_now()
    return found


def _verified(copy: Bank) -> dict[str, Any]:
    path = copy.settings.policy_path
    policy = Policy.read(policy_text(copy, kept=path.read_text(encoding="utf-8") if path is not None and path.exists() else ""))
    whole = Bundle(uuid4(), Wish(), copy.database.write_now(choose_cut))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bundle.tar"
        with bundle_now(copy, whole, Written()) as chunks, file.open("wb") as target:
            target.writelines(chunks)
        return verify(str(file), policy, Evidence())


def _registered(of: Settings) -> int | None:
    try:
        return int(of.register_file.read_text(encoding="utf-8").split("\n")[1])
    except (OSError, IndexError, ValueError):
        return None


def _compare(found: Drill, running: Bank, copy: Bank, until: datetime) -> None:
    recorded = select(event.c.leaf_hash).where(event.c.recorded_at <= until).order_by(event.c.recorded_at)

    def absent(asked: Sequence[bytes]) -> list[str]:
        there = select(event.c.leaf_hash).where(event.c.leaf_hash.in_(asked))
        present = copy.database.write_now(lambda session: {bytes(leaf) for leaf in session.execute(there).scalars()})
        return [leaf.hex() for leaf in asked if leaf not in present]

    def look(session: Session) -> int:
        compared = 0
        answer = session.execute(recorded, execution_options={"stream_results": True, "yield_per": AT_ONCE})
        for leaves in answer.scalars().partitions():
            found.missing += absent([bytes(leaf) for leaf in leaves])
            compared += len(leaves)
        return compared

    with suppress(OperationalError):  # it may be what was lost
        found.compared = running.database.write_now(look)
