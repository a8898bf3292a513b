"""Several banks in one service: a folder for each, with its settings and secrets, and the processes of all that are open.

No process knows more than one bank. Each has its own databases (or its own embedded server), log, keys, people and settings, and
processes of its own that get those settings and no other's; a proxy leads each host name to its bank. So nothing in the program
has to ask which bank a row belongs to, and nothing can forget to. Why: docs/adr/0046-several-banks.md.

    <folder>/<name>/bank.json    what it is called, its host, origin, port and state
    <folder>/<name>/bank.env     its settings, one `BIOBANK_…=…` a line; further ones may be added
    <folder>/<name>/owner.env    the addresses of the databases' owner, which only `migrate` gets
    <folder>/<name>/state/       secrets, attachments, the register, the embedded server
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from biobank.custody.models import custody
from biobank.custody.states import LIVE
from biobank.foundation.config import Settings
from biobank.foundation.connections import sqlalchemy_url
from biobank.foundation.durable_files import write_private
from biobank.foundation.stopping import Stop
from biobank.foundation.terms import counted
from biobank.operations.supervisor import PROGRAM, Children
from biobank.postgres import bank_databases
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.transparency.models import pending

log = structlog.get_logger("biobank")

BankState = Literal["being_made", "open", "stopped", "closed"]
FIRST_PORT: Final = 8101
ENDS_WITHIN_S: Final = 8
"""What a bank has for ending: its own processes are given five seconds of it."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


class BankFault(Exception):
    """What was asked of a bank cannot be done; the message says why."""


@dataclass(frozen=True)
class OneBank:
    """One bank of a service. `on_server`: its databases are on a server that was named, not on an embedded one."""

    name: str
    host_name: str
    log_origin: str
    port: int
    on_server: bool
    state: BankState


def all_banks(folder: Path) -> list[OneBank]:
    """Return the banks of a folder, by name. Raises BankFault when one's file cannot be read."""
    return [_read(folder, path.parent.name) for path in sorted(folder.glob("*/bank.json"))]


def get_bank(folder: Path, name: str) -> OneBank:
    """Return one bank. Raises BankFault when there is none of that name."""
    if not NAME.fullmatch(name) or not (folder / name / "bank.json").is_file():
        raise BankFault(f"There is no bank {name!r} in {folder}. `biobank banks list` shows those there are.")
    return _read(folder, name)


def environment_of(folder: Path, name: str, *, owner: bool = False) -> dict[str, str]:
    """Return the environment of a process of one bank: its settings, and nothing that was set for another.

    `owner`: with the addresses of the databases' owner. Raises BankFault.
    """
    get_bank(folder, name)
    given = {key: value for key, value in os.environ.items() if not key.startswith("BIOBANK_")}
    files = [folder / name / "bank.env", *([folder / name / "owner.env"] if owner else [])]
    for line in (line for file in files if file.exists() for line in file.read_text().splitlines()):
        key, sign, value = line.strip().partition("=")
        if key and not key.startswith("#"):
            if not sign or not key.startswith("BIOBANK_"):
                raise BankFault(f"In the settings of {name} a line is not `BIOBANK_…=…`: {key[:40]}")
            given[key] = value
    return given


