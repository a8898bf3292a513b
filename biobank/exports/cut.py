"""Where a copy of the log ends: at a size that the log has sealed and signed, which the copy names.

A replica lags, and two healthy ones may show two acts of different streams in different orders for a moment. Of the first `size`
entries of the sealed log there is one content only. So the size is read where writes go, when the copy is begun, and whatever
place the copy is then read from must have come that far: a copy of one size is the same wherever it was read (docs/adr/0044).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.exports.log_queries import LogDamaged, fetch_in
from biobank.foundation.connections import REACH
from biobank.foundation.errors import Conflict, Unavailable
from biobank.transparency import stored_log
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import split_note

WAITS_S = 10
"""How long a copy waits for a replica that lags, before its reader is told to come again."""
_LOOKS_AGAIN_S: Final = 0.1
_REACHED: Final = "SELECT note FROM checkpoint WHERE size = %s"


class NothingSealed(Conflict):
    """There is no signed checkpoint yet that covers what was asked for."""

    code = "nothing_sealed"
    title = "Nothing sealed yet"


class ReplicaBehind(Unavailable):
    """The replica that copies are read from has not come as far as the log has; ask again."""

    code = "replica_behind"
    title = "The replica is behind"
    retry_after_s = 10


@dataclass(frozen=True)
class Cut:
    """The first `size` entries of the log; `root` is the root hash of their tree, hex."""

    size: int
    root: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer that ends here."""
        return {"X-Log-Size": str(self.size), "X-Log-Root": self.root}


def choose_cut(session: Session, size: int | None = None) -> Cut:
    """Return the newest published size, or exactly `size`; ask where writes go. Raises NothingSealed."""
    fetch = fetch_in(session)
    found = stored_log.newest_checkpoint(fetch) if size is None else stored_log.checkpoint_of(fetch, size)
    if found is None or found.size == 0:
        raise NothingSealed("There is no such signed checkpoint yet. Ask again in a few seconds, or for the newest one.")
    return Cut(found.size, root_of(found.note))


def root_of(note: str) -> str:
    """Return the root hash that a signed note names, hex."""
    return Checkpoint.from_text(split_note(note)[0]).root.hex()


def address_of(bank: Bank) -> str:
    """Copies are read as the auditor when there is such an address: on a replica, if that is where it points."""
    address = bank.settings.auditor_database_url or bank.settings.database_url
    assert address is not None
    return address


@contextmanager
def opened_at(bank: Bank, cut: Cut, *, longest: str) -> Iterator["psycopg.Connection[Any]"]:
    """Lend a connection to where copies are read, which has the log up to the cut. `longest` bounds each statement; "0" does not.

    Raises ReplicaBehind after a while, Unavailable when nothing answers there, LogDamaged when it has another log.
    """
    try:
        connection = psycopg.connect(address_of(bank), autocommit=True, **REACH)
    except psycopg.OperationalError as error:
        raise Unavailable("The database that copies are read from does not answer. Ask again in a minute.") from error
    with connection:
        connection.execute(f"SET statement_timeout = '{longest}'")
        _require_reached(connection, cut)
        yield connection


def _require_reached(connection: "psycopg.Connection[Any]", cut: Cut) -> None:
    """Wait until the checkpoint is there. What it covers was committed before it, and replicas replay in that order."""
    until = time.monotonic() + WAITS_S
    while not (found := connection.execute(_REACHED, (cut.size,)).fetchall()):
        if time.monotonic() >= until:
            raise ReplicaBehind(
                f"The replica that copies are read from has not come to entry {cut.size} of the log yet. Ask again in a while.",
                size=cut.size,
            )
        time.sleep(_LOOKS_AGAIN_S)
    if root_of(found[0][0]) != cut.root:
        raise LogDamaged(
            "The database that copies are read from has another log than this bank. Stop, keep everything, tell quality."
        )
