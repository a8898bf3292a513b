"""Taking the custody log away in a test: a file holds what is sealed, so what was recorded is sealed first."""

import httpx

from tests.conftest import Api
from tests.sealing import seal


def take_log(api: Api, fmt: str = "jsonl", *, user: str = "auditor", **filters: str) -> httpx.Response:
    """Seal what waits and take the log as `user`."""
    seal(api.test_bank)
    answer: httpx.Response = getattr(api, user).get("/custody-log", params={"format": fmt, **filters})
    assert answer.status_code == 200, answer.text
    return answer


def taken_log(api: Api, **filters: str) -> str:
    """Seal what waits and return the whole log, a JSON line per event, as the auditor gets it."""
    return take_log(api, **filters).text
