"""The databases and logins of one bank among several on one PostgreSQL server.

The boundary between banks is the server's own: each bank has two databases, an owner and a login for each kind of process, and no
login of one may connect to a database of another. Migrations grant to the groups `biobank_app`, `biobank_sealer` and
`biobank_auditor`, which are the server's and of which every bank's logins are members; so a group never may connect anywhere.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from biobank.postgres.embedded import Role
from biobank.postgres.logins import make_login, run

LOGINS: Final[tuple[Role, ...]] = ("owner", "app", "sealer", "auditor")
CONNECTING: Final[Mapping[str, tuple[Role, ...]]] = {"": LOGINS, "_keys": ("owner", "app")}
"""Who connects to a bank's own database and to its store of donor keys, by the end of the database's name."""
EVERYBODYS: Final = ("postgres", "template0", "template1")
"""Databases of the server itself: nothing of a bank is in them."""


class ServerRefused(Exception):
    """The server does not do what was asked, or does not keep banks apart. The message says why and what to do."""


def new_passwords() -> dict[Role, str]:
    """Return a password for each login."""
    return {role: secrets.token_hex(32) for role in LOGINS}


def addresses(server: str, name: str, passwords: Mapping[Role, str]) -> dict[str, str]:
    """Return the addresses of a bank's databases on a server, by the names of the settings."""
    ours, keys = f"bank_{name}", f"bank_{name}_keys"
    return {
        "database_url": _address(server, name, "app", passwords, ours),
        "sealer_database_url": _address(server, name, "sealer", passwords, ours),
        "auditor_database_url": _address(server, name, "auditor", passwords, ours),
        "keys_database_url": _address(server, name, "app", passwords, keys),
        "owner_database_url": _address(server, name, "owner", passwords, ours),
        "keys_owner_database_url": _address(server, name, "owner", passwords, keys),
    }


def create_databases(server: str, name: str, passwords: Mapping[Role, str]) -> None:
    """Bring a bank's logins and databases to be, or what an interrupted try left out of them.

    `server` is the address of a role that may create roles and databases. Raises ServerRefused.
    """
    with _connected(server) as connection:
        present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database")}
        for role in LOGINS:
            group = f"biobank_{role}" if role != "owner" else None
            make_login(connection, present, f"bank_{name}_{role}", passwords[role], group)
        owner = f"bank_{name}_owner"
        if not _is_superuser(connection):
            run(connection, "GRANT {} TO CURRENT_USER", owner)
        for end in CONNECTING:
            if f"bank_{name}{end}" not in present:
                run(connection, "CREATE DATABASE {} OWNER {}", f"bank_{name}{end}", owner)
        _let_connect(connection, name)
        beyond = _beyond(connection, name)
    if beyond:
        raise ServerRefused(
            f"Logins of the bank {name} may also connect to: {', '.join(beyond)}. On a server of several banks nobody "
            "connects to a database by default: REVOKE CONNECT ON DATABASE … FROM PUBLIC, and from the groups biobank_app, "
            "biobank_sealer and biobank_auditor. Then create the bank again."
        )


def beyond_its_own(server: str, name: str) -> list[str]:
    """Return the databases of others to which a login of a bank may connect; empty while the boundary stands.

    Raises ServerRefused when the server does not answer.
    """
    with _connected(server) as connection:
        return _beyond(connection, name)


def shut(server: str, name: str) -> None:
    """Let no login of a bank connect to its databases any more and end the connections there are. Raises ServerRefused."""
    with _connected(server) as connection:
        for end, roles in CONNECTING.items():
            for role in roles:
                run(connection, "REVOKE CONNECT ON DATABASE {} FROM {}", f"bank_{name}{end}", f"bank_{name}_{role}")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [f"bank_{name}{end}"])


def open_again(server: str, name: str) -> None:
    """Let a bank's logins connect to its databases, as when they were made. Raises ServerRefused."""
    with _connected(server) as connection:
        _let_connect(connection, name)


def _address(server: str, name: str, role: Role, passwords: Mapping[Role, str], database: str) -> str:
    parts = {key: str(value) for key, value in conninfo_to_dict(server).items() if key not in ("user", "password", "dbname")}
    return f"postgresql://bank_{name}_{role}:{passwords[role]}@/{database}?{urlencode(parts, quote_via=quote)}"


@contextmanager
def _connected(server: str) -> Iterator["psycopg.Connection[Any]"]:
    try:
        with psycopg.connect(make_conninfo(server, connect_timeout=10), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise ServerRefused(f"The database server refused: {str(error).strip().splitlines()[0]}") from error


def _is_superuser(connection: "psycopg.Connection[Any]") -> bool:
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER").fetchone()
    return bool(row and row[0])


def _let_connect(connection: "psycopg.Connection[Any]", name: str) -> None:
    for end, roles in CONNECTING.items():
        run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", f"bank_{name}{end}")
        for role in roles:
            run(connection, "GRANT CONNECT ON DATABASE {} TO {}", f"bank_{name}{end}", f"bank_{name}_{role}")


def _beyond(connection: "psycopg.Connection[Any]", name: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT datname FROM pg_database CROSS JOIN unnest(%(logins)s::text[]) AS login "
        "WHERE datallowconn AND NOT datname = ANY(%(own)s::text[]) AND has_database_privilege(login, datname, 'CONNECT') "
        "ORDER BY datname",
        {
            "logins": [f"bank_{name}_{role}" for role in LOGINS],
            "own": [*EVERYBODYS, *(f"bank_{name}{end}" for end in CONNECTING)],
        },
    )
    return [str(row[0]) for row in rows]
