"""The floor: the least a service on this stack can do for "record a custody scan" and still keep its durability.

Starlette, a cache of verified tokens, one SQL statement that writes event + custody + pending + idempotency. No receipt, no
framework comforts, no rules, no roles. Benchmarks run the bank beside it, interleaved, and print ratios; absolute numbers
say more about the machine than about the code.

Run by `bench.scan`; alone: `python -m bench.floor DSN PORT`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SCHEMA = """
CREATE SCHEMA floor;
CREATE TABLE floor.custody (code text PRIMARY KEY, seq int NOT NULL, state text NOT NULL);
CREATE TABLE floor.event (
    code text, seq int, entry bytea NOT NULL,
    leaf_hash bytea GENERATED ALWAYS AS (sha256('\\x00'::bytea || entry)) STORED, PRIMARY KEY (code, seq));
CREATE TABLE floor.pending (qid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL, seq int NOT NULL);
CREATE TABLE floor.idempotency (actor text, key text, answer text NOT NULL, PRIMARY KEY (actor, key));
GRANT USAGE ON SCHEMA floor TO biobank_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA floor TO biobank_app;
"""

WRITE = """
WITH c AS (UPDATE floor.custody SET seq = seq + 1 WHERE code = %s AND seq = %s RETURNING code, seq),
     e AS (INSERT INTO floor.event (code, seq, entry) SELECT code, seq, %s FROM c RETURNING code, seq),
     p AS (INSERT INTO floor.pending (code, seq) SELECT code, seq FROM e)
INSERT INTO floor.idempotency (actor, key, answer) SELECT %s, %s, %s FROM e RETURNING 1
"""


CONNECTIONS = 10


def application(dsn: str, tokens: set[str]) -> Starlette:
    """Build the floor program; `tokens` are taken as verified already."""
    free: asyncio.LifoQueue[psycopg.AsyncConnection[Any]] = asyncio.LifoQueue()

    @asynccontextmanager
    async def connected(_app: Starlette) -> AsyncIterator[None]:
        for _ in range(CONNECTIONS):
            connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=1)
            free.put_nowait(connection)
        yield

    async def scan(request: Request) -> Response:
        token = request.headers["authorization"][7:]
        if token not in tokens:
            return Response(status_code=401)
        body = orjson.loads(await request.body())
        code, expected = request.path_params["code"], body["expected_seq"]
        entry = orjson.dumps({"id": code, "by": "US-0000000", "body": body}, option=orjson.OPT_SORT_KEYS)
        answer = f'{{"specimen":"{code}","seq":{expected + 1}}}'
        connection = await free.get()
        try:
            cursor = await connection.execute(
                WRITE, (code, expected, entry, "US-0000000", request.headers["idempotency-key"], answer)
            )
            written = await cursor.fetchone()
        finally:
            free.put_nowait(connection)
        return Response(answer, 201 if written else 409, media_type="application/json")

    return Starlette(routes=[Route("/api/v1/specimens/{code}/events", scan, methods=["POST"])], lifespan=connected)


def main() -> None:
    """Serve the floor program; the token is read from standard input."""
    dsn, port = sys.argv[1], int(sys.argv[2])
    token = sys.stdin.readline().strip()
    config = uvicorn.Config(application(dsn, {token}), port=port, log_level="warning", loop="uvloop", http="httptools")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
