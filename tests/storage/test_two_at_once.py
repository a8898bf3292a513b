"""Two people at the same place at the same moment: one waits for the other, and both acts are true together."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.monitoring.readings import record_reading
from biobank.monitoring.schemas import ReadingCreate
from biobank.storage.evacuation import evacuate
from biobank.storage.holding_still import PlaceIsBusy, hold_still
from biobank.storage.lifting import lift
from biobank.storage.moving import move_container
from biobank.storage.schemas import EvacuateRequest, LiftRequest, MoveRequest, StoreRequest
from biobank.storage.service import store_specimen
from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN, a_tank, held
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import exposure
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later

FRIDGE: dict[str, Any] = OPEN | {"kind": "freezer", "name": "Fridge", "temperature_class": "fridge"}
_WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def while_open(api: Api, first: Callable[[Session, Act], Any], path: str, body: dict[str, Any]) -> httpx.Response:
    """Post while another act is done and not committed, until that post waits for it or is answered; return the answer."""
    answers: list[httpx.Response] = []
    client, act = api.lab_tech, api.test_bank.act("lab_tech2")
    posting = threading.Thread(target=lambda: answers.append(client.post(path, json=body)))

    def work(session: Session) -> None:
        first(session, act)
        posting.start()
        ends = time.monotonic() + 60
        while not answers and time.monotonic() < ends and not api.test_bank.write(lambda s: s.execute(_WAITS).scalar()):
            time.sleep(0.02)

    api.test_bank.write(work)
    posting.join(60)
    return answers[0]


def storing(api: Api, tube: str, box: str) -> tuple[str, dict[str, Any]]:
    return f"/specimens/{tube}/store", {"container": box, "expected_seq": seq_of(api, tube)}


def test_a_tube_that_is_stored_while_its_rack_moves_into_a_fridge_is_refused_there(api: Api) -> None:
    rack = a_box(api, kind="rack", name="Rack", parent=a_tank(api), **OPEN)
    box, fridge, tube = a_box(api, parent=rack), a_box(api, **FRIDGE), a_tube(api)

    answer = while_open(api, lambda s, act: move_container(s, act, rack, MoveRequest(to=fridge)), *storing(api, tube, box))

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_temperature_class"), answer.text


def test_a_tube_that_is_stored_while_its_rack_is_lifted_counts_from_then(api: Api) -> None:
    rack = a_box(api, kind="rack", name="Rack", parent=a_tank(api), **OPEN)
    box, tube = a_box(api, parent=rack), a_tube(api)

    answer = while_open(api, lambda s, act: lift(s, act, rack, LiftRequest()), *storing(api, tube, box))

    assert answer.status_code == 201, answer.text
    later(api, minutes=30)
    assert exposure(api, tube)["running_since"] is not None and exposure(api, tube)["total_s"] >= 1800


def test_a_tube_that_is_stored_while_its_tank_reads_warm_is_held_with_the_others(api: Api) -> None:
    tank = a_tank(api)
    box, tube = a_box(api, parent=a_box(api, kind="rack", name="Rack", parent=tank, **OPEN)), a_tube(api)
    warm = ReadingCreate.model_validate({"reading": "temperature_mc", "value": -15_000, "confirmed": True})

    answer = while_open(api, lambda s, act: record_reading(s, act, tank, warm), *storing(api, tube, box))

    assert answer.status_code == 201, answer.text
    assert held(api, tube) == ["excursion"]


def test_a_tube_that_is_stored_while_its_tank_is_evacuated_is_where_its_box_went(api: Api) -> None:
    tank = a_tank(api)
    box, tube = a_box(api, parent=tank), a_tube(api)
    safe = a_box(api, **FRIDGE, purpose="evacuation")

    answer = while_open(
        api, lambda s, act: evacuate(s, act, safe, EvacuateRequest(scanned=[tank], reason="alarm")), *storing(api, tube, box)
    )

    assert answer.status_code == 201, answer.text
    later(api, minutes=30)
    assert exposure(api, tube)["running_since"] is not None


def test_what_came_in_before_a_rack_could_be_moved_goes_along(api: Api) -> None:
    """The other way round: the move found an empty rack, and waits for somebody who stores a tube in it."""
    rack = a_box(api, kind="rack", name="Rack", parent=a_tank(api), **OPEN)
    box, fridge, tube = a_box(api, parent=rack), a_box(api, **FRIDGE), a_tube(api)
    body = StoreRequest.model_validate({"container": box, "expected_seq": seq_of(api, tube)})
    moving = f"/storage-containers/{rack}/move", {"to": fridge}

    answer = while_open(api, lambda s, act: store_specimen(s, act, tube, body), *moving)

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_temperature_class"), answer.text


def test_a_place_into_which_tubes_come_again_and_again_is_busy(api: Api) -> None:
    box, tubes = a_box(api), iter([[a_tube(api) for _ in range(n)] for n in range(1, 12)])

    with pytest.raises(PlaceIsBusy):
        api.test_bank.write(lambda s: hold_still(s, [box], lambda: next(tubes)))
