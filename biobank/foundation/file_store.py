"""Where files lie that are too large for the database: a folder, or a bucket of an S3-compatible store, by setting.

What `put` returned from is kept: on the disk, under its name, or in the bucket, whose server has answered. A name is replaced as
a whole or not at all. A store that does not answer raises StoreAway, and so never passes for a file that is not there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import structlog

from biobank.foundation.config import WeakSettings
from biobank.foundation.durable_files import flush_folder
from biobank.foundation.errors import Unavailable

log = structlog.get_logger("biobank.foundation.file_store")
T = TypeVar("T")

CONNECT_S: Final = 3
ANSWER_S: Final = 20
"""How long one attempt may take; a file has ten megabytes at most."""


class StoreAway(Unavailable):
    """Where files are kept does not answer, or takes none; what was sent was not kept and may be sent again."""

    code = "file_store_away"
    title = "Store of files away"
    retry_after_s = 10

    def __init__(self) -> None:
        super().__init__("The place where files are kept does not answer. Send it again with the same key in a while.")


class FileStore(Protocol):
    """Files by name; `/` parts folders. All of it blocks: from a request call it in a thread. Every method raises StoreAway."""

    def holds(self, name: str) -> bool:
        """Say whether there is such a file."""

    def get(self, name: str) -> bytes:
        """Return a file's bytes; raise FileNotFoundError when there is none."""

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Keep a file, in the place of what bears its name. Not `durable`: kept for certain after `settle` only."""

    def settle(self) -> None:
        """Make durable what was put without being so."""

    def remove(self, name: str) -> None:
        """Remove a file; none is none."""

    def names(self, under: str = "") -> Iterator[str]:
        """Yield the names of files in a folder (`ab/`) and those in it, or of all, in no order."""


def _away(error: Exception) -> StoreAway:
    log.error("file_store_away", fault=type(error).__name__)
    return StoreAway()


class Folder:
    """Files on this machine's disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def holds(self, name: str) -> bool:
        """See `FileStore`."""
        return (self.root / name).exists()

    def get(self, name: str) -> bytes:
        """See `FileStore`."""
        return (self.root / name).read_bytes()

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """See `FileStore`."""
        path = self.root / name
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            fresh.replace(path)
            if durable:
                flush_folder(path.parent)
                flush_folder(path.parent.parent)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise _away(error) from error

    def settle(self) -> None:
        """See `FileStore`."""
        os.sync()

    def remove(self, name: str) -> None:
        """See `FileStore`."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def names(self, under: str = "") -> Iterator[str]:
        """See `FileStore`."""
        for path in (self.root / under).rglob("*"):
            if path.is_file() and path.suffix != ".part":
                yield path.relative_to(self.root).as_posix()


class Bucket:
    """Files in a bucket. `address` is `s3://bucket/prefix`; `endpoint` the server's own address, None for that of the region.

    `login` is the key's name and the key; without it the environment's (`AWS_…`) or the machine's are taken.
    """

    def __init__(self, address: str, endpoint: str | None = None, login: tuple[str, str] | None = None) -> None:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError:
            raise WeakSettings("A store of files in a bucket needs the extra `s3`: pip install 'biobank[s3]'.") from None
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc:
            raise WeakSettings("The address of a store of files is s3://bucket or s3://bucket/prefix.")
        given: dict[str, Any] = {"virtual_hosted_style_request": endpoint is None}
        if endpoint is not None:
            given["endpoint"] = endpoint
        if login is not None:
            given |= {"access_key_id": login[0], "secret_access_key": login[1]}
        try:
            self._store: S3Store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options={
                    "connect_timeout": f"{CONNECT_S}s",
                    "timeout": f"{ANSWER_S}s",
                    "allow_http": (endpoint or "").startswith("http://"),
                },
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=ANSWER_S)},
                **given,
            )
        except BaseError as error:
            why = "its settings cannot be read, or this machine has no certificates of authorities (SSL_CERT_FILE)"
            raise WeakSettings(f"The store of files at {address} cannot be used: {why}.") from error

    def holds(self, name: str) -> bool:
        """See `FileStore`."""
        import obstore

        try:
            self._asked(lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            # The answer has no body: a bucket that is not there looks the same, and would pass for files that were lost.
            self._asked(lambda: next(iter(obstore.list(self._store, name)), None))
            return False
        return True

    def get(self, name: str) -> bytes:
        """See `FileStore`."""
        import obstore

        return self._asked(lambda: bytes(obstore.get(self._store, name).bytes()))

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """See `FileStore`; what is in a bucket is durable either way."""
        import obstore

        del durable

        try:
            self._asked(lambda: obstore.put(self._store, name, data, use_multipart=False))
        except FileNotFoundError as error:  # there is no such bucket
            raise _away(error) from error

    def settle(self) -> None:
        """See `FileStore`: a bucket is so already."""

    def remove(self, name: str) -> None:
        """See `FileStore`."""
        import obstore

        with suppress(FileNotFoundError):
            self._asked(lambda: obstore.delete(self._store, [*self.names(f"{name}/"), name]))

    def names(self, under: str = "") -> Iterator[str]:
        """See `FileStore`."""
        import obstore

        pages = iter(obstore.list(self._store, under.strip("/") or None))
        while (page := self._asked(lambda: next(pages, None))) is not None:
            yield from (found["path"] for found in page)

    def _asked(self, ask: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return ask()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _away(error) from error
            raise
        except (BaseError, OSError) as error:
            raise _away(error) from error


class Moving:
    """A bucket that takes everything new, and the folder of before, which is read until all of it was moved."""

    def __init__(self, bucket: FileStore, before: FileStore) -> None:
        self.bucket, self.before = bucket, before

    def holds(self, name: str) -> bool:
        """See `FileStore`."""
        return self.before.holds(name) or self.bucket.holds(name)

    def get(self, name: str) -> bytes:
        """See `FileStore`. The folder first: it is near, and holds nothing but what was not moved yet."""
        with suppress(FileNotFoundError):
            return self.before.get(name)
        return self.bucket.get(name)

    def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """See `FileStore`."""
        self.bucket.put(name, data, durable=durable)

    def settle(self) -> None:
        """See `FileStore`."""
        self.bucket.settle()

    def remove(self, name: str) -> None:
        """See `FileStore`."""
        self.before.remove(name)
        self.bucket.remove(name)

    def names(self, under: str = "") -> Iterator[str]:
        """See `FileStore`."""
        yield from {*self.before.names(under), *self.bucket.names(under)}


def move(stores: Moving) -> int:
    """Move what lies in the folder into the bucket; return how many files.

    May be broken off and begun again at any point, and while the bank works: a file goes from the folder only when the
    bucket has given back the same bytes. Raises StoreAway.
    """
    moved = 0
    for name in list(stores.before.names()):
        try:
            data = stores.before.get(name)
        except FileNotFoundError:
            continue  # taken away meanwhile, or moved by another run
        stores.bucket.put(name, data)
        if stores.bucket.get(name) != data:
            raise StoreAway
        stores.before.remove(name)
        moved += 1
    return moved


def store_of(address: str, endpoint: str | None, login: tuple[str, str] | None) -> FileStore:
    """Return the store at an address, `s3://…` or the path of a folder. Raises WeakSettings."""
    return Bucket(address, endpoint, login) if address.startswith("s3://") else Folder(Path(address))
