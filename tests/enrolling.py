"""How a login gets its first password in tests: two people sign, each draws half of a code, the owner chooses."""

from typing import Any

import httpx

from tests.conftest import Api
from tests.signing import signed


def by_two(
    first: httpx.Client, second: httpx.Client, path: str, body: dict[str, Any], meaning: str, *, method: str = "POST"
) -> httpx.Response:
    """Propose an act as `first` and complete it as `second`; return the second answer."""
    half = first.request(method, path, json=signed(first, meaning, path, body, method=method))
    assert half.json()["status"] == "pending", half.text
    whole = body | {"pending_act": half.json()["pending_act"]}
    return second.request(method, path, json=signed(second, meaning, path, whole, method=method))


def half(client: httpx.Client, slip: str) -> str:
    """Draw one's half of a one-time code."""
    answer = client.post(f"/slips/{slip}/draw")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["half"])


def drawn(first: httpx.Client, second: httpx.Client, completed: httpx.Response) -> str:
    """Draw both halves of the code that a completed act brought; return them as their owner types them."""
    slip = completed.json()["slip"]["id"]
    return f"{half(first, slip)} {half(second, slip)}"


def enrolled(api: Api, username: str, *, role: str = "lab_tech", site: str | None = "LAB") -> tuple[str, str]:
    """Make a login with one role; return its badge code and its one-time code."""
    made = api.admin.post("/users", json={"username": username, "printed_name": "Jane Doe, PhD", "another_person": True})
    assert made.status_code == 201, made.text
    code = made.json()["code"]
    role_given = by_two(api.admin, api.quality, f"/users/{code}/roles", {"role": role, "site": site}, "role_change")
    return code, drawn(api.admin, api.quality, role_given)


def reset(api: Api, code: str, *, second: httpx.Client | None = None) -> str:
    """Reset a password by two people; return the one-time code."""
    quality = second or api.quality
    return drawn(api.admin, quality, by_two(api.admin, quality, f"/users/{code}/password-reset", {}, "approved"))
