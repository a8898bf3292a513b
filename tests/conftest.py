"""A real PostgreSQL per test process, a database as good as new per test, a real server, a client per role.

The cluster runs on the embedded binaries, or on an installed server when BIOBANK_TEST_PG_BIN names its programs. The schema
comes from Alembic once, into a template; each test's database is a copy of it, so that commits are real everywhere. A copy serves
one test after another, washed between them (`tests/washing.py`).
"""

import asyncio
import gc
import inspect
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import httpx
import psycopg
import pytest
import uvicorn
import uvloop
from hypothesis import HealthCheck, settings
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank, ensure_secrets
from biobank.app import create_app
from biobank.auth.actor import Actor
from biobank.auth.identity import load_actor
from biobank.auth.models import LoginSession
from biobank.foundation import clock
from biobank.foundation.config import Settings
from biobank.operations.wire import BoundedProtocol
from biobank.postgres import migrate
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.registries import event_kinds
from tests import coverage_of_operations, seed
from tests.locking import watch_locks
from tests.scratch import reachable_folder
from tests.speed import made_quick, work_quickly
from tests.statements import Answering
from tests.washing import OF_CONNECTIONS, Pair, create, drop, keys_of

assert event_kinds.MODULES

# Every server of the tests speaks plain HTTP. A folder of certificates is read when it is needed, a file by every client made.
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
os.environ.pop("SSL_CERT_FILE", None)

work_quickly()

# By itself httpx gives up after five seconds, which a busy machine may need for a page.
_patience: httpx.Timeout = inspect.signature(httpx.get).parameters["timeout"].default
_patience.connect = _patience.read = _patience.write = _patience.pool = 60.0

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

T = TypeVar("T")

TEMPLATE = "biobank_template"
KEYS_TEMPLATE = "biobank_keys_template"


SHARED_CLUSTER = "BIOBANK_TEST_CLUSTER"
"""Names the folder of a running cluster with both templates; without it each test process starts its own."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL per test process, or the one that is shared."""
    if shared := os.environ.get(SHARED_CLUSTER):
        with EmbeddedPostgres(Path(shared)) as postgres:
            yield postgres
        return
    bin_dir = os.environ.get("BIOBANK_TEST_PG_BIN")
    with reachable_folder() as folder, EmbeddedPostgres(folder, bin_dir=Path(bin_dir) if bin_dir else None) as postgres:
        made_quick(postgres)
        yield postgres


@pytest.fixture(scope="session")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secrets shared by every bank of this process."""
    folder = tmp_path_factory.mktemp("secrets")
    folder.chmod(0o700)
    ensure_secrets(folder, Settings().log_origin)
    return folder


@pytest.fixture(scope="session")
def template(cluster: EmbeddedPostgres, secrets_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Two migrated and seeded template databases."""
    if SHARED_CLUSTER not in os.environ:
        make_templates(cluster)
    _clean[cluster] = []
    yield cluster
    for pair in _clean.pop(cluster):
        assert pair.bank is not None
        _throw_away(TestBank(pair.bank, cluster, pair.database, pair))


