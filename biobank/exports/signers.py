"""The logins behind the signatures of a bundle about a part: whose keys, by whom they were enrolled, which roles they held."""

from collections.abc import Iterable
from typing import Any, Final, LiteralString, cast

import psycopg
from sqlalchemy import ARRAY, Text, any_, bindparam, literal_column, select
from sqlalchemy.dialects.postgresql.psycopg import dialect

from biobank.custody.entry import parse_entry
from biobank.transparency.models import event, leaf
from biobank.transparency.verify import LOGINS, ids_of

_ABOUT_LOGINS: Final[LiteralString] = cast(
    Any,
    str(
        select(leaf.c.log_index, event.c.entry, event.c.donor_code, event.c.leaf_hash)
        .join_from(event, leaf, leaf.c.leaf_hash == event.c.leaf_hash)
        .where(event.c.stream_kind == literal_column("'user'"))
        .where(event.c.stream_id == any_(bindparam("users", type_=ARRAY(Text))))
        .where(event.c.kind == any_(bindparam("kinds", type_=ARRAY(Text))))
        .where(leaf.c.log_index < bindparam("size"))
        .compile(dialect=dialect())  # type: ignore[no-untyped-call]
    ),
)


def entries_about_signers(
    connection: psycopg.Connection[tuple[Any, ...]], entries: Iterable[bytes], size: int
) -> list[tuple[int, bytes, str | None, bytes]]:
    """Return (index, entry, donor, leaf hash) of what the tree of `size` says of everybody who signed `entries`.

    And of everybody who signed that, until nobody new is named: it ends with the bank's first logins.
    """
    found: dict[int, tuple[int, bytes, str | None, bytes]] = {}
    known: set[str] = set()
    named = _signers(entries)
    while fresh := named - known:
        known |= fresh
        asked = {"users": sorted(fresh), "kinds": list(LOGINS), "size": size}
        rows = connection.execute(_ABOUT_LOGINS, asked, binary=True).fetchall()
        found |= {row[0]: (row[0], row[1], row[2], row[3]) for row in rows}
        named = _signers(row[1] for row in rows)
    return list(found.values())


def _signers(entries: Iterable[bytes]) -> set[str]:
    """Return the logins that signed these entries, or are said to have."""
    named: set[str | None] = set()
    for data in entries:
        if b"signature" not in data:
            continue
        entry = parse_entry(data)
        if ids_of(entry["body"]):
            named |= {entry["by"], entry["body"].get("completed_by")}
        named |= {one["user"] for one in entry.get("signatures", ())}
    return {one for one in named if one is not None}
