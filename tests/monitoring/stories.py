"""What tests do with places that are watched: set their limits, assess an excursion as somebody who looked at it."""

from typing import Any

import httpx

from tests.conftest import Api
from tests.withdrawals.stories import sign_and_post


def set_limits(api: Api, place: str, **limits: int) -> None:
    """Set limits of a container, signed by quality."""
    done = sign_and_post(api.quality, "decided", "/place-limits", {"container": place, **limits})
    assert done.status_code == 200, done.text


def assess(client: Any, excursion: str, decision: str = "released", **body: Any) -> httpx.Response:
    """Look at an excursion, and assess what is left of it or the group that `body` names."""
    path = f"/excursions/{excursion}"
    said = {"decision": decision, "reason": "short_and_known", "seen": client.get(path).json().get("seen"), **body}
    return sign_and_post(client, decision, f"{path}/assess", said)