def create_bank(folder: Path, name: str, host_name: str, log_origin: str, server: str | None, port: int | None = None) -> OneBank:
    """Make a bank: its folder, settings, databases, schema and secrets. What an interrupted try left is gone on with.

    `server`: the address of a role that may create roles and databases; None: a server of its own, embedded. Raises BankFault
    when the name, host, log's origin or port is another bank's, ServerRefused, and WeakSettings for an unusable value.
    """
    from biobank.operations.supervisor import prepare, served_database

    if not NAME.fullmatch(name):
        raise BankFault("A bank's name is a small letter, then small letters, digits and underscores, 31 at most.")
    with _changing(folder):
        banks = all_banks(folder)
        bank = next((one for one in banks if one.name == name), None)
        if bank is not None and (bank.state, bank.host_name, bank.log_origin) != ("being_made", host_name.upper(), log_origin):
            raise BankFault(f"There is a bank {name} already.")
        others = [one for one in banks if one.name != name]
        taken = {host for one in others for host in _hosts(folder, one)}
        if host_name.upper() in taken:
            raise BankFault(f"{host_name} is the host of another bank: on a label it says whose the tube is.")
        if log_origin in {one.log_origin for one in others}:
            raise BankFault(f"{log_origin} is the log of another bank. Each bank's log has a name of its own, for ever.")
        ports = {one.port for one in others}
        if port in ports:
            raise BankFault(f"Another bank listens on port {port}.")
        if bank is None:
            port = port or max(ports, default=FIRST_PORT - 1) + 1
            bank = OneBank(name, host_name.upper(), log_origin, port, server is not None, "being_made")
            _begin(folder, bank, server)
        if server is not None:
            kept = json.loads((folder / name / "passwords.json").read_text())
            bank_databases.create_databases(server, name, kept)
        settings = Settings.from_environment(environment_of(folder, name, owner=True))
        with served_database(settings) as whole:
            prepare(whole)
        (folder / name / "passwords.json").unlink(missing_ok=True)
        return _write(folder, replace(bank, state="open"))


def change_state(folder: Path, name: str, state: BankState, *, of: tuple[BankState, ...]) -> OneBank:
    """Write down that a bank is open, stopped or closed. Raises BankFault when it is in none of the states `of`."""
    with _changing(folder):
        bank = get_bank(folder, name)
        if bank.state not in of:
            raise BankFault(f"The bank {name} is {bank.state.replace('_', ' ')}.")
        return _write(folder, replace(bank, state=state))


def close_bank(folder: Path, name: str, server: str | None) -> OneBank:
    """Close a stopped bank that keeps nothing any more. Its logins reach no database from then on; nothing is deleted.

    Raises BankFault while material is with it or its log has entries to seal, when it runs, or without the server's address.
    """
    bank = get_bank(folder, name)
    if bank.state != "stopped":
        raise BankFault(f"The bank {name} is {bank.state.replace('_', ' ')}. Stop it first: biobank banks stop {name}")
    if not bank.on_server:
        with EmbeddedPostgres(folder / name / "state") as postgres:
            if not postgres.owns_server:
                raise BankFault(f"The bank {name} still runs. Try again when it has ended.")
            _require_empty(postgres.dsn("owner"), name)
        return change_state(folder, name, "closed", of=("stopped",))
    at = _server(bank, server)
    bank_databases.shut(at, name)
    try:
        # Looked at when nobody can write any more.
        _require_empty(make_conninfo(at, dbname=f"bank_{name}"), name)
        return change_state(folder, name, "closed", of=("stopped",))
    except BaseException:
        bank_databases.open_again(at, name)
        raise


def reopen_bank(folder: Path, name: str, server: str | None) -> OneBank:
    """Open a closed bank again. Raises BankFault when it is not closed, or without the server's address."""
    bank = get_bank(folder, name)
    if bank.state == "closed" and bank.on_server:
        bank_databases.open_again(_server(bank, server), name)
    return change_state(folder, name, "open", of=("closed",))


def boundary_faults(folder: Path, server: str | None) -> list[str]:
    """Return in phrases which banks' logins may connect to databases of others. Raises BankFault, ServerRefused."""
    found = []
    for bank in all_banks(folder):
        beyond = bank_databases.beyond_its_own(_server(bank, server), bank.name) if bank.on_server else []
        if beyond:
            found.append(f"Logins of {bank.name} may connect to {', '.join(beyond)}")
    return found


