"""`biobank demo`: a bank with believable example data, ready to look at.

The first start makes databases, secrets and data; later starts find them. A start that was broken off is begun again from
nothing: the data is an example, and a half-made example is no use to anybody.
"""

import fcntl
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from rich.console import Console

from biobank.demo.people import PEOPLE, logins
from biobank.foundation.collector import collector_paused
from biobank.foundation.config import Settings
from biobank.operations.supervisor import adopt_rules, free_port, prepare, served_database

UNFINISHED = "demo-unfinished"
ANSWER = "demo.json"
WORDS = [
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "hazel",
    "ivory",
    "jasper",
    "kelp",
    "lilac",
    "maple",
    "nectar",
    "olive",
    "pearl",
    "quartz",
    "river",
    "sable",
    "tulip",
]


class AlreadyRunning(Exception):
    """Another demo runs in this folder."""


@contextmanager
def ready(settings: Settings, console: Console) -> Iterator[Settings]:
    """Start the database, make the example bank if there is none, print how to get in, and yield settings to serve with.

    Raises AlreadyRunning when another process has the folder.
    """
    state = settings.state_dir
    state.mkdir(parents=True, exist_ok=True)
    with (state / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"A demo is already running in {state}; its address is in {state / ANSWER}.") from None
        with served_database(settings) as running:
            _make_if_missing(running, state, console)
            port = free_port(running.host, running.port)
            served = running.model_copy(update={"port": port})
            answer = write_answer(state, f"http://{running.host}:{port}")
            _introduce(answer, state, console)
            yield served


def _make_if_missing(settings: Settings, state: Path, console: Console) -> None:
    unfinished, kept = state / UNFINISHED, state / ANSWER
    if unfinished.exists():
        console.print("The last start was broken off; beginning again.")
        _begin_again(settings)
        kept.unlink(missing_ok=True)
    if kept.exists():
        prepare(settings)
        adopt_rules(settings)
        return
    with collector_paused():
        from biobank.acts.bank import Bank
        from biobank.demo.data import fill
        from biobank.registries import event_kinds

    assert event_kinds.MODULES
    unfinished.touch()
    started = time.monotonic()
    console.print("Making an example bank …")
    prepare(settings)
    adopt_rules(settings)
    passwords = {username: _password() for username in PEOPLE}
    bank = Bank.open(settings)
    try:
        made = fill(bank, passwords, console, partial(seal, settings))
    finally:
        bank.database.sync_engine.dispose()
    kept.write_text(json.dumps({"passwords": passwords}))
    kept.chmod(0o600)
    unfinished.unlink()
    console.print(f"{made} specimens in {time.monotonic() - started:.0f} s.")


def seal(settings: Settings) -> None:
    """Seal everything that was recorded, so that the log is up to date when the bank answers."""
    from biobank.transparency.sealer import Log, drain

    assert settings.sealer_database_url is not None
    settings.register_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drain(settings.sealer_database_url, Log.open(settings.log_origin, settings.log_secrets, settings.register_file))


def _begin_again(settings: Settings) -> None:
    """Drop both example databases and the register of their log. The embedded server's only: never a server that was given."""
    for address in (settings.owner_database_url, settings.keys_owner_database_url):
        assert address is not None
        with psycopg.connect(address) as connection:
            owned = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' LIMIT 1").fetchone()
            if owned is not None:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
                connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    settings.register_file.unlink(missing_ok=True)


def _password() -> str:
    return "-".join(secrets.choice(WORDS) for _ in range(5)) + f"-{secrets.randbelow(90) + 10}"


def write_answer(state: Path, url: str) -> dict[str, object]:
    """Write the address of the running bank beside the passwords, for programs to read; return what was written."""
    path = state / ANSWER
    passwords: dict[str, str] = json.loads(path.read_text())["passwords"]
    answer = {"url": url, **logins(passwords), "passwords": passwords}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(answer, indent=2))
    part.chmod(0o600)
    part.rename(path)
    return answer


def _introduce(answer: dict[str, object], state: Path, console: Console) -> None:
    console.print(f"\n  The bank is at [bold]{answer['url']}[/bold]\n")
    roles = answer["logins"]
    assert isinstance(roles, dict)
    for role, login in roles.items():
        console.print(f"  {role:<13} {login['username']:<10} {login['password']}", highlight=False)
    console.print(f"\n  The same in {state / ANSWER}. Ctrl-C stops the bank and its database.\n")