def make_templates(cluster: EmbeddedPostgres) -> None:
    """Make the two databases that each test's are copies of."""
    with psycopg.connect(cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        for name in (TEMPLATE, KEYS_TEMPLATE):
            connection.execute(f"CREATE DATABASE {name}")
    migrate.upgrade(cluster.dsn("owner", TEMPLATE), cluster.dsn("owner", KEYS_TEMPLATE))
    with psycopg.connect(cluster.dsn("owner", TEMPLATE)) as connection:
        seed.sites_and_users(connection)


@dataclass
class TestBank:
    """A bank over databases of its own, and ways to act in it."""

    __test__ = False

    bank: Bank
    cluster: EmbeddedPostgres
    database: str
    pair: Pair | None = None

    def dsn(self, role: str = "owner") -> str:
        """The address of this bank's database for a role."""
        return self.cluster.dsn(role, self.database)  # type: ignore[arg-type]

    def write(self, work: Callable[[Session], Any]) -> Any:
        """Run `work` in one committed transaction as the application's login."""
        return self.bank.database.write_now(work)

    def session_of(self, user: str) -> Any:
        """Open a login session for a seeded user and return its id."""

        def open_session(session: Session) -> Any:
            row = LoginSession(
                user_code=seed.USERS[user].code,
                kind="token",
                created_at=clock.now(),
                last_seen_at=clock.now(),
                expires_at=clock.now() + timedelta(days=36500),
            )
            session.add(row)
            session.flush()
            return row.id

        return self.write(open_session)

    def token(self, user: str) -> str:
        """An access token of a seeded user."""
        return self.bank.tokens.issue(seed.USERS[user].code, self.session_of(user))[0]

    def actor(self, user: str) -> Actor:
        """The actor of a seeded user."""
        session_id = self.session_of(user)
        return self.write(lambda s: load_actor(s, session_id))  # type: ignore[no-any-return]

    def act(self, user: str) -> Act:
        """An act of a seeded user outside a request."""
        return Act.of(self.actor(user), self.bank, path="test")


_clean: dict[EmbeddedPostgres, list[Pair]] = {}
"""The washed pairs of databases of a cluster that lasts as long as the tests."""


def open_bank(
    template: EmbeddedPostgres, secrets_dir: Path, state_dir: Path, *, copy_of: str | None = None, **settings: Any
) -> TestBank:
    """Open a bank over databases like the templates, or like those of another test; close it with `drop_bank`."""
    pair = None
    if copy_of is not None:
        name = create(template, copy_of, keys_of(copy_of))
    elif template in _clean and not settings.keys() & OF_CONNECTIONS:
        pair = _clean[template].pop() if _clean[template] else Pair(template, create(template, TEMPLATE, KEYS_TEMPLATE))
        name = pair.database
    else:
        name = create(template, TEMPLATE, KEYS_TEMPLATE)
    bank = Bank.open(
        Settings(
            **(
                {
                    "database_url": template.dsn("app", name),
                    "keys_database_url": template.dsn("app", keys_of(name)),
                    "auditor_database_url": template.dsn("auditor", name),
                    "sealer_database_url": template.dsn("sealer", name),
                    "secrets_dir": secrets_dir,
                    "state_dir": state_dir,
                    "test_mode": True,
                    "secure_cookies": False,
                    "pool_size": 5,
                    "merge_delay_s": 3600,  # nobody seals, and a story on a busy machine is longer than a minute
                }
                | settings
            )
        )
    )
    if pair is not None:
        pair.lend(bank)
    return TestBank(bank, template, name, pair)


def hang_up(test_bank: TestBank) -> None:
    """Close the connections that this process has to a bank."""
    if _servers:
        release_now(test_bank)
    test_bank.bank.dispose_now()
    if test_bank.pair is not None:
        test_bank.pair.hang_up()


def drop_bank(test_bank: TestBank) -> None:
    """Close a bank and give its databases back; drop them when they are not as good as new."""
    if test_bank.pair is not None and test_bank.pair.wash():
        _clean[test_bank.cluster].append(test_bank.pair)
    else:
        _throw_away(test_bank)


def _throw_away(test_bank: TestBank) -> None:
    hang_up(test_bank)
    drop(test_bank.cluster, test_bank.database)


@pytest.fixture
def make_bank(template: EmbeddedPostgres, secrets_dir: Path, tmp_path: Path) -> Iterator[Callable[..., TestBank]]:
    """A factory of banks, each over a fresh copy of the templates."""
    made: list[TestBank] = []

    def make(**settings: Any) -> TestBank:
        made.append(open_bank(template, settings.pop("secrets_dir", secrets_dir), tmp_path, **settings))
        return made[-1]

    yield make
    clock.set_offset(timedelta(0), test_mode=True)
    for test_bank in made:
        drop_bank(test_bank)


@pytest.fixture
def bank(make_bank: Callable[..., TestBank]) -> TestBank:
    """A fresh bank with the seeded sites and users."""
    return make_bank()


class Client(httpx.Client):
    """An HTTP client of one role: bearer token set, a fresh Idempotency-Key on every POST that has none."""

    def request(self, method: Any, url: Any, **kwargs: Any) -> httpx.Response:
        """Send, with a key when the method is POST."""
        if str(method).upper() == "POST":
            headers = dict(kwargs.pop("headers", None) or {})
            headers.setdefault("Idempotency-Key", uuid4().hex)
            kwargs["headers"] = headers
        return super().request(method, url, **kwargs)


class Api:
    """A running server and a client per seeded user: `api.lab_tech`, `api.quality`, `api.anonymous` …"""

    def __init__(self, url: str, test_bank: TestBank) -> None:
        self.url = url
        self.test_bank = test_bank
        self._clients: dict[str, Client] = {}

    def __getattr__(self, name: str) -> Client:
        if name.startswith("_") or (name != "anonymous" and name not in seed.USERS):
            raise AttributeError(name)
        if name not in self._clients:
            headers = {} if name == "anonymous" else {"Authorization": f"Bearer {self.test_bank.token(name)}"}
            self._clients[name] = Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60)
        return self._clients[name]

    def close(self) -> None:
        """Close every client."""
        for client in self._clients.values():
            client.close()


class SharedServer:
    """One real uvicorn per test process; each test gives it the bank to serve. Building the application is what is slow."""

    def __init__(self, test_bank: TestBank) -> None:
        self.app = create_app(test_bank.bank)
        self.loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            Answering(self.app), host="127.0.0.1", port=0, log_level="warning", lifespan="off", http=BoundedProtocol
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        while not self.server.started:
            if not self.thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def _run(self) -> None:
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve())

    def serve(self, test_bank: TestBank) -> str:
        """Serve another bank from now on."""
        self.app.state.bank = test_bank.bank
        return self.url

    def release(self, test_bank: TestBank) -> None:
        """Close the connections of a bank in the loop that opened them."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(test_bank.bank.dispose(), self.loop).result(timeout=60)


_servers: list[SharedServer] = []


def serve_now(test_bank: TestBank) -> str:
    """Let the process's server serve a bank from now on; return its address. `release_now` it afterwards."""
    if not _servers:
        _servers.append(SharedServer(test_bank))
    return _servers[0].serve(test_bank)


