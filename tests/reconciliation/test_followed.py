"""Tables that follow streams of events: every column has its say, a place goes with what it stands in, and names may call."""

import pytest
from sqlalchemy import select

from biobank.alarms.causes import subject_of
from biobank.reconciliation.following import FOLLOWED
from biobank.registries.tables import metadata
from biobank.storage.models import storage_container
from tests.conftest import Api
from tests.granting import also
from tests.monitoring.test_excursions import a_tank
from tests.reconciliation.followed_changes import OF_SETS
from tests.reconciliation.test_walk import whole
from tests.storage.test_storing import a_box

SAID_ELSEWHERE = {
    "alarm": {
        "called": "how far up the rota it has called: raised, it calls nobody further; whom it called is in the entries",
        "heard": "how bad it was when it was answered: raised, it sounds again only when its quiet time is over",
    },
    "register_entry": {"recorded_at": "when it was typed; the entry says it"},
    "register_authorisation": {"recorded_at": "when it was typed; the entry says it"},
    "register_warning": {
        "id": "names the row and nothing else",
        "sentence": "words for people; problem, thing and person are compared",
        "recorded_at": "when it was typed; the entry says it",
    },
    "sensor": {
        "name": "free text, which no entry may hold; the code is what is scanned",
        "name_key": "computed from the name",
        "last_post_at": "when it sent last; what it sent is in the readings",
    },
    "sensor_place": {"last_at": "when it sent last; what it sent is in the readings"},
    "shipment": {
        "evidence": "free text of the courier's paper, which no entry may hold",
        "closed_event": "names the entry from which closed_at is compared",
    },
    "site": {"name_key": "computed from the name", "code_key": "computed from the code"},
    "storage_position": dict.fromkeys(("row", "col", "label"), "compared as the set of slots of a box"),
    "webhook": {
        **{"name": "free text, which no entry may hold", "name_key": "computed from the name"},
        "site_code": "the one site it follows, which is compared as `sites`",
        "opened_at": "shown and nothing else",
        "log_place": "how far it has come; what it skipped is in the feed",
        **dict.fromkeys(("failures", "quiet_until", "busy_until", "turn", "turn_at"), "turns of the worker"),
    },
}
"""Columns of followed tables that are not compared, and why a change of one is worth nothing, or is found elsewhere."""


@pytest.mark.parametrize("name", sorted(set(FOLLOWED) - set(OF_SETS)))
def test_each_column_is_compared_or_said_to_be_worth_nothing_to_change(name: str) -> None:
    one, said = FOLLOWED[name], SAID_ELSEWHERE.get(name, {})
    compared = {*one.columns, *one.key, *one.read_as, *([one.of] if one.of else ())}

    assert compared | set(said) == set(metadata.tables[name].c.keys())
    assert compared & set(said) <= {"code"}
    assert all(said.values())


def test_a_rack_that_goes_to_another_site_takes_what_stands_in_it_along_and_nothing_differs(api: Api) -> None:
    also(api, "lab_tech", "lab_tech", "NORTH")
    room = a_box(api, kind="room", name="North room", site="NORTH", rows=None, cols=None)
    tank = a_tank(api)
    box = a_box(api, parent=tank)

    moved = api.lab_tech.post(f"/storage-containers/{tank}/move", json={"to": room})

    assert moved.status_code == 200, moved.text
    bank = api.test_bank
    where = bank.write(lambda s: s.execute(select(storage_container.c.site_code).where(storage_container.c.code == box)).scalar())
    assert where == "NORTH"
    assert bank.write(lambda s: whole(s, "places")) == {}


@pytest.mark.parametrize(
    ("named", "called"),
    [("LAB ln2_vapour", "LAB-ln2-vapour"), ("7", "row-7"), ("print-rules/LAB", "print-rules-LAB"), ("US-1", "US-1")],
)
def test_whatever_differs_has_a_name_by_which_an_alarm_may_call(named: str, called: str) -> None:
    assert subject_of(named) == called
