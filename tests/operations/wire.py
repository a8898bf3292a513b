"""A wire between a bank and its database that goes dead: nothing is closed, and nothing passes any more."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from biobank.acts.bank import Bank
from biobank.foundation.connections import sqlalchemy_url
from biobank.postgres.cluster import PORT
from tests.conftest import TestBank
from tests.scratch import reachable_folder


class Wire:
    """`go_dead` silences what is connected by then; while it does not pass (`passes`), whatever comes anew as well."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder, self._target, self._dead_before, self._made = folder, target, 0, 0
        self.passes = True
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{folder}/.s.PGSQL.{PORT}")
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def go_dead(self) -> None:
        """From now on the connections made so far carry nothing."""
        self._dead_before = self._made

    def _accept(self) -> None:
        while True:
            here, _ = self._listening.accept()
            there = socket.socket(socket.AF_UNIX)
            there.connect(self._target)
            self._made += 1
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(source, sink, self._made), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, number: int) -> None:
        try:
            while data := source.recv(65536):
                if number <= self._dead_before or not self.passes:
                    threading.Event().wait()
                sink.sendall(data)
        except OSError:
            pass  # whoever was at one end has gone
        sink.close()

    def address(self, of: str) -> str:
        """The same address through this wire."""
        through = psycopg.conninfo.make_conninfo(of, host=str(self.folder))
        return sqlalchemy_url(through).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def wired(bank: TestBank) -> Iterator[tuple[Wire, TestBank]]:
    """The same bank through a wire."""
    address = bank.bank.settings.database_url
    assert address is not None
    behind = psycopg.conninfo.conninfo_to_dict(address)
    with reachable_folder() as folder:
        wire = Wire(folder, f"{behind['host']}/.s.PGSQL.{behind['port']}")
        settings = bank.bank.settings.model_copy(update={"database_url": wire.address(address)})
        yield wire, replace(bank, bank=Bank.open(settings))
