"""What a page costs: processor time of the web process for one drawing, in process, in banks of two sizes.

    python -m bench.pages [--specimens 10000] [--rounds 60] [--out FILE]

The application is called without a network or a client of one, signed in by the cookie of a page session; the figure is the time
on a processor of the whole process (drawing, rules, driver, threads). That of the database's sessions stands beside it. All but
two specimens copy one that went through the ledger, a second apart: their rows are whole, their entries say another code.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg import sql
from starlette.types import ASGIApp, Message

from bench.house import House, house
from bench.importing import session_seconds
from biobank.app import create_app
from biobank.auth.sessions import create_page_session
from biobank.foundation import clock
from biobank.foundation.codes import make_code
from tests import factories, seed

FIRST = 5_000_000
"""Numbers of copied codes begin here: the bank's own are far below."""
DONORS = 500
HEAD = "(SELECT e.leaf_hash FROM event e WHERE e.stream_kind = 'specimen' AND e.stream_id = c.code)"
ENTRY = "convert_to(replace(convert_from(t.entry, 'UTF8'), '{first}', c.code), 'UTF8')"
EARLIER = "t.{} - c.n * interval '1 second'"
PAGES = {
    "/specimens": "list",
    "/specimens?state=collected&sort=-created_at": "list",
    "/withdrawals": "list",
    "/holds": "list",
    "/storage/places": "list",
    "/log": "list",
    "/": "today",
}


def grow(h: House, to: int) -> str:
    """Make the bank hold `to` specimens; return the code of one of them."""
    first = h.specimens(2)[0]
    donors = h.bank.database.write_now(lambda s: [factories.make_donor(s) for _ in range(DONORS)])
    harvests = h.bank.database.write_now(lambda s: [factories.make_harvest(s, one) for one in donors])
    with psycopg.connect(h.postgres.dsn("owner")) as connection:
        connection.execute("CREATE TEMP TABLE copies (n int PRIMARY KEY, code text)")
        with connection.cursor().copy("COPY copies (n, code) FROM STDIN") as rows:
            for n in range(to - 2):
                rows.write_row((n, str(make_code("AD", 26, FIRST + n))))
        givers = "SELECT * FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS t (donor, harvest, i)"
        connection.execute(f"CREATE TEMP TABLE givers AS {givers}", (donors, harvests))
        of_donor = {"donor_code": "g.donor", "donor_key": "g.donor"}
        own = of_donor | {
            "code": "c.code",
            "harvest_code": "g.harvest",
            "head_hash": HEAD,
            "created_at": EARLIER.format("created_at"),
        }
        of_event = of_donor | {
            "stream_id": "c.code",
            "entry": ENTRY.format(first=first),
            "recorded_at": EARLIER.format("recorded_at"),
        }
        for table, changed, key in (("specimen", own, "code"), ("event", of_event, "stream_id"), ("custody", own, "code")):
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
            _copy(connection, table, changed, key, first)
            connection.commit()
            connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table)))
        connection.execute("DELETE FROM pending")
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return first


def _copy(connection: "psycopg.Connection[Any]", table: str, changed: dict[str, str], key: str, first: str) -> None:
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    names = [name for (name,) in found]
    said = [sql.SQL(changed[name]) if name in changed else sql.Identifier("t", name) for name in names]
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {said} FROM copies c JOIN givers g ON g.i = c.n % {many} + 1,"
        " {table} t WHERE t.{key} = {first}"
    ).format(
        table=sql.Identifier(table),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        said=sql.SQL(", ").join(said),
        many=sql.Literal(DONORS),
        key=sql.Identifier(key),
        first=sql.Literal(first),
    )
    connection.execute(statement)


async def measure(h: House, user: str, pages: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Draw each page `rounds` times as `user`; return milliseconds of the process and of the database, and kilobytes."""
    code = seed.USERS[user].code
    cookie = h.bank.database.write_now(lambda s: create_page_session(s, code, clock.now(), h.bank.settings.session_s)[0])
    app = create_app(h.bank)
    headers = [(b"accept", b"text/html"), (b"host", b"127.0.0.1"), (b"cookie", f"session={cookie}".encode())]
    found: dict[str, dict[str, float]] = {}
    async with app.router.lifespan_context(app):
        for page in pages:
            own, database = [], []
            for _ in range(rounds):
                sessions, began = session_seconds(h.postgres.dsn("owner")), time.process_time()
                status, body = await asked(app, page, headers)
                own.append((time.process_time() - began) * 1000)
                database.append((session_seconds(h.postgres.dsn("owner")) - sessions) * 1000)
                assert status == 200, (page, status, body[:500])
            warm = own[len(own) // 4 :]
            found[page] = {
                "ms": round(median(warm), 2),
                "least_ms": round(min(warm), 2),
                "database_ms": round(median(database[len(database) // 4 :]), 2),
                "kilobytes": round(len(body) / 1000, 1),
            }
    return found


async def asked(app: ASGIApp, address: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """Answer GET `address` as a server would hand it on; return the status and the body. A client of HTTP costs a millisecond."""
    path, _, query = address.partition("?")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    place = {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": headers}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({**scope, **place, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def main() -> None:
    """Parse the words, fill a bank, draw, print."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--specimens", type=int, default=10_000)
    words.add_argument("--rounds", type=int, default=60)
    words.add_argument("--user", default="quality")
    words.add_argument("--out", type=Path)
    asked = words.parse_args()
    with house(merge_delay_s=3600, secure_cookies=False) as h:
        one = grow(h, asked.specimens)
        pages = asyncio.run(measure(h, asked.user, [*PAGES, f"/specimens/{one}"], asked.rounds))
    print(f"{asked.specimens} specimens, {asked.rounds} drawings each, as {asked.user}")
    for page, figures in pages.items():
        print(f"  {page:<50}" + "".join(f"  {name} {value}" for name, value in figures.items()))
    if asked.out is not None:
        asked.out.write_text(json.dumps({"specimens": asked.specimens, "pages": pages}, indent=2) + "\n")


if __name__ == "__main__":
    main()
