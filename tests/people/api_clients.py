"""An API client in tests: made, given a key by two, and calling."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.conftest import Api
from tests.withdrawals.stories import by_two


def a_client(api: Api, *scopes: str, **more: Any) -> str:
    """A client without a key; it may read the log and specimens unless said otherwise."""
    body = {"name": f"Program {uuid4().hex[:8]}", "scopes": list(scopes) or ["log:read", "specimen:read"], "valid_days": 90}
    made = api.admin.post("/api-clients", json=body | more)
    assert made.status_code == 201, made.text
    return str(made.json()["code"])


def grant(api: Api, client: str) -> httpx.Response:
    """Two people grant it a key, which the second may draw."""
    return by_two(api.admin, api.quality, f"/api-clients/{client}/key", {})


def key_of(api: Api, client: str) -> str:
    """A new key of it."""
    granted = grant(api, client)
    assert granted.status_code == 200, granted.text
    drawn = api.quality.post(f"/api-clients/{client}/key/draw")
    assert drawn.status_code == 200 and drawn.headers["Cache-Control"] == "no-store", drawn.text
    return str(drawn.json()["key"])


@contextmanager
def calling(api: Api, key: str) -> Iterator[httpx.Client]:
    """A program that sends this key."""
    with httpx.Client(base_url=api.url, timeout=60, headers={"Authorization": f"Bearer {key}"}) as program:
        yield program


def keyed_post(program: httpx.Client, path: str, body: Any) -> httpx.Response:
    """An act of the program, under a key of idempotency of its own."""
    return program.post(f"/api/v1{path}", json=body, headers={"Idempotency-Key": uuid4().hex})
