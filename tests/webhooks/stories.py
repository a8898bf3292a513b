"""A subscription in tests: made, given a secret and opened by two; events recorded and delivered."""

from datetime import timedelta
from typing import Any

from biobank.foundation import clock
from biobank.webhooks.delivering import deliver_next
from tests.conftest import Api
from tests.exports.test_custody_log import some_history
from tests.sealing import seal
from tests.webhooks.receiver import Receiver
from tests.withdrawals.stories import by_two


def made(api: Api, url: str, **more: Any) -> str:
    """A subscription without a secret."""
    body = {"name": f"System at {url}"[:60], "url": url} | more
    answer = api.quality.post("/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def secret_of(api: Api, code: str, **more: Any) -> str:
    """Its new secret."""
    answer = api.quality.post(f"/webhooks/{code}/secret", json=more)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store", answer.text
    return str(answer.json()["secret"])


def opened(api: Api, url: str, **more: Any) -> tuple[str, str]:
    """A subscription to which events go; it and its secret."""
    code = made(api, url, **more)
    secret = secret_of(api, code)
    answer = by_two(api.quality2, api.quality, f"/webhooks/{code}/open", {})
    assert answer.status_code == 200, answer.text
    return code, secret


def happen(api: Api, count: int = 2) -> None:
    """Record and seal something."""
    some_history(api, count)
    seal(api.test_bank)


def deliver(api: Api) -> None:
    """Let the worker send whatever is due now."""
    while deliver_next(api.test_bank.bank):
        pass


def through(api: Api, **pause: float) -> None:
    """Let some time go by, then let the worker send what is due."""
    clock.set_offset(clock.offset() + timedelta(**pause), test_mode=True)
    deliver(api)


def deliveries(api: Api, code: str, **asked: Any) -> list[dict[str, Any]]:
    """What is or was on its way, the latest first."""
    items: list[dict[str, Any]] = api.quality.get(f"/webhooks/{code}/deliveries", params={"limit": 500} | asked).json()["items"]
    return items


def shown(api: Api, code: str) -> dict[str, Any]:
    """The subscription as it stands."""
    found: dict[str, Any] = api.quality.get(f"/webhooks/{code}").json()
    return found


def in_order(receiver: Receiver) -> bool:
    """Whether the first arrivals of each stream came in the order of the stream."""
    last: dict[str, int] = {}
    known: set[str] = set()
    for one in receiver.got:
        if one.id in known:
            continue
        known.add(one.id)
        data = one.event["data"]
        stream = f"{data['stream']}/{data['id']}"
        if data["seq"] <= last.get(stream, 0):
            return False
        last[stream] = data["seq"]
    return True


def sign_in_anew(api: Api) -> None:
    """Begin new sign-ins: after the clock went on, tokens of before are too old."""
    api.close()
    api._clients.clear()
