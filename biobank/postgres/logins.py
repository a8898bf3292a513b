"""Logins of the server: a group's member with a password that no log of the server ever shows."""

from collections.abc import Collection
from typing import Any

import psycopg
from psycopg import sql


def run(connection: "psycopg.Connection[Any]", statement: str, *names: str, **literals: str) -> None:
    """Run a statement of ours with names and words put in where it says `{}` and `{word}`, both quoted. Raises psycopg.Error."""
    quoted = {key: sql.Literal(value) for key, value in literals.items()}
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names), **quoted))


def make_login(
    connection: "psycopg.Connection[Any]", present: Collection[str], login: str, password: str, group: str | None
) -> None:
    """Make a login with its password and its group, in one statement; one that is `present` gets both. Raises psycopg.Error."""
    if group is not None and group not in present:
        run(connection, "CREATE ROLE {} NOLOGIN", group)
    # The verifier, not the password, so that no log or statistics view can ever show it.
    verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    if login in present:
        run(connection, "ALTER ROLE {} PASSWORD {verifier}", login, verifier=verifier)
        if group is not None:
            run(connection, "GRANT {} TO {}", group, login)
    elif group is None:
        run(connection, "CREATE ROLE {} LOGIN PASSWORD {verifier}", login, verifier=verifier)
    else:
        run(connection, "CREATE ROLE {} LOGIN PASSWORD {verifier} IN ROLE {}", login, group, verifier=verifier)
