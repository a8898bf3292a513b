"""Signing in tests as a client does: hash the request, sign the hash, put the signature into the body."""

from typing import Any

import httpx

from biobank.acts.act import act_hash
from tests import seed


def signed(client: httpx.Client, meaning: str, path: str, body: dict[str, Any], *, method: str = "POST") -> dict[str, Any]:
    """Return `body` with the client's signature of `method` `path` (under /api/v1) and `body`."""
    digest = act_hash(method, f"/api/v1{path}", body)
    password = getattr(client, "password", seed.PASSWORD)
    answer = client.post("/signatures", json={"password": password, "meaning": meaning, "act_hash": digest.hex()})
    assert answer.status_code == 201, answer.text
    return body | {"signature": answer.json()["signature"]}