def release_now(test_bank: TestBank) -> None:
    """Close the server's connections of a bank; it may be served again."""
    _servers[0].release(test_bank)


@pytest.fixture
def serve() -> Iterator[Callable[[TestBank], str]]:
    """A factory of addresses: the process's server, serving the given bank."""
    served: list[TestBank] = []

    def start(test_bank: TestBank) -> str:
        served.append(test_bank)
        return serve_now(test_bank)

    yield start
    for test_bank in served:
        if test_bank.pair is None:
            release_now(test_bank)


@pytest.fixture
def api(bank: TestBank, serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A running server over a fresh bank, with a client per seeded user."""
    made = Api(serve(bank), bank)
    yield made
    made.close()


@dataclass(frozen=True)
class Told(Generic[T]):
    """What `tell` returned about a bank that is kept as a model: `make_bank(copy_of=told.database)` begins from there."""

    database: str
    at: datetime
    story: T


@pytest.fixture(scope="module")
def tell_once(
    template: EmbeddedPostgres, secrets_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Callable[[Api], Any]], Told[Any]]]:
    """Tell a long story to a bank once for all tests of a module; each takes a copy of its databases."""
    models: list[TestBank] = []

    def told(tell: Callable[[Api], Any]) -> Told[Any]:
        model = open_bank(template, secrets_dir, tmp_path_factory.mktemp("told"))
        models.append(model)
        api = Api(serve_now(model), model)
        story = tell(api)
        api.close()
        release_now(model)
        hang_up(model)
        return Told(model.database, clock.now(), story)

    yield told
    for model in models:
        drop_bank(model)


@pytest.fixture
def begin(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Callable[[Told[Any]], Api]]:
    """A factory of clients of a copy of a told story, at the moment at which it ended."""
    made: list[Api] = []

    def start(told: Told[Any]) -> Api:
        bank = make_bank(copy_of=told.database)
        clock.set_offset(told.at - clock.now(), test_mode=True)
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield start
    for api in made:
        api.close()


def start_web(environ: dict[str, str], *more: str) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a web process; return it and its address, where a call waits until it answers.

    The process is given a socket that listens already: a number of a port that is free now may be another's a second later.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = str(listening.fileno())
        command = [sys.executable, "-m", "uvicorn", "--factory", "biobank.asgi:app", "--fd", number, "--log-level", "warning"]
        process = subprocess.Popen([*command, *more], env=environ, pass_fds=[listening.fileno()])
        return process, f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def workers(bank: TestBank) -> Iterator[Callable[[int], list[str]]]:
    """A factory of real worker processes over the test's bank; returns their addresses."""
    running: list[subprocess.Popen[bytes]] = []

    def start(count: int) -> list[str]:
        given = bank.bank.settings.model_dump(exclude_none=True)
        environ = dict(os.environ) | {f"BIOBANK_{k.upper()}": str(v) for k, v in given.items()}
        urls = []
        for _ in range(count):
            process, url = start_web(environ, "--no-access-log")
            running.append(process)
            urls.append(url)
        for url in urls:
            httpx.get(url)
        return urls

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=60)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what meets a server of ours: the rest says nothing about another version of it."""
    if "cluster" in getattr(item, "fixturenames", ()) or "postgres" in item.path.parts:
        item.add_marker("database")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run take a sample."""
    parser.addoption("--one-of", type=int, default=1, metavar="N", help="of each file the first test and every Nth after it")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the sample that was asked for: after a whole run, so every file's statements meet another server too."""
    if (step := config.getoption("--one-of")) == 1:
        return
    counted: Counter[Path] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (left if counted[item.path] % step else kept).append(item)
        counted[item.path] += 1
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_collection_finish() -> None:
    """Set aside what importing made (see `tests/__init__.py`)."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Report which operations succeeded; after a whole run, fail when one never did."""
    config = session.config
    shared = getattr(config, "workerinput", {}).get("operations_folder")
    if shared is not None:
        coverage_of_operations.report(Path(shared))
        return
    folder = Path(config.stash[_OPERATIONS])
    coverage_of_operations.report(folder)
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and coverage_of_operations.whole_run(config):
        never = sorted(coverage_of_operations.missing(folder))
        if never:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            sys.stdout.write("\nOperations that no test brought to success:\n  " + "\n  ".join(never) + "\n")
    shutil.rmtree(folder, ignore_errors=True)


_OPERATIONS = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder in which the test processes report, and watch the locks."""
    watch_locks()
    if not hasattr(config, "workerinput"):
        config.stash[_OPERATIONS] = tempfile.mkdtemp(prefix="operations-")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist worker where to report."""
    node.workerinput["operations_folder"] = node.config.stash[_OPERATIONS]