def run_banks(folder: Path, stop: Stop) -> None:
    """Run every open bank until `stop` is set. One that is opened, stopped or closed meanwhile is started or ended.

    Raises BankFault when another process runs the banks of this folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / "running.lock", wait=False):
        children = Children(ends_within_s=ENDS_WITHIN_S)
        try:
            while not stop.is_set():
                wanted = {one.name for one in all_banks(folder) if one.state == "open"}
                for name in children.children.keys() - wanted:
                    children.end(name)
                    log.info("bank_ended", bank=name)
                for name in sorted(wanted - children.children.keys()):
                    children.start(name, [*PROGRAM, "serve"], environment_of(folder, name))
                    log.info("bank_started", bank=name)
                children.look_after()
                stop.wait(0.5)
        finally:
            children.stop()


def proxy_map(banks: list[OneBank]) -> str:
    """Return what nginx needs to lead each host name to its bank: an upstream for each, and the map from host to upstream."""
    open_ones = [one for one in banks if one.state == "open"]
    blocks = [
        f"upstream bank_{one.name} {{\n    server 127.0.0.1:{one.port};\n    keepalive 32;\n    keepalive_timeout 3s;\n}}\n"
        for one in open_ones
    ]
    lines = [f"    {one.host_name.lower()} bank_{one.name};\n" for one in open_ones]
    return "".join([*blocks, "map $host $bank {\n", *lines, "}\n"])


def _server(bank: OneBank, server: str | None) -> str:
    if server is None:
        raise BankFault(f"The databases of {bank.name} are on a server: name it with --server or BIOBANK_BANKS_SERVER.")
    return server


def _require_empty(address: str, name: str) -> None:
    """Raise BankFault while a bank keeps material or its log is not sealed to its end."""
    engine = create_engine(sqlalchemy_url(address), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            living = custody.c.state.in_(sorted(one.value for one in LIVE))
            tubes = connection.scalar(select(func.count()).select_from(custody).where(living)) or 0
            open_entries = connection.scalar(select(func.count()).select_from(pending)) or 0
    except OperationalError as error:
        raise BankFault(f"Its database does not answer: {str(error.orig).strip().splitlines()[0]}") from error
    if tubes:
        raise BankFault(
            f"{name} keeps {counted(tubes, 'specimen')}. Hand them over or end them first: a closed bank looks after nothing."
        )
    if open_entries:
        said = counted(open_entries, "entry of its log waits", "entries of its log wait")
        raise BankFault(f"{said} to be sealed. Start it, wait a minute, and stop it again.")


def _hosts(folder: Path, bank: OneBank) -> frozenset[str]:
    """The hosts that a bank's labels bear, those of before too."""
    former = environment_of(folder, bank.name).get("BIOBANK_FORMER_HOST_NAMES", "")
    return frozenset([bank.host_name, *(one.strip().upper() for one in former.split(",") if one.strip())])


def _begin(folder: Path, bank: OneBank, server: str | None) -> None:
    """Write a bank's folder, before anything of it exists elsewhere."""
    here = folder / bank.name
    here.mkdir(mode=0o700, exist_ok=True)
    settings = {
        "host_name": bank.host_name,
        "log_origin": bank.log_origin,
        "issuer": f"biobank/{bank.name}",
        "state_dir": str((here / "state").absolute()),
        "host": "127.0.0.1",
        "port": str(bank.port),
    }
    owner: dict[str, str] = {}
    if server is not None:
        passwords = bank_databases.new_passwords()
        write_private(here / "passwords.json", json.dumps(passwords).encode())
        for key, value in bank_databases.addresses(server, bank.name, passwords).items():
            (owner if "owner" in key else settings)[key] = value
    Settings.model_validate(settings)
    write_private(here / "owner.env", _lines(owner))
    write_private(here / "bank.env", _lines(settings))
    _write(folder, bank)


def _lines(settings: Mapping[str, str]) -> bytes:
    return "".join(f"BIOBANK_{key.upper()}={value}\n" for key, value in settings.items()).encode()


def _read(folder: Path, name: str) -> OneBank:
    try:
        return OneBank(**json.loads((folder / name / "bank.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BankFault(f"{folder / name / 'bank.json'} cannot be read: {error}") from error


def _write(folder: Path, bank: OneBank) -> OneBank:
    write_private(folder / bank.name / "bank.json", json.dumps(asdict(bank)).encode())
    return bank


@contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """One change of the folder at a time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / "changing.lock", wait=True):
        yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        raise BankFault(f"Another process runs the banks in {path.parent}.") from None
    finally:
        os.close(descriptor)
