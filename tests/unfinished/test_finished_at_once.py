"""What somebody finishes at the moment at which it is timed out is finished: the record says nothing else of it afterwards."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.shipping.handovers import accept
from biobank.shipping.schemas import AcceptRequest
from biobank.storage.counts import count
from biobank.storage.lifting import put_back
from biobank.storage.schemas import CountBlind, LiftRequest
from biobank.withdrawals.schemas import CancelRequest
from biobank.withdrawals.service import cancel_withdrawal
from tests.conftest import Api
from tests.shipping.stories import offered, tubes
from tests.shipping.test_handovers import expire
from tests.storage.test_counts import counted
from tests.storage.test_exposure import a_stored_tube, check_out, put
from tests.unfinished.test_open_acts import open_now, timer
from tests.withdrawals.stories import a_story, ago, kinds_of, later

_WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def timed_while(api: Api, login: str, act_of: Callable[[Session, Act], Any], timer: Callable[[Api], int] = timer) -> int:
    """Run a timer while an act is done and not committed, until it waits or is done; return how many it timed out."""
    counted: list[int] = []
    act = api.test_bank.act(login)
    timing = threading.Thread(target=lambda: counted.append(timer(api)))

    def work(session: Session) -> None:
        act_of(session, act)
        timing.start()
        ends = time.monotonic() + 60
        while not counted and time.monotonic() < ends and not api.test_bank.write(lambda s: s.execute(_WAITS).scalar()):
            time.sleep(0.02)

    api.test_bank.write(work)
    timing.join(60)
    return counted[0]


def test_a_rack_that_is_put_back_while_the_timer_runs_is_not_timed_out_afterwards(api: Api) -> None:
    _, box = a_stored_tube(api)
    assert api.lab_tech.post(f"/storage-containers/{box}/lift", json={}).status_code == 200
    later(api, hours=1)

    found = timed_while(api, "lab_tech2", lambda s, act: put_back(s, act, box, LiftRequest()))

    assert (found, timer(api)) == (0, 0)
    assert kinds_of(api, "container", box)[-1] == "container.put_back"


def test_a_pick_that_is_ended_while_the_timer_runs_is_not_timed_out_afterwards(api: Api) -> None:
    story = a_story(api).up_to("pick")
    later(api, hours=2)

    ended = CancelRequest.model_validate({"reason": "postponed"})
    found = timed_while(api, "clinician", lambda s, act: cancel_withdrawal(s, act, story.code, ended))

    assert found == 0
    assert timer(api) == 1, "the tube that was taken out for it is in somebody's hand"
    assert "withdrawal.timed_out" not in kinds_of(api, "withdrawal", story.code)


def test_a_hand_over_that_is_accepted_while_the_timer_runs_has_not_run_out(api: Api) -> None:
    (tube,) = tubes(api)
    name = offered(api, [tube], expires_in_minutes=10)

    def accepted(session: Session, act: Act) -> None:
        accept(session, act, UUID(name), AcceptRequest())
        later(api, minutes=11)

    found = timed_while(api, "lab_tech2", accepted, expire)

    assert (found, expire(api)) == (0, 0)
    assert kinds_of(api, "specimen", tube)[-1] == "specimen.handover_accepted"


def test_a_count_that_another_finishes_while_the_timer_runs_is_not_timed_out_afterwards(api: Api) -> None:
    tube, box = a_stored_tube(api)
    assert counted(api.lab_tech, box, []).json()["status"] == "to_recount"
    later(api, hours=48)

    again = CountBlind.model_validate({"scanned": [tube]})
    found = timed_while(api, "lab_tech2", lambda s, act: count(s, act, box, again))

    assert (found, timer(api)) == (0, 0)
    assert kinds_of(api, "container", box)[-1] == "container.counted"


def test_a_tube_that_is_put_back_by_a_time_before_the_time_out_keeps_both_on_record_once(api: Api) -> None:
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=10)
    at = ago(minutes=0)
    later(api, minutes=25)
    assert (timer(api), timer(api)) == (1, 0)

    late = {"occurred_at": at, "late_entry": True, "reason_text": "put back at once, typed later"}
    assert put(api, tube, box, **late).status_code == 201

    assert (timer(api), open_now(api)) == (0, set())
    assert kinds_of(api, "specimen", tube).count("specimen.timed_out") == 1
