"""A bank whose log is sealed and taken away as bundles, and the auditor's side of it."""

from pathlib import Path
from typing import Any

import psycopg

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.custody.events import Annotated
from biobank.custody.recording import NOW, Move, acknowledge, record
from biobank.custody.rulebook import adopt_rules_now
from biobank.custody.snapshots import load
from biobank.exports.bundle import Wish
from biobank.exports.bundling import bundle_now, start_bundle_as_bank
from biobank.exports.service import Written
from biobank.transparency.note import Verifier
from biobank.transparency.sealer import Log, drain
from biobank.transparency.verify import Evidence, Policy, verify
from tests.conftest import TestBank
from tests.factories import make_received

LOG_TABLES = ("event", "pending", "leaf", "tile", "tree_head", "checkpoint", "vault_document", "custody")


class Audited:
    """One bank, and what an auditor takes from it."""

    def __init__(self, bank: TestBank, folder: Path) -> None:
        self.bank, self.folder = bank, folder
        settings = bank.bank.settings
        self.log = Log.open(settings.log_origin, settings.secrets, folder / "register" / "checkpoint")
        keys = [Verifier.from_vkey((settings.secrets / f"{n}.vkey").read_text()).to_vkey() for n in ("log", "receipt")]
        self.policy = Policy.read(f"origin {settings.log_origin}\nlog {keys[0]}\nreceipts {keys[1]}\n")
        adopt_rules_now(bank.bank)
        self.codes: list[str] = []

    def act(self) -> Act:
        """An act of the bank itself, now."""
        return Act.of(SYSTEM, self.bank.bank, path="test")

    def live(self, specimens: int = 2, **fields: Any) -> "Audited":
        """Something happens, and is sealed."""
        for _ in range(specimens):
            self.codes.append(self.bank.write(lambda s: make_received(s, self.act(), **fields).code))
        return self.seal()

    def remark(self, code: str | None = None) -> str:
        """A remark on a specimen; return its acknowledgement."""

        def work(session: Any) -> str:
            act = self.act()
            specimen = load(session, [code or self.codes[0]], lock=True)[code or self.codes[0]]
            return acknowledge(act, record(session, act, [Move(specimen, Annotated(topic="other"))], NOW))

        return str(self.bank.write(work))

    def seal(self) -> "Audited":
        """Seal and sign what is pending."""
        drain(self.bank.dsn("sealer"), self.log)
        return self

    def checkpoint(self) -> bytes:
        """The newest checkpoint, as an auditor keeps it."""
        return str(self.rows("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")[0][0]).encode()

    def bundle(self, wish: Wish = Wish()) -> Path:
        """Take a bundle away."""
        act = self.act()
        bundle = self.bank.write(lambda s: start_bundle_as_bank(s, act, wish))
        path = self.folder / f"{bundle.id}.tar"
        with bundle_now(self.bank.bank, bundle, Written()) as chunks, path.open("wb") as file:
            file.writelines(chunks)
        return path

    def verdict(self, wish: Wish = Wish(), **evidence: list[bytes]) -> dict[str, Any]:
        """Take a bundle away and verify it."""
        return verify(str(self.bundle(wish)), self.policy, Evidence(**evidence))

    def attack(self, *statements: str) -> None:
        """Run statements as the database's superuser with every guard switched off, and switch them on again."""
        with psycopg.connect(self.bank.dsn("owner")) as connection:
            for table in LOG_TABLES:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement)
            for table in LOG_TABLES:
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the owner reads."""
        with psycopg.connect(self.bank.dsn("owner")) as connection:
            return connection.execute(sql).fetchall()
