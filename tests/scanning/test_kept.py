"""Scans kept without network: their own times, once, in order, and nothing towards use."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.custody.event import rules
from biobank.custody.recording import AHEAD, ImplausibleTime
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.ui.assets import STATIC_DIR
from biobank.scanning.commands import WORDINGS, Action
from biobank.scanning.kept import OLDEST, DeviceClockChanged, KeptScan, key_for, refusals_without_network, when_scanned
from tests.conftest import Api
from tests.pages.test_pages import a_tube
from tests.scanning.test_lists import Send, a_box, send
from tests.shipping.stories import tubes
from tests.unfinished.test_open_acts import timer

__all__ = ["send"]

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
Keep = Callable[..., httpx.Response]


def a_scan(**changes: Any) -> KeptScan:
    said = {"action": "receive", "text": "HF26-MC061ET", "scanned_at": AT, "offset_ms": 0, "uncertain_ms": 40, "site": "LAB"}
    return KeptScan.model_validate(said | changes)


@given(
    offset=st.integers(-(10**11), 10**11),
    ago=st.integers(0, int(OLDEST.total_seconds() * 1000)),
    drift=st.integers(-110_000, 110_000),
)
def test_a_scan_happened_when_the_banks_clock_said_so_however_wrong_the_devices_is(offset: int, ago: int, drift: int) -> None:
    made = AT - timedelta(milliseconds=ago)
    scan = a_scan(scanned_at=made - timedelta(milliseconds=offset), offset_ms=offset)
    sent = AT - timedelta(milliseconds=offset + drift)
    assert when_scanned(scan, sent, AT) == made


@pytest.mark.parametrize(
    ("made", "sent", "refused"),
    [
        (AT, AT + AHEAD + timedelta(seconds=1), DeviceClockChanged),
        (AT, AT - timedelta(hours=1), DeviceClockChanged),
        (AT - OLDEST - timedelta(seconds=1), AT, ImplausibleTime),
        (AT + AHEAD + timedelta(seconds=1), AT, ImplausibleTime),
    ],
)
def test_a_scan_whose_time_nobody_knows_is_refused(made: datetime, sent: datetime, refused: type[Exception]) -> None:
    with pytest.raises(refused):
        when_scanned(a_scan(scanned_at=made), sent, AT)


def test_a_scan_a_moment_ahead_happened_when_it_arrived() -> None:
    assert when_scanned(a_scan(scanned_at=AT + timedelta(seconds=1)), AT, AT) == AT


def test_nothing_towards_use_and_nothing_of_two_persons_is_kept() -> None:
    allowed = {action for action in Action if not refusals_without_network(a_scan(action=action, purpose="testing"))}
    assert allowed == {Action.RECEIVE, Action.STORE, Action.CHECK_OUT} == {a for a in Action if WORDINGS[a].offline}
    assert refusals_without_network(a_scan(action="check_out", purpose="withdrawal"))
    for kind in ("received", "checked_out", "stored", "moved", "safeguarded"):
        assert not rules.by_kind[f"specimen.{kind}"].toward_use


def test_a_key_is_one_persons_in_one_session(secrets_dir: Path) -> None:
    def of(owner: str, session: str) -> bytes:
        return key_for(secrets_dir, owner, session, clock.now())

    assert of("US-AAAAAAA", "one") == of("US-AAAAAAA", "one")
    assert len({of("US-AAAAAAA", "one"), of("US-BBBBBBB", "one"), of("US-AAAAAAA", "two")}) == 3


@pytest.fixture
def keep(api: Api, send: Send) -> Keep:
    """A factory of kept scans: `keep("receive", code, "k1", minutes ago, …)`."""

    def post(action: str, code: str, key: str, ago: float, who: str = "lab_tech", **fields: Any) -> httpx.Response:
        said = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=ago)), "offset_ms": "0", "uncertain_ms": "30"} | fields
        send(who, "list")
        visitor = send.visitors[who]  # type: ignore[attr-defined]
        visitor.headers["X-Device-Clock"] = rfc3339(clock.now())
        return send(who, "kept", key=key, action=action, text=code, **said)

    return post


def history(api: Api, code: str) -> list[tuple[str, str]]:
    items = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]
    return [(event["kind"].partition(".")[2], event["occurred_at"]) for event in items]


def test_kept_scans_are_recorded_with_their_own_times_each_once(api: Api, keep: Keep) -> None:
    tube, box = a_tube(api), a_box(api)
    clock.set_offset(timedelta(hours=2), test_mode=True)
    first = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=50)), "place": box, "well": "B2"}
    for _ in range(2):
        answer = keep("store", tube, "k1", 0, **first)
        assert answer.status_code == 200, answer.text
    second = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=40)), "purpose": "testing"}
    assert keep("check_out", tube, "k2", 0, **second).status_code == 200
    back = keep("store", tube, "k3", 20, place=box)
    assert back.status_code == 200, back.text
    assert history(api, tube)[2:4] == [("stored", first["scanned_at"]), ("checked_out", second["scanned_at"])]
    assert len(history(api, tube)) == 5
    custody = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]
    assert (custody["container"], custody["position"]) == (box, None), "no place was named: none is known"


def test_what_happened_after_the_scan_refuses_it(api: Api, keep: Keep) -> None:
    tube = a_tube(api)
    answer = keep("check_out", tube, "k1", 60, purpose="testing")
    assert (answer.status_code, answer.json()["code"]) == (409, "happened_since")
    assert len(history(api, tube)) == 2


def test_what_the_banks_own_timer_wrote_meanwhile_refuses_no_scan(api: Api, keep: Keep) -> None:
    tube, box = a_tube(api), a_box(api)
    clock.set_offset(timedelta(hours=2), test_mode=True)
    stored = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=60)), "place": box}
    assert keep("store", tube, "k1", 0, **stored).status_code == 200
    out = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=50)), "purpose": "testing"}
    assert keep("check_out", tube, "k2", 0, **out).status_code == 200
    assert timer(api) >= 1
    assert history(api, tube)[-1][0] == "timed_out"

    back = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=45)), "place": box}
    answer = keep("store", tube, "k3", 0, **back)

    assert answer.status_code == 200, answer.text
    assert history(api, tube)[-1] == ("stored", back["scanned_at"])
    tardy = {"scanned_at": rfc3339(clock.now() - timedelta(minutes=47)), "purpose": "testing"}
    late = keep("check_out", tube, "k4", 0, **tardy)
    assert (late.status_code, late.json()["code"]) == (409, "happened_since"), "somebody stored it since"


def test_a_list_that_was_recorded_and_never_answered_is_not_recorded_again(api: Api, send: Send, keep: Keep) -> None:
    (tube,), box = tubes(api, 1), a_box(api)
    row = json.dumps({"text": tube, "well": None, "seq": len(history(api, tube)), "slot": "A1"})
    sent = send("lab_tech", "commit", key="list-1", action="store", place=box, tube=row)
    assert sent.status_code == 200, sent.text
    before = history(api, tube)
    answer = keep("store", tube, "k1", 1, place=box, instead_of="list-1")
    assert answer.status_code == 200, answer.text
    assert history(api, tube) == before
    assert keep("store", tube, "k2", 1, place=box, instead_of="list-2").status_code == 409
    assert history(api, tube) == before


def test_the_pages_worker_keeps_every_file_that_the_scan_page_asks_for() -> None:
    kept = set(re.findall(r'"([a-z-]+\.(?:js|css|svg))"', (STATIC_DIR / "scan-worker.js").read_text().split("];")[0]))
    asked, seen = {"list.js", "offline.js", "scan.js", "lock.js", "forms.js"}, set[str]()
    while asked:
        name = asked.pop()
        seen.add(name)
        asked |= set(re.findall(r'(?:from|import\() ?"\./([a-z]+\.js)"', (STATIC_DIR / name).read_text())) - seen
    assert seen | {"app.css", "favicon.svg", "icons.svg", "selftest.svg"} == kept


def test_another_person_never_gets_the_key(api: Api, send: Send) -> None:
    mine = send("lab_tech", "kept/key").json()
    assert send("lab_tech", "kept/key", of=mine["of"]).json()["key"] == mine["key"]
    assert send("lab_tech2", "kept/key", of=mine["of"]).json()["key"] != mine["key"]
