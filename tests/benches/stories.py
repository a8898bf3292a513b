"""Short stories that begin at a workstation: one is entered, cleared, opened for somebody, and closed again."""

from typing import Any

import httpx

from tests.conftest import Api, Client
from tests.registers.test_registers import entered

Json = dict[str, Any]


def workstation(api: Api, name: str = "Bench A", **more: Any) -> str:
    """A workstation of LAB; return its code."""
    return entered(api, "workstation", name, **more)


def opening(client: Client, bench: str, **whose: Any) -> httpx.Response:
    """Clear a workstation and open it for `donor`, or for whoever `specimen` is of."""
    return client.post(f"/workstations/{bench}/sessions", json={"workstation": bench, "cleared": True} | whose)


def opened(api: Api, bench: str, **whose: Any) -> str:
    """The same, done; return the session's code."""
    answer = opening(api.lab_tech, bench, **whose)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "done"
    return str(answer.json()["code"])


def closing(client: Client, code: str, bench: str, **more: Any) -> httpx.Response:
    """Clear the workstation of a session and close it."""
    return client.post(f"/bench-sessions/{code}/close", json={"workstation": bench, "cleared": True} | more)


def scanning(client: Client, code: str, *tubes: str, what: str = "packing") -> httpx.Response:
    """Scan tubes at the workstation of a session."""
    return client.post(f"/bench-sessions/{code}/scans", json={"specimens": list(tubes), "what": what})


def session_of(api: Api, code: str) -> Json:
    """A session with everything of it."""
    answer = api.lab_tech.get(f"/bench-sessions/{code}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def rule(api: Api, problem: str, answer: str) -> None:
    """Set what LAB does about a problem."""
    said = api.quality.post("/register-rules", json={"site": "LAB", "problem": problem, "answer": answer})
    assert said.status_code == 201, said.text
