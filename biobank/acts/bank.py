"""The bank of one process: its settings, engines, keys and signers, built once and passed down."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from biobank.auth import tokens
from biobank.auth.client_keys import ClientKeys
from biobank.auth.permissions import Role
from biobank.auth.tokens import TokenRing
from biobank.foundation import logs
from biobank.foundation.changing_secrets import secrets_of
from biobank.foundation.config import Settings, WeakSettings, ensure_secret, read_secret
from biobank.foundation.connections import REACH, listen_for_loss, sqlalchemy_url
from biobank.foundation.db import Database
from biobank.foundation.file_store import FileStore, Folder, Moving, store_of
from biobank.foundation.lifeline import Lifeline
from biobank.foundation.schema_version import THIS, Schema
from biobank.transparency.keys import ensure_keys, load_receipt_signer
from biobank.transparency.note import Signer
from biobank.transparency.tiles import UpperTiles
from biobank.vault import Keystore

SECRETS = ("vault-master", "blind-index", "throttle", "second-factor", "digests", "device-keys", "client-keys")
"""Random secret files; `ensure_secrets` makes the missing ones."""
MONITOR_TOKEN = "monitor-token"  # noqa: S105  (the name of a file)
FILE_STORE = "file-store"
"""Name of the file with the login of the store of files: the key's name and the key, a line each."""


def ensure_secrets(folder: Path, log_origin: str, log_folder: Path | None = None) -> None:
    """Create what is missing of the bank's secrets: random files, the log's and the receipt key, the first token key.

    The log's private key goes into `log_folder`, if that is another one.
    """
    for name in SECRETS:
        ensure_secret(folder, name)
    ensure_keys(folder, log_origin, log_folder)
    if not any((folder / tokens.FOLDER).glob("*.pem")):
        tokens.rotate(folder)


@dataclass(frozen=True)
class Bank:
    """Everything an act needs besides its session. One per process."""

    settings: Settings
    schema: Schema = THIS

    @classmethod
    def open(cls, settings: Settings, schema: Schema = THIS) -> "Bank":
        """Check that the settings are whole; raise WeakSettings with a sentence when not."""
        logs.set_up()
        if settings.database_url is None or settings.keys_database_url is None:
            raise WeakSettings("Set BIOBANK_DATABASE_URL and BIOBANK_KEYS_DATABASE_URL, or start with `biobank demo`.")
        for name, roles in (("SECOND_FACTOR", settings.roles_of_two_factors), ("PASSKEY", settings.roles_of_passkeys)):
            if unknown := roles - set(Role):
                raise WeakSettings(f"BIOBANK_{name}_ROLES names no role of ours: {', '.join(sorted(unknown))}.")
        bank = cls(settings, schema)
        for name in SECRETS:
            read_secret(settings.secrets, name)
        return bank

    @cached_property
    def database(self) -> Database:
        """The engines of the bank's database."""
        assert self.settings.database_url is not None
        return Database(self.settings.database_url, pool_size=self.settings.pool_size, schema=self.schema)

    @cached_property
    def tokens(self) -> TokenRing:
        """The access token keys."""
        return TokenRing(self.settings.secrets, self.settings.issuer, self.settings.access_token_s)

    @cached_property
    def receipts(self) -> Signer:
        """The key under acknowledgements; distinct from the log's key, which only the sealer holds."""
        return load_receipt_signer(self.settings.secrets, self.settings.log_origin)

    @cached_property
    def upper_tiles(self) -> UpperTiles:
        """Tiles that proofs have climbed through."""
        return UpperTiles()

    @cached_property
    def _keys_async(self) -> AsyncEngine:
        engine = create_async_engine(
            self._keys_url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=3, connect_args=REACH
        )
        listen_for_loss(engine.sync_engine)
        return engine

    @cached_property
    def _keys_sync(self) -> Engine:
        engine = create_engine(self._keys_url, isolation_level="AUTOCOMMIT", pool_size=2, connect_args=REACH)
        listen_for_loss(engine)
        return engine

    @property
    def _keys_url(self) -> URL:
        assert self.settings.keys_database_url is not None
        return sqlalchemy_url(self.settings.keys_database_url)

    @cached_property
    def keystore(self) -> Keystore:
        """Donor keys for code that runs inside a request's `run_sync`."""
        return Keystore(self._keys_async.sync_engine, partial(self.secrets_of, "vault-master"))

    @cached_property
    def keystore_sync(self) -> Keystore:
        """Donor keys for the command line and the worker."""
        return Keystore(self._keys_sync, partial(self.secrets_of, "vault-master"))

    @cached_property
    def monitor_token(self) -> bytes | None:
        """The text that monitors send as bearer token from afar: the file `monitor-token`, when there is one."""
        present = (self.settings.secrets / MONITOR_TOKEN).exists()
        return read_secret(self.settings.secrets, MONITOR_TOKEN).strip() if present else None

    @cached_property
    def files(self) -> FileStore:
        """Where attachments lie. What lay in the state folder before a bucket was set is found until it is moved."""
        here = Folder(self.settings.state_dir / "attachments")
        if self.settings.file_store is None:
            return here
        return Moving(self.store_at(f"{self.settings.file_store.rstrip('/')}/attachments"), here)

    def store_at(self, address: str) -> FileStore:
        """Return the store at `s3://…` or in a folder, reached as the settings and the secret `file-store` say."""
        lines = []
        if (self.settings.secrets / FILE_STORE).exists():
            lines = read_secret(self.settings.secrets, FILE_STORE).decode().split()
            if len(lines) != 2:
                raise WeakSettings("The secret 'file-store' has two lines: the name of the key, and the key.")
        return store_of(address, self.settings.file_store_endpoint, (lines[0], lines[1]) if lines else None)

    @cached_property
    def client_keys(self) -> ClientKeys:
        """The keys of API clients that this process has met."""
        return ClientKeys(self.database, partial(self.secrets_of, "client-keys"), self.settings.client_calls_per_min)

    def secret(self, name: str) -> bytes:
        """Read one of `SECRETS`: the one that everything is under, which while it is being changed is the one before."""
        return self.secrets_of(name)[-1]

    def secrets_of(self, name: str) -> tuple[bytes, ...]:
        """Read one of `SECRETS`, and behind it the one before while it is being changed."""
        return secrets_of(self.settings.secrets, name)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Until the block ends, let no thread wait for ever on a database that says nothing: see `foundation/lifeline.py`."""
        assert self.settings.database_url is not None
        assert self.settings.keys_database_url is not None
        bank, keys = Lifeline(self.settings.database_url), Lifeline(self.settings.keys_database_url)
        with bank.over(self.database.sync_engine), keys.over(self._keys_sync):
            yield

    def dispose_now(self) -> None:
        """Close the pooled connections of a command."""
        if "database" in self.__dict__ and "sync_engine" in self.database.__dict__:
            self.database.sync_engine.dispose()
        if "_keys_sync" in self.__dict__:
            self._keys_sync.dispose()

    async def dispose(self) -> None:
        """Close every pooled connection."""
        if "database" in self.__dict__:
            await self.database.dispose()
        if "_keys_async" in self.__dict__:
            await self._keys_async.dispose()
        if "_keys_sync" in self.__dict__:
            self._keys_sync.dispose()
