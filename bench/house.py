"""A bank for benchmarks: a scratch PostgreSQL, migrated, with as many stored specimens as wanted. Durability as shipped."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank, ensure_secrets
from biobank.acts.codes import new_codes
from biobank.auth.models import LoginSession
from biobank.custody.entry import Head
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import Settings
from biobank.foundation.db import table_of
from biobank.postgres import migrate
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.registries import event_kinds
from biobank.specimens.events import Collected
from biobank.specimens.models import Specimen
from tests import factories, seed
from tests.scratch import reachable_folder

assert event_kinds.MODULES


@dataclass
class House:
    """A running cluster with one bank in it."""

    postgres: EmbeddedPostgres
    settings: Settings
    bank: Bank
    folder: Path

    def token(self, user: str = "lab_tech") -> str:
        """An access token of a seeded user."""

        def open_session(session: Session) -> LoginSession:
            instant = clock.now()
            row = LoginSession(
                user_code=seed.USERS[user].code,
                kind="token",
                created_at=instant,
                last_seen_at=instant,
                expires_at=instant + timedelta(days=1),
            )
            session.add(row)
            session.flush()
            return row

        row = self.bank.database.write_now(open_session)
        return self.bank.tokens.issue(row.user_code, row.id)[0]

    def specimens(self, count: int) -> list[str]:
        """Collect `count` specimens of one donor through the ledger, in batches, and return their codes."""
        made: list[str] = []
        while len(made) < count:
            part = min(2000, count - len(made))
            made += self.bank.database.write_now(partial(_collect, bank=self.bank, count=part))
        return made


def _collect(session: Session, bank: Bank, count: int) -> list[str]:
    act = Act.system(bank, path="bench")
    donor = factories.make_donor(session)
    harvest = factories.make_harvest(session, donor)
    codes = new_codes(session, "AD", count, year=26)
    session.execute(
        insert(table_of(Specimen)),
        [
            {
                "code": c,
                "donor_code": donor,
                "material": "lipoaspirate",
                "unit": "ul_raw",
                "harvest_code": harvest,
                "home_site_code": "LAB",
                "created_at": act.at,
                "created_by": "SYSTEM",
            }
            for c in codes
        ],
    )
    head = Head(by="SYSTEM", site="CLINIC", occurred_at=act.at, recorded_at=act.at)
    event = Collected(
        donor=donor,
        material="lipoaspirate",
        unit="ul_raw",
        amount=50_000,
        site="CLINIC",
        harvest=harvest,
        home_site="LAB",
        method="lipoaspiration",
        anatomical_site="abdomen",
        started_at=rfc3339(act.at),
    )
    blank = Projection()
    append(
        session,
        [Fact(StreamKind.SPECIMEN, c, event, head, Snapshot(c, donor, 0, None, blank), donor) for c in codes],
    )
    return codes


@contextmanager
def house(*, on_disk: bool = False, **settings: object) -> Iterator[House]:
    """Start a cluster, migrate, seed; stop it all at the end. `on_disk`: never in memory, where a flush costs nothing."""
    with reachable_folder(on_disk=on_disk) as scratch, EmbeddedPostgres(scratch / "pg") as postgres:
        migrate.upgrade(postgres.dsn("owner"), postgres.dsn("owner", "biobank_keys"))
        with psycopg.connect(postgres.dsn("owner")) as connection:
            seed.sites_and_users(connection)
        secrets = scratch / "secrets"
        made = Settings.model_validate(
            {
                "database_url": postgres.dsn("app"),
                "keys_database_url": postgres.dsn("app", "biobank_keys"),
                "sealer_database_url": postgres.dsn("sealer"),
                "auditor_database_url": postgres.dsn("auditor"),
                "secrets_dir": secrets,
                "state_dir": scratch,
                **settings,
            }
        )
        ensure_secrets(secrets, made.log_origin)
        bank = Bank.open(made)
        try:
            yield House(postgres, made, bank, scratch)
        finally:
            bank.database.sync_engine.dispose()
